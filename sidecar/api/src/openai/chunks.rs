//! What streams of chat completions and of completions share: what stands around every choice, the end of an answer, the end of
//! all.
//!
//! A chunk is written for every token, so what is the same in all of them is made once, as text.

use crate::answer::shapes::{extension, timings, Usage};
use crate::answer::stream::{comment, data, text_data};
use ainonymous_node::{AnswerDone, AnswerHead};
use serde::Serialize;
use serde_json::{json, Map, Value};

/// The chunks of one stream.
pub(super) struct Chunks {
    /// The fields of every chunk, and what their text begins and ends with around its choices.
    frame: Map<String, Value>,
    before: String,
    after: &'static str,
    include_usage: bool,
    usage: Usage,
}

impl Chunks {
    /// With these fields in every chunk. Usage is missing unless asked for; then null in all chunks but the last.
    pub(super) fn new(frame: Map<String, Value>, include_usage: bool) -> Self {
        let fields = Value::Object(frame.clone()).to_string();
        // Without the brace that ends them; there are always some.
        let before = format!("{},\"choices\":[", fields.strip_suffix('}').unwrap_or_default());
        let after = if include_usage { "],\"usage\":null}" } else { "]}" };
        Self { frame, before, after, include_usage, usage: Usage::default() }
    }

    /// A chunk with one choice.
    pub(super) fn choice(&self, choice: &impl Serialize, out: &mut String) {
        // Nothing that is written here can fail to be JSON.
        let choice = serde_json::to_string(choice).unwrap_or_default();
        text_data(out, &[&self.before, &choice, self.after]);
    }

    /// The last chunk of an answer; `again` if its prompt was counted with another.
    pub(super) fn last(
        &mut self,
        choice: Value,
        (head, done): (&AnswerHead, &AnswerDone),
        again: bool,
        out: &mut String,
    ) {
        self.usage.add(done, again);
        let mut last = self.chunk(json!([choice]));
        last.insert("timings".into(), timings(done));
        last.insert("ainonymous".into(), extension(head, done));
        data(out, &last.into());
    }

    /// After the last answer.
    pub(super) fn end(&self, out: &mut String) {
        if self.include_usage {
            let mut counts = self.chunk(json!([]));
            counts.insert("usage".into(), self.usage.to_json());
            data(out, &counts.into());
        }
        out.push_str("data: [DONE]\n\n");
    }

    fn chunk(&self, choices: Value) -> Map<String, Value> {
        let mut chunk = self.frame.clone();
        chunk.insert("choices".into(), choices);
        if self.include_usage {
            chunk.insert("usage".into(), Value::Null);
        }
        chunk
    }
}

/// The place in the queue, which clients skip.
pub(super) fn queued(position: u32, out: &mut String) {
    comment(out, &format!("queued {position}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_once_says_the_same_as_what_is_made_each_time() {
        let frame = Map::from_iter([("id".into(), "a\"}b".into()), ("created".into(), 7.into())]);
        for include_usage in [false, true] {
            let chunks = Chunks::new(frame.clone(), include_usage);
            let choice = json!({ "index": 1, "delta": { "content": "x\n\u{2028}" } });
            let mut out = String::new();
            chunks.choice(&choice, &mut out);
            let text = out.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
            assert!(!text.contains('\n'), "an event stays one");
            let parsed: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parsed, Value::Object(chunks.chunk(json!([choice]))));
        }
    }
}
