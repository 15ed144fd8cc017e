//! A thousand clients that ask and hang up leave nothing behind: no question under way, no memory, no open connection.

#![allow(clippy::expect_used)] // A test may fail by panicking.

use ainonymous_e2e::{tiny_model, vanish, Client, Node, NodeSpec};
use serde_json::json;
use std::time::{Duration, Instant};

const CLIENTS: usize = 1_000;
/// What an allocator may keep.
const GROWTH_BYTES_MAX: u64 = 32 << 20;
/// Connections that the test's own client keeps alive for its next question.
const KEPT_ALIVE_MAX: usize = 4;

/// Connections to `port` that a process still holds its end of. The conductor inside opens its databases' files and its
/// own sockets as it pleases, so that a count of all open files says nothing about clients.
fn open_connections(port: u16) -> usize {
    const LISTENS: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table of connections");
    let local = format!(":{port:04X}");
    let held = |line: &&str| {
        // Number, local address, remote address, state, queues, timer, retransmissions, user, time-out, inode.
        let fields = line.split_whitespace().collect::<Vec<_>>();
        fields.len() > 9 && fields[1].ends_with(&local) && fields[3] != LISTENS && fields[9] != "0"
    };
    table.lines().skip(1).filter(held).count()
}

/// Waits until nobody is answered any more; the worker's process id and memory.
async fn settled(client: &Client) -> (u64, u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, status) = client.get("/ainonymous/v1/status").await;
        let engine = &status["models"][0]["engine"];
        if engine["running"] == 0 && engine["queued"] == 0 {
            let number = |name: &str| engine[name].as_u64().expect("a number");
            return (number("worker_pid"), number("worker_rss_bytes"));
        }
        assert!(Instant::now() < deadline, "questions of clients that are gone are still answered: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_that_hang_up_leave_nothing_behind() {
    let mut node = Node::ready(NodeSpec::default().serving(&tiny_model()).with(&["--prefix-cache-mib", "16"]));
    let client = node.client();
    let address = client.base().trim_start_matches("http://").to_string();
    let mut body = Client::body("Tell me a long story.");
    body["stream"] = json!(true);
    let body = body.to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let flood = |count| {
        let (address, request) = (address.clone(), request.clone());
        tokio::task::spawn_blocking(move || vanish(&address, request.as_bytes(), count))
    };
    // The first of them fill what is kept by design.
    flood(CLIENTS / 5).await.expect("no panic");
    let (worker, memory) = settled(&client).await;
    let heard = flood(CLIENTS).await.expect("no panic");
    assert!(heard > 0, "some hang up in the middle of an answer");
    let (same, after) = settled(&client).await;
    assert_eq!(same, worker, "the worker lives");
    assert!(after <= memory + GROWTH_BYTES_MAX, "the worker grew from {memory} to {after} bytes");
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    assert!(open_connections(port) > 0, "the one that has just asked for the status is seen");
    let deadline = Instant::now() + Duration::from_secs(10);
    while open_connections(port) > KEPT_ALIVE_MAX {
        assert!(Instant::now() < deadline, "{} connections are open", open_connections(port));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = client.ask(Client::body("What is the capital of France?")).await.expect("an answer");
    assert!(answer.text.contains("Paris"), "{answer:?}");
}
