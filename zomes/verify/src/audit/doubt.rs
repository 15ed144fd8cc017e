//! What a juror needs to see before it confirms a verdict: more than whoever audits needs.
//!
//! An audit may be wrong once in a thousand honest answers, and whoever asks for everybody chooses what it shows: it can compute at home, or try,
//! thousands of questions, and show those by which an honest machine fails by accident. Evidence that adds up single audits does not
//! know how many were left out. So a juror convicts only by an answer that would fail if everything about it were a third as far from
//! what its own model says: accidents thin out fast beyond the worst of thousands, another model does not. Where a table lets some of the
//! honest answers fail that it was made from, that worst one counts and not the threshold.

use super::calibration::judge;
use ainonymous_types::{Calibration, CalibrationTable, Outcome, Statistics, Verdict};

/// A juror sees everything so many times nearer than it is.
pub const TIMES: u32 = 3;

/// Whether an answer fails beyond doubt: also if it were a third as far, and no honest answer behind the table had failed.
pub fn is_beyond(calibration: Option<&Calibration>, outcome: &Outcome) -> bool {
    let fails = |calibration, outcome| judge(calibration, outcome).0 == Verdict::Fail;
    fails(calibration, outcome) && fails(calibration.map(lenient).as_ref(), &benefit(outcome))
}

/// The table by which nothing fails that an honest answer behind it came to.
fn lenient(calibration: &Calibration) -> Calibration {
    let mut lenient = calibration.clone();
    for CalibrationTable { honest, fail_bin, .. } in lenient.rows.iter_mut().flat_map(|row| &mut row.tables) {
        let beyond_all = honest.iter().rposition(|answers| *answers > 0).map_or(0, |worst| worst + 1);
        *fail_bin = (*fail_bin).max(u32::try_from(beyond_all).unwrap_or(u32::MAX));
    }
    lenient
}

/// What a juror judges in place of an outcome. What is not a fingerprint of the answer stays that: no machine does it by accident.
fn benefit(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Measured(found) => Outcome::Measured(nearer(found)),
        Outcome::NotOpened(found) => Outcome::NotOpened(nearer(found)),
        Outcome::Mismatch => Outcome::Mismatch,
    }
}

fn nearer(found: &Statistics) -> Statistics {
    let Statistics { tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible } =
        *found;
    Statistics {
        tokens,
        delta_sum: delta_sum / TIMES,
        delta_window: delta_window / TIMES,
        delta_position: delta_position / TIMES,
        margin_sum: margin_sum / TIMES,
        margin_window: margin_window / TIMES,
        tail: tail / TIMES,
        impossible: impossible / TIMES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::calibration::Statistic;
    use crate::audit::{measure, scope};
    use ainonymous_types::{ActionHash, Bytes32, EntryHash, SpecRef};
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
        Calibration {
            spec,
            prover: "cpu".into(),
            verifier: "cpu".into(),
            scope: scope::ALL,
            data: Bytes32([1; 32]),
            rows,
        }
    }

    #[test]
    fn what_fails_by_little_is_not_confirmed_and_what_fails_by_far_is() {
        let table = table();
        let judged = |delta| {
            let outcome = Outcome::Measured(found(delta));
            (judge(Some(&table), &outcome).0, is_beyond(Some(&table), &outcome))
        };
        assert_eq!(judged(39), (Verdict::Pass, false));
        assert_eq!(judged(50), (Verdict::Fail, false));
        assert_eq!(judged(300), (Verdict::Fail, true));
    }

    /// A threshold far below the worst honest answer, as tables have them where that finds many cheats.
    #[test]
    fn no_honest_answer_behind_a_table_convinces_a_juror() {
        let mut table = table();
        let worst = Outcome::Measured(found(39));
        let first = table.rows[0].tables[0].honest.len() - 1;
        for table in &mut table.rows[0].tables {
            table.fail_bin = 1;
        }
        assert!(first > 1 && judge(Some(&table), &worst).0 == Verdict::Fail);
        assert!(!is_beyond(Some(&table), &worst) && !is_beyond(Some(&table), &Outcome::Measured(found(3 * 39))));
        assert!(is_beyond(Some(&table), &Outcome::Measured(found(3 * 50))));
    }

    #[test]
    fn what_no_machine_does_by_accident_has_no_benefit() {
        assert!(is_beyond(None, &Outcome::Mismatch) && is_beyond(Some(&table()), &Outcome::Mismatch));
        assert!(!is_beyond(None, &Outcome::NotOpened(found(9_999))));
        assert!(!is_beyond(None, &Outcome::Measured(found(9_999))));
    }

    proptest! {
        /// Nothing fails with the benefit that passes without it.
        #[test]
        fn a_benefit_never_harms(n in any::<[u32; 7]>(), tokens in 1u32..4_096) {
            let [delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible] = n;
            let whole = Statistics { tokens, delta_sum, delta_window, delta_position, margin_sum, margin_window, tail, impossible };
            let less = nearer(&whole);
            prop_assert!(Statistic::ALL.iter().all(|statistic| statistic.of(&less) <= statistic.of(&whole)));
        }
    }
}
