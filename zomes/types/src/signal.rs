//! What peers say to each other without writing it down: questions and tokens as remote signals.
//!
//! Signals travel over the conductor's encrypted connections, may be lost and may arrive out of order:
//! chunks are numbered, and whoever waits asks again.

use crate::{
    ActionHash, AgentPubKey, AuditTerms, BatchProof, Bytes32, Bytes64, ChatInput, ChunkMore, EntryHash, RequestId,
    SignedReceipt,
};
use holochain_serialized_bytes::prelude::*;

/// A message from one peer to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PeerSignal {
    /// Requester to provider: a question.
    Ask(Ask),
    /// Provider to requester: taken; this many questions are before it.
    Accepted {
        /// The question.
        id: RequestId,
        /// 0 means it starts at once.
        queue_position: u32,
    },
    /// Provider to requester: a part of the answer.
    Tokens(TokenChunk),
    /// Provider to requester: the answer is complete.
    Done(Done),
    /// Provider to requester: there will be no (further) answer.
    Refused {
        /// The question.
        id: RequestId,
        /// Why.
        reason: RefuseReason,
        /// For people; may be empty.
        detail: String,
    },
    /// Requester to provider: stop.
    Cancel {
        /// The question.
        id: RequestId,
    },
    /// Requester to provider: send again from this chunk on.
    Resend {
        /// The question.
        id: RequestId,
        /// First chunk that is missing.
        from_chunk: u32,
    },
    /// Requester to assignee: a request waits on the DHT.
    RequestPosted {
        /// Its action.
        #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
        request: ActionHash,
    },
    /// Assignee to requester: the answer waits on the DHT.
    AnswerPosted {
        /// Action of the request.
        #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
        request: ActionHash,
        /// Action of the answer.
        #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
        answer: ActionHash,
    },
    /// Provider to requester: the receipt is on the DHT.
    ReceiptPublished {
        /// The question.
        id: RequestId,
        /// Where.
        proof: BatchProof,
    },
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Ask {
    /// Chosen by the requester.
    pub id: RequestId,
    /// Identity of the model spec that shall answer.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub spec: EntryHash,
    /// The question.
    pub input: ChatInput,
    /// Salt of the commitments to question and answer.
    pub salt: Bytes32,
    /// Ed25519 key of the conversation.
    pub session_key: Bytes32,
    /// What the receipt shall say of a later audit.
    pub audit: AuditTerms,
    /// Signature by `session_key` over `verify::ask::canonical`.
    pub signature: Bytes64,
}

/// A part of an answer. Chunks are numbered from 0 without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TokenChunk {
    /// The question.
    pub id: RequestId,
    /// Number of the chunk.
    pub chunk: u32,
    /// Valid UTF-8; may be empty while a character is incomplete.
    pub text: String,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// What came besides; mostly nothing.
    pub more: Option<Box<ChunkMore>>,
}

/// The end of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Done {
    /// The question.
    pub id: RequestId,
    /// How many chunks there were: fewer in hand means some were lost.
    pub chunks: u32,
    /// The provider's statement.
    pub receipt: SignedReceipt,
    /// Tokens of the prompt that were computed before, by the provider's word.
    pub cached_tokens: u32,
    /// Which of the question's stop texts ended the answer.
    pub stopped_by: Option<u32>,
    /// From the arrival of the question to the first token, in microseconds, by the provider's clock.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub first_token_us: u64,
    /// From the first to the last token, in microseconds.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub decode_us: u64,
}

/// Why a provider does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RefuseReason {
    /// It does not serve that model spec.
    UnknownModel,
    /// Its queue is full.
    Busy,
    /// The rendered prompt does not fit into the context.
    PromptTooLong,
    /// The question breaks a bound, is not signed by its session key, or was asked before.
    Malformed,
    /// It is shutting down.
    Draining,
    /// The engine failed.
    EngineFailed,
    /// It knows no such question (any more).
    UnknownRequest,
    /// The requester is no member of this network, or was revoked.
    NotAdmitted,
    /// The question shows images, and the model sees none here.
    CannotSee,
    /// It answers only agents that show who they are, and the requester did not.
    MustBeKnown,
}

/// What the coordinator emits to the websockets of its own cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // Nearly every one is the large one.
pub enum LocalSignal {
    /// A peer said something that is within bounds.
    Peer {
        /// Who; proved by the conductor.
        #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
        from: AgentPubKey,
        /// What.
        signal: PeerSignal,
    },
    /// A peer said something that is not; it was dropped.
    Rejected {
        /// Who.
        #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
        from: AgentPubKey,
        /// Which bound, in words of ours.
        reason: String,
    },
}
