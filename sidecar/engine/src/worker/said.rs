//! What an answer says while its tokens come: its text, its thoughts and calls, and whether a token ends it.
//!
//! It follows from the tokens alone, so tokens that somebody else has chosen are taken in like own ones.

use crate::dialect::{OutputParser, Part};
use crate::llama::{Model, Token};
use crate::text::AnswerText;
use crate::{EngineError, More};
use ainonymous_types::{limits, FinishReason};

/// The told side of one answer.
pub(super) struct Said {
    parser: Option<OutputParser>,
    text: AnswerText,
    bytes: usize,
    tokens: u32,
    tokens_max: u32,
}

impl Said {
    /// Nothing so far. `tokens_max`: most tokens of the answer.
    pub(super) fn new(parser: Option<OutputParser>, stops: &[String], tokens_max: u32) -> Self {
        Self { parser, text: AnswerText::new(stops), bytes: 0, tokens: 0, tokens_max }
    }

    /// Most tokens of the answer.
    pub(super) fn tokens_max(&self) -> u32 {
        self.tokens_max
    }

    /// Which stop text ended the answer, if one did.
    pub(super) fn stopped_by(&self) -> Option<u32> {
        self.text.stopped_by()
    }

    /// Takes in what somebody else has said: nobody is told again. Why the answer ended with the last of these tokens, if it did.
    pub(super) fn begun(
        &mut self,
        model: &Model,
        markers: &[Token],
        tokens: &[Token],
    ) -> Result<Option<FinishReason>, EngineError> {
        let (mut bytes, mut ended) = (Vec::new(), None);
        for token in tokens {
            if ended.is_some() {
                return Err(EngineError::InputOutOfBounds { bound: "the end of the begun answer".into() });
            }
            (_, _, ended) = self.token(model, markers, *token, &mut bytes);
        }
        Ok(ended)
    }

    /// The text that a token adds, what it adds besides, and why the answer ends with it if it does. `markers`: special tokens that an
    /// answer in a chat shows.
    pub(super) fn token(
        &mut self,
        model: &Model,
        markers: &[Token],
        token: Token,
        bytes: &mut Vec<u8>,
    ) -> (String, Option<More>, Option<FinishReason>) {
        self.tokens += 1;
        let (text, finish) = self.take_text(model, markers, token, bytes);
        let (text, more) = self.take_apart(text, finish.is_some());
        (text, more, finish)
    }

    /// What is said, and what is thought and called besides.
    fn take_apart(&mut self, text: String, ends: bool) -> (String, Option<More>) {
        let Some(parser) = &mut self.parser else { return (text, None) };
        let mut parts = parser.push(&text);
        if ends {
            parts.append(&mut parser.finish());
        }
        let (mut said, mut more) = (String::new(), None::<More>);
        for part in parts {
            match part {
                Part::Content(text) => said.push_str(&text),
                Part::Reasoning(text) => more.get_or_insert_default().reasoning.push_str(&text),
                Part::ToolCall(call) => more.get_or_insert_default().tool_calls.push(call),
            }
        }
        (said, more)
    }

    /// The text that the last token adds, and why the answer ends with it if it does. The token that ends an answer is a
    /// token of the answer: it proves that the model, not the provider, ended it.
    fn take_text(
        &mut self,
        model: &Model,
        markers: &[Token],
        last: Token,
        bytes: &mut Vec<u8>,
    ) -> (String, Option<FinishReason>) {
        let (mut text, mut finish) = (String::new(), None);
        if model.ends_answer(last) {
            text = self.text.finish();
            finish = Some(FinishReason::Stop);
        } else {
            bytes.clear();
            model.piece(last, self.parser.is_some() && markers.contains(&last), bytes);
            let added = self.text.push(bytes);
            text.push_str(&added.text);
            if added.stopped {
                finish = Some(FinishReason::Stop);
            } else if self.tokens >= self.tokens_max {
                text.push_str(&self.text.finish());
                finish = Some(FinishReason::Length);
            }
        }
        self.bytes += text.len();
        if self.bytes > limits::ANSWER_BYTES_MAX {
            let mut keep = text.len() - (self.bytes - limits::ANSWER_BYTES_MAX);
            while !text.is_char_boundary(keep) {
                keep -= 1;
            }
            text.truncate(keep);
            finish = Some(FinishReason::Length);
        }
        (text, finish)
    }
}
