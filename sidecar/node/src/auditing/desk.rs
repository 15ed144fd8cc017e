//! Where orders of audits wait: so many at once, of one provider and of one requester fewer, and so many in an hour.
//!
//! An order that fits costs its maker one answer of a provider, who may be its accomplice; it costs this node a replay. So what is bounded is
//! the work, and whose answers it is about: requesters come with another key each time.

use crate::node::lock;
use crate::requester::Requester;
use ainonymous_types::{AgentPubKey, AuditRefusal, Bytes32};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Orders in hand.
const ORDERS_MAX: usize = 8;
/// Of these, about one provider.
const PER_PROVIDER_MAX: usize = 2;
/// Of these, by one requester, as far as it is known.
const PER_REQUESTER_MAX: usize = 2;
/// Answers that are computed again for others within [`HOUR`].
const HOUR_MAX: usize = 60;
/// Of these, of one provider.
const HOUR_PER_PROVIDER_MAX: usize = 12;
/// An hour.
const HOUR: Duration = Duration::from_secs(3_600);

/// Orders in hand, and what was done lately.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    lately: VecDeque<(Instant, AgentPubKey)>,
}

#[derive(Debug)]
struct Waiting {
    from: Requester,
    provider: AgentPubKey,
    leaf: Bytes32,
}

/// The place of one order, until this is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    desk: &'a Desk,
    leaf: Bytes32,
}

impl Desk {
    /// A place for an order about this provider's answer.
    pub(super) fn take(
        &self,
        from: &Requester,
        provider: &AgentPubKey,
        leaf: Bytes32,
        now: Instant,
    ) -> Result<Place<'_>, AuditRefusal> {
        let mut state = lock(&self.0);
        let State { waiting, lately } = &mut *state;
        if waiting.iter().any(|other| other.leaf == leaf) {
            return Err(AuditRefusal::Repeated);
        }
        while lately.front().is_some_and(|(at, _)| now.duration_since(*at) >= HOUR) {
            lately.pop_front();
        }
        let of_provider = waiting.iter().filter(|other| other.provider == *provider).count();
        let of_requester = waiting.iter().filter(|other| other.from.counts_with(from)).count();
        let done = lately.iter().filter(|(_, other)| other == provider).count();
        let full = waiting.len() >= ORDERS_MAX
            || of_provider >= PER_PROVIDER_MAX
            || of_requester >= PER_REQUESTER_MAX
            || lately.len() >= HOUR_MAX
            || done >= HOUR_PER_PROVIDER_MAX;
        if full {
            return Err(AuditRefusal::Busy);
        }
        waiting.push(Waiting { from: from.clone(), provider: provider.clone(), leaf });
        drop(state);
        Ok(Place { desk: self, leaf })
    }
}

impl Place<'_> {
    /// The answer is computed again: from now on it counts.
    pub(super) fn begins(&self, provider: &AgentPubKey, now: Instant) {
        lock(&self.desk.0).lately.push_back((now, provider.clone()));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.desk.0).waiting.retain(|waiting| waiting.leaf != self.leaf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    /// One of the `n`th requester about a provider.
    fn take(desk: &Desk, requester: u8, provider: u8, n: u8, now: Instant) -> Result<Place<'_>, AuditRefusal> {
        desk.take(&Requester::Link(Bytes32([requester; 32])), &agent(provider), Bytes32([n; 32]), now)
    }

    #[test]
    fn a_flood_of_orders_stays_bounded_and_an_answer_is_looked_at_once() {
        let (desk, now) = (Desk::default(), Instant::now());
        let first = take(&desk, 1, 1, 1, now).unwrap();
        assert_eq!(take(&desk, 2, 1, 1, now).err(), Some(AuditRefusal::Repeated));
        let _second = take(&desk, 2, 1, 2, now).unwrap();
        assert_eq!(take(&desk, 3, 1, 3, now).err(), Some(AuditRefusal::Busy), "one provider, two at once");
        let _third = take(&desk, 2, 2, 3, now).unwrap();
        assert_eq!(take(&desk, 2, 3, 4, now).err(), Some(AuditRefusal::Busy), "one requester, two at once");
        let more: Vec<_> = (10..99).filter_map(|n| take(&desk, n, n, n, now).ok()).collect();
        assert_eq!(more.len(), ORDERS_MAX - 3);
        drop(first);
        assert!(take(&desk, 1, 1, 1, now).is_ok(), "what is done makes room");
    }

    #[test]
    fn so_much_is_computed_for_others_in_an_hour_and_of_one_provider_less() {
        let (desk, now) = (Desk::default(), Instant::now());
        let mut done = 0u8;
        for provider in 0..u8::MAX {
            for n in 0..=HOUR_PER_PROVIDER_MAX {
                let Ok(place) = take(&desk, 1, provider, n as u8, now) else { continue };
                place.begins(&agent(provider), now);
                done += 1;
            }
        }
        assert_eq!(usize::from(done), HOUR_MAX);
        let of_first = lock(&desk.0).lately.iter().filter(|(_, provider)| *provider == agent(0)).count();
        assert_eq!(of_first, HOUR_PER_PROVIDER_MAX);
        assert!(take(&desk, 1, 99, 1, now + HOUR - Duration::from_secs(1)).is_err());
        assert!(take(&desk, 1, 99, 1, now + HOUR).is_ok(), "an hour later there is room again");
        let refused = take(&desk, 1, 99, 2, now + HOUR);
        assert!(refused.is_ok(), "what was not computed does not count");
    }
}
