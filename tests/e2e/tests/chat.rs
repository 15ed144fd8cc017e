//! One question through every layer: API of one node, its conductor, the DHT, the provider's conductor, its sidecar,
//! llama.cpp, and back.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{all, tiny_model, Bootstrap, Client, Node, NodeSpec};
use serde_json::json;
use std::time::Duration;

const FRANCE: &str = "What is the capital of France?";

/// A bootstrap server, a node that serves the tiny model, and one that only asks.
fn two_nodes() -> (Bootstrap, Node, Node) {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::start(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::start(NodeSpec::new(&url));
    provider.wait_ready();
    asker.wait_ready();
    (bootstrap, provider, asker)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_a_peer_with_a_receipt_on_the_dht() {
    let (_bootstrap, mut provider, mut asker) = two_nodes();
    let client = asker.client();
    client.wait_for_providers(1, Duration::from_secs(30)).await;

    let streamed = client.stream(Client::body(FRANCE)).await.expect("an answer");
    assert_eq!(streamed.text.trim(), "The capital of France is Paris.");
    let ours = &streamed.last["ainonymous"];
    assert_eq!(ours["provider"], json!(provider.agent()));
    assert_eq!(ours["route"], "direct");
    let id = ours["id"].as_str().expect("an id");
    let receipt = client.receipt(id, Duration::from_secs(30)).await;
    assert_eq!(receipt["checked"], json!(true), "{receipt}");
    assert!(receipt["batch"].as_str().is_some_and(|b| b.starts_with("uhCkk")), "{receipt}");

    let whole = client.ask(Client::body(FRANCE)).await.expect("an answer");
    assert_eq!(whole.text, streamed.text);
    assert_eq!(whole.last["choices"][0]["finish_reason"], "stop");
    assert!(whole.last["usage"]["completion_tokens"].as_u64().is_some_and(|n| n > 3));
    assert_eq!(whole.last["object"], "chat.completion");

    // The provider's own clients use its engine, without the network.
    let own = provider.client().ask(Client::body(FRANCE)).await.expect("an answer");
    assert_eq!(own.text, streamed.text);
    assert_eq!(own.last["ainonymous"]["route"], "local");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_question_is_answered_through_the_dht() {
    let (_bootstrap, mut provider, mut asker) = two_nodes();
    let client = asker.client();
    client.wait_for_providers(1, Duration::from_secs(30)).await;
    let mut body = Client::body(FRANCE);
    body["ainonymous"] = json!({ "route": "posted" });
    let answer = client.ask(body).await.expect("an answer");
    assert_eq!(answer.text.trim(), "The capital of France is Paris.");
    let ours = &answer.last["ainonymous"];
    assert_eq!(ours["route"], "posted");
    assert_eq!(ours["provider"], json!(provider.agent()));
    let id = ours["id"].as_str().expect("an id");
    let receipt = client.receipt(id, Duration::from_secs(30)).await;
    assert_eq!(receipt["checked"], json!(true), "{receipt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_at_once_and_questions_given_up() {
    let (_bootstrap, _provider, mut asker) = two_nodes();
    let client = asker.client();
    client.wait_for_providers(1, Duration::from_secs(30)).await;
    let countries =
        [("Italy", "Rome"), ("Japan", "Tokyo"), ("Spain", "Madrid"), ("France", "Paris"), ("Greece", "Athens")];
    let questions = countries.iter().map(|(country, city)| {
        let client = client.clone();
        async move {
            let body = Client::body(&format!("What is the capital of {country}?"));
            let answer = client.stream(body).await.expect("an answer");
            assert!(answer.text.contains(city), "{country}: {}", answer.text);
        }
    });
    all(questions.collect()).await;

    // A client that vanishes in mid-answer stops the work at the provider.
    for _ in 0..3 {
        let mut body = Client::body("Tell me a long story.");
        body["max_tokens"] = json!(1500);
        body["temperature"] = json!(1);
        let mut sse = client.open(body).await.expect("a stream");
        for _ in 0..3 {
            sse.next().await.expect("a first part");
        }
        drop(sse);
    }
    let after = client.stream(Client::body(FRANCE)).await.expect("an answer");
    assert!(after.text.contains("Paris"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_keeps_its_identity_and_its_unpublished_receipts() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    // Receipts would wait an hour: what is published was published because of the restart.
    let spec = NodeSpec::new(&url).serving(&tiny_model()).with(&["--receipt-interval-ms", "3600000"]);
    let mut provider = Node::ready(spec);
    let mut asker = Node::ready(NodeSpec::new(&url));
    let before = provider.agent();
    let client = asker.client();
    client.wait_for_providers(1, Duration::from_secs(30)).await;
    let answer = client.stream(Client::body(FRANCE)).await.expect("an answer");
    let id = answer.last["ainonymous"]["id"].as_str().expect("an id").to_string();

    provider.kill();
    provider.restart();
    assert_eq!(provider.agent(), before);
    // A graceful stop publishes what waits.
    let stopping = std::thread::spawn(move || provider.stop());
    let receipt = client.receipt(&id, Duration::from_secs(40)).await;
    assert_eq!(receipt["checked"], json!(true), "{receipt}");
    assert_eq!(stopping.join().expect("no panic"), Some(0));
}
