//! Who knows more than anybody can: the oracle, which sees every provider's queue, speed and distance at no cost and whom the liars are;
//! and the best of four, which knows all that does not change but sees the queues of only four providers a request. What the second
//! misses of the first is the price of four probes: no protocol with four probes can be expected to do better.

use crate::fleet::{expected_us, Fleet, Request};
use crate::world::{Kind, Time, World, CLASSES};
use rand::Rng;
use std::collections::BTreeSet;

/// The best provider of this very moment, by looking at each.
pub(crate) fn best_now(world: &World, fleet: &Fleet, request: &Request, holder: Option<u32>) -> Option<(Time, u32)> {
    let there = (0..world.providers.len() as u32).filter(|n| is_of_use(world, fleet, *n));
    there.map(|n| (expected_us(world, fleet, n, request, holder == Some(n)), n)).min()
}

fn is_of_use(world: &World, fleet: &Fleet, provider: u32) -> bool {
    fleet.is_online(provider) && world.providers[provider as usize].kind != Kind::Silent
}

/// Cells along each edge of the square. Within a cell of a class, whoever has the shortest queue stands for all: the round
/// trips there differ by less than a hundredth of an answer.
const CELLS: usize = 8;
/// Networks up to this size are looked through one by one.
const EXACT_MAX: usize = 1_000;

/// All providers ordered by queue, for an oracle that places every request of a large network.
#[derive(Debug)]
pub(crate) struct Oracle {
    cells: Vec<BTreeSet<(Time, u32)>>,
    entries: Vec<Option<Time>>,
}

impl Oracle {
    /// Knows nobody yet.
    pub(crate) fn new(providers: usize) -> Self {
        Self { cells: vec![BTreeSet::new(); CLASSES.len() * CELLS * CELLS], entries: vec![None; providers] }
    }

    /// Something changed at a provider.
    pub(crate) fn update(&mut self, world: &World, fleet: &Fleet, provider: u32) {
        let cell = &mut self.cells[cell_of(world, provider)];
        let entry = &mut self.entries[provider as usize];
        if let Some(before) = entry.take() {
            cell.remove(&(before, provider));
        }
        if is_of_use(world, fleet, provider) {
            let wait_us = fleet.wait_us(world, provider);
            cell.insert((wait_us, provider));
            *entry = Some(wait_us);
        }
    }

    /// The best provider.
    pub(crate) fn best(
        &self,
        world: &World,
        fleet: &Fleet,
        request: &Request,
        holder: Option<u32>,
    ) -> Option<(Time, u32)> {
        if world.providers.len() <= EXACT_MAX {
            return best_now(world, fleet, request, holder);
        }
        let holder = holder.filter(|n| is_of_use(world, fleet, *n));
        let firsts = self.cells.iter().filter_map(|cell| cell.first()).map(|(_, n)| (*n, false));
        let all = firsts.chain(holder.map(|n| (n, true)));
        all.map(|(n, cached)| (expected_us(world, fleet, n, request, cached), n)).min()
    }
}

fn cell_of(world: &World, provider: u32) -> usize {
    let provider = &world.providers[provider as usize];
    let along = |x: f64| ((x * CELLS as f64) as usize).min(CELLS - 1);
    (provider.class * CELLS + along(provider.at.x)) * CELLS + along(provider.at.y)
}

/// How much more often a quicker provider is looked at than its capacity alone would say: its speed to this power. Found by
/// trying 0, 1, 2, 3 and 4.
const QUICKER_POWER: i32 = 2;
/// Queues seen for one request.
const LOOKS: usize = 4;
/// Draws until the best of four stops looking for others.
const DRAWS_MAX: usize = 64;

/// Draws four, the larger and quicker more often, and knows all about them.
#[derive(Debug)]
pub(crate) struct BestOfFour {
    cumulated: Vec<f64>,
}

impl BestOfFour {
    /// For this network.
    pub(crate) fn new(world: &World) -> Self {
        let weight = |p: &crate::world::Provider| match p.kind {
            Kind::Silent => 0.0,
            Kind::Honest | Kind::Liar => {
                let class = CLASSES[p.class];
                f64::from(class.slots * class.tokens_per_s) * f64::from(class.tokens_per_s).powi(QUICKER_POWER)
            }
        };
        let sums = world.providers.iter().scan(0.0, |sum, p| {
            *sum += weight(p);
            Some(*sum)
        });
        Self { cumulated: sums.collect() }
    }

    /// The best of four that are there; whoever has the session's beginning is one of them.
    pub(crate) fn best(
        &self,
        (world, fleet): (&World, &Fleet),
        request: &Request,
        holder: Option<u32>,
        dice: &mut impl Rng,
    ) -> Option<(Time, u32)> {
        let whole = self.cumulated.last().copied().unwrap_or_default();
        let mut seen: Vec<u32> = holder.filter(|n| is_of_use(world, fleet, *n)).into_iter().collect();
        for _ in 0..DRAWS_MAX {
            let at = dice.random::<f64>() * whole;
            let number = self.cumulated.partition_point(|sum| *sum <= at) as u32;
            if (number as usize) < world.providers.len() && !seen.contains(&number) && is_of_use(world, fleet, number) {
                seen.push(number);
            }
            if seen.len() == LOOKS {
                break;
            }
        }
        seen.into_iter().map(|n| (expected_us(world, fleet, n, request, holder == Some(n)), n)).min()
    }
}
