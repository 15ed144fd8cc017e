//! The socket: who may knock, how often, and where links begin.

use crate::config::{self, Identity, HANDSHAKE_MAX, KNOCKING_MAX};
use crate::connect::Connecting;
use crate::dial::{finish, on_connect, proved};
use crate::door::{Admission, Door, Place};
use crate::error::ConnectError;
use crate::frame::{Frame, Load};
use crate::key::TransportSecret;
use crate::link::{CloseReason, Link};
use crate::room::{Room, Rooms};
use crate::route::Way;
use crate::router::{self, Registering, Registration};
use crate::sync::{lock, Closing};
use crate::tls;
use ainonymous_types::{Bytes32, EntryHash};
use quinn::{AsyncUdpSocket, Runtime, VarInt};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// A socket as QUIC uses it.
pub(crate) type Socket = Arc<dyn AsyncUdpSocket>;

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
    secret: TransportSecret,
    shared: Arc<Shared>,
}

/// What happened to those who knocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    /// Links that are open, of those that arrived.
    pub open: usize,
    /// Handshakes that succeeded.
    pub taken: u64,
    /// Asked to show first that the address is theirs: there were many already.
    pub challenged: u64,
    /// Turned away: too many from everybody, from one network or through one router.
    pub refused: u64,
    /// Handshakes that failed or took too long.
    pub failed: u64,
}

#[derive(Debug)]
struct Shared {
    door: Arc<Door>,
    rooms: Rooms,
    challenged: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    /// QUIC's, for packets that are not QUIC.
    socket: Mutex<Socket>,
    /// Those who arrive through routers.
    routed: (mpsc::Sender<quinn::Incoming>, tokio::sync::Mutex<mpsc::Receiver<quinn::Incoming>>),
    /// Set when the endpoint closes; whoever has to say goodbye elsewhere listens.
    closing: watch::Sender<Option<VarInt>>,
}

/// Somebody who knocks and has a place.
#[derive(Debug)]
pub struct Arriving {
    incoming: quinn::Incoming,
    place: Place,
    shared: Arc<Shared>,
}

impl Endpoint {
    /// Opens the socket. Must be called inside a tokio runtime.
    pub fn bind(options: &EndpointOptions) -> Result<Self, ConnectError> {
        let EndpointOptions { listen, secret } = options;
        Self::over(open(*listen)?, secret)
    }

    /// The same over a socket that is there.
    pub(crate) fn over(socket: Socket, secret: &TransportSecret) -> Result<Self, ConnectError> {
        let config = config::server(secret, config::ALPN, config::transport())?;
        let quic = quic(socket.clone(), config, secret)?;
        let (arrivals, arrived) = mpsc::channel(KNOCKING_MAX);
        let shared = Shared {
            door: Arc::default(),
            rooms: Rooms::default(),
            challenged: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            socket: Mutex::new(socket),
            routed: (arrivals, tokio::sync::Mutex::new(arrived)),
            closing: watch::Sender::new(None),
        };
        Ok(Self { quic, secret: secret.clone(), shared: Arc::new(shared) })
    }

    /// The key that whoever connects must expect.
    pub fn key(&self) -> Bytes32 {
        self.secret.public()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.quic.local_addr().ok()
    }

    /// The next who knocks and is let in, here or at a router where this node is registered; none when the endpoint is
    /// closed. Cancel-safe.
    pub async fn accept(&self) -> Option<Arriving> {
        loop {
            let routed = async { self.shared.routed.1.lock().await.recv().await };
            let incoming = tokio::select! {
                incoming = self.quic.accept() => incoming?,
                incoming = routed => incoming?,
            };
            match self.shared.door.admit(incoming.remote_address().ip(), incoming.remote_address_validated()) {
                Admission::Place(place) => {
                    return Some(Arriving { incoming, place, shared: self.shared.clone() });
                }
                Admission::ProveAddress => {
                    self.shared.challenged.fetch_add(1, Ordering::Relaxed);
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

    /// Registers at a router, for as long as what is returned is kept: whoever asks there for this node's key arrives here.
    ///
    /// With `meet` the router may tell askers who do not hide where this node is, so that both try to do without the router.
    pub fn register(&self, at: SocketAddr, router: Bytes32, meet: bool) -> Result<Registration, ConnectError> {
        Ok(Registration::begin(Registering {
            quic: self.quic.clone(),
            punch: meet.then(|| lock(&self.shared.socket).clone()),
            secret: self.secret.clone(),
            server: config::server(&self.secret, config::ALPN, router::inner())?,
            arrivals: self.shared.routed.0.clone(),
            closing: Closing::of(&self.shared.closing),
            at,
            router,
        }))
    }

    /// Connects to whoever has the key, by the way that stands first.
    pub(crate) async fn connect(
        &self,
        identity: &Identity,
        key: &Bytes32,
        way: &Way<'_>,
    ) -> Result<Link, ConnectError> {
        let closing = Closing::of(&self.shared.closing);
        let connecting = Connecting { quic: self.quic.clone(), identity: identity.clone(), key: *key, closing };
        connecting.link(way).await
    }

    /// The same for whoever was met before: the link can be used before the other side has answered, for what may be
    /// repeated. `Early` says when it has proved its key. Without a ticket it is an ordinary link.
    pub(crate) async fn connect_early(
        &self,
        identity: &Identity,
        key: &Bytes32,
        way: &Way<'_>,
    ) -> Result<(Link, Option<Early>), ConnectError> {
        // Which of several addresses answers is not known before it does.
        let Some(at) = way.single() else { return self.connect(identity, key, way).await.map(|link| (link, None)) };
        let connecting = self.quic.connect_with(identity.config(), at, &tls::name_of(key));
        let connecting = connecting.map_err(|e| ConnectError::Refused { reason: e.to_string() })?;
        match connecting.into_0rtt() {
            Ok((connection, accepted)) => {
                Ok((Link::direct(connection.clone(), *key), Some(Early { connection, accepted })))
            }
            Err(connecting) => Ok((Link::direct(finish(connecting, key).await?, *key), None)),
        }
    }

    /// Takes another local address; links go on from there.
    pub fn rebind(&self, listen: SocketAddr) -> Result<(), ConnectError> {
        let socket = open(listen)?;
        self.quic.rebind_abstract(socket.clone()).map_err(|e| bind_error(&listen.to_string(), &e))?;
        *lock(&self.shared.socket) = socket;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn quic(&self) -> &quinn::Endpoint {
        &self.quic
    }

    /// What happened so far.
    pub fn counts(&self) -> EndpointCounts {
        let Shared { door, rooms: _, challenged, taken, refused, failed, socket: _, routed: _, closing: _ } =
            &*self.shared;
        EndpointCounts {
            open: door.taken(),
            challenged: challenged.load(Ordering::Relaxed),
            taken: taken.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
        }
    }

    /// Ends all links and takes no more; resolves when the other sides have been told.
    pub async fn close(&self, reason: CloseReason) {
        let code = VarInt::from_u32(reason as u32);
        // Links through routers first: they need the connections to routers to say goodbye.
        self.shared.closing.send_replace(Some(code));
        let _ = tokio::time::timeout(HANDSHAKE_MAX, self.shared.closing.closed()).await;
        self.quic.close(code, b"");
        self.quic.wait_idle().await;
    }
}

/// Opens a socket.
pub(crate) fn open(listen: SocketAddr) -> Result<Socket, ConnectError> {
    let socket = UdpSocket::bind(listen).and_then(|socket| quinn::TokioRuntime.wrap_udp_socket(socket));
    socket.map_err(|e| bind_error(&listen.to_string(), &e))
}

/// QUIC that answers on a socket.
pub(crate) fn quic(
    socket: Socket,
    config: quinn::ServerConfig,
    secret: &TransportSecret,
) -> Result<quinn::Endpoint, ConnectError> {
    let runtime = Arc::new(quinn::TokioRuntime);
    let quic = quinn::Endpoint::new_with_abstract_socket(config::socket(secret), Some(config), socket, runtime);
    quic.map_err(|e| bind_error("the socket", &e))
}

fn bind_error(address: &str, e: &std::io::Error) -> ConnectError {
    ConnectError::Bind { address: address.to_owned(), reason: e.to_string() }
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
    /// Where from; behind a router this is an address that means nothing elsewhere.
    pub fn remote_address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Carries the handshake through. The link counts until `Departed` is dropped.
    ///
    /// Probes that came with the first packet are answered meanwhile: somebody may have recorded and repeated them, but all
    /// that he gets is a few encrypted bytes. Anything else that comes early is not read.
    pub async fn establish(self, load: impl Fn(&EntryHash) -> Load) -> Option<(Link, Departed)> {
        let Self { incoming, place, shared } = self;
        let proved =
            tokio::time::timeout(HANDSHAKE_MAX, handshake(incoming, shared.rooms.of_link(), load)).await.ok().flatten();
        match proved {
            Some(link) => {
                shared.taken.fetch_add(1, Ordering::Relaxed);
                Some((link, Departed(place)))
            }
            None => {
                shared.failed.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

async fn handshake(incoming: quinn::Incoming, room: Room, load: impl Fn(&EntryHash) -> Load) -> Option<Link> {
    let (connection, mut ended) = incoming.accept().ok()?.into_0rtt().ok()?;
    let unproved = Link::arrived(connection.clone(), Bytes32([0; 32]), room.clone());
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
    Some(Link::arrived(connection, key, room).beginning_with(first))
}

/// Keeps a link's place; to be dropped when it is gone.
#[derive(Debug)]
pub struct Departed(#[allow(dead_code, reason = "its drop gives the place back")] Place);
