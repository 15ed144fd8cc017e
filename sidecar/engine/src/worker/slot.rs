//! One answer while it is computed: its prompt, its dice, its text, and what is told of it.

use super::images::Placed;
use super::prompt::Ready;
use super::said::Said;
use super::Prepared;
use crate::adjust::Adjuster;
use crate::fingerprint::Recorder;
use crate::grammar::Grammar;
use crate::llama::{Model, Rows, Token};
use crate::logprobs::{logprobs, Logprobs};
use crate::sampler::Sampler;
use crate::wire::WireEvent;
use crate::{EngineError, Finished, Question, TokenLogprob, TokenLogprobs};
use ainonymous_types::FinishReason;
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
    /// Tokens to compute before the first is chosen here: those of the prompt, and of a begun answer behind it.
    pub(super) prompt_tokens: usize,
    /// Tokens of the answer that somebody else has said.
    begun: usize,
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
    logprobs: Option<u32>,
    said: Said,
    /// Keeps what others need to check the answer, if that was asked for.
    recorder: Option<Recorder>,
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
    /// A question that got its place. `cached_tokens` of its prompt are computed already.
    pub(super) fn new(prepared: Prepared, admission: u64, cached_tokens: usize, ends: &[Token]) -> Self {
        let Prepared { id, ready, question, cancelled, at, reported: _ } = prepared;
        let Ready { tokens: prompt, begun, images, shared_until, grammar, said, ended: _ } = ready;
        let adjuster = adjuster(&question, &prompt, begun, ends);
        let cached_rows = extra_rows(&images, cached_tokens);
        Self {
            id,
            admission,
            prompt_tokens: prompt.len(),
            begun,
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
            logprobs: question.logprobs,
            said,
            recorder: question.fingerprint.then(Recorder::default),
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

    /// Tokens of the answer so far, whoever has chosen them.
    pub(super) fn answered(&self) -> u32 {
        (self.tokens.len() - self.prompt_tokens + self.begun) as u32
    }

    /// Tokens that may still follow.
    pub(super) fn room(&self) -> u32 {
        self.said.tokens_max().saturating_sub(self.answered())
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
        let (text, mut more, finish) = self.said.token(model, markers, id as Token, bytes);
        if found.is_some() || fingerprint.is_some() {
            let more = more.get_or_insert_default();
            (more.logprobs, more.fingerprint) = (found, fingerprint);
        }
        Ok(Chosen { event: WireEvent::Token { id, text, more: more.map(Box::new) }, finish })
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
            completion_tokens: self.answered() - self.begun as u32,
            stopped_by: self.said.stopped_by(),
            drafted: self.drafted,
            queue_us: us(asked, started),
            prefill_us: us(started, first_token.unwrap_or(now)),
            decode_us: first_token.map_or(0, |first| us(first, now)),
        })
    }
}

/// What changes logits before a question's tokens are chosen, if anything does. The last `begun` tokens of the prompt are the
/// beginning of the answer: they count as chosen.
pub(super) fn adjuster(question: &Question, prompt: &[Token], begun: usize, ends: &[Token]) -> Option<Adjuster> {
    let forbidden = if question.ignore_end { ends.iter().map(|&t| t as u32).collect() } else { Vec::new() };
    let (asked, said_before) = prompt.split_at(prompt.len() - begun);
    let mut adjuster = Adjuster::new(&question.adjust, forbidden, asked.iter().map(|&t| t as u32))?;
    said_before.iter().for_each(|&t| adjuster.chose(t as u32));
    Some(adjuster)
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
    ended_before_start(asked, FinishReason::Cancelled, 0, None)
}

/// The end of an answer that was complete when it came: somebody else has said all of it.
pub(super) fn complete_before_start(asked: Instant, finish: FinishReason, ready: &Ready) -> WireEvent {
    let prompt_tokens = ready.tokens.len() as u32 + extra_rows(&ready.images, ready.tokens.len());
    ended_before_start(asked, finish, prompt_tokens, ready.said.stopped_by())
}

fn ended_before_start(asked: Instant, finish: FinishReason, prompt_tokens: u32, stopped_by: Option<u32>) -> WireEvent {
    WireEvent::Finished(Finished {
        finish,
        prompt_tokens,
        cached_tokens: 0,
        completion_tokens: 0,
        stopped_by,
        drafted: (0, 0),
        queue_us: asked.elapsed().as_micros() as u64,
        prefill_us: 0,
        decode_us: 0,
    })
}
