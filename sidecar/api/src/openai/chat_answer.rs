//! Answers in the shape of chat completions: in one piece, or as chunks.

use super::chunks::{self, Chunks};
use crate::answer::shapes::{extension, finish_reason, logprob_entry, now_s, system_fingerprint, timings, Usage};
use crate::answer::stream::{comment, data, Voice};
use crate::answer::{Part, Whole};
use crate::ApiError;
use ainonymous_node::request::ToolCall;
use ainonymous_node::{AnswerDone, AnswerHead, TokenLogprobs, ToolCallPart};
use serde::Serialize;
use serde_json::{json, Map, Value};

/// What the ids of chat completions begin with.
pub(super) const ID_PREFIX: &str = "chatcmpl-";

/// Answers in one piece, as choices of one completion.
pub(super) fn completion(answers: &[Whole]) -> Value {
    let mut whole = frame(answers.first().map(|answer| &answer.head), "chat.completion", now_s());
    let several = answers.len() > 1;
    let choices: Vec<Value> =
        answers.iter().enumerate().map(|(index, answer)| choice(index, answer, several)).collect();
    whole.insert("choices".into(), choices.into());
    whole.insert("usage".into(), Usage::of(answers).to_json());
    if let Some(first) = answers.first() {
        whole.insert("timings".into(), timings(&first.done));
        whole.insert("ainonymous".into(), extension(&first.head, &first.done));
    }
    Value::Object(whole)
}

fn choice(index: usize, answer: &Whole, several: bool) -> Value {
    let Whole { head, text, reasoning, tool_calls, logprobs, done } = answer;
    let silent = text.is_empty() && !tool_calls.is_empty();
    let mut message = json!({ "role": "assistant", "content": text, "refusal": null });
    if silent {
        message["content"] = Value::Null;
    }
    if !reasoning.is_empty() {
        message["reasoning_content"] = reasoning.as_str().into();
    }
    if !tool_calls.is_empty() {
        message["tool_calls"] = tool_calls.iter().map(call).collect();
    }
    let mut choice = json!({
        "index": index,
        "message": message,
        "logprobs": logprobs_of(logprobs),
        "finish_reason": finish_reason(done.finish, !tool_calls.is_empty()),
    });
    if several {
        choice["ainonymous"] = extension(head, done);
    }
    choice
}

fn call(ToolCall { id, name, arguments }: &ToolCall) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
}

/// Null if none were asked for.
fn logprobs_of(tokens: &[TokenLogprobs]) -> Value {
    match tokens.is_empty() {
        true => Value::Null,
        false => json!({ "content": tokens.iter().map(logprob_entry).collect::<Vec<_>>(), "refusal": null }),
    }
}

/// What every completion and every chunk begins with.
fn frame(head: Option<&AnswerHead>, object: &str, created: u64) -> Map<String, Value> {
    let mut frame = Map::new();
    if let Some(head) = head {
        frame.insert("id".into(), format!("{ID_PREFIX}{}", head.id).into());
        frame.insert("model".into(), head.model.as_str().into());
        frame.insert("system_fingerprint".into(), system_fingerprint(head).into());
    }
    frame.insert("object".into(), object.into());
    frame.insert("created".into(), created.into());
    frame
}

/// Answers as chunks: the role, the text, why it ended, perhaps the usage, `[DONE]`.
pub(super) struct Stream {
    chunks: Chunks,
    counted: bool,
    /// Which answers called tools.
    called: Vec<bool>,
}

/// A choice that is not the last of its answer.
#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Value,
    finish_reason: Option<()>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
}

impl Stream {
    pub(super) fn new(heads: &[AnswerHead], include_usage: bool) -> Self {
        let chunks = Chunks::new(frame(heads.first(), "chat.completion.chunk", now_s()), include_usage);
        Self { chunks, counted: false, called: vec![false; heads.len()] }
    }

    fn delta(&self, index: usize, delta: Delta<'_>, logprobs: &[TokenLogprobs], out: &mut String) {
        let choice = Choice { index, delta, logprobs: logprobs_of(logprobs), finish_reason: None };
        self.chunks.choice(&choice, out);
    }
}

impl Voice for Stream {
    fn begin(&mut self, out: &mut String) {
        for index in 0..self.called.len() {
            let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.delta(index, delta, &[], out);
        }
    }

    fn queued(&mut self, position: u32, out: &mut String) {
        chunks::queued(position, out);
    }

    fn part(&mut self, index: usize, part: Part, out: &mut String) {
        let Part { text, reasoning, tool_calls, logprobs } = part;
        if text.is_empty() && reasoning.is_empty() && tool_calls.is_empty() && logprobs.is_none() {
            return;
        }
        self.called[index] |= !tool_calls.is_empty();
        let delta = Delta {
            role: None,
            reasoning_content: (!reasoning.is_empty()).then_some(&reasoning),
            content: (!text.is_empty()).then_some(&text),
            tool_calls: tool_calls.iter().map(call_delta).collect(),
        };
        self.delta(index, delta, logprobs.as_slice(), out);
    }

    fn done(&mut self, index: usize, head: &AnswerHead, done: &AnswerDone, out: &mut String) {
        let reason = finish_reason(done.finish, self.called[index]);
        let choice = json!({ "index": index, "delta": {}, "logprobs": null, "finish_reason": reason });
        let again = std::mem::replace(&mut self.counted, true);
        self.chunks.last(choice, (head, done), again, out);
    }

    fn end(&mut self, out: &mut String) {
        self.chunks.end(out);
    }

    fn fail(&mut self, error: &ApiError, out: &mut String) {
        data(out, &error.to_json());
    }

    fn idle(&mut self, out: &mut String) {
        comment(out, "");
    }
}

fn call_delta(ToolCallPart { index, begins, arguments }: &ToolCallPart) -> Value {
    match begins {
        Some((id, name)) => {
            json!({ "index": index, "id": id, "type": "function",
                "function": { "name": name, "arguments": arguments } })
        }
        None => json!({ "index": index, "function": { "arguments": arguments } }),
    }
}
