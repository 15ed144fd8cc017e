//! The provider's side of one question: tokens become numbered chunks, silence becomes heartbeats, the end a receipt.

use crate::timing::{Timing, RESEND_CHUNKS_MAX};
use ainonymous_types::{
    limits, AgentPubKey, AuditTerms, Bytes32, ChatInput, Done, EntryHash, FinishReason, PeerSignal, Receipt, RequestId,
    SignedReceipt, TimestampUs, TokenChunk,
};
use ainonymous_verify::commit;

/// One question being answered.
#[derive(Debug)]
pub struct Answering {
    timing: Timing,
    id: RequestId,
    spec: EntryHash,
    session_key: Bytes32,
    input: Bytes32,
    arrived_us: u64,
    first_token_us: Option<u64>,
    last_token_us: u64,
    last_sent_us: u64,
    queue_position: u32,
    acknowledged: bool,
    text: String,
    tokens: Vec<u32>,
    chunks: Vec<TokenChunk>,
    output: commit::Output,
    text_bytes: usize,
    done: Option<PeerSignal>,
}

/// What the engine says at the end.
#[derive(Clone, Copy, Debug)]
pub struct AnswerEnd {
    /// Why it ended.
    pub finish: FinishReason,
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// Wall-clock time for the receipt.
    pub finished_at: TimestampUs,
}

impl Answering {
    /// Takes a question that arrived at `now_us`, by a way of such times.
    pub fn new(
        id: RequestId,
        spec: EntryHash,
        session_key: Bytes32,
        salt: &Bytes32,
        input: &ChatInput,
        timing: Timing,
        now_us: u64,
    ) -> Self {
        Self {
            timing,
            id,
            spec,
            session_key,
            input: commit::input(salt, input),
            arrived_us: now_us,
            first_token_us: None,
            last_token_us: now_us,
            last_sent_us: now_us,
            queue_position: 0,
            acknowledged: false,
            text: String::new(),
            tokens: Vec::new(),
            chunks: Vec::new(),
            output: commit::Output::new(salt),
            text_bytes: 0,
            done: None,
        }
    }

    /// The question was queued, or moved in the queue.
    pub fn on_queued(&mut self, position: u32, now_us: u64) -> PeerSignal {
        self.queue_position = position;
        self.acknowledged = true;
        self.last_sent_us = now_us;
        PeerSignal::Accepted { id: self.id, queue_position: position }
    }

    /// The engine gave a token. The first chunk leaves at once, later ones when they are worth a message.
    pub fn on_token(&mut self, token: u32, text: &str, now_us: u64) -> Option<PeerSignal> {
        self.first_token_us.get_or_insert(now_us);
        self.last_token_us = now_us;
        self.output.push(&[token], text);
        self.text_bytes = self.text_bytes.saturating_add(text.len());
        self.text.push_str(text);
        self.tokens.push(token);
        let full = self.text.len() >= limits::CHUNK_TEXT_BYTES_MAX / 2 || self.tokens.len() >= limits::CHUNK_TOKENS_MAX;
        let due = self.chunks.is_empty() || now_us.saturating_sub(self.last_sent_us) >= self.timing.coalesce_us;
        (full || due).then(|| self.flush(now_us)).flatten()
    }

    /// Time passed: what waited long enough leaves, and silence is broken.
    pub fn on_tick(&mut self, now_us: u64) -> Option<PeerSignal> {
        let quiet_us = now_us.saturating_sub(self.last_sent_us);
        if !self.tokens.is_empty() {
            return (quiet_us >= self.timing.coalesce_us).then(|| self.flush(now_us)).flatten();
        }
        (quiet_us >= self.quiet_max_us()).then(|| self.on_queued(self.queue_position, now_us))
    }

    /// When `on_tick` has something to do at the earliest.
    pub fn next_tick_us(&self) -> u64 {
        let wait = if self.tokens.is_empty() { self.quiet_max_us() } else { self.timing.coalesce_us };
        self.last_sent_us.saturating_add(wait)
    }

    /// Whether the answer has reached the longest that may be sent.
    pub fn is_full(&self) -> bool {
        self.text_bytes >= limits::ANSWER_BYTES_MAX - limits::CHUNK_TEXT_BYTES_MAX
    }

    /// The engine is done: the rest leaves, and the receipt waits for a signature.
    pub fn finish(&mut self, provider: AgentPubKey, end: AnswerEnd, now_us: u64) -> (Option<PeerSignal>, Receipt) {
        let rest = self.flush(now_us);
        let receipt = Receipt {
            provider,
            spec: self.spec.clone(),
            session_key: self.session_key,
            input: self.input,
            output: self.output.finish(),
            fingerprint: Bytes32([0; 32]),
            prompt_tokens: end.prompt_tokens,
            completion_tokens: self.completion_tokens(),
            finish: end.finish,
            finished_at: end.finished_at,
            audit: AuditTerms::default(),
        };
        (rest, receipt)
    }

    /// The last message, once the receipt is signed.
    pub fn done(&mut self, receipt: SignedReceipt) -> PeerSignal {
        let first_us = self.first_token_us.unwrap_or(self.last_token_us);
        let done = PeerSignal::Done(Done {
            id: self.id,
            chunks: u32::try_from(self.chunks.len()).unwrap_or(u32::MAX),
            receipt,
            first_token_us: first_us.saturating_sub(self.arrived_us),
            decode_us: self.last_token_us.saturating_sub(first_us),
        });
        self.done = Some(done.clone());
        done
    }

    /// The last message again, if there was one.
    pub fn signed_done(&self) -> Option<PeerSignal> {
        self.done.clone()
    }

    /// How many chunks there are so far.
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX)
    }

    /// Chunks that got lost, again; bounded.
    pub fn resend(&self, from_chunk: u32) -> Vec<PeerSignal> {
        let from = from_chunk as usize;
        self.chunks.iter().skip(from).take(RESEND_CHUNKS_MAX).cloned().map(PeerSignal::Tokens).collect()
    }

    /// The whole text so far, for the posted path.
    pub fn whole_text(&self) -> String {
        self.chunks.iter().map(|c| c.text.as_str()).collect()
    }

    /// All token ids so far, for the posted path.
    pub fn all_tokens(&self) -> Vec<u32> {
        self.chunks.iter().flat_map(|c| c.tokens.iter().copied()).collect()
    }

    fn quiet_max_us(&self) -> u64 {
        if self.acknowledged {
            self.timing.heartbeat_us
        } else {
            self.timing.acknowledge_us
        }
    }

    fn completion_tokens(&self) -> u32 {
        let sent: usize = self.chunks.iter().map(|c| c.tokens.len()).sum();
        u32::try_from(sent + self.tokens.len()).unwrap_or(u32::MAX)
    }

    fn flush(&mut self, now_us: u64) -> Option<PeerSignal> {
        if self.tokens.is_empty() {
            return None;
        }
        self.last_sent_us = now_us;
        self.acknowledged = true;
        let chunk = TokenChunk {
            id: self.id,
            chunk: u32::try_from(self.chunks.len()).unwrap_or(u32::MAX),
            text: std::mem::take(&mut self.text),
            tokens: std::mem::take(&mut self.tokens),
        };
        self.chunks.push(chunk.clone());
        Some(PeerSignal::Tokens(chunk))
    }
}
