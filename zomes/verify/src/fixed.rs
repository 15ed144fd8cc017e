//! Logarithms and exponentials in fixed point: integers in, integers out, the same natively and in wasm, bit for bit.
//!
//! Values have [`PLACES`] binary places. The only table is computed by the compiler, in integers as well. This module must not
//! know what is computed with it.

/// Binary places of the values here.
pub(crate) const PLACES: u32 = 56;
/// One.
pub(crate) const ONE: i64 = 1 << PLACES;
/// The logarithm of 2.
pub(crate) const LN2: i64 = ln_of_ratio(1 << 31);
/// Parts that the interval from 1 to 2 is cut into.
const PARTS: usize = 256;

/// For each part of the interval from 1 to 2: the reciprocal of its middle with 32 binary places, and minus the logarithm of
/// that reciprocal.
static TABLE: [(u64, i64); PARTS] = {
    let mut table = [(0, 0); PARTS];
    let mut i = 0;
    while i < PARTS {
        let middle = 2 * (PARTS + i) as u64 + 1; // in units of 1/512
        let reciprocal = ((1u64 << 41) + middle / 2) / middle;
        table[i] = (reciprocal, ln_of_ratio(reciprocal));
        i += 1;
    }
    table
};

/// `ln(2³² / r)` for `r` from 2³¹ to 2³²: `2·artanh((2³² − r)/(2³² + r))` by its series, whose 25th term is below 2⁻⁷⁷.
const fn ln_of_ratio(r: u64) -> i64 {
    let r = r as u128;
    let t = (((1u128 << 32) - r) << 64) / ((1u128 << 32) + r);
    let square = (t * t) >> 64;
    let (mut power, mut sum, mut k) = (t, 0u128, 0u128);
    while k < 25 {
        sum += power / (2 * k + 1);
        power = (power * square) >> 64;
        k += 1;
    }
    ((2 * sum + (1 << 7)) >> 8) as i64
}

/// The natural logarithm of a positive integer, within 2⁻⁵⁰; zero counts as one.
pub(crate) fn ln(n: u64) -> i64 {
    let zeros = (n | 1).leading_zeros();
    (63 - i64::from(zeros)) * LN2 + ln_mantissa((n | u64::from(n == 0)) << zeros)
}

/// The logarithm of `m / 2⁶³`, which lies between 1 and 2.
pub(crate) fn ln_mantissa(m: u64) -> i64 {
    let (reciprocal, minus_ln) = TABLE[(m >> 55) as usize % PARTS];
    let product = (u128::from(m) * u128::from(reciprocal)) >> (63 + 32 - PLACES);
    minus_ln + ln_near_one(product as i64 - ONE)
}

/// `ln(1 + z)` for `|z| < 2⁻⁸`: the sixth term of the series is below 2⁻⁵⁰.
pub(crate) fn ln_near_one(z: i64) -> i64 {
    let z2 = times(z, z);
    let z3 = times(z2, z);
    z - z2 / 2 + z3 / 3 - times(z2, z2) / 4 + times(z2, z3) / 5
}

/// `e⁻ˣ` for any `x ≥ 0`, within 2⁻⁵⁰: the part of `x` below ln 2 by its series, whose 20th term is below 2⁻⁷⁰, the rest by halving.
/// Negative numbers count as zero.
pub(crate) fn exp_minus(x: i64) -> i64 {
    let x = x.max(0);
    let (halvings, rest) = (x / LN2, x % LN2);
    // From the innermost bracket outwards: 1 − r(1 − r/2(1 − r/3(…))).
    let series = (1..=20).rev().fold(ONE, |inner, k| ONE - times(rest, inner) / k);
    if halvings >= 63 {
        0
    } else {
        series >> halvings
    }
}

/// The product of two values whose product is below 2⁷.
pub(crate) fn times(a: i64, b: i64) -> i64 {
    ((i128::from(a) * i128::from(b)) >> PLACES) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_floating_point_says() {
        let float = |x: i64| x as f64 / ONE as f64;
        for n in (1..10_000u64).chain((14..64).flat_map(|k| [(1 << k) - 1, 1 << k, (1 << k) + 12_345])) {
            assert!((float(ln(n)) - (n as f64).ln()).abs() < 1e-14 * 64.0, "{n}");
        }
        assert_eq!(ln(0), ln(1));
        for i in 0..10_000 {
            let x = i * (ONE / 200);
            assert!((float(exp_minus(x)) - (-float(x)).exp()).abs() < 1e-14, "{x}");
        }
        assert_eq!((exp_minus(i64::MAX), exp_minus(-1)), (0, ONE));
    }

    #[test]
    fn the_exponential_undoes_the_logarithm() {
        for n in (1..1_000u64).chain([1 << 20, (1 << 40) + 1]) {
            let back = exp_minus(ln(n)) as f64 / ONE as f64 * n as f64;
            assert!((back - 1.0).abs() < 1e-15 * n as f64 + 1e-12, "{n}");
        }
    }
}
