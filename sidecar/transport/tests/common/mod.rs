//! What the tests of links and of routers share: providers that answer at once, and askers that read to the end.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may fail by panicking.

use ainonymous_transport::{
    Address, ConnectError, Endpoint, EndpointOptions, Frame, Link, LinkError, Load, Pool, Seen, TransportSecret,
};
use ainonymous_types::*;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// What every chunk of an answer begins with.
pub const ANSWER: &str = "an answer that nobody else reads: ";
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub fn secret(seed: u8) -> TransportSecret {
    TransportSecret::from_bytes([seed; 32])
}

pub fn endpoint(seed: u8) -> Endpoint {
    Endpoint::bind(&EndpointOptions { listen: LOOPBACK, secret: secret(seed) }).unwrap()
}

pub fn at(endpoint: &Endpoint) -> Vec<Address> {
    vec![Address::Direct(endpoint.local_addr().unwrap())]
}

pub fn spec() -> EntryHash {
    EntryHash::from_raw_36(vec![7; 36])
}

pub fn ask(text: &str) -> Ask {
    let messages = vec![ChatMessage::new(ChatRole::User, text)];
    Ask {
        id: RequestId([1; 16]),
        spec: spec(),
        input: ChatInput { messages, sampling: Sampling::default(), max_tokens: 0, stop: vec![], more: None },
        salt: Bytes32([2; 32]),
        session_key: Bytes32([3; 32]),
        audit: AuditTerms::default(),
        signature: Bytes64([4; 64]),
    }
}

pub fn tokens(chunk: u32) -> Frame {
    Frame::Tokens { chunk, text: format!("{ANSWER}{chunk} "), tokens: vec![chunk], more: None }
}

/// Answers each question with `count` chunks, `pause` apart, and probes with a load; says which keys came.
pub fn serve(
    endpoint: &Endpoint,
    count: u32,
    pause: Duration,
) -> (tokio::sync::mpsc::UnboundedReceiver<Bytes32>, Arc<AtomicUsize>) {
    let (came, keys) = tokio::sync::mpsc::unbounded_channel();
    let early = Arc::new(AtomicUsize::new(0));
    let (endpoint, seen) = (endpoint.clone(), early.clone());
    tokio::spawn(async move {
        while let Some(arriving) = endpoint.accept().await {
            let (came, seen) = (came.clone(), seen.clone());
            tokio::spawn(async move {
                let load = |_: &EntryHash| {
                    seen.fetch_add(1, Ordering::Relaxed);
                    Load { serves: true, slots: 4, ..Load::default() }
                };
                let Some((link, departed)) = arriving.establish(&load).await else { return };
                let _ = came.send(link.peer());
                while let Ok(mut stream) = link.accept().await {
                    assert!(!stream.receiver.is_early());
                    tokio::spawn(async move {
                        let frame = stream.receiver.recv().await;
                        match frame {
                            Ok(Some(Frame::Ask(_))) => {
                                for chunk in 0..count {
                                    if stream.sender.send(&tokens(chunk)).await.is_err() {
                                        return;
                                    }
                                    tokio::time::sleep(pause).await;
                                }
                                stream.sender.finish();
                            }
                            Ok(Some(Frame::Probe { .. })) => {
                                let load = Load { serves: true, slots: 4, ..Load::default() };
                                stream.sender.send(&Frame::Load(load)).await.unwrap();
                                stream.sender.finish();
                            }
                            Ok(Some(Frame::Tell { .. })) => {
                                let agent = AgentPubKey::from_raw_36(vec![5; 36]);
                                let seen = Seen { agent, milli_tokens_per_s: 9_000, troubled_permille: 3 };
                                stream.sender.send(&Frame::Told(vec![seen])).await.unwrap();
                                stream.sender.finish();
                            }
                            _ => {}
                        }
                    });
                }
                drop(departed);
            });
        }
    });
    (keys, early)
}

pub async fn link(pool: &Pool, to: &Endpoint) -> Result<Link, ConnectError> {
    pool.link(&to.key(), &at(to), || secret(99)).await
}

pub async fn read_all(link: &Link, text: &str) -> Result<Vec<u32>, LinkError> {
    let mut stream = link.open().await?;
    stream.sender.send(&Frame::Ask(Box::new(ask(text)))).await?;
    let mut chunks = Vec::new();
    while let Some(frame) = stream.receiver.recv().await? {
        let Frame::Tokens { chunk, .. } = frame else { panic!("{frame:?}") };
        chunks.push(chunk);
    }
    Ok(chunks)
}
