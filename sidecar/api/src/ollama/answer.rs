//! Answers in the shape of Ollama: in one piece, or one object a line.

use crate::answer::shapes::{logprob_entry, rfc3339};
use crate::answer::stream::Voice;
use crate::answer::{Calls, Part, Whole};
use crate::ApiError;
use ainonymous_node::request::ToolCall;
use ainonymous_node::{AnswerDone, AnswerHead};
use ainonymous_types::FinishReason;
use serde_json::{json, Map, Value};
use std::time::SystemTime;

/// Which of the two paths answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Generate,
}

/// What one object says.
#[derive(Default)]
struct Said<'a> {
    text: &'a str,
    thinking: &'a str,
    calls: &'a [ToolCall],
    logprobs: Vec<Value>,
}

impl Kind {
    /// An object that is not the last.
    fn object(self, model: &str, said: &Said<'_>) -> Map<String, Value> {
        let Said { text, thinking, calls, logprobs } = said;
        let mut words = Map::new();
        if !thinking.is_empty() {
            words.insert("thinking".into(), (*thinking).into());
        }
        if !calls.is_empty() {
            words.insert("tool_calls".into(), calls.iter().map(call).collect());
        }
        let mut object = Map::new();
        object.insert("model".into(), model.into());
        object.insert("created_at".into(), rfc3339(SystemTime::now()).into());
        match self {
            Self::Chat => {
                words.insert("role".into(), "assistant".into());
                words.insert("content".into(), (*text).into());
                object.insert("message".into(), words.into());
            }
            Self::Generate => {
                object.insert("response".into(), (*text).into());
                object.extend(words);
            }
        }
        if !logprobs.is_empty() {
            object.insert("logprobs".into(), logprobs.clone().into());
        }
        object.insert("done".into(), false.into());
        object
    }
}

/// Ollama's clients want arguments as an object.
fn call(ToolCall { id, name, arguments }: &ToolCall) -> Value {
    let arguments: Value = serde_json::from_str(arguments).ok().filter(Value::is_object).unwrap_or_else(|| json!({}));
    json!({ "id": id, "function": { "name": name, "arguments": arguments } })
}

/// Makes an object the last one: why it ended, counts, durations in nanoseconds.
fn finished(object: &mut Map<String, Value>, done: &AnswerDone) {
    let ns = |us: u64| us.saturating_mul(1_000);
    let reason = match done.finish {
        FinishReason::Length => "length",
        FinishReason::Stop | FinishReason::Cancelled => "stop",
    };
    let fields = [
        ("done", true.into()),
        ("done_reason", reason.into()),
        ("total_duration", ns(done.first_token_us.saturating_add(done.decode_us)).into()),
        ("load_duration", 0.into()),
        ("prompt_eval_count", done.prompt_tokens.into()),
        ("prompt_eval_duration", ns(done.provider_first_token_us).into()),
        ("eval_count", done.completion_tokens.into()),
        ("eval_duration", ns(done.decode_us).into()),
    ];
    object.extend(fields.map(|(name, value): (&str, Value)| (name.to_owned(), value)));
}

/// An answer in one piece.
pub(super) fn whole(kind: Kind, whole: Whole) -> Value {
    let Whole { head, text, reasoning, tool_calls, logprobs, done } = whole;
    let logprobs = logprobs.iter().map(logprob_entry).collect();
    let said = Said { text: &text, thinking: &reasoning, calls: &tool_calls, logprobs };
    let mut object = kind.object(&head.model, &said);
    finished(&mut object, &done);
    object.into()
}

/// The answer to a question without a word, which loads or unloads a model.
pub(super) fn without_words(kind: Kind, model: &str, reason: &str) -> Value {
    let mut object = kind.object(model, &Said::default());
    object.insert("done".into(), true.into());
    object.insert("done_reason".into(), reason.into());
    object.into()
}

/// An answer as lines.
pub(super) struct Lines {
    kind: Kind,
    model: String,
    /// Calls that were begun: told when they are complete.
    calls: Calls,
    last: Option<Map<String, Value>>,
}

impl Lines {
    pub(super) fn new(kind: Kind, head: &AnswerHead) -> Self {
        Self { kind, model: head.model.clone(), calls: Calls::default(), last: None }
    }
}

impl Voice for Lines {
    fn begin(&mut self, _out: &mut String) {}

    fn part(&mut self, _index: usize, part: Part, out: &mut String) {
        let Part { text, reasoning, tool_calls, logprobs } = part;
        tool_calls.into_iter().for_each(|call| self.calls.add(call));
        if text.is_empty() && reasoning.is_empty() && logprobs.is_none() {
            return;
        }
        let logprobs = logprobs.iter().map(logprob_entry).collect();
        let said = Said { text: &text, thinking: &reasoning, calls: &[], logprobs };
        line(out, &self.kind.object(&self.model, &said).into());
    }

    fn done(&mut self, _index: usize, _head: &AnswerHead, done: &AnswerDone, out: &mut String) {
        if !self.calls.0.is_empty() {
            let said = Said { calls: &self.calls.0, ..Said::default() };
            line(out, &self.kind.object(&self.model, &said).into());
        }
        let mut last = self.kind.object(&self.model, &Said::default());
        finished(&mut last, done);
        self.last = Some(last);
    }

    fn end(&mut self, out: &mut String) {
        if let Some(last) = self.last.take() {
            line(out, &last.into());
        }
    }

    fn fail(&mut self, error: &ApiError, out: &mut String) {
        line(out, &super::error(&error.to_json()));
    }
}

fn line(out: &mut String, value: &Value) {
    // JSON has no line ends of its own.
    out.push_str(&value.to_string());
    out.push('\n');
}
