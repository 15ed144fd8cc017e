//! What an engine is asked: everything that decides an answer besides the model, and the bounds on it.
//!
//! The form in which it travels between peers (`types::ChatInput`) is made and read in `travel`. Nothing here shows its content
//! in `Debug`: it is somebody's prompt.

use crate::EngineError;
use ainonymous_types::limits;
use ainonymous_types::Sampling;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

pub use limits::{
    IMAGES_MAX, IMAGE_BYTES_MAX, LOGIT_BIASES_MAX, TOOLS_MAX, TOOL_CALLS_MAX, TOOL_NAME_BYTES_MAX, TOP_LOGPROBS_MAX,
};
/// Longest text of all tools together, or of a constraint, in bytes as JSON: what may travel.
pub const SCHEMA_BYTES_MAX: usize = {
    assert!(limits::TOOLS_BYTES_MAX == limits::CONSTRAINT_BYTES_MAX);
    limits::CONSTRAINT_BYTES_MAX
};
/// Largest bias either way (OpenAI's bound).
pub const LOGIT_BIAS_MAX: f32 = limits::LOGIT_BIAS_MILLI_MAX as f32 / 1_000.0;
/// Most texts embedded at once.
pub const EMBED_INPUTS_MAX: usize = 512;
/// All images of a question together, in bytes of their files. To peers fewer may be sent.
pub const IMAGES_BYTES_MAX: usize = 24 << 20;
/// Most pixels of an image, as its header says.
pub const IMAGE_PIXELS_MAX: u64 = 32 << 20;
/// Longest side of an image, as a multiple of the other.
pub const IMAGE_ASPECT_MAX: u32 = 50;

/// A question.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What is to be continued.
    pub prompt: Prompt,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What changes logits before tokens are chosen.
    pub adjust: Adjust,
    /// What the answer must look like.
    pub constraint: Option<Constraint>,
    /// Most tokens to answer with; 0 means as many as fit into the context.
    pub max_tokens: u32,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Report log-probabilities: of the chosen token, and of so many of the most likely.
    pub logprobs: Option<u32>,
    /// Record what others need to check the answer: a [`crate::Fingerprint`] with each token.
    pub fingerprint: bool,
    /// Go on where the model would end its answer.
    pub ignore_end: bool,
    /// Tokens with which the answer begins: somebody has said them already, and what is answered follows them. They count as
    /// chosen, for penalties, forms, stop texts and `max_tokens`, but are not told again.
    pub begun: Vec<u32>,
}

/// What is to be continued.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Prompt {
    /// A conversation, rendered by the model's template.
    Chat(Chat),
    /// A text as it is; special tokens in it are recognised, and the begin token is added where the model wants it.
    Text(String),
    /// Tokens as they are.
    Tokens(Vec<u32>),
}

/// A conversation.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// Oldest first; not empty.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it may, or must.
    pub tool_choice: ToolChoice,
    /// Whether it may call several tools in one answer.
    pub parallel_tool_calls: bool,
    /// Whether the model shall think first, where its template knows that; `None` leaves it to the template.
    pub thinking: Option<bool>,
    /// Further variables for the template (`chat_template_kwargs`).
    pub template_arguments: Map<String, Value>,
}

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
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
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What is shown, in the order of its places in what is said.
    pub images: Vec<Image>,
    /// What the model thought before it said that.
    pub reasoning: Option<String>,
    /// Tools that the model called.
    pub tool_calls: Vec<ToolCall>,
    /// Results of tools: the call that it answers.
    pub tool_call_id: Option<String>,
    /// Results of tools: the tool's name.
    pub name: Option<String>,
}

/// An image in a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Where in the message's content it stands: before this byte, which begins a character or is the end.
    pub at: usize,
    /// A PNG or JPEG file.
    #[serde(with = "image_bytes")]
    pub bytes: Arc<[u8]>,
}

/// Bytes of images travel as bytes, not as a list of numbers.
mod image_bytes {
    use serde::{Deserializer, Serializer};
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        serde_bytes::deserialize::<Vec<u8>, D>(deserializer).map(Arc::from)
    }
}

/// A tool.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON schema of its arguments, an object.
    pub parameters: Value,
}

/// Whether the model may call tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolChoice {
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

/// A call of a tool.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names the call in its conversation.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, as JSON text.
    pub arguments: String,
}

/// What the answer must look like.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Constraint {
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema(Value),
    /// Text that a regular expression matches as a whole.
    Regex(String),
    /// Text of a grammar in the notation of `llguidance` (a dialect of Lark's).
    Lark(String),
    /// Text of a grammar in llama.cpp's notation (GBNF).
    Gbnf(String),
    /// One of these texts.
    Choice(Vec<String>),
}

/// What changes logits before tokens are chosen. The neutral value of every field changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adjust {
    /// Divides positive and multiplies negative logits of tokens that occurred (Keskar et al. 2019); 1 is neutral.
    pub repetition: f32,
    /// Taken off once for tokens that occurred; 0 is neutral.
    pub presence: f32,
    /// Taken off for each time that a token occurred; 0 is neutral.
    pub frequency: f32,
    /// Tokens looked back at for these, prompt included for `repetition`; 0 means all of the answer.
    pub last_tokens: u32,
    /// Added to the logits of these tokens; at most [`LOGIT_BIAS_MAX`] either way, which forbids or forces.
    pub bias: Vec<(u32, f32)>,
}

impl Default for Adjust {
    fn default() -> Self {
        Self { repetition: 1.0, presence: 0.0, frequency: 0.0, last_tokens: 64, bias: Vec::new() }
    }
}

impl Adjust {
    /// Does it change nothing?
    pub fn is_neutral(&self) -> bool {
        let Self { repetition, presence, frequency, last_tokens: _, bias } = self;
        *repetition == 1.0 && *presence == 0.0 && *frequency == 0.0 && bias.is_empty()
    }
}

/// Texts to embed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbedQuestion {
    /// One vector is made of each; at most [`EMBED_INPUTS_MAX`].
    pub inputs: Vec<EmbedInput>,
}

/// A text to embed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EmbedInput {
    /// A text.
    Text(String),
    /// Tokens.
    Tokens(Vec<u32>),
}

/// Vectors of texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embeddings {
    /// One for each input, in order, of length 1.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all inputs.
    pub prompt_tokens: u32,
}

impl Message {
    /// A message of words alone.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        let content = content.into();
        Self { role, content, images: vec![], reasoning: None, tool_calls: vec![], tool_call_id: None, name: None }
    }

    /// Length of everything that a person or a model wrote, in bytes.
    fn bytes(&self) -> usize {
        let Self { role: _, content, images: _, reasoning, tool_calls, tool_call_id, name } = self;
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let calls: usize = tool_calls.iter().map(|c| c.id.len() + c.name.len() + c.arguments.len()).sum();
        content.len() + optional(reasoning) + calls + optional(tool_call_id) + optional(name)
    }

    /// Do its images stand in order, each before a character or at the end?
    fn images_fit(&self) -> bool {
        let ordered = self.images.windows(2).all(|two| two[0].at <= two[1].at);
        ordered && self.images.iter().all(|image| self.content.is_char_boundary(image.at))
    }
}

impl Chat {
    /// All images, in the order in which the model sees them.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        self.messages.iter().flat_map(|message| &message.images)
    }
}

impl Question {
    /// Does it show images?
    pub fn has_images(&self) -> bool {
        matches!(&self.prompt, Prompt::Chat(chat) if chat.images().next().is_some())
    }

    /// The plain continuation of a prompt.
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            sampling: Sampling::default(),
            adjust: Adjust::default(),
            constraint: None,
            max_tokens: 0,
            stop: vec![],
            logprobs: None,
            fingerprint: false,
            ignore_end: false,
            begun: vec![],
        }
    }

    /// Refuses what breaks a bound, and questions without a word.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        // Fingerprints are the answering side's affair.
        let Self {
            prompt,
            sampling,
            adjust,
            constraint,
            max_tokens,
            stop,
            logprobs,
            fingerprint: _,
            ignore_end: _,
            begun,
        } = self;
        let bounds = [
            ("STOP_STRINGS_MAX", stop.len() <= limits::STOP_STRINGS_MAX),
            ("STOP_BYTES_MAX", stop.iter().all(|s| s.len() <= limits::STOP_BYTES_MAX)),
            ("ANSWER_TOKENS_MAX", *max_tokens <= limits::ANSWER_TOKENS_MAX),
            ("TEMPERATURE_MILLI_MAX", sampling.temperature_milli <= limits::TEMPERATURE_MILLI_MAX),
            ("TOP_K_MAX", sampling.top_k <= limits::TOP_K_MAX),
            ("SEED_MAX", sampling.seed <= limits::SEED_MAX),
            ("top_p_milli", sampling.top_p_milli <= 1_000),
            ("min_p_milli", sampling.min_p_milli <= 1_000),
            ("TOP_LOGPROBS_MAX", logprobs.is_none_or(|n| n <= TOP_LOGPROBS_MAX)),
            ("LOGIT_BIASES_MAX", adjust.bias.len() <= LOGIT_BIASES_MAX),
            ("LOGIT_BIAS_MAX", adjust.bias.iter().all(|(_, bias)| bias.abs() <= LOGIT_BIAS_MAX)),
            ("repetition", adjust.repetition > 0.0 && adjust.repetition <= 10.0),
            ("presence", adjust.presence.abs() <= 10.0),
            ("frequency", adjust.frequency.abs() <= 10.0),
            ("BEGUN_TOKENS_MAX", begun.len() <= limits::BEGUN_TOKENS_MAX),
            ("max_tokens", *max_tokens == 0 || begun.len() <= *max_tokens as usize),
            ("SCHEMA_BYTES_MAX", constraint.as_ref().is_none_or(|c| c.bytes() <= SCHEMA_BYTES_MAX)),
        ];
        broken(&bounds)?;
        prompt.check()
    }
}

impl Prompt {
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let empty = match self {
            Self::Text(text) => {
                broken(&[("PROMPT_BYTES_MAX", text.len() <= limits::PROMPT_BYTES_MAX)])?;
                text.is_empty()
            }
            Self::Tokens(tokens) => {
                broken(&[("PROMPT_BYTES_MAX", tokens.len() <= limits::PROMPT_BYTES_MAX / 4)])?;
                tokens.is_empty()
            }
            Self::Chat(chat) => return chat.check(),
        };
        if empty {
            return Err(EngineError::EmptyPrompt);
        }
        Ok(())
    }
}

impl Chat {
    /// Refuses what breaks a bound, and conversations without a word.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let Chat { messages, tools, tool_choice: _, parallel_tool_calls: _, thinking: _, template_arguments } = self;
        let name = |name: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            !name.is_empty() && name.len() <= TOOL_NAME_BYTES_MAX && name.chars().all(fits)
        };
        let tool_bytes =
            |t: &Tool| t.name.len() + t.description.as_ref().map_or(0, String::len) + t.parameters.to_string().len();
        let arguments = Value::Object(template_arguments.clone()).to_string().len();
        broken(&[
            ("CHAT_MESSAGES_MAX", messages.len() <= limits::CHAT_MESSAGES_MAX),
            ("PROMPT_BYTES_MAX", messages.iter().map(Message::bytes).sum::<usize>() <= limits::PROMPT_BYTES_MAX),
            ("IMAGES_MAX", self.images().count() <= IMAGES_MAX),
            ("IMAGE_BYTES_MAX", self.images().all(|image| image.bytes.len() <= IMAGE_BYTES_MAX)),
            ("IMAGES_BYTES_MAX", self.images().map(|i| i.bytes.len()).sum::<usize>() <= IMAGES_BYTES_MAX),
            ("places of images", messages.iter().all(Message::images_fit)),
            ("TOOL_CALLS_MAX", messages.iter().all(|m| m.tool_calls.len() <= TOOL_CALLS_MAX)),
            ("TOOLS_MAX", tools.len() <= TOOLS_MAX),
            ("TOOL_NAME_BYTES_MAX", tools.iter().all(|tool| name(&tool.name))),
            ("SCHEMA_BYTES_MAX", tools.iter().map(tool_bytes).sum::<usize>() + arguments <= SCHEMA_BYTES_MAX),
        ])?;
        match messages.iter().all(|m| m.content.trim().is_empty() && m.images.is_empty()) {
            true => Err(EngineError::EmptyPrompt),
            false => Ok(()),
        }
    }
}

impl Constraint {
    /// A grammar in one of two notations: in GBNF rules are defined with `::=`, which no line of Lark's begins with.
    pub fn grammar(text: String) -> Self {
        let defines = |line: &str| {
            let rest =
                line.trim_start().trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            rest.len() < line.trim_start().len() && rest.trim_start().starts_with("::=")
        };
        match text.lines().any(defines) {
            true => Self::Gbnf(text),
            false => Self::Lark(text),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::JsonObject => 0,
            Self::JsonSchema(schema) => schema.to_string().len(),
            Self::Regex(text) | Self::Lark(text) | Self::Gbnf(text) => text.len(),
            Self::Choice(texts) => texts.iter().map(|t| t.len() + 1).sum(),
        }
    }
}

impl EmbedQuestion {
    /// Refuses what breaks a bound, and empty texts.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let bytes = |input: &EmbedInput| match input {
            EmbedInput::Text(text) => text.len(),
            EmbedInput::Tokens(tokens) => tokens.len() * 4,
        };
        broken(&[
            ("EMBED_INPUTS_MAX", self.inputs.len() <= EMBED_INPUTS_MAX),
            ("PROMPT_BYTES_MAX", self.inputs.iter().map(bytes).sum::<usize>() <= limits::PROMPT_BYTES_MAX),
        ])?;
        if self.inputs.is_empty() || self.inputs.iter().any(|input| bytes(input) == 0) {
            return Err(EngineError::EmptyPrompt);
        }
        Ok(())
    }
}

pub(crate) fn broken(bounds: &[(&str, bool)]) -> Result<(), EngineError> {
    match bounds.iter().find(|(_, kept)| !kept) {
        Some((bound, _)) => Err(EngineError::InputOutOfBounds { bound: (*bound).to_owned() }),
        None => Ok(()),
    }
}

/// `Debug` that names the type and nothing of its content.
macro_rules! secret {
    ($($name:ident),*) => {$(
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
pub(crate) use secret;
secret!(Question, Prompt, Chat, Message, Image, Tool, ToolCall, Constraint, EmbedQuestion, EmbedInput);

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(content: String) -> Question {
        let messages = vec![Message::new(Role::User, content)];
        Question::new(Prompt::Chat(Chat { messages, ..Chat::default() }))
    }

    fn with(change: impl FnOnce(&mut Question)) -> Result<(), EngineError> {
        let mut question = chat("x".into());
        change(&mut question);
        question.check()
    }

    #[test]
    fn bounds_hold_at_the_bound_and_break_past_it() {
        let bytes = limits::PROMPT_BYTES_MAX;
        assert_eq!(chat("x".repeat(bytes)).check(), Ok(()));
        assert_eq!(chat("x".repeat(bytes + 1)).check().unwrap_err().code(), "input_out_of_bounds");
        let stops = |n: usize, length: usize| with(|q| q.stop = vec!["x".repeat(length); n]);
        assert_eq!(stops(limits::STOP_STRINGS_MAX, limits::STOP_BYTES_MAX), Ok(()));
        assert!(stops(limits::STOP_STRINGS_MAX + 1, 1).is_err());
        assert!(stops(1, limits::STOP_BYTES_MAX + 1).is_err());
        let hot = |milli| with(|q| q.sampling.temperature_milli = milli);
        assert_eq!(hot(limits::TEMPERATURE_MILLI_MAX), Ok(()));
        assert!(hot(limits::TEMPERATURE_MILLI_MAX + 1).is_err());
        assert_eq!(with(|q| q.logprobs = Some(TOP_LOGPROBS_MAX)), Ok(()));
        assert!(with(|q| q.logprobs = Some(TOP_LOGPROBS_MAX + 1)).is_err());
        assert_eq!(with(|q| q.adjust.bias = vec![(1, -LOGIT_BIAS_MAX); LOGIT_BIASES_MAX]), Ok(()));
        assert!(with(|q| q.adjust.bias = vec![(1, 0.0); LOGIT_BIASES_MAX + 1]).is_err());
        assert!(with(|q| q.adjust.bias = vec![(1, f32::NAN)]).is_err());
        assert!(with(|q| q.adjust.repetition = f32::NAN).is_err());
        assert!(with(|q| q.constraint = Some(Constraint::Regex("x".repeat(SCHEMA_BYTES_MAX + 1)))).is_err());
        assert_eq!(with(|q| q.begun = vec![1; limits::BEGUN_TOKENS_MAX]), Ok(()));
        assert!(with(|q| q.begun = vec![1; limits::BEGUN_TOKENS_MAX + 1]).is_err());
        assert_eq!(with(|q| (q.begun, q.max_tokens) = (vec![1; 3], 3)), Ok(()));
        assert!(with(|q| (q.begun, q.max_tokens) = (vec![1; 4], 3)).is_err());
    }

    #[test]
    fn images_are_bounded() {
        let images = |count: usize, bytes: usize, at: usize| {
            with(|q| {
                let Prompt::Chat(chat) = &mut q.prompt else { return };
                chat.messages[0].content = "é".into();
                chat.messages[0].images = vec![Image { at, bytes: vec![0; bytes].into() }; count];
            })
        };
        assert_eq!(images(IMAGES_MAX, 1, 2), Ok(()));
        assert!(images(IMAGES_MAX + 1, 1, 2).is_err());
        assert_eq!(images(IMAGES_BYTES_MAX / IMAGE_BYTES_MAX, IMAGE_BYTES_MAX, 0), Ok(()));
        assert!(images(1, IMAGE_BYTES_MAX + 1, 0).is_err());
        assert!(images(IMAGES_BYTES_MAX / IMAGE_BYTES_MAX + 1, IMAGE_BYTES_MAX, 0).is_err());
        assert!(images(1, 1, 1).is_err(), "within a character");
        assert!(images(1, 1, 3).is_err(), "behind the end");
        let blank = with(|q| q.prompt = Prompt::Chat(Chat { messages: vec![shown("")], ..Chat::default() }));
        assert_eq!(blank, Ok(()), "an image alone is a question");
    }

    fn shown(content: &str) -> Message {
        let image = Image { at: 0, bytes: vec![1].into() };
        Message { images: vec![image], ..Message::new(Role::User, content) }
    }

    #[test]
    fn a_question_needs_a_word() {
        assert_eq!(chat(" \n".into()).check(), Err(EngineError::EmptyPrompt));
        assert_eq!(Question::new(Prompt::Chat(Chat::default())).check(), Err(EngineError::EmptyPrompt));
        assert_eq!(Question::new(Prompt::Text(String::new())).check(), Err(EngineError::EmptyPrompt));
        assert_eq!(Question::new(Prompt::Tokens(vec![])).check(), Err(EngineError::EmptyPrompt));
        assert_eq!(EmbedQuestion { inputs: vec![] }.check(), Err(EngineError::EmptyPrompt));
    }

    #[test]
    fn the_notation_of_a_grammar_shows_in_its_rules() {
        let is_gbnf = |text: &str| matches!(Constraint::grammar(text.into()), Constraint::Gbnf(_));
        assert!(is_gbnf("# a comment\nroot ::= \"x\"") && is_gbnf("  root-1\t::= \"x\"") && is_gbnf("root::=other"));
        assert!(!is_gbnf("start: \"::=\"") && !is_gbnf("// a ::= b\nstart: /x ::= y/") && !is_gbnf("::= x"));
    }

    #[test]
    fn debug_output_shows_no_text() {
        assert_eq!(format!("{:?}", chat("secret".into())), "Question { .. }");
    }
}
