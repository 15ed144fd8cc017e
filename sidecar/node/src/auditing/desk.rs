//! Where orders of audits wait: so many at once, of one provider and of one requester fewer, and so many in an hour.
//!
//! An order that fits costs its maker one answer of a provider, who may be its accomplice; it costs this node a replay. So what is bounded is
//! the work, and whose answers it is about: requesters come with another key each time. An order in which only the signature is right costs
//! nothing, for whoever makes it up signs it himself: it takes none of the places for work before its batch and its commitments were found,
//! and what is being looked up has a few places of its own.

use crate::node::lock;
use crate::requester::Requester;
use ainonymous_types::{AgentPubKey, AuditRefusal, Bytes32};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Orders whose batch and commitments are being looked up.
const CHECKED_MAX: usize = 8;
/// Of these, by one requester, as far as it is known.
const CHECKED_PER_REQUESTER_MAX: usize = 2;
/// Orders in hand.
const ORDERS_MAX: usize = 8;
/// Of these, about one provider.
const PER_PROVIDER_MAX: usize = 2;
/// Of these, by one requester, as far as it is known.
const PER_REQUESTER_MAX: usize = 2;
/// Answers that are computed again for others within [`HOUR`], with those that wait for it.
const HOUR_MAX: usize = 60;
/// Of these, of one provider, with those that were ordered and then not shown.
const HOUR_PER_PROVIDER_MAX: usize = 12;
/// Orders of one requester within [`HOUR`] after which nothing was shown that fits; a broken link is nobody's fault once.
const VAIN_PER_REQUESTER_MAX: usize = 6;
/// Such orders that are remembered; the oldest give way.
const VAIN_MAX: usize = 512;
/// An hour.
const HOUR: Duration = Duration::from_secs(3_600);

/// Orders in hand, and what was done lately.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    checked: Vec<Order>,
    waiting: Vec<Waiting>,
    computed: VecDeque<(Instant, AgentPubKey)>,
    vain: VecDeque<(Instant, Order)>,
}

/// What an order says that counts here.
#[derive(Clone, Debug)]
struct Order {
    from: Requester,
    provider: AgentPubKey,
    leaf: Bytes32,
}

#[derive(Debug)]
struct Waiting {
    order: Order,
    /// It is among what was computed.
    begun: bool,
}

/// An order that is being looked up, until this is dropped.
#[derive(Debug)]
pub(super) struct Check<'a> {
    desk: &'a Desk,
    order: Order,
}

/// The place of one order, until this is dropped. If it was not begun by then, it was ordered in vain.
#[derive(Debug)]
pub(super) struct Place<'a> {
    desk: &'a Desk,
    leaf: Bytes32,
}

impl Desk {
    /// Lets an order about this provider's answer be looked up, if there would be a place for it.
    pub(super) fn check(
        &self,
        from: &Requester,
        provider: &AgentPubKey,
        leaf: Bytes32,
        now: Instant,
    ) -> Result<Check<'_>, AuditRefusal> {
        let order = Order { from: from.clone(), provider: provider.clone(), leaf };
        let mut state = lock(&self.0);
        state.has_room(&order, now)?;
        let of_requester = state.checked.iter().filter(|other| other.from.counts_with(from)).count();
        // The same answer: which of the two orders is good is not known yet.
        let same = state.checked.iter().any(|other| other.leaf == leaf);
        if same || state.checked.len() >= CHECKED_MAX || of_requester >= CHECKED_PER_REQUESTER_MAX {
            return Err(AuditRefusal::Busy);
        }
        state.checked.push(order.clone());
        drop(state);
        Ok(Check { desk: self, order })
    }
}

impl State {
    /// Whether there is a place for the order now.
    fn has_room(&mut self, order: &Order, now: Instant) -> Result<(), AuditRefusal> {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= HOUR;
        while self.computed.front().is_some_and(|(at, _)| is_old(at)) {
            self.computed.pop_front();
        }
        while self.vain.front().is_some_and(|(at, _)| is_old(at)) {
            self.vain.pop_front();
        }
        let Self { checked: _, waiting, computed, vain } = self;
        if waiting.iter().any(|other| other.order.leaf == order.leaf) {
            return Err(AuditRefusal::Repeated);
        }
        let same_provider = |provider: &AgentPubKey| *provider == order.provider;
        let of_provider = waiting.iter().filter(|other| same_provider(&other.order.provider)).count();
        let of_requester = waiting.iter().filter(|other| other.order.from.counts_with(&order.from)).count();
        // What waits will be computed.
        let to_come = || waiting.iter().filter(|other| !other.begun);
        let hour = computed.len() + to_come().count();
        let hour_of_provider = computed.iter().filter(|(_, other)| same_provider(other)).count()
            + to_come().filter(|other| same_provider(&other.order.provider)).count()
            + vain.iter().filter(|(_, other)| same_provider(&other.provider)).count();
        let vain_of_requester = vain.iter().filter(|(_, other)| other.from.counts_with(&order.from)).count();
        let full = waiting.len() >= ORDERS_MAX
            || of_provider >= PER_PROVIDER_MAX
            || of_requester >= PER_REQUESTER_MAX
            || hour >= HOUR_MAX
            || hour_of_provider >= HOUR_PER_PROVIDER_MAX
            || vain_of_requester >= VAIN_PER_REQUESTER_MAX;
        if full {
            return Err(AuditRefusal::Busy);
        }
        Ok(())
    }
}

impl<'a> Check<'a> {
    /// What was looked up is right: the order takes a place, if there still is one.
    pub(super) fn take(self, now: Instant) -> Result<Place<'a>, AuditRefusal> {
        let (desk, order) = (self.desk, self.order.clone());
        let mut state = lock(&desk.0);
        state.has_room(&order, now)?;
        let leaf = order.leaf;
        state.waiting.push(Waiting { order, begun: false });
        drop(state);
        Ok(Place { desk, leaf })
    }
}

impl Drop for Check<'_> {
    fn drop(&mut self) {
        lock(&self.desk.0).checked.retain(|order| order.leaf != self.order.leaf);
    }
}

impl Place<'_> {
    /// The answer is computed again: from now on it counts.
    pub(super) fn begins(&self, now: Instant) {
        let mut state = lock(&self.desk.0);
        let State { checked: _, waiting, computed, vain: _ } = &mut *state;
        if let Some(own) = waiting.iter_mut().find(|waiting| waiting.order.leaf == self.leaf && !waiting.begun) {
            own.begun = true;
            computed.push_back((now, own.order.provider.clone()));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.desk.0);
        let State { checked: _, waiting, computed: _, vain } = &mut *state;
        let Some(at) = waiting.iter().position(|waiting| waiting.order.leaf == self.leaf) else { return };
        let Waiting { order, begun } = waiting.swap_remove(at);
        if begun {
            return;
        }
        vain.push_back((Instant::now(), order));
        while vain.len() > VAIN_MAX {
            vain.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn requester(n: u8) -> Requester {
        Requester::Link(Bytes32([n; 32]))
    }

    /// One of the `n`th answer, by a requester about a provider.
    fn check(desk: &Desk, from: u8, provider: u8, n: u8, now: Instant) -> Result<Check<'_>, AuditRefusal> {
        desk.check(&requester(from), &agent(provider), Bytes32([n; 32]), now)
    }

    fn take(desk: &Desk, from: u8, provider: u8, n: u8, now: Instant) -> Result<Place<'_>, AuditRefusal> {
        check(desk, from, provider, n, now)?.take(now)
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
    fn what_anybody_can_sign_himself_takes_no_place() {
        let (desk, now) = (Desk::default(), Instant::now());
        let made_up: Vec<_> = (10..99).filter_map(|n| check(&desk, n, n, n, now).ok()).collect();
        assert_eq!(made_up.len(), CHECKED_MAX);
        assert_eq!(check(&desk, 1, 1, 1, now).err(), Some(AuditRefusal::Busy), "bounded, and later there is room");
        assert!(lock(&desk.0).waiting.is_empty());
        drop(made_up);
        let (first, second) = (check(&desk, 1, 1, 1, now).unwrap(), check(&desk, 1, 2, 2, now).unwrap());
        assert_eq!(check(&desk, 1, 3, 3, now).err(), Some(AuditRefusal::Busy), "one requester, two at once");
        assert_eq!(
            check(&desk, 2, 1, 1, now).err(),
            Some(AuditRefusal::Busy),
            "the same answer is not looked up twice"
        );
        let _place = first.take(now).unwrap();
        drop(second);
        assert!(lock(&desk.0).checked.is_empty());
        assert_eq!(check(&desk, 2, 1, 1, now).err(), Some(AuditRefusal::Repeated));
    }

    #[test]
    fn what_was_looked_up_in_time_may_find_the_desk_full() {
        let (desk, now) = (Desk::default(), Instant::now());
        let checks: Vec<_> = (1..=3).map(|n| check(&desk, n, 1, n, now).unwrap()).collect();
        let places: Vec<_> = checks.into_iter().map(|check| check.take(now)).collect();
        let taken = places.iter().filter(|place| place.is_ok()).count();
        assert_eq!(taken, PER_PROVIDER_MAX);
        assert!(lock(&desk.0).checked.is_empty());
    }

    #[test]
    fn so_much_is_computed_for_others_in_an_hour_and_of_one_provider_less() {
        let (desk, now) = (Desk::default(), Instant::now());
        let mut done = 0u8;
        for provider in 0..u8::MAX {
            for n in 0..=HOUR_PER_PROVIDER_MAX {
                let Ok(place) = take(&desk, 1, provider, n as u8, now) else { continue };
                place.begins(now);
                done += 1;
            }
        }
        assert_eq!(usize::from(done), HOUR_MAX);
        let of_first = lock(&desk.0).computed.iter().filter(|(_, provider)| *provider == agent(0)).count();
        assert_eq!(of_first, HOUR_PER_PROVIDER_MAX);
        assert!(take(&desk, 1, 99, 1, now + HOUR - Duration::from_secs(1)).is_err());
        assert!(take(&desk, 1, 99, 1, now + HOUR).is_ok(), "an hour later there is room again");
    }

    #[test]
    fn what_waits_for_its_turn_counts_into_the_hour() {
        let (desk, now) = (Desk::default(), Instant::now());
        for n in 1..HOUR_MAX as u8 {
            take(&desk, n, n, n, now).unwrap().begins(now);
        }
        let last = take(&desk, 100, 100, 100, now).unwrap();
        assert_eq!(take(&desk, 101, 101, 101, now).err(), Some(AuditRefusal::Busy), "the sixtieth waits already");
        last.begins(now);
        last.begins(now);
        assert_eq!(lock(&desk.0).computed.len(), HOUR_MAX, "and is counted once");
        drop(last);
        let desk = Desk::default();
        for n in 1..HOUR_PER_PROVIDER_MAX as u8 {
            take(&desk, n, 1, n, now).unwrap().begins(now);
        }
        let _last = take(&desk, 100, 1, 100, now).unwrap();
        assert_eq!(take(&desk, 101, 1, 101, now).err(), Some(AuditRefusal::Busy), "the same for one provider");
    }

    #[test]
    fn an_order_after_which_nothing_is_shown_counts_against_provider_and_requester_but_not_against_others() {
        let now = Instant::now();
        let desk = Desk::default();
        for n in 0..HOUR_PER_PROVIDER_MAX as u8 {
            drop(take(&desk, n, 1, n, now).unwrap());
        }
        assert_eq!(take(&desk, 50, 1, 50, now).err(), Some(AuditRefusal::Busy), "of one provider so many in an hour");
        let desk = Desk::default();
        for n in 0..VAIN_PER_REQUESTER_MAX as u8 {
            drop(take(&desk, 1, n, n, now).unwrap());
        }
        assert_eq!(take(&desk, 1, 50, 50, now).err(), Some(AuditRefusal::Busy), "of one requester too");
        // However many: whoever else comes is audited, and what is remembered is bounded.
        for n in 0..1_000u32 {
            let id = Bytes32([&n.to_le_bytes()[..], &[7; 28]].concat().try_into().unwrap());
            let provider = AgentPubKey::from_raw_36([&n.to_le_bytes()[..], &[7; 32]].concat());
            drop(desk.check(&Requester::Link(id), &provider, id, now).unwrap().take(now).unwrap());
        }
        assert_eq!(lock(&desk.0).vain.len(), VAIN_MAX);
        assert!(take(&desk, 60, 60, 60, now).is_ok());
        assert!(take(&desk, 1, 61, 61, now + 2 * HOUR).is_ok());
    }
}
