//! Dice that are passed in: 32 random bytes, drawn out to as many numbers as a decision needs.
//!
//! The caller brings fresh bytes from its operating system for every request; nothing here may draw its own. The generator is
//! xoshiro256++: quick and even. What it throws shows outside only as who is asked, so no peer sees enough of it to
//! guess the next throw, and the next request has other bytes.

/// Bytes of randomness that one decision takes.
pub const RANDOM_BYTES: usize = 32;

/// Numbers out of random bytes.
#[derive(Clone)]
pub(crate) struct Dice([u64; 4]);

impl std::fmt::Debug for Dice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dice")
    }
}

impl Dice {
    pub(crate) fn new(random: &[u8; RANDOM_BYTES]) -> Self {
        let mut state = [0u64; 4];
        for (word, bytes) in state.iter_mut().zip(random.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        // All zeros is the one state that the generator never leaves.
        state[0] |= u64::from(state == [0; 4]);
        Self(state)
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let thrown = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        thrown
    }

    /// A number below `end`; 0 if there is none. Even to one part in 2^64 for the small ends used here.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.next()) * (end as u128);
        (wide >> 64) as usize
    }

    /// Moves `count` items chosen evenly to the front, in random order.
    pub(crate) fn draw<T>(&mut self, items: &mut [T], count: usize) {
        for at in 0..count.min(items.len()) {
            let other = at + self.below(items.len() - at);
            items.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throws_are_even_and_follow_from_the_bytes() {
        let mut dice = Dice::new(&[7; RANDOM_BYTES]);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[dice.below(6)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(Dice::new(&[1; RANDOM_BYTES]).next(), Dice::new(&[1; RANDOM_BYTES]).next());
        assert_ne!(Dice::new(&[1; RANDOM_BYTES]).next(), Dice::new(&[2; RANDOM_BYTES]).next());
    }

    #[test]
    fn bytes_of_zeros_and_ends_of_zero_are_no_trap() {
        let mut dice = Dice::new(&[0; RANDOM_BYTES]);
        assert_eq!(dice.below(0), 0);
        let thrown: Vec<usize> = (0..64).map(|_| dice.below(1 << 20)).collect();
        assert!(thrown.iter().any(|n| *n != thrown[0]), "{thrown:?}");
        dice.draw::<u8>(&mut [], 3);
    }
}
