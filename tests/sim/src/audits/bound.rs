//! The risk of an honest provider: exactly, from the chain of its scores, and by counting simulated reports.
//!
//! A cell is a distribution of weights λ with `E[e^λ] = 0.8`, the most that a calibration may have. The real cells lie below.

use super::random::Random;
use ainonymous_verify::audit::calibration::{LLR_MAX, LLR_MIN, NAT};
use ainonymous_verify::audit::evidence::REPORTS_PER_YEAR;

/// Steps after which the chance to cross in the next one no longer changes.
const SETTLED: usize = 4_096;

/// How the weights of honest audits are distributed.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its name.
    pub name: &'static str,
    /// Weights in 256ths of a nat, and how likely they are.
    pub weights: Vec<(i16, f64)>,
}

impl Cell {
    /// Cells at the edge of the budget: as rare and heavy as can be, in the middle, many light ones, and a slope of all.
    pub fn all() -> Vec<Self> {
        let steps = |name, weights: &[i16], shape: fn(f64) -> f64| Self::at_the_edge(name, weights, shape);
        vec![
            steps("rare and heavy", &[LLR_MAX], |_| 1.0),
            steps("one nat", &[NAT], |_| 1.0),
            steps("light", &[NAT / 4], |_| 1.0),
            steps("a slope", &[0, 64, 128, 256, 384, 512, 640, LLR_MAX], |nats| (-1.5 * nats).exp()),
        ]
    }

    /// The least weight, and others in the given proportions, as likely together as the budget allows.
    fn at_the_edge(name: &'static str, weights: &[i16], shape: fn(f64) -> f64) -> Self {
        let floor = power(LLR_MIN);
        let shares: Vec<f64> = weights.iter().map(|llr| shape(f64::from(*llr) / f64::from(NAT))).collect();
        let gain: f64 = weights.iter().zip(&shares).map(|(llr, share)| share * (power(*llr) - floor)).sum();
        let scale = (0.8 - floor) / gain;
        let others: f64 = shares.iter().map(|share| share * scale).sum();
        let mut all = vec![(LLR_MIN, 1.0 - others)];
        all.extend(weights.iter().zip(&shares).map(|(llr, share)| (*llr, share * scale)));
        Self { name, weights: all }
    }

    /// `E[e^λ]`.
    pub fn mean(&self) -> f64 {
        self.weights.iter().map(|(llr, p)| p * power(*llr)).sum()
    }
}

fn power(llr: i16) -> f64 {
    (f64::from(llr) / f64::from(NAT)).exp()
}

/// The chance that a score crosses `bound` within a year of reports.
pub fn exact_year(cell: &Cell, bound: u32) -> f64 {
    // 1 − (1 − x)ⁿ, without losing a small x.
    -(REPORTS_PER_YEAR as f64 * (-hazard(cell, bound)).ln_1p()).exp_m1()
}

/// The chance that the next report crosses `bound`, for a score that has not yet: all scores are followed until it has settled. It
/// only rises until then, because a score begins at nothing.
pub fn hazard(cell: &Cell, bound: u32) -> f64 {
    let states = bound as usize;
    let mut now = vec![0.0; states];
    now[0] = 1.0;
    let mut hazard = 0.0;
    let mut before = 0.0;
    for _ in 0..SETTLED {
        let mut next = vec![0.0; states];
        let mut crossed = 0.0;
        for (llr, p) in &cell.weights {
            let by = isize::from(*llr);
            for (score, mass) in now.iter().enumerate() {
                let to = (score as isize + by).max(0) as usize;
                match next.get_mut(to) {
                    Some(there) => *there += p * mass,
                    None => crossed += p * mass,
                }
            }
        }
        let left: f64 = next.iter().sum();
        before = hazard;
        hazard = crossed / (left + crossed);
        next.iter_mut().for_each(|mass| *mass /= left);
        now = next;
    }
    assert!(hazard - before <= hazard * 1e-6, "not settled: {before} {hazard}");
    hazard
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// Reports.
    pub reports: u64,
    /// How often the score crossed; it begins anew then.
    pub accused: u64,
    /// The highest score that did not.
    pub highest: u32,
}

/// Simulates reports one by one, in integers. No cap for auditors: it could only lower the score.
pub fn simulated(cell: &Cell, bound: u32, reports: u64, seed: u64) -> Simulated {
    // Weights above the least one, by cumulated chance in units of 2⁻⁶⁴: nearly every report stops at the first comparison.
    let mut edges: Vec<(u64, i32)> = Vec::new();
    let mut sum = 0.0;
    for (llr, p) in cell.weights.iter().skip(1).rev() {
        sum += p;
        edges.push(((sum * 2f64.powi(64)) as u64, i32::from(*llr)));
    }
    let least = i32::from(LLR_MIN);
    let (mut random, mut score) = (Random(seed), 0i32);
    let mut found = Simulated { reports, accused: 0, highest: 0 };
    for _ in 0..reports {
        let x = random.bits();
        let llr = match edges.last() {
            Some((edge, _)) if x < *edge => edges.iter().find(|(edge, _)| x < *edge).map_or(least, |(_, llr)| *llr),
            _ => least,
        };
        score = (score + llr).max(0);
        if score as u32 >= bound {
            found.accused += 1;
            score = 0;
        } else {
            found.highest = found.highest.max(score as u32);
        }
    }
    found
}
