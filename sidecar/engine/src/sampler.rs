//! From logits to a token: pure, so that whoever has logits and seed gets the same token.
//!
//! The surviving set is cut from the untempered distribution: `top_k`, then `top_p`, then `min_p`. Among the survivors
//! the token is `argmax(logit + T · g)` where `g = −ln(−ln u)` and `u` is a hash of (seed, position, token id); ties go to
//! the lowest id. Nothing depends on an earlier draw, so batching, retries and speculation cannot desynchronise it.
//! `position` counts the answer's tokens from 0. `g` is `ainonymous_verify::gumbel`'s, in fixed point, and what is compared
//! is exact but for one rounding that IEEE 754 defines: whoever has the same survivors finds the same token, natively or in wasm.
//! This is sampler version [`SAMPLER_VERSION`].

mod margin;

pub(crate) use margin::Judged;
pub use margin::MARGIN_MILLI_MAX;

use ainonymous_types::Sampling;
use ainonymous_verify::gumbel::{noise, noise_at_most, Dice, NOISE_ONE};

/// Names the rules of this module in a model spec.
pub const SAMPLER_VERSION: u16 = 2;

/// One nat in units of a score: noise counts in parts of a nat, and temperature in thousandths.
const SCORE_ONE: f64 = NOISE_ONE as f64 * 1_000.0;

/// Candidates looked at first when a probability bound has to be met without a `top_k`.
const CANDIDATES_START: usize = 256;

/// One token id and its logit.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    id: u32,
    logit: f32,
}

/// Chooses tokens by fixed settings; holds scratch memory only.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// A sampler with these settings.
    pub fn new(sampling: Sampling) -> Self {
        Self { sampling, candidates: Vec::new() }
    }

    /// The token at `position` of the answer. Logits that are not numbers count as impossible.
    pub fn choose(&mut self, logits: &[f32], position: u32) -> u32 {
        if self.is_greedy(logits) {
            return argmax(logits);
        }
        self.survivors(logits);
        let dice = Dice::new(self.sampling.seed, position);
        let mut best = (f64::NEG_INFINITY, u32::MAX);
        for c in &self.candidates {
            let bits = dice.bits(c.id);
            // Most are too unlikely for any noise that they may have: not worth two logarithms.
            if self.score(*c, noise_at_most(bits)) < best.0 {
                continue;
            }
            let score = self.score(*c, noise(bits));
            if score > best.0 || (score == best.0 && c.id < best.1) {
                best = (score, c.id);
            }
        }
        if best.1 == u32::MAX {
            argmax(logits)
        } else {
            best.1
        }
    }

    /// Is there nothing to draw?
    fn is_greedy(&self, logits: &[f32]) -> bool {
        let Sampling { temperature_milli, top_k, .. } = self.sampling;
        temperature_milli == 0 || top_k == 1 || logits.len() < 2
    }

    /// What the survivors are compared by, in parts of a nat ([`SCORE_ONE`]). Both products are exact.
    fn score(&self, candidate: Candidate, noise: i32) -> f64 {
        f64::from(candidate.logit) * SCORE_ONE + f64::from(self.sampling.temperature_milli) * f64::from(noise)
    }

    /// Leaves the surviving set in `self.candidates`.
    fn survivors(&mut self, logits: &[f32]) {
        let s = self.sampling;
        let all = &mut self.candidates;
        all.clear();
        all.extend(logits.iter().zip(0u32..).filter(|(l, _)| !l.is_nan()).map(|(&logit, id)| Candidate { id, logit }));
        if s.top_k > 0 && (s.top_k as usize) < all.len() {
            let k = s.top_k as usize;
            all.select_nth_unstable_by(k - 1, better);
            all.truncate(k);
        }
        if s.top_p_milli < 1_000 {
            cut_top_p(all, f64::from(s.top_p_milli) / 1_000.0);
        }
        if s.min_p_milli > 0 {
            let highest = all.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max);
            let floor = f64::from(highest) + (f64::from(s.min_p_milli.min(1_000)) / 1_000.0).ln();
            all.retain(|c| f64::from(c.logit) >= floor);
        }
    }
}

/// Most likely first, then lowest id: a total order, so that partial sorting is deterministic.
fn better(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

/// Keeps the shortest run of most likely candidates that together reach `p`; at least one.
fn cut_top_p(all: &mut Vec<Candidate>, p: f64) {
    let highest = all.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max);
    let weight = |c: &Candidate| f64::from(c.logit - highest).exp();
    let target = p * all.iter().map(weight).sum::<f64>();
    let mut look = CANDIDATES_START;
    loop {
        let look_at = look.min(all.len());
        if look_at < all.len() {
            all.select_nth_unstable_by(look_at, better);
        }
        all[..look_at].sort_unstable_by(better);
        let mut reached = 0.0;
        for i in 0..look_at {
            reached += weight(&all[i]);
            if reached >= target {
                all.truncate(i + 1);
                return;
            }
        }
        if look_at == all.len() {
            return;
        }
        look *= 8;
    }
}

/// The most likely token; ties to the lowest id; 0 if there is none.
fn argmax(logits: &[f32]) -> u32 {
    // First how high it is, in lanes that become vectors, then where: several times as fast as both at once.
    const LANES: usize = 16;
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in logits.chunks(LANES) {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    let highest = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&logit| logit == highest).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(temperature_milli: u32) -> Sampling {
        Sampling { temperature_milli, top_p_milli: 1_000, min_p_milli: 0, top_k: 0, seed: 7 }
    }

    fn set(sampling: Sampling, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        sampler.survivors(logits);
        let mut ids: Vec<u32> = sampler.candidates.iter().map(|c| c.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn temperature_zero_takes_the_most_likely_and_the_lowest_id_of_equals() {
        let mut sampler = Sampler::new(plain(0));
        assert_eq!(sampler.choose(&[0.0, 3.0, 3.0, -1.0], 0), 1);
        assert_eq!(sampler.choose(&[f32::NAN, f32::NEG_INFINITY, -5.0], 0), 2);
        assert_eq!(sampler.choose(&[f32::NAN; 3], 0), 0);
    }

    #[test]
    fn the_bounds_cut_what_they_say() {
        let logits: Vec<f32> = [0.5f32, 0.25, 0.125, 0.0625, 0.0625].iter().map(|p| p.ln()).collect();
        assert_eq!(set(Sampling { top_k: 2, ..plain(1_000) }, &logits), [0, 1]);
        assert_eq!(set(Sampling { top_p_milli: 740, ..plain(1_000) }, &logits), [0, 1]);
        assert_eq!(set(Sampling { top_p_milli: 760, ..plain(1_000) }, &logits), [0, 1, 2]);
        assert_eq!(set(Sampling { top_p_milli: 0, ..plain(1_000) }, &logits), [0]);
        assert_eq!(set(Sampling { min_p_milli: 240, ..plain(1_000) }, &logits), [0, 1, 2]);
        assert_eq!(set(Sampling { top_k: 4, ..plain(1_000) }, &logits), [0, 1, 2, 3], "equals: the lowest id stays");
    }

    #[test]
    fn top_p_over_a_large_flat_vocabulary() {
        let logits = vec![0.0; 10_000];
        assert_eq!(set(Sampling { top_p_milli: 500, ..plain(1_000) }, &logits).len(), 5_000);
    }

    #[test]
    fn the_draw_follows_the_distribution() {
        let p = [0.6f64, 0.3, 0.1];
        let logits: Vec<f32> = p.iter().map(|p| p.ln() as f32).collect();
        let mut sampler = Sampler::new(plain(1_000));
        let mut count = [0u32; 3];
        for position in 0..20_000 {
            count[sampler.choose(&logits, position) as usize] += 1;
        }
        for (seen, p) in count.iter().zip(p) {
            assert!((f64::from(*seen) / 20_000.0 - p).abs() < 0.015, "{count:?}");
        }
    }

    #[test]
    fn the_draw_depends_on_seed_position_and_id_only() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin()).collect();
        let draw = |seed, position| Sampler::new(Sampling { seed, ..plain(1_000) }).choose(&logits, position);
        assert_eq!(draw(1, 5), draw(1, 5));
        let mut warm = Sampler::new(Sampling { seed: 1, ..plain(1_000) });
        let in_order: Vec<u32> = (0..64).map(|t| warm.choose(&logits, t)).collect();
        let alone: Vec<u32> = (0..64).map(|t| draw(1, t)).collect();
        assert_eq!(in_order, alone);
        assert_ne!(alone, (0..64).map(|t| draw(2, t)).collect::<Vec<_>>());
    }

    #[test]
    fn the_most_likely_is_the_first_of_the_highest_numbers() {
        let mut logits: Vec<f32> = (0..37).map(|i| ((i * 29) % 31) as f32).collect();
        for at in [36, 20, 16, 15, 0] {
            logits[at] = 40.0;
            assert_eq!(argmax(&logits), at as u32);
        }
        logits[3] = f32::NAN;
        assert_eq!(argmax(&logits), 0);
        assert_eq!(argmax(&[f32::NAN, f32::NEG_INFINITY, -1.0]), 2);
        assert_eq!(argmax(&[f32::NAN, f32::NAN]), 0);
        assert_eq!(argmax(&[]), 0);
    }

    /// Computed by an independent implementation of the rules above; a change is a change of the sampler's version.
    #[test]
    fn golden_draws() {
        let dice = Dice::new(42, 3);
        assert_eq!([0, 1, 262_143].map(|id| dice.bits(id)), GOLDEN_BITS);
        let logits: Vec<f32> = (0..100).map(|i| ((i * 37 % 100) as f32) / 25.0).collect();
        let mut sampler = Sampler::new(Sampling { seed: 42, ..Sampling::default() });
        let ids: Vec<u32> = (0..8).map(|t| sampler.choose(&logits, t)).collect();
        assert_eq!(ids, [27, 94, 81, 54, 16, 83, 35, 51]);
    }

    const GOLDEN_BITS: [u64; 3] = [8_833_642_796_431_326_799, 8_132_707_891_154_835_891, 3_523_248_911_801_452_250];
}
