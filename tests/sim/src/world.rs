//! What is true of a simulated network: who is there, how fast, where, and how honest. No policy sees it but the oracle.

use ainonymous_protocol::Speed;
use ainonymous_types::{AgentPubKey, EntryHash};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Microseconds since the beginning.
pub(crate) type Time = u64;

/// A kind of machine; all of one class are equally fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    /// Tokens a second of one stream.
    pub(crate) tokens_per_s: u32,
    /// Streams side by side, none slower for the others.
    pub(crate) slots: u32,
    /// Share of all providers, in hundredths.
    pub(crate) percent: usize,
}

/// Laptops, desktops, machines with one good graphics card, servers.
pub(crate) const CLASSES: [Class; 4] = [
    Class { tokens_per_s: 20, slots: 1, percent: 20 },
    Class { tokens_per_s: 40, slots: 2, percent: 40 },
    Class { tokens_per_s: 60, slots: 4, percent: 30 },
    Class { tokens_per_s: 80, slots: 8, percent: 10 },
];

/// So many in a hundred claim too much.
const LIARS_PERCENT: usize = 5;
/// How many times too much, unless said otherwise.
pub const LIE_FACTOR: u32 = 100;
/// So many in a hundred are linked on the DHT and never answer anything.
const SILENT_PERCENT: usize = 5;
/// A machine stays for this long on average,
const STAYS_US: f64 = 600e6;
/// and is away for this long.
const AWAY_US: f64 = 60e6;
/// A round trip next door,
const NEAR_US: f64 = 10_000.0;
/// and how much longer it is from one edge to the other.
const FAR_US: f64 = 140_000.0;

/// How a provider behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Says what is true.
    Honest,
    /// Is as slow as the slowest, claims a hundred times that, and that all its slots are always free.
    Liar,
    /// Never answers.
    Silent,
}

/// A place in the unit square; distance is round trip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// East.
    pub(crate) x: f64,
    /// North.
    pub(crate) y: f64,
}

impl At {
    fn random(dice: &mut ChaCha8Rng) -> Self {
        Self { x: dice.random(), y: dice.random() }
    }

    /// Round trip between two places.
    pub(crate) fn round_trip_us(self, other: Self) -> u64 {
        let (dx, dy) = (self.x - other.x, self.y - other.y);
        (NEAR_US + FAR_US * (dx * dx + dy * dy).sqrt()) as u64
    }
}

/// One provider, as it truly is.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    /// Its key.
    pub(crate) agent: AgentPubKey,
    /// Index into [`CLASSES`].
    pub(crate) class: usize,
    /// Honest or not.
    pub(crate) kind: Kind,
    /// Where.
    pub(crate) at: At,
    /// How many times its speed it claims if it is a liar.
    lie_factor: u32,
}

impl Provider {
    /// True speed.
    pub(crate) fn speed(&self) -> Speed {
        Speed::tokens_per_s(CLASSES[self.class].tokens_per_s)
    }

    /// Claimed speed.
    pub(crate) fn claimed(&self) -> Speed {
        let factor = if self.kind == Kind::Liar { self.lie_factor } else { 1 };
        Speed::tokens_per_s(CLASSES[self.class].tokens_per_s * factor)
    }

    /// How long so many tokens truly take: `Speed::us_for` in fewer instructions, for it is asked for millions of times.
    pub(crate) fn us_for(&self, tokens: u64) -> Time {
        tokens * 1_000_000 / u64::from(CLASSES[self.class].tokens_per_s)
    }

    /// Streams side by side.
    pub(crate) fn slots(&self) -> u32 {
        CLASSES[self.class].slots
    }
}

/// Everybody, as they truly are.
#[derive(Debug)]
pub(crate) struct World {
    /// The only model spec.
    pub(crate) spec: EntryHash,
    /// Providers.
    pub(crate) providers: Vec<Provider>,
    /// Where each requester stands.
    pub(crate) requesters: Vec<At>,
}

impl World {
    /// A network of so many providers, whose liars claim so many times their speed; without liars where that is nothing.
    pub(crate) fn new(providers: usize, requesters: usize, seed: u64, lie_factor: u32) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let liars = if lie_factor == 0 { 0 } else { (providers * LIARS_PERCENT).div_ceil(100) };
        let silent = (providers * SILENT_PERCENT).div_ceil(100);
        let provider = |number: usize| {
            let mut key = vec![0; 36];
            dice.fill_bytes(&mut key);
            let kind = match number {
                n if n < liars => Kind::Liar,
                n if n < liars + silent => Kind::Silent,
                _ => Kind::Honest,
            };
            let class = match kind {
                Kind::Liar => 0,
                Kind::Silent => CLASSES.len() - 1,
                Kind::Honest => class_of(number * 37 % 100),
            };
            Provider { agent: AgentPubKey::from_raw_36(key), class, kind, at: At::random(&mut dice), lie_factor }
        };
        let providers = (0..providers).map(provider).collect();
        let requesters = (0..requesters).map(|_| At::random(&mut dice)).collect();
        Self { spec: EntryHash::from_raw_36(vec![1; 36]), providers, requesters }
    }
}

/// Shares are met exactly for every hundred providers, and nearly for ten.
fn class_of(mut percentile: usize) -> usize {
    for (at, class) in CLASSES.iter().enumerate() {
        if percentile < class.percent {
            return at;
        }
        percentile -= class.percent;
    }
    CLASSES.len() - 1
}

/// How long it is until a provider that is there goes, or one that is away comes back.
pub(crate) fn until_change_us(online: bool, dice: &mut impl Rng) -> Time {
    exponential(if online { STAYS_US } else { AWAY_US }, dice) as Time
}

/// Whether a provider is there at the beginning.
pub(crate) fn online_at_first(dice: &mut impl Rng) -> bool {
    dice.random_bool(share_online())
}

/// Share of the time that a provider is there.
pub(crate) fn share_online() -> f64 {
    STAYS_US / (STAYS_US + AWAY_US)
}

/// A waiting time with this mean.
pub(crate) fn exponential(mean: f64, dice: &mut impl Rng) -> f64 {
    -mean * (1.0 - dice.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_way_to_tell_times_agrees_with_the_protocols() {
        let world = World::new(100, 1, 1, LIE_FACTOR);
        for provider in &world.providers {
            for tokens in [0, 1, 255, 256, 3_000] {
                assert_eq!(provider.us_for(tokens), provider.speed().us_for(tokens));
            }
        }
    }
}
