//! The data plane: QUIC between sidecars, with nothing of the DHT on the way of a token.
//!
//! Both ends of a link prove their transport key (raw public keys in TLS 1.3), so a capability entry that names the key is
//! all that one needs to know whom one talks to. One stream carries one question. Frames are small, bounded and versioned by
//! the protocol's name. This crate is the only one that knows quinn; it must not know models, conductors or how a provider is
//! chosen.

// Tests inside the crate share their helpers with those beside it.
#[cfg(test)]
extern crate self as ainonymous_transport;

mod address;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
mod config;
mod connect;
mod dial;
mod door;
#[cfg(test)]
mod early;
mod endpoint;
mod error;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod known;
mod link;
mod mapping;
mod pool;
mod room;
mod route;
mod router;
mod silence;
mod stream;
mod sync;
mod tls;

pub use address::{Address, AddressError};
pub use endpoint::{Arriving, Departed, Endpoint, EndpointCounts, EndpointOptions};
pub use error::{ConnectError, LinkError};
pub use frame::{Frame, FrameError, Load, Open, Seen, FRAME_BYTES_MAX, OPENED_LEAVES_MAX, REPLY_BYTES_MAX};
pub use key::TransportSecret;
pub use known::KnownError;
pub use link::{CloseReason, Link};
pub use mapping::{is_behind_nat, MappingState, PortMapping};
pub use pool::Pool;
pub use route::{Hide, Route, RouterEntry, Way};
pub use router::{Registration, RegistrationState, Router, RouterCounts, RouterLimits, RouterOptions, RouterRefusal};
pub use stream::{FrameReceiver, FrameSender, Stream};
