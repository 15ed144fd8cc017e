//! Discovery in buckets: what it costs to find providers does not grow with their number.
//!
//! The providers of a model spec are spread over 2^depth buckets by a hash of their key. The depth grows with the number
//! of providers, so that a bucket always holds about 16 to 32. A requester reads one or two buckets that it draws at random:
//! nobody lists all providers, and nobody can place himself where everybody looks.
//!
//! A provider links its capability from its bucket at the depth that it counted, and from the one a level deeper, so that
//! readers who counted a little more or less still find it. Some, drawn by a second hash, also link from the **root**, the only
//! bucket of depth 0: about 16 to 32 of them however large the network is. Whoever knows nothing reads the root first
//! and learns the depth from it; in a small network the root holds everybody. Routers have buckets of their own.
//!
//! Which bucket is whose is judged by all (`verify::buckets`). This module names places to read and counts; it reads nothing.

use crate::dice::{Dice, RANDOM_BYTES};
use ainonymous_types::limits::{BUCKET_DEPTH_MAX, BUCKET_MEMBERS_MAX, LINK_AGE_US_MAX, LINK_RENEW_US};
use ainonymous_types::{AgentPubKey, Place, Topic};
use ainonymous_verify::buckets::Lot;
use serde::{Deserialize, Serialize};

/// More providers than this in a bucket, on average, and the network is a level deeper.
pub const BUCKET_FILL_MAX: u64 = 32;
/// Most buckets that one request reads.
pub const READS_MAX: usize = 4;
/// A request stops reading when it has found this many.
pub const FOUND_ENOUGH: usize = 16;
/// A new count has this share of the average, in hundredths.
const NEW_SHARE_PERCENT: u64 = 20;
/// Providers are counted in sixteenths.
const COUNT_UNIT: u64 = 16;

/// The depth of a network of so many providers.
pub fn depth_for(providers: u64) -> u8 {
    (0..BUCKET_DEPTH_MAX).find(|depth| providers >> depth <= BUCKET_FILL_MAX).unwrap_or(BUCKET_DEPTH_MAX)
}

/// When to draw a link anew that readers look at for `age_us` microseconds: after a day, if they do for two and a half.
pub fn renew_after_us(age_us: u64) -> u64 {
    let (renew, age) = (LINK_RENEW_US.unsigned_abs(), LINK_AGE_US_MAX.unsigned_abs());
    let after = u128::from(age_us) * u128::from(renew) / u128::from(age);
    u64::try_from(after).unwrap_or(u64::MAX)
}

/// How many providers there seem to be, by the buckets that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    sixteenths: Option<u64>,
}

impl Census {
    /// How many, if anything was read yet.
    pub fn providers(&self) -> Option<u64> {
        self.sixteenths.map(|n| n.saturating_add(COUNT_UNIT / 2) / COUNT_UNIT)
    }

    /// The depth at which a requester reads.
    pub fn depth(&self) -> Option<u8> {
        self.providers().map(depth_for)
    }

    /// The depth that a provider linked at `now` should move to, if any. Between the levels there is room, so that
    /// nobody moves to and fro.
    pub fn move_to(&self, now: u8) -> Option<u8> {
        let providers = self.providers()?;
        let wanted = depth_for(providers);
        let crowded = providers.checked_shr(u32::from(now)).unwrap_or(0) > BUCKET_FILL_MAX * 5 / 4;
        let deserted = now > 0 && providers.checked_shr(u32::from(now)).unwrap_or(0) < BUCKET_FILL_MAX * 3 / 8;
        (wanted != now && (crowded || deserted)).then_some(wanted)
    }

    /// A bucket held so many.
    pub fn on_bucket(&mut self, depth: u8, members: usize) {
        let seen = (members as u64).saturating_mul(COUNT_UNIT).saturating_mul(1 << depth.min(BUCKET_DEPTH_MAX));
        self.sixteenths = Some(match self.sixteenths {
            None => seen,
            Some(before) => {
                let kept = before.saturating_mul(100 - NEW_SHARE_PERCENT);
                kept.saturating_add(seen.saturating_mul(NEW_SHARE_PERCENT)) / 100
            }
        });
    }

    /// The root held so many, and these are the levels of all or some of them. Each level counts the network: half of all reach
    /// level 1, a quarter level 2. In a root that is being cleared the lower levels are thinned, so the largest count is
    /// taken, but only of levels that a quarter of the root reaches: a few that should not be there change nothing.
    pub fn on_root(&mut self, members: usize, levels: &[u8]) {
        let reach = |level: u8| levels.iter().filter(|l| **l >= level).count() as u64;
        let enough = (levels.len() as u64).div_ceil(4).max(1);
        let counts =
            (0..=BUCKET_DEPTH_MAX).map(|level| (level, reach(level))).take_while(|(_, count)| *count >= enough);
        let most = counts.map(|(level, count)| count.saturating_mul(1 << level)).max().unwrap_or(0);
        let looked_at = (levels.len() as u64).max(1);
        self.sixteenths = Some(most.saturating_mul(COUNT_UNIT).saturating_mul(members as u64) / looked_at);
    }
}

/// One request's search for candidates.
#[derive(Clone, Debug)]
pub struct Search {
    topic: Topic,
    dice: Dice,
    read: Vec<Place>,
    found: usize,
    went_wrong: bool,
}

impl Search {
    /// Begins with random bytes of this request.
    pub fn new(topic: &Topic, random: &[u8; RANDOM_BYTES]) -> Self {
        Self { topic: topic.clone(), dice: Dice::new(random), read: Vec::new(), found: 0, went_wrong: false }
    }

    /// The next bucket to read; none when enough was found, all was read, or [`READS_MAX`] buckets were.
    pub fn next(&mut self, census: &Census) -> Option<Place> {
        if self.found >= FOUND_ENOUGH || self.read.len() >= READS_MAX {
            return None;
        }
        let depth = census.depth().filter(|_| !self.went_wrong || self.read.contains(&Place::ROOT));
        let place = match depth {
            None | Some(0) => Place::ROOT,
            Some(depth) => self.unread(depth)?,
        };
        if self.read.contains(&place) {
            return None;
        }
        self.read.push(place);
        Some(place)
    }

    /// A bucket was read: its members, without repetition. Returns which of them to look at; all, unless the bucket is flooded.
    pub fn on_read(&mut self, place: Place, members: &[AgentPubKey], census: &mut Census) -> Vec<usize> {
        let mut kept: Vec<usize> = (0..members.len()).collect();
        if members.len() > BUCKET_MEMBERS_MAX {
            self.dice.draw(&mut kept, BUCKET_MEMBERS_MAX);
            kept.truncate(BUCKET_MEMBERS_MAX);
        }
        let at_root = place == Place::ROOT;
        if at_root {
            let level = |at: &usize| members.get(*at).map(|agent| Lot::of(&self.topic, agent).level());
            census.on_root(members.len(), &kept.iter().filter_map(level).collect::<Vec<u8>>());
        } else {
            census.on_bucket(place.depth, members.len());
        }
        self.went_wrong |= members.is_empty() && !at_root;
        // The same few stand at the root of a large network for everybody: they are the last resort, not a sample.
        if !at_root || census.depth() == Some(0) {
            self.found = self.found.saturating_add(kept.len());
        }
        kept
    }

    fn unread(&mut self, depth: u8) -> Option<Place> {
        let buckets = 1usize << depth.min(BUCKET_DEPTH_MAX);
        let first = self.dice.below(buckets);
        let place = |bucket: usize| Place { depth, bucket: u32::try_from(bucket % buckets).unwrap_or(0) };
        (0..=READS_MAX).map(|step| place(first + step)).find(|place| !self.read.contains(place))
    }
}
