//! The links of the DHT: providers in buckets, placed and read by the protocol's own code.

use crate::world::World;
use ainonymous_protocol::buckets::{Census, Search};
use ainonymous_protocol::RANDOM_BYTES;
use ainonymous_types::{AgentPubKey, Place, Topic};
use ainonymous_verify::buckets::Lot;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// Who is linked from where.
#[derive(Debug, Default)]
pub(crate) struct Dht {
    buckets: HashMap<Place, Bucket>,
    /// The depth that each provider is linked at.
    depths: Vec<u8>,
    /// Bucket reads so far.
    pub(crate) reads: u64,
}

/// The members of one bucket, by number and by key.
#[derive(Debug, Default)]
struct Bucket {
    numbers: Vec<u32>,
    agents: Vec<AgentPubKey>,
}

/// What one request found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Providers by number.
    pub(crate) providers: Vec<u32>,
    /// Buckets read.
    pub(crate) reads: usize,
}

impl Dht {
    /// The network as it grew: providers come one after the other, each counts before it links itself, and whenever
    /// the network has doubled everybody counts again.
    pub(crate) fn grown(world: &World, seed: u64) -> Self {
        let mut dht = Self::default();
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        for number in 0..world.providers.len() {
            let mut census = Census::default();
            dht.search(world, &mut census, &mut dice);
            dht.depths.push(0);
            dht.link(world, number, census.depth().unwrap_or(0));
            if (number + 1).is_power_of_two() {
                dht.recount(world, &mut dice);
            }
        }
        for _ in 0..2 {
            dht.recount(world, &mut dice);
        }
        dht
    }

    /// Finds candidates, as a requester does.
    pub(crate) fn search(&mut self, world: &World, census: &mut Census, dice: &mut impl Rng) -> Found {
        let mut random = [0; RANDOM_BYTES];
        dice.fill(&mut random);
        let mut search = Search::new(&Topic::Providers(world.spec.clone()), &random);
        let mut found = Found { providers: Vec::new(), reads: 0 };
        while let Some(place) = search.next(census) {
            found.reads += 1;
            let nobody = Bucket::default();
            let Bucket { numbers, agents } = self.buckets.get(&place).unwrap_or(&nobody);
            for at in search.on_read(place, agents, census) {
                if !found.providers.contains(&numbers[at]) {
                    found.providers.push(numbers[at]);
                }
            }
        }
        self.reads += found.reads as u64;
        found
    }

    fn recount(&mut self, world: &World, dice: &mut impl Rng) {
        for number in 0..self.depths.len() {
            let mut census = Census::default();
            for _ in 0..2 {
                self.search(world, &mut census, dice);
            }
            if let Some(depth) = census.move_to(self.depths[number]) {
                self.unlink(world, number);
                self.link(world, number, depth);
            }
        }
    }

    fn link(&mut self, world: &World, number: usize, depth: u8) {
        self.depths[number] = depth;
        let agent = &world.providers[number].agent;
        for place in Lot::of(&Topic::Providers(world.spec.clone()), agent).places(depth) {
            let bucket = self.buckets.entry(place).or_default();
            bucket.numbers.push(number as u32);
            bucket.agents.push(agent.clone());
        }
    }

    fn unlink(&mut self, world: &World, number: usize) {
        let agent = &world.providers[number].agent;
        for place in Lot::of(&Topic::Providers(world.spec.clone()), agent).places(self.depths[number]) {
            let Some(bucket) = self.buckets.get_mut(&place) else { continue };
            if let Some(at) = bucket.numbers.iter().position(|n| *n as usize == number) {
                bucket.numbers.swap_remove(at);
                bucket.agents.swap_remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The promise of the buckets: from ten to many providers a request reads at most 4 buckets, also the very first one,
    /// and finds 16 where there are as many.
    #[test]
    fn reads_stay_flat_and_candidates_enough() {
        for providers in [1, 10, 40, 100, 1_000, 10_000] {
            let world = World::new(providers, 1, 3, crate::LIE_FACTOR);
            let mut dht = Dht::grown(&world, 4);
            let mut dice = ChaCha8Rng::seed_from_u64(5);
            let (mut census, mut reads, mut poor) = (Census::default(), 0, 0);
            for first in (0..300).map(|n| n % 3 == 0) {
                // One in three knows nothing yet.
                if first {
                    census = Census::default();
                }
                let found = dht.search(&world, &mut census, &mut dice);
                reads += found.reads;
                poor += usize::from(found.providers.len() < 16.min(providers));
                assert!(found.reads <= 4, "{providers}: {} reads", found.reads);
            }
            assert!(reads <= 300 * 5 / 2, "{providers}: {reads} reads");
            assert!(poor <= 3, "{providers}: {poor} of 300 found too few");
            assert_eq!(dht.depths.len(), providers);
        }
    }
}
