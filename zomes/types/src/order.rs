//! Showing an answer to an auditor whom the dice have drawn: what whoever asked sends, and why an auditor may leave it alone.
//!
//! In two steps: an order, which tells nothing of question and answer, and what is shown to an auditor that has taken it. Shapes only: what
//! fits together is judged by `verify::audit::order`.

use crate::{BatchProof, Bytes32, ChatInput, ChunkMore, OpenGrant, SignedReceipt};
use holochain_serialized_bytes::prelude::*;

/// An answer that an auditor shall compute again, without a word of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditOrder {
    /// What the provider has signed.
    pub receipt: SignedReceipt,
    /// Where that stands.
    pub proof: BatchProof,
    /// The secret behind the receipt's challenge: it says whether the auditor is drawn.
    pub secret: Bytes32,
}

impl std::fmt::Debug for AuditOrder {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { receipt, proof, secret: _ } = self;
        f.debug_struct("AuditOrder").field("receipt", receipt).field("proof", proof).finish_non_exhaustive()
    }
}

/// What an auditor needs that has taken an order. It goes over a link and is nowhere written down.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditShown {
    /// The question.
    pub input: ChatInput,
    /// Salt of the commitments to question and answer.
    pub salt: Bytes32,
    /// The answer's tokens.
    pub tokens: Vec<u32>,
    /// The answer's text.
    pub text: String,
    /// Thoughts and tool calls, which the receipt speaks of too; mostly nothing.
    pub more: Option<Box<ChunkMore>>,
    /// Lets this auditor see the provider's fingerprint, which tells the answer too.
    pub grant: OpenGrant,
}

impl std::fmt::Debug for AuditShown {
    /// Tells nothing of what was asked and answered.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditShown(…)")
    }
}

/// Why an auditor does not audit an answer that it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditRefusal {
    /// It has not taken the role, or the network does not know yet that it has.
    NoAuditor,
    /// The model is not loaded there.
    NoModel,
    /// The dice have not drawn this answer, or not this auditor.
    NotDrawn,
    /// The grant does not let this auditor see the fingerprint, or the time for that is over.
    NotGranted,
    /// Question or answer are not those of the receipt, or it is not signed, or it does not stand where it is said to.
    DoesNotFit,
    /// The batch with the receipt cannot be found.
    NotPublished,
    /// Answers of this kind are not computed again: with images, too long, or without a fingerprint.
    NotReplayable,
    /// Enough auditors have reported on it already, or this one has promised to.
    Repeated,
    /// Too much at once; later it may.
    Busy,
    /// Engine or network have failed at it, or nothing was shown.
    Failed,
}

impl AuditRefusal {
    /// Stable name of the refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAuditor => "auditor_without_role",
            Self::NoModel => "auditor_without_model",
            Self::NotDrawn => "auditor_not_drawn",
            Self::NotGranted => "auditor_not_granted",
            Self::DoesNotFit => "order_does_not_fit",
            Self::NotPublished => "receipt_not_published",
            Self::NotReplayable => "order_not_replayable",
            Self::Repeated => "audited_enough",
            Self::Busy => "auditor_busy",
            Self::Failed => "auditor_failed",
        }
    }

    /// Whether the same auditor may take it a little later.
    pub fn passes(self) -> bool {
        matches!(self, Self::Busy | Self::NotPublished)
    }
}
