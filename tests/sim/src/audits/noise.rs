//! The noise of machines, as a model: logits are those of the true model plus independent Gaussian noise.
//!
//! - A text is a row of positions, each with 64 tokens whose logits fall with the logarithm of their rank, as steeply as gives an
//!   entropy of about 2.0 nats (like an encyclopedia) or 0.8 (like a chat), varied from position to position.
//! - Honest machines differ by a standard deviation of 0.0095 to 0.04 per logit (BF16 against FP16, and same quantisation on other
//!   kernels, fitted to llama.cpp's perplexity tables).
//! - `q4_k_m` for `q8_0` differs by 0.28, `q8_0` for `f16` by 0.058: from their Kullback-Leibler divergences of 0.0313 and 0.00136.
//!
//! Independent noise flatters what averages over many tokens: expect three to ten times as many tokens in reality.

use super::random::Random;
use ainonymous_types::{Bytes32, Likely, OpenedLeaf, Outcome, Position, ReplayLeaf};
use ainonymous_verify::audit::{fingerprint, leaf, statistics};
use ainonymous_verify::gumbel::{Dice, NOISE_ONE};
use serde::Serialize;

/// Tokens that are told apart at a position.
const CANDIDATES: usize = 64;
/// Standard deviation per logit of `q4_k_m` against `q8_0`.
pub(crate) const Q4: f64 = 0.28;
/// Standard deviation per logit of `q8_0` against `f16`.
pub(crate) const Q8: f64 = 0.058;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Text {
    /// About 2.0 nats a token.
    Encyclopedia,
    /// About 0.8 nats a token.
    Chat,
}

impl Text {
    fn steepness(self) -> std::ops::Range<f64> {
        match self {
            Self::Encyclopedia => 0.9..2.6,
            Self::Chat => 2.0..5.5,
        }
    }
}

/// What a provider does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cheat {
    /// Nothing: another machine, no cheat.
    Honest,
    /// Decodes a coarser model and says so in its fingerprint.
    Coarser(f64),
    /// Decodes a coarser model, then makes the fingerprint with the true one.
    Laundered(f64),
    /// Draws with dice of its own.
    OtherSeed,
    /// Draws at 0.9 of the temperature.
    OtherTemperature,
    /// Replaces one token of the answer.
    OneToken,
}

/// One answer: what its audit gives. `sigma` is the noise between honest machines.
pub(crate) fn audited(text: Text, cheat: Cheat, sigma: f64, tokens: usize, seed: u64) -> Outcome {
    let mut random = Random(seed);
    let dice_seed = random.bits() >> 11;
    let replaced = random.below(tokens);
    let mut said = Vec::with_capacity(tokens);
    let (mut theirs, mut ours): (Vec<Position>, Vec<Position>) = (Vec::new(), Vec::new());
    let mut margins = Vec::new();
    for t in 0..tokens {
        let truth = logits(text, &mut random);
        let honest = noisy(&truth, sigma, &mut random);
        let decoded = match cheat {
            Cheat::Coarser(by) | Cheat::Laundered(by) => noisy(&honest, by, &mut random),
            _ => honest.clone(),
        };
        let shown = if matches!(cheat, Cheat::Laundered(_)) { &honest } else { &decoded };
        let dice = Dice::new(if cheat == Cheat::OtherSeed { dice_seed ^ 1 } else { dice_seed }, t as u32);
        let temperature = if cheat == Cheat::OtherTemperature { 0.9 } else { 1.0 };
        let mut token = drawn(&decoded, &dice, temperature).0;
        if cheat == Cheat::OneToken && t == replaced {
            token = (token + 1 + random.below(8)) % CANDIDATES;
        }
        let (_, scores) = drawn(&truth, &Dice::new(dice_seed, t as u32), 1.0);
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        margins.push(((best - scores[token]) * 1_024.0).min(512.0).round() as u16);
        said.push(token as u32);
        theirs.push(likely(shown));
        ours.push(likely(&truth));
    }
    compared(&said, &theirs, &ours, &margins)
}

/// The real way: encoded, committed, opened, decoded, compared. With no more candidates than the auditor looks at, no token is
/// impossible.
fn compared(said: &[u32], theirs: &[Position], ours: &[Position], margins: &[u16]) -> Outcome {
    let leaves = |positions| leaf::leaves(&Bytes32([1; 32]), said, positions).unwrap_or_default();
    let opened: Vec<OpenedLeaf> = leaves(theirs);
    let replay: Vec<ReplayLeaf> = leaves(ours)
        .into_iter()
        .zip(margins.chunks(32))
        .map(|(leaf, margins)| ReplayLeaf { leaf, margins: margins.into(), impossible: 0 })
        .collect();
    statistics::outcome(&opened, &replay).unwrap_or(Outcome::Mismatch)
}

fn logits(text: Text, random: &mut Random) -> Vec<f64> {
    let std::ops::Range { start, end } = text.steepness();
    let steep = start + (end - start) * random.unit();
    (1..=CANDIDATES).map(|rank| -steep * (rank as f64).ln() + random.gauss() * 0.3).collect()
}

fn noisy(logits: &[f64], sigma: f64, random: &mut Random) -> Vec<f64> {
    logits.iter().map(|logit| logit + sigma * random.gauss()).collect()
}

fn drawn(logits: &[f64], dice: &Dice, temperature: f64) -> (usize, Vec<f64>) {
    let noise = |id: usize| f64::from(dice.noise(id as u32)) / f64::from(NOISE_ONE);
    let scores: Vec<f64> = logits.iter().enumerate().map(|(id, logit)| logit + temperature * noise(id)).collect();
    let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(0);
    (best, scores)
}

fn likely(logits: &[f64]) -> Position {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    let sixteenths = |logit: &f64| ((sum.ln() - logit) * 16.0).round().clamp(0.0, 1_023.0) as u16;
    let all = logits.iter().zip(0u32..).map(|(logit, id)| Likely { id, minus_sixteenths: sixteenths(logit) });
    fingerprint::position(all.collect())
}
