//! One answer while it is computed: its prompt, its dice, its text, and what is told of it.

use super::images::Placed;
use super::prompt::Ready;
use super::Prepared;
use crate::adjust::Adjuster;
use crate::dialect::{OutputParser, Part};
use crate::fingerprint::Recorder;
use crate::grammar::Grammar;
use crate::llama::{Model, Rows, Token};
use crate::logprobs::{logprobs, Logprobs};
use crate::sampler::Sampler;
use crate::text::AnswerText;
use crate::wire::WireEvent;
use crate::{EngineError, Finished, More, Question, TokenLogprob, TokenLogprobs};
use ainonymous_types::{limits, FinishReason};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Instant;

/// An answer that is being computed.
pub(super) struct Slot {
    pub(super) id: u64,
    /// Counts admissions: whose prompt is next.
    pub(super) admission: u64,
    /// Prompt and answer, token by token; all but the last are computed once the prompt is.
    pub(super) tokens: Vec<Token>,
    pub(super) prompt_tokens: usize,
    /// Tokens whose computation is in the cache.
    pub(super) computed: usize,
    /// Where the prompt's last message begins: a beginning that other prompts may share.
    pub(super) shared_until: Option<usize>,
    /// Rows of the prompt's images, in the order of their places.
    images: Vec<Placed>,
    /// Drafted and accepted tokens.
    pub(super) drafted: (u32, u32),
    cancelled: Arc<AtomicBool>,
    cached_tokens: u32,
    sampler: Sampler,
    adjuster: Option<Adjuster>,
    grammar: Option<Grammar>,
    /// A copy of the logits, for the grammar.
    masked: Vec<f32>,
    parser: Option<OutputParser>,
    logprobs: Option<u32>,
    /// Keeps what others need to check the answer, if that was asked for.
    recorder: Option<Recorder>,
    text: AnswerText,
    text_bytes: usize,
    tokens_max: u32,
    times: Times,
}

struct Times {
    asked: Instant,
    started: Instant,
    first_token: Option<Instant>,
}

/// What a chosen token brought.
pub(super) struct Chosen {
    pub(super) event: WireEvent,
    /// Why the answer ends with it, if it does.
    pub(super) finish: Option<FinishReason>,
}

impl Slot {
    /// A question that got its place. `cached_tokens` of its prompt are computed already; `room`: tokens that the context
    /// has beside the prompt.
    pub(super) fn new(prepared: Prepared, admission: u64, cached_tokens: usize, room: u32, ends: &[Token]) -> Self {
        let Prepared { id, ready, question, cancelled, at, reported: _ } = prepared;
        let Ready { tokens: prompt, images, shared_until, grammar, parser } = ready;
        let room = room.min(limits::ANSWER_TOKENS_MAX);
        let adjuster = adjuster(&question, &prompt, ends);
        let cached_rows = extra_rows(&images, cached_tokens);
        Self {
            id,
            admission,
            prompt_tokens: prompt.len(),
            tokens: prompt,
            computed: cached_tokens,
            shared_until,
            images,
            drafted: (0, 0),
            cancelled,
            cached_tokens: cached_tokens as u32 + cached_rows,
            sampler: Sampler::new(question.sampling),
            adjuster,
            grammar,
            masked: Vec::new(),
            parser,
            logprobs: question.logprobs,
            recorder: question.fingerprint.then(Recorder::default),
            text: AnswerText::new(&question.stop),
            text_bytes: 0,
            tokens_max: if question.max_tokens == 0 { room } else { question.max_tokens.min(room) },
            times: Times { asked: at, started: Instant::now(), first_token: None },
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Is its prompt computed?
    pub(super) fn is_decoding(&self) -> bool {
        self.tokens.len() > self.prompt_tokens
    }

    /// Tokens of the answer so far.
    pub(super) fn answered(&self) -> u32 {
        (self.tokens.len() - self.prompt_tokens) as u32
    }

    /// Tokens that may still follow.
    pub(super) fn room(&self) -> u32 {
        self.tokens_max.saturating_sub(self.answered())
    }

    /// The rows that are next to be computed, if an image is next.
    pub(super) fn next_rows(&self) -> Option<Arc<Rows>> {
        self.images.iter().find(|placed| placed.at == self.computed).map(|placed| placed.rows.clone())
    }

    /// Where the next image stands, if there is a further one.
    pub(super) fn next_image(&self) -> Option<usize> {
        self.images.iter().map(|placed| placed.at).find(|at| *at > self.computed)
    }

    /// May another model guess what it says? Not if its choice depends on more than the dice, or on what the other cannot see.
    pub(super) fn can_be_drafted(&self) -> bool {
        self.images.is_empty() && self.adjuster.is_none() && self.grammar.is_none() && self.room() > 1
    }

    /// What this answer's dice would choose from other logits, `ahead` tokens from now.
    pub(super) fn guess(&mut self, logits: &[f32], ahead: u32) -> Token {
        self.sampler.choose(logits, self.answered() + ahead) as Token
    }

    /// Chooses the next token from its logits. `markers`: special tokens that an answer in a chat shows.
    pub(super) fn choose(
        &mut self,
        model: &Model,
        markers: &[Token],
        logits: &[f32],
        bytes: &mut Vec<u8>,
    ) -> Result<Chosen, EngineError> {
        let position = self.answered();
        let Self { adjuster, grammar, masked, sampler, .. } = self;
        let changed = adjuster.as_mut().map(|adjuster| &*adjuster.apply(logits));
        let id = match grammar {
            Some(grammar) => {
                masked.clear();
                masked.extend_from_slice(changed.unwrap_or(logits));
                grammar.mask(masked)?;
                let id = sampler.choose(masked, position);
                grammar.accept(id)?;
                id
            }
            None => sampler.choose(changed.unwrap_or(logits), position),
        };
        if let Some(adjuster) = adjuster {
            adjuster.chose(id);
        }
        let found = self.logprobs.map(|top| reported(model, id, &logprobs(logits, id, top as usize)));
        let fingerprint = self.recorder.as_mut().map(|recorder| recorder.record(logits, id));
        self.tokens.push(id as Token);
        self.times.first_token.get_or_insert_with(Instant::now);
        let (text, finish) = self.take_text(model, markers, bytes);
        let (text, mut more) = self.take_apart(text, finish.is_some());
        if found.is_some() || fingerprint.is_some() {
            let more = more.get_or_insert_default();
            (more.logprobs, more.fingerprint) = (found, fingerprint);
        }
        Ok(Chosen { event: WireEvent::Token { id, text, more: more.map(Box::new) }, finish })
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

    /// How it ended.
    pub(super) fn finished(&self, finish: FinishReason) -> WireEvent {
        let Times { asked, started, first_token } = self.times;
        let us = |from: Instant, to: Instant| to.duration_since(from).as_micros() as u64;
        let now = Instant::now();
        WireEvent::Finished(Finished {
            finish,
            prompt_tokens: self.prompt_tokens as u32 + extra_rows(&self.images, self.prompt_tokens),
            cached_tokens: self.cached_tokens,
            completion_tokens: self.answered(),
            stopped_by: self.text.stopped_by(),
            drafted: self.drafted,
            queue_us: us(asked, started),
            prefill_us: us(started, first_token.unwrap_or(now)),
            decode_us: first_token.map_or(0, |first| us(first, now)),
        })
    }

    /// The text that the last token adds, and why the answer ends with it if it does. The token that ends an answer is a
    /// token of the answer: it proves that the model, not the provider, ended it.
    fn take_text(&mut self, model: &Model, markers: &[Token], bytes: &mut Vec<u8>) -> (String, Option<FinishReason>) {
        let (mut text, mut finish) = (String::new(), None);
        let last = self.tokens.last().copied().unwrap_or_default();
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
            } else if self.answered() >= self.tokens_max {
                text.push_str(&self.text.finish());
                finish = Some(FinishReason::Length);
            }
        }
        self.text_bytes += text.len();
        if self.text_bytes > limits::ANSWER_BYTES_MAX {
            let mut keep = text.len() - (self.text_bytes - limits::ANSWER_BYTES_MAX);
            while !text.is_char_boundary(keep) {
                keep -= 1;
            }
            text.truncate(keep);
            finish = Some(FinishReason::Length);
        }
        (text, finish)
    }
}

/// What changes logits before a question's tokens are chosen, if anything does.
pub(super) fn adjuster(question: &Question, prompt: &[Token], ends: &[Token]) -> Option<Adjuster> {
    let forbidden = if question.ignore_end { ends.iter().map(|&t| t as u32).collect() } else { Vec::new() };
    Adjuster::new(&question.adjust, forbidden, prompt.iter().map(|&t| t as u32))
}

fn reported(model: &Model, chosen: u32, found: &Logprobs) -> TokenLogprobs {
    let one = |id: u32, logprob: f32| {
        let mut bytes = Vec::new();
        model.piece(id as Token, true, &mut bytes);
        TokenLogprob { id, bytes, logprob }
    };
    TokenLogprobs {
        chosen: one(chosen, found.chosen),
        top: found.top.iter().map(|&(id, logprob)| one(id, logprob)).collect(),
    }
}

/// Entries of a cache that images before a token take besides their positions.
pub(super) fn extra_rows(images: &[Placed], before: usize) -> u32 {
    images.iter().filter(|p| p.at < before).map(|p| p.rows.count - p.rows.positions).sum()
}

/// The end of a question that was cancelled while it waited.
pub(super) fn cancelled_before_start(asked: Instant) -> WireEvent {
    WireEvent::Finished(Finished {
        finish: FinishReason::Cancelled,
        prompt_tokens: 0,
        cached_tokens: 0,
        completion_tokens: 0,
        stopped_by: None,
        drafted: (0, 0),
        queue_us: asked.elapsed().as_micros() as u64,
        prefill_us: 0,
        decode_us: 0,
    })
}
