//! What every part of AInonymous speaks: entries, ids, units, limits, signals and zome call payloads.
//!
//! This crate holds shapes only. It must not judge (that is `verify`), compute, do I/O, or know a clock.
//! TypeScript declarations are generated from it (`cargo xtask gen`), so names here are the names everywhere.
//! On the wire everything is MessagePack with named fields, as Holochain encodes it.

mod audit;
mod bytes;
mod calls;
mod chat;
mod discovery;
mod entries;
mod findings;
pub mod limits;
mod link;
mod network;
mod order;
mod receipt;
mod signal;

pub use audit::*;
pub use bytes::{Bytes32, Bytes64, RequestId};
pub use calls::*;
pub use chat::*;
pub use discovery::*;
pub use entries::*;
pub use findings::*;
pub use link::*;
pub use network::*;
pub use order::*;
pub use receipt::*;
pub use signal::*;

pub use holo_hash::{ActionHash, AgentPubKey, AnyLinkableHash, DnaHash, EntryHash};

/// Microseconds since the Unix epoch, as Holochain's `Timestamp` counts them.
pub type TimestampUs = i64;

/// Name of the only role in the hApp.
pub const ROLE_NAME: &str = "inference";
/// Name of the coordinator zome.
pub const COORDINATOR_ZOME: &str = "inference";
/// Name of the integrity zome.
pub const INTEGRITY_ZOME: &str = "inference_integrity";
/// Installed app id that the sidecar uses.
pub const APP_ID: &str = "ainonymous";
/// Version of [`NetworkProperties`] and of invites that this build understands.
pub const NETWORK_VERSION: u16 = 1;
