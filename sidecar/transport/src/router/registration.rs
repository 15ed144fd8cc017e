//! A place at a router: it brings whoever asks for this node's key. Kept up until it is dropped.

use super::client::request;
use super::control::{Control, ControlStream, RouterRefusal};
use super::mtu::Layer;
use super::socket::FlowSocket;
use super::table::LEASE;
use super::REPLACED;
use crate::address::{is_reachable, Address};
use crate::endpoint::Socket;
use crate::error::ConnectError;
use crate::key::TransportSecret;
use crate::sync::Closing;
use ainonymous_types::Bytes32;
use quinn::udp::Transmit;
use quinn::ConnectionError;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// A lost registration is tried again after this, then after twice as long, and so on.
const AGAIN_MIN: Duration = Duration::from_secs(1);
/// The longest time between two tries.
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// A lease is renewed so often while it lasts.
const RENEWALS: u32 = 3;
/// Packets that make a way through this node's NAT for whoever wants to meet it.
pub(crate) const PUNCHES: u32 = 8;
/// Time between two of them.
const PUNCH_EACH: Duration = Duration::from_millis(250);
/// Meetings at once; more are passed over, for their tunnels serve as well.
const MEETINGS_MAX: usize = 8;
/// Too short to be a QUIC packet: whoever gets it passes over it.
pub(crate) const PUNCH: &[u8] = &[0];

/// A place at a router. Dropping it ends it; links that came through it go on.
#[derive(Debug)]
pub struct Registration {
    address: Address,
    state: watch::Receiver<RegistrationState>,
    _task: JoinSet<()>,
}

/// How a registration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// The router has not answered yet.
    Connecting,
    /// The router brings whoever asks.
    Registered {
        /// Where the router sees this node.
        observed: SocketAddr,
    },
    /// It failed or was lost, and is tried again.
    Waiting {
        /// Why.
        error: ConnectError,
    },
}

/// What a registration needs.
#[derive(Debug)]
pub(crate) struct Registering {
    /// Where connections to the router begin.
    pub(crate) quic: quinn::Endpoint,
    /// The same socket, for packets that are not QUIC; none if this node does not want to meet anybody.
    pub(crate) punch: Option<Socket>,
    /// Proves the key that is registered.
    pub(crate) secret: TransportSecret,
    /// For connections that arrive.
    pub(crate) server: quinn::ServerConfig,
    /// Takes those who arrive.
    pub(crate) arrivals: mpsc::Sender<quinn::Incoming>,
    /// Says with which code the endpoint closes.
    pub(crate) closing: Closing,
    /// Where the router listens.
    pub(crate) at: SocketAddr,
    /// The router's key.
    pub(crate) router: Bytes32,
}

impl Registration {
    pub(crate) fn begin(registering: Registering) -> Self {
        let address = Address::Routed { at: registering.at, router: registering.router };
        let (told, state) = watch::channel(RegistrationState::Connecting);
        let mut task = JoinSet::new();
        task.spawn(keep(registering, told));
        Self { address, state, _task: task }
    }

    /// Where this node can be reached through the router, for its capability entry.
    pub fn address(&self) -> Address {
        self.address
    }

    /// How it stands.
    pub fn state(&self) -> RegistrationState {
        self.state.borrow().clone()
    }

    /// Resolves when it stands otherwise than at the last call.
    pub async fn changed(&mut self) -> RegistrationState {
        // It ends only with this registration, which is borrowed here.
        let _ = self.state.changed().await;
        self.state.borrow_and_update().clone()
    }
}

async fn keep(registering: Registering, told: watch::Sender<RegistrationState>) {
    let mut again = AGAIN_MIN;
    loop {
        let begun = Instant::now();
        let error = once(&registering, &told).await;
        if error == ConnectError::Closed {
            told.send_replace(RegistrationState::Waiting { error });
            return;
        }
        tracing::debug!(router = %registering.at, %error, "not registered");
        // Whoever has the same key elsewhere is not fought with.
        let replaced = error == ConnectError::Router { reason: RouterRefusal::Replaced };
        again = match (replaced, begun.elapsed() > AGAIN_MAX) {
            (true, _) => AGAIN_MAX,
            (false, true) => AGAIN_MIN,
            (false, false) => again,
        };
        told.send_replace(RegistrationState::Waiting { error });
        let mut closing = registering.closing.clone();
        tokio::select! {
            () = tokio::time::sleep(again) => {}
            _ = closing.code() => return,
        }
        again = (again * 2).min(AGAIN_MAX);
    }
}

/// Registers and stays so; says why it ended.
async fn once(registering: &Registering, told: &watch::Sender<RegistrationState>) -> ConnectError {
    let Registering { quic, punch, secret, server, arrivals, closing, at, router } = registering;
    let mut closing = closing.clone();
    let control = Control::Register { meet: punch.is_some() };
    let (connection, stream, answer) = match request(quic, Layer::Outer, (*at, *router), secret, &control).await {
        Ok(registered) => registered,
        Err(e) => return e,
    };
    let Control::Registered { lease_s, observed } = answer else {
        return ConnectError::Refused { reason: "the router's answer makes no sense".into() };
    };
    let inner = match FlowSocket::registered(connection.clone()).endpoint(Some(server.clone())) {
        Ok(inner) => inner,
        Err(e) => return ConnectError::Refused { reason: e.to_string() },
    };
    told.send_replace(RegistrationState::Registered { observed });
    let lease = Duration::from_secs(u64::from(lease_s)).clamp(Duration::from_secs(1), LEASE);
    let error = tokio::select! {
        error = converse(stream, lease / RENEWALS, punch.as_ref()) => error,
        code = closing.code() => {
            inner.close(code, b"");
            inner.wait_idle().await;
            ConnectError::Closed
        }
        () = take(&inner, arrivals) => ConnectError::Refused { reason: "the connection to the router is gone".into() },
    };
    match connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(closed)) if closed.error_code == REPLACED => {
            ConnectError::Router { reason: RouterRefusal::Replaced }
        }
        _ => error,
    }
}

/// Hands on whoever arrives; resolves when the connection to the router is gone.
async fn take(inner: &quinn::Endpoint, arrivals: &mpsc::Sender<quinn::Incoming>) {
    while let Some(incoming) = inner.accept().await {
        if let Err(mpsc::error::TrySendError::Full(incoming) | mpsc::error::TrySendError::Closed(incoming)) =
            arrivals.try_send(incoming)
        {
            incoming.refuse();
        }
    }
}

/// Renews, and goes to meet whoever wants to.
async fn converse(mut stream: ControlStream, renew: Duration, punch: Option<&Socket>) -> ConnectError {
    let mut renewals = tokio::time::interval(renew);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut meetings = JoinSet::new();
    loop {
        tokio::select! {
            _ = renewals.tick() => {
                if let Err(e) = stream.send(&Control::Renew).await {
                    return ConnectError::Refused { reason: e.to_string() };
                }
            }
            said = stream.recv() => match said {
                Ok(Some(Control::Meet { at })) => {
                    while meetings.try_join_next().is_some() {}
                    if let (Some(punch), true) = (punch, is_reachable(at) && meetings.len() < MEETINGS_MAX) {
                        meetings.spawn(meet(punch.clone(), at));
                    }
                }
                Ok(Some(Control::Refused(reason))) => return ConnectError::Router { reason },
                Ok(_) => return ConnectError::Router { reason: RouterRefusal::Ended },
                Err(e) => return ConnectError::Refused { reason: e.to_string() },
            },
        }
    }
}

/// Makes this node's NAT expect packets from there.
async fn meet(socket: Socket, at: SocketAddr) {
    let at = match (socket.local_addr(), at.ip()) {
        (Ok(SocketAddr::V6(_)), IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), at.port()),
        _ => at,
    };
    for _ in 0..PUNCHES {
        let packet = Transmit { destination: at, ecn: None, contents: PUNCH, segment_size: None, src_ip: None };
        // A packet that cannot be sent is one that is lost.
        let _ = socket.try_send(&packet);
        tokio::time::sleep(PUNCH_EACH).await;
    }
}
