//! Payloads of the coordinator's functions, shared by zomes, sidecar and web UI.

use crate::{
    ActionHash, AgentPubKey, AuditTerms, Backend, BatchProof, Bytes32, Bytes64, Capability, ChatInput, ChunkMore,
    EntryHash, ModelSpec, PeerSignal, ReceiptBatch, RequestId, Role, RouterOffer, ServedModel, SignedReceipt, SpecRef,
    TimestampUs,
};
use holochain_serialized_bytes::prelude::*;

/// A model spec as found on the DHT (`get_all_model_specs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ModelSpecRecord {
    /// Where.
    pub spec: SpecRef,
    /// What.
    pub model: ModelSpec,
}

/// What a node wants to announce (`put_capability`); the sealing key is added by the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CapabilityInput {
    /// See [`Capability`].
    pub roles: Vec<Role>,
    /// See [`Capability`].
    pub transport_key: Option<Bytes32>,
    /// See [`Capability`].
    pub addresses: Vec<String>,
    /// See [`Capability`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(optional, as = "Option<bool>"))]
    pub must_be_known: bool,
    /// See [`Capability`].
    pub backend: Backend,
    /// See [`Capability`].
    pub backend_detail: String,
    /// See [`Capability`].
    pub models: Vec<ServedModel>,
    /// See [`Capability`].
    pub router: Option<RouterOffer>,
    /// See [`Capability`].
    pub region: Option<String>,
}

/// Whoever offers something, as found on the DHT (`get_providers`, `get_provider`, `get_providers_for_model_spec`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ProviderRecord {
    /// Who.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub agent: AgentPubKey,
    /// The newest valid action of its capability.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub action: ActionHash,
    /// What it offers.
    pub capability: Capability,
}

/// A message and its recipients (`send_signal`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct SendSignal {
    /// Recipients.
    #[cfg_attr(feature = "ts", ts(type = "Array<Uint8Array>"))]
    pub to: Vec<AgentPubKey>,
    /// The message.
    pub signal: PeerSignal,
}

/// A question to post (`create_request`): sealed by the coordinator to the assignee's sealing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RequestInput {
    /// The assignee's capability.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub capability: ActionHash,
    /// Model spec that shall answer.
    pub spec: SpecRef,
    /// The question.
    pub question: PostedQuestion,
    /// After this moment nobody need answer. Microseconds since the epoch.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub expires_at: TimestampUs,
}

/// What is sealed inside a Request entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PostedQuestion {
    /// Chosen by the requester.
    pub id: RequestId,
    /// The question.
    pub input: ChatInput,
    /// Salt of the commitments.
    pub salt: Bytes32,
    /// Ed25519 key of the conversation.
    pub session_key: Bytes32,
    /// What the receipt shall say of a later audit.
    pub audit: AuditTerms,
    /// Signature by `session_key` over `verify::ask::canonical`.
    pub signature: Bytes64,
}

/// A posted request, opened by its assignee (`get_open_requests`, `open_request`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct OpenRequest {
    /// The request's action.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub action: ActionHash,
    /// Who posted it.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub requester: AgentPubKey,
    /// Identity of the model spec.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub spec: EntryHash,
    /// After this moment nobody need answer. Microseconds since the epoch.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub expires_at: TimestampUs,
    /// The question, or why it cannot be opened.
    pub question: Result<PostedQuestion, String>,
}

/// An answer to post (`create_answer`): sealed by the coordinator to the request's reply key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AnswerInput {
    /// The request that it answers.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub request: ActionHash,
    /// The answer.
    pub answer: PostedAnswer,
}

/// What is sealed inside an Answer entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PostedAnswer {
    /// The text.
    pub text: String,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// What came besides; mostly nothing.
    pub more: Option<Box<ChunkMore>>,
    /// The provider's statement.
    pub receipt: SignedReceipt,
    /// Where the receipt stands on the DHT.
    pub proof: BatchProof,
}

/// A batch of receipts as found on the DHT (`get_receipt_batch`): valid, or it would not be returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ReceiptBatchRecord {
    /// Who wrote it.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub author: AgentPubKey,
    /// What it says.
    pub batch: ReceiptBatch,
}

/// What the network says about an agent (`get_agent_standing`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AgentStanding {
    /// Length of the agent's chain as far as it is known here.
    pub actions: u32,
    /// Reasons of the system warrants against it.
    pub warrants: Vec<String>,
}
