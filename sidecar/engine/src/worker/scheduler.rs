//! Continuous batching: many answers in one context, step by step.
//!
//! A step is one token for every slot that decodes, in one batch, and then one chunk of the prompt of the slot that has
//! waited longest. The two go in separate batches because llama.cpp would separate them anyway (sequences of unequal length
//! do not share a micro-batch); so a prompt is always cut at the same places and can be aborted without harm to others.

use super::{Embedder, Embedding, Output, Prepared, Shared};
use crate::llama::{Batch, Context, DecodeError, Model, Token};
use crate::sampler::Sampler;
use crate::text::AnswerText;
use crate::wire::WireEvent;
use crate::{EngineError, Finished};
use ainonymous_types::{limits, FinishReason};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

pub(super) struct Scheduler {
    shared: Arc<Shared>,
    output: Arc<Output>,
    model: Arc<Model>,
    context: Context,
    embedder: Embedder,
    embedding: Option<Embedding>,
    /// One place per sequence.
    slots: Vec<Option<Slot>>,
    context_tokens: u32,
    batch: Batch,
    bytes: Vec<u8>,
    /// Slots by the time of their admission: whose prompt is next.
    admissions: u64,
}

/// An answer that is being computed.
struct Slot {
    id: u64,
    admission: u64,
    cancelled: Arc<AtomicBool>,
    prompt: Vec<Token>,
    /// Prompt tokens that are in the cache.
    prefilled: usize,
    sampler: Sampler,
    text: AnswerText,
    text_bytes: usize,
    tokens_max: u32,
    tokens: u32,
    /// Token that was chosen last and is not in the cache yet.
    last: Token,
    times: Times,
}

struct Times {
    asked: Instant,
    started: Instant,
    first_token: Option<Instant>,
}

impl Slot {
    fn is_decoding(&self) -> bool {
        self.prefilled == self.prompt.len()
    }

    fn finished(&self, finish: FinishReason) -> WireEvent {
        let Times { asked, started, first_token } = self.times;
        let us = |from: Instant, to: Instant| to.duration_since(from).as_micros() as u64;
        let now = Instant::now();
        WireEvent::Finished(Finished {
            finish,
            prompt_tokens: self.prompt.len() as u32,
            cached_tokens: 0,
            completion_tokens: self.tokens,
            stopped_by: None,
            drafted: (0, 0),
            queue_us: us(asked, started),
            prefill_us: us(started, first_token.unwrap_or(now)),
            decode_us: first_token.map_or(0, |first| us(first, now)),
        })
    }
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

impl Scheduler {
    pub(super) fn new(
        shared: Arc<Shared>,
        output: Arc<Output>,
        model: Arc<Model>,
        context: Context,
        embedder: Embedder,
        slots: u32,
        context_tokens: u32,
    ) -> Self {
        let slots = (0..slots).map(|_| None).collect();
        Self {
            shared,
            output,
            model,
            context,
            embedder,
            embedding: None,
            slots,
            context_tokens,
            batch: Batch::default(),
            bytes: Vec::new(),
            admissions: 0,
        }
    }

    /// Computes until shutdown.
    pub(super) fn run(mut self) {
        while self.take_work() {
            self.end_cancelled();
            let began = Instant::now();
            self.decode_step();
            if self.next_to_prefill().is_some() {
                // A chunk may take long: what is there goes first.
                self.output.flush();
                self.prefill_step();
                self.output.flush();
                self.output.alive();
            } else {
                self.output.flush_if_due(began.elapsed());
            }
            self.embed_step();
            if self.slots.iter().all(Option::is_none) {
                self.output.flush();
            }
        }
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
            while let Some(sequence) = self.slots.iter().position(Option::is_none) {
                let Some(prepared) = inbox.ready.pop_front() else { break };
                self.admit(sequence, prepared);
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
            if self.embedding.is_some() || self.slots.iter().any(Option::is_some) {
                return true;
            }
            inbox = shared.to_compute.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn admit(&mut self, sequence: usize, prepared: Prepared) {
        let Prepared { id, prompt, question, cancelled, at, reported: _ } = prepared;
        let prompt_tokens = prompt.len() as u32;
        let room = self.context_tokens.saturating_sub(prompt_tokens).min(limits::ANSWER_TOKENS_MAX);
        let tokens_max = if question.max_tokens == 0 { room } else { question.max_tokens.min(room) };
        self.admissions += 1;
        self.slots[sequence] = Some(Slot {
            id,
            admission: self.admissions,
            cancelled,
            prompt,
            prefilled: 0,
            sampler: Sampler::new(question.sampling),
            text: AnswerText::new(&question.stop),
            text_bytes: 0,
            tokens_max,
            tokens: 0,
            last: 0,
            times: Times { asked: at, started: Instant::now(), first_token: None },
        });
        self.output.event(id, WireEvent::Started { prompt_tokens });
    }

    fn end_cancelled(&mut self) {
        for sequence in 0..self.slots.len() {
            let cancelled = |slot: &Slot| slot.cancelled.load(Ordering::Acquire);
            if self.slots[sequence].as_ref().is_some_and(cancelled) {
                self.end(sequence, |slot| slot.finished(FinishReason::Cancelled));
            }
        }
    }

    /// One token for every slot that decodes.
    fn decode_step(&mut self) {
        self.batch.clear();
        let mut rows = Vec::new();
        for (sequence, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot.as_ref().filter(|slot| slot.is_decoding()) else { continue };
            let position = slot.prompt.len() as u32 + slot.tokens - 1;
            rows.push((sequence, self.batch.add(slot.last, position, sequence as u32, true)));
        }
        if rows.is_empty() {
            return;
        }
        self.context.abort_switch().begin_shared();
        match self.context.decode(&mut self.batch) {
            Ok(()) => rows.into_iter().for_each(|(sequence, row)| self.choose(sequence, row)),
            Err(error) => rows.into_iter().for_each(|(sequence, _)| self.fail(sequence, error)),
        }
    }

    /// The slot that has waited longest for its prompt to be computed.
    fn next_to_prefill(&self) -> Option<usize> {
        let waiting = |(sequence, slot): (usize, &Option<Slot>)| {
            slot.as_ref().filter(|slot| !slot.is_decoding()).map(|slot| (slot.admission, sequence))
        };
        self.slots.iter().enumerate().filter_map(waiting).min().map(|(_, sequence)| sequence)
    }

    /// One chunk of one prompt; its last chunk gives the first token.
    fn prefill_step(&mut self) {
        let Some(sequence) = self.next_to_prefill() else { return };
        let Some(slot) = self.slots[sequence].as_mut() else { return };
        let chunk_end = slot.prompt.len().min(slot.prefilled + self.context.batch_tokens());
        self.batch.clear();
        let mut row = 0;
        for position in slot.prefilled..chunk_end {
            let last = position + 1 == slot.prompt.len();
            row = self.batch.add(slot.prompt[position], position as u32, sequence as u32, last);
        }
        slot.prefilled = chunk_end;
        let complete = slot.is_decoding();
        self.context.abort_switch().begin(slot.id);
        match self.context.decode(&mut self.batch) {
            Ok(()) if complete => self.choose(sequence, row),
            Ok(()) => {}
            Err(error) => self.fail(sequence, error),
        }
    }

    /// Chooses the next token of a slot from a row of logits, and ends the answer if that is its last.
    fn choose(&mut self, sequence: usize, row: usize) {
        let Some(slot) = self.slots[sequence].as_mut() else { return };
        let Some(logits) = self.context.logits(row) else { return self.fail(sequence, DecodeError::Failed(-1)) };
        let id = slot.sampler.choose(logits, slot.tokens);
        slot.last = id as Token;
        slot.tokens += 1;
        slot.times.first_token.get_or_insert_with(Instant::now);
        let (text, finish) = take_token(&self.model, slot, &mut self.bytes);
        self.output.event(slot.id, WireEvent::Token { id, text, more: None });
        if let Some(finish) = finish {
            self.end(sequence, |slot| slot.finished(finish));
        }
    }

    fn fail(&mut self, sequence: usize, error: DecodeError) {
        self.end(sequence, |slot| match error {
            DecodeError::Aborted if slot.cancelled.load(Ordering::Acquire) => slot.finished(FinishReason::Cancelled),
            DecodeError::Aborted => WireEvent::Failed(EngineError::Draining),
            DecodeError::Failed(code) => WireEvent::Failed(EngineError::DecodeFailed { code }),
        });
    }

    /// Frees a slot and says how its answer ended.
    fn end(&mut self, sequence: usize, event: impl FnOnce(&Slot) -> WireEvent) {
        let Some(slot) = self.slots[sequence].take() else { return };
        self.context.forget(sequence as u32);
        self.shared.ended(slot.id);
        self.output.event(slot.id, event(&slot));
        self.output.flush();
    }
}

/// The text that a slot's last token adds, and why the answer ends with it if it does. The token that ends an answer is a
/// token of the answer: it proves that the model, not the provider, ended it.
fn take_token(model: &Model, slot: &mut Slot, bytes: &mut Vec<u8>) -> (String, Option<FinishReason>) {
    let (mut text, mut finish) = (String::new(), None);
    if model.ends_answer(slot.last) {
        text = slot.text.finish();
        finish = Some(FinishReason::Stop);
    } else {
        bytes.clear();
        model.piece(slot.last, false, bytes);
        let added = slot.text.push(bytes);
        text.push_str(&added.text);
        if added.stopped {
            finish = Some(FinishReason::Stop);
        } else if slot.tokens >= slot.tokens_max {
            text.push_str(&slot.text.finish());
            finish = Some(FinishReason::Length);
        }
    }
    slot.text_bytes += text.len();
    if slot.text_bytes > limits::ANSWER_BYTES_MAX {
        let mut keep = text.len() - (slot.text_bytes - limits::ANSWER_BYTES_MAX);
        while !text.is_char_boundary(keep) {
            keep -= 1;
        }
        text.truncate(keep);
        finish = Some(FinishReason::Length);
    }
    (text, finish)
}
