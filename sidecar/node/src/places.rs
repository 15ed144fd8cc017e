//! Places at routers: those that a node was told, and those that it found on the DHT. Found ones are tried against each other,
//! the quickest are kept, and others are looked for when one is gone.

use crate::node::{lock, Node};
use crate::routers;
use ainonymous_protocol::routers::{to_probe, Hop};
use ainonymous_transport::{Address, ConnectError, Registration, RegistrationState};
use ainonymous_types::Bytes32;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Places at found routers that a provider keeps.
const FOUND_WANTED: usize = 2;
/// Routers at which a router registers: each may be the first of two.
const FIRST_WANTED: usize = 4;
/// It is looked whether places still stand this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Whoever has found too few looks for more this often.
const SEARCH_EVERY: Duration = Duration::from_secs(30);
/// The same while there is none at all.
const SEARCH_FIRST_EVERY: Duration = Duration::from_secs(3);
/// A router that does not answer for so long is gone: another one is looked for.
const GONE_AFTER: Duration = Duration::from_secs(20);
/// Longest wait for routers that are tried.
const PROBE_MAX: Duration = Duration::from_secs(3);
/// Pause between two looks at that.
const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// Says when the places of a node have changed.
#[derive(Debug)]
pub(crate) struct PlaceChanges(watch::Sender<u64>);

impl Default for PlaceChanges {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl PlaceChanges {
    /// Counts up whenever a place was won or lost.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn tell(&self) {
        self.0.send_modify(|n| *n += 1);
    }
}

/// Places at routers.
#[derive(Debug, Default)]
pub(crate) struct Places {
    given: Vec<Registration>,
    found: Mutex<Vec<Found>>,
}

#[derive(Debug)]
struct Found {
    hop: Hop,
    place: Registration,
    stood: Instant,
}

impl Places {
    /// At routers that a person named.
    pub(crate) fn given(given: Vec<Registration>) -> Self {
        Self { given, found: Mutex::default() }
    }

    /// Where this node is reached through routers: named ones that have answered, and found ones until they are given up.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let given = self.given.iter().filter(|place| is_registered(place)).map(Registration::address);
        given.chain(lock(&self.found).iter().map(|found| found.place.address())).collect()
    }

    /// Whether a named router has not answered yet.
    pub(crate) fn is_connecting(&self) -> bool {
        self.given.iter().any(|place| place.state() == RegistrationState::Connecting)
    }

    fn used(&self) -> Vec<Hop> {
        let hop = |place: &Registration| match place.address() {
            Address::Routed { at, router } => Some((at, router)),
            Address::Direct(_) => None,
        };
        self.given.iter().filter_map(hop).chain(lock(&self.found).iter().map(|found| found.hop)).collect()
    }

    /// Lets go of routers that are gone; says whether one was.
    fn sweep(&self) -> bool {
        let mut found = lock(&self.found);
        for place in found.iter_mut().filter(|found| is_registered(&found.place)) {
            place.stood = Instant::now();
        }
        let before = found.len();
        found.retain(|found| found.stood.elapsed() < GONE_AFTER);
        found.len() < before
    }
}

/// Whose places these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The provider's: askers come through routers.
    Provider,
    /// The node's own router's: askers who want two in a row come through others.
    Router,
}

/// Keeps up places at routers that are found on the DHT, until the node stops.
pub(crate) async fn keep(node: Node, side: Side) {
    let wanted = match side {
        Side::Provider => FOUND_WANTED,
        Side::Router => FIRST_WANTED,
    };
    let mut searched: Option<Instant> = None;
    loop {
        let Some(places) = places(&node, side) else { return };
        if places.sweep() {
            node.inner.places.tell();
        }
        let have = lock(&places.found).len();
        let pause = if have == 0 { SEARCH_FIRST_EVERY } else { SEARCH_EVERY };
        if have < wanted && searched.is_none_or(|searched| searched.elapsed() >= pause) {
            searched = Some(Instant::now());
            let won = search(&node, side, places, wanted - have).await;
            if !won.is_empty() {
                lock(&places.found).extend(won);
                node.inner.places.tell();
            }
        }
        tokio::time::sleep(LOOK_EVERY.min(pause)).await;
    }
}

/// Tries some routers; gives the places that stood first, and lets go of the others.
async fn search(node: &Node, side: Side, places: &Places, wanted: usize) -> Vec<Found> {
    let seen = routers::discover(node).await;
    let own: Vec<Bytes32> = node.inner.router.iter().map(|router| router.key()).collect();
    let mut trying: Vec<(Hop, Registration)> = Vec::new();
    for hop in to_probe(&seen, &own, &places.used(), &rand::random()) {
        match register(node, side, hop) {
            Ok(place) => trying.push((hop, place)),
            Err(error) => tracing::debug!(%error, "a router cannot be tried"),
        }
    }
    let (begun, mut won) = (Instant::now(), Vec::new());
    while won.len() < wanted && !trying.is_empty() && begun.elapsed() < PROBE_MAX {
        tokio::time::sleep(PROBE_PAUSE).await;
        while let Some(at) = trying.iter().position(|(_, place)| is_registered(place)) {
            let (hop, place) = trying.swap_remove(at);
            won.push(Found { hop, place, stood: Instant::now() });
        }
    }
    won.truncate(wanted);
    won
}

fn register(node: &Node, side: Side, (at, key): (SocketAddr, Bytes32)) -> Result<Registration, ConnectError> {
    match (side, &node.inner.plane, &node.inner.router) {
        (Side::Provider, Some(plane), _) => plane.endpoint.register(at, key, true),
        (Side::Router, _, Some(router)) => router.register(at, key),
        (Side::Provider, None, _) | (Side::Router, _, None) => Err(ConnectError::Closed),
    }
}

fn places(node: &Node, side: Side) -> Option<&Places> {
    match side {
        Side::Provider => node.inner.plane.as_ref().map(|plane| &plane.places),
        Side::Router => node.inner.router.as_ref().map(|router| router.places()),
    }
}

fn is_registered(place: &Registration) -> bool {
    matches!(place.state(), RegistrationState::Registered { .. })
}
