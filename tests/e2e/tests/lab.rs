//! Links on real networks: hosts with addresses of their own, NAT, loss, distance, partitions. Each test makes its own network.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test may fail by panicking.
#![allow(clippy::disallowed_methods)] // Networks change while plain threads watch, which may sleep.

#[path = "../../../sidecar/transport/tests/common/mod.rs"]
mod common;

use ainonymous_e2e::{Home, Host, Lab, Nat};
use ainonymous_transport::{
    Address, ConnectError, Endpoint, EndpointOptions, Frame, Hide, Link, Pool, Registration, RegistrationState, Route,
    Router, RouterLimits, RouterOptions, Way,
};
use common::{ask, read_all, secret, serve};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Chunks of an answer, and the pause between them: long enough for something to happen meanwhile.
const CHUNKS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);
/// Whoever can meet has met within this.
const MET_WITHIN: Duration = Duration::from_secs(5);

fn endpoint(host: &Host, seed: u8) -> Endpoint {
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    host.enter(|| Endpoint::bind(&EndpointOptions { listen, secret: secret(seed) })).unwrap()
}

fn router(host: &Host) -> Router {
    let options = RouterOptions {
        listen: (Ipv4Addr::UNSPECIFIED, 4000).into(),
        secret: secret(11),
        limits: RouterLimits::default(),
    };
    host.enter(|| Router::bind(&options)).unwrap()
}

/// Where an endpoint is, as its host sees it.
fn direct(host: &Host, endpoint: &Endpoint) -> Address {
    Address::Direct((host.address, endpoint.local_addr().unwrap().port()).into())
}

async fn registered(provider: &Endpoint, at: &Host, router: &Router, meet: bool) -> Registration {
    let mut place = provider.register((at.address, 4000).into(), router.key(), meet).unwrap();
    let stands = async {
        while !matches!(place.state(), RegistrationState::Registered { .. }) {
            place.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stands).await.expect("registered in time");
    place
}

fn whole(chunks: u32) -> Vec<u32> {
    (0..chunks).collect()
}

/// Reads an answer, and does something after so many of its chunks. Says which chunks came, and the longest silence after it.
async fn during(link: &Link, after: u32, what: impl FnOnce()) -> (Vec<u32>, Duration) {
    let mut stream = link.open().await.unwrap();
    stream.sender.send(&Frame::Ask(Box::new(ask("hello")))).await.unwrap();
    let (mut chunks, mut what, mut silence, mut heard) = (Vec::new(), Some(what), Duration::ZERO, Instant::now());
    while let Some(frame) = stream.receiver.recv().await.unwrap() {
        let Frame::Tokens { chunk, .. } = frame else { panic!("{frame:?}") };
        chunks.push(chunk);
        if what.is_none() {
            silence = silence.max(heard.elapsed());
        }
        heard = Instant::now();
        if chunk == after {
            what.take().unwrap()();
        }
    }
    (chunks, silence)
}

async fn goes_direct(link: &Link, within: Duration) -> bool {
    let begun = Instant::now();
    while link.route() != Route::Direct {
        if begun.elapsed() > within {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("direct {} ms after the link through the router stood", begun.elapsed().as_millis());
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_speak_directly_and_nothing_stays_behind() {
    let Some(lab) = Lab::new() else { return };
    let (there, here) = (lab.host(), lab.host());
    let (provider, asker) = (endpoint(&there, 1), endpoint(&here, 2));
    let _keys = serve(&provider, 50, Duration::ZERO);
    let pool = Pool::new(asker.clone());
    let link = pool.link(&provider.key(), &[direct(&there, &provider)], || secret(99)).await.unwrap();
    assert_eq!(read_all(&link, "hello").await.unwrap(), whole(50));
    assert_eq!(link.remote_address(), SocketAddr::new(there.address.into(), provider.local_addr().unwrap().port()));
    let alone = here.run(async { tokio::net::UdpSocket::bind("0.0.0.0:0").await.unwrap().local_addr() });
    assert!(alone.is_ok());

    let namespaces = lab.namespaces([&there, &here]);
    assert_eq!(held(&namespaces), 3, "the search finds them while they are there");
    drop((link, pool));
    provider.close(ainonymous_transport::CloseReason::Leaving).await;
    asker.close(ainonymous_transport::CloseReason::Leaving).await;
    drop((provider, asker, there, here, lab));
    assert_eq!(held(&namespaces), 0, "a namespace is still held by somebody");
}

/// How many of these namespaces are held by a process, or by a file that one has open.
fn held(namespaces: &[u64]) -> usize {
    let is = |link: &std::path::Path, number: &u64| {
        std::fs::read_link(link).is_ok_and(|to| to.to_string_lossy() == format!("net:[{number}]"))
    };
    let processes: Vec<_> = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).collect();
    let held = |number: &&u64| {
        processes.iter().any(|process| {
            let files = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            is(&process.join("ns/net"), number) || files.into_iter().any(|file| is(&file.path(), number))
        })
    };
    namespaces.iter().filter(held).count()
}

/// A provider and an asker, and the link between them through a public router.
struct Routed {
    lab: Lab,
    _homes: Vec<Home>,
    provider: Endpoint,
    at: Host,
    router: Router,
    place: Registration,
    _asker: Endpoint,
    link: Link,
}

async fn routed(lab: Lab, of_provider: Nat, of_asker: Option<Nat>) -> Routed {
    let mut home = lab.home(of_provider);
    let at = lab.host();
    let router = router(&at);
    let (inside, mut homes) = (home.host(), vec![home]);
    let here = match of_asker {
        None => lab.host(),
        Some(nat) => {
            let mut home = lab.home(nat);
            let host = home.host();
            homes.push(home);
            host
        }
    };
    let (provider, asker) = (endpoint(&inside, 1), endpoint(&here, 2));
    let _keys = serve(&provider, CHUNKS, PAUSE);
    let place = registered(&provider, &at, &router, true).await;
    let RegistrationState::Registered { observed } = place.state() else { panic!("{place:?}") };
    assert_eq!(observed.ip(), homes[0].gateway.address, "the router sees the home, not the host in it");
    let pool = Pool::new(asker.clone());
    // Its own address means nothing outside, and the port in front of its home is closed.
    let port = provider.local_addr().unwrap().port();
    let closed = [direct(&inside, &provider), Address::Direct((homes[0].gateway.address, port).into())];
    let way = Way { addresses: &closed, hide: Hide::NoRouters, ..Way::default() };
    let nobody = pool.link_by(&provider.key(), &way, || secret(98)).await.unwrap_err();
    assert!(matches!(nobody, ConnectError::Silent { .. }), "{nobody:?}");
    let link = pool.link(&provider.key(), &[place.address()], || secret(99)).await.unwrap();
    assert_eq!(link.route(), Route::Routed { hops: 1 });
    Routed { lab, _homes: homes, provider, at, router, place, _asker: asker, link }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_behind_nat_is_reached_through_a_router_and_then_met() {
    let Some(lab) = Lab::new() else { return };
    meets(routed(lab, Nat::PortRestricted, None).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_behind_nat_meet() {
    let Some(lab) = Lab::new() else { return };
    meets(routed(lab, Nat::PortRestricted, Some(Nat::PortRestricted)).await).await;
}

async fn meets(routed: Routed) {
    let Routed { lab, link, router, at, .. } = &routed;
    // An answer that has begun through the router ends there; the next one goes directly.
    let (first, met) = tokio::join!(read_all(link, "hello"), goes_direct(link, MET_WITHIN));
    assert_eq!(first.unwrap(), whole(CHUNKS));
    assert!(met, "they have not met");
    lab.cut(at);
    let before = router.counts().forwarded_packets;
    assert_eq!(read_all(link, "hello").await.unwrap(), whole(CHUNKS), "the router is not needed any more");
    assert_eq!(router.counts().forwarded_packets, before);
    // A home router forgets a path that nobody uses within half a minute; it is used.
    assert!(link.is_open());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_symmetric_nat_it_stays_routed() {
    let Some(lab) = Lab::new() else { return };
    let routed = routed(lab, Nat::Symmetric, Some(Nat::PortRestricted)).await;
    let Routed { link, router, place, provider, .. } = &routed;
    assert!(!goes_direct(link, Duration::from_secs(7)).await, "a symmetric NAT was traversed: the laboratory has none");
    assert_eq!(read_all(link, "hello").await.unwrap(), whole(CHUNKS));
    assert!(router.counts().forwarded_packets > u64::from(CHUNKS));
    assert!(matches!(place.state(), RegistrationState::Registered { .. }) && provider.counts().open >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_on_from_another_address_of_the_asker() {
    let Some(lab) = Lab::new() else { return };
    let (there, mut here) = (lab.host(), lab.host());
    let (provider, asker) = (endpoint(&there, 1), endpoint(&here, 2));
    let _keys = serve(&provider, CHUNKS, PAUSE);
    let pool = Pool::new(asker);
    let link = pool.link(&provider.key(), &[direct(&there, &provider)], || secret(99)).await.unwrap();
    let before = here.address;
    let (chunks, silence) = during(&link, 50, || lab.moves(&mut here)).await;
    assert_ne!(here.address, before);
    println!("silent for {} ms", silence.as_millis());
    assert_eq!(chunks, whole(CHUNKS), "not a token lost or doubled");
    assert!(silence < Duration::from_secs(2), "{silence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_whole_over_200_ms_with_one_packet_in_twenty_lost() {
    let Some(lab) = Lab::new() else { return };
    let (there, here) = (lab.far_host(Duration::from_millis(100)), lab.host());
    lab.lose(&there, 5);
    let (provider, asker) = (endpoint(&there, 1), endpoint(&here, 2));
    let _keys = serve(&provider, CHUNKS, PAUSE);
    let pool = Pool::new(asker);
    let link = pool.link(&provider.key(), &[direct(&there, &provider)], || secret(99)).await.unwrap();
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(read_all(&link, &"x".repeat(30_000)).await.unwrap(), whole(CHUNKS), "not a token lost or doubled");
        println!("{} ms for {CHUNKS} chunks, a round trip of {:?}", begun.elapsed().as_millis(), link.rtt());
    }
    assert!(link.rtt() > Duration::from_millis(195), "{:?}", link.rtt());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlasts_a_partition_that_heals() {
    let Some(lab) = Lab::new() else { return };
    let (there, here) = (lab.host(), lab.host());
    let (provider, asker) = (endpoint(&there, 1), endpoint(&here, 2));
    let _keys = serve(&provider, CHUNKS, PAUSE);
    let pool = Pool::new(asker);
    let link = pool.link(&provider.key(), &[direct(&there, &provider)], || secret(99)).await.unwrap();
    let apart = Duration::from_secs(3);
    let (chunks, silence) = std::thread::scope(|scope| {
        let reading = during(&link, 50, || {
            lab.cut(&there);
            scope.spawn(|| {
                std::thread::sleep(apart);
                lab.heal();
            });
        });
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(reading))
    });
    println!("silent for {} ms, of them {} cut off", silence.as_millis(), apart.as_millis());
    assert_eq!(chunks, whole(CHUNKS), "not a token lost or doubled");
    assert!(silence >= apart && silence < apart * 3, "{silence:?}");
}
