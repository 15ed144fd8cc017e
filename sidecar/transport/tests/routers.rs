//! Links through routers on loopback: what comes out is what comes out of a direct link, demands are kept, bounds hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may fail by panicking.

mod common;
#[path = "common/wire.rs"]
mod wire;

use ainonymous_transport::{
    Address, CloseReason, ConnectError, Endpoint, Frame, Hide, LinkError, Pool, Registration, RegistrationState, Route,
    Router, RouterEntry, RouterLimits, RouterOptions, RouterRefusal, Way,
};
use ainonymous_types::*;
use common::*;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::Wire;

fn router_with(seed: u8, limits: RouterLimits) -> Router {
    Router::bind(&RouterOptions { listen: LOOPBACK, secret: secret(seed), limits }).unwrap()
}

fn router(seed: u8) -> Router {
    router_with(seed, RouterLimits::default())
}

async fn registered(mut registration: Registration) -> Registration {
    let stands = async {
        while !matches!(registration.state(), RegistrationState::Registered { .. }) {
            registration.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stands).await.expect("registered in time");
    registration
}

async fn register(provider: &Endpoint, router: &Router, meet: bool) -> Registration {
    registered(provider.register(router.local_addr().unwrap(), router.key(), meet).unwrap()).await
}

async fn hidden(pool: &Pool, to: &Endpoint, way: &Way<'_>) -> Result<ainonymous_transport::Link, ConnectError> {
    pool.link_by(&to.key(), way, || secret(99)).await
}

fn one<'a>(addresses: &'a [Address]) -> Way<'a> {
    Way { addresses, hide: Hide::OneRouter, ..Way::default() }
}

#[tokio::test]
async fn one_router_and_two_bring_what_a_direct_link_brings() {
    let (provider, asker, first, last) = (endpoint(1), endpoint(2), router(11), router(12));
    let (mut keys, _) = serve(&provider, 50, Duration::ZERO);
    let (place, between) =
        (register(&provider, &last, false).await, last.register(first.local_addr().unwrap(), first.key()).unwrap());
    let between = registered(between).await;
    let (addresses, entries) =
        ([place.address()], [RouterEntry { router: last.key(), addresses: vec![between.address()] }]);
    let pool = Pool::new(asker);
    let direct = pool.link(&provider.key(), &at(&provider), || secret(97)).await.unwrap();
    let way = Way { routers: &entries, ..one(&addresses) };
    let through_one = hidden(&pool, &provider, &way).await.unwrap();
    let two = Way { hide: Hide::TwoRouters, ..way };
    let through_two = pool.link_by(&provider.key(), &two, || secret(98)).await.unwrap();
    assert_eq!(direct.route(), Route::Direct);
    assert_eq!(through_one.route(), Route::Routed { hops: 1 });
    assert_eq!(through_two.route(), Route::Routed { hops: 2 });
    for link in [&direct, &through_one, &through_two] {
        assert_eq!(link.peer(), provider.key());
        // The largest question needs packets of full size, and many.
        let answer = read_all(link, &"x".repeat(limits::PROMPT_BYTES_MAX)).await.unwrap();
        assert_eq!(answer, (0..50).collect::<Vec<_>>());
        assert!(link.probe(spec()).await.unwrap().serves);
    }
    for seed in [97, 99, 98] {
        assert_eq!(keys.recv().await.unwrap(), secret(seed).public(), "the asker's key, not a router's");
    }
    for router in [&first, &last] {
        let counts = router.counts();
        assert!(counts.forwarded_bytes > limits::PROMPT_BYTES_MAX as u64, "{counts:?}");
        assert_eq!((counts.dropped_full, counts.dropped_rate, counts.dropped_unknown), (0, 0, 0), "{counts:?}");
        // Inner connections find out by trying how large their packets may be.
        assert!(counts.dropped_large < 20, "{counts:?}");
    }
    assert_eq!(first.counts().flows, 1, "the first router carries the link through two");
    assert_eq!(last.counts().flows, 2);
}

#[tokio::test]
async fn a_demand_that_cannot_be_met_is_refused() {
    let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
    let _keys = serve(&provider, 1, Duration::ZERO);
    let place = register(&provider, &router, true).await;
    let pool = Pool::new(asker);
    let (routed, direct) = ([place.address()], at(&provider));
    for (addresses, hide) in
        [(&routed[..], Hide::NoRouters), (&direct[..], Hide::OneRouter), (&routed[..], Hide::TwoRouters)]
    {
        let refused = hidden(&pool, &provider, &Way { addresses, hide, ..Way::default() }).await.unwrap_err();
        assert_eq!(refused, ConnectError::NoWay { demanded: hide });
    }
    // Where both are known a demand decides, and the link stays as demanded.
    let both = [direct, routed.to_vec()].concat();
    for (hide, route) in
        [(Hide::NoRouters, Route::Direct), (Hide::OneRouter, Route::Routed { hops: 1 }), (Hide::No, Route::Direct)]
    {
        let link = hidden(&pool, &provider, &Way { addresses: &both, hide, ..Way::default() }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(link.route(), route, "{hide:?}");
    }
    let unknown = pool.link_by(&secret(7).public(), &one(&both), || secret(96)).await.unwrap_err();
    assert_eq!(unknown, ConnectError::Router { reason: RouterRefusal::Unknown });
    let impostor = [Address::Routed { at: router.local_addr().unwrap(), router: secret(8).public() }];
    let refused = pool.link_by(&secret(7).public(), &one(&impostor), || secret(96)).await.unwrap_err();
    assert_eq!(refused, ConnectError::WrongKey, "another router than the one that is named");
}

#[tokio::test]
async fn links_of_different_demands_show_different_keys() {
    let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
    let (mut keys, _) = serve(&provider, 1, Duration::ZERO);
    let place = register(&provider, &router, false).await;
    let pool = Pool::new(asker);
    pool.link(&provider.key(), &at(&provider), || secret(50)).await.unwrap();
    pool.link_by(&provider.key(), &one(&[place.address()]), || secret(51)).await.unwrap();
    assert_eq!([keys.recv().await.unwrap(), keys.recv().await.unwrap()], [secret(50).public(), secret(51).public()]);
    assert_eq!(pool.shown_to(&provider.key(), Hide::OneRouter), Some(secret(51).public()));
}

#[tokio::test]
async fn a_routed_link_goes_direct_when_both_want() {
    let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
    let (mut keys, _) = serve(&provider, 3, Duration::ZERO);
    let place = register(&provider, &router, true).await;
    let pool = Pool::new(asker);
    // Only the router's address is known: the direct path comes from the meeting.
    let link = pool.link(&provider.key(), &[place.address()], || secret(99)).await.unwrap();
    let begun = Instant::now();
    while link.route() != Route::Direct {
        assert!(begun.elapsed() < Duration::from_secs(5), "it never went direct");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(link.remote_address(), provider.local_addr().unwrap());
    let before = router.counts().forwarded_bytes;
    assert_eq!(read_all(&link, &"x".repeat(50_000)).await.unwrap(), [0, 1, 2]);
    assert!(router.counts().forwarded_bytes < before + 20_000, "the question did not go through the router");
    assert_eq!([keys.recv().await.unwrap(), keys.recv().await.unwrap()], [secret(99).public(); 2]);
    // Without the router the link lives on.
    router.close().await;
    assert!(link.is_open());
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0, 1, 2]);
}

#[tokio::test]
async fn nobody_is_met_who_does_not_want_to() {
    let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
    let _keys = serve(&provider, 3, Duration::ZERO);
    let place = register(&provider, &router, false).await;
    let pool = Pool::new(asker);
    let link = pool.link(&provider.key(), &[place.address()], || secret(99)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(link.route(), Route::Routed { hops: 1 });
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0, 1, 2]);
}

#[tokio::test]
async fn whoever_leaves_says_so_through_the_router() {
    let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
    let _keys = serve(&provider, u32::MAX, Duration::from_millis(1));
    let place = register(&provider, &router, false).await;
    let pool = Pool::new(asker.clone());
    let reading = |link: ainonymous_transport::Link| tokio::spawn(async move { read_all(&link, "hello").await });
    let link = hidden(&pool, &provider, &one(&[place.address()])).await.unwrap();
    let answer = reading(link.clone());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    provider.close(CloseReason::Leaving).await;
    assert_eq!(answer.await.unwrap().unwrap_err(), LinkError::Ended);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // And the other way round.
    let (provider, ended) = (endpoint(3), tokio::sync::oneshot::channel());
    let arriving = tokio::spawn({
        let provider = provider.clone();
        async move {
            let (link, _departed) = provider.accept().await.unwrap().establish(|_| Default::default()).await.unwrap();
            assert_eq!(link.route(), Route::Routed { hops: 1 });
            let _ = ended.0.send(link.closed().await);
        }
    });
    let place = register(&provider, &router, false).await;
    hidden(&pool, &provider, &one(&[place.address()])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    asker.close(CloseReason::Leaving).await;
    assert_eq!(ended.1.await.unwrap(), LinkError::Ended);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    arriving.await.unwrap();
}

#[tokio::test]
async fn a_router_that_dies_in_mid_answer_breaks_the_link_in_time() {
    for (vanish, within) in [(false, Duration::from_secs(1)), (true, Duration::from_secs(7))] {
        let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
        let _keys = serve(&provider, u32::MAX, Duration::from_millis(1));
        let place = register(&provider, &router, false).await;
        let Address::Routed { router: key, .. } = place.address() else { panic!("{place:?}") };
        let wire = Wire::to(router.local_addr().unwrap()).await;
        let pool = Pool::new(asker);
        let link = hidden(&pool, &provider, &one(&[Address::Routed { at: wire.at, router: key }])).await.unwrap();
        let reading = tokio::spawn({
            let link = link.clone();
            async move { read_all(&link, "hello").await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        if vanish {
            wire.narrow(0);
        } else {
            drop(router);
        }
        let error = reading.await.unwrap().unwrap_err();
        assert!(matches!(error, LinkError::Broken { .. }) && error.may_resume(), "{error:?}");
        assert!(begun.elapsed() < within, "{:?}", begun.elapsed());
        assert!(!link.is_open());
    }
}

#[tokio::test]
async fn an_answer_through_a_router_goes_on_when_either_side_changes_its_address() {
    let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
    let _keys = serve(&provider, 300, Duration::from_millis(2));
    let place = register(&provider, &router, false).await;
    let link = hidden(&Pool::new(asker.clone()), &provider, &one(&[place.address()])).await.unwrap();
    let reading = tokio::spawn(async move { read_all(&link, "hello").await });
    for moving in [&asker, &provider] {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let before = moving.local_addr().unwrap();
        moving.rebind(LOOPBACK).unwrap();
        assert_ne!(moving.local_addr().unwrap(), before);
    }
    assert_eq!(reading.await.unwrap().unwrap(), (0..300).collect::<Vec<_>>(), "not a token lost or doubled");
    assert!(matches!(place.state(), RegistrationState::Registered { .. }));
}

#[tokio::test]
async fn a_link_through_two_breaks_with_either() {
    for dies in 0..2 {
        let (provider, asker) = (endpoint(1), endpoint(2));
        let mut routers = vec![router(11), router(12)];
        let _keys = serve(&provider, u32::MAX, Duration::from_millis(1));
        let place = register(&provider, &routers[1], false).await;
        let between = routers[1].register(routers[0].local_addr().unwrap(), routers[0].key()).unwrap();
        let between = registered(between).await;
        let entries = [RouterEntry { router: routers[1].key(), addresses: vec![between.address()] }];
        let way = Way { addresses: &[place.address()], hide: Hide::TwoRouters, routers: &entries, known: false };
        let pool = Pool::new(asker);
        let link = hidden(&pool, &provider, &way).await.unwrap();
        let reading = tokio::spawn(async move { read_all(&link, "hello").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        drop(routers.remove(dies));
        let error = reading.await.unwrap().unwrap_err();
        assert!(matches!(error, LinkError::Broken { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_path_that_is_too_narrow_is_named() {
    let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
    let _keys = serve(&provider, 1, Duration::ZERO);
    let place = register(&provider, &router, false).await;
    let Address::Routed { router: key, .. } = place.address() else { panic!("{place:?}") };
    let wire = Wire::to(router.local_addr().unwrap()).await;
    let pool = Pool::new(asker);
    let way = [Address::Routed { at: wire.at, router: key }];
    // What a tunnel of 1,280 bytes leaves.
    wire.narrow(1_232);
    let narrow = ConnectError::NarrowPath { need: 1_284 };
    assert_eq!(hidden(&pool, &provider, &one(&way)).await.unwrap_err(), narrow);
    let mut registration = provider.register(wire.at, key, false).unwrap();
    assert_eq!(registration.changed().await, RegistrationState::Waiting { error: narrow });
    assert!(matches!(place.state(), RegistrationState::Registered { .. }), "it took nobody's place");
    drop(registration);
    wire.narrow(1_284);
    let link = hidden(&pool, &provider, &one(&way)).await.unwrap();
    assert_eq!(read_all(&link, &"x".repeat(100_000)).await.unwrap(), [0]);
}

#[tokio::test]
async fn a_path_that_narrows_in_mid_answer_carries_on() {
    let (provider, asker, first, last) = (endpoint(1), endpoint(2), router(11), router(12));
    let _keys = serve(&provider, 20, Duration::ZERO);
    let place = register(&provider, &last, false).await;
    let wire = Wire::to(first.local_addr().unwrap()).await;
    let between = registered(last.register(wire.at, first.key()).unwrap()).await;
    let entries = [RouterEntry { router: last.key(), addresses: vec![between.address()] }];
    let way = Way { addresses: &[place.address()], hide: Hide::TwoRouters, routers: &entries, known: false };
    let link = hidden(&Pool::new(asker), &provider, &way).await.unwrap();
    for carries in [usize::MAX, 1_284] {
        // All layers have found larger packets by the first, and must find back to what is taken for granted.
        wire.narrow(carries);
        let question = "x".repeat(300_000);
        let reading = read_all(&link, &question);
        let answer = tokio::time::timeout(Duration::from_secs(60), reading).await.expect("in time").unwrap();
        assert_eq!(answer, (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_provider_that_lost_its_router_registers_again() {
    let (provider, asker, first) = (endpoint(1), endpoint(2), router(11));
    let _keys = serve(&provider, 1, Duration::ZERO);
    let at: SocketAddr = first.local_addr().unwrap();
    let place = register(&provider, &first, false).await;
    first.close().await;
    drop(first);
    let mut again = Err(ConnectError::NoAddress);
    for _ in 0..50 {
        again = Router::bind(&RouterOptions { listen: at, secret: secret(11), limits: RouterLimits::default() });
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let again = again.unwrap();
    let place = registered(place).await;
    let pool = Pool::new(asker);
    let begun = Instant::now();
    let link = loop {
        match hidden(&pool, &provider, &one(&[place.address()])).await {
            Ok(link) => break link,
            Err(e) => assert!(begun.elapsed() < Duration::from_secs(20), "{e}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0]);
    assert_eq!(again.counts().registrations, 1);
}

#[tokio::test]
async fn the_newest_registration_of_a_key_is_brought_the_askers() {
    let (older, newer, asker, router) = (endpoint(1), endpoint(1), endpoint(2), router(11));
    let ((mut to_older, _), (mut to_newer, _)) = (serve(&older, 1, Duration::ZERO), serve(&newer, 2, Duration::ZERO));
    let mut before = register(&older, &router, false).await;
    let place = register(&newer, &router, false).await;
    let replaced = ConnectError::Router { reason: RouterRefusal::Replaced };
    assert_eq!(before.changed().await, RegistrationState::Waiting { error: replaced });
    let link = hidden(&Pool::new(asker), &newer, &one(&[place.address()])).await.unwrap();
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0, 1]);
    to_newer.recv().await.unwrap();
    assert!(to_older.try_recv().is_err());
    assert_eq!(router.counts().registrations, 1);
    drop(place);
    let begun = Instant::now();
    while router.counts().registrations > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "a place that is given up stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0, 1], "its links go on");
}

#[tokio::test]
async fn a_flood_is_bounded_and_counted() {
    let limits = RouterLimits { registrations: 2, flows: 4, ..RouterLimits::default() };
    let (asker, router) = (endpoint(2), router_with(11, limits));
    let providers: Vec<Endpoint> = (20..23).map(endpoint).collect();
    let mut places = Vec::new();
    for provider in &providers[..2] {
        let _keys = serve(provider, 1, Duration::ZERO);
        places.push(register(provider, &router, false).await);
    }
    let mut third = providers[2].register(router.local_addr().unwrap(), router.key(), false).unwrap();
    let full = ConnectError::Router { reason: RouterRefusal::Full };
    assert_eq!(third.changed().await, RegistrationState::Waiting { error: full.clone() });
    drop(third);
    let (mut links, mut refused) = (Vec::new(), Vec::new());
    for i in 0..10 {
        // A pool each: another asker.
        let pool = Pool::new(asker.clone());
        match hidden(&pool, &providers[i % 2], &one(&[places[i % 2].address()])).await {
            Ok(link) => links.push(link),
            Err(e) => refused.push(e),
        }
    }
    assert_eq!((links.len(), refused), (4, vec![full; 6]));
    let mut floods = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let (asker, provider, address) = (asker.clone(), providers[0].key(), places[0].address());
        floods.spawn(async move {
            let addresses = [address];
            Pool::new(asker).link_by(&provider, &one(&addresses), || secret(99)).await.map(|_| ())
        });
    }
    let mut most = 0;
    while let Some(flooded) = floods.join_next().await {
        assert!(flooded.unwrap().is_err());
        most = most.max(router.counts().peers);
    }
    let counts = router.counts();
    assert!(most <= 32 && counts.flows == 4 && counts.registrations == 2 && counts.refused >= 7, "{most} {counts:?}");
    for link in &links {
        assert_eq!(read_all(link, "hello").await.unwrap(), [0], "those who came in time are served");
    }
}

#[tokio::test]
async fn what_comes_too_fast_is_dropped_and_the_answer_still_whole() {
    let limits = RouterLimits { flow_bytes_per_s: 400_000, ..RouterLimits::default() };
    let (provider, asker, router) = (endpoint(1), endpoint(2), router_with(11, limits));
    let _keys = serve(&provider, 100, Duration::ZERO);
    let place = register(&provider, &router, false).await;
    let link = hidden(&Pool::new(asker), &provider, &one(&[place.address()])).await.unwrap();
    for _ in 0..3 {
        let answer = read_all(&link, &"x".repeat(limits::PROMPT_BYTES_MAX)).await.unwrap();
        assert_eq!(answer, (0..100).collect::<Vec<_>>());
    }
    let counts = router.counts();
    assert!(counts.dropped_rate > 0, "{counts:?}");
}

#[tokio::test]
async fn a_stream_that_is_cancelled_through_a_router_ends_alone() {
    let (provider, asker, router) = (endpoint(1), endpoint(2), router(11));
    let _keys = serve(&provider, u32::MAX, Duration::from_millis(1));
    let place = register(&provider, &router, false).await;
    let link = hidden(&Pool::new(asker), &provider, &one(&[place.address()])).await.unwrap();
    let mut stream = link.open().await.unwrap();
    stream.sender.send(&Frame::Ask(Box::new(ask("hello")))).await.unwrap();
    stream.receiver.recv().await.unwrap().unwrap();
    drop(stream);
    assert!(link.probe(spec()).await.unwrap().serves);
}
