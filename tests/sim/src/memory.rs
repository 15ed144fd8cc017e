//! What one requester remembers of providers: a small table, because a simulation holds thousands of them and looks things up
//! for every candidate of every request. The values are the protocol's own; only the table is not.

use crate::world::Time;
use ainonymous_protocol::choosing::Probed;
use ainonymous_protocol::history::{Observed, Outcome};
use ainonymous_protocol::reports::{Subject, Word};
use std::collections::{HashMap, VecDeque};

/// Peers remembered, good and bad; whoever was touched longest ago makes room, those first who were only probed.
const PEERS_MAX: usize = 640;
/// Of these, at most so many who were only probed.
const ONLY_PROBED_MAX: usize = 128;
/// Places in the table: a power of two, so full that a search is short.
const PLACES: usize = 1_024;
/// Providers of whom others' words are remembered; those of whom was spoken first make room.
const SUBJECTS_MAX: usize = 512;
/// A peer is asked for reports this often at most.
const REPORTS_EVERY_US: Time = 60_000_000;
/// Nobody.
const EMPTY: u16 = u16::MAX;

/// What is remembered of one.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    number: u32,
    touched: u32,
    observed: Observed,
    /// Its last reply to a probe.
    pub(crate) probed: Option<Probed>,
    /// Own requests sent to it since.
    pub(crate) asked_since: u32,
    /// When it was last asked what it saw of others.
    reports_at_us: Option<Time>,
}

/// All that is remembered.
#[derive(Debug)]
pub(crate) struct Memory {
    peers: Vec<Peer>,
    /// Where in `peers` somebody is, by a hash of the number; linear probing.
    places: Vec<u16>,
    touches: u32,
    subjects: HashMap<u32, Subject<u32>>,
    subjects_order: VecDeque<u32>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            places: vec![EMPTY; PLACES],
            touches: 0,
            subjects: HashMap::new(),
            subjects_order: VecDeque::new(),
        }
    }
}

impl Peer {
    /// Own experience, if there is any.
    pub(crate) fn own(&self) -> Option<&Observed> {
        Some(&self.observed).filter(|own| own.seen_us > 0)
    }
}

impl Memory {
    /// What is remembered of this one.
    pub(crate) fn of(&self, number: u32) -> Option<&Peer> {
        let at = self.places[self.place_of(number)];
        self.peers.get(usize::from(at))
    }

    /// It replied to a probe.
    pub(crate) fn probed(&mut self, number: u32, probed: Probed) {
        let peer = self.touch(number);
        peer.probed = Some(probed);
        peer.asked_since = 0;
    }

    /// Whether it may be asked what it saw of others; if so, it is.
    pub(crate) fn may_ask_reports(&mut self, number: u32, now_us: Time) -> bool {
        let peer = self.touch(number);
        let may = peer.reports_at_us.is_none_or(|at_us| now_us >= at_us + REPORTS_EVERY_US);
        if may {
            peer.reports_at_us = Some(now_us);
        }
        may
    }

    /// It was asked.
    pub(crate) fn asked(&mut self, number: u32) {
        self.touch(number).asked_since += 1;
    }

    /// A request to it ended.
    pub(crate) fn observe(&mut self, number: u32, outcome: Outcome, now_us: Time) {
        self.touch(number).observed.observe(outcome, now_us.max(1));
    }

    /// Everybody of whom there is own experience.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (u32, &Observed)> + Clone {
        self.peers.iter().filter_map(|peer| peer.own().map(|own| (peer.number, own)))
    }

    /// Somebody said this of somebody.
    pub(crate) fn told(&mut self, of: u32, by: u32, word: Word, now_us: Time) {
        if !self.subjects.contains_key(&of) {
            if self.subjects_order.len() >= SUBJECTS_MAX {
                self.subjects_order.pop_front().and_then(|first| self.subjects.remove(&first));
            }
            self.subjects_order.push_back(of);
        }
        self.subjects.entry(of).or_default().put(&by, word, now_us);
    }

    /// What others said of somebody.
    pub(crate) fn words(&self, of: u32, now_us: Time) -> &[Word] {
        self.subjects.get(&of).map(|subject| subject.lately(now_us)).unwrap_or_default()
    }

    fn touch(&mut self, number: u32) -> &mut Peer {
        let place = self.place_of(number);
        self.touches += 1;
        let at = match self.places[place] {
            EMPTY => self.add(number),
            at => usize::from(at),
        };
        self.peers[at].touched = self.touches;
        &mut self.peers[at]
    }

    fn add(&mut self, number: u32) -> usize {
        let peer = Peer {
            number,
            touched: 0,
            observed: Observed::default(),
            probed: None,
            asked_since: 0,
            reports_at_us: None,
        };
        let only_probed = self.peers.iter().filter(|peer| peer.own().is_none()).count();
        if self.peers.len() < PEERS_MAX && only_probed < ONLY_PROBED_MAX {
            self.peers.push(peer);
            let (at, place) = (self.peers.len() - 1, self.place_of(number));
            self.places[place] = at as u16;
            return at;
        }
        let key = |peer: &Peer| (peer.own().is_some(), peer.touched);
        let oldest = self.peers.iter().enumerate().min_by_key(|(_, peer)| key(peer)).map_or(0, |(at, _)| at);
        self.peers[oldest] = peer;
        self.rebuild();
        oldest
    }

    /// Rare: only when somebody is forgotten.
    fn rebuild(&mut self) {
        self.places.fill(EMPTY);
        for at in 0..self.peers.len() {
            let place = self.place_of(self.peers[at].number);
            self.places[place] = at as u16;
        }
    }

    /// Where the number is, or would be.
    fn place_of(&self, number: u32) -> usize {
        let mut place = (number.wrapping_mul(0x9e37_79b1) >> 22) as usize % PLACES;
        loop {
            let at = self.places[place];
            if at == EMPTY || self.peers[usize::from(at)].number == number {
                return place;
            }
            place = (place + 1) % PLACES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_touched_longest_ago_is_forgotten_and_nobody_else() {
        let mut memory = Memory::default();
        for number in 0..=PEERS_MAX as u32 {
            memory.observe(number * 1_024, Outcome::Failed, 5);
        }
        assert!(memory.of(0).is_none());
        for number in 1..=PEERS_MAX as u32 {
            assert_eq!(memory.of(number * 1_024).and_then(Peer::own).map(|own| own.failures), Some(1), "{number}");
        }
        assert_eq!(memory.peers.len(), PEERS_MAX);
    }
}
