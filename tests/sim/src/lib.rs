//! A simulation of networks from ten to a hundred thousand providers over the real protocol code: buckets, choosing,
//! breakers, history, hedging. Seeded: the same seed gives the same figures.
//!
//! Providers differ in speed, slots and distance; some lie, some are silent, all come and go. The same requests at the same
//! times are placed once by the protocol and once, in a network of its own, by an all-knowing oracle. It must not know
//! sockets, conductors or engines.

pub mod audits;
mod dht;
mod figures;
mod fleet;
mod memory;
mod oracle;
mod requester;
mod simulation;
mod world;

pub use figures::Row;
pub use world::LIE_FACTOR;

use dht::Dht;
use simulation::{Plan, Policy, Simulation};
use world::{share_online, Kind, World, CLASSES};

/// The sizes that the figures are given for.
pub const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
/// The seed of the figures.
pub const SEED: u64 = 1;
/// Share of what the providers can do that is asked of them.
const UTILISATION: f64 = 0.7;
/// One requester for so many providers, within bounds.
const PROVIDERS_PER_REQUESTER: usize = 10;
const REQUESTERS: std::ops::RangeInclusive<usize> = 10..=2_000;
/// Tokens of a prompt that have to be computed, on average: what determines how much a network can do.
const PREFILL_TOKENS_MEAN: u64 = 300;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Size of the network.
    pub providers: usize,
    /// Requests, the first third of which only lets everybody learn.
    pub requests: u64,
    /// Seed of everything.
    pub seed: u64,
    /// How many times their speed liars claim; nobody lies where that is nothing.
    pub lie_factor: u32,
    /// Providers tell what their owners saw of others.
    pub reports: bool,
}

/// Simulates a network of so many providers under so many requests.
pub fn run(run: Run) -> Row {
    let Run { providers, requests, seed, lie_factor, reports } = run;
    let requesters = (providers / PROVIDERS_PER_REQUESTER).clamp(*REQUESTERS.start(), *REQUESTERS.end());
    let world = World::new(providers, requesters, seed, lie_factor);
    let mut dht = Dht::grown(&world, seed);
    let plan = Plan {
        requests,
        warm_up: requests / 3,
        rate_per_s: UTILISATION * capacity_per_s(&world),
        reports,
        compare_every: (providers as u64 / 100).max(1),
    };
    let protocol = Simulation::new(&world, &mut dht, Policy::Protocol, plan, seed).run();
    let oracle = Simulation::new(&world, &mut dht, Policy::Oracle, plan, seed).run();
    let four = Simulation::new(&world, &mut dht, Policy::BestOfFour, plan, seed).run();
    Row::new(&world, seed, &protocol, &oracle, &four)
}

/// Requests for a network of so many providers: enough that each slot has had many, as far as time allows.
pub fn requests_for(providers: usize) -> u64 {
    (providers as u64 * 60).clamp(40_000, 2_400_000)
}

/// Requests a second that all providers together can answer.
fn capacity_per_s(world: &World) -> f64 {
    let useful = world.providers.iter().filter(|provider| provider.kind != Kind::Silent);
    let each = useful.map(|provider| {
        let decode_us = provider.speed().us_for(ainonymous_protocol::choosing::ANSWER_TOKENS_TYPICAL);
        let prefill_us = provider.speed().us_for(PREFILL_TOKENS_MEAN) / ainonymous_protocol::choosing::PREFILL_FACTOR;
        f64::from(CLASSES[provider.class].slots) * 1e6 / (decode_us + prefill_us) as f64
    });
    each.sum::<f64>() * share_online()
}
