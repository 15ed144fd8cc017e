//! The socket: bound before anything else happens, so that a port in use is the first thing that is said.

use crate::router::Api;
use axum::serve::ListenerExt as _;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Port that clients find the API on unless told otherwise.
pub const DEFAULT_PORT: u16 = 11_435;

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Everybody on the network could use the node.
    #[error("{address} is reachable from other machines, and there is no API key yet")]
    NotLoopback {
        /// As asked for.
        address: SocketAddr,
    },
    /// Another program listens there.
    #[error("another program listens on {address}")]
    PortInUse {
        /// As asked for.
        address: SocketAddr,
    },
    /// The operating system does not let us.
    #[error("cannot listen on {address}: {source}")]
    CannotListen {
        /// As asked for.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl ListenError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLoopback { .. } => "not_loopback",
            Self::PortInUse { .. } => "port_in_use",
            Self::CannotListen { .. } => "cannot_listen",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        match self {
            Self::NotLoopback { address } => {
                format!(
                    "make a key with `ainonymous keys create NAME`, or use 127.0.0.1:{} and reach it from elsewhere \
                     through an SSH tunnel",
                    address.port()
                )
            }
            Self::PortInUse { address } => {
                format!("stop the program on port {}, or choose another with --api 127.0.0.1:PORT", address.port())
            }
            Self::CannotListen { .. } => "choose an address of this machine and a port above 1023 with --api".into(),
        }
    }
}

/// A bound socket. Connections wait in it until [`Listener::serve`].
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Binds; port 0 takes any free one. An address that other machines reach needs keys.
pub async fn bind(address: SocketAddr, has_keys: bool) -> Result<Listener, ListenError> {
    if !address.ip().is_loopback() && !has_keys {
        return Err(ListenError::NotLoopback { address });
    }
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::PortInUse { address },
        _ => ListenError::CannotListen { address, source },
    };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok(Listener { socket, address })
}

impl Listener {
    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled and the last answer has gone out.
    pub async fn serve(self, api: Api, stop: CancellationToken) -> std::io::Result<()> {
        let socket = self.socket.tap_io(|connection| {
            // Tokens are small: they must not wait for the acknowledgement of the one before.
            let _ = connection.set_nodelay(true);
        });
        axum::serve(socket, api.into_router()).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}
