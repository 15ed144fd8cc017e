//! The official clients of OpenAI, Anthropic and Ollama against a real node. What they need is installed by
//! `cargo xtask test`; here it must be there.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{binary, clients_python, root, run, tiny_model, Node, NodeSpec};
use serde_json::Value;
use std::process::Command;

fn node(args: &[&str]) -> Node {
    Node::ready(NodeSpec { serve: vec![tiny_model()], ..NodeSpec::default() }.with(args))
}

/// Runs both scripts; each prints a line for each check that passed.
fn check(which: &str) {
    let mut node = node(&[]);
    let api = node.client().base().to_string();
    let folder = root().join("tests/e2e/clients");
    let mut python = Command::new(clients_python());
    python.arg(folder.join("check.py"));
    let mut javascript = Command::new("node");
    javascript.arg(folder.join("check.js"));
    for mut command in [python, javascript] {
        let output = command.args([&api, which]).output().expect("the client starts");
        let told = String::from_utf8_lossy(&output.stdout);
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} after\n{told}\n{problem}\n{}", node.log_tail());
        assert!(told.lines().filter(|line| line.starts_with("ok ")).count() >= 3, "{told}");
        println!("{told}");
    }
}

#[test]
fn clients_plain() {
    check("plain");
}

/// Needs what the engine does with tools, forms, log-probabilities and penalties.
#[test]
fn clients_structured() {
    check("structured");
}

fn keys(node: &Node, args: &[&str]) -> Value {
    let mut command = Command::new(binary());
    command.env("AINONYMOUS_CONFIG", node.data_dir().join("no-config.toml"));
    command.arg("keys").args(args).arg("--data-dir").arg(node.data_dir()).arg("--json");
    let output = command.output().expect("the executable starts");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_key_counts_from_when_it_is_made_to_when_it_is_revoked() {
    let mut node = node(&["--require-key"]);
    let client = node.client();
    let status = |key: Option<&str>| {
        let (url, key) = (format!("{}/v1/models", client.base()), key.map(str::to_owned));
        run(async move {
            let mut request = reqwest::Client::new().get(url);
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            request.send().await.expect("an answer").status().as_u16()
        })
    };
    assert_eq!(status(None), 401);
    let made = keys(&node, &["create", "laptop", "--requests-per-minute", "3"]);
    let key = made["key"].as_str().expect("a key");
    assert_eq!((status(Some(key)), status(Some("ain-wrong")), status(None)), (200, 401, 401));
    let listed = keys(&node, &["list"]);
    assert_eq!(listed["keys"][0]["name"], "laptop");
    assert!(!listed.to_string().contains(&key[4..]), "it is shown once");
    assert_eq!((status(Some(key)), status(Some(key)), status(Some(key))), (200, 200, 429));
    keys(&node, &["revoke", "laptop"]);
    assert_eq!(status(Some(key)), 401);
    assert!(!node.log().contains(&key[4..]), "nor does a log show it");
}

#[test]
fn without_a_key_a_node_does_not_listen_to_others() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut command = Node::command(&NodeSpec::default(), dir.path());
    command.args(["--api", "0.0.0.0:0"]);
    let output = command.output().expect("the executable starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("ainonymous keys create"), "{output:?}");
}
