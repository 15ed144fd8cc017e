//! What comes before a handshake has ended, from somebody who sends more than he should: tests only.

use crate::common::*;
use crate::config::Identity;
use crate::frame::{Frame, HEADER_BYTES, REPLY_BYTES_MAX};
use crate::stream::Stream;
use crate::tls;
use std::time::Duration;

/// A question that could be recorded and asked again by others is not read; a probe beside it is answered, and the link is an ordinary
/// one afterwards.
#[tokio::test]
async fn a_question_that_comes_early_is_not_read() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let (mut keys, early) = serve(&provider, 3, Duration::ZERO);
    let identity = Identity::new(&secret(99)).unwrap();
    let (at, name) = (provider.local_addr().unwrap(), tls::name_of(&provider.key()));
    let quic = asker.quic();
    let first = quic.connect_with(identity.config(), at, &name).unwrap().await.unwrap();
    keys.recv().await.unwrap();
    // The ticket comes after the handshake, with whatever comes next.
    let mut stream = Stream::new(first.open_bi().await.unwrap(), REPLY_BYTES_MAX);
    stream.sender.send(&Frame::Probe { spec: spec() }).await.unwrap();
    stream.receiver.recv().await.unwrap();
    first.close(0u32.into(), b"");

    let connecting = quic.connect_with(identity.config(), at, &name).unwrap();
    let (again, accepted) = connecting.into_0rtt().unwrap_or_else(|_| panic!("a ticket"));
    let open = || async { Stream::new(again.open_bi().await.unwrap(), REPLY_BYTES_MAX) };
    let (mut question, mut probe) = (open().await, open().await);
    question.sender.send(&Frame::Ask(Box::new(ask("hello")))).await.unwrap();
    probe.sender.send(&Frame::Probe { spec: spec() }).await.unwrap();
    assert!(accepted.await, "the provider takes early data");
    assert!(matches!(probe.receiver.recv().await, Ok(Some(Frame::Load(_)))));
    assert_eq!(early.load(std::sync::atomic::Ordering::Relaxed), 1);
    let unread = question.receiver.recv().await;
    assert!(!matches!(unread, Ok(Some(_))), "an early question was answered: {unread:?}");
    keys.recv().await.unwrap();
    let mut late = open().await;
    late.sender.send(&Frame::Ask(Box::new(ask("hello")))).await.unwrap();
    assert_eq!(late.receiver.recv().await.unwrap(), Some(tokens(0)));
}

/// Half a frame keeps a handshake waiting for its time and no longer, and only its own.
#[tokio::test]
async fn half_an_early_frame_costs_its_own_link_only() {
    let (provider, asker) = (endpoint(1), endpoint(2));
    let (mut keys, _) = serve(&provider, 3, Duration::ZERO);
    let identity = Identity::new(&secret(99)).unwrap();
    let (at, name) = (provider.local_addr().unwrap(), tls::name_of(&provider.key()));
    let first = asker.quic().connect_with(identity.config(), at, &name).unwrap().await.unwrap();
    keys.recv().await.unwrap();
    let mut stream = Stream::new(first.open_bi().await.unwrap(), REPLY_BYTES_MAX);
    stream.sender.send(&Frame::Probe { spec: spec() }).await.unwrap();
    stream.receiver.recv().await.unwrap();
    first.close(0u32.into(), b"");
    let connecting = asker.quic().connect_with(identity.config(), at, &name).unwrap();
    let (again, _) = connecting.into_0rtt().unwrap_or_else(|_| panic!("a ticket"));
    let mut half = Stream::new(again.open_bi().await.unwrap(), REPLY_BYTES_MAX);
    half.sender.send_part(&[9; HEADER_BYTES - 1]).await;
    let honest = crate::Pool::new(endpoint(3));
    assert_eq!(read_all(&link(&honest, &provider).await.unwrap(), "hello").await.unwrap(), [0, 1, 2]);
    tokio::time::timeout(crate::config::HANDSHAKE_MAX * 2, again.closed()).await.expect("given up in time");
    assert_eq!((provider.counts().failed, provider.counts().open), (1, 1));
}
