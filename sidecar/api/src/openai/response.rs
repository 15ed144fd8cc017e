//! Shapes of answers: completions, chunks, models, and our extension to them.

use super::route_name;
use ainonymous_node::{AnswerDone, AnswerHead, ModelEntry};
use ainonymous_types::{FinishReason, Receipt, SignedReceipt};
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the ids of completions begin with; the question's id follows.
pub(crate) const ID_PREFIX: &str = "chatcmpl-";

/// Seconds since the epoch when an answer began.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()))
    }
}

/// What every completion and every chunk begins with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Frame {
    id: String,
    object: &'static str,
    created: Moment,
    model: String,
    system_fingerprint: String,
}

impl Frame {
    fn new(head: &AnswerHead, object: &'static str, created: Moment) -> Self {
        let system_fingerprint = match &head.spec {
            Some(spec) => format!("fp_{}", hex::encode(&spec.entry.get_raw_32()[..8])),
            None => format!("fp_ainonymous_{}", env!("CARGO_PKG_VERSION").replace('.', "_")),
        };
        Self { id: format!("{ID_PREFIX}{}", head.id), object, created, model: head.model.clone(), system_fingerprint }
    }

    pub(crate) fn of_chunk(head: &AnswerHead, created: Moment) -> Self {
        Self::new(head, "chat.completion.chunk", created)
    }
}

/// An answer in one piece.
#[derive(Debug, Serialize)]
pub(crate) struct Completion {
    #[serde(flatten)]
    frame: Frame,
    choices: [Choice; 1],
    usage: Usage,
    timings: Timings,
    ainonymous: Extension,
}

#[derive(Debug, Serialize)]
struct Choice {
    index: u32,
    message: Message,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: String,
    refusal: (),
}

impl Completion {
    pub(crate) fn new(head: &AnswerHead, content: String, done: &AnswerDone, created: Moment) -> Self {
        let message = Message { role: "assistant", content, refusal: () };
        Self {
            frame: Frame::new(head, "chat.completion", created),
            choices: [Choice { index: 0, message, logprobs: (), finish_reason: finish_reason(done.finish) }],
            usage: Usage::new(done),
            timings: Timings::new(done),
            ainonymous: Extension::new(head, done),
        }
    }
}

/// A part of an answer.
#[derive(Debug, Serialize)]
pub(crate) struct Chunk<'a> {
    #[serde(flatten)]
    pub(crate) frame: &'a Frame,
    pub(crate) choices: Vec<Delta<'a>>,
    /// Missing unless asked for; then null in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timings: Option<Timings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ainonymous: Option<Extension>,
}

/// What a chunk adds.
#[derive(Debug, Serialize)]
pub(crate) struct Delta<'a> {
    pub(crate) index: u32,
    pub(crate) delta: DeltaText<'a>,
    pub(crate) logprobs: (),
    pub(crate) finish_reason: Option<&'static str>,
}

/// The text of a delta; the first one has the role.
#[derive(Debug, Default, Serialize)]
pub(crate) struct DeltaText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<&'a str>,
}

/// Tokens counted.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u64,
}

impl Usage {
    pub(crate) fn new(done: &AnswerDone) -> Self {
        Self {
            prompt_tokens: done.prompt_tokens,
            completion_tokens: done.completion_tokens,
            total_tokens: u64::from(done.prompt_tokens) + u64::from(done.completion_tokens),
        }
    }
}

/// Times measured, in milliseconds. Names as in llama.cpp's server where it has them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Timings {
    prompt_n: u32,
    predicted_n: u32,
    predicted_ms: f64,
    predicted_per_second: f64,
    /// From asking to the first text, by the asker's clock.
    first_token_ms: f64,
    /// From the arrival of the question to the first token, by the provider's clock.
    provider_first_token_ms: f64,
}

impl Timings {
    pub(crate) fn new(done: &AnswerDone) -> Self {
        let ms = |us: u64| us as f64 / 1_000.0;
        Self {
            prompt_n: done.prompt_tokens,
            predicted_n: done.completion_tokens,
            predicted_ms: ms(done.decode_us),
            predicted_per_second: done.tokens_per_s(),
            first_token_ms: ms(done.first_token_us),
            provider_first_token_ms: ms(done.provider_first_token_us),
        }
    }
}

/// What OpenAI's answers do not have: who answered, how, and the receipt.
#[derive(Debug, Serialize)]
pub(crate) struct Extension {
    id: String,
    provider: Option<String>,
    model_spec: Option<String>,
    route: &'static str,
    receipt: Option<SignedReceiptView>,
    /// Where to ask whether the receipt is on the DHT and was checked.
    receipt_path: Option<String>,
}

impl Extension {
    pub(crate) fn new(head: &AnswerHead, done: &AnswerDone) -> Self {
        Self {
            id: head.id.to_hex(),
            provider: head.provider.clone(),
            model_spec: head.spec.as_ref().map(|spec| spec.entry.to_string()),
            route: route_name(head.route),
            receipt_path: done.receipt.is_some().then(|| format!("/ainonymous/v1/receipts/{}", head.id)),
            receipt: done.receipt.as_ref().map(SignedReceiptView::from),
        }
    }
}

/// A signed receipt: hashes of Holochain in its own spelling, other bytes in hexadecimal.
#[derive(Debug, Serialize)]
pub(crate) struct SignedReceiptView {
    provider: String,
    spec: String,
    session_key: String,
    input: String,
    output: String,
    fingerprint: String,
    prompt_tokens: u32,
    completion_tokens: u32,
    finish: FinishReason,
    /// Microseconds since the epoch.
    finished_at: i64,
    signature: String,
}

impl From<&SignedReceipt> for SignedReceiptView {
    fn from(SignedReceipt { receipt, signature }: &SignedReceipt) -> Self {
        let Receipt {
            provider,
            spec,
            session_key,
            input,
            output,
            fingerprint,
            prompt_tokens,
            completion_tokens,
            finish,
            finished_at,
        } = receipt;
        Self {
            provider: provider.to_string(),
            spec: spec.to_string(),
            session_key: session_key.to_hex(),
            input: input.to_hex(),
            output: output.to_hex(),
            fingerprint: fingerprint.to_hex(),
            prompt_tokens: *prompt_tokens,
            completion_tokens: *completion_tokens,
            finish: *finish,
            finished_at: *finished_at,
            signature: signature.to_hex(),
        }
    }
}

/// Why it ended, in OpenAI's words, which have none for "cancelled".
pub(crate) fn finish_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::Cancelled => "stop",
        FinishReason::Length => "length",
    }
}

/// Models that can be asked.
#[derive(Debug, Serialize)]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<ModelView>,
}

impl ModelList {
    pub(crate) fn new(data: Vec<ModelView>) -> Self {
        Self { object: "list", data }
    }
}

/// A model that can be asked.
#[derive(Debug, Serialize)]
pub(crate) struct ModelView {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    context_length: u32,
    ainonymous: ModelExtension,
}

#[derive(Debug, Serialize)]
struct ModelExtension {
    local: bool,
    providers: Vec<String>,
    file_bytes: u64,
    gguf_hash: String,
}

impl ModelView {
    /// `created` is when this API began to list it: nobody knows when a model was made.
    pub(crate) fn new(model: ModelEntry, created: u64) -> Self {
        let ModelEntry { id, local, providers, context_tokens, file_bytes, gguf_hash } = model;
        Self {
            id,
            object: "model",
            created,
            owned_by: if local { "local" } else { "peers" },
            context_length: context_tokens,
            ainonymous: ModelExtension { local, providers, file_bytes, gguf_hash },
        }
    }
}
