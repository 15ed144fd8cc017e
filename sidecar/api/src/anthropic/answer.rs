//! Answers in the shape of Anthropic's messages: in one piece, or as events about blocks of content.

use crate::answer::shapes::{extension, timings};
use crate::answer::stream::{event, Voice};
use crate::answer::{Part, Whole};
use crate::ApiError;
use ainonymous_node::request::ToolCall;
use ainonymous_node::{AnswerDone, AnswerHead};
use ainonymous_types::FinishReason;
use serde_json::{json, Value};

/// Blocks of an answer.
pub(super) struct Content;

impl Content {
    /// An answer in one piece.
    pub(super) fn message(whole: Whole, stops: &[String]) -> Value {
        let Whole { head, text, reasoning, tool_calls, logprobs: _, done } = whole;
        let mut blocks = Vec::new();
        if !reasoning.is_empty() {
            blocks.push(json!({ "type": "thinking", "thinking": reasoning, "signature": "" }));
        }
        if !text.is_empty() || tool_calls.is_empty() {
            blocks.push(json!({ "type": "text", "text": text }));
        }
        let called = !tool_calls.is_empty();
        blocks.extend(tool_calls.into_iter().map(tool_use));
        let mut message = frame(&head);
        let (reason, stop) = stop_reason(&done, called, stops);
        message["content"] = blocks.into();
        message["stop_reason"] = reason.into();
        message["stop_sequence"] = stop;
        message["usage"] = usage(&done);
        message["timings"] = timings(&done);
        message["ainonymous"] = extension(&head, &done);
        message
    }
}

fn frame(head: &AnswerHead) -> Value {
    json!({
        "id": format!("{}{}", super::ID_PREFIX, head.id),
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": 0 },
    })
}

/// Arguments that are no JSON object (an answer that was cut) stay readable.
fn tool_use(ToolCall { id, name, arguments }: ToolCall) -> Value {
    let input = match serde_json::from_str(&arguments) {
        Ok(Value::Object(map)) => Value::Object(map),
        _ => json!({ "unparsed": arguments }),
    };
    json!({ "type": "tool_use", "id": id, "name": name, "input": input })
}

fn stop_reason(done: &AnswerDone, called: bool, stops: &[String]) -> (&'static str, Value) {
    let stopped_by = done.stopped_by.and_then(|at| stops.get(at as usize));
    match (done.finish, stopped_by) {
        (FinishReason::Length, _) => ("max_tokens", Value::Null),
        (_, Some(text)) => ("stop_sequence", text.as_str().into()),
        (_, None) if called => ("tool_use", Value::Null),
        (_, None) => ("end_turn", Value::Null),
    }
}

/// Tokens that were in the cache are counted apart, as Anthropic counts them.
fn usage(done: &AnswerDone) -> Value {
    json!({
        "input_tokens": done.prompt_tokens.saturating_sub(done.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": done.cached_tokens,
        "output_tokens": done.completion_tokens,
    })
}

/// Kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    Tool,
}

/// An answer as events.
pub(super) struct Events {
    head: AnswerHead,
    stops: Vec<String>,
    /// The block that grows.
    open: Option<Block>,
    /// Blocks begun.
    blocks: u64,
    called: bool,
    last: Option<Value>,
}

impl Events {
    pub(super) fn new(head: &AnswerHead, stops: Vec<String>) -> Self {
        Self { head: head.clone(), stops, open: None, blocks: 0, called: false, last: None }
    }

    fn open(&mut self, block: Block, content: Value, out: &mut String) {
        self.close(out);
        self.open = Some(block);
        self.blocks += 1;
        let fields = json!({ "type": "content_block_start", "index": self.index(), "content_block": content });
        event(out, "content_block_start", &fields);
    }

    fn close(&mut self, out: &mut String) {
        if self.open.take().is_some() {
            let fields = json!({ "type": "content_block_stop", "index": self.index() });
            event(out, "content_block_stop", &fields);
        }
    }

    fn delta(&self, delta: Value, out: &mut String) {
        let fields = json!({ "type": "content_block_delta", "index": self.index(), "delta": delta });
        event(out, "content_block_delta", &fields);
    }

    /// Of the block begun last.
    fn index(&self) -> u64 {
        self.blocks.saturating_sub(1)
    }
}

impl Voice for Events {
    fn begin(&mut self, out: &mut String) {
        event(out, "message_start", &json!({ "type": "message_start", "message": frame(&self.head) }));
        event(out, "ping", &json!({ "type": "ping" }));
    }

    fn part(&mut self, _index: usize, part: Part, out: &mut String) {
        let Part { text, reasoning, tool_calls, logprobs: _ } = part;
        if !reasoning.is_empty() {
            if self.open != Some(Block::Thinking) {
                self.open(Block::Thinking, json!({ "type": "thinking", "thinking": "", "signature": "" }), out);
            }
            self.delta(json!({ "type": "thinking_delta", "thinking": reasoning }), out);
        }
        if !text.is_empty() {
            if self.open != Some(Block::Text) {
                self.open(Block::Text, json!({ "type": "text", "text": "" }), out);
            }
            self.delta(json!({ "type": "text_delta", "text": text }), out);
        }
        for call in tool_calls {
            if let Some((id, name)) = call.begins {
                self.called = true;
                self.open(Block::Tool, json!({ "type": "tool_use", "id": id, "name": name, "input": {} }), out);
            }
            if !call.arguments.is_empty() {
                self.delta(json!({ "type": "input_json_delta", "partial_json": call.arguments }), out);
            }
        }
    }

    fn done(&mut self, _index: usize, head: &AnswerHead, done: &AnswerDone, out: &mut String) {
        self.close(out);
        let (reason, stop) = stop_reason(done, self.called, &self.stops);
        self.last = Some(json!({
            "type": "message_delta",
            "delta": { "stop_reason": reason, "stop_sequence": stop },
            "usage": usage(done),
            "timings": timings(done),
            "ainonymous": extension(head, done),
        }));
    }

    fn end(&mut self, out: &mut String) {
        if let Some(last) = self.last.take() {
            event(out, "message_delta", &last);
        }
        event(out, "message_stop", &json!({ "type": "message_stop" }));
    }

    fn fail(&mut self, error: &ApiError, out: &mut String) {
        event(out, "error", &super::error(error.status(), &error.to_json()));
    }

    fn idle(&mut self, out: &mut String) {
        event(out, "ping", &json!({ "type": "ping" }));
    }
}
