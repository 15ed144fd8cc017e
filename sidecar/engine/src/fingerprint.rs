//! What is kept of each position of an answer, so that others can check later that the model was the one that was promised.
//!
//! The numbers are the model's own log-probabilities: the softmax over all logits at temperature 1, before anything cut or
//! changed them. They are rounded to sixteenths of a nat. Pure; it must not know models, questions or receipts. Made for
//! every token of every answer, so it reads the logits once and sorts nothing but a handful of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

/// Tokens of a fingerprint.
pub const FINGERPRINT_TOKENS: usize = 8;
/// Steps of a recorded log-probability in one nat.
pub const STEPS_PER_NAT: i16 = 16;
/// The lowest log-probability that is told apart, in sixteenths of a nat; whatever is less likely counts as this.
pub const LOGPROB_16_MIN: i16 = -256 * STEPS_PER_NAT;

/// Bytes of a fingerprint on the way from the worker.
const BYTES: usize = FINGERPRINT_TOKENS * 6 + 2;
/// Logits looked at together.
const BLOCK: usize = 64;
/// Numbers that are added beside each other: what a processor does at once, or several times that.
const LANES: usize = 16;

/// A token and how likely the model finds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Likely {
    /// Token id; `u32::MAX` where a vocabulary has fewer tokens than a fingerprint.
    pub id: u32,
    /// Log-probability in sixteenths of a nat, from [`LOGPROB_16_MIN`] to 0.
    pub logprob_16: i16,
}

/// What the model finds likely at one position of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// The most likely tokens, most likely first; ties by id.
    pub top: [Likely; FINGERPRINT_TOKENS],
    /// Log-probability of the token that stands in the answer, in sixteenths of a nat.
    pub chosen_16: i16,
}

crate::request::secret!(Likely, Fingerprint);

impl Fingerprint {
    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (place, Likely { id, logprob_16 }) in bytes.chunks_exact_mut(6).zip(self.top) {
            place[..4].copy_from_slice(&id.to_le_bytes());
            place[4..].copy_from_slice(&logprob_16.to_le_bytes());
        }
        bytes[BYTES - 2..].copy_from_slice(&self.chosen_16.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let short = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let place = |index: usize| {
            let at = index * 6;
            let id = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            Likely { id, logprob_16: short(at + 4) }
        };
        Self { top: std::array::from_fn(place), chosen_16: short(BYTES - 2) }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteArray::<BYTES>::deserialize(deserializer)?;
        Ok(Self::from_bytes(&bytes))
    }
}

const NO_TOKEN: Likely = Likely { id: u32::MAX, logprob_16: LOGPROB_16_MIN };

/// Reads rows of logits; keeps memory between them.
#[derive(Default)]
pub(crate) struct Recorder {
    /// The highest logit of each block of the row that was read last.
    highest: Vec<f32>,
    best: Vec<(u32, f32)>,
}

impl Recorder {
    /// The fingerprint of one position. Logits that are not numbers count as impossible.
    pub(crate) fn record(&mut self, logits: &[f32], chosen: u32) -> Fingerprint {
        let level = self.read(logits);
        let mut top = [NO_TOKEN; FINGERPRINT_TOKENS];
        for (place, &(id, logit)) in top.iter_mut().zip(self.best_of(logits, FINGERPRINT_TOKENS)) {
            *place = Likely { id, logprob_16: sixteenths(logit - level) };
        }
        let chosen = logits.get(chosen as usize).copied().unwrap_or(f32::NEG_INFINITY);
        Fingerprint { top, chosen_16: sixteenths(chosen - level) }
    }

    /// The `count`-th highest logit; the lowest if there are fewer.
    pub(crate) fn nth(&mut self, logits: &[f32], count: usize) -> f32 {
        self.read(logits);
        self.best_of(logits, count).last().map_or(f32::NEG_INFINITY, |&(_, logit)| logit)
    }

    /// Logarithm of the sum of the exponentials of a row; fills `self.highest`.
    fn read(&mut self, logits: &[f32]) -> f32 {
        self.highest.clear();
        // The sum is kept relative to the highest logit so far, which seldom changes after the first blocks.
        let (mut highest, mut sum) = (f32::NEG_INFINITY, 0f64);
        for block in logits.chunks(BLOCK) {
            let most = most(block);
            self.highest.push(most);
            if most > highest {
                sum *= f64::from(highest - most).exp();
                highest = most;
            }
            sum += f64::from(exponentials(block, highest));
        }
        highest + sum.ln() as f32
    }

    /// The highest logits of the row that was just read, highest first; ties by id.
    fn best_of(&mut self, logits: &[f32], count: usize) -> &[(u32, f32)] {
        let Self { highest, best } = self;
        best.clear();
        // As many blocks as are asked for have a logit of at least this, so no lower one is among the highest.
        for &most in highest.iter() {
            insert(best, (0, most), count);
        }
        let least = if best.len() < count { f32::NEG_INFINITY } else { best.last().map_or(f32::NEG_INFINITY, |b| b.1) };
        best.clear();
        for (block, at) in logits.chunks(BLOCK).zip(0..) {
            if highest[at] >= least {
                let first = (at * BLOCK) as u32;
                for (&logit, id) in block.iter().zip(first..).filter(|(logit, _)| **logit >= least) {
                    insert(best, (id, logit), count);
                }
            }
        }
        best
    }
}

/// Inserts into a short list that is sorted, highest first and ties by id, and keeps it short. Most do not get in.
fn insert(best: &mut Vec<(u32, f32)>, new: (u32, f32), count: usize) {
    let better = |a: &(u32, f32), b: &(u32, f32)| a.1 > b.1 || (a.1 == b.1 && a.0 < b.0);
    if new.1.is_nan() || (best.len() == count && best.last().is_none_or(|last| !better(&new, last))) {
        return;
    }
    let at = best.partition_point(|b| better(b, &new));
    if best.len() == count {
        best.pop();
    }
    best.insert(at, new);
}

/// The highest number of a block.
fn most(block: &[f32]) -> f32 {
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = block.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = higher(*lane, logit);
        }
    }
    lanes.into_iter().chain(chunks.remainder().iter().copied()).fold(f32::NEG_INFINITY, higher)
}

/// Sum of the exponentials of a block's numbers, less `highest`, which none of them exceeds.
fn exponentials(block: &[f32], highest: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut chunks = block.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane += exponential(logit - highest);
        }
    }
    lanes.into_iter().sum::<f32>() + chunks.remainder().iter().map(|&logit| exponential(logit - highest)).sum::<f32>()
}

/// `e^x` for `x` of at most 0, to 3 parts in a million, without a branch or a call so that several are computed at once:
/// `2^n · e^r` with whole `n` and `|r|` of at most half of `ln 2`. What is not a number counts as minus infinity.
fn exponential(x: f32) -> f32 {
    const LEAST: f32 = -87.0;
    /// Adding it rounds to whole numbers, and leaves in the lowest bits the exponent that a float of `2^n` has.
    const ROUND: f32 = 12_582_912.0 + 127.0;
    const LN_2_HIGH: f32 = 0.693_145_75;
    const LN_2_LOW: f32 = 1.428_606_8e-6;
    const MANTISSA_BITS: u32 = 23;
    let x = if x > LEAST { x } else { LEAST };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let power = 1.0 + r * (1.0 + r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0)))));
    power * f32::from_bits(rounded.to_bits() << MANTISSA_BITS)
}

/// A log-probability in sixteenths of a nat, within bounds; what is not a number is impossible.
pub(crate) fn sixteenths(nats: f32) -> i16 {
    let steps = (nats * f32::from(STEPS_PER_NAT)).round();
    if steps >= f32::from(LOGPROB_16_MIN) {
        steps.min(0.0) as i16
    } else {
        LOGPROB_16_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logprobs::logprobs;
    use proptest::prelude::*;

    fn ids(fingerprint: &Fingerprint) -> Vec<u32> {
        fingerprint.top.iter().map(|likely| likely.id).collect()
    }

    #[test]
    fn sixteenths_of_probabilities() {
        let mut logits: Vec<f32> = [0.5f32, 0.125, 0.25, 0.125].iter().map(|p| p.ln() + 3.0).collect();
        let found = Recorder::default().record(&logits, 3);
        assert_eq!(ids(&found)[..4], [0, 2, 1, 3], "most likely first, ties by id");
        assert_eq!(found.top.map(|likely| likely.logprob_16)[..5], [-11, -22, -33, -33, LOGPROB_16_MIN]);
        assert_eq!(found.top[4].id, u32::MAX, "there are no more tokens");
        assert_eq!(found.chosen_16, -33);
        logits.extend([f32::NAN, f32::NEG_INFINITY, -1e9]);
        let strange = Recorder::default().record(&logits, 4);
        assert_eq!((ids(&strange)[..4].to_vec(), strange.chosen_16), (vec![0, 2, 1, 3], LOGPROB_16_MIN));
        assert_eq!(Recorder::default().record(&logits, 99).chosen_16, LOGPROB_16_MIN, "no such token");
        assert_eq!(Recorder::default().record(&[], 0).top[0].id, u32::MAX);
    }

    #[test]
    fn one_certain_token_and_an_even_vocabulary() {
        let mut logits = vec![-1e4f32; 1_000];
        logits[777] = 10.0;
        let certain = Recorder::default().record(&logits, 777);
        assert_eq!((certain.top[0].id, certain.top[0].logprob_16, certain.chosen_16), (777, 0, 0));
        assert_eq!((certain.top[1].id, certain.top[1].logprob_16), (0, LOGPROB_16_MIN));
        let even = Recorder::default().record(&[0.0; 32_768], 5);
        assert_eq!(ids(&even), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(even.chosen_16, (-(32_768f32.ln()) * 16.0).round() as i16);
    }

    #[test]
    fn the_exponential_is_close() {
        for i in 0..87_000 {
            let x = -(i as f32) / 1_000.0;
            let (near, exact) = (f64::from(exponential(x)), f64::from(x).exp());
            assert!((near / exact - 1.0).abs() < 4e-6, "{x}: {near} {exact}");
        }
        assert!(exponential(f32::NEG_INFINITY) < 1e-37 && exponential(f32::NAN) < 1e-37);
    }

    #[test]
    fn the_way_from_the_worker_changes_nothing() {
        let logits: Vec<f32> = (0..300).map(|i| (i as f32 * 0.7).sin() * 9.0).collect();
        let before = Recorder::default().record(&logits, 17);
        let bytes = rmp_serde::to_vec(&before).unwrap();
        assert_eq!(bytes.len(), BYTES + 2);
        assert!(rmp_serde::from_slice::<Fingerprint>(&bytes).unwrap() == before);
        assert!(rmp_serde::from_slice::<Fingerprint>(&rmp_serde::to_vec(&[0u8; 3].as_slice()).unwrap()).is_err());
    }

    proptest! {
        /// The quick way and the plain one agree, for rows of any length with many ties.
        #[test]
        fn it_is_the_plain_computation(
            steps in prop::collection::vec(-400i16..400, 1..700),
            chosen in 0usize..700,
            count in 1usize..80,
        ) {
            let logits: Vec<f32> = steps.iter().map(|&s| f32::from(s) / 16.0).collect();
            let chosen = (chosen % logits.len()) as u32;
            let plain = logprobs(&logits, chosen, count.max(FINGERPRINT_TOKENS));
            let mut recorder = Recorder::default();
            let found = recorder.record(&logits, chosen);
            let close = |steps: i16, nats: f32| (f32::from(steps) / 16.0 - nats).abs() <= 1.0 / 32.0 + 1e-3;
            prop_assert!(close(found.chosen_16, plain.chosen));
            for (found, plain) in found.top.iter().zip(&plain.top) {
                prop_assert_eq!(found.id, plain.0);
                prop_assert!(close(found.logprob_16, plain.1));
            }
            let nth = plain.top[count.min(plain.top.len()) - 1].0;
            prop_assert_eq!(recorder.nth(&logits, count), logits[nth as usize]);
        }
    }
}
