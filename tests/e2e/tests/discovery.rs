//! Finding each other: providers through buckets, those who are gone no more, routers by themselves, and two of them in a row.

#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{tiny_model, Bootstrap, Client, Node, NodeSpec};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

/// The tiny model tells several hundred tokens to that.
const STORY: &str = "Tell me a long story.";
const SOON: Duration = Duration::from_secs(60);
/// Links count for so long in these networks.
const LINK_AGE: Duration = Duration::from_secs(20);
const LINK_AGE_FLAGS: [&str; 2] = ["--link-age-s", "20"];
/// What is known of providers is older than what the node takes for fresh.
const FRESH_FOR: Duration = Duration::from_secs(11);
/// Most buckets that one search reads (`protocol::buckets::READS_MAX`).
const READS_MAX: u64 = 4;

async fn calls(client: &Client, function: &str) -> u64 {
    client.status().await["zome_calls"][function].as_u64().unwrap_or(0)
}

fn own(answer: &Value) -> &Value {
    &answer["ainonymous"]
}

fn asking(demand: Value) -> Value {
    let mut body = Client::body(STORY);
    body["ainonymous"] = demand;
    body
}

async fn providers(client: &Client) -> Vec<String> {
    let (_, models) = client.get("/ainonymous/v1/models").await;
    let providers = models["models"].as_array().into_iter().flatten().flat_map(|m| m["providers"].as_array());
    providers.flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_found_through_buckets_and_are_not_when_they_are_gone() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let spec = || NodeSpec::new(&url).with(&LINK_AGE_FLAGS);
    let mut stays = Node::start(spec().serving(&tiny_model()).with(&["--region", "eu"]));
    let mut vanishes = Node::start(spec().serving(&tiny_model()));
    let mut asker = Node::start(spec());
    let (staying, vanishing) = (stays.agent(), vanishes.agent());
    asker.wait_ready();
    let here = asker.client();
    here.wait_for_providers(2, SOON).await;

    // What is known for a while is looked up again in the background of the next question, by one search.
    tokio::time::sleep(FRESH_FOR).await;
    let before = calls(&here, "get_bucket").await;
    let questions = 4;
    for _ in 0..questions {
        here.ask(Client::body(STORY)).await.expect("an answer");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reads = calls(&here, "get_bucket").await - before;
    println!("{questions} questions: {reads} reads of buckets");
    assert!((1..=READS_MAX).contains(&reads), "{reads}");
    assert_eq!(calls(&here, "get_providers_for_model_spec").await, 0, "nobody lists all");

    // A demand is met or refused, whoever else there is.
    let answer = here.ask(asking(json!({ "region": "eu" }))).await.expect("from the one that says so");
    assert_eq!(own(&answer.last)["provider"], staying.as_str());
    let refused = here.ask(asking(json!({ "region": "us" }))).await.expect_err("nobody says so");
    assert_eq!(refused.code(), "demands_unmet");
    refused.assert_helpful(Duration::from_secs(5));

    // Killed: it says nothing to anybody, and its links stay.
    vanishes.kill();
    let killed = Instant::now();
    while providers(&here).await.contains(&vanishing) {
        assert!(killed.elapsed() < LINK_AGE + SOON, "still offered");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("no longer offered {:?} after it was killed", killed.elapsed());
    // Whoever is there draws its links anew.
    tokio::time::sleep(LINK_AGE).await;
    assert_eq!(providers(&here).await, std::slice::from_ref(&staying));
    let answer = here.ask(Client::body(STORY)).await.expect("an answer");
    assert_eq!(own(&answer.last)["provider"], staying.as_str());
}

/// The addresses that a node or its router announces, once one of them leads through a router.
async fn routed(client: &Client, part: &str) -> Value {
    let begun = Instant::now();
    loop {
        let announced = client.status().await[part]["announced"].clone();
        if announced.as_array().into_iter().flatten().any(|a| a.as_str().is_some_and(|a| a.contains("/via/"))) {
            return announced;
        }
        assert!(begun.elapsed() < SOON * 2, "{part} found no router: {announced}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn forwarded(client: &Client) -> u64 {
    client.status().await["router"]["forwarded_packets"].as_u64().expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_are_found_and_two_in_a_row_carry_a_question() {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let nobody = "0f".repeat(32);
    // Two networks on one machine: the first router must stand in another one than the second.
    let mut one = Node::start(NodeSpec::new(&url).with(&["--router", "127.1.0.1:0"]));
    let mut two = Node::start(NodeSpec::new(&url).with(&["--router", "127.2.0.1:0", "--trust-router", &nobody]));
    let mut provider = Node::start(NodeSpec::new(&url).serving(&tiny_model()).with(&["--via", "auto"]));
    let mut asker = Node::start(NodeSpec::new(&url));
    for node in [&mut one, &mut two, &mut provider, &mut asker] {
        node.wait_ready();
    }
    let (first, second, there, here) = (one.client(), two.client(), provider.client(), asker.client());
    here.wait_for_providers(1, SOON).await;
    println!("routers lead to each other: {} {}", routed(&first, "router").await, routed(&second, "router").await);
    println!("the provider is reached through {}", routed(&there, "quic").await);
    let alone = there.ask(Client::body(STORY)).await.expect("an answer").text;

    let begun = Instant::now();
    let (before, answer) = loop {
        let before = [forwarded(&first).await, forwarded(&second).await];
        match here.stream(asking(json!({ "hide": 2 }))).await {
            Ok(answer) => break (before, answer),
            // Entries that name each other come one by one.
            Err(refused) if begun.elapsed() < SOON => {
                assert!(["routers_unmet", "no_way"].contains(&refused.code()), "{}", refused.code());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(refused) => panic!("no way through two routers: {}", refused.code()),
        }
    };
    assert_eq!(answer.text, alone);
    assert_eq!(own(&answer.last)["route"], "routed");
    for (client, before) in [(&first, before[0]), (&second, before[1])] {
        let packets = forwarded(client).await - before;
        println!("a router has carried {packets} packets");
        assert!(packets > 20, "both have carried it");
    }
    assert_eq!(there.status().await["zome_calls"].get("send_signal"), None, "nothing went by signals");
    let id = own(&answer.last)["id"].as_str().expect("an id").to_owned();
    assert_eq!(here.receipt(&id, SOON).await["checked"], true);

    let answer = here.stream(asking(json!({ "hide": true }))).await.expect("through one of them");
    assert_eq!((answer.text, own(&answer.last)["route"].as_str()), (alone, Some("routed")));

    // Whoever names the routers that he trusts is not brought through others.
    second.wait_for_providers(1, SOON).await;
    for hide in [1, 2] {
        let refused = second.ask(asking(json!({ "hide": hide }))).await.expect_err("none of these is trusted");
        assert_eq!(refused.code(), "routers_unmet");
        refused.assert_helpful(Duration::from_secs(5));
    }
}
