//! Proof of work: what a new agent costs in a public network that asks for it.
//!
//! Whoever joins looks for a number whose hash, together with network and agent, begins with enough zero bits. Nobody can find it
//! but by trying; to check it is one hash. It is good for one agent in one network and for ever, however the rules change.
//!
//! The hash is SHA-256, which is here already and costs nothing in wasm. It needs no memory: a graphics card tries about a thousand
//! times as many numbers a second as one thread does, hardware made for it more than that. So it makes crowds of agents dearer
//! and keeps nobody out who has such machines (`docs/guides/networks.md` says what follows).
//!
//! Time, threads and giving up are for whoever searches.

use crate::canonical::Encoder;
use ainonymous_types::{AgentPubKey, Bytes32, WorkProof};
use sha2::Sha256;
use std::ops::Range;

/// One agent's work in one network.
#[derive(Debug)]
pub struct Work {
    /// Everything that is hashed before the number: a try costs one block of SHA-256.
    begun: Encoder<Sha256>,
    bits: u8,
}

impl Work {
    /// The work of an agent, for as many zero bits as the network asks for.
    pub fn new(network: &Bytes32, agent: &AgentPubKey, bits: u8) -> Self {
        Self { begun: Encoder::hash("ainonymous/proof-of-work/v1").bytes32(network).holo(agent), bits }
    }

    /// Zero bits that are asked for.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// How many numbers have to be tried on average.
    pub fn tries(&self) -> u64 {
        1u64.checked_shl(self.bits.into()).unwrap_or(u64::MAX)
    }

    /// What a number is hashed to.
    pub fn hash(&self, nonce: u64) -> Bytes32 {
        self.begun.fork().u64(nonce).finish()
    }

    /// Whether the work is done.
    pub fn is_done(&self, proof: &WorkProof) -> bool {
        zero_bits(&self.hash(proof.nonce)) >= self.bits.into()
    }

    /// The first good number among these.
    pub fn find(&self, mut nonces: Range<u64>) -> Option<WorkProof> {
        nonces.find_map(|nonce| Some(WorkProof { nonce }).filter(|proof| self.is_done(proof)))
    }
}

/// Zero bits that a hash begins with.
fn zero_bits(hash: &Bytes32) -> u32 {
    let zeros = hash.0.iter().take_while(|byte| **byte == 0).count();
    let next = hash.0.get(zeros).map_or(0, |byte| byte.leading_zeros());
    // At most 256.
    zeros as u32 * u8::BITS + next
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    #[test]
    fn zero_bits_are_counted_from_the_front() {
        let hash = |first: &[u8]| {
            let mut hash = [0xff; 32];
            hash[..first.len()].copy_from_slice(first);
            Bytes32(hash)
        };
        for (first, bits) in [(&[0x80][..], 0), (&[0x7f], 1), (&[0x01], 7), (&[0x00], 8), (&[0, 0, 0x1f], 19)] {
            assert_eq!(zero_bits(&hash(first)), bits);
        }
        assert_eq!(zero_bits(&Bytes32([0; 32])), 256);
    }

    #[test]
    fn a_number_is_found_by_trying_and_not_elsewhere() {
        let work = Work::new(&Bytes32([1; 32]), &agent(2), 10);
        let found = work.find(0..1 << 20).unwrap();
        assert!(work.is_done(&found));
        assert_eq!(work.find(found.nonce..found.nonce + 1), Some(found));
        assert_eq!(work.find(0..found.nonce), None, "it is the first");
        assert_eq!((work.bits(), work.tries()), (10, 1_024));
        assert_eq!(Work::new(&Bytes32([1; 32]), &agent(2), 255).tries(), u64::MAX);
    }

    proptest! {
        #[test]
        fn exactly_as_many_bits_as_a_hash_has_are_enough(network: [u8; 32], who: u8, nonce: u64) {
            let (network, proof) = (Bytes32(network), WorkProof { nonce });
            let done = |bits| Work::new(&network, &agent(who), bits).is_done(&proof);
            let has = zero_bits(&Work::new(&network, &agent(who), 0).hash(nonce)) as u8;
            prop_assert!(done(0) && done(has) && !done(has + 1) && !done(u8::MAX));
        }

        #[test]
        fn it_is_good_for_nobody_else_and_nowhere_else(network: [u8; 32], who: u8, at in 0usize..32) {
            let mut elsewhere = network;
            elsewhere[at] ^= 1;
            let (network, elsewhere, bits) = (Bytes32(network), Bytes32(elsewhere), 12);
            let work = Work::new(&network, &agent(who), bits);
            let found = work.find(0..1 << 20).unwrap();
            // By chance one in 4,096 would be; the hashes themselves never agree.
            for other in [Work::new(&elsewhere, &agent(who), bits), Work::new(&network, &agent(who ^ 1), bits)] {
                prop_assert_ne!(work.hash(found.nonce), other.hash(found.nonce));
                prop_assert_eq!(other.is_done(&found), zero_bits(&other.hash(found.nonce)) >= 12);
            }
        }
    }
}
