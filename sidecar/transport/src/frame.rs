//! What goes over a stream: frames of a length (4 bytes, little-endian) and a body in postcard's encoding.
//!
//! The order of variants and fields is the format: it changes only together with [`crate::config::ALPN`], and
//! `tests/frames.json` beside this crate holds it still. The question that a frame is about is implied by its stream, except where a
//! stream begins.

use ainonymous_types::{
    limits, ActionHash, AgentPubKey, Ask, AuditOrder, AuditRefusal, AuditShown, BatchProof, ChunkMore, Done, EntryHash,
    LinkProof, OpenGrant, OpenRefusal, OpenedLeaf, PeerSignal, RefuseReason, RequestId, SignedReceipt, TokenChunk,
};
use ainonymous_verify::audit::{leaf, order};
use ainonymous_verify::{link, signal};
use bytes::BytesMut;
use serde::{Deserialize, Serialize};

/// Length of the length.
pub(crate) const HEADER_BYTES: usize = 4;
/// Largest body that a provider takes: a question with images and a begun answer.
pub const FRAME_BYTES_MAX: usize = limits::QUESTION_BYTES_MAX;
/// Larger bodies take their time.
pub(crate) const USUAL_BYTES_MAX: usize = limits::SIGNAL_BYTES_MAX;
/// Largest body that a requester takes: a chunk of text, its tokens, and what comes besides.
pub const REPLY_BYTES_MAX: usize = limits::CHUNK_TEXT_BYTES_MAX
    + 5 * limits::CHUNK_TOKENS_MAX
    + 16 * limits::CHUNK_TOOL_CALLS_MAX
    + (limits::TOKEN_TEXT_BYTES_MAX + 16) * limits::CHUNK_LOGPROBS_MAX
    + 1_024;

/// Most leaves of a fingerprint in one frame.
pub const OPENED_LEAVES_MAX: usize = 64;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// Requester, first on its stream: a question.
    Ask(Box<Ask>),
    /// Provider: taken; this many questions are before it.
    Accepted {
        /// 0 means it starts at once.
        queue_position: u32,
    },
    /// Provider: a part of the answer.
    Tokens {
        /// Number of the chunk, from 0 without gaps.
        chunk: u32,
        /// Valid UTF-8.
        text: String,
        /// Token ids.
        tokens: Vec<u32>,
        /// What came besides; mostly nothing.
        more: Option<Box<ChunkMore>>,
    },
    /// Provider, last on its stream: the answer is complete.
    Done {
        /// How many chunks there were.
        chunks: u32,
        /// The provider's statement.
        receipt: Box<SignedReceipt>,
        /// Tokens of the prompt that were computed before.
        cached_tokens: u32,
        /// Which of the question's stop texts ended the answer.
        stopped_by: Option<u32>,
        /// From the arrival of the question to the first token, in microseconds.
        first_token_us: u64,
        /// From the first to the last token, in microseconds.
        decode_us: u64,
    },
    /// Provider, last on its stream: there will be no (further) answer.
    Refused {
        /// Why.
        reason: RefuseReason,
        /// For people; may be empty.
        detail: String,
    },
    /// Requester: stop.
    Cancel,
    /// Requester: send again from this chunk on. First on a stream it takes up a question of an earlier link.
    Resend {
        /// The question.
        id: RequestId,
        /// First chunk that is missing.
        from_chunk: u32,
    },
    /// Provider: the receipt is on the DHT.
    Published {
        /// Where.
        proof: BatchProof,
    },
    /// Requester, first and only on its stream: how busy are you? The only frame that may come before a handshake has ended.
    Probe {
        /// The model spec that it is about.
        spec: EntryHash,
    },
    /// Provider, the answer to a probe and last on its stream.
    Load(Load),
    /// Requester, first and only on its stream: who it is, if it wants to be known on this connection.
    Prove {
        /// Which bytes were signed: [`link::VERSION`].
        version: u8,
        /// Signed over what only this connection has.
        proof: Box<LinkProof>,
    },
    /// Provider, the answer to a proof and last on its stream: it knows who asks, and answers.
    Known,
    /// Requester, first and only on its stream: what have you seen of others with this model spec?
    Tell {
        /// The model spec that it is about.
        spec: EntryHash,
    },
    /// Provider, the answer to that and last on its stream; empty if it does not say.
    Told(Vec<Seen>),
    /// Requester or auditor, first and only on its stream: show me the fingerprint that this receipt names.
    Open(Box<Open>),
    /// Provider, the answer to that: leaves in order, from one frame to the next without gaps. The stream ends after the last.
    Opened {
        /// Number of the first leaf here.
        first: u32,
        /// At least one.
        leaves: Vec<OpenedLeaf>,
    },
    /// Provider, last on its stream: it does not show it.
    NotOpened(OpenRefusal),
    /// Requester, first on its stream: compute this answer again, and say what you find.
    Audit(Box<AuditOrder>),
    /// Auditor: it will, if it is shown the answer.
    AuditTaken,
    /// Requester: the answer, and what belongs to it.
    AuditShown(Box<AuditShown>),
    /// Auditor, last on its stream: it did not.
    NotAudited(AuditRefusal),
    /// Auditor, last on its stream: what it has found stands on the DHT.
    Audited {
        /// Where.
        report: ActionHash,
    },
}

/// Takes the first frame off what has arrived of a stream; none while it is not all there. A length over the bound is refused before
/// anything of its body is waited for.
pub(crate) fn split(buffer: &mut BytesMut, body_max: usize) -> Result<Option<Frame>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let len = u32::from_le_bytes(*header) as usize;
    if len > body_max {
        return Err(FrameError::TooLong { len, max: body_max });
    }
    if buffer.len() < HEADER_BYTES + len {
        return Ok(None);
    }
    let frame = buffer.split_to(HEADER_BYTES + len);
    Frame::decode(&frame[HEADER_BYTES..]).map(Some)
}

/// Whether a body that begins with this byte wants what only whoever may ask is told: [`Frame::Ask`], [`Frame::Resend`],
/// [`Frame::Open`] or [`Frame::Audit`].
pub(crate) fn is_question(kind: u8) -> bool {
    matches!(kind, 0 | 6 | 14 | AUDIT)
}

/// The largest kind that is spelt in one byte.
const KIND_MAX: u8 = 0x7f;
/// What the body of [`Frame::Audit`] begins with.
const AUDIT: u8 = 17;
/// The same of [`Frame::AuditShown`].
const SHOWN: u8 = 19;

/// Which fingerprint shall be shown, and who lets it be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The receipt that names it.
    pub receipt: SignedReceipt,
    /// By the key that asked.
    pub grant: OpenGrant,
}

/// What somebody says that it saw of a provider: how quick it was and how often it failed, and nothing of what was asked or when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of whom.
    pub agent: AgentPubKey,
    /// Average decode speed, in thousandths of a token a second; 0 if it never answered.
    pub milli_tokens_per_s: u64,
    /// Share of questions that failed or came too late, in thousandths.
    pub troubled_permille: u16,
}

/// How busy a provider is. It says so itself: an estimate, never a promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The model spec is served here.
    pub serves: bool,
    /// The provider takes no new questions.
    pub draining: bool,
    /// Questions that wait.
    pub queued: u32,
    /// Questions that are being answered.
    pub running: u32,
    /// Questions that can be answered at once, the running ones included.
    pub slots: u32,
    /// Decode speed of one stream as measured lately, in thousandths of a token a second.
    pub milli_tokens_per_s: u64,
    /// Prefill speed as measured lately, in thousandths of a token a second; 0 if unknown.
    pub milli_prefill_tokens_per_s: u64,
    /// What it wants, in thousandths of a credit for a million parameter-tokens; 0 is a gift.
    pub milli_price: u64,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is over the bound; nothing of the body was read.
    #[error("a frame of {len} bytes; at most {max} are taken here")]
    TooLong {
        /// The length that it claims.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// The body is not what postcard makes of a frame, or something follows it.
    #[error("not a frame of this protocol")]
    Malformed,
    /// A field is out of its bounds.
    #[error("out of bounds: {0}")]
    Bounds(&'static str),
}

impl Frame {
    /// The frame as it is sent.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let body = postcard::to_extend(self, vec![0; HEADER_BYTES]).map_err(|_| FrameError::Malformed)?;
        let len = body.len() - HEADER_BYTES;
        if len > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong { len, max: FRAME_BYTES_MAX });
        }
        let mut frame = body;
        frame[..HEADER_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
        Ok(frame)
    }

    /// Reads a body. All of it must be the frame, and the frame within its bounds.
    pub fn decode(body: &[u8]) -> Result<Self, FrameError> {
        if body.first() == Some(&SHOWN) && order::shown_bytes(body.len()).is_err() {
            return Err(FrameError::TooLong { len: body.len(), max: limits::SHOWN_BYTES_MAX });
        }
        // There are fewer kinds than 128: whoever spells one in two bytes wants it not to be seen by its first (`is_question`).
        if body.first().is_some_and(|kind| *kind > KIND_MAX) {
            return Err(FrameError::Malformed);
        }
        let (frame, rest) = postcard::take_from_bytes::<Self>(body).map_err(|_| FrameError::Malformed)?;
        if !rest.is_empty() {
            return Err(FrameError::Malformed);
        }
        frame.checked()
    }

    /// What peers say by signals, as a frame of the question's stream; none for what has no place there.
    pub fn from_signal(signal: PeerSignal) -> Option<Self> {
        Some(match signal {
            PeerSignal::Ask(ask) => Self::Ask(Box::new(ask)),
            PeerSignal::Accepted { id: _, queue_position } => Self::Accepted { queue_position },
            PeerSignal::Tokens(TokenChunk { id: _, chunk, text, tokens, more }) => {
                Self::Tokens { chunk, text, tokens, more }
            }
            PeerSignal::Done(Done { id: _, chunks, receipt, cached_tokens, stopped_by, first_token_us, decode_us }) => {
                let receipt = Box::new(receipt);
                Self::Done { chunks, receipt, cached_tokens, stopped_by, first_token_us, decode_us }
            }
            PeerSignal::Refused { id: _, reason, detail } => Self::Refused { reason, detail },
            PeerSignal::Cancel { id: _ } => Self::Cancel,
            PeerSignal::Resend { id, from_chunk } => Self::Resend { id, from_chunk },
            PeerSignal::ReceiptPublished { id: _, proof } => Self::Published { proof },
            PeerSignal::RequestPosted { .. } | PeerSignal::AnswerPosted { .. } => return None,
        })
    }

    /// The frame of a question's stream as peers say it by signals; none for what has a stream of its own.
    pub fn into_signal(self, id: RequestId) -> Option<PeerSignal> {
        Some(match self {
            Self::Ask(ask) => PeerSignal::Ask(*ask),
            Self::Accepted { queue_position } => PeerSignal::Accepted { id, queue_position },
            Self::Tokens { chunk, text, tokens, more } => {
                PeerSignal::Tokens(TokenChunk { id, chunk, text, tokens, more })
            }
            Self::Done { chunks, receipt, cached_tokens, stopped_by, first_token_us, decode_us } => {
                let receipt = *receipt;
                PeerSignal::Done(Done { id, chunks, receipt, cached_tokens, stopped_by, first_token_us, decode_us })
            }
            Self::Refused { reason, detail } => PeerSignal::Refused { id, reason, detail },
            Self::Cancel => PeerSignal::Cancel { id },
            Self::Resend { id, from_chunk } => PeerSignal::Resend { id, from_chunk },
            Self::Published { proof } => PeerSignal::ReceiptPublished { id, proof },
            Self::Probe { .. }
            | Self::Load(_)
            | Self::Prove { .. }
            | Self::Known
            | Self::Tell { .. }
            | Self::Told(_)
            | Self::Open(_)
            | Self::Opened { .. }
            | Self::NotOpened(_)
            | Self::Audit(_)
            | Self::AuditTaken
            | Self::AuditShown(_)
            | Self::NotAudited(_)
            | Self::Audited { .. } => return None,
        })
    }

    fn checked(self) -> Result<Self, FrameError> {
        match self {
            Self::Load(load) => load.check().map(|()| self),
            Self::Prove { version, .. } if version != link::VERSION => Err(FrameError::Bounds("proof_version")),
            Self::Told(ref seen) if seen.len() > Seen::TOLD_MAX => Err(FrameError::Bounds("told_many")),
            Self::Told(ref seen) => seen.iter().try_for_each(Seen::check).map(|()| self),
            // All fields of these are of fixed length.
            Self::Probe { .. }
            | Self::Prove { .. }
            | Self::Known
            | Self::Tell { .. }
            | Self::NotOpened(_)
            | Self::AuditTaken
            | Self::NotAudited(_)
            | Self::Audited { .. } => Ok(self),
            Self::Audit(ref ordered) => {
                order::bounds(ordered).map_err(|breach| FrameError::Bounds(breach.code()))?;
                Ok(self)
            }
            Self::AuditShown(ref shown) => {
                order::shown_bounds(shown).map_err(|breach| FrameError::Bounds(breach.code()))?;
                Ok(self)
            }
            Self::Open(ref open) => {
                signal::receipt(&open.receipt).map_err(|breach| FrameError::Bounds(breach.code()))?;
                Ok(self)
            }
            Self::Opened { first, ref leaves } => opened(first, leaves).map(|()| self),
            // Everything else is said by signals too, and has its bounds there.
            other => {
                let said = other.into_signal(RequestId([0; 16])).ok_or(FrameError::Malformed)?;
                signal::bounds(&said).map_err(|breach| FrameError::Bounds(breach.code()))?;
                Self::from_signal(said).ok_or(FrameError::Malformed)
            }
        }
    }
}

/// Whether leaves are as many as go into a frame, and each as large as one can be. What is in them is for whoever compares.
fn opened(first: u32, leaves: &[OpenedLeaf]) -> Result<(), FrameError> {
    let count = u32::try_from(leaves.len()).unwrap_or(u32::MAX);
    if leaves.is_empty() || leaves.len() > OPENED_LEAVES_MAX {
        return Err(FrameError::Bounds("opened_many"));
    }
    if first.saturating_add(count) > leaf::count(limits::ANSWER_TOKENS_MAX) {
        return Err(FrameError::Bounds("opened_first"));
    }
    let fits = |leaf: &OpenedLeaf| {
        let OpenedLeaf { salt: _, tokens, body } = leaf;
        tokens.len() <= limits::FINGERPRINT_WINDOW_TOKENS && body.len() <= limits::FINGERPRINT_LEAF_BYTES_MAX
    };
    leaves.iter().all(fits).then_some(()).ok_or(FrameError::Bounds("opened_leaf"))
}

/// Highest speed that anybody can name, in thousandths.
const MILLI_SPEED_MAX: u64 = limits::TOKENS_PER_S_MAX as u64 * 1_000;

impl Seen {
    /// Most that is told at once.
    pub const TOLD_MAX: usize = 8;

    fn check(&self) -> Result<(), FrameError> {
        let Self { agent: _, milli_tokens_per_s, troubled_permille } = self;
        if *milli_tokens_per_s > MILLI_SPEED_MAX || *troubled_permille > 1_000 {
            return Err(FrameError::Bounds("told_figures"));
        }
        Ok(())
    }
}

impl Load {
    /// Most questions that a provider can claim to hold.
    pub const QUESTIONS_MAX: u32 = 1 << 20;
    /// Highest price: a thousand credits for a million parameter-tokens.
    pub const MILLI_PRICE_MAX: u64 = 1_000_000;

    fn check(&self) -> Result<(), FrameError> {
        let Self {
            serves: _,
            draining: _,
            queued,
            running,
            slots,
            milli_tokens_per_s,
            milli_prefill_tokens_per_s,
            milli_price,
        } = self;
        if [queued, running, slots].into_iter().any(|n| *n > Self::QUESTIONS_MAX) {
            return Err(FrameError::Bounds("load_questions"));
        }
        if *milli_tokens_per_s > MILLI_SPEED_MAX || *milli_prefill_tokens_per_s > MILLI_SPEED_MAX {
            return Err(FrameError::Bounds("load_speed"));
        }
        if *milli_price > Self::MILLI_PRICE_MAX {
            return Err(FrameError::Bounds("load_price"));
        }
        Ok(())
    }
}
