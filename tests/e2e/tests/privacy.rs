//! Nothing of a prompt or an answer reaches the DHT in the clear: every operation of a whole run is searched.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{run, tiny_model, Bootstrap, Client, Node, NodeSpec, Observer};
use serde_json::json;
use std::time::Duration;

/// Words that only the conversation contains.
const SECRET: &str = "zanzibarquux";

#[test]
fn no_operation_on_the_dht_contains_a_word_of_the_conversation() {
    run(async {
        let mut bootstrap = Bootstrap::start();
        let url = bootstrap.url();
        let mut provider = Node::start(NodeSpec::new(&url).serving(&tiny_model()));
        let mut asker = Node::start(NodeSpec::new(&url));
        let observer = Observer::join(&url).await;
        provider.wait_ready();
        asker.wait_ready();
        let client = asker.client();
        client.wait_for_providers(1, Duration::from_secs(30)).await;

        let question = format!("What is the capital of France? {SECRET}");
        for route in ["direct", "signals", "posted"] {
            let mut body = Client::body("What is the capital of France?");
            body["messages"][0]["content"] = json!(format!("{SECRET}. What is the capital of France?"));
            body["ainonymous"] = json!({ "route": route });
            let answer = client.ask(body).await.expect("an answer");
            assert!(!answer.text.is_empty());
            let id = answer.last["ainonymous"]["id"].as_str().expect("an id").to_string();
            let receipt = client.receipt(&id, Duration::from_secs(30)).await;
            assert_eq!(receipt["checked"], json!(true), "{route}: {receipt}");
        }
        let stats = observer.settled().await;
        assert_eq!(stats.waiting, 0, "{stats:?}");
        let ops = observer.ops().await;
        // The search sees what is there: the model's public name stands in the clear.
        assert!(ops.iter().any(|op| contains(op, b"tiny-gemma")), "the search finds nothing at all");
        for secret in [SECRET, "capital of", "France", "Paris", &question] {
            assert!(!ops.iter().any(|op| contains(op, secret.as_bytes())), "{secret:?} is on the DHT");
        }
        // Nor in what the nodes say about themselves.
        for node in [&provider, &asker] {
            assert!(!node.log().contains(SECRET), "the question is in a log");
        }
        let (_, status) = client.get("/ainonymous/v1/status").await;
        assert!(!status.to_string().contains(SECRET));
        observer.leave().await;
    });
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}
