//! Dice that fall the same everywhere.

/// SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number as from a normal distribution of deviation 1: the sum of twelve even ones, for no function of a system's library
    /// is the same to the last bit everywhere.
    pub(super) fn normal(&mut self) -> f32 {
        let of_16_bits = |x: u64| (x & 0xffff) + (x >> 16 & 0xffff) + (x >> 32 & 0xffff) + (x >> 48);
        let sum: u64 = (0..3).map(|_| of_16_bits(self.next())).sum();
        // Twelve numbers below 2¹⁶: their mean, and a deviation of 2¹⁶.
        (sum as i64 - 6 * 0xffff) as f32 / 65_536.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_nearly_normal() {
        let mut dice = Dice::new();
        let numbers: Vec<f64> = (0..100_000).map(|_| f64::from(dice.normal())).collect();
        let mean = |power: i32| numbers.iter().map(|x| x.powi(power)).sum::<f64>() / numbers.len() as f64;
        assert!(mean(1).abs() < 0.01, "{}", mean(1));
        assert!((mean(2) - 1.0).abs() < 0.02, "{}", mean(2));
        assert!((mean(4) - 2.9).abs() < 0.1, "{}", mean(4));
        let far = numbers.iter().filter(|x| x.abs() > 2.0).count();
        assert!((4_000..5_000).contains(&far), "{far}");
    }
}
