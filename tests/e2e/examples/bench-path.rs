//! Measures the path of a question through the hApp alone, against the provider's own engine in the same run, and what
//! a node costs: memory, warm start, bytes on the DHT. Prints one JSON object on the last line.
//! `cargo xtask bench path` runs it.

#![allow(clippy::expect_used, clippy::print_stdout)] // A benchmark prints, and may fail by panicking.

use ainonymous_conductor::DhtStats;
use ainonymous_e2e::{run, tiny_model, Bootstrap, Client, Node, NodeSpec, Observer};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

const SHORT: &str = "What is the capital of France?";
const LONG: &str = "Tell me a long story.";
const TURNS: usize = 20;

fn main() {
    run(async { println!("{}", measure().await) });
}

async fn measure() -> Value {
    let mut bootstrap = Bootstrap::start();
    let url = bootstrap.url();
    let mut provider = Node::ready(NodeSpec::new(&url).serving(&tiny_model()));
    let mut asker = Node::ready(NodeSpec::new(&url));
    let (engine, remote) = (provider.client(), asker.client());
    remote.wait_for_providers(1, Duration::from_secs(60)).await;

    let (mut own, mut over) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        own.push(ms(engine.stream(Client::body(SHORT)).await.expect("an answer").first_text));
        over.push(ms(remote.stream(Client::body(SHORT)).await.expect("an answer").first_text));
    }
    let (own_first_ms, over_first_ms) = (median(&mut own), median(&mut over));
    let own_speed = sustained(&engine).await;
    let over_speed = sustained(&remote).await;
    let (bytes_per_turn, actions) = dht_bytes(&url, &remote).await;
    let asker_rss = rss_mib(&remote).await;
    let provider_rss = rss_mib(&engine).await;

    asker.stop();
    let started = Instant::now();
    asker.restart();
    asker.wait_ready();
    let warm_start_s = started.elapsed().as_secs_f64();
    let warm = asker.client();
    warm.wait_for_providers(1, Duration::from_secs(60)).await;
    for _ in 0..TURNS {
        warm.stream(Client::body(SHORT)).await.expect("an answer");
    }
    json!({
        "asker_rss_mib_warm": rss_mib(&warm).await,
        "engine_first_text_ms": own_first_ms,
        "signals_first_text_ms": over_first_ms,
        "signals_over_engine_ms": over_first_ms - own_first_ms,
        "engine_tokens_per_s": own_speed,
        "signals_tokens_per_s": over_speed,
        "asker_rss_mib_first_start": asker_rss,
        "provider_rss_mib_first_start": provider_rss,
        "warm_start_to_ready_s": warm_start_s,
        "dht_bytes_per_turn": bytes_per_turn,
        "dht_actions": actions,
    })
}

/// Tokens a second from the first to the last text, best of three.
async fn sustained(client: &Client) -> f64 {
    let mut best = 0f64;
    for seed in 0..3 {
        let mut body = Client::body(LONG);
        body["max_tokens"] = json!(1_000);
        body["temperature"] = json!(1);
        body["seed"] = json!(seed);
        body["stream_options"] = json!({ "include_usage": true });
        let answer = client.stream(body).await.expect("an answer");
        let tokens = answer.last["usage"]["completion_tokens"].as_f64().unwrap_or(0.0);
        best = best.max(tokens / (answer.total - answer.first_text).as_secs_f64().max(1e-3));
    }
    best
}

/// What `TURNS` answered questions add to a bystander's store, a turn; and each kind of operation on its own.
async fn dht_bytes(url: &str, client: &Client) -> (f64, Value) {
    let observer = Observer::join(url).await;
    let before = observer.settled().await;
    let mut last = String::new();
    for _ in 0..TURNS {
        let answer = client.stream(Client::body(SHORT)).await.expect("an answer");
        last = answer.last["ainonymous"]["id"].as_str().unwrap_or_default().to_string();
    }
    client.receipt(&last, Duration::from_secs(30)).await;
    // What others wrote reaches a bystander by gossip: first something, then everything.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut after = observer.settled().await;
    while batches(&after) <= batches(&before) && Instant::now() < deadline {
        after = observer.settled().await;
    }
    observer.leave().await;
    let per_turn = (after.bytes - before.bytes) as f64 / TURNS as f64;
    (per_turn, kinds(&before, &after))
}

/// Receipt batches are the fifth entry type.
fn batches(stats: &DhtStats) -> u64 {
    stats.by_kind.iter().filter(|(kind, _)| kind.ends_with("app 0.4")).map(|(_, k)| k.ops).sum()
}

fn kinds(before: &DhtStats, after: &DhtStats) -> Value {
    let added = after.by_kind.iter().filter_map(|(kind, now)| {
        let was = before.by_kind.get(kind).copied().unwrap_or_default();
        let ops = now.ops - was.ops;
        (ops > 0).then(|| (kind.clone(), json!({ "ops": ops, "bytes_each": (now.bytes - was.bytes) / ops })))
    });
    Value::Object(added.collect())
}

async fn rss_mib(client: &Client) -> f64 {
    let (_, status) = client.get("/ainonymous/v1/status").await;
    status["rss_bytes"].as_f64().unwrap_or(f64::NAN) / f64::from(1 << 20)
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
