//! llama.cpp in a supervised worker process, behind one trait.
//!
//! A GGUF from a stranger can abort the process that loads it, and a GPU can fault: so the model lives in a child process of the
//! same executable ([`run_worker`]), which talks over stdin and stdout and is restarted when it dies. The crate must not
//! know networks, receipts, model names or downloads. Prompts and answers appear in no log and no `Debug` output.

mod adjust;
mod class;
mod dialect;
mod error;
pub mod evidence;
mod fingerprint;
mod fit;
mod grammar;
pub mod hashes;
mod image;
mod inspect;
mod llama;
mod logprobs;
mod options;
mod os;
mod parts;
mod replay;
pub mod request;
pub mod sampler;
mod sandbox;
mod supervisor;
mod template;
#[cfg(any(test, feature = "test-engine"))]
mod test_engine;
mod text;
mod travel;
mod wire;
mod worker;

pub use class::{EngineClass, FlashAttention, NotAClass, LLAMA_BUILD};
pub use error::EngineError;
pub use fingerprint::{Fingerprint, Likely, FINGERPRINT_TOKENS, LOGPROB_16_MIN, STEPS_PER_NAT};
pub use fit::{Degraded, Fit};
pub use inspect::{Inspect, Inspected, TemplateKnows, DETOKENIZE_MAX};
pub use options::{
    DeviceInfo, DraftOptions, EngineOptions, GpuLayers, ModelInfo, Preview, ProjectorOptions, WorkerCommand,
    CONTEXT_TOKENS_DEFAULT, DRAFT_TOKENS_MAX, PREFIX_CACHE_BYTES_MAX, QUEUE_MAX_DEFAULT, SLOTS_MAX,
};
pub use replay::{Replay, ReplayQuestion, Replayed, LIKELY_TOKENS, REPLAY_STEP_TOKENS};
pub use request::{EmbedInput, EmbedQuestion, Embeddings, Prompt, Question};
pub use sampler::{MARGIN_MILLI_MAX, SAMPLER_VERSION};
pub use sandbox::{Sandbox, SandboxReport, SANDBOX_VARIABLE};
pub use supervisor::LlamaEngine;
#[cfg(any(test, feature = "test-engine"))]
pub use test_engine::TestEngine;
pub use travel::more_of_each;
pub use worker::{run_stand_in, run_worker};

use ainonymous_types::FinishReason;
use serde::{Deserialize, Serialize};
use std::fmt;
use tokio::sync::mpsc;

/// Something that answers questions with one model.
#[async_trait::async_trait]
pub trait Engine: Send + Sync + fmt::Debug {
    /// The model.
    fn info(&self) -> &ModelInfo;

    /// Takes a question, or says at once why not. Must be called within a tokio runtime.
    fn generate(&self, question: Question) -> Result<Generation, EngineError>;
    /// Makes vectors of texts.
    async fn embed(&self, question: EmbedQuestion) -> Result<Embeddings, EngineError>;
    /// Computes an answer again. Answers under way go on beside it.
    async fn replay(&self, question: ReplayQuestion) -> Result<Replay, EngineError>;
    /// Asks tokeniser or template.
    async fn inspect(&self, question: Inspect) -> Result<Inspected, EngineError>;

    /// How it is doing.
    fn status(&self) -> EngineStatus;

    /// Ends running answers with [`EngineError::Draining`] and frees everything. Later questions are refused.
    async fn shutdown(&self);
}

/// An answer under way. Dropping it cancels the answer at the engine's next step.
#[derive(Debug)]
pub struct Generation {
    /// What happens, in order; ends after [`Event::Finished`] or [`Event::Failed`]. Has room for a whole answer, so a slow
    /// reader never holds up the engine.
    pub events: mpsc::Receiver<Event>,
}

/// What happens to a question.
#[derive(Clone, PartialEq)]
pub enum Event {
    /// It waits; `position` counts from 1, which is next. Repeated when it changes; left out if it starts at once.
    Queued {
        /// Place in the queue.
        position: u32,
    },
    /// It has a slot; its prompt is being computed.
    Started {
        /// Tokens of the rendered prompt, and of the begun answer behind it.
        prompt_tokens: u32,
    },
    /// A token was chosen. The token with which the model ends its answer is one of them.
    Token {
        /// Token id.
        id: u32,
        /// Text that became clear with it: valid UTF-8, without stop texts, often empty.
        text: String,
        /// What else became clear with it; mostly nothing.
        more: Option<Box<More>>,
    },
    /// The answer is complete.
    Finished(Finished),
    /// There will be no (further) answer.
    Failed(EngineError),
}

impl fmt::Debug for Event {
    /// Leaves the text out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued { position } => write!(f, "Queued({position})"),
            Self::Started { prompt_tokens } => write!(f, "Started({prompt_tokens})"),
            Self::Token { id: _, text, more: _ } => write!(f, "Token({} bytes)", text.len()),
            Self::Finished(finished) => finished.fmt(f),
            Self::Failed(error) => write!(f, "Failed({})", error.code()),
        }
    }
}

/// What a token brings besides text.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct More {
    /// The next piece of what the model thinks before it answers.
    pub reasoning: String,
    /// The next pieces of tool calls.
    pub tool_calls: Vec<ToolCallPart>,
    /// How likely the token and its alternatives were, if that was asked for.
    pub logprobs: Option<TokenLogprobs>,
    /// What others need to check the token, if that was asked for.
    pub fingerprint: Option<Fingerprint>,
}

/// A piece of a tool call, as the model writes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallPart {
    /// Which call of the answer, from 0.
    pub index: u32,
    /// With the first piece of a call: its id and the tool's name.
    pub begins: Option<(String, String)>,
    /// What to append to the call's arguments, which are JSON text.
    pub arguments: String,
}

/// How likely a token was, among all tokens before any were cut away: natural logarithms at temperature 1.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// The chosen token's bytes and log-probability.
    pub chosen: TokenLogprob,
    /// The most likely tokens, most likely first.
    pub top: Vec<TokenLogprob>,
}

/// A token and how likely it was.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Token id.
    pub id: u32,
    /// Its text; not always UTF-8.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f32,
}

request::secret!(More, ToolCallPart, TokenLogprobs, TokenLogprob);

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Why.
    pub finish: FinishReason,
    /// Tokens of the rendered prompt, and of the begun answer behind it.
    pub prompt_tokens: u32,
    /// Those of them that were in the cache.
    pub cached_tokens: u32,
    /// Tokens of the answer that were chosen here: those that were begun elsewhere are not among them.
    pub completion_tokens: u32,
    /// Which of the question's stop texts ended it.
    pub stopped_by: Option<u32>,
    /// Tokens that the draft model proposed, and those of them that stand in the answer.
    pub drafted: (u32, u32),
    /// From the question's arrival at the engine to its slot, in microseconds.
    pub queue_us: u64,
    /// From the slot to the first token, in microseconds.
    pub prefill_us: u64,
    /// From the first to the last token, in microseconds.
    pub decode_us: u64,
}

/// How an engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// What it is doing.
    pub state: EngineState,
    /// Answers under way.
    pub running: u32,
    /// Questions that wait.
    pub queued: u32,
    /// How often the worker process was restarted.
    pub restarts: u32,
    /// The worker process, if there is one now.
    pub worker_pid: Option<u32>,
    /// Its resident memory in bytes, where the system tells.
    pub worker_rss_bytes: Option<u64>,
}

/// What an engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// Loading its model.
    Loading,
    /// Answering.
    Ready,
    /// Its worker process died and is being restarted.
    Restarting,
    /// It gave up, or was shut down.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_text() {
        let event = Event::Token { id: 7, text: "secret".into(), more: None };
        assert_eq!(format!("{event:?}"), "Token(6 bytes)");
    }
}
