//! One websocket to a conductor: requests, signals in order, and word of its end the moment it comes.
//!
//! `holochain_client` would do for requests, but it says nothing when a connection ends and runs every signal on a
//! thread of its own, which loses their order.

use crate::link::LinkError;
use crate::ConductorError;
use holochain_serialized_bytes::{SerializedBytes, SerializedBytesError};
use holochain_websocket::{
    connect, ConnectRequest, ReceiveMessage, WebsocketConfig, WebsocketError, WebsocketReceiver, WebsocketSender,
};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Longest time for a connection to be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// A connection. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Socket {
    sender: WebsocketSender,
    closed: CancellationToken,
    _reader: Arc<AbortOnDrop>,
}

impl Socket {
    /// Connects to `host:port`. Responses are of type `R`; signals go to the channel, the newest lost if it is full.
    pub(crate) async fn connect<R>(
        host: &str,
        port: u16,
        origin: &str,
        signals: Option<mpsc::Sender<Vec<u8>>>,
    ) -> Result<Self, ConductorError>
    where
        R: Debug + Send + 'static,
        SerializedBytes: TryInto<R, Error = SerializedBytesError>,
    {
        let url = || format!("ws://{host}:{port}");
        let no_conductor = || ConductorError::NoConductor { url: url() };
        let addresses = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port))).await;
        let addresses: Vec<_> = addresses.map_err(|_| no_conductor())?.map_err(|_| no_conductor())?.collect();
        let mut last = no_conductor();
        for address in addresses {
            let request = ConnectRequest::new(address)
                .try_set_header("Origin", origin)
                .map_err(|_| ConductorError::OriginRefused { url: url(), origin: origin.to_string() })?;
            match tokio::time::timeout(CONNECT_TIMEOUT, connect(Arc::new(WebsocketConfig::CLIENT_DEFAULT), request))
                .await
            {
                Ok(Ok((sender, receiver))) => return Ok(Self::start::<R>(sender, receiver, signals)),
                // An answer that is no websocket: the conductor closes on a wrong origin with an HTTP status.
                Ok(Err(WebsocketError::Websocket(_))) => {
                    last = ConductorError::OriginRefused { url: url(), origin: origin.to_string() };
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Err(last)
    }

    fn start<R>(sender: WebsocketSender, receiver: WebsocketReceiver, signals: Option<mpsc::Sender<Vec<u8>>>) -> Self
    where
        R: Debug + Send + 'static,
        SerializedBytes: TryInto<R, Error = SerializedBytesError>,
    {
        let closed = CancellationToken::new();
        let reader = tokio::spawn(read::<R>(receiver, signals, closed.clone().drop_guard()));
        Self { sender, closed, _reader: Arc::new(AbortOnDrop(reader.abort_handle())) }
    }

    /// Shows the token that the app interface asks for.
    pub(crate) async fn authenticate(&self, token: Vec<u8>) -> Result<(), LinkError> {
        let request = holochain_conductor_api::AppAuthenticationRequest { token };
        self.sender.authenticate_timeout(request, CONNECT_TIMEOUT).await.map_err(|e| self.lost(e))
    }

    /// One request, one response.
    pub(crate) async fn request<S, R>(&self, request: S, timeout: Duration) -> Result<R, LinkError>
    where
        S: Debug,
        SerializedBytes: TryFrom<S, Error = SerializedBytesError>,
        R: DeserializeOwned + Debug,
    {
        tokio::select! {
            biased;
            response = self.sender.request_timeout(request, timeout) => response.map_err(|e| self.lost(e)),
            () = self.closed.cancelled() => Err(LinkError::Closed),
        }
    }

    /// Cancelled when the connection is lost.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    fn lost(&self, error: WebsocketError) -> LinkError {
        match error {
            WebsocketError::Timeout(_) => LinkError::TimedOut,
            WebsocketError::Deserialize(error) => LinkError::Incomprehensible(error.to_string()),
            WebsocketError::Close(_)
            | WebsocketError::Websocket(_)
            | WebsocketError::Io(_)
            | WebsocketError::Other(_) => {
                self.closed.cancel();
                LinkError::Closed
            }
        }
    }
}

/// Reads until the connection ends; the guard then tells everybody.
async fn read<R>(
    mut receiver: WebsocketReceiver,
    signals: Option<mpsc::Sender<Vec<u8>>>,
    _closed: tokio_util::sync::DropGuard,
) where
    R: Debug + Send + 'static,
    SerializedBytes: TryInto<R, Error = SerializedBytesError>,
{
    while let Ok(message) = receiver.recv::<R>().await {
        if let (ReceiveMessage::Signal(bytes), Some(signals)) = (message, &signals) {
            if signals.try_send(bytes).is_err() {
                tracing::warn!("a signal was dropped: they come faster than they are handled");
            }
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("closed", &self.closed.is_cancelled()).finish_non_exhaustive()
    }
}
