//! What a juror needs to see before it confirms a verdict: more than whoever audits needs.
//!
//! An audit may be wrong once in a thousand honest answers, and whoever asks for everybody chooses what it shows: it can compute at home, or try,
//! thousands of questions, and show those by which an honest machine fails by accident. Evidence that adds up single audits does not
//! know how many were left out. So a juror convicts only by an answer that would fail if everything about it were a third as far from
//! what its own model says: accidents thin out fast beyond the worst of thousands, another model does not.

use ainonymous_types::{Outcome, Statistics};

/// A juror sees everything so many times nearer than it is.
pub const TIMES: u32 = 3;

/// What a juror judges in place of an outcome. What is not a fingerprint of the answer stays that: no machine does it by accident.
pub fn benefit(outcome: &Outcome) -> Outcome {
    let Outcome::Measured(found) = outcome else { return *outcome };
    let Statistics { tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible } =
        *found;
    Outcome::Measured(Statistics {
        tokens,
        delta_sum: delta_sum / TIMES,
        delta_window: delta_window / TIMES,
        delta_position: delta_position / TIMES,
        margin_sum: margin_sum / TIMES,
        margin_window: margin_window / TIMES,
        tail: tail / TIMES,
        impossible: impossible / TIMES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::calibration::{judge, Statistic, LLR_MAX};
    use crate::audit::measure;
    use ainonymous_types::{ActionHash, Bytes32, Calibration, EntryHash, SpecRef, Verdict};
    use proptest::prelude::*;

    fn found(delta: u32) -> Statistics {
        let delta_position = delta.min(256);
        Statistics { tokens: 32, delta_sum: delta, delta_window: delta, delta_position, ..Statistics::default() }
    }

    fn table() -> Calibration {
        let honest: Vec<Statistics> = (0..4_000).map(|n| found(n % 40)).collect();
        let cheats: Vec<Statistics> = (0..400).map(|n| found(300 + n)).collect();
        let spec = SpecRef { entry: EntryHash::from_raw_36(vec![1; 36]), action: ActionHash::from_raw_36(vec![1; 36]) };
        let rows = vec![measure::row(8, &honest, &cheats).unwrap()];
        Calibration { spec, prover: "cpu".into(), verifier: "cpu".into(), data: Bytes32([1; 32]), rows }
    }

    #[test]
    fn what_fails_by_little_is_not_confirmed_and_what_fails_by_far_is() {
        let table = table();
        let verdicts = |delta| {
            let outcome = Outcome::Measured(found(delta));
            [outcome, benefit(&outcome)].map(|outcome| judge(Some(&table), &outcome).0)
        };
        assert_eq!(verdicts(39), [Verdict::Pass; 2]);
        assert_eq!(verdicts(50), [Verdict::Fail, Verdict::Pass]);
        assert_eq!(verdicts(300), [Verdict::Fail; 2]);
    }

    #[test]
    fn what_no_machine_does_by_accident_has_no_benefit() {
        assert_eq!(judge(None, &benefit(&Outcome::Mismatch)), (Verdict::Fail, LLR_MAX));
        assert_eq!(benefit(&Outcome::NotOpened), Outcome::NotOpened);
    }

    proptest! {
        /// Nothing fails with the benefit that passes without it.
        #[test]
        fn a_benefit_never_harms(n in any::<[u32; 7]>(), tokens in 1u32..4_096) {
            let [delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible] = n;
            let whole = Statistics { tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible };
            let Outcome::Measured(less) = benefit(&Outcome::Measured(whole)) else { panic!("a measurement") };
            prop_assert!(Statistic::ALL.iter().all(|statistic| statistic.of(&less) <= statistic.of(&whole)));
        }
    }
}
