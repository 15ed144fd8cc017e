//! What goes wrong on a link, each with what it means for the question on it.

use crate::frame::FrameError;
use crate::route::Hide;
use crate::router::RouterRefusal;
use std::time::Duration;

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The local socket cannot be opened.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// Where.
        address: String,
        /// The operating system's reason.
        reason: String,
    },
    /// A key cannot be used.
    #[error("the transport key cannot be used: {reason}")]
    Key {
        /// What the cryptographic library says.
        reason: String,
    },
    /// The peer names no address that can be tried.
    #[error("the peer names no address that can be tried from here")]
    NoAddress,
    /// Nobody answered in time.
    #[error("no answer within {} ms", after.as_millis())]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// Somebody answered who does not have the key.
    #[error("whoever answered does not have the peer's key")]
    WrongKey,
    /// The peer does not take the connection.
    #[error("the peer does not take the connection: {reason}")]
    Refused {
        /// In the words of QUIC.
        reason: String,
    },
    /// None of the peer's addresses is what was demanded.
    #[error("the peer cannot be reached {}", demanded.in_words())]
    NoWay {
        /// The demand.
        demanded: Hide,
    },
    /// A router does not do what was asked.
    #[error("the router refused: {reason}")]
    Router {
        /// In its words.
        reason: RouterRefusal,
    },
    /// The way to a router does not carry packets of the size that sealed packets inside them need.
    #[error("the network path to the router does not carry UDP packets of {need} bytes")]
    NarrowPath {
        /// Bytes that are needed, without the headers of UDP and IP.
        need: u16,
    },
    /// This endpoint is closed.
    #[error("this node is stopping")]
    Closed,
}

/// Why a stream or link has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The link broke: the question on it may be taken up again on another.
    #[error("the link broke: {reason}")]
    Broken {
        /// In the words of QUIC.
        reason: String,
    },
    /// The other side ended the link or stream on purpose.
    #[error("the other side ended it")]
    Ended,
    /// The other side sent what is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The other side ended its stream in the middle of a frame.
    #[error("the stream ended in the middle of a frame")]
    Truncated,
    /// The other side does not read.
    #[error("the other side has read nothing for {} s", after.as_secs())]
    Stalled {
        /// How long was waited.
        after: Duration,
    },
}

impl ConnectError {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "transport_bind",
            Self::Key { .. } => "transport_key",
            Self::NoAddress => "transport_no_address",
            Self::Silent { .. } => "transport_silent",
            Self::WrongKey => "transport_wrong_key",
            Self::Refused { .. } => "transport_refused",
            Self::NoWay { .. } => "transport_no_way",
            Self::Router { .. } => "transport_router_refused",
            Self::NarrowPath { .. } => "transport_narrow_path",
            Self::Closed => "transport_closed",
        }
    }

    /// What one can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "choose another address (`--quic`, `--listen`), or stop what uses it",
            Self::Key { .. } => {
                "delete the file transport.key in the data folder; peers learn the new key from the network"
            }
            Self::NoAddress => "the peer is reached by signals instead",
            Self::Silent { .. } => "the peer may be off, or a firewall drops UDP; it is reached by signals instead",
            Self::WrongKey => "the peer's address is stale or somebody else uses it; nothing was sent there",
            Self::Refused { .. } => "the peer is busy or speaks another version; it is reached by signals instead",
            Self::NoWay { .. } => "ask without that demand, or wait until a peer offers such a way",
            Self::Router { reason } => reason.hint(),
            Self::NarrowPath { .. } => {
                "raise the MTU of the tunnel or VPN that this machine uses to 1332 or more, or use another router"
            }
            Self::Closed => "start the node again",
        }
    }
}

impl LinkError {
    /// Whether a new link could go on where this one ended.
    pub fn may_resume(&self) -> bool {
        match self {
            Self::Broken { .. } => true,
            Self::Ended | Self::Frame(_) | Self::Truncated | Self::Stalled { .. } => false,
        }
    }
}
