//! What honest machines differ by, as tables; and what follows from a pair of fingerprints by them.
//!
//! A calibration is about one model and one pair of classes of machines: whoever is not calibrated is not judged. For each
//! statistic it cuts the values into bins and says how many honest answers fell into each, how much more likely each is from a
//! cheat, and which bins fail. The weight of an audit is the largest over all statistics, which need not be independent, because
//! the tables share one budget (see [`rules`]): with `c = e^−½`, `E[e^max λ] ≤ c + Σ E[(e^λ − c)⁺] ≤ 0.8` over honest answers. That is
//! the condition under which [`super::evidence`] bounds the risk of an honest provider. Logarithms are in 256ths of a nat.

use crate::fixed::{exp_minus, ONE};
use crate::rules::bounds::{at_most, not_empty, range};
use crate::{text, Breach};
use ainonymous_types::limits::{
    CALIBRATION_ANSWERS_MAX, CALIBRATION_ANSWERS_MIN, CALIBRATION_BINS_MAX, CALIBRATION_ROWS_MAX, CLASS_BYTES_MAX,
};
use ainonymous_types::{
    Backend, Calibration, CalibrationRow, CalibrationTable, Capability, Outcome, Statistics, Verdict,
};

/// One nat, in the units of likelihoods here.
pub const NAT: i16 = 256;
/// Least weight of an audit: half a nat for the provider.
pub const LLR_MIN: i16 = -NAT / 2;
/// Largest weight of an audit: three nats against it.
pub const LLR_MAX: i16 = 3 * NAT;
/// `E[e^λ]` over honest answers is at most this many thousandths.
pub const MEAN_MILLI_MAX: i64 = 800;
/// One honest answer in so many may fail.
pub const HONEST_PER_FAIL: u64 = 1_000;
/// Means are in this part of the statistic's own unit.
const MEAN_PARTS: u64 = 128;

/// What is looked up, in the order of a row's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// T2 for each token, in 128ths of 128ths of a nat.
    Delta,
    /// T2 of the worst window, in 128ths of a nat.
    DeltaWindow,
    /// T2 of the worst position, in 128ths of a nat.
    DeltaPosition,
    /// T1 for each token, in 128ths of 1024ths of a nat.
    Margin,
    /// T1 of the worst window, in 1024ths of a nat.
    MarginWindow,
    /// T3, in ten-thousandths of the positions.
    Tail,
    /// T4, in tokens.
    Impossible,
}

impl Statistic {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Delta,
        Self::DeltaWindow,
        Self::DeltaPosition,
        Self::Margin,
        Self::MarginWindow,
        Self::Tail,
        Self::Impossible,
    ];

    /// Its value: an integer that rises with the distance.
    pub fn of(self, statistics: &Statistics) -> u32 {
        let tokens = u64::from(statistics.tokens.max(1));
        let mean = |sum: u32, parts: u64| u32::try_from(u64::from(sum) * parts / tokens).unwrap_or(u32::MAX);
        match self {
            Self::Delta => mean(statistics.delta_sum, MEAN_PARTS),
            Self::DeltaWindow => statistics.delta_window,
            Self::DeltaPosition => statistics.delta_position,
            Self::Margin => mean(statistics.margin_sum, MEAN_PARTS),
            Self::MarginWindow => statistics.margin_window,
            Self::Tail => mean(statistics.tail, 10_000),
            Self::Impossible => statistics.impossible,
        }
    }
}

/// The class of machine that a capability states: what computes, and by which code. Machines of one class differ little.
pub fn class(capability: &Capability) -> String {
    class_of(capability.backend, &capability.backend_detail)
}

/// The same from what a capability would say.
pub fn class_of(backend: Backend, backend_detail: &str) -> String {
    let backend = match backend {
        Backend::Cpu => "cpu",
        Backend::Cuda => "cuda",
        Backend::Vulkan => "vulkan",
        Backend::Metal => "metal",
        Backend::Rocm => "rocm",
    };
    // On a processor the variant of the code comes first, then the device's name, which makes no difference.
    let detail = backend_detail.split(',').next().unwrap_or_default();
    let label = text::to_label(detail, CLASS_BYTES_MAX - backend.len() - 1);
    if label.is_empty() {
        backend.into()
    } else {
        format!("{backend}-{label}")
    }
}

/// Verdict and weight of an outcome. Without a calibration, or for lengths that it does not cover, nothing follows from a
/// measurement; a fingerprint of something else fails however it is calibrated. Whoever opens nothing fails by its tokens, or they weigh nothing
/// against it: good ones earn no pass. So they never weigh more than with its real fingerprint, and the budget of weights holds.
pub fn judge(calibration: Option<&Calibration>, outcome: &Outcome) -> (Verdict, i16) {
    match outcome {
        Outcome::Mismatch => (Verdict::Fail, LLR_MAX),
        Outcome::Measured(statistics) => by_table(calibration, statistics),
        Outcome::NotOpened(statistics) => match by_table(calibration, statistics) {
            (Verdict::Pass, llr) => (Verdict::Inconclusive, llr.min(0)),
            judged => judged,
        },
    }
}

/// The same for a juror, who has to be able to acquit: tokens in order are a pass, though nothing was opened. In juries a pass earns nobody trust.
pub fn judge_in_jury(calibration: Option<&Calibration>, outcome: &Outcome) -> (Verdict, i16) {
    match (outcome, judge(calibration, outcome)) {
        (Outcome::NotOpened(found), (Verdict::Inconclusive, llr)) => (by_table(calibration, found).0, llr),
        (_, judged) => judged,
    }
}

fn by_table(calibration: Option<&Calibration>, statistics: &Statistics) -> (Verdict, i16) {
    let row = calibration.and_then(|calibration| row(calibration, statistics.tokens));
    row.map_or((Verdict::Inconclusive, 0), |row| measured(row, statistics))
}

fn row(calibration: &Calibration, tokens: u32) -> Option<&CalibrationRow> {
    calibration.rows.iter().rev().find(|row| row.tokens_from <= tokens)
}

fn measured(row: &CalibrationRow, statistics: &Statistics) -> (Verdict, i16) {
    let bins = Statistic::ALL.iter().zip(&row.tables).map(|(statistic, table)| {
        let value = statistic.of(statistics);
        (table, table.cuts.partition_point(|cut| *cut <= value))
    });
    let (mut verdict, mut llr) = (Verdict::Pass, LLR_MIN);
    for (table, bin) in bins {
        llr = llr.max(table.llr.get(bin).copied().unwrap_or(LLR_MIN));
        if bin >= table.fail_bin as usize {
            verdict = Verdict::Fail;
        }
    }
    (verdict, llr.clamp(LLR_MIN, LLR_MAX))
}

/// The rules for a calibration: in form, with enough honest answers, within the budget of weights, and with thresholds that one
/// honest answer in a thousand crosses at most.
pub fn rules(calibration: &Calibration) -> Result<(), Breach> {
    let Calibration { spec: _, prover, verifier, scope, data: _, rows } = calibration;
    text::label("prover", prover, CLASS_BYTES_MAX)?;
    text::label("verifier", verifier, CLASS_BYTES_MAX)?;
    super::scope::rules(scope)?;
    not_empty("rows", rows.len())?;
    at_most("rows", rows.len(), CALIBRATION_ROWS_MAX)?;
    if !rows.windows(2).all(|pair| pair[0].tokens_from < pair[1].tokens_from) {
        return Err(Breach::Unordered { what: "rows" });
    }
    rows.iter().try_for_each(row_rules)
}

fn row_rules(row: &CalibrationRow) -> Result<(), Breach> {
    let count = Statistic::ALL.len() as u64;
    range("tables", row.tables.len() as u64, count, count, "tables")?;
    row.tables.iter().try_for_each(table_rules)?;
    let answers = row.tables.first().map_or(0, answers);
    range("honest", answers, CALIBRATION_ANSWERS_MIN.into(), CALIBRATION_ANSWERS_MAX.into(), "answers")?;
    if row.tables.iter().any(|table| self::answers(table) != answers) {
        return Err(Breach::HashMismatch { what: "honest" });
    }
    let failing: u64 = row.tables.iter().map(|table| beyond(table, table.fail_bin as usize)).sum();
    if failing > answers / HONEST_PER_FAIL {
        return Err(Breach::Uncalibrated { what: "fail_bin" });
    }
    (mean_milli(row) <= MEAN_MILLI_MAX).then_some(()).ok_or(Breach::Uncalibrated { what: "llr" })
}

fn table_rules(table: &CalibrationTable) -> Result<(), Breach> {
    let CalibrationTable { cuts, honest, llr, fail_bin } = table;
    at_most("cuts", cuts.len(), CALIBRATION_BINS_MAX - 1)?;
    let bins = cuts.len() as u64 + 1;
    range("honest", honest.len() as u64, bins, bins, "bins")?;
    range("llr", llr.len() as u64, bins, bins, "bins")?;
    range("fail_bin", (*fail_bin).into(), 1, bins, "bins")?;
    if !cuts.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(Breach::Unordered { what: "cuts" });
    }
    if !llr.windows(2).all(|pair| pair[0] <= pair[1]) {
        return Err(Breach::Unordered { what: "llr" });
    }
    if llr.iter().any(|llr| !(LLR_MIN..=LLR_MAX).contains(llr)) {
        return Err(Breach::Uncalibrated { what: "llr" });
    }
    Ok(())
}

fn answers(table: &CalibrationTable) -> u64 {
    beyond(table, 0)
}

/// Honest answers from this bin on.
fn beyond(table: &CalibrationTable, bin: usize) -> u64 {
    table.honest.iter().skip(bin).map(|n| u64::from(*n)).sum()
}

/// A bound of `E[e^max λ]` over honest answers in thousandths, rounded up: `c + Σ E[(e^λ − c)⁺]`. The chance of a bin or a worse one
/// is taken to be `(n + 1)/(N + 1)`, so that what was never seen is not held to be impossible.
pub fn mean_milli(row: &CalibrationRow) -> i64 {
    let floor = power(LLR_MIN);
    let mut sum = floor;
    for table in &row.tables {
        let all = answers(table);
        let (mut before, mut from) = (floor, all);
        for (llr, honest) in table.llr.iter().zip(&table.honest) {
            let risen = power(*llr).saturating_sub(before).max(0);
            let share = i128::from(from.saturating_add(1).min(all.saturating_add(1)));
            sum = sum.saturating_add((i128::from(risen) * share / i128::from(all.saturating_add(1))) as i64 + 1);
            before = before.max(power(*llr));
            from = from.saturating_sub((*honest).into());
        }
    }
    (i128::from(sum) * 1_000 / i128::from(ONE)) as i64 + 1
}

/// `e^λ` with the binary places of `fixed`; λ is clamped.
fn power(llr: i16) -> i64 {
    // e^λ = e^−(3 − λ) · e³, and e³ = 20.0855…
    const E3: i64 = 20;
    const E3_REST_MICRO: i64 = 85_537;
    let below = i64::from(LLR_MAX - llr.clamp(LLR_MIN, LLR_MAX));
    let part = exp_minus(below * (ONE / i64::from(NAT)));
    part * E3 + part / 1_000_000 * E3_REST_MICRO
}

/// A table out of measurements: honest answers and cheats in each bin. Weights are log-likelihood ratios, each count with a half
/// added, made to rise, and lowered by `penalty` (in 256ths of a nat) so that the row stays within its budget.
pub fn table(cuts: Vec<u32>, honest: Vec<u32>, cheats: &[u32], penalty: i16) -> CalibrationTable {
    let total = |counts: &[u32]| counts.iter().map(|n| u64::from(*n)).sum::<u64>();
    let (all_honest, all_cheats) = (total(&honest), total(cheats));
    let ln = |n: u64| crate::fixed::ln(n) / (ONE / i64::from(NAT));
    let mut llr: Vec<i16> = Vec::with_capacity(honest.len());
    for (bin, h) in honest.iter().enumerate() {
        let c = cheats.get(bin).copied().unwrap_or(0);
        // ln((2c + 1)/(2h + 1)) + ln((2H + 1)/(2C + 1))
        let ratio =
            ln(2 * u64::from(c) + 1) - ln(2 * u64::from(*h) + 1) + ln(2 * all_honest + 1) - ln(2 * all_cheats + 1);
        let weight = (ratio - i64::from(penalty)).clamp(LLR_MIN.into(), LLR_MAX.into()) as i16;
        llr.push(weight.max(llr.last().copied().unwrap_or(LLR_MIN)));
    }
    let fail_bin = honest.len() as u32;
    CalibrationTable { cuts, honest, llr, fail_bin }
}

/// A row out of measurements of all statistics: `tables[i]` are cuts, honest answers and cheats of the i-th statistic. The weights are
/// lowered together until they fit the budget; the thresholds share what may fail evenly, because counts do not say which answers are the
/// same ([`super::measure`] knows). None if even the least weights do not fit, or an answer is missing somewhere.
pub fn calibrated(tokens_from: u32, tables: &[(Vec<u32>, Vec<u32>, Vec<u32>)]) -> Option<CalibrationRow> {
    let at = |penalty: i16| CalibrationRow {
        tokens_from,
        tables: tables.iter().map(|(cuts, honest, cheats)| with_threshold(cuts, honest, cheats, penalty)).collect(),
    };
    (0..=2 * LLR_MAX).step_by(16).map(at).find(|row| row_rules(row).is_ok())
}

fn with_threshold(cuts: &[u32], honest: &[u32], cheats: &[u32], penalty: i16) -> CalibrationTable {
    let mut table = table(cuts.into(), honest.into(), cheats, penalty);
    let may_fail = answers(&table) / HONEST_PER_FAIL / Statistic::ALL.len() as u64;
    let first = (1..honest.len()).find(|bin| beyond(&table, *bin) <= may_fail);
    table.fail_bin = first.unwrap_or(honest.len()) as u32;
    table
}

#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;
