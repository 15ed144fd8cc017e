//! A link: one authenticated connection to one key, with as many streams as there are questions.

use crate::error::LinkError;
use crate::frame::{Frame, Load, FRAME_BYTES_MAX, REPLY_BYTES_MAX};
use crate::stream::{from_connection, Stream};
use ainonymous_types::{Bytes32, EntryHash};
use quinn::{Connection, VarInt};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest wait for the answer to a probe.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// A link. Clones are handles to the same connection; it closes when the last is dropped and no stream is left.
#[derive(Clone, Debug)]
pub struct Link {
    connection: Connection,
    peer: Bytes32,
    /// A stream that arrived while the handshake was ending.
    first: Arc<Mutex<Option<Stream>>>,
}

/// Why a link is closed on purpose; the number goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CloseReason {
    /// Nothing more to say.
    Done = 0,
    /// The node stops.
    Leaving = 1,
    /// The other side broke the protocol.
    Protocol = 2,
    /// Too much at once.
    Busy = 3,
    /// This key is not served here.
    NotWelcome = 4,
}

impl Link {
    pub(crate) fn new(connection: Connection, peer: Bytes32) -> Self {
        Self { connection, peer, first: Arc::default() }
    }

    pub(crate) fn beginning_with(self, first: Option<Stream>) -> Self {
        Self { first: Arc::new(Mutex::new(first)), ..self }
    }

    /// The key that the other side has proved.
    pub fn peer(&self) -> Bytes32 {
        self.peer
    }

    /// Where the other side is at the moment.
    pub fn remote_address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// The measured round trip.
    pub fn rtt(&self) -> Duration {
        self.connection.rtt()
    }

    /// Whether it can still be used.
    pub fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Begins a question. Waits while the other side allows no further stream.
    pub async fn open(&self) -> Result<Stream, LinkError> {
        let stream = self.connection.open_bi().await.map_err(|e| from_connection(&e))?;
        Ok(Stream::new(stream, REPLY_BYTES_MAX))
    }

    /// The next question of the other side.
    pub async fn accept(&self) -> Result<Stream, LinkError> {
        if let Some(first) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(first);
        }
        let stream = self.connection.accept_bi().await.map_err(|e| from_connection(&e))?;
        Ok(Stream::new(stream, FRAME_BYTES_MAX))
    }

    /// Asks how busy the other side is.
    pub async fn probe(&self, spec: EntryHash) -> Result<Load, LinkError> {
        let probed = async {
            let mut stream = self.open().await?;
            stream.sender.send(&Frame::Probe { spec }).await?;
            stream.sender.finish();
            match stream.receiver.recv().await? {
                Some(Frame::Load(load)) => Ok(load),
                _ => Err(LinkError::Truncated),
            }
        };
        let silent = LinkError::Broken { reason: format!("no answer to a probe within {} s", PROBE_MAX.as_secs()) };
        tokio::time::timeout(PROBE_MAX, probed).await.unwrap_or(Err(silent))
    }

    /// Resolves when the link is gone.
    pub async fn closed(&self) -> LinkError {
        from_connection(&self.connection.closed().await)
    }

    /// Ends it at once.
    pub fn close(&self, reason: CloseReason) {
        self.connection.close(VarInt::from_u32(reason as u32), b"");
    }
}
