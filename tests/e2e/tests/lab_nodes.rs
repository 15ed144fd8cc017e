//! Whole nodes on real networks: behind NAT, with and without a way in, and cut off in the middle of an answer.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_e2e::{tiny_model, Bootstrap, Client, Host, Lab, Nat, Node, NodeSpec, Router, Slow};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const STORY: &str = "Tell me a long story.";
const SOON: Duration = Duration::from_secs(60);
/// Whoever can meet has met within this, and asks directly.
const MET_WITHIN: Duration = Duration::from_secs(15);

/// What everybody reaches: where nodes find each other.
fn bootstrap(at: &Host) -> (Bootstrap, String) {
    let mut bootstrap = at.enter(|| Bootstrap::start_at(&format!("{}:4000", at.address)));
    let url = bootstrap.url();
    (bootstrap, url)
}

fn provider(at: &Host, url: &str, args: &[&str]) -> Node {
    at.enter(|| Node::start(NodeSpec::new(url).serving(&tiny_model()).with(args)))
}

fn asker(at: &Host, url: &str) -> Node {
    at.enter(|| Node::start(NodeSpec::new(url)))
}

fn alone(at: &Host, client: &Client) -> String {
    at.run(async { client.ask(Client::body(STORY)).await.expect("an answer").text })
}

/// How an answer came, as its header says.
async fn route(client: &Client, text: &str) -> String {
    let answer = client.stream(Client::body(STORY)).await.expect("an answer");
    assert_eq!(answer.text, text, "not a word lost or doubled");
    let said = answer.headers["x-ainonymous-route"].to_str().expect("text").to_owned();
    assert_eq!(answer.last["ainonymous"]["route"], said.as_str());
    said
}

#[test]
fn two_nodes_behind_nat_go_through_a_router_and_then_without_it() {
    let Some(lab) = Lab::new() else { return };
    let hub = lab.host();
    let (mut homes, (_bootstrap, url)) =
        ([lab.home(Nat::PortRestricted), lab.home(Nat::PortRestricted)], bootstrap(&hub));
    let mut router = hub.enter(|| Router::start_at(&format!("{}:4001", hub.address)));
    let via = router.address();
    let [there, here] = homes.each_mut().map(|home| home.host());
    let mut provider = provider(&there, &url, &["--via", &via, "--port-mapping", "off"]);
    let mut asker = asker(&here, &url);
    provider.wait_ready();
    asker.wait_ready();
    let text = alone(&there, &provider.client());
    let client = asker.client();
    here.run(async {
        client.wait_for_providers(1, SOON).await;
        let first = route(&client, &text).await;
        let begun = Instant::now();
        let mut routes = vec![first];
        while routes.last().is_none_or(|last| last != "direct") {
            assert!(begun.elapsed() < MET_WITHIN, "{routes:?}");
            routes.push(route(&client, &text).await);
        }
        println!("routes, one after the other: {routes:?}");
        assert_eq!(routes[0], "routed", "neither can be reached from outside at first");
    });
    lab.cut(&hub);
    here.run(async { assert_eq!(route(&client, &text).await, "direct", "the router is not needed any more") });
    lab.heal();
    assert!(router.stop() > 20, "the first answer went through it");
}

#[test]
fn without_a_way_in_the_answer_comes_over_the_conductors_network_and_says_so() {
    let Some(lab) = Lab::new() else { return };
    let hub = lab.host();
    let (mut homes, (_bootstrap, url)) = ([lab.home(Nat::Symmetric), lab.home(Nat::Symmetric)], bootstrap(&hub));
    let [there, here] = homes.each_mut().map(|home| home.host());
    let (mut provider, mut asker) = (provider(&there, &url, &[]), asker(&here, &url));
    provider.wait_ready();
    asker.wait_ready();
    let text = alone(&there, &provider.client());
    let client = asker.client();
    here.run(async {
        client.wait_for_providers(1, SOON).await;
        assert_eq!(route(&client, &text).await, "signals");
        let mut body = Client::body(STORY);
        body["ainonymous"] = json!({ "route": "direct" });
        let refused = client.ask(body).await.expect_err("there is no direct way");
        refused.assert_helpful(Duration::from_secs(10));
    });
    let mapping = there.run(async { provider.client().status().await["quic"]["port_mapping"].clone() });
    assert_eq!(mapping, "no home router that maps ports has answered");
}

#[test]
fn a_home_router_opens_a_port_and_gets_it_back() {
    let Some(lab) = Lab::new() else { return };
    let hub = lab.host();
    let (mut homes, (_bootstrap, url)) = ([lab.home(Nat::Symmetric), lab.home(Nat::Symmetric)], bootstrap(&hub));
    let [there, here] = homes.each_mut().map(|home| home.host());
    let mapper = homes[0].maps_ports();
    let (mut provider, mut asker) = (provider(&there, &url, &[]), asker(&here, &url));
    provider.wait_ready();
    asker.wait_ready();
    let text = alone(&there, &provider.client());
    let client = asker.client();
    here.run(async {
        client.wait_for_providers(1, SOON).await;
        assert_eq!(route(&client, &text).await, "direct");
    });
    let quic = there.run(async { provider.client().status().await["quic"].clone() });
    println!("{quic}");
    let outside = homes[0].gateway.address.to_string();
    assert!(quic["announced"][0].as_str().is_some_and(|first| first.contains(&outside)), "{quic}");
    assert!(quic["port_mapping"].as_str().is_some_and(|words| words.contains(&outside)), "{quic}");
    let port: u16 = quic["listens"].as_str().and_then(|at| at.rsplit(':').next()?.parse().ok()).expect("a port");
    assert!(mapper.mapped().iter().any(|(_, to)| to.port() == port && *to.ip() == there.address), "{mapper:?}");
    assert_eq!(provider.stop(), Some(0));
    assert!(mapper.mapped().iter().all(|(_, to)| to.port() != port), "the port was not given back: {mapper:?}");
}

#[test]
fn another_provider_goes_on_when_one_is_cut_off() {
    let Some(lab) = Lab::new() else { return };
    let (hub, here, there) = (lab.host(), lab.host(), [lab.host(), lab.host()]);
    let (_bootstrap, url) = bootstrap(&hub);
    let mut asker = asker(&here, &url);
    let mut providers = there.each_ref().map(|host| provider(host, &url, &[]));
    asker.wait_ready();
    let mut by_agent = BTreeMap::new();
    let (mut text, mut slow) = (String::new(), Vec::new());
    for (node, host) in providers.iter_mut().zip(&there) {
        by_agent.insert(node.agent(), host);
        text = alone(host, &node.client());
        let worker = host.run(async { node.client().status().await["models"][0]["engine"]["worker_pid"].as_u64() });
        slow.push(Slow::down(worker.expect("a worker"), Duration::from_millis(2), Duration::from_millis(20)));
    }
    let client = asker.client();
    here.run(async {
        client.wait_for_providers(2, SOON).await;
        let mut stream = client.open(Client::body(STORY)).await.expect("an answer begins");
        let first = stream.header("x-ainonymous-provider");
        let (mut heard, mut cut, mut last) = (String::new(), false, Value::Null);
        let (mut silence, mut since) = (Duration::ZERO, Instant::now());
        while let Some(data) = stream.next().await.filter(|data| data != "[DONE]") {
            last = serde_json::from_str(&data).expect("JSON");
            assert!(last["error"].is_null(), "{last}");
            heard.push_str(last["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
            if cut {
                silence = silence.max(since.elapsed());
            } else if heard.len() > 100 {
                lab.cut(by_agent[&first]);
                cut = true;
            }
            since = Instant::now();
        }
        println!("silent for {} ms", silence.as_millis());
        assert!(cut, "it answered before it was cut off");
        assert_eq!(heard, text, "not a word lost or doubled");
        assert_ne!(last["ainonymous"]["provider"], first.as_str(), "another one signs for it");
        assert!(silence < Duration::from_secs(5), "{silence:?}");
    });
}
