//! Links between two endpoints on loopback: who is let in, what passes, what survives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may fail by panicking.

mod common;

use ainonymous_transport::{
    Address, CloseReason, ConnectError, Frame, FrameError, Hide, LinkError, Load, Pool, Way, REPLY_BYTES_MAX,
};
use ainonymous_types::*;
use common::*;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn both_ends_prove_their_keys_and_a_link_is_used_again() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let (mut keys, _) = serve(&provider, 3, Duration::ZERO);
    let pool = Pool::new(asker);
    let first = link(&pool, &provider).await.unwrap();
    assert_eq!(first.peer(), secret(1).public());
    assert_eq!(read_all(&first, "hello").await.unwrap(), [0, 1, 2]);
    let second = link(&pool, &provider).await.unwrap();
    assert_eq!(read_all(&second, &"x".repeat(limits::PROMPT_BYTES_MAX)).await.unwrap(), [0, 1, 2]);
    assert_eq!(keys.recv().await.unwrap(), secret(99).public(), "the key made for this peer, not the endpoint's");
    assert!(keys.try_recv().is_err(), "one link for both");
    assert_eq!(pool.shown_to(&provider.key(), Hide::No), Some(secret(99).public()));
}

#[tokio::test]
async fn a_link_apart_shows_a_key_of_its_own_and_is_not_used_again() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let (mut keys, _) = serve(&provider, 3, Duration::ZERO);
    let pool = Pool::new(asker);
    link(&pool, &provider).await.unwrap();
    assert_eq!(keys.recv().await.unwrap(), secret(99).public());
    let addresses = at(&provider);
    let way = Way { addresses: &addresses, ..Way::default() };
    for seed in [50, 51] {
        let apart = pool.link_apart(&provider.key(), &way, &secret(seed)).await.unwrap();
        assert_eq!(read_all(&apart, "hello").await.unwrap(), [0, 1, 2]);
        assert_eq!(keys.recv().await.unwrap(), secret(seed).public());
    }
    assert_eq!(pool.shown_to(&provider.key(), Hide::No), Some(secret(99).public()), "the pool knows nothing of it");
}

#[tokio::test]
async fn whoever_has_another_key_never_gets_a_byte() {
    let (impostor, asker) = (endpoint(1), endpoint(2));
    let (mut keys, _) = serve(&impostor, 3, Duration::ZERO);
    let pool = Pool::new(asker);
    let expected = secret(5).public();
    let refused = pool.link(&expected, &at(&impostor), || secret(99)).await.unwrap_err();
    assert_eq!(refused, ConnectError::WrongKey);
    let refused = pool.probe(&expected, &at(&impostor), spec(), || secret(99)).await.unwrap_err();
    assert_eq!(refused, ConnectError::WrongKey);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(keys.try_recv().is_err(), "the handshake never ended");
    assert_eq!(impostor.counts().failed, 2);
}

#[tokio::test]
async fn the_second_of_two_addresses_serves_when_the_first_is_silent() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let _keys = serve(&provider, 1, Duration::ZERO);
    // Nobody reads what arrives there.
    let silent = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let addresses = vec![Address::Direct(silent.local_addr().unwrap()), at(&provider)[0]];
    let pool = Pool::new(asker);
    let begun = std::time::Instant::now();
    pool.link(&provider.key(), &addresses, || secret(99)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let nobody = pool.link(&secret(6).public(), &[], || secret(98)).await.unwrap_err();
    assert_eq!(nobody, ConnectError::NoAddress);
}

#[tokio::test]
async fn a_probe_goes_with_the_first_packet_where_one_has_been_before() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let (mut keys, early) = serve(&provider, 1, Duration::ZERO);
    let pool = Pool::new(asker);
    let (load, _) = pool.probe(&provider.key(), &at(&provider), spec(), || secret(99)).await.unwrap();
    assert!(load.serves);
    assert_eq!(early.load(Ordering::Relaxed), 0, "no ticket yet");
    let link = pool.open(&provider.key()).unwrap();
    // The ticket comes after the handshake.
    read_all(&link, "hello").await.unwrap();
    link.close(CloseReason::Done);
    pool.probe(&provider.key(), &at(&provider), spec(), || unreachable!()).await.unwrap();
    assert_eq!(early.load(Ordering::Relaxed), 1);
    for _ in 0..2 {
        assert_eq!(keys.recv().await.unwrap(), secret(99).public(), "a resumed link shows the same key");
    }
    assert_eq!(read_all(&pool.open(&provider.key()).unwrap(), "hello").await.unwrap(), [0]);
}

#[tokio::test]
async fn an_answer_goes_on_when_the_asker_changes_its_address() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let _keys = serve(&provider, 200, Duration::from_millis(2));
    let pool = Pool::new(asker.clone());
    let link = link(&pool, &provider).await.unwrap();
    let before = asker.local_addr().unwrap();
    let reading = tokio::spawn(async move { read_all(&link, "hello").await });
    tokio::time::sleep(Duration::from_millis(80)).await;
    asker.rebind(LOOPBACK).unwrap();
    assert_ne!(asker.local_addr().unwrap(), before);
    assert_eq!(reading.await.unwrap().unwrap(), (0..200).collect::<Vec<_>>(), "not a token lost or doubled");
}

#[tokio::test]
async fn a_stream_that_is_not_wanted_ends_alone() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let _keys = serve(&provider, u32::MAX, Duration::from_millis(1));
    let pool = Pool::new(asker);
    let link = link(&pool, &provider).await.unwrap();
    let mut stream = link.open().await.unwrap();
    stream.sender.send(&Frame::Ask(Box::new(ask("hello")))).await.unwrap();
    stream.receiver.recv().await.unwrap().unwrap();
    drop(stream);
    assert!(link.probe(spec()).await.unwrap().serves);
}

/// A provider that says more than is taken, nonsense, or half a frame.
#[tokio::test]
async fn what_is_no_frame_ends_the_stream_and_says_why() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let pool = Pool::new(asker);
    let long = (u32::try_from(REPLY_BYTES_MAX).unwrap() + 1).to_le_bytes().to_vec();
    let half = [&10u32.to_le_bytes()[..], &[0, 0]].concat();
    let nonsense = [&2u32.to_le_bytes()[..], &[255, 255]].concat();
    let answering = tokio::spawn({
        let provider = provider.clone();
        let answers = [long, half, nonsense];
        async move {
            let (link, _departed) = provider.accept().await.unwrap().establish(|_| Load::default()).await.unwrap();
            for bytes in answers {
                link.accept().await.unwrap().sender.send_raw(&bytes).await;
            }
            link.closed().await
        }
    });
    let link = link(&pool, &provider).await.unwrap();
    let len = REPLY_BYTES_MAX + 1;
    for error in [
        LinkError::Frame(FrameError::TooLong { len, max: REPLY_BYTES_MAX }),
        LinkError::Truncated,
        LinkError::Frame(FrameError::Malformed),
    ] {
        let mut stream = link.open().await.unwrap();
        stream.sender.send(&Frame::Cancel).await.unwrap();
        assert_eq!(stream.receiver.recv().await.unwrap_err(), error);
        assert!(!error.may_resume());
    }
    link.close(CloseReason::Protocol);
    assert_eq!(answering.await.unwrap(), LinkError::Ended);
}

#[tokio::test]
async fn a_link_whose_other_side_vanishes_is_broken_and_one_that_leaves_is_ended() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let _keys = serve(&provider, u32::MAX, Duration::from_millis(1));
    let pool = Pool::new(asker);
    let link = link(&pool, &provider).await.unwrap();
    let reading = tokio::spawn({
        let link = link.clone();
        async move { read_all(&link, "hello").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    provider.close(CloseReason::Leaving).await;
    assert_eq!(reading.await.unwrap().unwrap_err(), LinkError::Ended);
    assert!(!link.is_open());
}

/// Whoever starts again says at once that it knows nothing of links of the time before: nobody has to find out by silence.
#[tokio::test]
async fn a_provider_that_starts_again_is_missed_at_once() {
    let (before, after, asker) = (endpoint(1), endpoint(1), endpoint(2));
    let _keys = serve(&before, u32::MAX, Duration::from_millis(5));
    // Both have the same secret, as one process and the next one after a crash; the address leads to one of them.
    let (address, leads_to) = tokio::sync::watch::channel(before.local_addr().unwrap());
    let near = std::sync::Arc::new(tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap());
    let far = std::sync::Arc::new(tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap());
    let at = near.local_addr().unwrap();
    let asker_at = asker.local_addr().unwrap();
    tokio::spawn({
        let (near, far) = (near.clone(), far.clone());
        async move {
            let mut packet = [0; 2_048];
            while let Ok(len) = near.recv(&mut packet).await {
                let to = *leads_to.borrow();
                let _ = far.send_to(&packet[..len], to).await;
            }
        }
    });
    tokio::spawn(async move {
        let mut packet = [0; 2_048];
        while let Ok(len) = far.recv(&mut packet).await {
            let _ = near.send_to(&packet[..len], asker_at).await;
        }
    });
    let pool = Pool::new(asker);
    let link = pool.link(&before.key(), &[Address::Direct(at)], || secret(99)).await.unwrap();
    let reading = tokio::spawn({
        let link = link.clone();
        async move { read_all(&link, "hello").await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    address.send_replace(after.local_addr().unwrap());
    let begun = std::time::Instant::now();
    let error = link.closed().await;
    assert!(error.may_resume() && begun.elapsed() < Duration::from_secs(3), "{error} after {:?}", begun.elapsed());
    assert!(reading.await.unwrap().unwrap_err().may_resume());
}
