//! Audits, simulated over the real judgements of `verify`: how rarely an honest provider is accused, how soon a cheat is.
//!
//! The noise of machines is a model here (see [`noise`]), stated and not measured; what is computed from it is the real code.

mod bound;
mod detection;
mod noise;
mod random;

pub use bound::{exact_year, hazard, simulated, Cell, Simulated};
pub use detection::{detection, DetectionRow};
pub use noise::{Cheat, Text};

use serde::Serialize;

/// How rarely an honest provider is accused, in one cell.
#[derive(Clone, Debug, Serialize)]
pub struct HonestRow {
    /// What its audits weigh.
    pub cell: &'static str,
    /// The mean of `e^λ`.
    pub mean: f64,
    /// The chance to be accused within a year of 52,560 reports: exact, by the chain of scores.
    pub exact_year: f64,
    /// The bound on it that holds for every cell within the budget.
    pub bound_year: f64,
    /// Simulated reports, and accusations among them.
    pub simulated: u64,
    /// Of these, how many accused.
    pub accused: u64,
}

/// The honest cells, each with so many simulated reports.
pub fn honest(reports: u64, seed: u64) -> Vec<HonestRow> {
    use ainonymous_verify::audit::evidence;
    let h = evidence::accuses();
    let row = |cell: Cell| HonestRow {
        cell: cell.name,
        mean: cell.mean(),
        exact_year: exact_year(&cell, h),
        bound_year: 5.0 * evidence::REPORTS_PER_YEAR as f64 * (-f64::from(h) / 256.0).exp(),
        simulated: reports,
        accused: simulated(&cell, h, reports, seed).accused,
    };
    Cell::all().into_iter().map(row).collect()
}
