//! What both kinds of a router's clients do first: connect, ask, and see whether the path carries enough.

use super::control::{Control, ControlStream};
use super::flow::{self, FLOW_ECHO, FLOW_FIRST, FLOW_MAX};
use super::mtu::{self, Layer};
use super::socket::FlowSocket;
use super::ALPN;
use crate::address::is_reachable;
use crate::config::{Identity, HANDSHAKE_MAX};
use crate::dial::{dial, on_connect};
use crate::error::{ConnectError, LinkError};
use crate::key::TransportSecret;
use ainonymous_types::Bytes32;
use quinn::{Connection, SendDatagramError};
use std::net::SocketAddr;
use std::time::Duration;

/// An echo that has not come back is asked for again after this.
const ECHO_AGAIN: Duration = Duration::from_millis(250);
/// A path that brings no echo back for this long is too narrow.
const ECHO_MAX: Duration = Duration::from_secs(3);

/// A tunnel through a router to whoever is registered there.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// QUIC inside the tunnel. The tunnel lasts as long as connections in it.
    pub(crate) quic: quinn::Endpoint,
    /// What stands for the other side.
    pub(crate) at: SocketAddr,
    /// Where the other side is seen by the router, if both want to meet.
    pub(crate) meet: Option<SocketAddr>,
}

/// Opens a tunnel through the router of key `router` to whoever has registered with key `to`. The router sees a fresh key.
pub(crate) async fn tunnel(
    quic: &quinn::Endpoint,
    layer: Layer,
    (at, router): (SocketAddr, Bytes32),
    to: Bytes32,
    meet: bool,
) -> Result<Tunnel, ConnectError> {
    let (connection, request, answer) =
        request(quic, layer, (at, router), &TransportSecret::fresh()?, &Control::Tunnel { to, meet }).await?;
    let Control::Opened { flow: flow @ FLOW_FIRST..=FLOW_MAX, meet } = answer else { return Err(unexpected()) };
    let socket = FlowSocket::asking(connection, flow, request);
    let at = socket.address_of(flow);
    let quic = socket.endpoint(None).map_err(|e| ConnectError::Refused { reason: e.to_string() })?;
    Ok(Tunnel { quic, at, meet: meet.filter(|at| is_reachable(*at)) })
}

/// Connects to a router and makes the first request. The stream stays open for as long as what was asked for.
pub(crate) async fn request(
    quic: &quinn::Endpoint,
    layer: Layer,
    (at, router): (SocketAddr, Bytes32),
    secret: &TransportSecret,
    control: &Control,
) -> Result<(Connection, ControlStream, Control), ConnectError> {
    let identity = Identity::with(secret, ALPN, mtu::from_client(layer))?;
    let connection = dial(quic, &identity, at, &router).await?;
    let asked = async {
        let streams = connection.open_bi().await.map_err(on_connect)?;
        let mut stream = ControlStream::new(streams);
        stream.send(control).await.map_err(lost)?;
        match stream.recv().await.map_err(lost)? {
            Some(Control::Refused(reason)) => Err(ConnectError::Router { reason }),
            Some(answer) => Ok((stream, answer)),
            None => Err(unexpected()),
        }
    };
    let asked = async {
        let silent = ConnectError::Silent { after: HANDSHAKE_MAX };
        tokio::time::timeout(HANDSHAKE_MAX, asked).await.unwrap_or(Err(silent))
    };
    let (stream, answer) = match control {
        // A registration that would not carry anything must not take the place of one that does.
        Control::Register { .. } => {
            wide_enough(&connection, layer).await?;
            asked.await?
        }
        _ => tokio::try_join!(asked, wide_enough(&connection, layer))?.0,
    };
    Ok((connection, stream, answer))
}

/// Sends a datagram of the largest size that must pass, and waits until it comes back.
async fn wide_enough(connection: &Connection, layer: Layer) -> Result<(), ConnectError> {
    let narrow = ConnectError::NarrowPath { need: layer.mtu() };
    let probe = flow::join(FLOW_ECHO, &vec![0; layer.datagram() - 1]);
    let echoed = async {
        loop {
            match connection.send_datagram(probe.clone()) {
                Ok(()) => {}
                Err(SendDatagramError::ConnectionLost(e)) => return Err(on_connect(e)),
                Err(_) => return Err(narrow.clone()),
            }
            let again = tokio::time::timeout(ECHO_AGAIN, async {
                while connection.read_datagram().await? != probe {}
                Ok(())
            });
            match again.await {
                Ok(came) => return came.map_err(on_connect),
                Err(_) => continue,
            }
        }
    };
    tokio::time::timeout(ECHO_MAX, echoed).await.unwrap_or(Err(narrow.clone()))
}

fn lost(e: LinkError) -> ConnectError {
    ConnectError::Refused { reason: e.to_string() }
}

fn unexpected() -> ConnectError {
    ConnectError::Refused { reason: "the router's answer makes no sense".into() }
}
