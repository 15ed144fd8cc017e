//! The all-knowing oracle: sees every provider's queue, speed and distance at no cost, and whom the liars are.

use crate::fleet::{expected_us, Fleet, Request};
use crate::world::{Kind, Time, World, CLASSES};
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
