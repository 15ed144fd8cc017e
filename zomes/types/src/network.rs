//! Which network this is, who may join it, and who has been shut out of it.
//!
//! [`NetworkProperties`] are the properties of the DNA: whoever changes one of them is in another network.

use crate::{ActionHash, AgentPubKey, Bytes32, Bytes64, TimestampUs};
use holochain_serialized_bytes::prelude::*;

/// What founders decide when they make a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
pub struct NetworkProperties {
    /// Version of these properties and of the invites to the network.
    pub version: u16,
    /// Name as people write it.
    pub name: String,
    /// Who may join.
    pub kind: NetworkKind,
    /// Agents who invite and revoke; none in a public network.
    pub founders: Vec<AgentPubKey>,
    /// Zero bits that the proof of work of every new agent begins with; 0 asks for none. Only public networks ask: elsewhere
    /// an invite is what an agent costs. It is left out where it is 0, as in properties that were written before it was there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub work_bits: u8,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_zero(bits: &u8) -> bool {
    *bits == 0
}

/// Who may join a network, and where its nodes look for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkKind {
    /// Everybody.
    Public,
    /// Whoever was invited by a founder.
    Private,
    /// As private; besides, nodes look for each other at private addresses only.
    Lan,
}

/// What a founder signs: who holds the invite's secret key may bring one or more agents into one network for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteTerms {
    /// Identity of the network (`verify::network::id`).
    pub network: Bytes32,
    /// Who invites.
    pub founder: AgentPubKey,
    /// Ed25519 key of this invite alone; its secret half travels in the invite.
    pub key: Bytes32,
    /// Whoever joins must do so before this moment. Microseconds since the epoch.
    pub expires_at: TimestampUs,
    /// The only agent that may use it; none lets whoever holds it.
    pub agent: Option<AgentPubKey>,
}

/// What an agent shows when it joins: its membrane proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
pub struct MembershipProof {
    /// The invite.
    pub terms: InviteTerms,
    /// Signature by `terms.founder` over `verify::invite::terms`.
    pub founder_signature: Bytes64,
    /// Signature by `terms.key` over `verify::invite::joining`: the invite was meant for this agent by who held it.
    pub joiner_signature: Bytes64,
}

/// What an agent shows when it joins a public network that asks for work: its membrane proof there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
pub struct WorkProof {
    /// The number that was looked for (`verify::work`): good for one agent in one network.
    pub nonce: u64,
}

/// Whom a revocation shuts out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    /// One agent.
    Agent(AgentPubKey),
    /// Everybody who joined or will join with this invite, by its key.
    Invite(Bytes32),
}

/// What an agent's chain says about how it joined (`get_membership`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// It may be here.
    Member {
        /// The invite that it joined with; none for founders and in public networks.
        invite: Option<Bytes32>,
    },
    /// It joined without a good invite, or without the work that the network asks for.
    Stranger {
        /// The breach: its code, then its text.
        reason: String,
    },
    /// The beginning of its chain has not arrived yet.
    Unknown,
}

/// A revocation as found on the DHT (`get_revocations`): valid, so by a founder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationRecord {
    /// Where.
    pub action: ActionHash,
    /// The founder.
    pub author: AgentPubKey,
    /// Whom it shuts out.
    pub target: Revoked,
}
