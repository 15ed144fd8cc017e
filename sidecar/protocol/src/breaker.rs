//! Circuit breakers: a peer that failed is left alone for a while, then tried once, then trusted again.
//!
//! A failure opens the breaker. When the time is over one trial may pass; its success closes the breaker, its failure opens it again. A
//! peer whose breaker is open is not forbidden: it is asked last, when nobody else is there.

use crate::recent::Recent;
use ainonymous_types::AgentPubKey;

/// Most peers whose failures are remembered; beyond, the one that failed longest ago is forgotten.
pub const BREAKER_PEERS_MAX: usize = 4_096;
/// After a failure a peer is left alone for this long, however many came before: short, because a probe is a cheap trial, and a machine that
/// is back should not stand idle. In a small network it is a large part of the whole: what it could do is missing, and everybody
/// waits, until it is found again.
pub const OPEN_US: u64 = 5_000_000;
/// A trial that has not ended after this long no longer keeps others from trying.
pub const TRIAL_US: u64 = 10_000_000;

/// What may pass to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breaker {
    /// Everything.
    #[default]
    Closed,
    /// One trial.
    HalfOpen,
    /// Nothing while somebody else is there.
    Open {
        /// Until this moment.
        until_us: u64,
    },
}

#[derive(Clone, Debug)]
struct Failing {
    last_us: u64,
    trial_us: Option<u64>,
}

/// The breakers of all peers that failed lately.
#[derive(Clone, Debug)]
pub struct Breakers<A = AgentPubKey>(Recent<A, Failing>);

impl<A: Ord + Clone> Default for Breakers<A> {
    fn default() -> Self {
        Self(Recent::new(BREAKER_PEERS_MAX))
    }
}

impl<A: Ord + Clone> Breakers<A> {
    /// How many peers are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no peer has failed lately.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What may pass to this peer now.
    pub fn state(&self, agent: &A, now_us: u64) -> Breaker {
        let Some(failing) = self.0.get(agent) else { return Breaker::Closed };
        let until_us = failing.until_us();
        let tried_us = failing.trial_us.map_or(0, |at| at.saturating_add(TRIAL_US));
        if now_us < until_us.max(tried_us) {
            Breaker::Open { until_us: until_us.max(tried_us) }
        } else {
            Breaker::HalfOpen
        }
    }

    /// Somebody is about to ask this peer: of a half-open one only the first is told yes.
    pub fn try_pass(&mut self, agent: &A, now_us: u64) -> bool {
        match self.state(agent, now_us) {
            Breaker::Closed => true,
            Breaker::Open { .. } => false,
            Breaker::HalfOpen => {
                let trial = || Failing { last_us: now_us, trial_us: None };
                self.0.touch(agent, trial).trial_us = Some(now_us);
                true
            }
        }
    }

    /// The peer was silent, went away, or broke the protocol. A refusal is not a failure. What fails while the peer is left
    /// alone belongs to the same outage and counts once: ten requests that break off together are not ten outages.
    pub fn on_failure(&mut self, agent: &A, now_us: u64) {
        let same_outage = self.0.get(agent).is_some_and(|failing| now_us < failing.until_us());
        if same_outage {
            return;
        }
        let failing = self.0.touch(agent, || Failing { last_us: now_us, trial_us: None });
        failing.last_us = now_us;
        failing.trial_us = None;
    }

    /// The peer answered: the breaker is closed and the past forgotten.
    pub fn on_success(&mut self, agent: &A) {
        self.0.remove(agent);
    }
}

impl Failing {
    fn until_us(&self) -> u64 {
        self.last_us.saturating_add(OPEN_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(n: u32) -> AgentPubKey {
        let mut raw = vec![0; 36];
        raw[..4].copy_from_slice(&n.to_le_bytes());
        AgentPubKey::from_raw_36(raw)
    }

    #[test]
    fn failures_open_time_half_opens_success_closes() {
        let (mut breakers, peer) = (Breakers::<AgentPubKey>::default(), agent(1));
        assert_eq!(breakers.state(&peer, 0), Breaker::Closed);
        breakers.on_failure(&peer, 5);
        assert_eq!(breakers.state(&peer, 5), Breaker::Open { until_us: 5 + OPEN_US });
        assert_eq!(breakers.state(&peer, 4 + OPEN_US), Breaker::Open { until_us: 5 + OPEN_US });
        assert_eq!(breakers.state(&peer, 5 + OPEN_US), Breaker::HalfOpen);
        breakers.on_success(&peer);
        assert_eq!((breakers.state(&peer, 5 + OPEN_US), breakers.is_empty()), (Breaker::Closed, true));
    }

    #[test]
    fn half_open_lets_one_trial_pass() {
        let (mut breakers, peer) = (Breakers::<AgentPubKey>::default(), agent(1));
        breakers.on_failure(&peer, 0);
        assert!(!breakers.try_pass(&peer, 1));
        assert!(breakers.try_pass(&peer, OPEN_US));
        assert!(!breakers.try_pass(&peer, OPEN_US + 1));
        assert!(breakers.try_pass(&peer, OPEN_US + TRIAL_US));
        breakers.on_failure(&peer, OPEN_US + TRIAL_US);
        let until_us = OPEN_US + TRIAL_US + OPEN_US;
        assert_eq!(breakers.state(&peer, until_us - 1), Breaker::Open { until_us });
    }

    #[test]
    fn ten_at_once_are_one_outage_and_the_last_of_many_counts_like_the_first() {
        let (mut breakers, peer) = (Breakers::<AgentPubKey>::default(), agent(1));
        let mut now_us = 0;
        for _ in 0..5 {
            for at_once in 0..10 {
                breakers.on_failure(&peer, now_us + at_once);
            }
            assert_eq!(breakers.state(&peer, now_us + 10), Breaker::Open { until_us: now_us + OPEN_US });
            now_us += OPEN_US;
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut breakers = Breakers::<AgentPubKey>::default();
        for n in 0..=u32::try_from(BREAKER_PEERS_MAX).unwrap() {
            breakers.on_failure(&agent(n), 0);
        }
        assert_eq!(breakers.len(), BREAKER_PEERS_MAX);
        assert_eq!(breakers.state(&agent(0), 0), Breaker::Closed);
        assert_ne!(breakers.state(&agent(1), 0), Breaker::Closed);
    }
}
