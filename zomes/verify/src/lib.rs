//! Every judgement of AInonymous: what is hashed, what is signed, what is within bounds, what may stand on the DHT.
//!
//! Pure and integer: bytes in, verdict out. This crate must not know a clock, randomness, the network, a conductor or
//! a model; it compiles to wasm32 and native alike and gives the same result in both (`tests/vectors`).

pub mod agreement;
pub mod ask;
pub mod audit;
mod breach;
pub mod buckets;
pub mod canonical;
pub mod chat;
pub mod chunks;
pub mod commit;
mod fixed;
pub mod gumbel;
pub mod invite;
pub mod judge;
pub mod link;
pub mod merkle;
pub mod network;
pub mod receipt;
pub mod rules;
pub mod signal;
pub mod signature;
pub mod text;
#[cfg(feature = "vectors")]
pub mod vectors;
pub mod work;

pub use breach::Breach;
