//! The requester's side of one question: chunks are put in order, gaps asked for again, silence bounded, and the end
//! believed only if the receipt fits what was received.

use crate::signature::check_receipt_signature;
use crate::timing::{Timing, CHUNKS_WAITING_MAX, GAP_US, RESENDS_MAX, STALL_US};
use ainonymous_types::{
    limits, AgentPubKey, AuditTerms, Bytes32, ChunkMore, Done, EntryHash, PeerSignal, RefuseReason, RequestId,
    SignedReceipt, TokenChunk,
};
use ainonymous_verify::commit;
use std::collections::BTreeMap;

/// What was asked of whom.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question.
    pub id: RequestId,
    /// Who shall answer.
    pub provider: AgentPubKey,
    /// With which model.
    pub spec: EntryHash,
    /// The key that signed the question.
    pub session_key: Bytes32,
    /// Salt of the commitments.
    pub salt: Bytes32,
    /// Commitment to the question.
    pub commitment: Bytes32,
    /// What the receipt must say of a later audit.
    pub audit: AuditTerms,
    /// Most tokens asked for; 0 means no bound but the context.
    pub max_tokens: u32,
    /// Tokens that the answer begins with and the provider does not send.
    pub begun_tokens: u32,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the provider to send again from this chunk on.
    Resend(u32),
    /// Send the question again: it may be lost. A provider that has it already ignores the second.
    AskAgain,
    /// The provider has taken the question, so many are before it.
    Queued(u32),
    /// Append what this part says.
    Part(TokenChunk),
    /// The answer is complete and its receipt fits.
    Answered(Box<Answered>),
    /// There will be no (further) answer.
    Failed(Failure),
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The provider's statement, checked against what was received.
    pub receipt: SignedReceipt,
    /// Tokens of the prompt that the provider had computed before, by its own word.
    pub cached_tokens: u32,
    /// Which stop text ended it, by the provider's word.
    pub stopped_by: Option<u32>,
    /// By the provider's clock.
    pub first_token_us: u64,
    /// By the provider's clock.
    pub decode_us: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The provider never took the question.
    Silent,
    /// The provider fell silent after so many tokens.
    Gone(u32),
    /// The provider said no.
    Refused(RefuseReason, String),
    /// The provider broke the protocol.
    Broken(&'static str),
}

/// One question being asked.
#[derive(Debug)]
pub struct Question {
    asked: Asked,
    timing: Timing,
    accepted: bool,
    heard_us: u64,
    /// When the last part was taken; none before the first.
    worded_us: Option<u64>,
    nudged: bool,
    gap_since_us: Option<u64>,
    resends: u32,
    next_chunk: u32,
    waiting: BTreeMap<u32, TokenChunk>,
    done: Option<Done>,
    output: commit::Output,
    tokens: u32,
    text_bytes: usize,
    ended: bool,
}

impl Question {
    /// The question was sent at `now_us`, by a way of such times.
    pub fn new(asked: Asked, timing: Timing, now_us: u64) -> Self {
        Self {
            output: commit::Output::new(&asked.salt),
            asked,
            timing,
            accepted: false,
            heard_us: now_us,
            worded_us: None,
            nudged: false,
            gap_since_us: None,
            resends: 0,
            next_chunk: 0,
            waiting: BTreeMap::new(),
            done: None,
            tokens: 0,
            text_bytes: 0,
            ended: false,
        }
    }

    /// Whether an end was reached; nothing more will happen.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// A signal arrived. Those of other agents or about other questions change nothing.
    pub fn on_signal(&mut self, from: &AgentPubKey, signal: PeerSignal, now_us: u64) -> Vec<Effect> {
        if self.ended || *from != self.asked.provider {
            return Vec::new();
        }
        match signal {
            PeerSignal::Accepted { id, queue_position } if id == self.asked.id => {
                self.on_accepted(queue_position, now_us)
            }
            PeerSignal::Tokens(chunk) if chunk.id == self.asked.id => self.on_chunk(chunk, now_us),
            PeerSignal::Done(done) if done.id == self.asked.id => self.on_done(done, now_us),
            PeerSignal::Refused { id, reason, detail } if id == self.asked.id => {
                self.end(Effect::Failed(Failure::Refused(reason, detail)))
            }
            PeerSignal::Ask(_)
            | PeerSignal::Accepted { .. }
            | PeerSignal::Tokens(_)
            | PeerSignal::Done(_)
            | PeerSignal::Refused { .. }
            | PeerSignal::Cancel { .. }
            | PeerSignal::Resend { .. }
            | PeerSignal::RequestPosted { .. }
            | PeerSignal::AnswerPosted { .. }
            | PeerSignal::ReceiptPublished { .. } => Vec::new(),
        }
    }

    /// Time passed.
    pub fn on_tick(&mut self, now_us: u64) -> Vec<Effect> {
        if self.ended {
            return Vec::new();
        }
        let quiet_us = now_us.saturating_sub(self.heard_us);
        let stalled = self.worded_us.is_some_and(|at_us| now_us.saturating_sub(at_us) >= STALL_US);
        if stalled || quiet_us >= self.timing.silence_us.saturating_add(self.sending_us()) {
            return self.on_lost();
        }
        if !self.nudged && quiet_us >= self.timing.nudge_us.saturating_add(self.sending_us()) {
            self.nudged = true;
            return vec![if self.accepted { self.resend() } else { Effect::AskAgain }];
        }
        match self.gap_since_us {
            Some(since) if now_us.saturating_sub(since) >= GAP_US => self.on_gap(now_us),
            _ => Vec::new(),
        }
    }

    /// When `on_tick` has something to do at the earliest.
    pub fn next_tick_us(&self) -> u64 {
        let silence = self.heard_us.saturating_add(self.silence_us());
        let silence = self.worded_us.map_or(silence, |at_us| silence.min(at_us.saturating_add(STALL_US)));
        self.gap_since_us.map_or(silence, |gap| silence.min(gap.saturating_add(GAP_US)))
    }

    /// When it is quieter than it would be if the provider were there, unless something is heard before. That is sooner than it is given up.
    pub fn quiet_at_us(&self) -> u64 {
        self.heard_us.saturating_add(self.timing.quiet_us()).saturating_add(self.sending_us())
    }

    /// The way to the provider is gone for good.
    pub fn on_lost(&mut self) -> Vec<Effect> {
        if self.ended {
            return Vec::new();
        }
        let failure = if self.accepted { Failure::Gone(self.tokens) } else { Failure::Silent };
        self.end(Effect::Failed(failure))
    }

    /// The first chunk that has not arrived.
    pub fn next_chunk(&self) -> u32 {
        self.next_chunk
    }

    /// The asker has lost interest.
    pub fn cancel(&mut self) -> Option<PeerSignal> {
        let running = !std::mem::replace(&mut self.ended, true);
        running.then_some(PeerSignal::Cancel { id: self.asked.id })
    }

    fn silence_us(&self) -> u64 {
        let quiet = if self.nudged { self.timing.silence_us } else { self.timing.nudge_us };
        quiet.saturating_add(self.sending_us())
    }

    fn sending_us(&self) -> u64 {
        if self.accepted {
            0
        } else {
            self.timing.sending_us
        }
    }

    fn heard(&mut self, now_us: u64) {
        self.heard_us = now_us;
        self.nudged = false;
    }

    fn resend(&self) -> Effect {
        Effect::Resend(self.next_chunk)
    }

    fn on_accepted(&mut self, queue_position: u32, now_us: u64) -> Vec<Effect> {
        self.heard(now_us);
        let first = !std::mem::replace(&mut self.accepted, true);
        if first || self.next_chunk == 0 {
            vec![Effect::Queued(queue_position)]
        } else {
            Vec::new()
        }
    }

    fn on_chunk(&mut self, chunk: TokenChunk, now_us: u64) -> Vec<Effect> {
        self.heard(now_us);
        self.accepted = true;
        let number = chunk.chunk;
        if number < self.next_chunk {
            return Vec::new();
        }
        if number > self.next_chunk && self.waiting.len() >= CHUNKS_WAITING_MAX {
            return self.end(Effect::Failed(Failure::Broken("it sends chunks without the ones before")));
        }
        self.waiting.entry(number).or_insert(chunk);
        self.advance(now_us)
    }

    fn on_done(&mut self, done: Done, now_us: u64) -> Vec<Effect> {
        self.heard(now_us);
        self.accepted = true;
        self.done.get_or_insert(done);
        self.advance(now_us)
    }

    /// Hands out what is in order, then looks whether that was all.
    fn advance(&mut self, now_us: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(chunk) = self.waiting.remove(&self.next_chunk) {
            self.next_chunk += 1;
            self.resends = 0;
            let count = u32::try_from(chunk.tokens.len()).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(count);
            self.text_bytes = self.text_bytes.saturating_add(chunk.text.len());
            self.output.push(&chunk.tokens, &chunk.text, chunk.more.as_deref());
            self.text_bytes = self.text_bytes.saturating_add(chunk.more.as_deref().map_or(0, bytes_besides));
            if self.is_over_bound() {
                effects.extend(self.end(Effect::Failed(Failure::Broken("its answer is longer than asked for"))));
                return effects;
            }
            if !chunk.text.is_empty() || count > 0 || chunk.more.is_some() {
                self.worded_us = Some(now_us);
                effects.push(Effect::Part(chunk));
            }
        }
        let missing = !self.waiting.is_empty() || self.done.as_ref().is_some_and(|d| d.chunks > self.next_chunk);
        self.gap_since_us = missing.then(|| self.gap_since_us.unwrap_or(now_us));
        if !missing {
            if let Some(done) = self.done.take() {
                let end = self.judge(done);
                effects.extend(self.end(end));
            }
        }
        effects
    }

    fn is_over_bound(&self) -> bool {
        let tokens_max = match self.asked.max_tokens {
            0 => limits::ANSWER_TOKENS_MAX,
            asked => asked.min(limits::ANSWER_TOKENS_MAX),
        };
        self.tokens.saturating_add(self.asked.begun_tokens) > tokens_max || self.text_bytes > limits::ANSWER_BYTES_MAX
    }

    fn on_gap(&mut self, now_us: u64) -> Vec<Effect> {
        if self.resends >= RESENDS_MAX {
            return self.end(Effect::Failed(Failure::Gone(self.tokens)));
        }
        self.resends += 1;
        self.gap_since_us = Some(now_us);
        vec![self.resend()]
    }

    /// A receipt is believed only if it says what was asked and received, and its signer is who answered.
    fn judge(&self, done: Done) -> Effect {
        let receipt = &done.receipt.receipt;
        let problem = if done.chunks < self.next_chunk {
            Some("it sent more chunks than it counts")
        } else if receipt.provider != self.asked.provider {
            Some("its receipt names another provider")
        } else if receipt.spec != self.asked.spec {
            Some("its receipt names another model spec")
        } else if receipt.session_key != self.asked.session_key || receipt.input != self.asked.commitment {
            Some("its receipt is about another question")
        } else if receipt.audit != self.asked.audit {
            Some("its receipt says something else of an audit than was asked")
        } else if receipt.completion_tokens != self.tokens {
            Some("its receipt counts other tokens than it sent")
        } else if receipt.output != self.output.finish() {
            Some("its receipt is about another answer")
        } else if check_receipt_signature(&done.receipt).is_err() {
            Some("its receipt is not signed by it")
        } else {
            None
        };
        match problem {
            Some(problem) => Effect::Failed(Failure::Broken(problem)),
            None => Effect::Answered(Box::new(Answered {
                receipt: done.receipt,
                cached_tokens: done.cached_tokens,
                stopped_by: done.stopped_by,
                first_token_us: done.first_token_us,
                decode_us: done.decode_us,
            })),
        }
    }

    fn end(&mut self, effect: Effect) -> Vec<Effect> {
        self.ended = true;
        self.waiting.clear();
        vec![effect]
    }
}

/// What a part says besides text, in bytes.
fn bytes_besides(more: &ChunkMore) -> usize {
    let ChunkMore { reasoning, tool_calls, logprobs: _ } = more;
    tool_calls.iter().map(|piece| piece.arguments.len()).fold(reasoning.len(), usize::saturating_add)
}
