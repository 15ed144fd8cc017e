//! Continuous batching: many answers in one context, step by step.
//!
//! A step is one token for every slot that decodes (several where a draft model guesses), in one batch, and then one chunk
//! of the prompt of the slot that has waited longest. The two go in separate batches because llama.cpp would separate them
//! anyway (sequences of unequal length do not share a micro-batch); so a prompt is cut at the same places whoever else is
//! there, and can be aborted without harm to others.

use super::draft::Drafter;
use super::prompt::Ready;
use super::replay::{Replayer, Replaying};
use super::sequences::Sequences;
use super::slot::{cancelled_before_start, extra_rows, Slot};
use super::{Embedder, Embedding, Output, Prepared, Shared};
use crate::llama::{Batch, Context, DecodeError, Model, Rows, Token};
use crate::wire::WireEvent;
use crate::EngineError;
use ainonymous_types::FinishReason;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// While others wait for their next token, a chunk of a prompt shall take no longer than this.
const CHUNK_TIME: Duration = Duration::from_millis(80);
/// Fewest tokens of such a chunk; chunks are powers of two of it, so that prompts are cut at few places.
const CHUNK_TOKENS_MIN: usize = 8;
/// After a chunk of a long prompt others have at most so many times as long to themselves: they keep four fifths of their speed.
const REST_MAX: f32 = 4.0;

pub(super) struct Scheduler {
    pub(super) shared: Arc<Shared>,
    pub(super) output: Arc<Output>,
    pub(super) model: Arc<Model>,
    pub(super) context: Context,
    pub(super) drafter: Option<Drafter>,
    pub(super) embedder: Embedder,
    pub(super) replayer: Replayer,
    pub(super) sequences: Sequences,
    /// Most tokens of a chunk of a prompt.
    chunk_tokens_max: usize,
    embedding: Option<Embedding>,
    replaying: Option<Replaying>,
    /// A prompt was computed last where an answer could have been replayed.
    replays_turn: bool,
    ends: Vec<Token>,
    markers: Vec<Token>,
    batch: Batch,
    bytes: Vec<u8>,
    admissions: u64,
    /// Measured time of one prompt token: rises at once, falls slowly. One quick chunk shall not make the next too long.
    prompt_token_time: Duration,
    /// Time that answers under way have to themselves before the next chunk of a prompt.
    rest: Duration,
}

/// What a scheduler works with.
pub(super) struct Parts {
    pub(super) model: Arc<Model>,
    pub(super) context: Context,
    pub(super) drafter: Option<Drafter>,
    pub(super) embedder: Embedder,
    pub(super) replayer: Replayer,
    pub(super) sequences: Sequences,
    /// Special tokens that answers show.
    pub(super) markers: Vec<Token>,
    /// Most tokens of a chunk of a prompt; a batch may hold more, for images.
    pub(super) chunk_tokens: u32,
}

impl Scheduler {
    pub(super) fn new(shared: Arc<Shared>, output: Arc<Output>, parts: Parts) -> Self {
        let Parts { model, context, drafter, embedder, replayer, sequences, markers, chunk_tokens } = parts;
        Self {
            shared,
            output,
            context,
            drafter,
            embedder,
            replayer,
            sequences,
            chunk_tokens_max: chunk_tokens as usize,
            embedding: None,
            replaying: None,
            replays_turn: false,
            ends: model.end_tokens(),
            markers,
            model,
            batch: Batch::default(),
            bytes: Vec::new(),
            admissions: 0,
            prompt_token_time: Duration::ZERO,
            rest: Duration::ZERO,
        }
    }

    /// Computes until shutdown.
    pub(super) fn run(mut self) {
        while self.take_work() {
            self.end_cancelled();
            let began = Instant::now();
            self.decode_step();
            self.rest = if self.counts().0 == 0 { Duration::ZERO } else { self.rest.saturating_sub(began.elapsed()) };
            let (prompt, replay) = (self.next_to_prefill().is_some(), self.replaying.is_some());
            if self.rest.is_zero() && (prompt || replay) {
                // A chunk may take long: what is there goes first.
                self.output.flush();
                // Where there are both they take turns.
                self.replays_turn = replay && !(prompt && self.replays_turn);
                match self.replays_turn {
                    true => self.replay_step(),
                    false => self.prefill_step(),
                }
                self.output.flush();
                self.output.alive();
            } else {
                self.output.flush_if_due(began.elapsed());
            }
            self.embed_step();
            if self.sequences.slots().next().is_none() {
                self.output.flush();
            }
        }
        self.output.flush();
    }

    /// Waits until there is something to do, and admits questions to free slots in the order of their arrival.
    /// False means shutdown.
    fn take_work(&mut self) -> bool {
        let shared = self.shared.clone();
        let mut inbox = shared.inbox();
        loop {
            if inbox.shutdown {
                return false;
            }
            if std::mem::take(&mut inbox.any_cancelled) {
                let (gone, kept) =
                    inbox.ready.drain(..).partition::<Vec<_>, _>(|p: &Prepared| p.cancelled.load(Ordering::Acquire));
                inbox.ready = kept.into();
                for prepared in gone {
                    inbox.cancelled.remove(&prepared.id);
                    self.output.event(prepared.id, cancelled_before_start(prepared.at));
                }
                self.output.flush();
            }
            while self.sequences.has_free() {
                let Some(prepared) = inbox.ready.pop_front() else { break };
                self.admit(prepared);
            }
            for (position, waiting) in (1..).zip(inbox.ready.iter_mut()) {
                if waiting.reported != position {
                    waiting.reported = position;
                    self.output.event(waiting.id, WireEvent::Queued { position });
                }
            }
            if self.embedding.is_none() {
                self.embedding = inbox.embeds.pop_front();
            }
            if self.replaying.is_none() {
                self.replaying = inbox.replays.pop_front();
            }
            if self.embedding.is_some() || self.replaying.is_some() || self.sequences.slots().next().is_some() {
                return true;
            }
            inbox = shared.to_compute.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn admit(&mut self, prepared: Prepared) {
        let Some((sequence, computed)) = self.sequences.take(&mut self.context, &prepared.ready.tokens) else { return };
        let Ready { tokens, images, .. } = &prepared.ready;
        let (id, prompt_tokens) = (prepared.id, tokens.len() as u32 + extra_rows(images, tokens.len()));
        self.admissions += 1;
        let slot = Slot::new(prepared, self.admissions, computed, &self.ends);
        self.sequences.all[sequence].slot = Some(slot);
        self.output.event(id, WireEvent::Started { prompt_tokens });
    }

    fn end_cancelled(&mut self) {
        let cancelled: Vec<usize> =
            self.sequences.slots().filter(|(_, s)| s.is_cancelled()).map(|(at, _)| at).collect();
        for sequence in cancelled {
            self.end(sequence, false, |slot| slot.finished(FinishReason::Cancelled));
        }
    }

    /// One token for every slot that decodes, or more where the draft model guesses right.
    fn decode_step(&mut self) {
        let slots = self.sequences.all.iter_mut().enumerate().filter_map(|(at, s)| Some((at, s.slot.as_mut()?)));
        let guesses = self.drafter.as_mut().map(|drafter| drafter.guess(slots)).unwrap_or_default();
        let began = Instant::now();
        self.batch.clear();
        let mut rows: Vec<(usize, Vec<usize>, Vec<Token>)> = Vec::new();
        for (sequence, slot) in self.sequences.slots().filter(|(_, slot)| slot.is_decoding()) {
            let guessed = guesses.iter().find(|(at, _)| *at == sequence).map(|(_, g)| g.clone()).unwrap_or_default();
            let last = slot.tokens.last().copied().unwrap_or_default();
            let first = (slot.tokens.len() - 1) as u32;
            let of_slot = std::iter::once(last).chain(guessed.iter().copied()).zip(first..);
            let of_slot = of_slot.map(|(token, at)| self.batch.add(token, at, sequence as u32, true)).collect();
            rows.push((sequence, of_slot, guessed));
        }
        if rows.is_empty() {
            return;
        }
        self.context.abort_switch().begin_shared();
        if let Err(error) = self.context.decode(&mut self.batch) {
            return rows.into_iter().for_each(|(sequence, ..)| self.fail(sequence, error));
        }
        let (answers, mut tokens, mut any) = (rows.len() as u32, 0, false);
        for (sequence, of_slot, guessed) in rows {
            any |= !guessed.is_empty();
            tokens += self.choose_run(sequence, &of_slot, &guessed);
        }
        if let Some(drafter) = &mut self.drafter {
            drafter.judge(any, began.elapsed(), tokens, answers);
        }
    }

    /// Chooses tokens as long as the guesses were right; returns how many. What was computed for wrong ones is taken back.
    fn choose_run(&mut self, sequence: usize, rows: &[usize], guessed: &[Token]) -> u32 {
        let (mut chosen, mut right) = (0, 0);
        for (at, &row) in rows.iter().enumerate() {
            let Some(slot) = self.sequences.slot(sequence) else { return chosen };
            slot.computed = slot.tokens.len();
            self.choose(sequence, row);
            chosen += 1;
            let Some(slot) = self.sequences.slot(sequence) else { return chosen };
            if guessed.get(at).is_none_or(|guess| slot.tokens.last() != Some(guess)) {
                break;
            }
            right += 1;
        }
        let Some(slot) = self.sequences.slot(sequence) else { return chosen };
        slot.drafted = (slot.drafted.0 + guessed.len() as u32, slot.drafted.1 + right);
        if rows.len() > chosen as usize {
            let computed = slot.computed as u32;
            if !self.context.keep(sequence as u32, computed) {
                self.fail(sequence, DecodeError::Failed(-3));
            }
        }
        chosen
    }

    /// The slot that has waited longest for its prompt to be computed.
    fn next_to_prefill(&self) -> Option<usize> {
        let waiting = self.sequences.slots().filter(|(_, slot)| !slot.is_decoding());
        waiting.map(|(at, slot)| (slot.admission, at)).min().map(|(_, at)| at)
    }

    /// How many answers are under way, and how many prompts wait to be computed.
    fn counts(&self) -> (usize, usize) {
        let (decoding, waiting): (Vec<_>, Vec<_>) = self.sequences.slots().partition(|(_, slot)| slot.is_decoding());
        (decoding.len(), waiting.len())
    }

    /// How long others rest after a chunk that took so long. Short prompts are soon done: only a chunk that was cut, and
    /// more may follow, is made up for. The more prompts wait, the less, so that slots share the time alike.
    fn rest_after(&self, chunk: Duration) -> Duration {
        let (decoding, waiting) = self.counts();
        let share = if waiting > 1 { decoding as f32 / waiting as f32 } else { REST_MAX };
        chunk.mul_f32(share.min(REST_MAX))
    }

    /// One chunk of one prompt; its last chunk gives the first token.
    fn prefill_step(&mut self) {
        let Some(sequence) = self.next_to_prefill() else { return };
        let most = self.chunk_tokens();
        let Some(slot) = self.sequences.slot(sequence) else { return };
        if let Some(rows) = slot.next_rows() {
            return self.prefill_rows(sequence, &rows);
        }
        let mut chunk_end = slot.prompt_tokens.min(slot.computed + most).min(slot.next_image().unwrap_or(usize::MAX));
        if let Some(shared) = slot.shared_until.filter(|&shared| slot.computed < shared) {
            chunk_end = chunk_end.min(shared);
        }
        self.batch.clear();
        let mut row = 0;
        let begin = slot.computed;
        for position in begin..chunk_end {
            let last = position + 1 == slot.prompt_tokens;
            row = self.batch.add(slot.tokens[position], position as u32, sequence as u32, last);
        }
        slot.computed = chunk_end;
        let (complete, shared) = (chunk_end == slot.prompt_tokens, slot.shared_until == Some(chunk_end));
        self.context.abort_switch().begin(slot.id);
        let began = Instant::now();
        match self.context.decode(&mut self.batch) {
            Ok(()) => {
                let took = began.elapsed();
                let one = took / (chunk_end - begin).max(1) as u32;
                self.prompt_token_time = one.max((self.prompt_token_time * 3 + one) / 4);
                if !complete && chunk_end - begin == most {
                    self.rest = self.rest_after(took);
                }
                if shared {
                    self.sequences.copy(&mut self.context, sequence);
                }
                if complete {
                    self.choose(sequence, row);
                }
            }
            Err(error) => self.fail(sequence, error),
        }
    }

    /// The rows of one image, which are never parted.
    fn prefill_rows(&mut self, sequence: usize, rows: &Rows) {
        let Some(slot) = self.sequences.slot(sequence) else { return };
        let position = slot.computed as u32;
        slot.computed += rows.positions as usize;
        self.context.abort_switch().begin(slot.id);
        let began = Instant::now();
        match self.context.decode_rows(rows, position, sequence as u32) {
            Ok(()) => self.rest = self.rest_after(began.elapsed()),
            Err(error) => self.fail(sequence, error),
        }
    }

    /// Tokens of the next chunk: as many as a batch takes, or as others can wait for.
    fn chunk_tokens(&self) -> usize {
        let most = self.chunk_tokens_max;
        let others_wait = self.sequences.slots().any(|(_, slot)| slot.is_decoding());
        if !others_wait || self.prompt_token_time.is_zero() {
            return most;
        }
        let affordable = (CHUNK_TIME.as_nanos() / self.prompt_token_time.as_nanos().max(1)) as usize;
        let power = (affordable / CHUNK_TOKENS_MIN).max(1).ilog2();
        (CHUNK_TOKENS_MIN << power).min(most)
    }

    /// Chooses the next token of a slot from a row of logits, and ends the answer if that is its last.
    fn choose(&mut self, sequence: usize, row: usize) {
        let Some(slot) = self.sequences.slot(sequence) else { return };
        let Some(logits) = self.context.logits(row) else { return self.fail(sequence, DecodeError::Failed(-1)) };
        let chosen = match slot.choose(&self.model, &self.markers, logits, &mut self.bytes) {
            Ok(chosen) => chosen,
            Err(error) => return self.end(sequence, false, |_| WireEvent::Failed(error)),
        };
        self.output.event(slot.id, chosen.event);
        if let Some(finish) = chosen.finish {
            self.end(sequence, false, |slot| slot.finished(finish));
        }
    }

    /// One step of the replay that is under way; what it takes is made up for as with a long prompt.
    fn replay_step(&mut self) {
        let Some(mut replaying) = self.replaying.take() else { return };
        let began = Instant::now();
        let step =
            if replaying.is_cancelled() { Err(EngineError::Draining) } else { self.replayer.step(&mut replaying) };
        let outcome = match step {
            Ok(None) => {
                self.rest = self.rest_after(began.elapsed());
                self.replaying = Some(replaying);
                return;
            }
            Ok(Some(replay)) => WireEvent::Replayed(Box::new(replay)),
            Err(error) => WireEvent::Failed(error),
        };
        self.rest = self.rest_after(began.elapsed());
        if self.shared.inbox().replays.is_empty() {
            self.replayer.free();
        }
        self.shared.ended(replaying.id);
        self.output.event(replaying.id, outcome);
        self.output.flush();
    }

    fn fail(&mut self, sequence: usize, error: DecodeError) {
        self.end(sequence, true, |slot| match error {
            DecodeError::Aborted if slot.is_cancelled() => slot.finished(FinishReason::Cancelled),
            DecodeError::Aborted => WireEvent::Failed(EngineError::Draining),
            DecodeError::Failed(code) => WireEvent::Failed(EngineError::DecodeFailed { code }),
        });
    }

    /// Frees a slot and says how its answer ended.
    fn end(&mut self, sequence: usize, failed: bool, event: impl FnOnce(&Slot) -> WireEvent) {
        let Some(slot) = self.sequences.free(&mut self.context, sequence, failed) else { return };
        if let Some(drafter) = &mut self.drafter {
            drafter.forget(sequence);
        }
        self.shared.ended(slot.id);
        self.output.event(slot.id, event(&slot));
        self.output.flush();
    }

    /// One text of the embedding that is under way.
    fn embed_step(&mut self) {
        let Some(mut embedding) = self.embedding.take() else { return };
        let outcome = match self.embedder.step(&mut embedding) {
            _ if embedding.cancelled.load(Ordering::Acquire) => WireEvent::Failed(EngineError::Draining),
            Ok(None) => {
                self.embedding = Some(embedding);
                return;
            }
            Ok(Some(vectors)) => WireEvent::Embedded(vectors),
            Err(error) => WireEvent::Failed(error),
        };
        self.shared.ended(embedding.id);
        self.output.event(embedding.id, outcome);
        self.output.flush();
    }
}
