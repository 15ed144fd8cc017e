//! Answers over direct connections: without a zome call, and whole when a provider dies on the way.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{tiny_model, Bootstrap, Client, Held, Node, NodeSpec, Slow};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The tiny model tells several hundred tokens to that.
const STORY: &str = "Tell me a long story.";
const SOON: Duration = Duration::from_secs(60);
/// From a provider's death to the next word, in mid-answer.
const RESUMED_WITHIN: Duration = Duration::from_secs(5);

fn provider(bootstrap: &str) -> Node {
    Node::start(NodeSpec::new(bootstrap).serving(&tiny_model()))
}

fn own(answer: &Value) -> &Value {
    &answer["ainonymous"]
}

async fn status(client: &Client) -> Value {
    client.get("/ainonymous/v1/status").await.1
}

async fn zome_calls(client: &Client) -> BTreeMap<String, u64> {
    serde_json::from_value(status(client).await["zome_calls"].clone()).expect("counts")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_a_link_needs_no_zome_call() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let (mut provider, mut asker) = (provider(&url), Node::start(NodeSpec::new(&url)));
    provider.wait_ready();
    asker.wait_ready();
    let (there, here) = (provider.client(), asker.client());
    here.wait_for_providers(1, SOON).await;
    let alone = there.ask(Client::body(STORY)).await.expect("an answer").text;
    assert!(alone.len() > 500, "{alone}");

    let mut body = Client::body(STORY);
    body["ainonymous"] = json!({ "route": "direct" });
    let (before_here, before_there) = (zome_calls(&here).await, zome_calls(&there).await);
    let questions = 12;
    for _ in 0..questions {
        let answer = here.stream(body.clone()).await.expect("an answer over a link");
        assert_eq!(answer.text, alone, "the same words as without a network");
        assert_eq!(own(&answer.last)["route"], "direct");
    }
    let (after_here, after_there) = (zome_calls(&here).await, zome_calls(&there).await);
    let grown = |before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>| -> BTreeMap<String, u64> {
        after
            .iter()
            .map(|(name, n)| (name.clone(), n - before.get(name).unwrap_or(&0)))
            .filter(|(_, n)| *n > 0)
            .collect()
    };
    let (asked, answered) = (grown(&before_here, &after_here), grown(&before_there, &after_there));
    println!("{questions} answers: asker called {asked:?}, provider {answered:?}");
    // What is known of the network is renewed in the background, and batches are read to check receipts.
    let background = ["get_all_model_specs", "get_all_providers", "get_receipt_batch", "get_open_requests"];
    assert!(asked.keys().all(|name| background.contains(&name.as_str())), "{asked:?}");
    assert_eq!(answered.get("send_signal"), None, "{answered:?}");
    assert_eq!(answered.get("sign_receipt"), Some(&questions), "one, after the last token");

    let answer = here.stream(body).await.expect("an answer");
    let id = own(&answer.last)["id"].as_str().expect("an id").to_owned();
    let receipt = here.receipt(&id, SOON).await;
    assert_eq!(receipt["checked"], true, "{receipt}");
    assert_eq!(status(&there).await["quic"]["links"], 1, "one link for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_goes_on_when_one_dies() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut providers = [provider(&url), provider(&url), provider(&url)];
    let mut asker = Node::start(NodeSpec::new(&url));
    asker.wait_ready();
    let here = asker.client();
    let mut workers = BTreeMap::new();
    for (i, node) in providers.iter_mut().enumerate() {
        let agent = node.agent();
        let worker = status(&node.client()).await["models"][0]["engine"]["worker_pid"].as_u64().expect("a worker");
        workers.insert(agent, (i, worker));
    }
    here.wait_for_providers(3, SOON).await;
    let alone = providers[0].client().ask(Client::body(STORY)).await.expect("an answer").text;

    // In the middle of its answer.
    let (running, resting) = (Duration::from_millis(2), Duration::from_millis(30));
    let slow: Vec<Slow> = workers.values().map(|(_, pid)| Slow::down(*pid, running, resting)).collect();
    let mut stream = here.open(Client::body(STORY)).await.expect("somebody answers");
    let dead = stream.header("x-ainonymous-provider");
    let (mut text, mut last, mut killed) = (String::new(), Value::Null, false);
    let (mut heard, mut longest) = (Instant::now(), Duration::ZERO);
    while let Some(data) = stream.next().await.filter(|data| data != "[DONE]") {
        last = serde_json::from_str(&data).expect("JSON");
        assert!(last["error"].is_null(), "{last}");
        text.push_str(last["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        if killed {
            longest = longest.max(heard.elapsed());
        } else if text.len() > 40 {
            providers[workers[&dead].0].kill();
            killed = true;
        }
        heard = Instant::now();
    }
    drop(slow);
    assert!(killed, "it was killed in the middle");
    assert_eq!(text, alone, "not a word lost or doubled");
    assert_ne!(own(&last)["provider"], dead.as_str(), "another one signs for it");
    println!("in mid-answer: the next word after {} ms", longest.as_millis());
    assert!(longest < RESUMED_WITHIN, "{longest:?}");

    // Before its first word: the asker notices nothing.
    workers.remove(&dead);
    let mut held: BTreeMap<&String, Held> = workers.iter().map(|(agent, (_, pid))| (agent, Held::hold(*pid))).collect();
    let mut stream = here.open(Client::body(STORY)).await.expect("somebody takes it");
    let taken_by = stream.header("x-ainonymous-provider");
    providers[workers[&taken_by].0].kill();
    let died = Instant::now();
    held.clear();
    let mut text = String::new();
    let mut first = None;
    while let Some(data) = stream.next().await.filter(|data| data != "[DONE]") {
        last = serde_json::from_str(&data).expect("JSON");
        assert!(last["error"].is_null(), "{last}");
        let piece = last["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        if !piece.is_empty() {
            first.get_or_insert_with(|| died.elapsed());
        }
        text.push_str(piece);
    }
    assert_eq!(text, alone);
    assert_ne!(own(&last)["provider"], taken_by.as_str());
    let first = first.expect("a first word");
    println!("before the first word: the first word after {} ms", first.as_millis());
    assert!(first < RESUMED_WITHIN, "{first:?}");
    assert_eq!(status(&here).await["counters"]["retried"], 2);
}
