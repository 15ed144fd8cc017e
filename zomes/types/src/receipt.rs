//! The provider's signed statement of one answer, and how it is found in a batch.

use crate::{ActionHash, AgentPubKey, AuditTerms, Bytes32, Bytes64, EntryHash, FinishReason, TimestampUs};
use serde::{Deserialize, Serialize};

/// What a provider states about one answer. It names a session, never the requester's agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Receipt {
    /// Who answered.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub provider: AgentPubKey,
    /// Identity of the model spec.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub spec: EntryHash,
    /// Ed25519 key that signed the question.
    pub session_key: Bytes32,
    /// Salted commitment to the question.
    pub input: Bytes32,
    /// Salted commitment to the answer's tokens, text, thoughts and tool calls, from where the question's begun answer ends.
    pub output: Bytes32,
    /// Root over the answer's fingerprint (`verify::audit::leaf`); zeros if none was recorded.
    pub fingerprint: Bytes32,
    /// Tokens of the rendered prompt, and of the begun answer that the question brought.
    pub prompt_tokens: u32,
    /// Tokens of the answer that the provider has chosen: those of a begun answer are not among them.
    pub completion_tokens: u32,
    /// Why the answer ended.
    pub finish: FinishReason,
    /// When the answer ended, by the provider's clock. Microseconds since the epoch.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub finished_at: TimestampUs,
    /// What the question said about a later audit.
    pub audit: AuditTerms,
}

/// A receipt and the provider's signature over its canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct SignedReceipt {
    /// The statement.
    pub receipt: Receipt,
    /// Ed25519 signature by `receipt.provider` over `verify::receipt::canonical`.
    pub signature: Bytes64,
}

/// Where a receipt stands on the DHT: the batch and the path from leaf to root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct BatchProof {
    /// Action of the batch.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub batch: ActionHash,
    /// Position of the leaf, from 0.
    pub index: u32,
    /// Sibling hashes from leaf to root.
    pub path: Vec<Bytes32>,
}
