//! A network of one's own as people use it: made, invited to, joined, asked in, and left by those who are revoked.

#![allow(clippy::expect_used, clippy::panic)] // A test may fail by panicking.

use ainonymous_e2e::{binary, tiny_model, Bootstrap, Client, Held, Node, NodeSpec, Slow, Stranger, Turned, PASSPHRASE};
use serde_json::{json, Value};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest time until nodes that have just started know of each other.
const JOINED_WITHIN: Duration = Duration::from_secs(30);
/// Longest time until a revocation is known to every node.
const REVOKED_WITHIN: Duration = Duration::from_secs(30);

fn network(home: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("network").args(args).arg("--json").arg("--data-dir").arg(home.path().join("data"));
    command.env("AINONYMOUS_CONFIG", home.path().join("no-config.toml")).env("AINONYMOUS_PASSPHRASE", PASSPHRASE);
    command.output().expect("the executable starts")
}

fn done(home: &TempDir, args: &[&str]) -> Value {
    let output = network(home, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one object")
}

fn refused(home: &TempDir, args: &[&str]) -> String {
    let output = network(home, args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    let error: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert!(error["error"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
    error["error"]["code"].as_str().expect("a code").to_owned()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

fn up(home: TempDir, serve: Option<&Path>) -> Node {
    let spec = NodeSpec { network: Some("circle".into()), ..NodeSpec::default() };
    Node::start_in(home, serve.into_iter().fold(spec, NodeSpec::serving))
}

/// How often a node has called a zome function.
async fn calls(client: &Client, function: &str) -> u64 {
    client.status().await["zome_calls"][function].as_u64().unwrap_or(0)
}

async fn count(client: &Client, counter: &str) -> u64 {
    client.status().await["counters"][counter].as_u64().expect("a counter")
}

/// Waits until the model of another node can be asked: both have joined a moment ago.
async fn known_by(client: &Client) {
    let deadline = Instant::now() + JOINED_WITHIN;
    loop {
        let (_, models) = client.get("/ainonymous/v1/models").await;
        if models["models"].as_array().is_some_and(|models| !models.is_empty()) {
            return;
        }
        assert!(Instant::now() < deadline, "nobody serves anything: {models}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_network_asks_newcomers_for_work_once() {
    let mut server = Bootstrap::start();
    let url = server.url();
    let [alice, bob] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let create = |args: &[&str]| network(&alice, &[&["create", "Circle", "--bootstrap", &url], args].concat());
    for wrong in [&["--work-bits", "12"][..], &["--lan", "--work-bits", "12"], &["--public", "--work-bits", "41"]] {
        assert_eq!(create(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let cheap = network(&bob, &["create", "Circle", "--public", "--bootstrap", &url]);
    let cheap: Value = serde_json::from_slice(&cheap.stdout).expect("one object");
    assert_eq!(cheap["work_bits"], 0);

    // Made, shown, and said in the invite; nothing is worked before a node starts.
    let made = done(&alice, &["create", "Circle", "--public", "--work-bits", "12", "--bootstrap", &url]);
    assert_eq!((text(&made, "kind"), &made["work_bits"], &made["is_founder"]), ("public", &12.into(), &false.into()));
    let shown = Command::new(binary())
        .args(["network", "show", "--data-dir"])
        .arg(alice.path().join("data"))
        .env("AINONYMOUS_CONFIG", alice.path().join("no-config.toml"))
        .output()
        .expect("the executable starts");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("work      12 bits from every new agent, once: less than a second"), "{shown}");
    let invite = done(&alice, &["invite"]);
    let joined = done(&bob, &["join", text(&invite, "invite")]);
    assert_eq!((text(&joined, "id"), &joined["work_bits"]), (text(&made, "id"), &12.into()));
    assert_ne!(joined["id"], cheap["id"], "another network than the one of the same name");
    let folder = |home: &TempDir, label: &str| home.path().join("data/networks").join(label);
    assert!(!folder(&alice, "circle").join("work").exists());

    // Worked for: both find each other, and one asks the other.
    let (alices, bobs) = (folder(&alice, "circle"), folder(&bob, text(&joined, "network")));
    let spec = |label: &str| NodeSpec { network: Some(label.into()), ..NodeSpec::default() };
    let mut provider = Node::start_in(alice, spec("circle").serving(&tiny_model()));
    let mut member = Node::start_in(bob, spec(text(&joined, "network")));
    provider.wait_ready();
    member.wait_ready();
    assert_eq!(member.agent(), text(&joined, "agent"));
    let work = [alices, bobs].map(|folder| std::fs::read_to_string(folder.join("work")).expect("what was found"));
    assert_ne!(work[0], work[1], "each for its own agent");
    let client = member.client();
    known_by(&client).await;
    let answer = client.ask(Client::body("What is the capital of France?")).await.expect("an answer");
    assert!(answer.text.contains("Paris"), "{answer:?}");
    assert_eq!(client.status().await["work_bits"], 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_of_friends_is_made_joined_asked_in_and_left() {
    let mut server = Bootstrap::start();
    let url = server.url();
    let [alice, bob, eve] = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));

    // Made: nothing is published, no node runs.
    assert_eq!(refused(&alice, &["invite"]), "network_unsaid");
    assert_eq!(refused(&alice, &["create", "Circle", "--lan", "--bootstrap", "https://example.org"]), "invalid_url");
    let made = done(&alice, &["create", "Circle", "--bootstrap", &url]);
    assert_eq!((text(&made, "network"), text(&made, "kind"), &made["is_founder"]), ("circle", "private", &true.into()));
    assert_eq!(refused(&alice, &["create", "circle", "--bootstrap", &url]), "network_exists");

    // Invited: the errors that a person can make, each with its name.
    let invite = done(&alice, &["invite", "--expires", "1h"]);
    let for_eve = done(&eve, &["agent"]);
    let bound = done(&alice, &["invite", "--for", text(&for_eve, "agent")]);
    let (invite, bound) = (text(&invite, "invite"), text(&bound, "invite"));
    assert!(invite.starts_with("ainonymous-invite:"), "{invite}");
    assert_eq!(refused(&bob, &["join", &invite[..invite.len() - 1]]), "invite_damaged");
    assert_eq!(refused(&bob, &["join", "hello"]), "invite_unknown");
    assert_eq!(refused(&bob, &["join", bound]), "invite_not_for_us");
    let joined = done(&bob, &["join", invite]);
    assert_eq!((text(&joined, "id"), &joined["is_founder"]), (text(&made, "id"), &false.into()));
    assert_eq!(refused(&bob, &["join", invite]), "already_member");
    assert_eq!(refused(&bob, &["invite"]), "not_a_founder");
    assert_eq!(refused(&bob, &["revoke", text(&made, "agent")]), "not_a_founder");

    // Asked in: Alice serves, Bob asks.
    let alices = alice.path().to_owned();
    let mut provider = up(alice, Some(&tiny_model()));
    let mut member = up(bob, None);
    provider.wait_ready();
    member.wait_ready();
    assert_eq!(member.agent(), text(&joined, "agent"));
    let client = member.client();
    known_by(&client).await;
    let answer = client.ask(Client::body("What is the capital of France?")).await.expect("an answer");
    assert!(answer.text.contains("Paris"), "{answer:?}");

    // Over a connection of their own, where Bob shows who he is once.
    let there = provider.client();
    let signatures = calls(&client, "sign_link").await;
    for _ in 0..3 {
        let mut body = Client::body("What is the capital of France?");
        body["ainonymous"] = json!({ "route": "direct" });
        let answer = client.stream(body).await.expect("an answer over a link");
        assert_eq!(answer.headers["x-ainonymous-route"], "direct");
        assert!(answer.text.contains("Paris"), "{answer:?}");
    }
    assert!(calls(&client, "sign_link").await - signatures <= 1, "never with each question");
    assert_eq!(calls(&there, "send_signal").await, 0, "nothing went by signals");

    // A stranger who has learnt key and address of the provider, and the members' way of asking.
    let answered = count(&there, "answered").await;
    let stranger = Stranger::of(&there, text(&provider.wait_ready(), "dna_hash")).await;
    assert_eq!(stranger.asks().await, Turned::MustBeKnown);
    assert_eq!(stranger.shows_itself_and_asks().await, Turned::NotAdmitted);
    assert_eq!(stranger.shows(&joined["agent"]).await, Turned::LinkClosed, "as Bob, without his key");
    assert_eq!(count(&there, "answered").await, answered);
    let mut hidden = Client::body("What is the capital of France?");
    hidden["ainonymous"] = json!({ "hide": true });
    assert_eq!(client.ask(hidden).await.expect_err("members are known").code(), "no_link");

    // Left: Alice shuts Bob out while her node runs, and in the middle of an answer.
    let worker = there.status().await["models"][0]["engine"]["worker_pid"].as_u64();
    let slow = Slow::down(worker.expect("a worker"), Duration::from_millis(2), Duration::from_millis(20));
    let mut running = client.open(Client::body("Tell me a long story.")).await.expect("an answer begins");
    assert_eq!(running.header("x-ainonymous-route"), "direct");
    for _ in 0..3 {
        running.next().await.expect("a part");
    }
    drop(slow);
    let held = Held::hold(worker.expect("a worker"));
    let home = Command::new(binary())
        .args(["network", "revoke", text(&joined, "agent"), "--json", "--data-dir"])
        .arg(alices.join("data"))
        .env("AINONYMOUS_CONFIG", alices.join("no-config.toml"))
        .output()
        .expect("the executable starts");
    let revoked: Value = serde_json::from_slice(&home.stdout).expect("one object");
    assert_eq!(text(&revoked, "state"), "revoked", "{home:?}");
    let rest = async {
        let mut last = Value::Null;
        while let Some(data) = running.next().await.filter(|data| data != "[DONE]") {
            last = serde_json::from_str(&data).expect("JSON");
        }
        last
    };
    let last = tokio::time::timeout(REVOKED_WITHIN, rest).await.expect("the running answer is stopped");
    assert!(!last["error"].is_null(), "the answer of the revoked went on: {last}");
    drop(held);
    let deadline = Instant::now() + REVOKED_WITHIN;
    let failure = loop {
        match client.ask(Client::body("What is the capital of Japan?")).await {
            Err(failure) => break failure,
            Ok(_) => assert!(Instant::now() < deadline, "the revoked is still served"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert!(format!("{failure:?}").contains("provider_not_admitting"), "{failure:?}");
    let own = provider.client().ask(Client::body("What is the capital of France?")).await.expect("an answer");
    assert!(own.text.contains("Paris"), "a founder goes on: {own:?}");
}
