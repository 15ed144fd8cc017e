//! llama.cpp in a supervised worker process, behind one trait.
//!
//! A GGUF from a stranger can abort the process that loads it, and a GPU can fault: so the model lives in a child process of the
//! same executable ([`run_worker`]), which talks over stdin and stdout and is restarted when it dies. The crate must not
//! know networks, receipts, model names or downloads. Prompts and answers appear in no log and no `Debug` output.

mod error;
pub mod hashes;
mod llama;
mod options;
mod os;
pub mod sampler;
mod supervisor;
mod template;
#[cfg(any(test, feature = "test-engine"))]
mod test_engine;
mod text;
mod wire;
mod worker;

pub use error::EngineError;
pub use options::{
    EngineOptions, GpuLayers, ModelInfo, WorkerCommand, CONTEXT_TOKENS_DEFAULT, QUEUE_MAX_DEFAULT, SLOTS_MAX,
};
pub use sampler::SAMPLER_VERSION;
pub use supervisor::LlamaEngine;
#[cfg(any(test, feature = "test-engine"))]
pub use test_engine::TestEngine;
pub use worker::run_worker;

use ainonymous_types::{limits, ChatInput, FinishReason};
use serde::{Deserialize, Serialize};
use std::fmt;
use tokio::sync::mpsc;

/// Something that answers questions with one model.
#[async_trait::async_trait]
pub trait Engine: Send + Sync + fmt::Debug {
    /// The model.
    fn info(&self) -> &ModelInfo;

    /// Takes a question, or says at once why not. Must be called within a tokio runtime.
    fn generate(&self, input: ChatInput) -> Result<Generation, EngineError>;

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
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// It waits; `position` counts from 1, which is next. Repeated when it changes; left out if it starts at once.
    Queued {
        /// Place in the queue.
        position: u32,
    },
    /// It has a slot; its prompt is being computed.
    Started {
        /// Tokens of the rendered prompt.
        prompt_tokens: u32,
    },
    /// A token was chosen. The token with which the model ends its answer is one of them.
    Token {
        /// Token id.
        id: u32,
        /// Text that became clear with it: valid UTF-8, without stop texts, often empty.
        text: String,
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
            Self::Token { id: _, text } => write!(f, "Token({} bytes)", text.len()),
            Self::Finished(finished) => finished.fmt(f),
            Self::Failed(error) => write!(f, "Failed({})", error.code()),
        }
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Why.
    pub finish: FinishReason,
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub completion_tokens: u32,
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

/// Refuses what breaks a bound of `types::limits`, and questions without a word.
fn check_input(input: &ChatInput) -> Result<(), EngineError> {
    let ChatInput { messages, sampling, max_tokens, stop } = input;
    let prompt_bytes: usize = messages.iter().map(|m| m.content.len()).sum();
    let bounds = [
        ("CHAT_MESSAGES_MAX", messages.len() <= limits::CHAT_MESSAGES_MAX),
        ("PROMPT_BYTES_MAX", prompt_bytes <= limits::PROMPT_BYTES_MAX),
        ("STOP_STRINGS_MAX", stop.len() <= limits::STOP_STRINGS_MAX),
        ("STOP_BYTES_MAX", stop.iter().all(|s| s.len() <= limits::STOP_BYTES_MAX)),
        ("ANSWER_TOKENS_MAX", *max_tokens <= limits::ANSWER_TOKENS_MAX),
        ("TEMPERATURE_MILLI_MAX", sampling.temperature_milli <= limits::TEMPERATURE_MILLI_MAX),
        ("TOP_K_MAX", sampling.top_k <= limits::TOP_K_MAX),
        ("SEED_MAX", sampling.seed <= limits::SEED_MAX),
        ("top_p_milli", sampling.top_p_milli <= 1_000),
        ("min_p_milli", sampling.min_p_milli <= 1_000),
    ];
    if let Some((bound, _)) = bounds.iter().find(|(_, kept)| !kept) {
        return Err(EngineError::InputOutOfBounds { bound: (*bound).to_owned() });
    }
    if messages.iter().all(|m| m.content.trim().is_empty()) {
        return Err(EngineError::EmptyPrompt);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{ChatMessage, ChatRole, Sampling};

    fn input(content: String) -> ChatInput {
        let messages = vec![ChatMessage { role: ChatRole::User, content }];
        ChatInput { messages, sampling: Sampling::default(), max_tokens: 0, stop: vec![] }
    }

    #[test]
    fn bounds_hold_at_the_bound_and_break_past_it() {
        let bytes = limits::PROMPT_BYTES_MAX;
        assert_eq!(check_input(&input("x".repeat(bytes))), Ok(()));
        assert_eq!(check_input(&input("x".repeat(bytes + 1))).unwrap_err().code(), "input_out_of_bounds");
        let stops = |n: usize, length: usize| ChatInput { stop: vec!["x".repeat(length); n], ..input("x".into()) };
        assert_eq!(check_input(&stops(limits::STOP_STRINGS_MAX, limits::STOP_BYTES_MAX)), Ok(()));
        assert!(check_input(&stops(limits::STOP_STRINGS_MAX + 1, 1)).is_err());
        assert!(check_input(&stops(1, limits::STOP_BYTES_MAX + 1)).is_err());
        let hot = |temperature_milli| {
            let sampling = Sampling { temperature_milli, ..Sampling::default() };
            check_input(&ChatInput { sampling, ..input("x".into()) })
        };
        assert_eq!(hot(limits::TEMPERATURE_MILLI_MAX), Ok(()));
        assert!(hot(limits::TEMPERATURE_MILLI_MAX + 1).is_err());
    }

    #[test]
    fn a_question_needs_a_word() {
        assert_eq!(check_input(&input(" \n".into())), Err(EngineError::EmptyPrompt));
        assert_eq!(check_input(&ChatInput { messages: vec![], ..input(String::new()) }), Err(EngineError::EmptyPrompt));
    }

    #[test]
    fn debug_output_shows_no_text() {
        let event = Event::Token { id: 7, text: "secret".into() };
        assert_eq!(format!("{event:?}"), "Token(6 bytes)");
    }
}
