//! Whom to ask, seen from outside: a second provider beside a slow one, prices, and what providers tell of each other.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{tiny_model, Bootstrap, Client, Held, Node, NodeSpec, Slow};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
const SHORT: &str = "What is the capital of France?";
const STORY: &str = "Tell me a long story.";

fn own(answer: &Value) -> &Value {
    &answer["ainonymous"]
}

fn why(answer: &Value) -> String {
    own(answer)["why"].as_str().unwrap_or_default().to_owned()
}

async fn worker(client: &Client) -> u64 {
    client.status().await["models"][0]["engine"]["worker_pid"].as_u64().expect("a worker")
}

async fn counter(client: &Client, name: &str) -> u64 {
    client.status().await["counters"][name].as_u64().expect("a count")
}

/// What a node counts of second providers beside slow ones.
#[derive(Debug)]
struct Hedges {
    asked: u64,
    won: u64,
    wasted_ms: u64,
}

impl Hedges {
    async fn of(client: &Client) -> Self {
        let count = |name| counter(client, name);
        Self { asked: count("hedged").await, won: count("hedges_won").await, wasted_ms: count("hedge_wasted_ms").await }
    }
}

/// The own machine answers four questions one after the other, and nobody else is asked for them. On a busy machine a probe may now and
/// then stay without a reply in time, and then somebody else rightly answers: counted from the start again.
async fn settled(here: &Client, own_machine: &str) -> Hedges {
    let deadline = Instant::now() + SOON;
    let mut before = Hedges::of(here).await;
    let mut alone = 0;
    while alone < 4 {
        let answer = here.stream(direct(SHORT, &[])).await.expect("an answer");
        let after = Hedges::of(here).await;
        let quick = own(&answer.last)["provider"] == own_machine && after.asked == before.asked;
        alone = if quick { alone + 1 } else { 0 };
        assert!(
            quick || Instant::now() < deadline,
            "an own machine is asked first, and alone: {} {after:?}",
            why(&answer.last)
        );
        before = after;
    }
    before
}

/// A question to these peers only, over a link.
fn direct(text: &str, more: &[(&str, Value)]) -> Value {
    let mut body = Client::body(text);
    body["ainonymous"] = json!({ "route": "direct" });
    for (name, value) in more {
        body["ainonymous"][*name] = value.clone();
    }
    body
}

/// The preferred provider takes questions and beats its heart, but its engine stands still: another one answers, its reason says so, the
/// slow one is told to stop, and what it cost is counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_slow_to_its_first_word_gets_company() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let start = || Node::start(NodeSpec::new(&url).serving(&tiny_model()));
    let (mut friend, mut other) = (start(), start());
    friend.wait_ready();
    other.wait_ready();
    let friend_key = friend.agent();
    let mut asker = Node::ready(NodeSpec::new(&url).with(&["--own", &friend_key]));
    let (there, here) = (friend.client(), asker.client());
    here.wait_for_providers(2, SOON).await;
    let before = settled(&here, &friend_key).await;

    let held = Held::hold(worker(&there).await);
    let begun = Instant::now();
    let answer = here.stream(direct(SHORT, &[])).await.expect("an answer by another one");
    println!("beside a provider that stands still: {} ms", begun.elapsed().as_millis());
    assert!(answer.text.contains("Paris"), "{}", answer.text);
    assert_eq!(own(&answer.last)["provider"], other.agent().as_str());
    assert!(why(&answer.last).ends_with("quicker to its first word than one that was asked before"), "{answer:?}");
    assert!(answer.headers["x-ainonymous-why"].to_str().is_ok_and(|header| header == why(&answer.last)));
    assert!(answer.headers["x-ainonymous-provider"].to_str().is_ok_and(|p| p == other.agent()));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let choices = here.status().await["choices"].as_array().expect("choices").clone();
    assert_eq!(choices.last().expect("one")["provider"], other.agent().as_str(), "{choices:?}");
    let after = Hedges::of(&here).await;
    assert_eq!((after.asked, after.won), (before.asked + 1, before.won + 1));
    assert!(after.wasted_ms >= before.wasted_ms + 400, "{before:?} {after:?}");
    let metrics = reqwest::get(format!("{}/metrics", here.base())).await.expect("metrics");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains(&format!("ainonymous_hedges_won_total {}", after.won)), "{metrics}");
    drop(held);
    // The one that was slow has not been left with the question.
    let deadline = Instant::now() + SOON;
    while there.status().await["models"][0]["engine"]["running"] != 0 {
        assert!(Instant::now() < deadline, "the loser still works");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_is_probed_told_and_refused_above_what_is_offered() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::ready(NodeSpec::new(&url).serving(&tiny_model()).with(&["--price", "0.5"]));
    let mut asker = Node::ready(NodeSpec::new(&url));
    let here = asker.client();
    here.wait_for_providers(1, SOON).await;
    let refused = here.ask(direct(SHORT, &[("max_price", json!(0.4))])).await.expect_err("too dear");
    assert_eq!(refused.code(), "demands_unmet");
    refused.assert_helpful(Duration::from_secs(5));
    let answer = here.stream(direct(SHORT, &[("max_price", json!(0.5))])).await.expect("an answer at that price");
    assert!(why(&answer.last).contains("0.5 credits per million parameter-tokens"), "{}", why(&answer.last));
    assert_eq!(own(&answer.last)["provider"], provider.agent().as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_friend_saw_of_a_stranger_counts_and_is_said() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let teller = NodeSpec::new(&url).serving(&tiny_model()).with(&["--tell-reports"]);
    let (mut friend, mut slow) = (Node::start(teller), Node::start(NodeSpec::new(&url).serving(&tiny_model())));
    friend.wait_ready();
    slow.wait_ready();
    let mut asker = Node::ready(NodeSpec::new(&url).with(&["--friend", &friend.agent()]));
    let (at_friend, at_slow, here) = (friend.client(), slow.client(), asker.client());
    at_friend.wait_for_providers(1, SOON).await;
    here.wait_for_providers(2, SOON).await;
    let of_slow = [("provider", json!(slow.agent()))];
    let before = here.stream(direct(SHORT, &of_slow)).await.expect("an answer");
    assert!(!why(&before.last).contains("reports"), "{}", why(&before.last));

    let slowed = Slow::down(worker(&at_slow).await, Duration::from_millis(2), Duration::from_millis(30));
    at_friend.stream(direct(STORY, &of_slow)).await.expect("a slow answer");
    drop(slowed);
    // The friend is probed, and asked for reports beside that.
    here.stream(direct(SHORT, &[])).await.expect("an answer");
    let deadline = Instant::now() + SOON;
    loop {
        let answer = here.stream(direct(SHORT, &of_slow)).await.expect("an answer");
        if why(&answer.last).contains("% worse by 1 reports") {
            break;
        }
        assert!(Instant::now() < deadline, "{}", why(&answer.last));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
