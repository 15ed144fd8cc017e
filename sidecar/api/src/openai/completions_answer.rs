//! Answers in the shape of completions: in one piece, or as chunks.

use super::chunks::{self, Chunks};
use crate::answer::shapes::{extension, finish_reason, finite, now_s, system_fingerprint, timings, token_text, Usage};
use crate::answer::stream::{comment, data, Voice};
use crate::answer::{Part, Whole};
use crate::ApiError;
use ainonymous_node::{AnswerDone, AnswerHead, TokenLogprobs};
use serde::Serialize;
use serde_json::{json, Map, Value};

/// What the ids of completions begin with.
pub(super) const ID_PREFIX: &str = "cmpl-";

/// The text of each prompt that stands before its answers; empty if that was not asked for.
#[derive(Default)]
pub(super) struct Echo(pub(super) Vec<String>);

impl Echo {
    fn before(&self, index: usize, n: usize) -> &str {
        self.0.get(index / n.max(1)).map_or("", String::as_str)
    }
}

/// Answers in one piece: `n` for each prompt.
pub(super) fn completion(answers: &[Whole], n: usize, echo: &Echo) -> Value {
    let mut whole = frame(answers.first().map(|answer| &answer.head));
    let mut usage = Usage::default();
    let mut choices = Vec::new();
    for (index, Whole { head: _, text, reasoning: _, tool_calls: _, logprobs, done }) in answers.iter().enumerate() {
        usage.add(done, index % n.max(1) > 0);
        let mut places = Places::default();
        choices.push(json!({
            "text": format!("{}{text}", echo.before(index, n)),
            "index": index,
            "logprobs": places.logprobs(logprobs),
            "finish_reason": finish_reason(done.finish, false),
        }));
    }
    whole.insert("choices".into(), choices.into());
    whole.insert("usage".into(), usage.to_json());
    if let Some(first) = answers.first() {
        whole.insert("timings".into(), timings(&first.done));
        whole.insert("ainonymous".into(), extension(&first.head, &first.done));
    }
    Value::Object(whole)
}

fn frame(head: Option<&AnswerHead>) -> Map<String, Value> {
    let mut frame = Map::new();
    if let Some(head) = head {
        frame.insert("id".into(), format!("{ID_PREFIX}{}", head.id).into());
        frame.insert("model".into(), head.model.as_str().into());
        frame.insert("system_fingerprint".into(), system_fingerprint(head).into());
    }
    frame.insert("object".into(), "text_completion".into());
    frame.insert("created".into(), now_s().into());
    frame
}

/// Where each token's text begins in the answer, in characters.
#[derive(Clone, Copy, Default)]
struct Places(usize);

impl Places {
    /// Null if none were asked for.
    fn logprobs(&mut self, tokens: &[TokenLogprobs]) -> Value {
        if tokens.is_empty() {
            return Value::Null;
        }
        let (mut texts, mut chosen, mut top, mut offsets) = (vec![], vec![], vec![], vec![]);
        for token in tokens {
            let text = token_text(&token.chosen);
            offsets.push(self.0);
            self.0 += text.chars().count();
            texts.push(text);
            chosen.push(finite(token.chosen.logprob));
            let alternatives = token.top.iter().map(|other| (token_text(other), finite(other.logprob).into()));
            top.push(Value::Object(alternatives.collect()));
        }
        json!({ "tokens": texts, "token_logprobs": chosen, "top_logprobs": top, "text_offset": offsets })
    }
}

/// Answers as chunks, then `[DONE]`.
pub(super) struct Stream {
    chunks: Chunks,
    n: usize,
    echo: Echo,
    /// Which prompts were counted, which answers' tokens stand where.
    counted: Vec<bool>,
    places: Vec<Places>,
}

/// A choice that is not the last of its answer.
#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: usize,
    logprobs: Value,
    finish_reason: Option<()>,
}

impl Stream {
    pub(super) fn new(heads: &[AnswerHead], n: usize, echo: Echo, include_usage: bool) -> Self {
        let chunks = Chunks::new(frame(heads.first()), include_usage);
        let counted = vec![false; heads.len()];
        Self { chunks, n, echo, counted, places: vec![Places::default(); heads.len()] }
    }
}

impl Voice for Stream {
    fn begin(&mut self, out: &mut String) {
        for index in 0..self.places.len() {
            let text = self.echo.before(index, self.n);
            if !text.is_empty() {
                self.chunks.choice(&Choice { text, index, logprobs: Value::Null, finish_reason: None }, out);
            }
        }
    }

    fn queued(&mut self, position: u32, out: &mut String) {
        chunks::queued(position, out);
    }

    fn part(&mut self, index: usize, part: Part, out: &mut String) {
        let Part { text, reasoning: _, tool_calls: _, logprobs } = part;
        if text.is_empty() && logprobs.is_none() {
            return;
        }
        let logprobs = self.places[index].logprobs(logprobs.as_slice());
        self.chunks.choice(&Choice { text: &text, index, logprobs, finish_reason: None }, out);
    }

    fn done(&mut self, index: usize, head: &AnswerHead, done: &AnswerDone, out: &mut String) {
        let reason = finish_reason(done.finish, false);
        let choice = json!({ "text": "", "index": index, "logprobs": null, "finish_reason": reason });
        let again = std::mem::replace(&mut self.counted[index / self.n.max(1)], true);
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
