//! Nonsense that is nearly sense: seeds with a few bytes changed, left out, repeated, or taken from another seed. Without
//! instrumentation it does not know what is new: for a moment's run in the tests, not for a search.

/// Largest input that is made.
const BYTES_MAX: usize = 64 << 10;
/// Changes of one input.
const CHANGES_MAX: usize = 6;
/// Longest piece that is left out, repeated or taken from elsewhere.
const PIECE_BYTES_MAX: usize = 64;
/// Numbers at which lengths and bounds break.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX >> 1, u64::MAX];

/// Makes inputs; the same seed number makes the same ones.
#[derive(Clone, Debug)]
pub struct Nonsense(u64);

impl Nonsense {
    /// Begins with a number.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of the seeds, changed; bytes that mean nothing where there are none.
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = match seeds {
            [] => (0..self.below(200)).map(|_| self.byte()).collect(),
            seeds => seeds[self.below(seeds.len())].clone(),
        };
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(PIECE_BYTES_MAX)).min(bytes.len());
        match self.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at.min(end)..end)),
            2 => {
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = seeds.get(self.below(seeds.len().max(1))).cloned().unwrap_or_default();
                let from = self.below(other.len() + 1);
                let piece = other[from..(from + PIECE_BYTES_MAX).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let edge = EDGES[self.below(EDGES.len())].to_le_bytes();
                let mut edge = edge[..1 << self.below(4)].to_vec();
                if self.below(2) == 0 {
                    edge.reverse();
                }
                let end = (at + edge.len()).min(bytes.len());
                bytes.splice(at..end, edge);
            }
            5 => {
                let byte = self.byte();
                bytes.insert(at, byte);
            }
            6 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            _ => {
                let new = self.byte();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = new;
                }
            }
        }
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// A number below `end` (splitmix64).
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(n ^ (n >> 31)) * (end as u128)) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_follows_from_its_number_and_is_not_always_the_same() {
        let seeds = [b"quic://192.0.2.1:4242".to_vec(), b"abc".to_vec()];
        let made = |seed| {
            let mut nonsense = Nonsense::new(seed);
            (0..50).map(|_| nonsense.next(&seeds)).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        let (short, long) = (made(3).iter().any(|b| b.len() < 3), made(3).iter().any(|b| b.len() > 21));
        assert!(short && long, "it leaves out and adds");
        assert!(!Nonsense::new(4).next(&[]).is_empty());
    }
}
