//! Two that cannot be reached from outside meet with a router's help: tests only, with firewalls made of sockets.

use crate::endpoint::{open, Endpoint, Socket};
use crate::{Address, ConnectError, Hide, Link, Pool, RegistrationState, Route, Router, RouterOptions, Way};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::collections::HashSet;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::common::*;

/// Lets packets in from where packets have gone to, as a firewall does, or a NAT that keeps ports.
#[derive(Debug)]
struct Firewall {
    socket: Socket,
    open: Mutex<HashSet<SocketAddr>>,
}

impl AsyncUdpSocket for Firewall {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.open.lock().unwrap().insert(transmit.destination);
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = std::task::ready!(self.socket.poll_recv(cx, bufs, meta))?;
        for meta in &mut meta[..received] {
            if !self.open.lock().unwrap().contains(&meta.addr) {
                // QUIC passes over what is empty.
                meta.len = 0;
            }
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

fn behind_firewall(seed: u8) -> Endpoint {
    let firewall = Firewall { socket: open(LOOPBACK).unwrap(), open: Mutex::default() };
    Endpoint::over(Arc::new(firewall), &secret(seed)).unwrap()
}

/// A link between two behind firewalls, and what keeps it up.
async fn linked(meet: bool) -> (Link, Endpoint, Router, crate::Registration) {
    let (provider, asker) = (behind_firewall(1), behind_firewall(2));
    let _keys = serve(&provider, 3, Duration::ZERO);
    let options = RouterOptions { listen: LOOPBACK, secret: secret(11), limits: Default::default() };
    let router = Router::bind(&options).unwrap();
    let mut place = provider.register(router.local_addr().unwrap(), router.key(), meet).unwrap();
    while !matches!(place.state(), RegistrationState::Registered { .. }) {
        place.changed().await;
    }
    let observed = RegistrationState::Registered { observed: provider.local_addr().unwrap() };
    assert_eq!(place.state(), observed);
    // The provider's own address is known too, but of no use behind its firewall.
    let addresses = [Address::Direct(provider.local_addr().unwrap()), place.address()];
    let way = |hide| Way { addresses: &addresses, hide, ..Way::default() };
    let pool = Pool::new(asker);
    let nobody = pool.link_by(&provider.key(), &way(Hide::NoRouters), || secret(98)).await.unwrap_err();
    assert!(matches!(nobody, ConnectError::Silent { .. }), "{nobody:?}");
    let link = pool.link_by(&provider.key(), &way(Hide::No), || secret(99)).await.unwrap();
    assert_eq!(link.route(), Route::Routed { hops: 1 });
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0, 1, 2]);
    (link, provider, router, place)
}

#[tokio::test]
async fn two_behind_firewalls_meet() {
    let (link, provider, router, _place) = linked(true).await;
    let begun = Instant::now();
    while link.route() != Route::Direct {
        assert!(begun.elapsed() < Duration::from_secs(5), "they have not met");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(link.remote_address(), provider.local_addr().unwrap());
    router.close().await;
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0, 1, 2], "the router is not needed any more");
}

#[tokio::test]
async fn without_a_meeting_they_go_on_through_the_router() {
    let (link, _provider, _router, _place) = linked(false).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(link.route(), Route::Routed { hops: 1 });
    assert_eq!(read_all(&link, "hello").await.unwrap(), [0, 1, 2]);
}
