//! From measurements to tables: where to cut a statistic, and how many answers fall into each bin.
//!
//! Cuts lie where honest answers thin out, and beyond the worst of them. Whatever comes out has to pass the rules for
//! calibrations like anybody's; nothing here is trusted.

use super::calibration::{calibrated, Statistic};
use ainonymous_types::{CalibrationRow, Statistics};

/// Shares of honest answers that lie below a cut, in thousandths.
const QUANTILES_PERMILLE: [usize; 5] = [500, 900, 970, 990, 997];

/// A row for answers from this length on, out of measured honest answers and cheats. None if they are too few, or if even the least
/// weights do not fit the budget.
pub fn row(tokens_from: u32, honest: &[Statistics], cheats: &[Statistics]) -> Option<CalibrationRow> {
    let tables: Vec<_> = Statistic::ALL.iter().map(|statistic| bins(*statistic, honest, cheats)).collect();
    calibrated(tokens_from, &tables)
}

fn bins(statistic: Statistic, honest: &[Statistics], cheats: &[Statistics]) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let mut values: Vec<u32> = honest.iter().map(|found| statistic.of(found)).collect();
    values.sort_unstable();
    let at = |permille: usize| values.get(values.len().saturating_mul(permille) / 1_000).copied().unwrap_or(0);
    let worst = values.last().copied().unwrap_or(0);
    let mut cuts: Vec<u32> = QUANTILES_PERMILLE.map(at).into();
    let beyond = [(1, 0), (1, worst / 8), (2, worst / 4), (3, worst / 2), (4, worst)];
    cuts.extend(beyond.map(|(past, more)| worst.saturating_add(past).saturating_add(more)));
    cuts.sort_unstable();
    cuts.dedup();
    // The first bin begins at nothing by itself.
    cuts.retain(|cut| *cut > 0);
    let counted = |all: &[Statistics]| {
        let mut counts = vec![0u32; cuts.len() + 1];
        for value in all.iter().map(|found| statistic.of(found)) {
            if let Some(count) = counts.get_mut(cuts.partition_point(|cut| *cut <= value)) {
                *count = count.saturating_add(1);
            }
        }
        counts
    };
    let (honest, cheats) = (counted(honest), counted(cheats));
    (cuts, honest, cheats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::calibration::{judge, rules, MEAN_MILLI_MAX};
    use ainonymous_types::{ActionHash, Bytes32, Calibration, EntryHash, Outcome, SpecRef, Verdict};

    fn found(delta: u32) -> Statistics {
        Statistics {
            tokens: 32,
            delta_sum: delta,
            delta_window: delta,
            delta_position: delta.min(256),
            ..Statistics::default()
        }
    }

    fn table(rows: Vec<CalibrationRow>) -> Calibration {
        let spec = SpecRef { entry: EntryHash::from_raw_36(vec![1; 36]), action: ActionHash::from_raw_36(vec![1; 36]) };
        Calibration { spec, prover: "cpu".into(), verifier: "cpu".into(), data: Bytes32([1; 32]), rows }
    }

    #[test]
    fn what_was_measured_becomes_a_valid_table_that_tells_them_apart() {
        let honest: Vec<Statistics> = (0..4_000).map(|n| found(n % 40)).collect();
        let cheats: Vec<Statistics> = (0..400).map(|n| found(300 + n)).collect();
        let row = row(8, &honest, &cheats).unwrap();
        assert!(crate::audit::calibration::mean_milli(&row) <= MEAN_MILLI_MAX);
        let table = table(vec![row]);
        rules(&table).unwrap();
        let verdict = |delta| judge(Some(&table), &Outcome::Measured(found(delta))).0;
        assert_eq!((verdict(0), verdict(39), verdict(400)), (Verdict::Pass, Verdict::Pass, Verdict::Fail));
    }

    #[test]
    fn too_few_answers_make_no_table() {
        let honest: Vec<Statistics> = (0..2_999).map(|n| found(n % 40)).collect();
        assert_eq!(row(8, &honest, &[found(900)]), None);
        assert_eq!(row(8, &[], &[]), None);
        let alike = vec![found(0); 3_000];
        assert!(row(8, &alike, &[found(900)]).is_some(), "machines that never differ");
    }
}
