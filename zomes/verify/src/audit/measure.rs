//! From measurements to tables: where to cut a statistic, and how many answers fall into each bin.
//!
//! Cuts lie where honest answers thin out, and beyond the worst of them. Thresholds lie an eighth beyond the worst honest answer, and nearer where
//! that finds cheats: what may fail is spent where honest answers far out are rare and cheats are not. Whatever comes out has to pass the rules for
//! calibrations like anybody's; nothing here is trusted.

use super::calibration::{calibrated, Statistic, HONEST_PER_FAIL};
use ainonymous_types::limits::CALIBRATION_BINS_MAX;
use ainonymous_types::{CalibrationRow, CalibrationTable, Statistics};

/// Shares of honest answers that lie below a cut, in thousandths.
const QUANTILES_PERMILLE: [usize; 5] = [500, 900, 970, 990, 997];
/// Cuts beyond the worst honest answer.
const BEYOND_WORST: usize = 5;

/// A row for answers from this length on, out of measured honest answers and cheats. None if they are too few, or if even the least
/// weights do not fit the budget.
pub fn row(tokens_from: u32, honest: &[Statistics], cheats: &[Statistics]) -> Option<CalibrationRow> {
    let tables: Vec<_> = Statistic::ALL.iter().map(|statistic| bins(*statistic, honest, cheats)).collect();
    let mut row = calibrated(tokens_from, &tables)?;
    let thresholds = Thresholds::of(&row, cheats).lowered(may_fail(honest.len()));
    for (table, fail_bin) in row.tables.iter_mut().zip(thresholds.fail_bins) {
        table.fail_bin = fail_bin as u32;
    }
    Some(row)
}

/// How many of so many honest answers may lie beyond the thresholds: one less than the rules allow, because the next answer lies beyond the
/// `n` worst of `N` by one statistic once in `(N + 1)/(n + 1)`. By all statistics together it may be more, which no count of the same answers can exclude.
fn may_fail(honest: usize) -> u64 {
    (honest as u64 / HONEST_PER_FAIL).saturating_sub(1)
}

/// Where each statistic lets answers fail.
#[derive(Clone)]
struct Thresholds {
    /// The first bin that fails, for each statistic.
    fail_bins: Vec<usize>,
    /// For each statistic, how many honest answers lie in this bin or a worse one.
    beyond: Vec<Vec<u64>>,
    /// For each cheat, in which bin it lies by each statistic.
    cheats: Vec<Vec<usize>>,
}

impl Thresholds {
    /// An eighth beyond the worst honest answer of each: the next may be a little worse, and most cheats are far away.
    fn of(row: &CalibrationRow, cheats: &[Statistics]) -> Self {
        let from = |honest: &[u32], bin: usize| honest.iter().skip(bin).map(|n| u64::from(*n)).sum::<u64>();
        let beyond: Vec<Vec<u64>> =
            row.tables.iter().map(|t| (0..=t.honest.len()).map(|bin| from(&t.honest, bin)).collect()).collect();
        let first = |(beyond, t): (&Vec<u64>, &CalibrationTable)| {
            let behind_worst = (1..beyond.len()).find(|bin| beyond.get(*bin) == Some(&0));
            let cut = behind_worst.and_then(|bin| t.cuts.get(bin - 1));
            cut.map_or(t.honest.len(), |cut| 1 + t.cuts.partition_point(|c| *c < cut + (cut - 1) / 8))
        };
        let bins = |found: &Statistics| {
            let tables = Statistic::ALL.iter().zip(&row.tables);
            tables.map(|(statistic, t)| t.cuts.partition_point(|cut| *cut <= statistic.of(found))).collect()
        };
        Self {
            fail_bins: beyond.iter().zip(&row.tables).map(first).collect(),
            cheats: cheats.iter().map(bins).collect(),
            beyond,
        }
    }

    /// Lowered step by step, each time by the step that finds the most cheats for each honest answer that it gives up, while no more than these are
    /// given up. Of two steps that find as many the shorter one.
    fn lowered(mut self, may_fail: u64) -> Self {
        loop {
            let (cost, found) = (self.failing(), self.found());
            let steps =
                (0..self.fail_bins.len()).flat_map(|at| (1..self.fail_bins[at]).rev().map(move |bin| (at, bin)));
            let mut best: Option<(u64, u64, Self)> = None;
            for (at, bin) in steps {
                let mut lower = self.clone();
                lower.fail_bins[at] = bin;
                // A hundredth more, so that of two steps that give up none the one that finds more is better.
                let (more_cost, more_found) = (100 * (lower.failing() - cost) + 1, lower.found() - found);
                let is_better = best.as_ref().is_none_or(|(c, f, _)| more_found * *c > *f * more_cost);
                if lower.failing() <= may_fail && more_found > 0 && is_better {
                    best = Some((more_cost, more_found, lower));
                }
            }
            match best {
                Some((.., lower)) => self = lower,
                None => return self,
            }
        }
    }

    /// Honest answers that fail, those that do so by two statistics twice: as the rules count.
    fn failing(&self) -> u64 {
        self.beyond.iter().zip(&self.fail_bins).filter_map(|(beyond, bin)| beyond.get(*bin)).sum()
    }

    /// Cheats that fail.
    fn found(&self) -> u64 {
        let fails = |bins: &&Vec<usize>| bins.iter().zip(&self.fail_bins).any(|(bin, fail_bin)| bin >= fail_bin);
        self.cheats.iter().filter(fails).count() as u64
    }
}

fn bins(statistic: Statistic, honest: &[Statistics], cheats: &[Statistics]) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let mut values: Vec<u32> = honest.iter().map(|found| statistic.of(found)).collect();
    values.sort_unstable();
    let at = |permille: usize| values.get(values.len().saturating_mul(permille) / 1_000).copied().unwrap_or(0);
    let worst = values.last().copied().unwrap_or(0);
    let mut cuts: Vec<u32> = QUANTILES_PERMILLE.map(at).into();
    // Where so few are left as may fail; of many answers more may fail than there are bins.
    let room = CALIBRATION_BINS_MAX - 1 - cuts.len() - BEYOND_WORST;
    let few = values.iter().rev().skip(1).take(room.min(may_fail(values.len()) as usize));
    cuts.extend(few.map(|value| value.saturating_add(1)));
    let beyond: [(u32, u32); BEYOND_WORST] = [(1, 0), (1, worst / 8), (2, worst / 4), (3, worst / 2), (4, worst)];
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
    use crate::audit::scope;
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

    /// Most honest answers have no margin and a few a large one, as measured ones do; cheats have one often.
    #[test]
    fn what_may_fail_is_spent_where_it_finds_most() {
        let margin = |margin: u32, delta: u32| Statistics { margin_sum: margin, margin_window: margin, ..found(delta) };
        let rare = |n: u32| if n.is_multiple_of(1_000) { 300 + n / 10 } else { 0 };
        let honest: Vec<Statistics> = (0..4_000).map(|n| margin(rare(n), n % 40)).collect();
        let cheats: Vec<Statistics> = (0..400).map(|n| margin(n, 0)).collect();
        let row = row(8, &honest, &cheats).unwrap();
        let table = table(vec![row.clone()]);
        rules(&table).unwrap();
        let verdict = |of: Statistics| judge(Some(&table), &Outcome::Measured(of)).0;
        let failed = |all: &[Statistics]| all.iter().filter(|of| verdict(**of) == Verdict::Fail).count();
        // Margins of 300, 400, 500 and 600, of which the rules let four fail and tables three: one of both margins' thresholds is lowered.
        assert_eq!((failed(&honest), failed(&cheats)), (3, 99));
        // A token that could not be chosen fails by itself, where no honest answer had one.
        assert_eq!(verdict(Statistics { impossible: 1, ..found(0) }), Verdict::Fail);
        // Without cheats nothing is gained, and nothing given up.
        assert_eq!(Thresholds::of(&row, &[]).lowered(3).failing(), 0);
    }

    #[test]
    fn many_answers_make_a_table_too() {
        let honest: Vec<Statistics> = (0..40_000).map(|n| found(n % 7_000)).collect();
        let cheats: Vec<Statistics> = (0..400).map(|n| found(20_000 + n)).collect();
        let row = row(8, &honest, &cheats).unwrap();
        assert!(row.tables.iter().all(|table| table.honest.len() <= CALIBRATION_BINS_MAX));
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
