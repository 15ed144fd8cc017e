//! How soon a cheat is found: calibrated on honest answers of the model, then judged.

use super::noise::{audited, Cheat, Text, Q4, Q8};
use ainonymous_types::{
    ActionHash, AgentPubKey, Bytes32, Calibration, EntryHash, Outcome, SpecRef, Standing, Statistics, Verdict,
};
use ainonymous_verify::audit::{calibration, evidence, measure, scope};
use serde::Serialize;

/// Auditors that take turns.
const AUDITORS: u8 = 5;
/// Audits after which a provider that was not accused is held not to be.
const AUDITS_MAX: u32 = 2_000;

/// How one cheat fares.
#[derive(Clone, Debug, Serialize)]
pub struct DetectionRow {
    /// What is written.
    pub text: Text,
    /// Noise between honest machines: deviation per logit.
    pub sigma: f64,
    /// Tokens of an answer.
    pub tokens: usize,
    /// What the provider does.
    pub cheat: Cheat,
    /// Share of its answers that fail.
    pub fails: f64,
    /// Mean weight of an audit, in nats.
    pub weight: f64,
    /// Audits until it is accused, on average; none if it never was.
    pub audits: Option<f64>,
}

/// A row for each cheat: `answers` honest ones to calibrate with, a tenth as many of each cheat to judge.
pub fn detection(text: Text, sigma: f64, tokens: usize, answers: u64, seed: u64) -> Vec<DetectionRow> {
    let measured = |cheat: Cheat, n: u64, salt: u64| -> Vec<Statistics> {
        (0..n)
            .filter_map(|i| match audited(text, cheat, sigma, tokens, seed ^ salt << 32 ^ i) {
                Outcome::Measured(found) => Some(found),
                _ => None,
            })
            .collect()
    };
    let known = [Cheat::Coarser(Q4), Cheat::Laundered(Q4)];
    let cheats: Vec<Statistics> = known.iter().flat_map(|cheat| measured(*cheat, answers / 10, 1)).collect();
    let Some(row) = measure::row(1, &measured(Cheat::Honest, answers, 0), &cheats) else { return Vec::new() };
    let spec = SpecRef { entry: EntryHash::from_raw_36(vec![1; 36]), action: ActionHash::from_raw_36(vec![1; 36]) };
    let (prover, verifier) = ("cpu".to_owned(), "cpu".to_owned());
    let table = Calibration { spec, prover, verifier, scope: scope::ALL, data: Bytes32([1; 32]), rows: vec![row] };
    let all = [
        Cheat::Honest,
        Cheat::Coarser(Q4),
        Cheat::Coarser(Q8),
        Cheat::Laundered(Q4),
        Cheat::OtherSeed,
        Cheat::OtherTemperature,
        Cheat::OneToken,
    ];
    all.into_iter()
        .map(|cheat| {
            let judged: Vec<_> = measured(cheat, answers / 10, 2)
                .into_iter()
                .map(|found| calibration::judge(Some(&table), &Outcome::Measured(found)))
                .collect();
            let share = |count: usize| count as f64 / judged.len().max(1) as f64;
            let sum: f64 = judged.iter().map(|(_, llr)| f64::from(*llr) / f64::from(calibration::NAT)).sum();
            DetectionRow {
                text,
                sigma,
                tokens,
                cheat,
                fails: share(judged.iter().filter(|(verdict, _)| *verdict == Verdict::Fail).count()),
                weight: sum / judged.len().max(1) as f64,
                audits: until_accused(&judged.iter().map(|(_, llr)| *llr).collect::<Vec<_>>()),
            }
        })
        .collect()
}

/// Audits until the bound is crossed, on average over the answers in turn; none if one run never ended.
fn until_accused(weights: &[i16]) -> Option<f64> {
    if weights.is_empty() {
        return None;
    }
    let (mut runs, mut at, mut total) = (0u32, 0usize, 0u32);
    while runs < 20 {
        let mut standing = Standing::default();
        let mut audits = 0;
        while !evidence::is_enough(&standing) {
            let auditor = AgentPubKey::from_raw_36(vec![(audits % u32::from(AUDITORS)) as u8; 36]);
            standing = evidence::add(&standing, &auditor, weights[at % weights.len()]);
            at += 1;
            audits += 1;
            if audits > AUDITS_MAX {
                return None;
            }
        }
        runs += 1;
        total += audits;
    }
    Some(f64::from(total) / f64::from(runs))
}
