//! What is known of somebody who might answer, and what the request needs.

use crate::breaker::Breaker;
use crate::history::Observed;
use crate::reports::Word;
use crate::reputation::Reputation;
use crate::speed::Speed;
use ainonymous_types::{limits, AgentPubKey};
use ainonymous_verify::text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How close the provider's owner is to the requester; nearer ones are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kinship {
    /// A machine of one's own.
    Own,
    /// A friend's.
    Friend,
    /// On the same local network.
    Lan,
    /// Anybody's.
    Public,
}

impl Kinship {
    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own machine",
            Self::Friend => "friend",
            Self::Lan => "local network",
            Self::Public => "public",
        }
    }
}

/// Where a provider says it stands: a label such as `eu`, compared byte for byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    bytes: [u8; Region::BYTES_MAX],
    len: u8,
}

impl Region {
    /// Longest label.
    pub const BYTES_MAX: usize = limits::REGION_BYTES_MAX;

    /// A label of 1 to 16 lower-case letters, digits and hyphens; anything else is none.
    pub fn parse(label: &str) -> Option<Self> {
        text::region("region", label, Self::BYTES_MAX).ok()?;
        let mut bytes = [0; Self::BYTES_MAX];
        bytes.get_mut(..label.len())?.copy_from_slice(label.as_bytes());
        Some(Self { bytes, len: u8::try_from(label.len()).ok()? })
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a provider wants, in thousandths of a credit for a million parameter-tokens of decode; 0 is a gift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Price(pub u64);

impl Price {
    /// Highest price that anybody can name: a thousand credits for the work that one credit stands for.
    pub const MAX: Self = Self(1_000_000);
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1_000, self.0 % 1_000) {
            (0, 0) => f.write_str("free"),
            (credits, 0) => write!(f, "{credits} credits per million parameter-tokens"),
            (credits, milli) => {
                let digits = format!("{milli:03}");
                write!(f, "{credits}.{} credits per million parameter-tokens", digits.trim_end_matches('0'))
            }
        }
    }
}

/// What a provider replied to a probe. All but the round trip is its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// When the reply came. The path stays known for minutes, the queue for a second.
    pub at_us: u64,
    /// Measured here.
    pub round_trip_us: u64,
    /// Requests that wait for a slot.
    pub queue_depth: u32,
    /// Streams that it decodes side by side.
    pub slots: u32,
    /// Of these, free.
    pub free_slots: u32,
    /// What it says it measured for one stream.
    pub speed: Speed,
    /// What it wants now.
    pub price: Option<Price>,
}

/// Somebody who might answer.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Who.
    pub agent: &'a AgentPubKey,
    /// Whose.
    pub kinship: Kinship,
    /// Reachable only through a router.
    pub routed: bool,
    /// Where, if it tells.
    pub region: Option<Region>,
    /// Speed in its capability entry.
    pub claimed: Speed,
    /// Own experience.
    pub own: Option<&'a Observed>,
    /// Experience of others: it counts less than one's own, however many they are.
    pub reported: &'a [Word],
    /// What audits of its answers have found.
    pub reputation: Reputation,
    /// Its last reply to a probe.
    pub probed: Option<Probed>,
    /// Own requests sent to it since that reply.
    pub asked_since: u32,
    /// Whether it failed lately.
    pub breaker: Breaker,
    /// A connection is open, or may be resumed with the request in its first packet.
    pub warm: bool,
    /// Tokens of this prompt that it has in its cache from this session.
    pub prefix_tokens: u32,
}

impl<'a> Candidate<'a> {
    /// A public stranger of whom nothing is known but a claim.
    pub fn stranger(agent: &'a AgentPubKey, claimed: Speed) -> Self {
        Self {
            agent,
            kinship: Kinship::Public,
            routed: false,
            region: None,
            claimed,
            own: None,
            reported: &[],
            reputation: Reputation::default(),
            probed: None,
            asked_since: 0,
            breaker: Breaker::Closed,
            warm: false,
            prefix_tokens: 0,
        }
    }
}

/// What the request needs, as far as it decides who is quickest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens that the answer will probably have.
    pub answer_tokens: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_read_well() {
        assert_eq!(Price(0).to_string(), "free");
        assert_eq!(Price(1_000).to_string(), "1 credits per million parameter-tokens");
        assert_eq!(Price(1_050).to_string(), "1.05 credits per million parameter-tokens");
        assert_eq!(Price(7).to_string(), "0.007 credits per million parameter-tokens");
    }

    #[test]
    fn regions_are_short_plain_labels() {
        assert_eq!(Region::parse("eu-west-1").unwrap().as_str(), "eu-west-1");
        assert_eq!(Region::parse(&"a".repeat(Region::BYTES_MAX)).unwrap().as_str().len(), Region::BYTES_MAX);
        for bad in ["", "EU", "e u", "é", &"a".repeat(Region::BYTES_MAX + 1)] {
            assert_eq!(Region::parse(bad), None, "{bad}");
        }
    }
}
