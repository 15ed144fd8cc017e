//! Bad input and bad luck: each gets a named error with a remedy within five seconds, and nothing acknowledged is lost.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{tiny_model, Bootstrap, Client, Node, NodeSpec, PASSPHRASE};
use serde_json::{json, Value};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

/// Within this, whatever goes wrong has a name.
const NAMED_WITHIN: Duration = Duration::from_secs(5);

/// Runs `ainonymous up` that must fail by itself; returns its error event and exit code.
fn up_fails(spec: &NodeSpec, dir: &Path) -> (Value, i32, Duration) {
    let started = Instant::now();
    let mut command = Node::command(spec, dir);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let Output { stdout, stderr, status } = child.wait_with_output().expect("it ends");
    let took = started.elapsed();
    let stdout = String::from_utf8_lossy(&stdout);
    let events = stdout.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let error = events.into_iter().find(|e| e["event"] == "error");
    let error = error.unwrap_or_else(|| panic!("no error event: {stdout}\n{}", String::from_utf8_lossy(&stderr)));
    assert!(error["hint"].as_str().is_some_and(|h| !h.is_empty()), "{error}");
    (error, status.code().unwrap_or(-1), took)
}

fn signal(process: i64, signal: i32) {
    #[allow(unsafe_code)]
    // SAFETY: plain integers; the process is the worker of our own child.
    unsafe {
        libc::kill(process as libc::pid_t, signal);
    }
}

fn one_model_node(model: &Path) -> (Node, Client) {
    let mut node = Node::start(NodeSpec { serve: vec![model.into()], ..NodeSpec::default() });
    node.wait_ready();
    let client = node.client();
    (node, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_named_and_the_node_lives_on() {
    let (_node, client) = one_model_node(&tiny_model());
    let chat = "/v1/chat/completions";
    let big = "x".repeat(10 << 20);
    let long = "word ".repeat(60_000);
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("malformed JSON", b"{\"model\": ".to_vec(), 400, "invalid_json"),
        ("invalid UTF-8", b"{\"model\":\"\xff\xfe\"}".to_vec(), 400, "invalid_utf8"),
        ("no messages", br#"{"model":"tiny-gemma"}"#.to_vec(), 400, ""),
        ("empty messages", br#"{"model":"tiny-gemma","messages":[]}"#.to_vec(), 400, ""),
        ("empty prompt", Client::body("").to_string().into_bytes(), 400, ""),
        ("10 MB prompt", Client::body(&big).to_string().into_bytes(), 413, ""),
        ("prompt past the context", Client::body(&long).to_string().into_bytes(), 400, "prompt_too_long"),
        (
            "unknown model",
            json!({"model":"nope","messages":[{"role":"user","content":"hi"}]}).to_string().into_bytes(),
            404,
            "model_not_found",
        ),
        (
            "temperature out of range",
            json!({"model":"tiny-gemma","temperature":9,"messages":[{"role":"user","content":"hi"}]})
                .to_string()
                .into_bytes(),
            400,
            "",
        ),
        (
            "tools",
            json!({"model":"tiny-gemma","tools":[{"type":"function"}],"messages":[{"role":"user","content":"hi"}]})
                .to_string()
                .into_bytes(),
            400,
            "",
        ),
    ];
    for (what, body, status, code) in cases {
        let failure = client.post_raw(chat, body).await.expect_err(what);
        assert_eq!(failure.status, status, "{what}: {failure:?}");
        failure.assert_helpful(NAMED_WITHIN);
        assert!(code.is_empty() || failure.code() == code, "{what}: {failure:?}");
    }
    let (status, error) = client.get("/nowhere").await;
    assert_eq!((status, error["error"]["code"].is_string()), (404, true), "{error}");
    assert_eq!(client.get(chat).await.0, 405);
    assert!(client.ask(Client::body("What is the capital of France?")).await.expect("alive").text.contains("Paris"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_model_files_are_named_and_cost_only_themselves() {
    let dir = tempfile::tempdir().expect("a folder");
    let good = std::fs::read(tiny_model()).expect("the tiny model");
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    let mut odd = good.clone();
    let at = good.windows(6).position(|w| w == b"gemma4").expect("an architecture");
    odd[at..at + 6].copy_from_slice(b"gemmaX");
    let bad = [
        (write("not-a.gguf", b"this is no model at all, only a few words"), "not_gguf"),
        (write("empty.gguf", b""), "not_gguf"),
        (write("truncated.gguf", &good[..good.len() / 2]), "model_truncated"),
        (write("odd.gguf", &odd), "unsupported_architecture"),
        (dir.path().join("missing.gguf"), "model_file_not_found"),
    ];
    let mut serve: Vec<_> = bad.iter().map(|(path, _)| path.clone()).collect();
    serve.push(tiny_model());
    let mut node = Node::start(NodeSpec { serve, ..NodeSpec::default() });
    node.wait_ready();
    let client = node.client();
    let (_, status) = client.get("/ainonymous/v1/status").await;
    let models = status["models"].as_array().expect("models");
    for (path, code) in &bad {
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let model = models.iter().find(|m| m["id"] == json!(stem)).unwrap_or_else(|| panic!("{stem}: {status}"));
        assert_eq!(model["state"], "failed", "{model}");
        assert_eq!(model["code"], json!(code), "{model}");
        assert!(model["hint"].as_str().is_some_and(|h| !h.is_empty()), "{model}");
    }
    assert!(client.ask(Client::body("What is the capital of France?")).await.expect("alive").text.contains("Paris"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_provider_online_is_said_at_once() {
    let mut bootstrap = Bootstrap::start();
    let mut node = Node::ready(NodeSpec::new(&bootstrap.url()));
    let failure = node.client().ask(Client::body("hello")).await.expect_err("nobody can answer");
    assert!(matches!(failure.code(), "no_provider" | "model_not_found" | "not_ready"), "{failure:?}");
    failure.assert_helpful(NAMED_WITHIN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_killed_in_mid_answer_is_named_within_seconds() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::ready(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::ready(NodeSpec::new(&url));
    let client = asker.client();
    client.wait_for_providers(1, Duration::from_secs(30)).await;
    let (_, status) = provider.client().get("/ainonymous/v1/status").await;
    let worker = status["models"][0]["engine"]["worker_pid"].as_i64().expect("a worker");
    let mut body = Client::body("Tell me a long story.");
    body["max_tokens"] = json!(1900);
    body["temperature"] = json!(1.5);
    // By itself it might end in its first sentence.
    body["ignore_eos"] = json!(true);
    let mut sse = client.open(body).await.expect("a stream");
    sse.next().await.expect("a first part");
    // The engine stands still before the node dies: the tiny model cannot have said everything by then.
    signal(worker, libc::SIGSTOP);
    provider.kill();
    let killed = Instant::now();
    let mut named = None;
    while let Some(data) = sse.next().await {
        let value: Value = serde_json::from_str(&data).unwrap_or(Value::Null);
        if !value["error"].is_null() {
            named = Some(value["error"].clone());
        }
    }
    let error = named.expect("an error in the stream");
    assert_eq!(error["code"], "provider_gone", "{error}");
    assert!(killed.elapsed() <= NAMED_WITHIN, "took {:?}", killed.elapsed());
    let next = client.ask(Client::body("hello")).await.expect_err("the only provider is dead");
    assert!(matches!(next.code(), "provider_silent" | "no_provider"), "{next:?}");
    next.assert_helpful(NAMED_WITHIN);
}

#[test]
fn a_wrong_passphrase_is_named_and_destroys_nothing() {
    let mut node = Node::ready(NodeSpec::default());
    let agent = node.agent();
    assert_eq!(node.stop(), Some(0));
    let dir = node.data_dir().parent().expect("a folder").to_path_buf();
    let spec = NodeSpec { passphrase: "something else".into(), ..NodeSpec::default() };
    let (error, exit, took) = up_fails(&spec, &dir);
    assert_eq!((error["code"].as_str(), exit), (Some("wrong_passphrase"), 5), "{error}");
    assert!(took <= NAMED_WITHIN, "took {took:?}");
    std::fs::write(dir.join("passphrase"), PASSPHRASE).expect("a file");
    node.restart();
    assert_eq!(node.agent(), agent);
}

#[test]
fn two_processes_on_one_data_folder_are_refused() {
    let node = Node::ready(NodeSpec::default());
    let dir = node.data_dir().parent().expect("a folder").to_path_buf();
    let (error, exit, took) = up_fails(&NodeSpec::default(), &dir);
    assert_eq!((error["code"].as_str(), exit), (Some("data_dir_in_use"), 6), "{error}");
    assert!(took <= NAMED_WITHIN, "took {took:?}");
}

#[test]
fn a_data_folder_of_another_network_is_refused() {
    let mut node = Node::ready(NodeSpec::default().with(&["--network-seed", "one"]));
    assert_eq!(node.stop(), Some(0));
    let dir = node.data_dir().parent().expect("a folder").to_path_buf();
    let (error, exit, took) = up_fails(&NodeSpec::default().with(&["--network-seed", "two"]), &dir);
    assert_eq!((error["code"].as_str(), exit), (Some("data_dir_of_another_network"), 6), "{error}");
    assert!(took <= NAMED_WITHIN, "took {took:?}");
}

#[test]
fn a_port_in_use_is_named_before_anything_else() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = holder.local_addr().expect("an address").to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let (error, exit, took) = up_fails(&NodeSpec::default().with(&["--api", &address]), dir.path());
    assert_eq!((error["code"].as_str(), exit), (Some("port_in_use"), 7), "{error}");
    assert!(took <= NAMED_WITHIN, "took {took:?}");
    assert!(error["message"].as_str().is_some_and(|m| m.contains(&address)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_mid_answer_costs_that_answer_only() {
    let (_node, client) = one_model_node(&tiny_model());
    let (_, status) = client.get("/ainonymous/v1/status").await;
    let worker = status["models"][0]["engine"]["worker_pid"].as_i64().expect("a worker");
    let mut body = Client::body("Tell me a long story.");
    body["max_tokens"] = json!(1900);
    body["temperature"] = json!(1.5);
    // An answer may be over before the worker is; then it is asked again.
    let mut seen = None;
    for _ in 0..10 {
        let mut sse = client.open(body.clone()).await.expect("a stream");
        sse.next().await.expect("a first part");
        signal(worker, libc::SIGSTOP);
        let done = async { while sse.next().await.is_some_and(|data| data != "[DONE]") {} };
        if tokio::time::timeout(Duration::from_millis(500), done).await.is_ok() {
            signal(worker, libc::SIGCONT);
            continue;
        }
        signal(worker, libc::SIGKILL);
        while let Some(data) = sse.next().await {
            seen = Some(data);
        }
        break;
    }
    let error: Value = serde_json::from_str(&seen.expect("an answer cut off")).expect("an error");
    assert_eq!(error["error"]["code"], "worker_crashed", "{error}");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match client.ask(Client::body("What is the capital of France?")).await {
            Ok(answer) => break assert!(answer.text.contains("Paris")),
            Err(e) => assert!(Instant::now() < deadline, "{e:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A file system of one megabyte that goes away with the test.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// None where mounting is not permitted.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().ok()?.success().then(|| Self(at.into()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(_disk) = SmallDisk::mount(&dir.path().join("data")) else {
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a small disk");
        println!("skipped: mounting is not permitted here");
        return;
    };
    std::fs::write(dir.path().join("data/ballast"), vec![0; 900 << 10]).expect("some ballast");
    let (error, exit, took) = up_fails(&NodeSpec::default(), dir.path());
    assert_eq!((error["code"].as_str(), exit), (Some("disk_full"), 6), "{error}");
    assert!(took <= NAMED_WITHIN, "took {took:?}");
}
