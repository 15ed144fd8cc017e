//! What tests send to the rogue coordinator. Plain shapes, so that a native test can include this file by path.

use ainonymous_types::{
    ActionHash, AgentPubKey, Answer, AnyLinkableHash, Capability, ModelSpec, ReceiptBatch, Request, Revocation,
};
use serde::{Deserialize, Serialize};

/// Something that no honest coordinator would write (`act`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)]
pub enum Act {
    /// Any bytes as an entry of any type.
    Bytes(RawEntry),
    /// An entry, whatever it says.
    Entry(AnyEntry),
    /// An update of anything by anything.
    Update(RawUpdate),
    /// A deletion of anything.
    Delete(ActionHash),
    /// A link from anywhere to anywhere.
    Link(RawLink),
    /// A removal of anybody's link.
    Unlink(ActionHash),
}

/// Any bytes as an entry of any type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawEntry {
    /// Position in the integrity zome's entry types; may be one that does not exist.
    pub entry_type: u8,
    /// Taken as they are.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// An entry that is encoded as it should be, whatever it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)]
pub enum AnyEntry {
    /// See the type.
    ModelSpec(ModelSpec),
    /// See the type.
    Capability(Capability),
    /// See the type.
    Request(Request),
    /// See the type.
    Answer(Answer),
    /// See the type.
    ReceiptBatch(ReceiptBatch),
    /// See the type.
    Revocation(Revocation),
}

/// An update of anything by anything ; the type stays that of the original.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawUpdate {
    /// The action to update.
    pub original: ActionHash,
    /// Taken as they are.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// A link from anywhere to anywhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawLink {
    /// Start.
    pub base: AnyLinkableHash,
    /// End.
    pub target: AnyLinkableHash,
    /// Position in the integrity zome's link types; may be one that does not exist.
    pub link_type: u8,
    /// Written on it.
    #[serde(with = "serde_bytes")]
    pub tag: Vec<u8>,
}

/// A remote call that no honest coordinator would make (`call_raw`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawCall {
    /// Who is called.
    pub to: AgentPubKey,
    /// Which zome.
    pub zome: String,
    /// Which function.
    pub function: String,
    /// What is said.
    pub payload: RawPayload,
}

/// What a [`RawCall`] says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RawPayload {
    /// A byte string, as signals are sent; its content is taken as it is.
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Something that is no byte string.
    Number(u64),
}

/// A report to be judged again and again while a clock runs (`time_report`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimedReport {
    /// Who wrote it.
    pub author: AgentPubKey,
    /// The report, encoded.
    #[serde(with = "serde_bytes")]
    pub report: Vec<u8>,
    /// What it refers to: commitments, calibrations, batches, capabilities, by their actions.
    pub records: Vec<(ActionHash, AgentPubKey, RawEntry)>,
    /// How often.
    pub rounds: u32,
}

/// How long that took, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timed {
    /// The quickest round, in microseconds.
    pub least_us: i64,
    /// All rounds together, in microseconds.
    pub all_us: i64,
    /// `ok`, or the code of the breach.
    pub verdict: String,
}

/// What became of the vectors (`check_vectors`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorReport {
    /// How many gave what they should.
    pub passed: u32,
    /// Those that did not: name, expected, given.
    pub failed: Vec<String>,
}
