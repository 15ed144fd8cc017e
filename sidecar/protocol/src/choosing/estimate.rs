//! How long an answer of this candidate would take, by what is known now.
//!
//! round trips + wait in the queue + prefill of what is not cached + answer tokens ÷ speed. Each part has a source; where
//! nothing is known, what is typical of the other candidates stands in, discounted.

use super::candidate::{Candidate, Kinship, Need, Probed};
use crate::history::{Observed, EXAGGERATION_PERCENT, HALF_LIFE_US};
use crate::reports::worse_permille;
use crate::speed::Speed;
use ainonymous_types::limits;
use serde::Serialize;

/// A queue is believed to be as it was probed for this long.
pub const QUEUE_FRESH_US: u64 = 1_000_000;
/// A round trip is believed to be as it was measured for this long.
pub const PATH_FRESH_US: u64 = 600_000_000;
/// Whoever says nothing of its speed is thought to have so many hundredths of what is typical.
pub const UNCLAIMED_PERCENT: u64 = 80;
/// Prefill is this much quicker than decoding, where nobody has measured it.
pub const PREFILL_FACTOR: u64 = 16;
/// That one had to wait counts half after this long.
const QUEUE_HALF_LIFE_US: u64 = 20_000_000;
/// Of those who do answer, so many first tokens in a thousand may come late before their word about their queue is doubted: answers are of
/// uneven length, and in a crowded network honest queues are late as well.
const LATE_TOLERATED_PERMILLE: u64 = 400;
/// Of those who do answer, failures count by so many hundredths: they were there before and will be again.
const FAILING_PERCENT: u64 = 40;
/// Others' answers, for whose end one has to wait, have so many tokens.
pub const ANSWER_TOKENS_TYPICAL: u64 = 256;
/// A kept prefix makes a candidate look better by this much at most.
pub const PREFIX_SAVES_US_MAX: u64 = 5_000_000;
/// A round trip of which nothing is known.
const ROUND_TRIP_US_UNKNOWN: u64 = 100_000;
/// A failure costs this much beside the answer itself.
const FAILURE_US: u64 = 1_000_000;
/// Whoever has never answered here may fail or lie: before anybody was tried, one in so many is expected to.
const STRANGERS_PER_BAD: u64 = 20;
/// Of those who claim what is extraordinary, or were tried in vain, at least so many in a thousand are.
const DUBIOUS_PERMILLE: u64 = 200;
/// And if it was asked and has not, the next failure is this much more likely.
const NEVER_ANSWERED_FACTOR: u64 = 4;
/// Own experience counts this many times as much as a claim.
const OWN_WEIGHT: u64 = 4;
/// Speed in thousandths if nobody says anything: a slow machine.
const SPEED_UNKNOWN: u64 = 10_000;
/// Own measurements needed before they decide what is typical.
const TYPICAL_OWN_MIN: usize = 3;

/// Where an estimate comes from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Own experience.
    Measured,
    /// The provider's word, cut to what is typical.
    Claimed,
    /// Nothing but what is typical.
    Assumed,
}

impl Basis {
    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Claimed => "claimed",
            Self::Assumed => "assumed",
        }
    }
}

/// What is expected of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// One round trip if a connection is open, else two.
    pub round_trips_us: u64,
    /// In the queue.
    pub wait_us: u64,
    /// Of the prompt, without what is cached.
    pub prefill_us: u64,
    /// What the cache saves; part of what follows, and bounded.
    pub prefix_saves_us: u64,
    /// All of this together.
    pub first_token_us: u64,
    /// Of one stream.
    pub speed: Speed,
    /// To the last token.
    pub total_us: u64,
    /// Where the speed comes from.
    pub basis: Basis,
    /// By how many thousandths reports of others make it look worse, or better where it is negative. Bounded, and not part of the total.
    pub reported_permille: i64,
    /// What candidates are compared by: the total, longer for those who fail often and shorter for those who are close.
    #[serde(skip)]
    pub(super) cost_us: u64,
}

/// What is typical of all candidates: the measure for strangers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Typical {
    speed: Speed,
    round_trip_us: u64,
    /// The longest queue among those who have just told theirs and are believed.
    queue_us: u64,
    /// How many strangers in a thousand are expected to fail or lie, by how those did who were tried.
    bad_permille: u64,
}

impl Typical {
    pub(super) fn of(candidates: &[Candidate<'_>], now_us: u64) -> Self {
        let own = candidates.iter().filter_map(|c| c.own).map(|own| own.speed).filter(|speed| speed.is_known());
        let mut speeds: Vec<Speed> = own.collect();
        if speeds.len() < TYPICAL_OWN_MIN {
            speeds.extend(candidates.iter().filter(|c| c.own.is_none()).map(|c| c.claimed).filter(|s| s.is_known()));
        }
        let mut trips: Vec<u64> = candidates.iter().filter_map(|c| c.probed).map(|p| p.round_trip_us).collect();
        let speed = median(&mut speeds).unwrap_or(Speed::from(SPEED_UNKNOWN));
        let believed = candidates.iter().filter(|c| c.own.is_none_or(|own| !own.is_exaggerated_by(claimed(c))));
        let queues = believed.filter_map(|c| fresh(c, now_us).map(|p| Queue::of(p, c.asked_since).us(speed)));
        Self {
            speed,
            round_trip_us: median(&mut trips).unwrap_or(ROUND_TRIP_US_UNKNOWN),
            queue_us: queues.max().unwrap_or(0),
            bad_permille: bad_permille(candidates),
        }
    }
}

/// As if one bad one in twenty had been tried before: what is seen of others soon outweighs that.
fn bad_permille(candidates: &[Candidate<'_>]) -> u64 {
    let tried =
        candidates.iter().filter_map(|c| c.own.map(|own| own.answers == 0 || own.is_exaggerated_by(claimed(c))));
    let (tried, bad) = tried.fold((0, 0), |(tried, bad), is_bad| (tried + 1, bad + u64::from(is_bad)));
    (1 + bad) * 1_000 / (STRANGERS_PER_BAD + tried)
}

/// The last reply, if its queue is still believed to be so.
fn fresh<'a>(candidate: &'a Candidate<'_>, now_us: u64) -> Option<&'a Probed> {
    candidate.probed.as_ref().filter(|p| now_us.saturating_sub(p.at_us) <= QUEUE_FRESH_US)
}

/// The highest speed that it has said it has.
fn claimed(candidate: &Candidate<'_>) -> Speed {
    candidate.probed.map(|probed| probed.speed).unwrap_or_default().max(candidate.claimed)
}

/// What a reply says of a queue.
#[derive(Clone, Copy, Debug)]
struct Queue {
    slots: u64,
    /// For how many answers to end a newcomer waits.
    behind: u64,
}

impl Queue {
    fn of(probed: &Probed, asked_since: u32) -> Self {
        let slots = u64::from(probed.slots.max(1));
        let free = u64::from(probed.free_slots).min(slots);
        let before = u64::from(probed.queue_depth).saturating_add(u64::from(asked_since));
        Self { slots, behind: before.saturating_add(1).saturating_sub(free) }
    }

    fn us(self, speed: Speed) -> u64 {
        speed.us_for(ANSWER_TOKENS_TYPICAL).saturating_mul(self.behind) / self.slots
    }
}

fn median<T: Ord + Copy>(values: &mut [T]) -> Option<T> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable(middle).1)
}

/// What is expected of this candidate.
pub(super) fn estimate(candidate: &Candidate<'_>, need: Need, typical: &Typical, now_us: u64) -> Estimate {
    let (speed, basis) = speed(candidate, typical, now_us);
    let prefill_speed = speed.percent(100 * PREFILL_FACTOR);
    let probed = candidate.probed.filter(|p| now_us.saturating_sub(p.at_us) <= PATH_FRESH_US);
    let round_trip_us = probed.map_or(typical.round_trip_us, |p| p.round_trip_us).min(limits::DURATION_US_MAX);
    let round_trips_us = round_trip_us.saturating_mul(if candidate.warm { 1 } else { 2 });
    let whole_prefill_us = prefill_speed.us_for(u64::from(need.prompt_tokens));
    let (wait_us, crowded) = wait(candidate, speed, round_trips_us.saturating_add(whole_prefill_us), typical, now_us);

    let cached = candidate.prefix_tokens.min(need.prompt_tokens);
    let saves_us = prefill_speed.us_for(u64::from(cached)).min(PREFIX_SAVES_US_MAX).min(whole_prefill_us);
    let prefix_saves_us = if crowded || cached == 0 { 0 } else { saves_us };
    let prefill_us = whole_prefill_us - prefix_saves_us;
    let first_token_us = round_trips_us.saturating_add(wait_us).saturating_add(prefill_us);
    let total_us = first_token_us.saturating_add(speed.us_for(u64::from(need.answer_tokens)));
    let answers_milli = candidate.own.map_or(0, |own| own.experience_milli(now_us));
    let reported_permille = worse_permille(candidate.reported, speed, answers_milli);
    let cost_us = cost(candidate, total_us, reported_permille, typical);
    Estimate {
        round_trips_us,
        wait_us,
        prefill_us,
        prefix_saves_us,
        first_token_us,
        speed,
        total_us,
        basis,
        reported_permille,
        cost_us,
    }
}

/// Own measurements and the provider's word, each with its weight.
fn speed(candidate: &Candidate<'_>, typical: &Typical, now_us: u64) -> (Speed, Basis) {
    let own = candidate.own.filter(|own| own.speed.is_known());
    let own = own.map(|own| (own.speed, own.experience_milli(now_us) * OWN_WEIGHT)).filter(|(_, weight)| *weight > 0);
    let said = candidate.probed.map(|p| p.speed).filter(|s| s.is_known()).unwrap_or(candidate.claimed);
    // A modest claim is believed, or those of whom little is known would stand idle; no claim makes anybody look better than typical.
    let word = if said.is_known() { said.min(typical.speed) } else { typical.speed.percent(UNCLAIMED_PERCENT) };
    let basis = match own {
        Some(_) => Basis::Measured,
        None if said.is_known() => Basis::Claimed,
        None => Basis::Assumed,
    };
    let sources = [own, Some((word, 1_000))];
    let (sum, weights) = sources.iter().flatten().fold((0u128, 0u128), |(sum, weights), (speed, weight)| {
        (sum + u128::from(speed.milli()) * u128::from(*weight), weights + u128::from(*weight))
    });
    let mean = sum.checked_div(weights).and_then(|mean| u64::try_from(mean).ok()).unwrap_or(0);
    (Speed::from(mean.max(1)), basis)
}

/// How long the queue takes, and whether it is so long that a kept prefix is no reason to join it. The provider's word
/// counts as far as it was kept before, and less the older it is; own experience for the rest. Whoever exaggerates is thought to be no emptier than the
/// fullest of those that are believed: in a crowded network an empty queue would be the best of lies.
fn wait(candidate: &Candidate<'_>, speed: Speed, empty_us: u64, typical: &Typical, now_us: u64) -> (u64, bool) {
    let Doubt { permille, exaggerates, lasting } = match candidate.own.filter(|own| own.speed.is_known()) {
        None if is_extraordinary(candidate, typical) => unproved(candidate, typical),
        _ => candidate.own.map_or(Doubt::default(), |own| doubt(own, candidate, now_us)),
    };
    // Queues do not last: what is not renewed fades, or one bad hour would end an honest peer for ever.
    let half_life_us = if lasting { HALF_LIFE_US } else { QUEUE_HALF_LIFE_US };
    let mut waited_us = candidate.own.map_or(0, |own| {
        let halvings = now_us.saturating_sub(own.seen_us) / half_life_us;
        own.first_token_us.saturating_sub(empty_us) >> halvings.min(63)
    });
    if exaggerates {
        waited_us = waited_us.max(typical.queue_us);
    }
    let Some(probed) = &candidate.probed else {
        return (waited_us.min(limits::DURATION_US_MAX), candidate.asked_since > 0);
    };
    let queue = Queue::of(probed, candidate.asked_since);
    let believed = (1_000 - permille) * remembered_permille(probed, typical, now_us) / 1_000;
    let (said, doubted) = (queue.us(speed).saturating_mul(believed), waited_us.saturating_mul(1_000 - believed));
    let wait_us = said.saturating_add(doubted) / 1_000;
    let crowded =
        if fresh(candidate, now_us).is_some() { queue.behind > queue.slots } else { candidate.asked_since > 0 };
    (wait_us.min(limits::DURATION_US_MAX), crowded)
}

/// How much of what a reply said of a queue is still so, in thousandths: all of it at first, half when as long has passed as an answer
/// takes, for by then about as many have ended as came.
fn remembered_permille(probed: &Probed, typical: &Typical, now_us: u64) -> u64 {
    let old_us = now_us.saturating_sub(probed.at_us).saturating_sub(QUEUE_FRESH_US).min(limits::DURATION_US_MAX);
    let answer_us = typical.speed.us_for(ANSWER_TOKENS_TYPICAL).max(1);
    answer_us.saturating_mul(1_000) / answer_us.saturating_add(old_us)
}

/// How long a newcomer would wait there, by this reply alone.
pub(super) fn queue_us(probed: &Probed) -> u64 {
    Queue::of(probed, 0).us(probed.speed).min(limits::DURATION_US_MAX)
}

/// How little a provider's word about its queue is worth.
#[derive(Clone, Copy, Debug, Default)]
struct Doubt {
    permille: u64,
    /// It claims much more than it was measured to do.
    exaggerates: bool,
    /// It is the provider's way, not that of its queue.
    lasting: bool,
}

/// Whether somebody whose speed was never measured claims much more than what is typical of those that were.
fn is_extraordinary(candidate: &Candidate<'_>, typical: &Typical) -> bool {
    claimed(candidate) > typical.speed.percent(EXAGGERATION_PERCENT)
}

/// An extraordinary claim is taken for an exaggeration until it is proved: whoever says that it is many times as quick as others, and idle
/// as well, is more often a liar than a wonder. It is asked when the others are as full as it is thought to be, and a wonder is known by
/// its first answer.
fn unproved(candidate: &Candidate<'_>, typical: &Typical) -> Doubt {
    let kept = typical.speed.milli().saturating_mul(1_000) / claimed(candidate).milli().max(1);
    Doubt { permille: 1_000 - kept.min(1_000), exaggerates: true, lasting: true }
}

/// As little as its word about its speed was, if that could be measured. That a first token came too late counts for as long
/// as a queue lasts, but lastingly if the provider has never answered at all.
fn doubt(own: &Observed, candidate: &Candidate<'_>, now_us: u64) -> Doubt {
    let said = claimed(candidate);
    let exaggerates = own.is_exaggerated_by(said);
    let kept = if exaggerates { own.speed.milli().saturating_mul(1_000) / said.milli().max(1) } else { 1_000 };
    let lasting = exaggerates || own.answers == 0;
    let halvings = now_us.saturating_sub(own.seen_us) / if lasting { HALF_LIFE_US } else { QUEUE_HALF_LIFE_US };
    let late = u64::from(own.late_permille.min(1_000)) >> halvings.min(63);
    let late = if own.answers > 0 { late.saturating_sub(LATE_TOLERATED_PERMILLE) } else { late };
    Doubt { permille: late.max(1_000 - kept.min(1_000)), exaggerates, lasting }
}

/// The total, longer by what failures cost, for strangers, for those whose audits failed, and above all for those who promised and
/// never answered.
fn cost(candidate: &Candidate<'_>, total_us: u64, reported_permille: i64, typical: &Typical) -> u64 {
    let dubious = typical.bad_permille.max(DUBIOUS_PERMILLE);
    let stranger = if is_extraordinary(candidate, typical) { dubious } else { typical.bad_permille };
    let own = candidate.own.map_or(stranger, |own| {
        let late = u64::from(own.late_permille.min(1_000));
        let failing = u64::from(own.failing_permille.min(1_000));
        if own.answers == 0 {
            dubious + failing.max(late) * NEVER_ANSWERED_FACTOR
        } else {
            failing * FAILING_PERCENT / 100
        }
    });
    let lost_us = total_us.saturating_add(FAILURE_US).saturating_mul(own) / 1_000;
    let percent = kinship_percent(candidate.kinship);
    let reported = u64::try_from(reported_permille.saturating_add(1_000)).unwrap_or(0);
    let cost_us = total_us.saturating_add(lost_us).saturating_mul(percent).saturating_mul(reported) / 100_000;
    // Whoever was found to cheat may be quick by it.
    cost_us.saturating_mul(1_000 + candidate.reputation.worse_permille()) / 1_000
}

/// Whoever is closer is preferred unless it takes this much longer: a friend may take 1.4 times as long as a stranger.
fn kinship_percent(kinship: Kinship) -> u64 {
    match kinship {
        Kinship::Own => 50,
        Kinship::Friend => 70,
        Kinship::Lan => 80,
        Kinship::Public => 100,
    }
}
