//! What a model's tokeniser and template can be asked, without an answer of the model; and what a template's text tells.

use crate::request::{broken, secret, Chat, Prompt};
use crate::EngineError;
use ainonymous_types::limits;
use serde::{Deserialize, Serialize};

/// Most tokens whose text can be asked for.
pub const DETOKENIZE_MAX: usize = 1 << 16;

/// A question to the tokeniser or the template.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Inspect {
    /// How many tokens a prompt becomes, however many fit into the context.
    Count(Prompt),
    /// The tokens of a text.
    Tokenize {
        /// The text.
        text: String,
        /// With the tokens that the model wants before and behind a text.
        add_special: bool,
        /// Names of special tokens in the text stand for these.
        parse_special: bool,
    },
    /// The text of tokens.
    Detokenize(Vec<u32>),
    /// The prompt that the template makes of a conversation.
    Render(Box<Chat>),
}

/// What tokeniser or template say.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Inspected {
    /// So many tokens.
    Count(u32),
    /// Each token and its bytes, which are not always UTF-8.
    Tokens(Vec<(u32, Vec<u8>)>),
    /// A text. What is no UTF-8 in it was replaced.
    Text(String),
}

secret!(Inspect, Inspected);

impl Inspect {
    /// Refuses what breaks a bound.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        match self {
            Self::Count(prompt) => prompt.check(),
            Self::Tokenize { text, add_special: _, parse_special: _ } => {
                broken(&[("PROMPT_BYTES_MAX", text.len() <= limits::PROMPT_BYTES_MAX)])
            }
            Self::Detokenize(tokens) => broken(&[("DETOKENIZE_MAX", tokens.len() <= DETOKENIZE_MAX)]),
            Self::Render(chat) => chat.check(),
        }
    }
}

/// What a chat template prepares its model for, as far as its text tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TemplateKnows {
    /// It tells the model which tools there are.
    pub tools: bool,
    /// It knows thoughts before answers.
    pub thinking: bool,
}

impl TemplateKnows {
    /// Of a template's source.
    pub fn of(source: &str) -> Self {
        let marks = ["thinking", "<think>", "[THINK]", "reasoning_content", "<|channel|>analysis", "<|channel>thought"];
        Self { tools: crate::dialect::knows_tools(source), thinking: marks.iter().any(|mark| source.contains(mark)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_templates_know() {
        let of = |source: &str| {
            let TemplateKnows { tools, thinking } = TemplateKnows::of(source);
            (tools, thinking)
        };
        assert_eq!(of("{% for message in messages %}{{ message.content }}{% endfor %}"), (false, false));
        assert_eq!(of("{% if tools %}…{% endif %}"), (true, false));
        assert_eq!(of("{% if enable_thinking %}<think>{% endif %}"), (false, true));
    }

    #[test]
    fn bounds_hold_at_the_bound_and_break_past_it() {
        assert_eq!(Inspect::Detokenize(vec![0; DETOKENIZE_MAX]).check(), Ok(()));
        assert!(Inspect::Detokenize(vec![0; DETOKENIZE_MAX + 1]).check().is_err());
        let text = |bytes| Inspect::Tokenize { text: "x".repeat(bytes), add_special: false, parse_special: true };
        assert_eq!(text(limits::PROMPT_BYTES_MAX).check(), Ok(()));
        assert!(text(limits::PROMPT_BYTES_MAX + 1).check().is_err());
        assert_eq!(text(0).check(), Ok(()), "an empty text has no tokens");
    }
}
