//! The command line as people and scripts use it, against a real node.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{binary, tiny_model, Node, NodeSpec, PASSPHRASE};
use serde_json::Value;
use std::process::{Command, Output};

fn ainonymous(args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command
        .env_remove("AINONYMOUS_CONFIG")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("AINONYMOUS_PASSPHRASE", PASSPHRASE)
        .args(args);
    command.output().expect("the executable starts")
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.trim().lines().count(), 1, "one object on one line: {text}");
    serde_json::from_str(text.trim()).expect("JSON")
}

#[test]
fn the_commands_of_a_running_node() {
    let mut node = Node::ready(NodeSpec { serve: vec![tiny_model()], ..NodeSpec::default() });
    let api = node.client().base().to_string();

    let asked =
        json(&ainonymous(&["ask", "--api", &api, "--json", "--temperature", "0", "What is the capital of France?"]));
    assert_eq!(asked["answer"].as_str().map(str::trim), Some("The capital of France is Paris."), "{asked}");
    assert!(asked["completion_tokens"].as_u64().is_some_and(|n| n > 3), "{asked}");
    assert!(asked["ttft_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{asked}");

    let plain = ainonymous(&["ask", "--api", &api, "--temperature", "0", "What is the capital of Japan?"]);
    assert_eq!(plain.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&plain.stdout).contains("Tokyo"), "{plain:?}");
    assert!(!String::from_utf8_lossy(&plain.stdout).contains('\x1b'), "colour is for terminals");

    let status = json(&ainonymous(&["status", "--api", &api, "--json"]));
    assert!(status["dna_hash"].as_str().is_some_and(|h| h.starts_with("uhC0k")), "{status}");
    assert!(status["agent"].as_str().is_some_and(|a| a.starts_with("uhCAk")), "{status}");
    assert!(ainonymous(&["status", "--api", &api]).status.success());

    let models = json(&ainonymous(&["models", "--api", &api, "--json"]));
    assert!(models.to_string().contains("tiny-gemma:q8_0"), "{models}");

    let unknown = ainonymous(&["ask", "--api", &api, "--json", "--model", "no-such-model", "hi"]);
    assert_eq!(unknown.status.code(), Some(4), "{unknown:?}");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("hint:"), "{unknown:?}");
}

#[test]
fn without_a_node_the_remedy_is_named() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let api = format!("http://127.0.0.1:{port}");
    for args in [vec!["ask", "--api", &api, "hi"], vec!["status", "--api", &api], vec!["models", "--api", &api]] {
        let output = ainonymous(&args);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {talk}");
        assert!(talk.contains("ainonymous up"), "{args:?}: {talk}");
    }
}

#[test]
fn models_on_disk_need_no_node() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().to_str().expect("a path");
    std::fs::copy(tiny_model(), dir.path().join("mine.gguf")).expect("a copy");
    let listed = json(&ainonymous(&["models", "list", "--models-dir", folder, "--json"]));
    assert!(listed["models"].as_array().is_some_and(|all| all.iter().any(|m| m["name"] == "mine")), "{listed}");
    let shown = json(&ainonymous(&["models", "show", "mine", "--models-dir", folder, "--json"]));
    assert_eq!((shown["architecture"].as_str(), shown["quantization"].as_str()), (Some("gemma4"), Some("q8_0")));
    assert!(shown["sha256"].as_str().is_some_and(|digest| digest.len() == 64), "{shown}");
    let good = json(&ainonymous(&["models", "catalogue", "--models-dir", folder, "--json"]));
    assert!(good["models"][0]["name"].as_str().is_some_and(|name| name.starts_with("gemma-4")), "{good}");
    json(&ainonymous(&["models", "rm", "mine", "--models-dir", folder, "--json"]));
    let absent = ainonymous(&["models", "show", "hf:org/repo:Q4_K_M", "--models-dir", folder]);
    assert_eq!(absent.status.code(), Some(8), "{absent:?}");
    assert!(String::from_utf8_lossy(&absent.stderr).contains("ainonymous pull hf:org/repo:Q4_K_M"), "{absent:?}");
    assert_eq!(ainonymous(&["pull", "hf:nonsense"]).status.code(), Some(2));
}

#[test]
fn wrong_words_end_with_the_code_of_wrong_words() {
    for args in [vec!["frobnicate"], vec!["up", "--threads", "many"], vec!["ask"]] {
        assert_eq!(ainonymous(&args).status.code(), Some(2), "{args:?}");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "colour = \"mauve\"\n").expect("a file");
    let output = ainonymous(&["--config", config.to_str().expect("a path"), "status"]);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && talk.contains("colour"), "{talk}");
}

#[test]
fn the_doctor_finds_what_is_wrong_and_what_is_right() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let data = data.to_str().expect("a path");
    let missing = dir.path().join("missing.gguf");
    let missing = missing.to_str().expect("a path");
    let output =
        ainonymous(&["doctor", "--json", "--data-dir", data, "--offline", "--api", "127.0.0.1:0", "--serve", missing]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1), "{report}");
    let text = report.to_string();
    assert!(text.contains("fail") && text.contains("ok") && text.contains("uhC0k"), "{report}");
    let model = tiny_model();
    let good = model.to_str().expect("a path");
    let output =
        ainonymous(&["doctor", "--json", "--data-dir", data, "--offline", "--api", "127.0.0.1:0", "--serve", good]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let check = |name: &str| report["checks"].as_array().expect("checks").iter().find(|check| check["name"] == name);
    let fit = check("fit").expect("a plan for the model");
    assert!(fit["plan"]["context_tokens"].as_u64() > Some(0) && fit["plan"]["kv_bytes"].as_u64() > Some(0), "{fit}");
    assert!(fit["found"].as_str().is_some_and(|found| found.contains("tokens of context")), "{fit}");
    let engine = check("engine").expect("what it computes on");
    assert!(engine["found"].as_str().is_some_and(|found| found.contains("CPU")), "{engine}");
    let sandbox = check("sandbox").expect("what a worker cannot do");
    let found = sandbox["found"].as_str().expect("a text");
    for what in ["network", "files", "privileges"] {
        assert!(found.contains(what), "{what} is confined or not, and it says so: {sandbox}");
    }
    assert_eq!(found.contains("could use"), sandbox["verdict"] == "warn", "{sandbox}");
}
