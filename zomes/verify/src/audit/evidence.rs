//! Evidence against a provider, audit by audit: a score that honest answers pull down and cheats push up.
//!
//! `S ← max(0, S + λ)` (Page's CUSUM, 1954), in integers, so that anybody gets the same. What one auditor adds is capped at a
//! third of the bound: two cannot cross it. Reports form a tree: each names, before its outcome is known, the one that it builds on.
//!
//! **The risk of an honest provider.** Where `E[e^λ] ≤ r = 0.8` whatever came before ([`super::calibration`]), `e^S′ ≤ 1 + e^S·e^λ`
//! gives `E[e^S] ≤ 1/(1 − r) = 5` at every report of any tree, and Markov's inequality `P(S ≥ h) ≤ 5·e^−h`. Over `N` reports a year
//! the chance that any of them crosses is at most `5·N·e^−h`, and `h = ln(5·N/β)` makes it `β`: one in a million years, for
//! `N` = 52,560 reports, one every ten minutes. Clamps from above and the cap only lower `S`.

use super::calibration::NAT;
use crate::fixed::{ln, ONE};
use crate::Breach;
use ainonymous_types::limits::STANDING_SHARES_MAX;
use ainonymous_types::{AgentPubKey, Share, Standing};

/// Reports about one provider in a year that the bound is made for: one every ten minutes.
pub const REPORTS_PER_YEAR: u64 = 52_560;
/// Honest provider-years for each one that is accused.
pub const YEARS_PER_ACCUSATION: u64 = 1_000_000;
/// `1/(1 − E[e^λ])`, with the largest mean that a calibration may have.
const MARKOV: u64 = 5;
/// Auditors that it takes to cross the bound.
pub const AUDITORS_MIN: u32 = 3;

/// The score that accuses: `ln(5 · reports a year · years)`, rounded up, in 256ths of a nat.
pub fn bound(reports_per_year: u64, years: u64) -> u32 {
    let unit = ONE / i64::from(NAT);
    let nats = ln(MARKOV).saturating_add(ln(reports_per_year)).saturating_add(ln(years));
    u32::try_from(nats / unit).unwrap_or(0) + 1
}

/// The score that accuses in this network.
pub fn accuses() -> u32 {
    bound(REPORTS_PER_YEAR, YEARS_PER_ACCUSATION)
}

/// What one auditor can add before the score is nothing again: a third of the bound, rounded up, so that three can reach it.
pub fn share_max() -> u32 {
    accuses().div_ceil(AUDITORS_MIN)
}

/// The standing after one more report.
pub fn add(standing: &Standing, auditor: &AgentPubKey, llr: i16) -> Standing {
    let mut next = standing.clone();
    if llr <= 0 {
        next.score = next.score.saturating_sub(llr.unsigned_abs().into());
        if next.score == 0 {
            next.shares.clear();
        }
        return next;
    }
    let full = next.shares.len() >= STANDING_SHARES_MAX;
    if !next.shares.iter().any(|share| share.auditor == *auditor) {
        // Where so many share a score that no more fit, the newest adds nothing: the risk of an honest provider only falls.
        if full {
            return next;
        }
        next.shares.push(Share { auditor: auditor.clone(), llr: 0 });
    }
    let Some(share) = next.shares.iter_mut().find(|share| share.auditor == *auditor) else { return next };
    let added = share_max().saturating_sub(share.llr).min(llr.unsigned_abs().into());
    share.llr = share.llr.saturating_add(added);
    next.score = next.score.saturating_add(added);
    next
}

/// Whether this standing accuses.
pub fn is_enough(standing: &Standing) -> bool {
    standing.score >= accuses()
}

/// Bounds of a standing, before anything is computed with it.
pub fn bounds(standing: &Standing) -> Result<(), Breach> {
    crate::rules::bounds::at_most("standing.shares", standing.shares.len(), STANDING_SHARES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::calibration::{LLR_MAX, LLR_MIN};
    use proptest::prelude::*;

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn after(reports: &[(u8, i16)]) -> Standing {
        reports.iter().fold(Standing::default(), |standing, (auditor, llr)| add(&standing, &agent(*auditor), *llr))
    }

    #[test]
    fn the_bound_is_the_logarithm_that_it_says() {
        // ln(5 · 52,560 · 10⁶) = 26.295
        assert_eq!(accuses(), 6_732);
        let nats = f64::from(accuses()) / f64::from(NAT);
        assert!(5.0 * REPORTS_PER_YEAR as f64 * (-nats).exp() <= 1e-6, "{nats}");
        assert!(5.0 * REPORTS_PER_YEAR as f64 * (-(nats - 1.0 / 128.0)).exp() > 1e-6, "{nats}");
        assert_eq!(bound(0, 0), bound(1, 1));
    }

    #[test]
    fn two_auditors_cannot_cross_it_and_three_can() {
        let many =
            |auditors: &[u8]| after(&auditors.iter().cycle().take(300).map(|a| (*a, LLR_MAX)).collect::<Vec<_>>());
        assert!(!is_enough(&many(&[1, 2])));
        assert!(is_enough(&many(&[1, 2, 3])));
        assert!(many(&[1]).score <= share_max());
        // Nine full reports by three auditors: the least that it takes.
        let nine: Vec<_> = (0..9).map(|i| (i % 3, LLR_MAX)).collect();
        assert!(is_enough(&after(&nine)) && !is_enough(&after(&nine[..8])));
    }

    #[test]
    fn honest_reports_clear_it() {
        let standing = after(&[(1, 200), (2, -100), (3, 50)]);
        assert_eq!((standing.score, standing.shares.len()), (150, 2));
        assert_eq!(after(&[(1, 200), (2, LLR_MIN), (2, LLR_MIN)]), Standing::default());
        assert_eq!(after(&[(1, 0)]), Standing::default());
    }

    #[test]
    fn shares_that_no_more_fit_add_nothing() {
        let full: Vec<_> = (0..=STANDING_SHARES_MAX as u8).map(|n| (n, 1)).collect();
        let standing = after(&full);
        assert_eq!((standing.shares.len(), standing.score as usize), (STANDING_SHARES_MAX, STANDING_SHARES_MAX));
        bounds(&standing).unwrap();
    }

    proptest! {
        #[test]
        fn it_is_never_more_than_the_plain_sum(reports in prop::collection::vec((0u8..6, LLR_MIN..=LLR_MAX), 0..60)) {
            let mut plain = 0i64;
            let mut standing = Standing::default();
            for (auditor, llr) in reports {
                plain = (plain + i64::from(llr)).max(0);
                standing = add(&standing, &agent(auditor), llr);
                prop_assert!(i64::from(standing.score) <= plain);
                prop_assert!(standing.shares.iter().all(|share| share.llr <= share_max()));
            }
        }

        #[test]
        fn no_standing_overflows(score in any::<u32>(), share in any::<u32>(), llr in any::<i16>()) {
            let standing = Standing { score, shares: vec![Share { auditor: agent(1), llr: share }] };
            add(&standing, &agent(1), llr);
        }
    }
}
