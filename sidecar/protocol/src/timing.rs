//! The times of the signal path, in microseconds. They are part of the protocol: both sides rely on them.

/// A provider coalesces tokens for this long, except the first, which leaves at once.
pub const COALESCE_US: u64 = 30_000;
/// A provider that has no token yet says after this long that it has taken the question. The first token says it too, and
/// usually comes sooner: an answer is not kept waiting behind its own acknowledgement.
pub const ACKNOWLEDGE_US: u64 = 40_000;
/// A provider that has nothing to say says so this often.
pub const HEARTBEAT_US: u64 = 1_000_000;
/// A requester that has heard nothing for this long (four heartbeats) gives up.
pub const SILENCE_US: u64 = 4_200_000;
/// A requester that has heard nothing for this long speaks up once: the question, or the last parts, may be lost.
pub const NUDGE_US: u64 = 1_500_000;
/// A requester that misses a chunk for this long asks for it again.
pub const GAP_US: u64 = 300_000;
/// How often a requester asks again for missing chunks before it gives up.
pub const RESENDS_MAX: u32 = 8;
/// A provider keeps a finished answer for this long, so that lost chunks can be sent again.
pub const KEEP_ANSWER_US: u64 = 60_000_000;
/// Most chunks sent again at once.
pub const RESEND_CHUNKS_MAX: usize = 64;
/// Most chunks that a requester keeps while an earlier one is missing.
pub const CHUNKS_WAITING_MAX: usize = 1_024;
