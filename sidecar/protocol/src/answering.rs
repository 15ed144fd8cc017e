//! The provider's side of one question: tokens become numbered chunks, silence becomes heartbeats, the end a receipt.

use crate::timing::{Timing, RESEND_CHUNKS_MAX};
use ainonymous_types::{
    limits, AgentPubKey, AuditTerms, Bytes32, ChunkMore, Done, EntryHash, FinishReason, PeerSignal, Receipt, RequestId,
    SignedReceipt, TimestampUs, TokenChunk, ToolCallPiece,
};
use ainonymous_verify::commit;

/// Longest text of a chunk, what is thought and called besides included: half of what may be sent.
const PART_BYTES_MAX: usize = limits::CHUNK_TEXT_BYTES_MAX / 2;

/// One question being answered.
#[derive(Debug)]
pub struct Answering {
    timing: Timing,
    id: RequestId,
    spec: EntryHash,
    session_key: Bytes32,
    input: Bytes32,
    audit: AuditTerms,
    arrived_us: u64,
    first_token_us: Option<u64>,
    decode_us: u64,
    last_sent_us: u64,
    queue_position: u32,
    acknowledged: bool,
    text: String,
    tokens: Vec<u32>,
    more: Option<Box<ChunkMore>>,
    chunks: Vec<TokenChunk>,
    output: commit::Output,
    text_bytes: usize,
    cached_tokens: u32,
    stopped_by: Option<u32>,
    done: Option<PeerSignal>,
}

/// What a question says that the receipt repeats.
#[derive(Clone, Debug)]
pub struct AskedOf {
    /// The question.
    pub id: RequestId,
    /// The model that shall answer.
    pub spec: EntryHash,
    /// The key that signed the question.
    pub session_key: Bytes32,
    /// Salt of the commitments.
    pub salt: Bytes32,
    /// Commitment to the question.
    pub commitment: Bytes32,
    /// What it says of a later audit.
    pub audit: AuditTerms,
}

/// What the engine says at the end.
#[derive(Clone, Copy, Debug)]
pub struct AnswerEnd {
    /// Why it ended.
    pub finish: FinishReason,
    /// Tokens of the rendered prompt, those of a begun answer among them.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that were computed before.
    pub cached_tokens: u32,
    /// Which stop text ended it.
    pub stopped_by: Option<u32>,
    /// Wall-clock time for the receipt.
    pub finished_at: TimestampUs,
    /// Root over the answer's fingerprint; zeros if none was recorded.
    pub fingerprint: Bytes32,
    /// From its first token to the end by the engine's clock, in microseconds: when tokens are handed over says less, for several may
    /// come at once.
    pub decode_us: u64,
}

impl Answering {
    /// Takes a question that arrived at `now_us`, by a way of such times.
    pub fn new(asked: AskedOf, timing: Timing, now_us: u64) -> Self {
        let AskedOf { id, spec, session_key, salt, commitment, audit } = asked;
        Self {
            timing,
            id,
            spec,
            session_key,
            input: commitment,
            audit,
            arrived_us: now_us,
            first_token_us: None,
            decode_us: 0,
            last_sent_us: now_us,
            queue_position: 0,
            acknowledged: false,
            text: String::new(),
            tokens: Vec::new(),
            more: None,
            chunks: Vec::new(),
            output: commit::Output::new(&salt),
            text_bytes: 0,
            cached_tokens: 0,
            stopped_by: None,
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

    /// The engine gave a token, with what came besides. The first chunk leaves at once, later ones when they are worth a message;
    /// several only if the token does not go with those before it.
    pub fn on_token(&mut self, token: u32, text: &str, more: Option<ChunkMore>, now_us: u64) -> Vec<PeerSignal> {
        self.first_token_us.get_or_insert(now_us);
        self.output.push(&[token], text, more.as_ref());
        self.text_bytes = self.text_bytes.saturating_add(text.len() + more.as_ref().map_or(0, besides));
        let (mut out, mut token) = (Vec::new(), Some(token));
        for (text, more) in cut(text, more) {
            if !self.goes_with(&text, more.as_ref()) {
                out.extend(self.flush(now_us));
            }
            self.tokens.extend(token.take());
            self.text.push_str(&text);
            if let Some(more) = more {
                append(self.more.get_or_insert_default(), more);
            }
        }
        let due = self.chunks.is_empty() || now_us.saturating_sub(self.last_sent_us) >= self.timing.coalesce_us;
        if due || self.tokens.len() >= limits::CHUNK_TOKENS_MAX {
            out.extend(self.flush(now_us));
        }
        out
    }

    /// Whether a token may stand in one chunk with those that wait: the order of text, thoughts and calls is not lost, and no bound broken.
    fn goes_with(&self, text: &str, more: Option<&ChunkMore>) -> bool {
        let waiting = kinds(&self.text, self.more.as_deref());
        let coming = kinds(text, more);
        let alike = waiting == Kinds::default() || coming == Kinds::default() || waiting == coming;
        let (mut bytes, mut pieces, mut likely) = (self.text.len() + text.len(), 0, 0);
        for more in self.more.as_deref().into_iter().chain(more) {
            bytes += besides(more);
            pieces += more.tool_calls.len();
            likely += more.logprobs.iter().map(|one| one.top.len() + 1).sum::<usize>();
        }
        alike
            && bytes <= PART_BYTES_MAX
            && pieces <= limits::CHUNK_TOOL_CALLS_MAX
            && likely <= limits::CHUNK_LOGPROBS_MAX
    }

    /// Time passed: what waited long enough leaves, and silence is broken.
    pub fn on_tick(&mut self, now_us: u64) -> Option<PeerSignal> {
        let quiet_us = now_us.saturating_sub(self.last_sent_us);
        if self.waits() {
            return (quiet_us >= self.timing.coalesce_us).then(|| self.flush(now_us)).flatten();
        }
        (quiet_us >= self.quiet_max_us()).then(|| self.on_queued(self.queue_position, now_us))
    }

    /// When `on_tick` has something to do at the earliest.
    pub fn next_tick_us(&self) -> u64 {
        let wait = if self.waits() { self.timing.coalesce_us } else { self.quiet_max_us() };
        self.last_sent_us.saturating_add(wait)
    }

    /// Whether the answer has reached the longest that may be sent.
    pub fn is_full(&self) -> bool {
        self.text_bytes >= limits::ANSWER_BYTES_MAX - limits::CHUNK_TEXT_BYTES_MAX
    }

    /// The engine is done: the rest leaves, and the receipt waits for a signature.
    pub fn finish(&mut self, provider: AgentPubKey, end: AnswerEnd, now_us: u64) -> (Option<PeerSignal>, Receipt) {
        let rest = self.flush(now_us);
        (self.cached_tokens, self.stopped_by, self.decode_us) = (end.cached_tokens, end.stopped_by, end.decode_us);
        let receipt = Receipt {
            provider,
            spec: self.spec.clone(),
            session_key: self.session_key,
            input: self.input,
            output: self.output.finish(),
            fingerprint: end.fingerprint,
            prompt_tokens: end.prompt_tokens,
            completion_tokens: self.completion_tokens(),
            finish: end.finish,
            finished_at: end.finished_at,
            audit: self.audit,
        };
        (rest, receipt)
    }

    /// The last message, once the receipt is signed.
    pub fn done(&mut self, receipt: SignedReceipt) -> PeerSignal {
        let first_us = self.first_token_us.unwrap_or(self.arrived_us);
        let done = PeerSignal::Done(Done {
            id: self.id,
            chunks: u32::try_from(self.chunks.len()).unwrap_or(u32::MAX),
            receipt,
            cached_tokens: self.cached_tokens,
            stopped_by: self.stopped_by,
            first_token_us: first_us.saturating_sub(self.arrived_us),
            decode_us: self.decode_us,
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

    /// What there was besides text so far, for the posted path.
    pub fn whole_more(&self) -> Option<Box<ChunkMore>> {
        let mut whole: Option<Box<ChunkMore>> = None;
        for more in self.chunks.iter().filter_map(|c| c.more.as_deref()) {
            append(whole.get_or_insert_default(), more.clone());
        }
        whole
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

    /// Whether something waits to be sent.
    fn waits(&self) -> bool {
        !self.tokens.is_empty() || !self.text.is_empty() || self.more.is_some()
    }

    fn flush(&mut self, now_us: u64) -> Option<PeerSignal> {
        if !self.waits() {
            return None;
        }
        self.last_sent_us = now_us;
        self.acknowledged = true;
        let chunk = TokenChunk {
            id: self.id,
            chunk: u32::try_from(self.chunks.len()).unwrap_or(u32::MAX),
            text: std::mem::take(&mut self.text),
            tokens: std::mem::take(&mut self.tokens),
            more: self.more.take(),
        };
        self.chunks.push(chunk.clone());
        Some(PeerSignal::Tokens(chunk))
    }
}

/// What one token brings, in parts that fit into chunks: mostly one. Text that was held back may be long.
fn cut(text: &str, more: Option<ChunkMore>) -> Vec<(String, Option<ChunkMore>)> {
    let fits = |more: &ChunkMore| {
        text.len() + besides(more) <= PART_BYTES_MAX && more.tool_calls.len() <= limits::CHUNK_TOOL_CALLS_MAX
    };
    if more.as_ref().map_or(text.len() <= PART_BYTES_MAX, fits) {
        return vec![(text.to_owned(), more)];
    }
    let ChunkMore { reasoning, tool_calls, logprobs } = more.unwrap_or_default();
    let mut parts: Vec<(String, Option<ChunkMore>)> = pieces(text).map(|piece| (piece.to_owned(), None)).collect();
    let beside = |more: ChunkMore| (String::new(), Some(more));
    let thought = |piece: &str| beside(ChunkMore { reasoning: piece.to_owned(), ..ChunkMore::default() });
    parts.extend(pieces(&reasoning).map(thought));
    for ToolCallPiece { index, mut begins, arguments } in tool_calls {
        let mut call = |arguments: &str| {
            let piece = ToolCallPiece { index, begins: begins.take(), arguments: arguments.to_owned() };
            beside(ChunkMore { tool_calls: vec![piece], ..ChunkMore::default() })
        };
        match arguments.is_empty() {
            true => parts.push(call("")),
            false => parts.extend(pieces(&arguments).map(call)),
        }
    }
    if let (Some((_, first)), false) = (parts.first_mut(), logprobs.is_empty()) {
        first.get_or_insert_default().logprobs = logprobs;
    }
    parts
}

/// A text in pieces that fit into chunks.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut at = rest.len().min(PART_BYTES_MAX);
        while !rest.is_char_boundary(at) {
            at -= 1;
        }
        let (piece, left) = rest.split_at(at);
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What a chunk tells of: with anything else it would lose the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds {
    text: bool,
    reasoning: bool,
    calls: bool,
}

fn kinds(text: &str, more: Option<&ChunkMore>) -> Kinds {
    Kinds {
        text: !text.is_empty(),
        reasoning: more.is_some_and(|more| !more.reasoning.is_empty()),
        calls: more.is_some_and(|more| !more.tool_calls.is_empty()),
    }
}

/// What is said besides text, in bytes.
fn besides(more: &ChunkMore) -> usize {
    let ChunkMore { reasoning, tool_calls, logprobs: _ } = more;
    let call = |piece: &ToolCallPiece| {
        piece.arguments.len() + piece.begins.as_ref().map_or(0, |begin| begin.id.len() + begin.name.len())
    };
    tool_calls.iter().map(call).sum::<usize>() + reasoning.len()
}

fn append(to: &mut ChunkMore, more: ChunkMore) {
    let ChunkMore { reasoning, tool_calls, logprobs } = more;
    to.reasoning.push_str(&reasoning);
    to.logprobs.extend(logprobs);
    for piece in tool_calls {
        match to.tool_calls.last_mut() {
            Some(last) if last.index == piece.index && piece.begins.is_none() => {
                last.arguments.push_str(&piece.arguments)
            }
            _ => to.tool_calls.push(piece),
        }
    }
}
