//! What stands on the DHT: hashes, small integers, public descriptions, and payloads that only their recipient can open.

use crate::{ActionHash, AgentPubKey, Bytes32, EntryHash, Revoked, TimestampUs};
use holochain_serialized_bytes::prelude::*;

/// Makes a shape an entry when the zomes ask for it.
macro_rules! entry {
    ($name:ident) => {
        #[cfg(feature = "zome")]
        const _: () = {
            #[allow(unused_imports)]
            use hdi::prelude::{
                wasm_error, AppEntryBytes, EntryError, RecordEntry, SerializedBytes, WasmError, WasmErrorInner,
            };
            hdi::app_entry!($name);
        };
    };
}
pub(crate) use entry;

/// The exact bytes and settings that a receipt binds to.
///
/// The same file with the same settings is the same entry, whoever writes it: its entry hash is its identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ModelSpec {
    /// Name as people write it, for example `tiny-gemma`.
    pub name: String,
    /// Quantisation label, for example `q8_0`.
    pub quantization: String,
    /// `general.architecture` of the GGUF.
    pub architecture: String,
    /// SHA-256 of the whole GGUF file.
    pub gguf_hash: Bytes32,
    /// Root of the Merkle tree over the file's chunks of 1 MiB.
    pub gguf_root: Bytes32,
    /// Length of the GGUF file in bytes.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub gguf_bytes: u64,
    /// SHA-256 over the tokenizer's metadata.
    pub tokenizer_hash: Bytes32,
    /// SHA-256 of the chat template.
    pub template_hash: Bytes32,
    /// Which sampler turns logits into tokens.
    pub sampler_version: u16,
    /// Type of the key-value cache.
    pub kv_type: KvType,
    /// Context in tokens that a question can use.
    pub context_tokens: u32,
}
entry!(ModelSpec);

/// Number format of the key-value cache. Coarser ones change answers measurably, so they are part of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum KvType {
    /// 16-bit floating point.
    F16,
    /// bfloat16.
    Bf16,
    /// 8-bit blocks.
    Q8_0,
}

/// Names a model spec: what it says and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct SpecRef {
    /// Hash of the entry: the identity of the spec.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub entry: EntryHash,
    /// An action that created the entry; validation fetches this one.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub action: ActionHash,
}

/// What a node does for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs models.
    Provider,
    /// Forwards sealed traffic.
    Router,
    /// Re-checks receipts.
    Auditor,
}

/// Kind of device that computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// Processor only.
    Cpu,
    /// NVIDIA.
    Cuda,
    /// Any GPU with Vulkan.
    Vulkan,
    /// Apple.
    Metal,
    /// AMD.
    Rocm,
}

/// One model that a provider serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ServedModel {
    /// Which one.
    pub spec: SpecRef,
    /// Measured decode speed of one stream in tokens a second; 0 if not measured.
    pub tokens_per_s: u32,
}

/// A router that a node runs for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RouterOffer {
    /// Ed25519 key that the router proves; not the key of the node's own data plane.
    pub key: Bytes32,
    /// Where it listens, and routers at which it is registered: the first of two in a row. At least one.
    pub addresses: Vec<String>,
}

/// What an agent offers. One per agent; changed only when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Capability {
    /// At least one, without repetition, in order.
    pub roles: Vec<Role>,
    /// X25519 key that prompts are sealed to.
    pub sealing_key: Bytes32,
    /// Ed25519 key of the data plane, if the node has one.
    pub transport_key: Option<Bytes32>,
    /// Where the data plane listens.
    pub addresses: Vec<String>,
    /// On the data plane it answers only agents that show who they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(optional, as = "Option<bool>"))]
    pub must_be_known: bool,
    /// What computes.
    pub backend: Backend,
    /// Device name or instruction set, for people.
    pub backend_detail: String,
    /// Models served; empty unless the roles include provider.
    pub models: Vec<ServedModel>,
    /// The router, if the roles include router, and only then.
    pub router: Option<RouterOffer>,
    /// Where the node stands, by its own word: a coarse label such as `eu` or `de`; none if it does not say.
    pub region: Option<String>,
}
entry!(Capability);

/// A question that waits on the DHT for one provider, sealed to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Request {
    /// Salted commitment to the question (`verify::commit::input`).
    pub commitment: Bytes32,
    /// Model spec that shall answer.
    pub spec: SpecRef,
    /// The only agent that may answer.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub assignee: AgentPubKey,
    /// The assignee's capability that the question relies on.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub capability: ActionHash,
    /// X25519 key, fresh for this request, that the answer is sealed to.
    pub reply_key: Bytes32,
    /// Most tokens to answer with.
    pub max_tokens: u32,
    /// After this moment nobody need answer. Microseconds since the epoch.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub expires_at: TimestampUs,
    /// The question (`PostedQuestion`), sealed to the assignee's sealing key.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub sealed: Vec<u8>,
}
entry!(Request);

/// The sealed answer to a posted request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Answer {
    /// The request that it answers.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub request: ActionHash,
    /// The answer (`PostedAnswer`), sealed to the request's reply key.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub sealed: Vec<u8>,
}
entry!(Answer);

/// Many receipts in one action: their Merkle root and their sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ReceiptBatch {
    /// The author's capability that lists the spec.
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub capability: ActionHash,
    /// The spec that every receipt of the batch names.
    pub spec: SpecRef,
    /// Root over the receipts' leaf hashes (`verify::merkle`).
    pub root: Bytes32,
    /// Number of receipts.
    pub count: u32,
    /// Prompt tokens of all receipts together.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub prompt_tokens: u64,
    /// Answer tokens of all receipts together.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub completion_tokens: u64,
}
entry!(ReceiptBatch);

/// A founder shuts somebody out. It stays for ever; whoever shall come back joins as a new agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SerializedBytes)]
pub struct Revocation {
    /// Whom.
    pub target: Revoked,
}
entry!(Revocation);
