//! How often a provider is audited: every answer of a newcomer, one in a hundred of a peer that has long been honest.
//!
//! `p = min(1, max(floor, 1 − LCB₅%(Beta(1 + ok, 1 + bad)), g/(d(g + L))))`. The middle part is how bad a peer with such a record may
//! still be; the last what makes cheating not worth while, for a gain `g` a request, a loss `L` on conviction, and a chance `d`
//! that an audit of a cheat sees it: from `p·d·L > (1 − p·d)·g`. Everything is in millionths, rounded up: rather an audit too many.

use crate::fixed::{exp_minus, ln, times, ONE};
use ainonymous_types::limits::PPM_MAX;

/// More passes than that count as so many: the floor is reached long before.
const OK_MAX: u32 = 1_000_000;
/// With more fails than that every answer is audited.
const BAD_MAX: u32 = 64;
/// One in twenty: the confidence is 95 %.
const DOUBT: i64 = ONE / 20;

/// What is known about a provider, and what is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stakes {
    /// Audits that passed.
    pub ok: u32,
    /// Audits that failed.
    pub bad: u32,
    /// Never less than this, in millionths.
    pub floor_ppm: u32,
    /// What a cheat saves on one request, in thousandths of a request.
    pub gain_milli: u64,
    /// What a conviction costs, in thousandths of a request.
    pub loss_milli: u64,
    /// How likely an audit of a cheat is to see it, in millionths.
    pub detection_ppm: u32,
}

/// How likely the next answer is to be audited, in millionths.
pub fn rate_ppm(stakes: &Stakes) -> u32 {
    let Stakes { ok, bad, floor_ppm, gain_milli, loss_milli, detection_ppm } = *stakes;
    floor_ppm.max(doubt_ppm(ok, bad)).max(deterrent_ppm(gain_milli, loss_milli, detection_ppm)).min(PPM_MAX)
}

/// `1 − LCB₅%(Beta(1 + ok, 1 + bad))` in millionths, rounded up; at most a millionth too high.
///
/// For whole numbers the Beta distribution is a sum of binomial terms: with `n = ok + bad + 1`, it is the least `q` for which
/// `P(Binomial(n, q) ≤ bad) ≤ 0.05`. Found by bisection, because that falls as `q` rises.
pub fn doubt_ppm(ok: u32, bad: u32) -> u32 {
    if bad > BAD_MAX {
        return PPM_MAX;
    }
    let n = u64::from(ok.min(OK_MAX)) + u64::from(bad) + 1;
    let (mut low, mut high) = (0, PPM_MAX);
    while high - low > 1 {
        let q = low + (high - low) / 2;
        if at_most(n, q, bad) <= DOUBT {
            high = q;
        } else {
            low = q;
        }
    }
    high
}

/// `P(Binomial(n, q) ≤ most)` for `q` in millionths, neither 0 nor 1. Each term is found by its logarithm, so that none is lost.
fn at_most(n: u64, q_ppm: u32, most: u32) -> i64 {
    let whole = ln(PPM_MAX.into());
    let (ln_q, ln_not_q) = (ln(q_ppm.into()) - whole, ln((PPM_MAX - q_ppm).into()) - whole);
    let mut term = scaled(ln_not_q, n);
    let mut sum = 0i64;
    for j in 0..=u64::from(most) {
        // Probabilities: what rounding puts above one is one.
        sum = sum.saturating_add(exp_minus(i64::try_from(-term.min(0)).unwrap_or(i64::MAX)));
        if j >= n {
            break;
        }
        term += i128::from(ln(n - j) - ln(j + 1) + ln_q - ln_not_q);
    }
    sum
}

fn scaled(x: i64, n: u64) -> i128 {
    i128::from(x) * i128::from(n)
}

/// `g/(d(g + L))` in millionths, rounded up, at most one.
pub fn deterrent_ppm(gain_milli: u64, loss_milli: u64, detection_ppm: u32) -> u32 {
    if gain_milli == 0 {
        return 0;
    }
    let whole = u128::from(PPM_MAX);
    let stake = (u128::from(gain_milli) + u128::from(loss_milli)) * u128::from(detection_ppm);
    if stake == 0 {
        return PPM_MAX;
    }
    u32::try_from((u128::from(gain_milli) * whole * whole).div_ceil(stake)).unwrap_or(PPM_MAX).min(PPM_MAX)
}

/// How likely it is that a peer that cheats with a share of its answers is caught within `answers` of them, in millionths, rounded
/// down: `1 − (1 − p·d·x)ⁿ`.
pub fn caught_ppm(rate_ppm: u32, detection_ppm: u32, share_ppm: u32, answers: u32) -> u32 {
    let fraction = |ppm: u32| (i128::from(ppm.min(PPM_MAX)) * i128::from(ONE) / i128::from(PPM_MAX)) as i64;
    let each = times(times(fraction(rate_ppm), fraction(detection_ppm)), fraction(share_ppm));
    let missed = (ONE - each).max(0).unsigned_abs();
    if missed == 0 {
        return PPM_MAX;
    }
    let all_missed = scaled(ln(missed) - ln(ONE.unsigned_abs()), answers.into());
    let caught = ONE - exp_minus(i64::try_from(-all_missed).unwrap_or(i64::MAX));
    (i128::from(caught) * i128::from(PPM_MAX) / i128::from(ONE)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The binomial sum in floating point, and its root.
    fn float_doubt(ok: u32, bad: u32) -> f64 {
        let n = f64::from(ok + bad + 1);
        let at_most = |q: f64| {
            let (mut ln_term, mut sum) = (n * (1.0 - q).ln(), 0.0);
            for j in 0..=bad {
                sum += ln_term.exp();
                let j = f64::from(j);
                ln_term += ((n - j) / (j + 1.0) * q / (1.0 - q)).ln();
            }
            sum
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let q = (low + high) / 2.0;
            if at_most(q) <= 0.05 {
                high = q;
            } else {
                low = q;
            }
        }
        high
    }

    #[test]
    fn a_clean_record_lowers_it_as_published() {
        // facts: 10, 30, 100, 300 clean audits give 24, 9, 2.9 and 1.0 %.
        for (ok, percent) in [(10, 23.8), (30, 9.2), (100, 2.92), (300, 0.99)] {
            let found = f64::from(doubt_ppm(ok, 0)) / 10_000.0;
            assert!((found - percent).abs() < 0.06, "{ok}: {found}");
        }
        assert!((950_000..=950_001).contains(&doubt_ppm(0, 0)));
        assert!(doubt_ppm(10, 1) > doubt_ppm(10, 0));
        assert_eq!(doubt_ppm(u32::MAX, BAD_MAX + 1), PPM_MAX);
        assert!(doubt_ppm(u32::MAX, 0) <= 3);
    }

    #[test]
    fn it_is_the_root_of_the_sum_within_a_millionth() {
        for ok in [0, 1, 2, 5, 17, 100, 999, 20_000, 1_000_000] {
            for bad in [0, 1, 2, 5, 20, 64] {
                let (found, exact) = (f64::from(doubt_ppm(ok, bad)), float_doubt(ok, bad) * 1e6);
                assert!(found - exact > -0.01 && found - exact < 1.01, "{ok} {bad}: {found} {exact}");
            }
        }
    }

    #[test]
    fn what_deters_and_what_does_not() {
        // g = 0.42 of a request: at 2 % any loss above 21 requests deters.
        assert!(deterrent_ppm(420, 21_000, PPM_MAX) <= 20_000);
        assert!(deterrent_ppm(420, 20_000, PPM_MAX) > 20_000);
        assert_eq!(deterrent_ppm(420, 0, PPM_MAX), PPM_MAX, "who has nothing to lose is always audited");
        assert_eq!((deterrent_ppm(0, 0, 0), deterrent_ppm(1, 1, 0)), (0, PPM_MAX));
        assert_eq!(deterrent_ppm(u64::MAX, u64::MAX, 1), PPM_MAX);
        let stakes =
            Stakes { ok: 0, bad: 0, floor_ppm: 10_000, gain_milli: 420, loss_milli: 0, detection_ppm: PPM_MAX };
        assert_eq!(rate_ppm(&stakes), PPM_MAX);
        let trusted = Stakes { ok: 10_000, loss_milli: 100_000_000, ..stakes };
        assert_eq!(rate_ppm(&trusted), 10_000);
        assert_eq!(rate_ppm(&Stakes { floor_ppm: u32::MAX, ..trusted }), PPM_MAX);
    }

    #[test]
    fn a_partial_cheat_is_caught_as_published() {
        // facts: a tenth of the answers, at 100, 10 and 2 %: 95 % after 29, 299 and 1,497.
        for (rate, answers) in [(1_000_000, 29), (100_000, 299), (20_000, 1_497)] {
            let caught = caught_ppm(rate, PPM_MAX, 100_000, answers);
            assert!((949_900..953_000).contains(&caught), "{rate}: {caught}");
            assert!(caught_ppm(rate, PPM_MAX, 100_000, answers - 2) < 950_000);
        }
        assert_eq!((caught_ppm(PPM_MAX, PPM_MAX, PPM_MAX, 1), caught_ppm(0, 0, 0, 9)), (PPM_MAX, 0));
    }

    proptest! {
        #[test]
        fn a_pass_never_raises_it_and_a_fail_never_lowers_it(ok in 0u32..3_000, bad in 0u32..64) {
            prop_assert!(doubt_ppm(ok + 1, bad) <= doubt_ppm(ok, bad));
            prop_assert!(doubt_ppm(ok, bad + 1) >= doubt_ppm(ok, bad));
        }

        #[test]
        fn no_stakes_overflow(n in any::<[u32; 4]>(), gain_milli in any::<u64>(), loss_milli in any::<u64>()) {
            let [ok, bad, floor_ppm, detection_ppm] = n;
            let rate = rate_ppm(&Stakes { ok, bad, floor_ppm, gain_milli, loss_milli, detection_ppm });
            prop_assert!(rate <= PPM_MAX && caught_ppm(rate, detection_ppm, floor_ppm, bad) <= PPM_MAX);
        }
    }
}
