//! A router that does what a router should not, and what its clients make of it: tests only.

use super::control::{Control, ControlStream};
use super::flow;
use super::mtu::{self, Layer};
use super::registration::{RegistrationState, PUNCH, PUNCHES};
use super::ALPN;
use crate::config;
use crate::endpoint::{self, Endpoint};
use crate::error::{ConnectError, LinkError};
use crate::link::Link;
use crate::pool::Pool;
use crate::route::{Hide, Way};
use crate::sync::lock;
use crate::tls;
use crate::{Address, Registration};
use ainonymous_types::Bytes32;
use bytes::Bytes;
use quinn::Connection;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

use crate::common::*;

/// What becomes of the nth datagram in one direction: which earlier ones are sent (0 is this one), and after which time.
type Mischief = Arc<dyn Fn(u64) -> Vec<(usize, Duration)> + Send + Sync>;

/// How many datagrams the router can repeat.
const KEPT: usize = 256;

struct Hostile {
    at: SocketAddr,
    key: Bytes32,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    mischief: Mischief,
    /// Brings everybody to this one.
    divert: Mutex<Option<Bytes32>>,
    /// Answers a request for a tunnel with this.
    answer: Mutex<Option<Control>>,
    /// Told to whoever registers, so many times.
    meetings: Mutex<Vec<SocketAddr>>,
    registered: Mutex<HashMap<Bytes32, Connection>>,
    flows: Mutex<HashMap<(usize, u32), (Connection, u32)>>,
    next: AtomicU32,
    seen: Mutex<Vec<Bytes>>,
}

impl Hostile {
    fn bind(mischief: impl Fn(u64) -> Vec<(usize, Duration)> + Send + Sync + 'static) -> Self {
        let server = config::server(&secret(66), ALPN, mtu::from_router(Layer::Outer)).unwrap();
        let quic = endpoint::quic(endpoint::open(LOOPBACK).unwrap(), server, &secret(66)).unwrap();
        let state = Arc::new(State {
            mischief: Arc::new(mischief),
            divert: Mutex::default(),
            answer: Mutex::default(),
            meetings: Mutex::default(),
            registered: Mutex::default(),
            flows: Mutex::default(),
            next: AtomicU32::new(1),
            seen: Mutex::default(),
        });
        let (at, mut task) = (quic.local_addr().unwrap(), JoinSet::new());
        task.spawn(accept(quic, state.clone()));
        Self { at, key: secret(66).public(), state, _task: task }
    }

    fn address(&self) -> Address {
        Address::Routed { at: self.at, router: self.key }
    }

    async fn register(&self, provider: &Endpoint, meet: bool) -> Registration {
        let mut registration = provider.register(self.at, self.key, meet).unwrap();
        while !matches!(registration.state(), RegistrationState::Registered { .. }) {
            registration.changed().await;
        }
        registration
    }

    async fn link(&self, provider: &Endpoint) -> Result<Link, ConnectError> {
        let way = Way { addresses: &[self.address()], hide: Hide::OneRouter, ..Way::default() };
        Pool::new(endpoint(2)).link_by(&provider.key(), &way, || secret(99)).await
    }
}

async fn accept(quic: quinn::Endpoint, state: Arc<State>) {
    let mut peers = JoinSet::new();
    while let Some(incoming) = quic.accept().await {
        let state = state.clone();
        peers.spawn(async move {
            let Ok(connection) = incoming.accept().unwrap().await else { return };
            tokio::join!(requests(&connection, &state), forward(&connection, &state));
        });
    }
}

async fn requests(connection: &Connection, state: &State) {
    let mut kept = Vec::new();
    while let Ok(streams) = connection.accept_bi().await {
        let mut stream = ControlStream::new(streams);
        match stream.recv().await {
            Ok(Some(Control::Register { .. })) => {
                let key = tls::peer_key(connection.peer_identity()).unwrap();
                lock(&state.registered).insert(key, connection.clone());
                let observed = connection.remote_address();
                stream.send(&Control::Registered { lease_s: 60, observed }).await.unwrap();
                let meetings = lock(&state.meetings).clone();
                for at in meetings {
                    stream.send(&Control::Meet { at }).await.unwrap();
                }
            }
            Ok(Some(Control::Tunnel { to, .. })) => {
                let to = lock(&state.divert).unwrap_or(to);
                let far = lock(&state.registered)[&to].clone();
                let number = state.next.fetch_add(1, Ordering::Relaxed);
                lock(&state.flows).extend([
                    ((connection.stable_id(), number), (far.clone(), number)),
                    ((far.stable_id(), number), (connection.clone(), number)),
                ]);
                let answer = lock(&state.answer).clone().unwrap_or(Control::Opened { flow: number, meet: None });
                stream.send(&answer).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
        kept.push(stream);
    }
}

async fn forward(connection: &Connection, state: &State) {
    let (mut kept, mut n): (Vec<Bytes>, u64) = (Vec::new(), 0);
    let mut late = JoinSet::new();
    while let Ok(datagram) = connection.read_datagram().await {
        let (number, packet) = flow::split(datagram.clone()).unwrap();
        if number == flow::FLOW_ECHO {
            let _ = connection.send_datagram(datagram);
            continue;
        }
        lock(&state.seen).push(packet.clone());
        // Clients answer junk with a few bytes that belong nowhere.
        let Some((far, number)) = lock(&state.flows).get(&(connection.stable_id(), number)).cloned() else { continue };
        kept.insert(0, packet);
        kept.truncate(KEPT);
        n += 1;
        for (back, after) in (state.mischief)(n) {
            let Some(packet) = kept.get(back) else { continue };
            let (far, datagram) = (far.clone(), flow::join(number, packet));
            if after.is_zero() {
                let _ = far.send_datagram(datagram);
            } else {
                late.spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = far.send_datagram(datagram);
                });
            }
        }
        while late.try_join_next().is_some() {}
    }
}

const NOW: Duration = Duration::ZERO;
const PROMPT: &str = "a question that nobody else reads";

/// Without dice, but without a pattern that protocols could lean on.
fn dice(n: u64, sides: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9) % sides
}

async fn answered(mischief: impl Fn(u64) -> Vec<(usize, Duration)> + Send + Sync + 'static) -> Hostile {
    let (router, provider) = (Hostile::bind(mischief), endpoint(1));
    let _keys = serve(&provider, 300, Duration::ZERO);
    let _place = router.register(&provider, false).await;
    let link = router.link(&provider).await.unwrap();
    let question = PROMPT.repeat(3_000);
    let answer = tokio::time::timeout(Duration::from_secs(60), read_all(&link, &question)).await;
    assert_eq!(answer.expect("in time").unwrap(), (0..300).collect::<Vec<_>>(), "not a chunk lost or doubled");
    router
}

#[tokio::test]
async fn a_router_sees_neither_question_nor_answer_nor_keys() {
    let router = answered(|_| vec![(0, NOW)]).await;
    let seen = lock(&router.state.seen).concat();
    assert!(seen.len() > PROMPT.len() * 3_000 + ANSWER.len() * 300, "all of it went through the router");
    let holds = |what: &[u8]| seen.windows(what.len()).any(|window| window == what);
    assert!(holds(&seen[5_000..5_016]), "the search finds what is there");
    for what in [PROMPT.as_bytes(), ANSWER.as_bytes(), &secret(1).public().0, &secret(99).public().0] {
        for part in what.windows(12) {
            assert!(!holds(part), "{}", String::from_utf8_lossy(part));
        }
    }
}

#[tokio::test]
async fn answers_are_whole_through_a_router_that_drops() {
    answered(|n| if dice(n, 20) == 0 { vec![] } else { vec![(0, NOW)] }).await;
}

#[tokio::test]
async fn answers_are_whole_through_a_router_that_delays_and_reorders() {
    answered(|n| vec![(0, Duration::from_millis(dice(n, 8)))]).await;
}

#[tokio::test]
async fn answers_are_whole_through_a_router_that_repeats() {
    answered(|n| vec![(0, NOW), (0, NOW), (dice(n, 200) as usize, Duration::from_millis(dice(n, 20)))]).await;
}

#[tokio::test]
async fn answers_are_whole_through_a_router_that_does_all_of_it() {
    answered(|n| match dice(n, 40) {
        0 | 1 => vec![],
        2 => vec![(0, NOW), (0, NOW), (dice(n, 100) as usize, NOW)],
        other => vec![(0, Duration::from_millis(other % 5))],
    })
    .await;
}

#[tokio::test]
async fn a_router_cannot_stand_in_for_the_provider() {
    let (router, provider, other) = (Hostile::bind(|_| vec![(0, NOW)]), endpoint(1), endpoint(5));
    let (mut keys, _) = serve(&other, 1, Duration::ZERO);
    let _places = (router.register(&provider, false).await, router.register(&other, false).await);
    *lock(&router.state.divert) = Some(other.key());
    assert_eq!(router.link(&provider).await.unwrap_err(), ConnectError::WrongKey);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(keys.try_recv().is_err(), "the other one never learnt who asked");
}

#[tokio::test]
async fn a_router_that_carries_nothing_is_silent_in_time() {
    let (router, provider) = (Hostile::bind(|_| vec![]), endpoint(1));
    let _keys = serve(&provider, 1, Duration::ZERO);
    let _place = router.register(&provider, false).await;
    let begun = Instant::now();
    assert!(matches!(router.link(&provider).await.unwrap_err(), ConnectError::Silent { .. }));
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn answers_of_a_router_that_make_no_sense_are_named() {
    let (router, provider) = (Hostile::bind(|_| vec![(0, NOW)]), endpoint(1));
    let _place = router.register(&provider, false).await;
    let opened = |flow| Control::Opened { flow, meet: None };
    for answer in [opened(flow::FLOW_ECHO), opened(flow::FLOW_MAX + 1), opened(u32::MAX), Control::Renew] {
        *lock(&router.state.answer) = Some(answer);
        let refused = router.link(&provider).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Refused { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn a_router_that_stops_in_mid_answer_leaves_a_named_error() {
    let (router, provider) = (Hostile::bind(|n| if n < 100 { vec![(0, NOW)] } else { vec![] }), endpoint(1));
    let _keys = serve(&provider, u32::MAX, Duration::from_millis(1));
    let _place = router.register(&provider, false).await;
    let link = router.link(&provider).await.unwrap();
    let broken = tokio::time::timeout(Duration::from_secs(25), read_all(&link, "hello")).await.unwrap();
    assert!(matches!(broken, Err(LinkError::Broken { .. })), "{broken:?}");
}

#[tokio::test]
async fn a_router_that_floods_fills_no_memory() {
    let (router, provider) = (Hostile::bind(|_| vec![(0, NOW)]), endpoint(1));
    let _keys = serve(&provider, 20, Duration::from_millis(50));
    let _place = router.register(&provider, false).await;
    let link = router.link(&provider).await.unwrap();
    let reading = tokio::spawn({
        let link = link.clone();
        async move { read_all(&link, "hello").await }
    });
    let clients: Vec<(Connection, u32)> = lock(&router.state.flows).values().cloned().collect();
    let before = resident();
    let (mut sent, mut n) = (0, 0u64);
    while sent < 96 << 20 {
        for (client, number) in &clients {
            n += 1;
            // Of the flow, of no flow, of every kind of packet; as fast as it is taken.
            let mut junk = vec![dice(n, 256) as u8; 1_150];
            junk[0] = dice(n + 1, 256) as u8;
            let number = if n % 3 == 0 { dice(n, 1 << 27) as u32 } else { *number };
            client.send_datagram_wait(flow::join(number, &junk)).await.expect("the connection stays");
            sent += junk.len();
        }
    }
    assert!(resident() < before + (48 << 20), "{} MiB more", (resident() - before) >> 20);
    assert_eq!(reading.await.unwrap().unwrap(), (0..20).collect::<Vec<_>>());
    assert!(link.is_open() && provider.counts().open <= 256, "{:?}", provider.counts());
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[tokio::test]
async fn a_provider_sends_few_and_tiny_packets_to_whom_it_shall_meet() {
    let (router, provider) = (Hostile::bind(|_| vec![(0, NOW)]), endpoint(1));
    let victim = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    *lock(&router.state.meetings) = vec![victim.local_addr().unwrap(); 1_000];
    let begun = Instant::now();
    let _place = router.register(&provider, true).await;
    let (mut packets, mut buffer) = (0, [0; 2_048]);
    while let Ok(Ok((len, from))) =
        tokio::time::timeout(Duration::from_millis(600), victim.recv_from(&mut buffer)).await
    {
        assert_eq!((&buffer[..len], from), (PUNCH, provider.local_addr().unwrap()));
        packets += 1;
    }
    assert!((PUNCHES..=8 * PUNCHES).contains(&packets), "{packets} packets for 1,000 meetings");
    assert!(begun.elapsed() < Duration::from_secs(4));
    // Whoever does not want to meet anybody sends nothing.
    let shy = endpoint(3);
    let _place = router.register(&shy, false).await;
    let quiet = tokio::time::timeout(Duration::from_millis(300), victim.recv_from(&mut buffer)).await;
    assert!(quiet.is_err());
}
