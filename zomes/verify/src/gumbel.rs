//! The dice of sampling: the same noise for the same seed, position and token, natively and in wasm, bit for bit.
//!
//! A token is drawn as `argmax(logit + T · g)` with `g = −ln(−ln u)` (the Gumbel-max trick: Gumbel 1954; as a check on
//! providers: Token-DiFR, arXiv 2511.20621). `u` is a hash of seed, position and token id, so nothing depends on an earlier
//! draw, and whoever has logits and seed can draw again. Floating-point logarithms differ between machines in their last
//! bits; here they are integers, in units of 2⁻²⁴ nat ([`NOISE_ONE`]), less than one unit
//! from the exact value.
//! This module must not know logits, models, or how the surviving tokens are chosen.

use crate::fixed::{ln, ln_mantissa, ln_near_one, times, LN2, PLACES};
use sha2::{Digest, Sha256};

/// One nat, in units of [`Dice::noise`].
pub const NOISE_ONE: i32 = 1 << 24;
/// Version of the noise: the keyed hash and the logarithms. Part of the sampler's version in a model spec.
pub const NOISE_VERSION: u16 = 2;

/// The randomness of one position of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    keys: [u64; 2],
}

impl Dice {
    /// The dice of this position, counted from 0 at the answer's first token, under the requester's seed.
    pub fn new(seed: u64, position: u32) -> Self {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(b"ainonymous/gumbel/1")
            .chain_update(seed.to_le_bytes())
            .chain_update(position.to_le_bytes())
            .finalize()
            .into();
        let word = |i: usize| hash[i * 8..i * 8 + 8].iter().rev().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
        Self { keys: [word(0), word(1)] }
    }

    /// 64 even bits for a token.
    pub fn bits(&self, id: u32) -> u64 {
        mix(self.keys[0] ^ mix(self.keys[1].wrapping_add(u64::from(id))))
    }

    /// The noise of a token, in units of 2⁻²⁴ nat: from about −3.8 to 45.1 nats.
    pub fn noise(&self, id: u32) -> i32 {
        noise(self.bits(id))
    }
}

/// `−ln(−ln u)` for `u = (bits + ½)/2⁶⁴`, in units of 2⁻²⁴ nat: what is rounded is within 2⁻³⁸ nat of the exact value.
///
/// Below ½, `e = −ln u` is found first and then its logarithm. Above, `e` is found from `v = 1 − u`, which is exact, so that
/// `e` keeps its relative precision however small it is: by the logarithm, or by the series
/// `−ln(1−v) = v·(1 + v/2 + v²/3 + …)` where `v < 2⁻⁹`.
pub fn noise(bits: u64) -> i32 {
    let g = if bits < HALF {
        NATS_56 - ln((65 * LN2 - ln(2 * bits + 1)).unsigned_abs())
    } else {
        let v = 2 * !bits + 1; // 1 − u, in units of 2⁻⁶⁵
        if v >= 1 << 56 {
            NATS_56 - ln((LN2 - ln_mantissa(bits)).unsigned_abs())
        } else {
            let (v, v_65) = ((v >> 9) as i64, v);
            let y = v / 2 + times(v, v) / 3 + times(times(v, v), v) / 4;
            65 * LN2 - ln(v_65) - ln_near_one(y)
        }
    };
    ((g + (1 << 31)) >> 32) as i32
}

/// At least [`noise`] of the same bits, in a few instructions: most tokens of a large vocabulary are ruled out by it.
pub fn noise_at_most(bits: u64) -> i32 {
    if bits < HALF {
        return LN_LN2_MOST;
    }
    // e ≥ v ≥ 2^−(zeros + 2), because v has `zeros` leading zeros in units of 2⁻⁶⁵ on 64 bits.
    let zeros = (2 * !bits + 1).leading_zeros() as i64;
    ((((zeros + 2) * LN2) >> 32) + 1) as i32
}

/// Where `u` is one half.
const HALF: u64 = 1 << 63;
/// The logarithm of 2⁵⁶.
const NATS_56: i64 = PLACES as i64 * LN2;
/// Above −ln(ln 2) = 0.36651, in units of 2⁻²⁴.
const LN_LN2_MOST: i32 = 6_149_067;

/// A bijective mixer of 64 bits in which every input bit reaches every output bit (SplitMix64's).
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By an independent implementation with 80 decimal places.
    const GOLDEN: [(u64, i32); 11] = [
        (0, -63_885_530),
        (1, -63_471_364),
        (1 << 32, -51_996_333),
        (1 << 62, -5_480_014),
        (HALF - 1, 6_149_066),
        (HALF, 6_149_066),
        (0xc000_0000_0000_0000, 20_902_722),
        (0xff7f_ffff_ffff_ffff, 104_645_322),
        (0xff80_0000_0000_0000, 104_645_322),
        (0xffff_ffff_fff0_0000, 511_679_527),
        (u64::MAX, 755_890_198),
    ];

    #[test]
    fn golden_noise() {
        for (bits, expected) in GOLDEN {
            assert_eq!(noise(bits), expected, "{bits:#x}");
        }
        let dice = Dice::new(42, 3);
        let bits = [8_833_642_796_431_326_799, 8_132_707_891_154_835_891, 3_523_248_911_801_452_250];
        assert_eq!([0, 1, 262_143].map(|id| dice.bits(id)), bits);
        assert_eq!([0, 1, 262_143].map(|id| dice.noise(id)), [5_135_337, 3_350_051, -8_457_490]);
        assert_eq!(Dice::new(0, 0).noise(0), 72_612_971);
        assert_eq!(Dice::new((1 << 53) - 1, u32::MAX).noise(u32::MAX), 7_926_377);
    }

    /// Bits of every magnitude, from both ends.
    fn all_kinds_of_bits() -> impl Iterator<Item = u64> {
        (0..200_000u64).flat_map(|i| {
            let random = mix(i);
            [random, random >> (i % 64), !(random >> (i % 64))]
        })
    }

    #[test]
    fn it_is_the_double_logarithm() {
        for bits in all_kinds_of_bits() {
            // ln(1 + x) keeps its precision where u is nearly one, whose distance from one is exact.
            let e = if bits < HALF {
                -((bits as f64 + 0.5) / 2f64.powi(64)).ln()
            } else {
                -(-(!bits as f64 + 0.5) / 2f64.powi(64)).ln_1p()
            };
            let exact = -e.ln() * f64::from(NOISE_ONE);
            assert!((f64::from(noise(bits)) - exact).abs() <= 0.51, "{bits:#x}");
        }
    }

    #[test]
    fn the_quick_bound_is_one_and_is_close_where_it_matters() {
        for bits in all_kinds_of_bits() {
            let over = noise_at_most(bits) - noise(bits);
            assert!(over >= 0, "{bits:#x}");
            assert!(bits < HALF || over <= NOISE_ONE + NOISE_ONE / 16, "{bits:#x}");
        }
    }

    #[test]
    fn its_mean_and_spread_are_those_of_the_distribution() {
        let draws: Vec<f64> =
            (0..100_000).map(|t| f64::from(Dice::new(9, t).noise(5)) / f64::from(NOISE_ONE)).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 0.5772).abs() < 0.02, "{mean}");
        assert!((variance - 1.6449).abs() < 0.05, "{variance}");
    }
}
