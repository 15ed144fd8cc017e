//! Being known on a direct connection: what an agent signs there, and what it shows.

use crate::{AgentPubKey, Bytes32, Bytes64};
use holochain_serialized_bytes::prelude::*;

/// One direct connection, as both of its ends know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkClaim {
    /// What TLS exports for this connection alone (RFC 9266, `tls-exporter`): no other connection has it.
    pub binding: Bytes32,
    /// Transport key of whoever asks.
    pub requester: Bytes32,
    /// Transport key of whoever is asked.
    pub provider: Bytes32,
}

/// An agent's word that it is the one who asks on a direct connection (`sign_link`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkProof {
    /// Who asks.
    pub agent: AgentPubKey,
    /// Signature by `agent` over `verify::link::canonical`.
    pub signature: Bytes64,
}
