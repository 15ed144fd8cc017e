//! The two decisions: whom to probe, and after that whom to ask.

use super::candidate::{Candidate, Need, Price, Probed};
use super::demands::{Demands, Excluded, Refusal};
use super::estimate::{estimate, queue_us, Estimate, Typical, QUEUE_FRESH_US};
use super::reason::Reason;
use crate::breaker::Breaker;
use crate::dice::{Dice, RANDOM_BYTES};

/// Most candidates that are looked at; what the caller brings beyond them is ignored.
pub const CANDIDATES_MAX: usize = 256;
/// Most probes for one request.
pub const PROBES_MAX: usize = 4;
/// Replies to probes are awaited for this long at most; whoever has not replied then has failed.
pub const PROBE_WAIT_US: u64 = 250_000;
/// After the first reply to a probe, others are awaited for this many times as long as it took,
const PATIENCE_FACTOR: u64 = 2;
/// but not for less,
const PATIENCE_US_MIN: u64 = 10_000;
/// and if there is a queue, for this share of it.
const PATIENCE_QUEUE_SHARE: u64 = 8;
/// Most candidates that a choice names, the chosen one first.
pub const FALLBACKS_MAX: usize = 8;
/// Before probing, candidates whose cost is within so many hundredths of the best count as equal.
pub const NEAR_PLAN_PERCENT: u64 = 25;
/// Among strangers, so many hundredths.
pub const NEAR_STRANGERS_PERCENT: u64 = 50;
/// Whoever has not just replied has to look better than whoever has by so many hundredths.
pub const UNHEARD_PERCENT: u64 = 50;
/// After probing, so many hundredths.
pub const NEAR_CHOICE_PERCENT: u64 = 5;

/// How long after probing replies are awaited, if this one came after so long; the shortest for any of them counts. Whoever is much further
/// away than somebody who has replied is not worth the wait, in which queues change, unless everybody who has replied has a queue:
/// then another look may save more than it costs.
pub fn probe_patience_us(reply_us: u64, probed: &Probed) -> u64 {
    reply_us
        .saturating_mul(PATIENCE_FACTOR)
        .max(reply_us.saturating_add(PATIENCE_US_MIN))
        .max(reply_us.saturating_add(queue_us(probed) / PATIENCE_QUEUE_SHARE))
        .min(PROBE_WAIT_US)
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Candidates by their place in what was passed in: the chosen one, then who is next if it fails. Never empty.
    pub order: Vec<usize>,
    /// For each of them, why.
    pub reasons: Vec<Reason>,
}

/// A candidate that meets all demands.
#[derive(Clone, Copy, Debug)]
struct Fit {
    at: usize,
    expected: Estimate,
    /// Just replied to a probe.
    heard: bool,
    /// Its breaker is open.
    failed: bool,
}

/// Up to [`PROBES_MAX`] candidates to probe, by their place in `candidates`. None if all have just been probed, or if there
/// is only one and its price does not matter: it will be asked whatever it replies.
pub fn plan(
    need: Need,
    demands: &Demands,
    candidates: &[Candidate<'_>],
    now_us: u64,
    random: &[u8; RANDOM_BYTES],
) -> Result<Vec<usize>, Refusal> {
    let candidates = candidates.get(..CANDIDATES_MAX).unwrap_or(candidates);
    let mut fits = fitting(need, candidates, now_us, |c| demands.missed_by(c))?;
    let only_one = fits.len() == 1 && demands.missed_when_asked(&candidates[fits[0].at]).is_none();
    if fits.iter().any(|fit| !fit.failed) {
        fits.retain(|fit| !fit.failed);
    }
    if only_one || fits.iter().all(|fit| fit.heard) {
        return Ok(Vec::new());
    }
    let mut dice = Dice::new(random);
    let mut probes = Probes { candidates, picked: Vec::with_capacity(PROBES_MAX) };
    // Whoever failed and may be tried again is as good as unknown: nobody relies on more than one of those.
    let on_trial = |at: usize| candidates[at].breaker == Breaker::HalfOpen;
    fits.sort_unstable_by_key(|fit| (on_trial(fit.at), fit.expected.cost_us, fit.at));
    let near = near(&fits, NEAR_PLAN_PERCENT);

    // Where the session's prefix lies, if that is worth anything; its reply says whether there is room.
    let kept = fits[..near].iter().max_by_key(|fit| fit.expected.prefix_saves_us);
    kept.filter(|fit| fit.expected.prefix_saves_us > 0).into_iter().for_each(|fit| probes.pick(fit.at));
    if fits.len() > PROBES_MAX {
        somebody_new(&fits, candidates, &mut dice).into_iter().for_each(|at| probes.pick(at));
    }
    let mut equals: Vec<usize> = fits[..near].iter().map(|fit| fit.at).collect();
    let count = equals.len();
    dice.draw(&mut equals, count);
    let rest = fits[near..].iter().map(|fit| fit.at);
    equals.into_iter().chain(rest).for_each(|at| probes.pick(at));
    Ok(probes.picked)
}

/// Whom to ask, after those who replied to a probe have their replies in `candidates` and those who did not have their
/// breakers opened.
pub fn choose(
    need: Need,
    demands: &Demands,
    candidates: &[Candidate<'_>],
    now_us: u64,
    random: &[u8; RANDOM_BYTES],
) -> Result<Choice, Refusal> {
    let candidates = candidates.get(..CANDIDATES_MAX).unwrap_or(candidates);
    let mut fits = fitting(need, candidates, now_us, |c| demands.missed_when_asked(c))?;
    for fit in fits.iter_mut().filter(|fit| !fit.heard) {
        fit.expected.cost_us = fit.expected.cost_us.saturating_mul(100 + UNHEARD_PERCENT) / 100;
    }
    fits.sort_unstable_by_key(|fit| (fit.failed, fit.expected.cost_us, fit.at));
    let mut dice = Dice::new(random);
    let alike = fits.iter().take_while(|fit| fit.failed == fits[0].failed).count();
    let near = near(&fits[..alike], NEAR_CHOICE_PERCENT);
    // Of those that are about as quick, the cheapest.
    let wants = |fit: &Fit| candidates[fit.at].probed.and_then(|probed| probed.price).unwrap_or(Price::MAX);
    fits[..near].sort_by_key(wants);
    let near_equals = fits[..near].iter().take_while(|fit| wants(fit) == wants(&fits[0])).count();
    dice.draw(&mut fits[..near_equals], 1);

    let (met, probed) = (fits.len(), fits.iter().filter(|fit| fit.heard).count());
    let mut choice = Choice { order: Vec::new(), reasons: Vec::new() };
    for fit in fits {
        let candidate = &candidates[fit.at];
        if choice.order.iter().any(|at: &usize| candidates[*at].agent == candidate.agent) {
            continue;
        }
        choice.order.push(fit.at);
        choice.reasons.push(reason(candidate, &fit, met, probed, near_equals));
        if choice.order.len() == FALLBACKS_MAX {
            break;
        }
    }
    Ok(choice)
}

fn reason(candidate: &Candidate<'_>, fit: &Fit, candidates: usize, probed: usize, near_equals: usize) -> Reason {
    let saves = fit.expected.prefix_saves_us > 0;
    Reason {
        kinship: candidate.kinship,
        expected: fit.expected,
        prefix_tokens: if saves { candidate.prefix_tokens } else { 0 },
        price: candidate.probed.and_then(|probed| probed.price),
        reporters: candidate.reported.len(),
        distrusted_permille: candidate.reputation.worse_permille(),
        candidates,
        probed,
        near_equals,
        last_resort: fit.failed,
        hedged: false,
    }
}

fn fitting(
    need: Need,
    candidates: &[Candidate<'_>],
    now_us: u64,
    missed: impl Fn(&Candidate<'_>) -> Option<super::Demand>,
) -> Result<Vec<Fit>, Refusal> {
    let typical = Typical::of(candidates, now_us);
    let mut excluded = Excluded::default();
    let mut fits = Vec::with_capacity(candidates.len());
    for (at, candidate) in candidates.iter().enumerate() {
        match missed(candidate) {
            Some(demand) => excluded.count(demand),
            None => fits.push(Fit {
                at,
                expected: estimate(candidate, need, &typical, now_us),
                heard: candidate.probed.is_some_and(|p| now_us.saturating_sub(p.at_us) <= QUEUE_FRESH_US),
                failed: matches!(candidate.breaker, Breaker::Open { .. }),
            }),
        }
    }
    if fits.is_empty() {
        return Err(excluded.refusal(candidates.len()));
    }
    Ok(fits)
}

/// How many of these, sorted by cost, cost about as little as the first.
fn near(fits: &[Fit], percent: u64) -> usize {
    let best_us = fits.first().map_or(0, |fit| fit.expected.cost_us);
    let most_us = best_us.saturating_mul(100 + percent) / 100;
    fits.iter().take_while(|fit| fit.expected.cost_us <= most_us.max(best_us)).count()
}

/// One place is for somebody new: who is never tried is never known. For one that failed and may be back, if there is any; otherwise, as
/// often as strangers are among the candidates, for one of those strangers that might be asked: who is much slower by its own word would
/// not be asked anyway. `fits` are sorted by cost, those on trial last.
fn somebody_new(fits: &[Fit], candidates: &[Candidate<'_>], dice: &mut Dice) -> Option<usize> {
    let on_trial = |fit: &&Fit| candidates[fit.at].breaker == Breaker::HalfOpen;
    let mut some: Vec<Fit> = fits.iter().filter(on_trial).copied().collect();
    if some.is_empty() {
        some = fits.iter().filter(|fit| candidates[fit.at].own.is_none()).copied().collect();
        if dice.below(fits.len()) >= some.len() {
            return None;
        }
        some.truncate(near(&some, NEAR_STRANGERS_PERCENT));
    }
    dice.draw(&mut some, 1);
    some.first().map(|fit| fit.at)
}

/// Whom to probe: each agent once, and no more than [`PROBES_MAX`].
struct Probes<'a> {
    candidates: &'a [Candidate<'a>],
    picked: Vec<usize>,
}

impl Probes<'_> {
    fn pick(&mut self, at: usize) {
        let agent = self.candidates[at].agent;
        if self.picked.len() < PROBES_MAX && self.picked.iter().all(|p| self.candidates[*p].agent != agent) {
            self.picked.push(at);
        }
    }
}
