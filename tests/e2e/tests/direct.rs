//! Answers over direct connections: without a zome call, and whole when a provider dies on the way.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{
    dies_before_the_first_word, dies_in_mid_answer, tiny_model, Bootstrap, Client, NetworkPath, Node, NodeSpec,
    Providers, Router, Slow, Weather,
};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The tiny model tells several hundred tokens to that.
const STORY: &str = "Tell me a long story.";
const SOON: Duration = Duration::from_secs(60);
/// A link of which nothing is heard is given up after 15 seconds, by whoever has said something since up to two later.
const OUTAGES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(17)];
const AFTER_OUTAGE: Duration = Duration::from_millis(700);
/// From a provider's death to the next word, in mid-answer.
const RESUMED_WITHIN: Duration = Duration::from_secs(5);

fn provider(bootstrap: &str) -> Node {
    Node::start(NodeSpec::new(bootstrap).serving(&tiny_model()))
}

fn own(answer: &Value) -> &Value {
    &answer["ainonymous"]
}

async fn zome_calls(client: &Client) -> BTreeMap<String, u64> {
    serde_json::from_value(client.status().await["zome_calls"].clone()).expect("counts")
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
    // What is known of the network is renewed in the background, and what others say of providers; batches are read to check receipts.
    let network = ["get_all_model_specs", "get_bucket", "get_providers", "get_receipt_batch", "get_open_requests"];
    let of_providers = ["get_audit_reports", "get_equivocations", "get_convictions", "get_appeals"];
    let background = [&network[..], &of_providers].concat();
    assert!(asked.keys().all(|name| background.contains(&name.as_str())), "{asked:?}");
    assert_eq!(answered.get("send_signal"), None, "{answered:?}");
    assert_eq!(answered.get("sign_receipt"), Some(&questions), "one, after the last token");

    let answer = here.stream(body.clone()).await.expect("an answer");
    let why = own(&answer.last)["why"].as_str().unwrap_or_default();
    assert!(why.contains("local network") && why.contains("the only candidate"), "{why}");
    assert!(answer.headers["x-ainonymous-why"].to_str().is_ok_and(|header| header == why));
    assert_eq!(here.status().await["choices"].as_array().expect("choices").len(), questions as usize + 1);
    body["ainonymous"] = json!({ "only": "own" });
    let refused = here.ask(body).await.expect_err("nobody's machine is ours");
    assert_eq!(refused.code(), "demands_unmet");
    refused.assert_helpful(Duration::from_secs(5));
    let id = own(&answer.last)["id"].as_str().expect("an id").to_owned();
    let receipt = here.receipt(&id, SOON).await;
    assert_eq!(receipt["checked"], true, "{receipt}");
    assert_eq!(there.status().await["quic"]["links"], 1, "one link for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_goes_on_when_one_dies() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut asker = Node::start(NodeSpec::new(&url));
    let mut providers = Providers::start(&url, 3, &[]).await;
    asker.wait_ready();
    let here = asker.client();
    here.wait_for_providers(3, SOON).await;
    let alone = providers.client().ask(Client::body(STORY)).await.expect("an answer").text;

    let usual = here.stream(Client::body(STORY)).await.expect("an answer").last["timings"].clone();
    let survived = dies_in_mid_answer(&mut providers, &here, Client::body(STORY), alone.len() / 2).await;
    let (silence, beginning) = (survived.silence.as_millis(), survived.beginning.as_millis());
    println!("in mid-answer: the next word after {silence} ms; the beginning had taken {beginning} ms");
    assert_eq!(survived.text, alone, "not a word lost or doubled");
    assert_ne!(own(&survived.last)["provider"], survived.dead.as_str(), "another one signs for it");
    assert!(survived.silence < RESUMED_WITHIN, "{:?}", survived.silence);
    // It has computed the beginning as a prompt, and signs for what it has said itself.
    let (last, begun_by) = (&survived.last, &own(&survived.last)["begun_by"]);
    let counts = |of: &Value, names: [&str; 2]| names.map(|name| of[name].as_u64().expect("a count"));
    assert_eq!(
        (begun_by.as_array().map(Vec::len), &begun_by[0]["provider"]),
        (Some(1), &survived.dead.as_str().into())
    );
    let begun = begun_by[0]["tokens"].as_u64().expect("a count");
    let [prompt, answer] = counts(&last["timings"], ["prompt_n", "predicted_n"]);
    let [read, said] = counts(&own(last)["receipt"], ["prompt_tokens", "completion_tokens"]);
    assert!(begun > 30 && said > 30, "{begun_by} and {said}");
    assert_eq!((read, said), (prompt + begun, answer - begun));
    assert_eq!(counts(&usual, ["prompt_n", "predicted_n"]), [prompt, answer], "counted as if nobody had died");
    let id = own(last)["id"].as_str().expect("an id").to_owned();
    assert_eq!(here.receipt(&id, SOON).await["checked"], true, "by the id that was told first");

    let survived = dies_before_the_first_word(&mut providers, &here, STORY).await;
    println!("before the first word: it came after {} ms", survived.silence.as_millis());
    assert_eq!(survived.text, alone);
    assert_ne!(own(&survived.last)["provider"], survived.dead.as_str());
    assert!(survived.silence < RESUMED_WITHIN, "{:?}", survived.silence);
    assert!(here.status().await["counters"]["retried"].as_u64() >= Some(2));
}

/// 200 ms there and back, one packet in twenty lost, and the asker's address changes in the middle of each answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_survives_bad_weather_and_a_new_address() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let port = free_port();
    let weather = Weather { delay: Duration::from_millis(100), lost_per_mille: 50 };
    let path = NetworkPath::to((Ipv4Addr::LOCALHOST, port).into(), weather).await;
    let (listens, told) = (format!("127.0.0.1:{port}"), format!("quic://{}", path.address()));
    let spec = NodeSpec::new(&url).serving(&tiny_model()).with(&["--quic", &listens, "--quic-address", &told]);
    let (mut provider, mut asker) = (Node::start(spec), Node::start(NodeSpec::new(&url)));
    provider.wait_ready();
    asker.wait_ready();
    let (there, here) = (provider.client(), asker.client());
    here.wait_for_providers(1, SOON).await;
    let alone = there.ask(Client::body(STORY)).await.expect("an answer").text;
    let worker = there.status().await["models"][0]["engine"]["worker_pid"].as_u64().expect("a worker");
    let slow = Slow::down(worker, Duration::from_millis(2), Duration::from_millis(20));
    for _ in 0..3 {
        let before = path.forwarded();
        let mut body = Client::body(STORY);
        body["ainonymous"] = json!({ "route": "auto" });
        let mut stream = here.open(body).await.expect("an answer begins");
        let (mut text, mut changed) = (String::new(), false);
        let mut last = Value::Null;
        while let Some(data) = stream.next().await.filter(|data| data != "[DONE]") {
            last = serde_json::from_str(&data).expect("JSON");
            assert!(last["error"].is_null(), "{last}");
            text.push_str(last["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
            if text.len() > 200 && !changed {
                path.change_address();
                changed = true;
            }
        }
        assert_eq!(text, alone, "not a word lost or doubled");
        assert_eq!(own(&last)["route"], "direct");
        assert!(changed && path.forwarded() > before);
    }
    drop(slow);
}

/// The provider has given the link up, the asker not yet: the question finds that out and goes by a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_after_an_outage_is_answered_at_once() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let port = free_port();
    let path = NetworkPath::to((Ipv4Addr::LOCALHOST, port).into(), Weather::default()).await;
    let (listens, told) = (format!("127.0.0.1:{port}"), format!("quic://{}", path.address()));
    let spec = NodeSpec::new(&url).serving(&tiny_model()).with(&["--quic", &listens, "--quic-address", &told]);
    let (mut provider, mut asker) = (Node::start(spec), Node::start(NodeSpec::new(&url)));
    provider.wait_ready();
    asker.wait_ready();
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    let mut body = Client::body("Say a word.");
    body["ainonymous"] = json!({ "route": "direct" });
    body["max_tokens"] = json!(2);
    for outage in OUTAGES {
        here.ask(body.clone()).await.expect("an answer before it");
        path.becomes(Weather { lost_per_mille: 1_000, ..Weather::default() });
        tokio::time::sleep(outage).await;
        path.becomes(Weather::default());
        let begun = Instant::now();
        here.ask(body.clone()).await.expect("an answer after it");
        println!("after an outage of {outage:?}: {:?}", begun.elapsed());
        assert!(begun.elapsed() < AFTER_OUTAGE, "{:?} after {outage:?}; {}", begun.elapsed(), asker.log_tail());
    }
}

/// Through a router the provider learns neither the asker's address nor who asks, and nothing goes another way instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_brings_what_must_not_be_seen() {
    let mut bootstrap = Bootstrap::start();
    let (url, mut router) = (bootstrap.url(), Router::start());
    let via = router.address();
    let mut routed = Node::start(NodeSpec::new(&url).serving(&tiny_model()).with(&["--via", &via]));
    let mut asker = Node::start(NodeSpec::new(&url));
    routed.wait_ready();
    asker.wait_ready();
    let (there, here) = (routed.client(), asker.client());
    here.wait_for_providers(1, SOON).await;
    let alone = there.ask(Client::body(STORY)).await.expect("an answer").text;
    let mut body = Client::body(STORY);
    body["ainonymous"] = json!({ "hide": true });
    let answer = here.stream(body.clone()).await.expect("an answer through the router");
    assert_eq!(answer.text, alone);
    assert_eq!(own(&answer.last)["route"], "routed");
    let id = own(&answer.last)["id"].as_str().expect("an id").to_owned();
    assert_eq!(here.receipt(&id, SOON).await["checked"], true);
    assert_eq!(there.status().await["zome_calls"].get("send_signal"), None, "nothing went by signals");
    assert!(router.stop() > 20, "the router has carried it");
    let refused = here.ask(body).await.expect_err("no router, no hiding");
    refused.assert_helpful(Duration::from_secs(10));
    let answer = here.stream(Client::body(STORY)).await.expect("whoever does not hide goes directly");
    assert_eq!((answer.text, own(&answer.last)["route"].as_str()), (alone, Some("direct")));
}

/// A node that serves only whom it names is asked over a link too, through a router or not, by those who say who they are.
#[tokio::test(flavor = "multi_thread")]
async fn who_serves_only_some_is_asked_directly_by_exactly_those() {
    let mut bootstrap = Bootstrap::start();
    let (url, mut router) = (bootstrap.url(), Router::start());
    let (mut named, mut other) = (Node::start(NodeSpec::new(&url)), Node::start(NodeSpec::new(&url)));
    let agent = named.agent();
    // Whoever tries the address that it tells directly finds nobody there.
    let (via, nowhere) = (router.address(), "quic://127.0.0.1:9");
    let flags = ["--serve-only", &agent, "--via", &via, "--quic-address", nowhere];
    let mut provider = Node::start(NodeSpec::new(&url).serving(&tiny_model()).with(&flags));
    provider.wait_ready();
    other.wait_ready();
    let (there, named, other) = (provider.client(), named.client(), other.client());
    named.wait_for_providers(1, SOON).await;
    other.wait_for_providers(1, SOON).await;

    // Nobody is known who does not want to be.
    let refused = named.ask(Client::body("What is the capital of France?")).await.expect_err("it must be known");
    assert_eq!(refused.code(), "must_be_known");
    refused.assert_helpful(Duration::from_secs(5));
    assert_eq!(zome_calls(&named).await.get("sign_link"), None);

    let mut body = Client::body("What is the capital of France?");
    body["ainonymous"] = json!({ "known": true, "route": "direct" });
    for _ in 0..2 {
        let answer = named.stream(body.clone()).await.expect("an answer to whom it serves");
        assert!(answer.text.contains("Paris"), "{answer:?}");
        let route = own(&answer.last)["route"].as_str().expect("a route");
        assert!(["routed", "direct"].contains(&route), "{route}");
    }
    let signed = zome_calls(&named).await["sign_link"];
    assert!((1..=2).contains(&signed), "once for each connection: {signed}");
    let refused = other.ask(body).await.expect_err("it does not serve that one");
    assert_eq!(refused.code(), "provider_not_admitting");
    assert_eq!(zome_calls(&there).await.get("send_signal"), None, "nothing went by signals");
    assert_eq!(there.status().await["counters"]["answered"], 2);
}

fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.local_addr().expect("an address").port()
}
