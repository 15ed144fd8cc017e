//! Asking when the first choice may be dead or slow: who is asked when, who has won, who is told to stop.
//!
//! The first candidate is asked. If it has not accepted within its patience, the next is asked beside it; the first to
//! accept wins and the other is cancelled. What accepting is, the caller says: that the question was taken ([`patience_us`]), or that the
//! first word came ([`slow_us`]). Never more than two at once, never more than four in all, and what is asked twice has a [`Budget`]:
//! hedging must not become a flood. It sends nothing itself and has no clock.

use crate::history::Observed;
use crate::timing::SIGNALS;

/// Most candidates that are asked at the same time.
pub const HEDGE_PARALLEL_MAX: usize = 2;
/// Most candidates that are asked for one request.
pub const HEDGE_ASKS_MAX: usize = 4;
/// No candidate is given less time to accept than this: below, the network's own unevenness would trigger hedges.
pub const PATIENCE_US_MIN: u64 = 150_000;
/// No candidate is given more time to accept than this before the next is asked.
pub const PATIENCE_US_MAX: u64 = 600_000;

/// How long a candidate gets to accept before the next is asked: twice what its round trip and the provider's
/// acknowledgement take, within bounds.
pub fn patience_us(round_trips_us: u64) -> u64 {
    round_trips_us.saturating_add(SIGNALS.acknowledge_us).saturating_mul(2).clamp(PATIENCE_US_MIN, PATIENCE_US_MAX)
}

/// A first token that is this much later than expected is late beyond what queues are uncertain by.
pub const OVERDUE_FACTOR: u64 = 2;
/// No first token is overdue sooner,
pub const OVERDUE_US_MIN: u64 = 2_000_000;
/// and none is waited for longer, whatever was promised.
pub const OVERDUE_US_MAX: u64 = 60_000_000;

/// How long after asking a first token is overdue: whoever accepted and said it had room has broken its word. The request
/// is cancelled there, counts as failed and is asked elsewhere; otherwise a liar could keep for ever what he attracted.
pub fn overdue_us(expected_first_token_us: u64) -> u64 {
    let late_us = expected_first_token_us.saturating_mul(OVERDUE_FACTOR);
    late_us.saturating_add(OVERDUE_US_MIN).min(OVERDUE_US_MAX)
}

/// Own answers before a provider's own unevenness is known.
const SPREAD_ANSWERS_MIN: u32 = 3;
/// A first word is slow if it is this many mean deviations later than expected (as a retransmission is due, RFC 6298),
const SPREADS: u64 = 4;
/// but never sooner after what was expected.
pub const SLOW_US_MIN: u64 = 400_000;

/// How long after asking a first word is slow beyond what the provider's history makes likely, so that somebody else is asked as well.
/// Of whom little is known, that is when it is overdue.
pub fn slow_us(expected_first_token_us: u64, own: Option<&Observed>) -> u64 {
    let overdue_us = overdue_us(expected_first_token_us);
    let known = own.filter(|own| own.answers >= SPREAD_ANSWERS_MIN);
    known.map_or(overdue_us, |own| {
        let margin_us = own.first_token_spread_us.saturating_mul(SPREADS).max(SLOW_US_MIN);
        expected_first_token_us.saturating_add(margin_us).min(overdue_us)
    })
}

/// Each question allows so many thousandths of a second asking,
const BUDGET_EARN_MILLI: u32 = 50;
/// up to so many, which may be used at once.
const BUDGET_MILLI_MAX: u32 = 4_000;
/// At the beginning there are so many.
const BUDGET_MILLI_START: u32 = 2_000;

/// How often more than one provider may be asked for the same: one question in twenty, in the long run. When the whole network is slow,
/// asking everybody twice would make it slower.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    milli: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { milli: BUDGET_MILLI_START }
    }
}

impl Budget {
    /// A question was asked.
    pub fn on_question(&mut self) {
        self.milli = self.milli.saturating_add(BUDGET_EARN_MILLI).min(BUDGET_MILLI_MAX);
    }

    /// Whether one may be asked twice now; if so, that is counted.
    pub fn take(&mut self) -> bool {
        let left = self.milli.checked_sub(1_000);
        self.milli = left.unwrap_or(self.milli);
        left.is_some()
    }
}

/// Somebody who may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedged {
    /// The caller's number for it.
    pub candidate: usize,
    /// How long it gets before the next is asked beside it.
    pub patience_us: u64,
}

/// What the caller is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this candidate.
    Ask(usize),
    /// Tell this candidate to stop; it is of no use any more.
    Cancel(usize),
    /// This candidate answers. Nothing more will happen.
    Won {
        /// Who.
        candidate: usize,
        /// Whether it was asked because an earlier one was slow.
        hedged: bool,
    },
    /// Nobody accepted. Nothing more will happen.
    Exhausted,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    candidate: usize,
    at_us: u64,
    patience_us: u64,
}

/// One request on its way to whoever accepts first.
#[derive(Clone, Debug)]
pub struct Hedge {
    next: std::vec::IntoIter<Hedged>,
    asked: Vec<Asked>,
    asks: usize,
    silence_us: u64,
    ended: bool,
}

impl Hedge {
    /// Candidates in the order in which they shall be asked; those beyond [`HEDGE_ASKS_MAX`] never are, and a candidate
    /// named twice is asked once. Whoever has not accepted after `silence_us` is given up.
    pub fn new(order: impl IntoIterator<Item = Hedged>, silence_us: u64) -> Self {
        let mut kept: Vec<Hedged> = Vec::new();
        for hedged in order {
            if kept.len() == HEDGE_ASKS_MAX {
                break;
            }
            if kept.iter().all(|k| k.candidate != hedged.candidate) {
                kept.push(hedged);
            }
        }
        Self { next: kept.into_iter(), asked: Vec::new(), asks: 0, silence_us, ended: false }
    }

    /// Asks the first.
    pub fn start(&mut self, now_us: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.ended && self.asks == 0 {
            self.ask_next(now_us, &mut steps);
            self.end_if_nobody_is_left(&mut steps);
        }
        steps
    }

    /// Time passed.
    pub fn on_tick(&mut self, now_us: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.ended {
            return steps;
        }
        let silence_us = self.silence_us;
        let silent = |a: &Asked| now_us.saturating_sub(a.at_us) >= silence_us;
        steps.extend(self.asked.iter().filter(|a| silent(a)).map(|a| Step::Cancel(a.candidate)));
        self.asked.retain(|a| !silent(a));
        if self.may_ask() && self.asked.iter().all(|a| now_us.saturating_sub(a.at_us) >= a.patience_us) {
            if self.asked.len() == HEDGE_PARALLEL_MAX {
                steps.push(Step::Cancel(self.asked.remove(0).candidate));
            }
            self.ask_next(now_us, &mut steps);
        }
        self.end_if_nobody_is_left(&mut steps);
        steps
    }

    /// Nothing is heard of this candidate any more, not even that it is there: if it is the only one, the next is asked beside it, else the
    /// next takes its place. Nothing happens if there is no next.
    pub fn on_quiet(&mut self, candidate: usize, now_us: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        let at = self.asked.iter().position(|a| a.candidate == candidate);
        let Some(at) = at.filter(|_| !self.ended && self.may_ask()) else { return steps };
        if self.asked.len() == HEDGE_PARALLEL_MAX {
            self.asked.remove(at);
            steps.push(Step::Cancel(candidate));
        }
        self.ask_next(now_us, &mut steps);
        steps
    }

    /// Whether there is somebody left to ask.
    pub fn may_ask(&self) -> bool {
        self.next.len() > 0
    }

    /// When `on_tick` has something to do at the earliest; nothing once it has ended.
    pub fn next_tick_us(&self) -> Option<u64> {
        let silence_us = self.asked.iter().map(|a| a.at_us.saturating_add(self.silence_us)).min();
        let patience_us = self.asked.iter().map(|a| a.at_us.saturating_add(a.patience_us)).max();
        let due_us = if self.may_ask() { patience_us.min(silence_us) } else { silence_us };
        due_us.filter(|_| !self.ended)
    }

    /// A candidate accepted: the first wins, all others are told to stop.
    pub fn on_accepted(&mut self, candidate: usize) -> Vec<Step> {
        let Some(at) = self.asked.iter().position(|a| a.candidate == candidate) else { return Vec::new() };
        self.ended = true;
        self.asked.remove(at);
        let mut steps = vec![Step::Won { candidate, hedged: self.asks > 1 }];
        steps.extend(self.asked.drain(..).map(|a| Step::Cancel(a.candidate)));
        steps
    }

    /// A candidate refused or is known to be gone: the next is asked at once.
    pub fn on_failed(&mut self, candidate: usize, now_us: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        let before = self.asked.len();
        self.asked.retain(|a| a.candidate != candidate);
        if self.ended || self.asked.len() == before {
            return steps;
        }
        self.ask_next(now_us, &mut steps);
        self.end_if_nobody_is_left(&mut steps);
        steps
    }

    /// Nobody further is to be asked: only those who have been asked already can accept.
    pub fn ask_no_more(&mut self) {
        self.next = Vec::new().into_iter();
    }

    /// The asker has lost interest: whoever was asked is told to stop.
    pub fn cancel(&mut self) -> Vec<Step> {
        self.ended = true;
        self.asked.drain(..).map(|a| Step::Cancel(a.candidate)).collect()
    }

    fn ask_next(&mut self, now_us: u64, steps: &mut Vec<Step>) {
        if let Some(Hedged { candidate, patience_us }) = self.next.next() {
            self.asks += 1;
            self.asked.push(Asked { candidate, at_us: now_us, patience_us });
            steps.push(Step::Ask(candidate));
        }
    }

    fn end_if_nobody_is_left(&mut self, steps: &mut Vec<Step>) {
        if self.asked.is_empty() && !self.may_ask() && !self.ended {
            self.ended = true;
            steps.push(Step::Exhausted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hedge(candidates: usize) -> Hedge {
        let order = (0..candidates).map(|candidate| Hedged { candidate, patience_us: PATIENCE });
        Hedge::new(order, SIGNALS.silence_us)
    }

    const PATIENCE: u64 = 2 * (100_000 + SIGNALS.acknowledge_us);

    #[test]
    fn a_quick_first_choice_is_the_only_one_asked() {
        let mut hedge = hedge(3);
        assert_eq!(hedge.start(0), [Step::Ask(0)]);
        assert_eq!(hedge.next_tick_us(), Some(PATIENCE));
        assert_eq!(hedge.on_tick(PATIENCE - 1), []);
        assert_eq!(hedge.on_accepted(0), [Step::Won { candidate: 0, hedged: false }]);
        assert_eq!((hedge.on_tick(SIGNALS.silence_us), hedge.next_tick_us()), (vec![], None));
    }

    #[test]
    fn a_slow_first_choice_is_hedged_and_the_loser_cancelled() {
        let mut hedge = hedge(3);
        hedge.start(0);
        assert_eq!(hedge.on_tick(PATIENCE), [Step::Ask(1)]);
        assert_eq!(hedge.on_accepted(0), [Step::Won { candidate: 0, hedged: true }, Step::Cancel(1)]);
        assert_eq!(hedge.on_accepted(1), []);
    }

    #[test]
    fn two_dead_ones_are_passed_by_and_a_failure_needs_no_patience() {
        let mut hedge = hedge(4);
        hedge.start(0);
        assert_eq!(hedge.on_tick(PATIENCE), [Step::Ask(1)]);
        assert_eq!(hedge.on_tick(2 * PATIENCE), [Step::Cancel(0), Step::Ask(2)]);
        assert_eq!(hedge.on_failed(2, 2 * PATIENCE + 1), [Step::Ask(3)]);
        assert_eq!(hedge.on_failed(3, 2 * PATIENCE + 2), []);
        assert_eq!(hedge.on_failed(1, 2 * PATIENCE + 3), [Step::Exhausted]);
    }

    #[test]
    fn whoever_is_quiet_gets_company_and_then_makes_room() {
        let order = (0..4).map(|candidate| Hedged { candidate, patience_us: u64::MAX });
        let mut hedge = Hedge::new(order, u64::MAX);
        hedge.start(0);
        assert_eq!(hedge.on_quiet(0, 10), [Step::Ask(1)], "nobody is told to stop who is the only one");
        assert_eq!(hedge.on_quiet(1, 20), [Step::Cancel(1), Step::Ask(2)], "the quiet one goes, not the first");
        assert_eq!(hedge.on_quiet(1, 30), [], "it is not asked any more");
        assert_eq!(hedge.on_quiet(0, 40), [Step::Cancel(0), Step::Ask(3)]);
        assert_eq!((hedge.on_quiet(2, 50), hedge.may_ask()), (vec![], false), "two are left, and nobody else");
        assert_eq!(hedge.on_accepted(3), [Step::Won { candidate: 3, hedged: true }, Step::Cancel(2)]);
    }

    #[test]
    fn patience_has_bounds_and_a_failover_stays_within_a_second() {
        assert_eq!(patience_us(0), PATIENCE_US_MIN);
        assert_eq!(patience_us(u64::MAX), PATIENCE_US_MAX);
        assert_eq!((overdue_us(0), overdue_us(u64::MAX)), (OVERDUE_US_MIN, OVERDUE_US_MAX));
        const { assert!(PATIENCE_US_MAX + 2 * SIGNALS.acknowledge_us < 1_000_000) };
    }

    #[test]
    fn a_first_word_is_slow_by_the_providers_own_measure() {
        let even = Observed { answers: 5, first_token_spread_us: 10_000, ..Observed::default() };
        let uneven = Observed { first_token_spread_us: 600_000, ..even.clone() };
        let new = Observed { answers: 1, ..even.clone() };
        assert_eq!(slow_us(300_000, Some(&even)), 300_000 + SLOW_US_MIN);
        assert_eq!(slow_us(2_000_000, Some(&uneven)), 2_000_000 + 4 * 600_000);
        assert_eq!(slow_us(300_000, Some(&new)), overdue_us(300_000));
        assert_eq!(slow_us(300_000, None), overdue_us(300_000));
        assert_eq!(slow_us(u64::MAX, Some(&uneven)), OVERDUE_US_MAX);
    }

    #[test]
    fn whoever_may_not_ask_twice_waits_for_the_one() {
        let mut hedge = hedge(3);
        hedge.start(0);
        hedge.ask_no_more();
        assert_eq!((hedge.on_tick(2 * PATIENCE), hedge.next_tick_us()), (vec![], Some(SIGNALS.silence_us)));
        assert_eq!(hedge.on_accepted(0), [Step::Won { candidate: 0, hedged: false }]);
    }

    #[test]
    fn the_budget_is_one_in_twenty_in_the_long_run() {
        let mut budget = Budget::default();
        let mut taken = 0;
        for _ in 0..10_000 {
            budget.on_question();
            taken += u32::from(budget.take());
        }
        assert!((495..=505).contains(&taken), "{taken}");
        (0..10_000).for_each(|_| budget.on_question());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 4);
    }

    #[test]
    fn nobody_to_ask_is_an_end() {
        assert_eq!(hedge(0).start(0), [Step::Exhausted]);
        let mut given_up = hedge(2);
        given_up.start(0);
        assert_eq!(given_up.cancel(), [Step::Cancel(0)]);
        assert_eq!((given_up.on_tick(SIGNALS.silence_us), given_up.start(0)), (vec![], vec![]));
    }

    proptest! {
        /// Whatever happens in whatever order: at most two at once, four in all, one end, and an end is reached.
        #[test]
        fn asks_are_bounded_and_there_is_one_end(
            candidates in 0usize..9,
            history in prop::collection::vec((0u8..4, 0usize..9, 0u64..2 * PATIENCE_US_MAX), 0..40),
        ) {
            let mut hedge = hedge(candidates);
            let (mut asked, mut open, mut ends, mut now_us) = (0usize, Vec::new(), 0, 0u64);
            let mut take = |steps: Vec<Step>| {
                for step in steps {
                    match step {
                        Step::Ask(c) => { asked += 1; open.push(c); }
                        Step::Cancel(c) => open.retain(|o| *o != c),
                        Step::Won { .. } | Step::Exhausted => ends += 1,
                    }
                }
                (asked, open.len(), ends)
            };
            take(hedge.start(0));
            for (what, who, wait_us) in history {
                now_us += wait_us;
                let steps = match what {
                    0 => hedge.on_tick(now_us),
                    1 => hedge.on_accepted(who),
                    2 => hedge.on_quiet(who, now_us),
                    _ => hedge.on_failed(who, now_us),
                };
                let (asked, _, ends) = take(steps);
                prop_assert!(asked <= HEDGE_ASKS_MAX && ends <= 1 && hedge.asked.len() <= HEDGE_PARALLEL_MAX);
            }
            for _ in 0..2 * HEDGE_ASKS_MAX {
                let Some(due_us) = hedge.next_tick_us() else { break };
                take(hedge.on_tick(due_us.max(now_us)));
            }
            prop_assert_eq!((take(vec![]).2, hedge.next_tick_us()), (1, None));
        }
    }
}
