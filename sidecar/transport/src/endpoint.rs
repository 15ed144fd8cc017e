//! The socket: who may knock, how often, and how one reaches a peer that has several addresses.

use crate::address::Address;
use crate::error::ConnectError;
use crate::frame::{Frame, Load};
use crate::key::TransportSecret;
use crate::link::{CloseReason, Link};
use crate::tls;
use ainonymous_types::{Bytes32, EntryHash};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, IdleTimeout, TransportConfig, TransportErrorCode, VarInt};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The protocol and its version: another version is another name, and refused in the handshake.
pub(crate) const ALPN: &[u8] = b"ainonymous/1";
/// Connections taken at once, from everybody.
const LINKS_MAX: usize = 1_024;
/// Connections taken at once from one address (IPv4) or network of 64 bits (IPv6).
const LINKS_PER_NETWORK_MAX: usize = 32;
/// With so many connections, whoever knocks must first show that the address is his.
const LINKS_TRUSTED_MAX: usize = 256;
/// Handshakes that wait to be looked at; more are dropped.
const KNOCKING_MAX: usize = 256;
/// Bytes of one datagram that waits to be looked at, over all that wait.
const KNOCKING_BYTES_MAX: u64 = 1 << 20;
/// Longest handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// A link on which nothing is heard for this long is gone.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Silence is broken this often, by the side that connected.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// Questions on one link at once.
const STREAMS_MAX: u32 = 64;
/// Bytes of one stream that may wait unread; a question of the largest size takes several round trips.
const STREAM_WINDOW: u32 = 256 << 10;
/// Bytes of one link that may wait unread.
const LINK_WINDOW: u32 = 512 << 10;
/// Bytes of one link that may wait unsent.
const SEND_WINDOW: u64 = 1 << 20;
/// A next address is tried after this, beside the one before.
const NEXT_ADDRESS: Duration = Duration::from_millis(150);

/// How an endpoint is made.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Proves this node to whoever connects.
    pub secret: TransportSecret,
}

/// A socket that links begin and arrive at. Clones are handles to the same socket.
#[derive(Clone, Debug)]
pub struct Endpoint {
    quic: quinn::Endpoint,
    key: Bytes32,
    shared: Arc<Shared>,
}

/// What happened to those who knocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    /// Links that are open, of those that arrived.
    pub open: usize,
    /// Handshakes that succeeded.
    pub taken: u64,
    /// Turned away: too many from everybody or from one network.
    pub refused: u64,
    /// Handshakes that failed or took too long.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Shared {
    networks: Mutex<HashMap<IpAddr, usize>>,
    taken: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// Somebody who knocks and has a place.
#[derive(Debug)]
pub struct Arriving {
    incoming: quinn::Incoming,
    place: Place,
}

/// A place among the links; given back when dropped.
#[derive(Debug)]
struct Place {
    network: IpAddr,
    shared: Arc<Shared>,
}

/// A client's side of TLS, with its own key and its own memory of earlier links.
#[derive(Clone, Debug)]
pub(crate) struct Identity(quinn::ClientConfig);

impl Identity {
    pub(crate) fn new(secret: &TransportSecret) -> Result<Self, ConnectError> {
        let tls = tls::client(secret, ALPN).map_err(|e| key_error(&e))?;
        let quic = QuicClientConfig::try_from(tls).map_err(|e| key_error(&e))?;
        let mut config = quinn::ClientConfig::new(Arc::new(quic));
        let mut transport = transport_config();
        transport.keep_alive_interval(Some(KEEP_ALIVE));
        // Whoever asks is never asked back.
        transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
        config.transport_config(Arc::new(transport));
        Ok(Self(config))
    }
}

impl Endpoint {
    /// Opens the socket. Must be called inside a tokio runtime.
    pub fn bind(options: &EndpointOptions) -> Result<Self, ConnectError> {
        let EndpointOptions { listen, secret } = options;
        let tls = tls::server(secret, ALPN).map_err(|e| key_error(&e))?;
        let quic = QuicServerConfig::try_from(tls).map_err(|e| key_error(&e))?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(quic));
        config.transport_config(Arc::new(transport_config()));
        config.max_incoming(KNOCKING_MAX);
        config.incoming_buffer_size_total(KNOCKING_BYTES_MAX);
        let quic = quinn::Endpoint::server(config, *listen)
            .map_err(|e| ConnectError::Bind { address: listen.to_string(), reason: e.to_string() })?;
        Ok(Self { quic, key: secret.public(), shared: Arc::default() })
    }

    /// The key that whoever connects must expect.
    pub fn key(&self) -> Bytes32 {
        self.key
    }

    /// Where it listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.quic.local_addr().ok()
    }

    /// The next who knocks and is let in; none when the endpoint is closed. Cancel-safe.
    pub async fn accept(&self) -> Option<Arriving> {
        loop {
            let incoming = self.quic.accept().await?;
            let network = network_of(incoming.remote_address().ip());
            match self.shared.admit(network, incoming.remote_address_validated()) {
                Admission::Place => {
                    return Some(Arriving { incoming, place: Place { network, shared: self.shared.clone() } });
                }
                Admission::ProveAddress => {
                    // It cannot fail: the address is not proved yet.
                    let _ = incoming.retry();
                }
                Admission::Full => {
                    self.shared.refused.fetch_add(1, Ordering::Relaxed);
                    incoming.refuse();
                }
            }
        }
    }

    /// Connects to whoever has the key, at one of the addresses; a next one is tried beside the one before.
    pub(crate) async fn connect(
        &self,
        identity: &Identity,
        key: &Bytes32,
        addresses: &[Address],
    ) -> Result<Link, ConnectError> {
        let mut attempts = tokio::task::JoinSet::new();
        for (i, Address::Direct(address)) in addresses.iter().copied().enumerate() {
            let (quic, config, name) = (self.quic.clone(), identity.0.clone(), tls::name_of(key));
            attempts.spawn(async move {
                tokio::time::sleep(NEXT_ADDRESS * u32::try_from(i).unwrap_or(u32::MAX)).await;
                let connecting = quic.connect_with(config, address, &name);
                let connecting = connecting.map_err(|e| ConnectError::Refused { reason: e.to_string() })?;
                match tokio::time::timeout(HANDSHAKE_MAX, connecting).await {
                    Ok(connected) => connected.map_err(on_connect),
                    Err(_) => Err(ConnectError::Silent { after: HANDSHAKE_MAX }),
                }
            });
        }
        let mut worst = ConnectError::NoAddress;
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok(connection)) => {
                    return proved(connection, key);
                }
                // An impostor at one address is worth more to know than silence at another.
                Ok(Err(e)) if worst != ConnectError::WrongKey => worst = e,
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Err(worst)
    }

    /// The same for whoever was met before: the link can be used before the other side has answered, for what may be
    /// repeated. `Early` says when it has proved its key. Without a ticket it is an ordinary link.
    pub(crate) async fn connect_early(
        &self,
        identity: &Identity,
        key: &Bytes32,
        addresses: &[Address],
    ) -> Result<(Link, Option<Early>), ConnectError> {
        if let [Address::Direct(address)] = addresses {
            let connecting = self.quic.connect_with(identity.0.clone(), *address, &tls::name_of(key));
            let connecting = connecting.map_err(|e| ConnectError::Refused { reason: e.to_string() })?;
            match connecting.into_0rtt() {
                Ok((connection, accepted)) => {
                    return Ok((Link::new(connection.clone(), *key), Some(Early { connection, accepted })));
                }
                Err(connecting) => {
                    let silent = ConnectError::Silent { after: HANDSHAKE_MAX };
                    let connected = tokio::time::timeout(HANDSHAKE_MAX, connecting).await.map_err(|_| silent)?;
                    return proved(connected.map_err(on_connect)?, key).map(|link| (link, None));
                }
            }
        }
        // Which of several addresses answers is not known before it does.
        self.connect(identity, key, addresses).await.map(|link| (link, None))
    }

    /// Takes another local address; links go on from there.
    pub fn rebind(&self, listen: SocketAddr) -> Result<(), ConnectError> {
        let bind = |e: std::io::Error| ConnectError::Bind { address: listen.to_string(), reason: e.to_string() };
        let socket = std::net::UdpSocket::bind(listen).map_err(bind)?;
        self.quic.rebind(socket).map_err(bind)
    }

    /// What happened so far.
    pub fn counts(&self) -> EndpointCounts {
        let Shared { networks, taken, refused, failed } = &*self.shared;
        EndpointCounts {
            open: lock(networks).values().sum(),
            taken: taken.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
        }
    }

    /// Ends all links and takes no more; resolves when the other sides have been told.
    pub async fn close(&self, reason: CloseReason) {
        self.quic.close(VarInt::from_u32(reason as u32), b"");
        self.quic.wait_idle().await;
    }
}

/// A link whose other side has not answered yet.
#[allow(missing_debug_implementations, reason = "quinn's part has none")]
pub(crate) struct Early {
    connection: quinn::Connection,
    accepted: quinn::ZeroRttAccepted,
}

impl Early {
    /// Resolves when the other side has proved its key. What was sent early is lost if it did not want that.
    pub(crate) async fn proved(self, key: &Bytes32) -> Result<(), ConnectError> {
        let Self { connection, accepted } = self;
        if tokio::time::timeout(HANDSHAKE_MAX, accepted).await.is_err() {
            return Err(ConnectError::Silent { after: HANDSHAKE_MAX });
        }
        match connection.close_reason() {
            Some(reason) => Err(on_connect(reason)),
            None => proved(connection, key).map(|_| ()),
        }
    }
}

impl Arriving {
    /// Where from.
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Carries the handshake through. The link counts until `Departed` is dropped.
    ///
    /// Probes that came with the first packet are answered meanwhile: somebody may have recorded and repeated them, but all
    /// that he gets is a few encrypted bytes. Anything else that comes early is not read.
    pub async fn establish(self, load: impl Fn(&EntryHash) -> Load) -> Option<(Link, Departed)> {
        let Self { incoming, place } = self;
        let proved = tokio::time::timeout(HANDSHAKE_MAX, handshake(incoming, load)).await.ok().flatten();
        match proved {
            Some(link) => {
                place.shared.taken.fetch_add(1, Ordering::Relaxed);
                Some((link, Departed(place)))
            }
            None => {
                place.shared.failed.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

async fn handshake(incoming: quinn::Incoming, load: impl Fn(&EntryHash) -> Load) -> Option<Link> {
    let (connection, mut ended) = incoming.accept().ok()?.into_0rtt().ok()?;
    let unproved = Link::new(connection.clone(), Bytes32([0; 32]));
    let mut first = None;
    while first.is_none() {
        tokio::select! {
            biased;
            _ = &mut ended => break,
            stream = unproved.accept() => {
                let mut stream = stream.ok()?;
                if !stream.receiver.is_early() {
                    // The handshake has ended just now: this stream is the link's first.
                    first = Some(stream);
                } else if let Ok(Some(Frame::Probe { spec })) = stream.receiver.recv().await {
                    stream.sender.send(&Frame::Load(load(&spec))).await.ok()?;
                    stream.sender.finish();
                }
            }
        }
    }
    let key = tls::peer_key(connection.peer_identity())?;
    Some(Link::new(connection, key).beginning_with(first))
}

/// Keeps a link's place; to be dropped when it is gone.
#[derive(Debug)]
pub struct Departed(#[allow(dead_code, reason = "its drop gives the place back")] Place);

#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Place,
    ProveAddress,
    Full,
}

impl Shared {
    fn admit(&self, network: IpAddr, proved: bool) -> Admission {
        let mut networks = lock(&self.networks);
        let (all, of_network) = (networks.values().sum::<usize>(), networks.get(&network).copied().unwrap_or(0));
        if all >= LINKS_MAX || of_network >= LINKS_PER_NETWORK_MAX {
            Admission::Full
        } else if !proved && all >= LINKS_TRUSTED_MAX {
            Admission::ProveAddress
        } else {
            *networks.entry(network).or_default() += 1;
            Admission::Place
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut networks = lock(&self.shared.networks);
        if let Some(count) = networks.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(&self.network);
            }
        }
    }
}

fn proved(connection: quinn::Connection, key: &Bytes32) -> Result<Link, ConnectError> {
    match tls::peer_key(connection.peer_identity()) {
        Some(proved) if proved == *key => Ok(Link::new(connection, proved)),
        _ => Err(ConnectError::WrongKey),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One IPv4 address, or the 64 bits of an IPv6 address that one customer has.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => v6
            .to_ipv4_mapped()
            .map_or_else(|| IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))), IpAddr::V4),
    }
}

fn transport_config() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(LINK_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None);
    if let Ok(idle) = IdleTimeout::try_from(IDLE_MAX) {
        transport.max_idle_timeout(Some(idle));
    }
    transport
}

fn on_connect(e: ConnectionError) -> ConnectError {
    match e {
        ConnectionError::TimedOut => ConnectError::Silent { after: HANDSHAKE_MAX },
        // TLS says this of a key that is not the expected one, on our side.
        ConnectionError::TransportError(ref t) if is_bad_certificate(t.code) => ConnectError::WrongKey,
        ConnectionError::LocallyClosed => ConnectError::Closed,
        other => ConnectError::Refused { reason: other.to_string() },
    }
}

/// The alerts `bad_certificate` and `certificate_unknown` (RFC 8446, section 6) as QUIC carries them (RFC 9001, section 4.8).
fn is_bad_certificate(code: TransportErrorCode) -> bool {
    [42, 46].into_iter().any(|alert| code == TransportErrorCode::crypto(alert))
}

fn key_error(e: &impl std::fmt::Display) -> ConnectError {
    ConnectError::Key { reason: e.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_cannot_take_all_places() {
        let shared = Shared::default();
        let one = network_of("192.0.2.1".parse().unwrap());
        for _ in 0..LINKS_PER_NETWORK_MAX {
            assert_eq!(shared.admit(one, false), Admission::Place);
        }
        assert_eq!(shared.admit(one, true), Admission::Full);
        assert_eq!(shared.admit(network_of("192.0.2.2".parse().unwrap()), false), Admission::Place);
    }

    #[test]
    fn many_must_prove_their_address_and_too_many_are_turned_away() {
        let shared = Shared::default();
        let network = |i: usize| IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(i).unwrap()));
        for i in 0..LINKS_TRUSTED_MAX {
            assert_eq!(shared.admit(network(i), false), Admission::Place);
        }
        assert_eq!(shared.admit(network(LINKS_TRUSTED_MAX), false), Admission::ProveAddress);
        for i in LINKS_TRUSTED_MAX..LINKS_MAX {
            assert_eq!(shared.admit(network(i), true), Admission::Place);
        }
        assert_eq!(shared.admit(network(LINKS_MAX), true), Admission::Full);
    }

    #[test]
    fn a_place_is_given_back() {
        let shared = Arc::new(Shared::default());
        let network = network_of("2001:db8::1".parse().unwrap());
        assert_eq!(network, network_of("2001:db8::ffff".parse().unwrap()));
        assert_eq!(shared.admit(network, true), Admission::Place);
        drop(Place { network, shared: shared.clone() });
        assert!(lock(&shared.networks).is_empty());
    }
}
