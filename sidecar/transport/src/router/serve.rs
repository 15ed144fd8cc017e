//! The router itself: takes connections, registrations and tunnels, and forwards.

use super::control::{Control, ControlStream, RouterRefusal};
use super::flow;
use super::mtu::{self, Layer};
use super::registration::{Registering, Registration};
use super::table::{Dropped, Opened, PeerId, Registered, RouterLimits, Table, LEASE};
use super::{is_flow, ALPN, REPLACED};
use crate::config::{self, HANDSHAKE_MAX, KNOCKING_MAX};
use crate::door::{Admission, Door, Place};
use crate::endpoint;
use crate::error::ConnectError;
use crate::key::TransportSecret;
use crate::link::CloseReason;
use crate::sync::{lock, Closing};
use crate::tls;
use ainonymous_types::Bytes32;
use futures::stream::{FuturesUnordered, StreamExt};
use quinn::{Connection, SendDatagramError, VarInt};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What nobody uses or renews is looked for this often.
const SWEEP: Duration = Duration::from_secs(1);

/// How a router is made.
#[derive(Clone, Debug)]
pub struct RouterOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Proves the router to whoever connects. Not a provider's: another protocol, another key.
    pub secret: TransportSecret,
    /// How much it does.
    pub limits: RouterLimits,
}

/// A router. Dropping it ends everything that goes through it.
#[derive(Debug)]
pub struct Router {
    quic: quinn::Endpoint,
    secret: TransportSecret,
    core: Arc<Core>,
    arrivals: mpsc::Sender<quinn::Incoming>,
    closing: watch::Sender<Option<VarInt>>,
    _task: JoinSet<()>,
}

/// What a router has done so far. Counts only: it remembers nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterCounts {
    /// Connections at the moment.
    pub peers: usize,
    /// Registered keys at the moment.
    pub registrations: usize,
    /// Tunnels at the moment.
    pub flows: usize,
    /// Datagrams that were forwarded.
    pub forwarded_packets: u64,
    /// Bytes that were forwarded.
    pub forwarded_bytes: u64,
    /// Dropped: of no flow, or no datagram of this protocol.
    pub dropped_unknown: u64,
    /// Dropped: over the rate of a flow or a peer.
    pub dropped_rate: u64,
    /// Dropped: over the quota of a registration.
    pub dropped_quota: u64,
    /// Dropped: the receiver's queue was full, and the oldest in it gave way.
    pub dropped_full: u64,
    /// Dropped: larger than the receiver's path carries.
    pub dropped_large: u64,
    /// Connections and requests that were refused.
    pub refused: u64,
}

#[derive(Debug)]
struct Core {
    table: Mutex<Table<Connection>>,
    door: Arc<Door>,
    forwarded_packets: AtomicU64,
    forwarded_bytes: AtomicU64,
    unknown: AtomicU64,
    rate: AtomicU64,
    quota: AtomicU64,
    full: AtomicU64,
    large: AtomicU64,
    refused: AtomicU64,
}

impl Router {
    /// Opens the socket and begins to serve. Must be called inside a tokio runtime.
    pub fn bind(options: &RouterOptions) -> Result<Self, ConnectError> {
        let RouterOptions { listen, secret, limits } = options;
        let server = config::server(secret, ALPN, mtu::from_router(Layer::Outer))?;
        let quic = endpoint::quic(endpoint::open(*listen)?, server, secret)?;
        let core = Arc::new(Core {
            table: Mutex::new(Table::new(*limits)),
            door: Arc::default(),
            forwarded_packets: AtomicU64::new(0),
            forwarded_bytes: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            quota: AtomicU64::new(0),
            full: AtomicU64::new(0),
            large: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let (arrivals, arrived) = mpsc::channel(KNOCKING_MAX);
        let mut task = JoinSet::new();
        task.spawn(accept(core.clone(), quic.clone(), arrived));
        Ok(Self { quic, secret: secret.clone(), core, arrivals, closing: watch::Sender::new(None), _task: task })
    }

    /// The key that whoever connects must expect.
    pub fn key(&self) -> Bytes32 {
        self.secret.public()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.quic.local_addr().ok()
    }

    /// Registers at another router, for as long as what is returned is kept: askers who want two routers in a row come that way.
    pub fn register(&self, at: SocketAddr, router: Bytes32) -> Result<Registration, ConnectError> {
        Ok(Registration::begin(Registering {
            quic: self.quic.clone(),
            punch: None,
            secret: self.secret.clone(),
            server: config::server(&self.secret, ALPN, mtu::from_router(Layer::Nested))?,
            arrivals: self.arrivals.clone(),
            closing: Closing::of(&self.closing),
            at,
            router,
        }))
    }

    /// What it has done so far.
    pub fn counts(&self) -> RouterCounts {
        let Core { table, door, forwarded_packets, forwarded_bytes, unknown, rate, quota, full, large, refused } =
            &*self.core;
        let (registrations, flows) = lock(table).sizes();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RouterCounts {
            peers: door.taken(),
            registrations,
            flows,
            forwarded_packets: count(forwarded_packets),
            forwarded_bytes: count(forwarded_bytes),
            dropped_unknown: count(unknown),
            dropped_rate: count(rate),
            dropped_quota: count(quota),
            dropped_full: count(full),
            dropped_large: count(large),
            refused: count(refused),
        }
    }

    /// Ends everything; resolves when the other sides have been told.
    pub async fn close(&self) {
        let code = VarInt::from_u32(CloseReason::Leaving as u32);
        self.closing.send_replace(Some(code));
        let _ = tokio::time::timeout(HANDSHAKE_MAX, self.closing.closed()).await;
        self.quic.close(code, b"");
        self.quic.wait_idle().await;
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.quic.close(VarInt::from_u32(CloseReason::Leaving as u32), b"");
    }
}

/// Takes whoever comes, here or through another router, and ends with all of them.
async fn accept(core: Arc<Core>, quic: quinn::Endpoint, mut routed: mpsc::Receiver<quinn::Incoming>) {
    let mut peers = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let incoming = tokio::select! {
            incoming = quic.accept() => incoming,
            incoming = routed.recv() => incoming,
            Some(_) = peers.join_next() => continue,
            _ = sweep.tick() => {
                lock(&core.table).expire(Instant::now());
                continue;
            }
        };
        let Some(incoming) = incoming else { return };
        match core.door.admit(incoming.remote_address().ip(), incoming.remote_address_validated()) {
            Admission::Place(place) => {
                peers.spawn(core.clone().serve(incoming, place));
            }
            Admission::ProveAddress => {
                // It cannot fail: the address is not proved yet.
                let _ = incoming.retry();
            }
            Admission::Full => {
                core.refused.fetch_add(1, Ordering::Relaxed);
                incoming.refuse();
            }
        }
    }
}

impl Core {
    async fn serve(self: Arc<Self>, incoming: quinn::Incoming, _place: Place) {
        let handshake = async { incoming.accept().ok()?.await.ok() };
        let Ok(Some(connection)) = tokio::time::timeout(HANDSHAKE_MAX, handshake).await else { return };
        let Some(key) = tls::peer_key(connection.peer_identity()) else { return };
        let peer = Peer { id: self.join(&connection), core: self, connection, key };
        tokio::select! {
            () = peer.forward() => {}
            () = peer.requests() => {}
        }
    }

    fn join(&self, connection: &Connection) -> PeerId {
        let at = Some(seen(connection)).filter(|at| !is_flow(at.ip()));
        lock(&self.table).join(connection.clone(), at, Instant::now())
    }

    fn count(&self, dropped: Dropped) {
        let counter = match dropped {
            Dropped::Unknown => &self.unknown,
            Dropped::Rate => &self.rate,
            Dropped::Quota => &self.quota,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// One connection. What it has in the table goes with it.
#[derive(Debug)]
struct Peer {
    core: Arc<Core>,
    connection: Connection,
    id: PeerId,
    key: Bytes32,
}

impl Drop for Peer {
    fn drop(&mut self) {
        lock(&self.core.table).leave(self.id);
    }
}

impl Peer {
    /// Forwards what this peer sends, until it is gone.
    async fn forward(&self) {
        while let Ok(datagram) = self.connection.read_datagram().await {
            let len = datagram.len();
            let Some((flow, packet)) = flow::split(datagram) else {
                self.core.count(Dropped::Unknown);
                continue;
            };
            let target = lock(&self.core.table).forward(self.id, flow, len, Instant::now());
            match target {
                Ok((to, flow)) => self.pass_on(&to, flow::join(flow, &packet)),
                Err(dropped) => self.core.count(dropped),
            }
        }
    }

    fn pass_on(&self, to: &Connection, datagram: bytes::Bytes) {
        let (core, len) = (&self.core, datagram.len());
        if to.datagram_send_buffer_space() < len {
            core.full.fetch_add(1, Ordering::Relaxed);
        }
        match to.send_datagram(datagram) {
            Ok(()) => {
                core.forwarded_packets.fetch_add(1, Ordering::Relaxed);
                core.forwarded_bytes.fetch_add(len as u64, Ordering::Relaxed);
            }
            Err(SendDatagramError::TooLarge) => {
                core.large.fetch_add(1, Ordering::Relaxed);
            }
            // Its flows are about to end.
            Err(
                SendDatagramError::ConnectionLost(_)
                | SendDatagramError::UnsupportedByPeer
                | SendDatagramError::Disabled,
            ) => core.count(Dropped::Unknown),
        }
    }

    /// Does what this peer asks for, until it is gone.
    async fn requests(&self) {
        let mut requests = FuturesUnordered::new();
        loop {
            tokio::select! {
                streams = self.connection.accept_bi() => match streams {
                    Ok(streams) => requests.push(self.request(ControlStream::new(streams))),
                    Err(_) => return,
                },
                Some(()) = requests.next() => {}
            }
        }
    }

    async fn request(&self, mut stream: ControlStream) {
        let first = tokio::time::timeout(HANDSHAKE_MAX, stream.recv()).await;
        let refusal = match first {
            Ok(Ok(Some(Control::Register { meet }))) => self.register(&mut stream, meet).await,
            Ok(Ok(Some(Control::Tunnel { to, meet }))) => self.tunnel(&mut stream, &to, meet).await,
            _ => Some(RouterRefusal::Malformed),
        };
        if let Some(refusal) = refusal {
            if !matches!(refusal, RouterRefusal::Ended | RouterRefusal::Replaced) {
                self.core.refused.fetch_add(1, Ordering::Relaxed);
            }
            stream.refuse(refusal).await;
        }
    }

    /// Holds a registration while it is renewed; says why it is refused, if it is.
    async fn register(&self, stream: &mut ControlStream, meet: bool) -> Option<RouterRefusal> {
        let registered = lock(&self.core.table).register(self.id, self.key, meet, Instant::now());
        let Registered { replaced, mut meetings } = match registered {
            Ok(registered) => registered,
            Err(refusal) => return Some(refusal),
        };
        if let Some(replaced) = replaced {
            replaced.close(REPLACED, b"");
        }
        let answer = Control::Registered { lease_s: LEASE.as_secs() as u16, observed: seen(&self.connection) };
        let mut sent = stream.send(&answer).await;
        while sent.is_ok() {
            tokio::select! {
                said = stream.recv() => match said {
                    Ok(Some(Control::Renew)) if lock(&self.core.table).renew(self.id, Instant::now()) => {}
                    Ok(Some(Control::Renew)) => return Some(RouterRefusal::Ended),
                    Ok(Some(_)) => break,
                    Ok(None) | Err(_) => break,
                },
                Some(at) = meetings.recv() => sent = stream.send(&Control::Meet { at }).await,
            }
        }
        lock(&self.core.table).unregister(self.id);
        None
    }

    /// Holds a tunnel until one side ends it; says why it is refused, if it is.
    async fn tunnel(&self, stream: &mut ControlStream, to: &Bytes32, meet: bool) -> Option<RouterRefusal> {
        let opened = lock(&self.core.table).open(self.id, to, meet, Instant::now());
        let Opened { flow, meet, ended } = match opened {
            Ok(opened) => opened,
            Err(refusal) => return Some(refusal),
        };
        if stream.send(&Control::Opened { flow, meet }).await.is_err() {
            lock(&self.core.table).close(self.id, flow);
            return None;
        }
        tokio::select! {
            _ = ended => Some(RouterRefusal::Ended),
            _ = stream.recv() => {
                lock(&self.core.table).close(self.id, flow);
                None
            }
        }
    }
}

/// Where a client is seen, without the disguise that a socket for both families puts on.
fn seen(connection: &Connection) -> SocketAddr {
    let at = connection.remote_address();
    SocketAddr::new(at.ip().to_canonical(), at.port())
}
