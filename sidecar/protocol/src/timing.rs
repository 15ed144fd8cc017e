//! The times of an answer's way, in microseconds. They are part of the protocol: both sides rely on them.

use ainonymous_types::limits;

/// How often a provider speaks and how long a requester waits: what a path allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A provider coalesces tokens for this long, except the first, which leaves at once.
    pub coalesce_us: u64,
    /// A provider that has no token yet says after this long that it has taken the question. The first token says it too, and
    /// usually comes sooner: an answer is not kept waiting behind its own acknowledgement.
    pub acknowledge_us: u64,
    /// A provider that has nothing to say says so this often.
    pub heartbeat_us: u64,
    /// A requester that has heard nothing for this long (at least three heartbeats and what the path adds) gives up.
    pub silence_us: u64,
    /// A requester that has heard nothing for this long speaks up once: the question, or the last parts, may be lost.
    pub nudge_us: u64,
    /// Until the question is taken a requester waits so much longer: it may still be on its way.
    pub sending_us: u64,
}

/// Remote signals through conductors: dear, and they may be lost.
pub const SIGNALS: Timing = Timing {
    coalesce_us: 30_000,
    acknowledge_us: 40_000,
    heartbeat_us: 1_000_000,
    silence_us: 4_200_000,
    nudge_us: 1_500_000,
    sending_us: 0,
};
/// Signals after a link has failed: an asker hears within five seconds how it stands.
pub const SECOND_WAY: Timing = Timing { silence_us: 3_200_000, ..SIGNALS };
/// A stream between sidecars: cheap, in order, and nothing is lost while it lives.
pub const DIRECT: Timing = Timing {
    coalesce_us: 4_000,
    acknowledge_us: 20_000,
    heartbeat_us: 200_000,
    silence_us: 800_000,
    // Nothing is lost on a stream: there is nothing to say.
    nudge_us: 800_000,
    sending_us: 0,
};

/// A requester that misses a chunk for this long asks for it again.
pub const GAP_US: u64 = 300_000;
/// How often a requester asks again for missing chunks before it gives up.
pub const RESENDS_MAX: u32 = 8;
/// Once an answer has begun, a provider that says that it is there, but no further word for this long, is given up: otherwise one that only
/// beats its heart could keep a question for ever. Before the first word it may compute a prompt, or others' answers, for longer.
pub const STALL_US: u64 = 30_000_000;
/// A provider keeps a finished answer for this long, so that lost chunks can be sent again.
pub const KEEP_ANSWER_US: u64 = 60_000_000;
/// A provider goes on for this long while nobody takes its answer: the requester may come back by another link.
pub const RESUME_US: u64 = 5_000_000;
/// Most chunks sent again at once.
pub const RESEND_CHUNKS_MAX: usize = 64;
/// Most chunks that a requester keeps while an earlier one is missing.
pub const CHUNKS_WAITING_MAX: usize = 1_024;

impl Timing {
    /// The same over a path with such a round trip: silence is longer where a lost packet takes longer to be sent again.
    pub fn over(self, round_trip_us: u64) -> Self {
        let longer = round_trip_us.saturating_mul(ROUND_TRIPS_OF_SILENCE);
        let (silence_us, nudge_us) = (self.silence_us.saturating_add(longer), self.nudge_us.saturating_add(longer));
        Self { silence_us, nudge_us, ..self }
    }
}

impl Timing {
    /// Whoever is there is heard of within this: what is longer is no proof that nobody is, but reason enough to ask somebody else beside.
    pub fn quiet_us(&self) -> u64 {
        self.silence_us / QUIET_OF_SILENCE_16 * 7
    }

    /// The same for a question of so many bytes: what is written is not yet sent.
    pub fn carrying(self, bytes: usize) -> Self {
        // Nothing longer is taken: nobody waits for it.
        let bytes = bytes.min(limits::QUESTION_BYTES_MAX);
        let beyond = u64::try_from(bytes.saturating_sub(AT_ONCE_BYTES)).unwrap_or(u64::MAX);
        Self { sending_us: beyond.saturating_mul(1_000_000) / SENT_BYTES_PER_S, ..self }
    }
}

/// Seven sixteenths of what is taken for silence are unusually quiet: of two providers that never say a word, and a third that answers,
/// the third has been asked within a second, with time left for its first word.
const QUIET_OF_SILENCE_16: u64 = 16;
/// A question no longer than this is sent before anybody wonders where it is.
const AT_ONCE_BYTES: usize = 64 << 10;
/// The slowest line that large questions are sent over: a megabit a second.
const SENT_BYTES_PER_S: u64 = 125_000;
/// A packet lost twice in a row is with the other side after so many round trips (RFC 9002: probes after one and after
/// three, each with the time that the packet itself takes).
const ROUND_TRIPS_OF_SILENCE: u64 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_beats_its_heart_is_not_quiet_and_two_quiet_ones_leave_time_for_a_third() {
        for round_trip_us in [0, 50_000, 200_000] {
            let timing = DIRECT.over(round_trip_us);
            assert!(timing.quiet_us() > timing.heartbeat_us * 3 / 2 + round_trip_us, "{round_trip_us}");
            assert!(timing.quiet_us() < timing.silence_us);
        }
        assert!(2 * DIRECT.quiet_us() <= 700_000);
    }
}
