//! What a requester insists on. A demand that nobody meets is a refusal with a name, never a weaker demand.

use super::candidate::{Candidate, Kinship, Price, Region};
use std::fmt;

/// What every candidate must fulfil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Nobody less close than this: `Own` is "own machines only", `Friend` is "own and friends".
    pub no_further_than: Kinship,
    /// Nobody who is reachable only through a router.
    pub no_routers: bool,
    /// Only those who say that they stand here; whoever does not say is out.
    pub region: Option<Region>,
    /// Only those who take no more; whoever does not say is not asked.
    pub price_max: Option<Price>,
    /// So many of them shall answer the same question, so that their answers can be compared; usually one.
    pub answers: u32,
}

impl Demands {
    /// Anybody will do.
    pub const NONE: Self =
        Self { no_further_than: Kinship::Public, no_routers: false, region: None, price_max: None, answers: 1 };

    /// The first demand that this candidate is known to miss.
    pub(super) fn missed_by(&self, candidate: &Candidate<'_>) -> Option<Demand> {
        let Self { no_further_than, no_routers, region, price_max, answers: _ } = *self;
        if candidate.kinship > no_further_than {
            return Some(Demand::Kinship(no_further_than));
        }
        if no_routers && candidate.routed {
            return Some(Demand::NoRouters);
        }
        if let Some(region) = region.filter(|region| candidate.region != Some(*region)) {
            return Some(Demand::Region(region));
        }
        let price = candidate.probed.and_then(|probed| probed.price);
        price_max.filter(|max| price.is_some_and(|price| price > *max)).map(Demand::Price)
    }

    /// The same, for whoever is to be asked: here an unknown price is a miss too.
    pub(super) fn missed_when_asked(&self, candidate: &Candidate<'_>) -> Option<Demand> {
        let price = candidate.probed.and_then(|probed| probed.price);
        self.missed_by(candidate).or_else(|| self.price_max.filter(|_| price.is_none()).map(Demand::Price))
    }
}

/// One demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nobody less close than this.
    Kinship(Kinship),
    /// Nobody behind a router.
    NoRouters,
    /// Only from there.
    Region(Region),
    /// At most this.
    Price(Price),
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kinship(Kinship::Own) => f.write_str("own machines only"),
            Self::Kinship(Kinship::Friend) => f.write_str("own machines and friends only"),
            Self::Kinship(Kinship::Lan) => f.write_str("nobody outside the local network"),
            Self::Kinship(Kinship::Public) => f.write_str("anybody"),
            Self::NoRouters => f.write_str("no routers"),
            Self::Region(region) => write!(f, "region {region}"),
            Self::Price(price) => write!(f, "at most {price}"),
        }
    }
}

/// Why nobody can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nobody at all.
    #[error("nobody is known who serves this model")]
    Nobody,
    /// There are some, but none meets all demands.
    #[error("nobody meets the demand \"{demand}\": it alone excluded {cost} of {candidates} candidates")]
    Unmet {
        /// The demand that excluded most; among equals the one judged first.
        demand: Demand,
        /// How many candidates were excluded by it first.
        cost: usize,
        /// How many there were.
        candidates: usize,
    },
}

impl Refusal {
    /// Stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nobody => "no_candidates",
            Self::Unmet { .. } => "demand_unmet",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nobody => "wait until a provider of this model is found, or choose another model",
            Self::Unmet { demand: Demand::Kinship(_), .. } => {
                "serve the model on such a machine, or allow others to answer"
            }
            Self::Unmet { demand: Demand::NoRouters, .. } => {
                "allow routers, or use a provider with an address of its own"
            }
            Self::Unmet { demand: Demand::Region(_), .. } => "name another region or none",
            Self::Unmet { demand: Demand::Price(_), .. } => "offer more, or wait for a cheaper provider",
        }
    }
}

/// Who is excluded by which demand.
#[derive(Debug, Default)]
pub(super) struct Excluded(Vec<(Demand, usize)>);

impl Excluded {
    pub(super) fn count(&mut self, demand: Demand) {
        match self.0.iter_mut().find(|(d, _)| *d == demand) {
            Some((_, cost)) => *cost += 1,
            None => self.0.push((demand, 1)),
        }
    }

    pub(super) fn refusal(&self, candidates: usize) -> Refusal {
        let most = self.0.iter().rev().max_by_key(|(_, cost)| *cost);
        most.map_or(Refusal::Nobody, |(demand, cost)| Refusal::Unmet { demand: *demand, cost: *cost, candidates })
    }
}
