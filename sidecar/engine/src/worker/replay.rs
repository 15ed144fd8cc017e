//! Computes answers again, a step at a time between the steps of answers under way.
//!
//! A replay has a cache of its own, made when it begins and freed after the last: so it neither takes an answer's place nor
//! finds anything computed already, and its numbers depend on prompt and answer alone. Steps are cut at the same places
//! whatever else goes on.

use super::prompt::{Prompter, Ready};
use super::slot::adjuster;
use crate::adjust::Adjuster;
use crate::fingerprint::{sixteenths, Recorder};
use crate::fit::{Shape, Use};
use crate::grammar::Grammar;
use crate::llama::{AbortSwitch, Batch, Context, ContextOptions, DecodeError, Model, Token};
use crate::replay::{Replay, ReplayQuestion, Replayed, LIKELY_TOKENS, REPLAY_STEP_TOKENS};
use crate::sampler::{Judged, Sampler, MARGIN_MILLI_MAX};
use crate::{os, EngineClass, EngineError, ModelInfo, Question};
use ainonymous_types::KvType;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Smallest cache that is made, in tokens; larger ones are powers of two of it, so that one serves several replays.
const CACHE_TOKENS_MIN: usize = 512;

/// Stands where an answer has a number that is no token's.
const INSTEAD: Token = 0;

/// An answer that is computed again.
pub(super) struct Replaying {
    pub(super) id: u64,
    cancelled: Arc<AtomicBool>,
    question: Question,
    kv_type: Option<KvType>,
    /// The prompt and what is computed of the answer, but for the last token of that.
    tokens: Vec<Token>,
    prompt_tokens: usize,
    /// So many of the prompt are the beginning of the answer, which others have said.
    begun: usize,
    /// Of the answer what is computed.
    claimed: Vec<u32>,
    /// The last token of all, where it is claimed to end the answer.
    end: Option<u32>,
    whole: bool,
    grammar: Option<Grammar>,
    computed: usize,
    /// Made with the first step.
    judge: Option<Judge>,
    positions: Vec<Replayed>,
}

impl Replaying {
    /// Makes tokens of what was asked.
    pub(super) fn prepare(
        prompter: &mut Prompter,
        id: u64,
        asked: ReplayQuestion,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self, EngineError> {
        let ReplayQuestion { question, mut answer, until, ended, at_s, kv_type } = asked;
        // What the answer says as text is not looked at: no special tokens are shown.
        let (seed, goes_on) = ((id, &[][..]), &|| true);
        let ready = match at_s {
            Some(at_s) => prompter.prepare_at(at_s, &question, seed, goes_on),
            None => prompter.prepare(&question, seed, goes_on),
        }?;
        let Ready { mut tokens, begun, images: _, shared_until: _, grammar, said: _, ended: _ } = ready;
        let prompt_tokens = tokens.len();
        let (end, whole) = (answer.last().copied().filter(|_| ended), until >= answer.len());
        answer.truncate(until);
        // A number that is no token's could not be said: it is found far away, and for what follows another stands there.
        let mut known: Vec<Token> =
            answer.iter().map(|number| prompter.model.token(*number).unwrap_or(INSTEAD)).collect();
        known.pop();
        tokens.append(&mut known);
        prompter.check(tokens.len())?;
        Ok(Self {
            id,
            cancelled,
            question,
            kv_type,
            tokens,
            prompt_tokens,
            begun,
            positions: Vec::with_capacity(answer.len()),
            claimed: answer,
            end,
            whole,
            grammar,
            computed: 0,
            judge: None,
        })
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

/// Replays answers of one model.
pub(super) struct Replayer {
    model: Arc<Model>,
    shape: Shape,
    class: EngineClass,
    context_tokens: usize,
    threads: u32,
    /// Layers on a GPU: then its driver, not the system, knows what is free.
    gpu: bool,
    abort: Arc<AbortSwitch>,
    ends: Vec<Token>,
    context: Option<Context>,
    batch: Batch,
}

impl Replayer {
    pub(super) fn new(model: Arc<Model>, shape: Shape, info: &ModelInfo, abort: Arc<AbortSwitch>) -> Self {
        Self {
            shape,
            class: info.class.clone(),
            context_tokens: info.context_tokens as usize,
            threads: info.threads,
            gpu: info.gpu_layers > 0,
            abort,
            ends: model.end_tokens(),
            model,
            context: None,
            batch: Batch::default(),
        }
    }

    /// Computes the next tokens; what was found when they were the last.
    pub(super) fn step(&mut self, replaying: &mut Replaying) -> Result<Option<Replay>, EngineError> {
        let kv_type = replaying.kv_type.unwrap_or(self.class.kv_type());
        if replaying.claimed.is_empty() {
            return Ok(Some(self.found(replaying, kv_type)));
        }
        let Replaying {
            id, question, tokens, prompt_tokens, begun, claimed, grammar, computed, judge, positions, ..
        } = replaying;
        let judge = match judge {
            Some(judge) => judge,
            empty => {
                self.make_room(tokens.len(), kv_type)?;
                let adjuster = adjuster(question, &tokens[..*prompt_tokens], *begun, &self.ends);
                empty.insert(Judge::new(question, adjuster, grammar.take()))
            }
        };
        let Some(context) = &mut self.context else { return Err(EngineError::OutOfMemory) };
        let (begin, end) = (*computed, tokens.len().min(*computed + REPLAY_STEP_TOKENS as usize));
        // Behind each token the next is chosen.
        let first_wanted = *prompt_tokens - 1;
        self.batch.clear();
        for (position, &token) in (begin..end).zip(&tokens[begin..end]) {
            self.batch.add(token, position as u32, 0, position >= first_wanted);
        }
        self.abort.begin(*id);
        context.decode(&mut self.batch).map_err(|error| match error {
            DecodeError::Aborted => EngineError::Draining,
            DecodeError::Failed(code) => EngineError::DecodeFailed { code },
        })?;
        *computed = end;
        for position in begin.max(first_wanted)..end {
            let unread = EngineError::DecodeFailed { code: -1 };
            let at = position - first_wanted;
            let logits = context.logits(position - begin).ok_or(unread)?;
            positions.push(judge.look(logits, (*begun + at) as u32, claimed[at], &self.ends)?);
        }
        Ok((end == tokens.len()).then(|| self.found(replaying, kv_type)))
    }

    /// Frees the cache.
    pub(super) fn free(&mut self) {
        self.context = None;
    }

    fn found(&self, replaying: &mut Replaying, kv_type: KvType) -> Replay {
        // Another build may know other tokens that end an answer: they are special in any.
        let ends = |token: Token| self.ends.contains(&token) || self.model.is_special(token);
        let goes_on = |number: u32| !self.model.token(number).is_some_and(ends);
        let cut = replaying.end.is_some_and(goes_on);
        let mut positions = std::mem::take(&mut replaying.positions);
        if let (true, Some(last)) = (cut && replaying.whole, positions.last_mut()) {
            last.margin_milli = MARGIN_MILLI_MAX;
        }
        Replay {
            positions,
            cut,
            prompt_tokens: replaying.prompt_tokens as u32,
            class: self.class.clone().with_cache(kv_type),
        }
    }

    /// An empty cache for so many tokens.
    fn make_room(&mut self, tokens: usize, kv_type: KvType) -> Result<(), EngineError> {
        let fits = |o: ContextOptions| o.context_tokens as usize >= tokens && o.kv_type == kv_type;
        if let Some(context) = self.context.as_mut().filter(|context| fits(context.options())) {
            context.forget(0);
            return Ok(());
        }
        self.context = None;
        let room = tokens.next_power_of_two().max(CACHE_TOKENS_MIN).min(self.context_tokens.max(tokens));
        let options = ContextOptions {
            context_tokens: room as u32,
            sequences: 1,
            outputs: REPLAY_STEP_TOKENS,
            batch_tokens: REPLAY_STEP_TOKENS,
            threads: self.threads,
            kv_type,
            flash_attention: self.class.clone().with_cache(kv_type).flash_attention(),
        };
        self.check_memory(options)?;
        let context = Context::new(self.model.clone(), options, self.abort.clone());
        self.context = Some(context.ok_or(EngineError::OutOfMemory)?);
        Ok(())
    }

    /// Answers under way must not end because a replay took the last memory.
    fn check_memory(&self, options: ContextOptions) -> Result<(), EngineError> {
        let ContextOptions { context_tokens, sequences, outputs, batch_tokens, kv_type, .. } = options;
        let of = Use { context_tokens, slots: sequences, batch_tokens, outputs, kv_type };
        let needed_bytes = self.shape.all_cache_bytes(&of).saturating_add(self.shape.buffer_bytes(&of));
        match os::available_bytes() {
            Some(free_bytes) if !self.gpu && needed_bytes > free_bytes => {
                Err(EngineError::DoesNotFit { what: "cache and buffers of a replay".into(), needed_bytes, free_bytes })
            }
            _ => Ok(()),
        }
    }
}

/// Compares the tokens of one answer with what would be chosen, in their order.
struct Judge {
    sampler: Sampler,
    adjuster: Option<Adjuster>,
    grammar: Option<Grammar>,
    ignore_end: bool,
    recorder: Recorder,
    /// A copy of the logits, for adjustments and grammar.
    changed: Vec<f32>,
    /// The answer has left what was asked for: nothing that follows could have been chosen.
    astray: bool,
}

impl Judge {
    fn new(question: &Question, adjuster: Option<Adjuster>, grammar: Option<Grammar>) -> Self {
        Self {
            sampler: Sampler::new(question.sampling),
            adjuster,
            grammar,
            ignore_end: question.ignore_end,
            recorder: Recorder::default(),
            changed: Vec::new(),
            astray: false,
        }
    }

    /// Looks at the token that is claimed for a position; `ends`: the tokens that end an answer.
    fn look(&mut self, logits: &[f32], position: u32, claimed: u32, ends: &[Token]) -> Result<Replayed, EngineError> {
        let fingerprint = self.recorder.record(logits, claimed);
        self.changed.clear();
        self.changed.extend_from_slice(match &mut self.adjuster {
            Some(adjuster) => &*adjuster.apply(logits),
            None => logits,
        });
        if let Some(grammar) = self.grammar.as_mut().filter(|_| !self.astray) {
            grammar.mask(&mut self.changed)?;
        }
        let own = self.changed.get(claimed as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let judged = match self.astray {
            true => Judged { expected: u32::MAX, margin_milli: MARGIN_MILLI_MAX },
            false => self.sampler.judge(&self.changed, position, claimed),
        };
        let rank = self.changed.iter().filter(|&&logit| logit > own).count();
        let outside_16 = match rank < LIKELY_TOKENS {
            true => 0,
            false => sixteenths(own - self.recorder.nth(&self.changed, LIKELY_TOKENS)).unsigned_abs(),
        };
        if let Some(adjuster) = &mut self.adjuster {
            adjuster.chose(claimed);
        }
        let ended = !self.ignore_end && ends.contains(&(claimed as Token));
        match &mut self.grammar {
            Some(_) if own == f32::NEG_INFINITY => self.astray = true,
            Some(grammar) if !self.astray => grammar.accept(claimed)?,
            _ => {}
        }
        self.astray |= ended;
        let Judged { expected, margin_milli } = judged;
        Ok(Replayed { fingerprint, expected, margin_milli, rank: rank as u32, outside_16 })
    }
}
