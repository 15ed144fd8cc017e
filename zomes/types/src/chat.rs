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
    /// A tool's result.
    Tool,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatMessage {
    /// Who speaks.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
    /// What comes besides words; mostly nothing.
    pub more: Option<Box<MessageMore>>,
}

impl ChatMessage {
    /// A message of words alone.
    pub fn new(role: ChatRole, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), more: None }
    }
}

/// What a message has besides words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct MessageMore {
    /// What is shown, in the order of its places in what is said.
    pub images: Vec<ChatImage>,
    /// What the model thought before it said that.
    pub reasoning: Option<String>,
    /// Tools that the model called.
    pub tool_calls: Vec<ChatToolCall>,
    /// Results of tools: the call that it answers.
    pub tool_call_id: Option<String>,
    /// Results of tools: the tool's name.
    pub name: Option<String>,
}

/// An image in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatImage {
    /// Where it stands: before this byte of the content, which begins a character or is the end.
    pub at: u32,
    /// A PNG or JPEG file.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub file: Vec<u8>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatToolCall {
    /// Names the call in its conversation.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, as JSON text.
    pub arguments: String,
}

/// Everything that decides an answer, besides the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatInput {
    /// The conversation, oldest first; empty only if `more` has a prompt instead.
    pub messages: Vec<ChatMessage>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens to answer with; 0 means as many as fit into the context.
    pub max_tokens: u32,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// What plain questions do not have.
    pub more: Option<Box<ChatMore>>,
}

/// What a question has besides a conversation of words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatMore {
    /// What is to be continued, if it is no conversation.
    pub prompt: Option<ChatPrompt>,
    /// What the model may call.
    pub tools: Vec<ChatTool>,
    /// Whether it may, or must.
    pub tool_choice: ChatToolChoice,
    /// Whether it may call several tools in one answer.
    pub parallel_tool_calls: bool,
    /// Whether the model shall think first; none leaves it to its template.
    pub thinking: Option<bool>,
    /// Further variables for the template: an object as JSON text, empty for none.
    pub template_arguments: String,
    /// What changes logits before tokens are chosen; none changes nothing.
    pub adjust: Option<ChatAdjust>,
    /// What the answer must look like.
    pub constraint: Option<ChatConstraint>,
    /// Tell log-probabilities: of the chosen token, and of so many of the most likely.
    pub logprobs: Option<u32>,
    /// Go on where the model would end its answer.
    pub ignore_end: bool,
    /// Tokens with which the answer begins: somebody else has said them. What is answered follows them.
    pub begun: Vec<u32>,
}

/// What is to be continued, if it is no conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ChatPrompt {
    /// A text as it is; special tokens in it are recognised.
    Text(String),
    /// Tokens as they are.
    Tokens(Vec<u32>),
}

/// A tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatTool {
    /// Name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// Schema of its arguments, as JSON text.
    pub parameters: String,
}

/// Whether the model may call tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ChatToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It may not.
    None,
    /// It must call at least one.
    Required,
    /// It must call this one.
    Named(String),
}

/// What the answer must look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ChatConstraint {
    /// Any JSON object.
    JsonObject,
    /// JSON that fits this schema, itself JSON text.
    JsonSchema(String),
    /// Text that a regular expression matches as a whole.
    Regex(String),
    /// Text of a grammar in Lark's notation.
    Lark(String),
    /// Text of a grammar in llama.cpp's notation.
    Gbnf(String),
    /// One of these texts.
    Choice(Vec<String>),
}

/// What changes logits before tokens are chosen. Fractions are in thousandths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChatAdjust {
    /// Divides positive and multiplies negative logits of tokens that occurred, in thousandths; 1000 is neutral.
    pub repetition_milli: u32,
    /// Taken off once for tokens that occurred, in thousandths; 0 is neutral.
    pub presence_milli: i32,
    /// Taken off for each time that a token occurred, in thousandths; 0 is neutral.
    pub frequency_milli: i32,
    /// Tokens looked back at for these; 0 means all of the answer.
    pub last_tokens: u32,
    /// Added to the logits of single tokens.
    pub bias: Vec<LogitBias>,
}

/// What is added to the logit of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LogitBias {
    /// Token id.
    pub token: u32,
    /// How much, in thousandths.
    pub bias_milli: i32,
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

/// What a part of an answer has besides text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ChunkMore {
    /// The next piece of what the model thinks.
    pub reasoning: String,
    /// The next pieces of tool calls.
    pub tool_calls: Vec<ToolCallPiece>,
    /// How likely the part's tokens were, one for each; empty if that was not asked for.
    pub logprobs: Vec<TokenLogprobs>,
}

/// A piece of a tool call, as the model writes it. The pieces of one call come before the next one's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ToolCallPiece {
    /// Which call of the answer, from 0.
    pub index: u32,
    /// With the first piece of a call.
    pub begins: Option<ToolCallBegin>,
    /// What to append to the call's arguments, which are JSON text.
    pub arguments: String,
}

/// How a tool call begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ToolCallBegin {
    /// Names the call in its conversation.
    pub id: String,
    /// The tool.
    pub name: String,
}

/// How likely a token was, among all tokens before any were cut away, at temperature 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TokenLogprobs {
    /// The chosen token.
    pub chosen: TokenLogprob,
    /// The most likely tokens, most likely first.
    pub top: Vec<TokenLogprob>,
}

/// A token and how likely it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TokenLogprob {
    /// Token id.
    pub token: u32,
    /// Its text; not always UTF-8. Longer ones are cut.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(feature = "ts", ts(type = "Uint8Array"))]
    pub text: Vec<u8>,
    /// Natural logarithm of its probability, in millionths; the least number stands for all below it.
    pub logprob_micro: i32,
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
