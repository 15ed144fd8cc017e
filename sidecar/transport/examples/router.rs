//! How much a router costs: the same answers and the same bytes over a direct link, through one router and through two, on
//! loopback and in one run. The last line is one JSON object of ratios to the direct link. `bulk` is bound by the processor, which has
//! all parties on it; `line` is the same over a line of 100 Mbit/s and 20 ms at the asker.
//!
//! `cargo run --release --example router -p ainonymous-transport`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints, and may fail by panicking")]

use ainonymous_transport::{
    Endpoint, EndpointOptions, Frame, Hide, Link, Load, Pool, RegistrationState, Router, RouterEntry, RouterLimits,
    RouterOptions, TransportSecret, Way,
};
use ainonymous_types::*;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Answers at once.
const STREAMS: usize = 8;
/// Chunks of one answer, and the time between them: 100 tokens a second.
const CHUNKS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);
/// Largest chunks, one after another.
const BULK_CHUNKS: u32 = 2_000;
const ROUNDS: usize = 3;
/// The asker's line: bytes a second in each direction, how long they take, and how long they may queue.
const LINE_BYTES_PER_S: f64 = 12.5e6;
const LINE_DELAY: Duration = Duration::from_millis(10);
const LINE_QUEUE: Duration = Duration::from_millis(20);

/// A line to one address; only one socket is behind it.
async fn line(far: SocketAddr) -> SocketAddr {
    let bind = || async { Arc::new(UdpSocket::bind(LOOPBACK).await.unwrap()) };
    let (near, there) = (bind().await, bind().await);
    let (at, client) = (near.local_addr().unwrap(), Arc::new(Mutex::new(None)));
    tokio::spawn(one_way(near.clone(), there.clone(), client.clone(), Some(far)));
    tokio::spawn(one_way(there, near, client, None));
    at
}

async fn one_way(
    from: Arc<UdpSocket>,
    out: Arc<UdpSocket>,
    client: Arc<Mutex<Option<SocketAddr>>>,
    far: Option<SocketAddr>,
) {
    let (queue, mut queued) = tokio::sync::mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let to = client.clone();
    tokio::spawn(async move {
        while let Some((at, packet)) = queued.recv().await {
            tokio::time::sleep_until(at.into()).await;
            let to = far.or(*to.lock().unwrap());
            let _ = out.send_to(&packet, to.unwrap()).await;
        }
    });
    let (mut packet, mut free) = (vec![0; 65_536], Instant::now());
    while let Ok((len, sender)) = from.recv_from(&mut packet).await {
        if far.is_some() {
            *client.lock().unwrap() = Some(sender);
        }
        let now = Instant::now();
        let departs = free.max(now) + Duration::from_secs_f64(len as f64 / LINE_BYTES_PER_S);
        if departs - now <= LINE_QUEUE {
            free = departs;
            let _ = queue.send((departs + LINE_DELAY, packet[..len].to_vec()));
        }
    }
}

fn secret(seed: u8) -> TransportSecret {
    TransportSecret::from_bytes([seed; 32])
}

fn ask(max_tokens: u32) -> Frame {
    let messages = vec![ChatMessage::new(ChatRole::User, "How much?")];
    Frame::Ask(Box::new(Ask {
        id: RequestId([1; 16]),
        spec: EntryHash::from_raw_36(vec![7; 36]),
        input: ChatInput { messages, sampling: Sampling::default(), max_tokens, stop: vec![], more: None },
        salt: Bytes32([2; 32]),
        session_key: Bytes32([3; 32]),
        audit: AuditTerms::default(),
        signature: Bytes64([4; 64]),
    }))
}

/// Answers like a model, or as fast as it is taken if no length is asked for.
async fn serve(provider: Endpoint) {
    while let Some(arriving) = provider.accept().await {
        tokio::spawn(async move {
            let Some((link, _departed)) = arriving.establish(|_| Load::default()).await else { return };
            while let Ok(mut stream) = link.accept().await {
                tokio::spawn(async move {
                    let Ok(Some(Frame::Ask(ask))) = stream.receiver.recv().await else { return };
                    let paced = ask.input.max_tokens > 0;
                    let (chunks, text) = if paced {
                        (CHUNKS, " word".to_owned())
                    } else {
                        (BULK_CHUNKS, "x".repeat(limits::CHUNK_TEXT_BYTES_MAX))
                    };
                    let mut pace = tokio::time::interval(PAUSE);
                    for chunk in 0..chunks {
                        if paced {
                            pace.tick().await;
                        }
                        let frame = Frame::Tokens { chunk, text: text.clone(), tokens: vec![chunk], more: None };
                        if stream.sender.send(&frame).await.is_err() {
                            return;
                        }
                    }
                    stream.sender.finish();
                });
            }
        });
    }
}

/// Bytes of text, and the time until the first chunk.
async fn read(link: Link, max_tokens: u32) -> (usize, Duration) {
    let begun = Instant::now();
    let mut stream = link.open().await.unwrap();
    stream.sender.send(&ask(max_tokens)).await.unwrap();
    let (mut bytes, mut first) = (0, None);
    while let Some(frame) = stream.receiver.recv().await.unwrap() {
        let Frame::Tokens { text, .. } = frame else { continue };
        first.get_or_insert(begun.elapsed());
        bytes += text.len();
    }
    (bytes, first.unwrap_or_default())
}

/// Chunks a second over all answers, milliseconds to the first chunk of one, megabytes a second.
async fn measure(link: &Link) -> (f64, f64, f64) {
    let (_, first) = read(link.clone(), 1).await;
    let begun = Instant::now();
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..STREAMS {
        answers.spawn(read(link.clone(), 1));
    }
    answers.join_all().await;
    let chunks_per_s = (STREAMS as f64 * f64::from(CHUNKS)) / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let (bytes, _) = read(link.clone(), 0).await;
    (chunks_per_s, first.as_secs_f64() * 1e3, bytes as f64 / 1e6 / begun.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let endpoint = |seed| Endpoint::bind(&EndpointOptions { listen: LOOPBACK, secret: secret(seed) }).unwrap();
    let rate = 1 << 40;
    let limits = RouterLimits {
        flow_bytes_per_s: rate,
        flow_packets_per_s: rate,
        peer_bytes_per_s: rate,
        peer_packets_per_s: rate,
        registration_bytes_per_hour: rate,
        ..RouterLimits::default()
    };
    let router = |seed| Router::bind(&RouterOptions { listen: LOOPBACK, secret: secret(seed), limits }).unwrap();
    let (provider, asker, first, last) = (endpoint(1), endpoint(2), router(11), router(12));
    tokio::spawn(serve(provider.clone()));
    let mut place = provider.register(last.local_addr().unwrap(), last.key(), false).unwrap();
    let mut between = last.register(first.local_addr().unwrap(), first.key()).unwrap();
    for registration in [&mut place, &mut between] {
        while !matches!(registration.state(), RegistrationState::Registered { .. }) {
            registration.changed().await;
        }
    }
    let pool = Pool::new(asker);
    let direct = [format!("quic://{}", provider.local_addr().unwrap()).parse().unwrap()];
    let (routed, routers) =
        ([place.address()], [RouterEntry { router: last.key(), addresses: vec![between.address()] }]);
    let mut links = Vec::new();
    for (addresses, hide) in [(&direct, Hide::NoRouters), (&routed, Hide::OneRouter), (&routed, Hide::TwoRouters)] {
        let way = Way { addresses, hide, routers: &routers, known: false };
        let begun = Instant::now();
        let link = pool.link_by(&provider.key(), &way, || secret(9)).await.unwrap();
        println!("{hide:?}: {:.1} ms until the link stands", begun.elapsed().as_secs_f64() * 1e3);
        links.push((hide, link, vec![]));
    }
    for _ in 0..ROUNDS {
        for (hide, link, results) in &mut links {
            let result = measure(link).await;
            println!("{hide:?}: {:.1} chunks/s, {:.2} ms to the first, {:.1} MB/s", result.0, result.1, result.2);
            results.push(result);
        }
    }
    let medians: Vec<[f64; 3]> = links
        .iter()
        .map(|(_, _, r)| {
            let of = |f: fn(&(f64, f64, f64)) -> f64| median(r.iter().map(f).collect());
            [of(|r| r.0), of(|r| r.1), of(|r| r.2)]
        })
        .collect();
    let mut lines = [0.0; 2];
    for (hide, speed) in [Hide::NoRouters, Hide::OneRouter].into_iter().zip(&mut lines) {
        let address = match hide {
            Hide::OneRouter => format!("quic://{}/via/{}", line(last.local_addr().unwrap()).await, last.key()),
            _ => format!("quic://{}", line(provider.local_addr().unwrap()).await),
        };
        let way = Way { addresses: &[address.parse().unwrap()], hide, ..Way::default() };
        let link = Pool::new(endpoint(3)).link_by(&provider.key(), &way, || secret(8)).await.unwrap();
        let mut speeds = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let (bytes, _) = read(link.clone(), 0).await;
            speeds.push(bytes as f64 / 1e6 / begun.elapsed().as_secs_f64());
        }
        println!("{hide:?} over the line: {speeds:.2?} MB/s");
        *speed = median(speeds);
    }
    let ratio = |hops: usize, which: usize| medians[hops][which] / medians[0][which];
    println!("{:?} {:?}", first.counts(), last.counts());
    println!(
        "{{\"router_ratio\":{:.4},\"two_routers_ratio\":{:.4},\"router_bulk_ratio\":{:.4},\"two_routers_bulk_ratio\":{:.4},\"router_line_ratio\":{:.4}}}",
        ratio(1, 0),
        ratio(2, 0),
        ratio(1, 2),
        ratio(2, 2),
        lines[1] / lines[0],
    );
}
