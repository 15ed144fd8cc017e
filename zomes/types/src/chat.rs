//! A question as it travels: integers only, so that its canonical bytes are the same everywhere.

use serde::{Deserialize, Serialize};

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ChatRole {
    /// Instructions.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatMessage {
    /// Who speaks.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
}

/// Everything that decides an answer, besides the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatInput {
    /// The conversation, oldest first; not empty.
    pub messages: Vec<ChatMessage>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens to answer with; 0 means as many as fit into the context.
    pub max_tokens: u32,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
}

/// How tokens are chosen. Fractions are in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Sampling {
    /// Temperature in thousandths; 0 takes the most likely token.
    pub temperature_milli: u32,
    /// Keep the most likely tokens that together reach this probability, in thousandths; 1000 keeps all.
    pub top_p_milli: u32,
    /// Keep tokens at least this likely relative to the most likely, in thousandths; 0 keeps all.
    pub min_p_milli: u32,
    /// Keep this many tokens; 0 keeps all.
    pub top_k: u32,
    /// Chosen by the requester: the same seed gives the same answer on the same build.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub seed: u64,
}

impl Default for Sampling {
    /// Gemma's recommended settings: temperature 1, top-k 64, top-p 0.95.
    fn default() -> Self {
        Self { temperature_milli: 1_000, top_p_milli: 950, min_p_milli: 0, top_k: 64, seed: 0 }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it, or a stop text was met.
    Stop,
    /// `max_tokens` or the end of the context.
    Length,
    /// The requester cancelled.
    Cancelled,
}
