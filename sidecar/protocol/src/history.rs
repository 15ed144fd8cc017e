//! What this node has seen of its peers itself: speed, time to the first token, failures; per peer and model spec.
//!
//! Own experience is the only knowledge that nobody else can forge, so it weighs most when a provider is chosen. It is
//! averaged with more weight on what is new, counts less as it ages, and is bounded. It must not hold anything of
//! what was asked or answered.

use crate::recent::Recent;
use crate::speed::Speed;
use ainonymous_types::{limits, AgentPubKey, EntryHash};
use serde::{Deserialize, Serialize};

/// Most model specs with a history.
pub const HISTORY_SPECS_MAX: usize = 64;
/// Most peers with a history for one model spec.
pub const HISTORY_PEERS_MAX: usize = 1_024;
/// A new measurement has this share of the average, in hundredths.
pub const NEW_SHARE_PERCENT: u64 = 25;
/// Failures that follow each other within this time count as one.
pub const OUTAGE_US: u64 = 60_000_000;
/// Experience of this age counts half.
pub const HALF_LIFE_US: u64 = 6 * 3_600_000_000;
/// Whoever claims more than this share of what was measured, in hundredths, exaggerates.
pub const EXAGGERATION_PERCENT: u64 = 200;
/// Most answers that count as experience: more of them do not make a peer more believable.
pub const EXPERIENCE_MAX: u32 = 8;

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer, by the requester's own clock.
    Answered {
        /// From asking to the first token.
        first_token_us: u64,
        /// Tokens after the first.
        tokens: u32,
        /// From the first token to the last.
        decode_us: u64,
    },
    /// With silence, a broken protocol or a receipt that does not fit. A refusal is none of these.
    Failed,
    /// Withdrawn, because the first token was overdue (`hedge::overdue_us`). It is the word about the queue that was broken:
    /// no reason to leave the peer alone, but to believe its queue less.
    Late {
        /// How long was waited in vain.
        waited_us: u64,
    },
}

/// What was seen of one peer with one model spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Average speed of the answers; unknown before the first of more than one token.
    pub speed: Speed,
    /// Average time to the first token.
    pub first_token_us: u64,
    /// How far first tokens are from that average, on average.
    #[serde(default)]
    pub first_token_spread_us: u64,
    /// Answers so far.
    pub answers: u32,
    /// Failures so far.
    pub failures: u32,
    /// Average share of failures, newer ones first, in thousandths.
    pub failing_permille: u32,
    /// Average share of first tokens that came too late, in thousandths: how little its word about its queue is worth.
    pub late_permille: u32,
    /// When the last failure was.
    pub last_failure_us: Option<u64>,
    /// When anything was seen last.
    pub seen_us: u64,
}

impl Observed {
    /// How many answers' worth this experience is now, in thousandths: bounded, and halved with age.
    pub fn experience_milli(&self, now_us: u64) -> u64 {
        let answers = u64::from(self.answers.min(EXPERIENCE_MAX)) * 1_000;
        let halvings = now_us.saturating_sub(self.seen_us) / HALF_LIFE_US;
        u32::try_from(halvings).ok().and_then(|n| answers.checked_shr(n)).unwrap_or(0)
    }

    /// Whether somebody who claims such a speed was measured to be much slower.
    pub fn is_exaggerated_by(&self, claimed: Speed) -> bool {
        self.speed.is_known() && claimed > self.speed.percent(EXAGGERATION_PERCENT)
    }

    /// A request ended.
    pub fn observe(&mut self, outcome: Outcome, now_us: u64) {
        self.seen_us = self.seen_us.max(now_us);
        let (failed, late) = (matches!(outcome, Outcome::Failed), matches!(outcome, Outcome::Late { .. }));
        // Ten questions that break off together are one outage, not ten: a machine that is back should not stand idle.
        let same_outage = self.last_failure_us.is_some_and(|at_us| now_us.saturating_sub(at_us) < OUTAGE_US);
        if !(failed && same_outage) {
            self.failing_permille = blend_permille(self.failing_permille, failed);
        }
        self.late_permille = if failed { self.late_permille } else { blend_permille(self.late_permille, late) };
        match outcome {
            Outcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.last_failure_us = Some(now_us);
            }
            Outcome::Late { waited_us } => self.first_token_after(waited_us),
            Outcome::Answered { first_token_us, tokens, decode_us } => {
                self.first_token_after(first_token_us);
                let measured = Speed::measured(tokens, decode_us);
                if measured.is_known() {
                    let before = if self.speed.is_known() { self.speed } else { measured };
                    self.speed = Speed::from(blend(before.milli(), measured.milli()).max(1));
                }
                self.answers = self.answers.saturating_add(1);
            }
        }
    }

    fn first_token_after(&mut self, us: u64) {
        let us = us.min(limits::DURATION_US_MAX);
        if self.first_token_us == 0 {
            (self.first_token_us, self.first_token_spread_us) = (us, us / 2);
        } else {
            self.first_token_spread_us = blend(self.first_token_spread_us, us.abs_diff(self.first_token_us));
            self.first_token_us = blend(self.first_token_us, us);
        }
    }
}

/// One line of a history, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// With this model spec,
    pub spec: EntryHash,
    /// this peer
    pub agent: AgentPubKey,
    /// was seen like this.
    pub observed: Observed,
}

/// Own observations of all peers. Stored as rows, oldest first; what is beyond the bounds is forgotten on reading too.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<HistoryRow>", into = "Vec<HistoryRow>")]
pub struct History {
    peers_max: usize,
    specs: Recent<EntryHash, Recent<AgentPubKey, Observed>>,
}

impl Default for History {
    fn default() -> Self {
        Self::bounded(HISTORY_PEERS_MAX)
    }
}

impl History {
    /// An empty history with at most so many peers for one model spec, and never more than [`HISTORY_PEERS_MAX`].
    pub fn bounded(peers_max: usize) -> Self {
        Self { peers_max: peers_max.min(HISTORY_PEERS_MAX), specs: Recent::new(HISTORY_SPECS_MAX) }
    }

    /// What was seen of this peer with this model spec.
    pub fn of(&self, spec: &EntryHash, agent: &AgentPubKey) -> Option<&Observed> {
        self.specs.get(spec)?.get(agent)
    }

    /// Everybody seen with this model spec, longest ago first.
    pub fn peers(&self, spec: &EntryHash) -> Vec<(&AgentPubKey, &Observed)> {
        self.specs.get(spec).map(Recent::oldest_first).unwrap_or_default()
    }

    /// A request ended.
    pub fn observe(&mut self, spec: &EntryHash, agent: &AgentPubKey, outcome: Outcome, now_us: u64) {
        self.row(spec, agent).observe(outcome, now_us);
    }

    fn row(&mut self, spec: &EntryHash, agent: &AgentPubKey) -> &mut Observed {
        let peers_max = self.peers_max;
        self.specs.touch(spec, || Recent::new(peers_max)).touch(agent, Observed::default)
    }
}

impl From<History> for Vec<HistoryRow> {
    fn from(history: History) -> Self {
        let mut rows = Vec::new();
        for (spec, peers) in history.specs.oldest_first() {
            for (agent, observed) in peers.oldest_first() {
                rows.push(HistoryRow { spec: spec.clone(), agent: agent.clone(), observed: observed.clone() });
            }
        }
        rows
    }
}

impl From<Vec<HistoryRow>> for History {
    fn from(rows: Vec<HistoryRow>) -> Self {
        let mut history = Self::default();
        for HistoryRow { spec, agent, mut observed } in rows {
            observed.first_token_us = observed.first_token_us.min(limits::DURATION_US_MAX);
            observed.first_token_spread_us = observed.first_token_spread_us.min(limits::DURATION_US_MAX);
            observed.failing_permille = observed.failing_permille.min(1_000);
            observed.late_permille = observed.late_permille.min(1_000);
            *history.row(&spec, &agent) = observed;
        }
        history
    }
}

/// The average with a new value in it; both are bounded far below what could overflow.
fn blend(before: u64, new: u64) -> u64 {
    (before.saturating_mul(100 - NEW_SHARE_PERCENT)).saturating_add(new.saturating_mul(NEW_SHARE_PERCENT)) / 100
}

fn blend_permille(before: u32, happened: bool) -> u32 {
    u32::try_from(blend(u64::from(before), if happened { 1_000 } else { 0 })).unwrap_or(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agent(n: u32) -> AgentPubKey {
        let mut raw = vec![0; 36];
        raw[..4].copy_from_slice(&n.to_le_bytes());
        AgentPubKey::from_raw_36(raw)
    }

    fn spec(n: u8) -> EntryHash {
        EntryHash::from_raw_36(vec![n; 36])
    }

    fn answered(tokens: u32, decode_us: u64) -> Outcome {
        Outcome::Answered { first_token_us: 100_000, tokens, decode_us }
    }

    #[test]
    fn averages_follow_what_is_new() {
        let (mut history, peer) = (History::default(), agent(1));
        history.observe(&spec(1), &peer, answered(100, 1_000_000), 10);
        assert_eq!(history.of(&spec(1), &peer).unwrap().speed, Speed::tokens_per_s(100));
        history.observe(&spec(1), &peer, answered(20, 1_000_000), 20);
        let seen = history.of(&spec(1), &peer).unwrap();
        assert_eq!((seen.speed, seen.answers, seen.first_token_us), (Speed::tokens_per_s(80), 2, 100_000));
        assert_eq!(history.of(&spec(2), &peer), None);
    }

    #[test]
    fn failures_count_and_fade() {
        let (mut history, peer) = (History::default(), agent(1));
        history.observe(&spec(1), &peer, Outcome::Failed, 7);
        let seen = history.of(&spec(1), &peer).unwrap().clone();
        assert_eq!((seen.failures, seen.failing_permille, seen.last_failure_us), (1, 250, Some(7)));
        assert_eq!(seen.experience_milli(7), 0);
        for at in 8..20 {
            history.observe(&spec(1), &peer, answered(10, 1_000_000), at);
        }
        assert!(history.of(&spec(1), &peer).unwrap().failing_permille < 10);
    }

    #[test]
    fn lateness_is_not_failure() {
        let (mut history, peer) = (History::default(), agent(1));
        history.observe(&spec(1), &peer, Outcome::Late { waited_us: 9 }, 7);
        let seen = history.of(&spec(1), &peer).unwrap();
        assert_eq!((seen.late_permille, seen.failures, seen.failing_permille, seen.first_token_us), (250, 0, 0, 9));
    }

    #[test]
    fn experience_is_bounded_and_ages() {
        let mut seen = Observed { answers: 100, seen_us: 5, ..Observed::default() };
        assert_eq!(seen.experience_milli(5), u64::from(EXPERIENCE_MAX) * 1_000);
        assert_eq!(seen.experience_milli(5 + HALF_LIFE_US), u64::from(EXPERIENCE_MAX) * 500);
        assert_eq!(seen.experience_milli(u64::MAX), 0);
        seen.seen_us = u64::MAX;
        assert_eq!(seen.experience_milli(0), u64::from(EXPERIENCE_MAX) * 1_000);
    }

    #[test]
    fn tables_are_bounded_and_survive_storing() {
        let mut history = History::default();
        for n in 0..=u32::try_from(HISTORY_PEERS_MAX).unwrap() {
            history.observe(&spec(1), &agent(n), answered(10, 1_000_000), u64::from(n));
        }
        for n in 2..=u8::try_from(HISTORY_SPECS_MAX).unwrap() {
            history.observe(&spec(n), &agent(1), answered(10, 1_000_000), 1);
        }
        assert_eq!(history.peers(&spec(1)).len(), HISTORY_PEERS_MAX);
        assert_eq!(history.of(&spec(1), &agent(0)), None);
        let stored = serde_json::to_string(&history).unwrap();
        let read: History = serde_json::from_str(&stored).unwrap();
        assert_eq!(Vec::from(read), Vec::from(history.clone()));
        history.observe(&spec(200), &agent(1), Outcome::Failed, 1);
        assert_eq!(history.of(&spec(1), &agent(5)), None, "the model spec used longest ago went");
    }

    proptest! {
        #[test]
        fn no_outcome_makes_a_strange_average(
            outcomes in prop::collection::vec((0u8..3, any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>()), 1..40),
        ) {
            let mut history = History::default();
            for (what, first_token_us, tokens, decode_us, now_us) in outcomes {
                let outcome = match what {
                    0 => Outcome::Failed,
                    1 => Outcome::Late { waited_us: first_token_us },
                    _ => Outcome::Answered { first_token_us, tokens, decode_us },
                };
                history.observe(&spec(1), &agent(1), outcome, now_us);
                let seen = history.of(&spec(1), &agent(1)).unwrap();
                prop_assert!(seen.failing_permille <= 1_000 && seen.late_permille <= 1_000);
                prop_assert!(seen.first_token_us.max(seen.first_token_spread_us) <= limits::DURATION_US_MAX);
                prop_assert!(seen.speed <= Speed::tokens_per_s(limits::TOKENS_PER_S_MAX));
                prop_assert!(seen.experience_milli(now_us) <= u64::from(EXPERIENCE_MAX) * 1_000);
            }
        }
    }
}
