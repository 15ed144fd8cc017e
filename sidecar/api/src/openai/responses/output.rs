//! The output items of a response, and the events that tell of them. One machine for both, so that they agree.

use crate::answer::shapes::{extension, logprob_entry, now_s, timings};
use crate::answer::stream::{event, Voice};
use crate::answer::{Answers, Part, Piece};
use crate::ApiError;
use ainonymous_node::{AnswerDone, AnswerHead, ToolCallPart};
use ainonymous_types::FinishReason;
use serde_json::{json, Map, Value};

/// A response that grows.
pub(super) struct Output {
    /// What of the response does not change.
    frame: Map<String, Value>,
    digits: String,
    /// Items that are complete.
    items: Vec<Value>,
    /// The one that is not.
    open: Option<Open>,
    /// Id of the open item.
    open_id: String,
    sequence: u64,
    head: AnswerHead,
    done: Option<AnswerDone>,
    reasoning_parts: u64,
}

/// An item that grows.
enum Open {
    Reasoning(String),
    Text { text: String, logprobs: Vec<Value> },
    Call { call_id: String, name: String, arguments: String },
}

impl Output {
    pub(super) fn new(head: &AnswerHead, echo: Map<String, Value>) -> Self {
        let digits = head.id.to_hex();
        let mut frame = echo;
        let fixed = json!({
            "id": format!("{}{digits}", super::ID_PREFIX),
            "object": "response",
            "created_at": now_s(),
            "model": head.model,
            "background": false,
            "error": null,
            "incomplete_details": null,
            "previous_response_id": null,
            "service_tier": "default",
            "store": false,
            "truncation": "disabled",
        });
        if let Value::Object(fixed) = fixed {
            frame.extend(fixed);
        }
        Self {
            frame,
            digits,
            items: Vec::new(),
            open: None,
            open_id: String::new(),
            sequence: 0,
            head: head.clone(),
            done: None,
            reasoning_parts: 0,
        }
    }

    /// The response in one piece.
    pub(super) async fn whole(mut self, mut answers: Answers) -> Result<Value, ApiError> {
        let mut unheard = String::new();
        while let Some((_, piece)) = answers.next().await {
            match piece? {
                Piece::Queued(_) => {}
                Piece::Part(part) => self.add(part, &mut unheard),
                Piece::Done(done) => self.done = Some(*done),
            }
            unheard.clear();
        }
        self.close(&mut unheard);
        Ok(self.response())
    }

    fn add(&mut self, part: Part, out: &mut String) {
        let Part { text, reasoning, tool_calls, logprobs } = part;
        if !reasoning.is_empty() {
            self.reasoning_parts += 1;
            self.reasoning(&reasoning, out);
        }
        if !text.is_empty() {
            self.text(&text, logprobs.as_ref().map(logprob_entry), out);
        }
        for call in tool_calls {
            self.call(call, out);
        }
    }

    fn reasoning(&mut self, delta: &str, out: &mut String) {
        if !matches!(self.open, Some(Open::Reasoning(_))) {
            self.open(Open::Reasoning(String::new()), out);
            let part = json!({ "type": "reasoning_text", "text": "" });
            self.tell("response.content_part.added", json!({ "content_index": 0, "part": part }), out);
        }
        if let Some(Open::Reasoning(text)) = &mut self.open {
            text.push_str(delta);
        }
        self.tell("response.reasoning_text.delta", json!({ "content_index": 0, "delta": delta }), out);
    }

    fn text(&mut self, delta: &str, logprob: Option<Value>, out: &mut String) {
        if !matches!(self.open, Some(Open::Text { .. })) {
            self.open(Open::Text { text: String::new(), logprobs: Vec::new() }, out);
            let part = output_text("", &[]);
            self.tell("response.content_part.added", json!({ "content_index": 0, "part": part }), out);
        }
        let told: Vec<Value> = logprob.into_iter().collect();
        if let Some(Open::Text { text, logprobs }) = &mut self.open {
            text.push_str(delta);
            logprobs.extend(told.iter().cloned());
        }
        let fields = json!({ "content_index": 0, "delta": delta, "logprobs": told });
        self.tell("response.output_text.delta", fields, out);
    }

    fn call(&mut self, ToolCallPart { index: _, begins, arguments: delta }: ToolCallPart, out: &mut String) {
        if let Some((call_id, name)) = begins {
            self.open(Open::Call { call_id, name, arguments: String::new() }, out);
        }
        let Some(Open::Call { arguments, .. }) = &mut self.open else { return };
        if !delta.is_empty() {
            arguments.push_str(&delta);
            self.tell("response.function_call_arguments.delta", json!({ "delta": delta }), out);
        }
    }

    fn open(&mut self, item: Open, out: &mut String) {
        self.close(out);
        self.open_id = self.item_id(&item);
        let value = item.to_json(&self.open_id, "in_progress");
        self.open = Some(item);
        self.tell_item("response.output_item.added", value, out);
    }

    fn close(&mut self, out: &mut String) {
        let Some(item) = self.open.take() else { return };
        let cut = matches!(&self.done, Some(done) if done.finish == FinishReason::Length);
        let value = item.to_json(&self.open_id, if cut { "incomplete" } else { "completed" });
        match &item {
            Open::Reasoning(text) => {
                let part = json!({ "type": "reasoning_text", "text": text });
                self.tell("response.reasoning_text.done", json!({ "content_index": 0, "text": text }), out);
                self.tell("response.content_part.done", json!({ "content_index": 0, "part": part }), out);
            }
            Open::Text { text, logprobs } => {
                let part = output_text(text, logprobs);
                let told = json!({ "content_index": 0, "text": text, "logprobs": logprobs });
                self.tell("response.output_text.done", told, out);
                self.tell("response.content_part.done", json!({ "content_index": 0, "part": part }), out);
            }
            Open::Call { call_id: _, name, arguments } => {
                let told = json!({ "name": name, "arguments": arguments });
                self.tell("response.function_call_arguments.done", told, out);
            }
        }
        self.tell_item("response.output_item.done", value.clone(), out);
        self.items.push(value);
    }

    /// Ids differ in their beginning and in their place.
    fn item_id(&self, item: &Open) -> String {
        let prefix = match item {
            Open::Reasoning(_) => "rs",
            Open::Text { .. } => "msg",
            Open::Call { .. } => "fc",
        };
        format!("{prefix}_{}_{}", self.digits, self.items.len())
    }

    /// An event about the open item.
    fn tell(&mut self, name: &str, mut fields: Value, out: &mut String) {
        fields["item_id"] = self.open_id.as_str().into();
        fields["output_index"] = self.items.len().into();
        self.emit(name, fields, out);
    }

    fn tell_item(&mut self, name: &str, item: Value, out: &mut String) {
        self.emit(name, json!({ "output_index": self.items.len(), "item": item }), out);
    }

    fn emit(&mut self, name: &str, mut fields: Value, out: &mut String) {
        fields["type"] = name.into();
        fields["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        event(out, name, &fields);
    }

    /// The whole object as it is now.
    fn response(&self) -> Value {
        let mut response = self.frame.clone();
        response.insert("output".into(), self.items.clone().into());
        let Some(done) = &self.done else {
            response.insert("status".into(), "in_progress".into());
            response.insert("usage".into(), Value::Null);
            return response.into();
        };
        let cut = done.finish == FinishReason::Length;
        response.insert("status".into(), if cut { "incomplete" } else { "completed" }.into());
        if cut {
            response.insert("incomplete_details".into(), json!({ "reason": "max_output_tokens" }));
        }
        response.insert(
            "usage".into(),
            json!({
                "input_tokens": done.prompt_tokens,
                "input_tokens_details": { "cached_tokens": done.cached_tokens },
                "output_tokens": done.completion_tokens,
                // One token for each piece that was thinking.
                "output_tokens_details": { "reasoning_tokens": self.reasoning_parts },
                "total_tokens": u64::from(done.prompt_tokens) + u64::from(done.completion_tokens),
            }),
        );
        response.insert("timings".into(), timings(done));
        response.insert("ainonymous".into(), extension(&self.head, done));
        response.into()
    }
}

impl Open {
    fn to_json(&self, id: &str, status: &str) -> Value {
        match self {
            Self::Reasoning(text) => {
                let content = match text.is_empty() {
                    true => json!([]),
                    false => json!([{ "type": "reasoning_text", "text": text }]),
                };
                json!({ "id": id, "type": "reasoning", "status": status, "summary": [], "content": content })
            }
            Self::Text { text, logprobs } => {
                let content = match text.is_empty() {
                    true => json!([]),
                    false => json!([output_text(text, logprobs)]),
                };
                json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": content })
            }
            Self::Call { call_id, name, arguments } => {
                json!({ "id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name,
                    "arguments": arguments })
            }
        }
    }
}

fn output_text(text: &str, logprobs: &[Value]) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": logprobs })
}

impl Voice for Output {
    fn begin(&mut self, out: &mut String) {
        for name in ["response.created", "response.in_progress"] {
            let response = self.response();
            self.emit(name, json!({ "response": response }), out);
        }
    }

    fn part(&mut self, _index: usize, part: Part, out: &mut String) {
        self.add(part, out);
    }

    fn done(&mut self, _index: usize, _head: &AnswerHead, done: &AnswerDone, _out: &mut String) {
        self.done = Some(done.clone());
    }

    fn end(&mut self, out: &mut String) {
        self.close(out);
        let response = self.response();
        let name = if response["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
        self.emit(name, json!({ "response": response }), out);
    }

    fn fail(&mut self, error: &ApiError, out: &mut String) {
        let fields = json!({
            "code": error.code(), "message": error.to_string(), "param": error.param(), "hint": error.hint(),
        });
        self.emit("error", fields, out);
    }

    fn idle(&mut self, out: &mut String) {
        crate::answer::stream::comment(out, "");
    }
}
