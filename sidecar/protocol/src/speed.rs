//! Speed as a number that no peer can make strange: thousandths of a token a second, bounded, without fractions.

use ainonymous_types::limits;
use serde::{Deserialize, Serialize};
use std::fmt;

const MILLI: u64 = 1_000;
const MILLI_MAX: u64 = limits::TOKENS_PER_S_MAX as u64 * MILLI;

/// Tokens a second of one stream, in thousandths; 0 means not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Speed(u64);

impl Speed {
    /// Not known.
    pub const UNKNOWN: Self = Self(0);

    /// From whole tokens a second; what is beyond `limits::TOKENS_PER_S_MAX` counts as that.
    pub fn tokens_per_s(tokens: u32) -> Self {
        Self::from(u64::from(tokens) * MILLI)
    }

    /// From so many tokens in so long a time; unknown if either is nothing.
    pub fn measured(tokens: u32, took_us: u64) -> Self {
        let milli = u128::from(tokens) * 1_000_000_000;
        milli
            .checked_div(u128::from(took_us))
            .map_or(Self::UNKNOWN, |m| Self::from(u64::try_from(m).unwrap_or(u64::MAX)))
    }

    /// Whether there is a number at all.
    pub fn is_known(self) -> bool {
        self.0 > 0
    }

    /// Thousandths of a token a second.
    pub fn milli(self) -> u64 {
        self.0
    }

    /// How long so many tokens take; what cannot be told takes as long as anything may.
    pub fn us_for(self, tokens: u64) -> u64 {
        let us = match tokens.checked_mul(1_000_000_000) {
            // Nearly always: dividing in 64 bits is several times as quick, and this is asked for every candidate of every question.
            Some(scaled) => scaled.checked_div(self.0),
            None => {
                let us = (u128::from(tokens) * 1_000_000_000).checked_div(u128::from(self.0));
                us.and_then(|us| u64::try_from(us).ok())
            }
        };
        us.map_or(limits::DURATION_US_MAX, |us| us.min(limits::DURATION_US_MAX))
    }

    /// So many hundredths of it.
    pub(crate) fn percent(self, percent: u64) -> Self {
        Self::from(self.0.saturating_mul(percent) / 100)
    }
}

impl From<u64> for Speed {
    fn from(milli: u64) -> Self {
        Self(milli.min(MILLI_MAX))
    }
}

impl From<Speed> for u64 {
    fn from(speed: Speed) -> Self {
        speed.0
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("unknown speed"),
            milli if milli < 10 * MILLI => write!(f, "{}.{} tok/s", milli / MILLI, milli % MILLI / 100),
            milli => write!(f, "{} tok/s", (milli + MILLI / 2) / MILLI),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_speeds_agree() {
        let speed = Speed::measured(100, 2_000_000);
        assert_eq!(
            (speed, speed.us_for(100), speed.to_string()),
            (Speed::tokens_per_s(50), 2_000_000, "50 tok/s".into())
        );
        assert_eq!(Speed::from(2_500).to_string(), "2.5 tok/s");
    }

    #[test]
    fn the_bound_holds_and_nothing_divides_by_zero() {
        let most = Speed::tokens_per_s(limits::TOKENS_PER_S_MAX);
        assert_eq!(Speed::tokens_per_s(limits::TOKENS_PER_S_MAX + 1), most);
        assert_eq!(Speed::measured(u32::MAX, 1), most);
        assert_eq!(Speed::measured(1, 0), Speed::UNKNOWN);
        assert_eq!(Speed::UNKNOWN.us_for(1), limits::DURATION_US_MAX);
        assert_eq!(Speed::from(1).us_for(u64::MAX), limits::DURATION_US_MAX);
    }
}
