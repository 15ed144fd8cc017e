//! Links that are kept: the next question to the same peer begins without a handshake.
//!
//! To each peer this node shows another key, made when it first connects: two providers cannot tell by keys that they
//! answer the same person. Nor can one provider tell that whoever comes through a router has come directly before: each demand
//! on the way ([`Hide`]) has links and a key of its own, and so has whoever wants to be known.

use crate::address::Address;
use crate::config::Identity;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::frame::Load;
use crate::key::TransportSecret;
use crate::link::Link;
use crate::route::{Hide, Way};
use crate::sync::lock;
use ainonymous_types::{Bytes32, EntryHash};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Peers remembered; the longest unused gives way.
const PEERS_MAX: usize = 256;
/// Longest wait for a connection that somebody else is making. One whose packets are lost repeats them ever more rarely, and would not
/// notice for seconds that the network is back.
const SHARED_MAX: Duration = Duration::from_millis(250);

/// Links to peers, by their keys.
#[derive(Debug)]
pub struct Pool {
    endpoint: Endpoint,
    peers: Mutex<HashMap<Kept, Arc<Peer>>>,
}

/// Whose links, by which demand on the way, and whether the peer knows on them who asks.
type Kept = (Bytes32, Hide, bool);

#[derive(Debug)]
struct Peer {
    identity: Identity,
    key: Bytes32,
    link: Mutex<Option<Link>>,
    /// Held while connecting: whoever comes meanwhile takes the same link.
    connecting: tokio::sync::Mutex<()>,
    /// The same for the second attempt, beside one that takes too long.
    again: tokio::sync::Mutex<()>,
    used: Mutex<Instant>,
}

/// Where whoever comes to a peer finds itself.
enum Turn<'a> {
    /// There is a link.
    Open(Link),
    /// It connects; others wait until this is dropped.
    Connects { _until: tokio::sync::MutexGuard<'a, ()> },
}

impl Peer {
    fn open(&self) -> Option<Link> {
        lock(&self.link).as_ref().filter(|link| link.is_open()).cloned()
    }

    async fn turn(&self) -> Turn<'_> {
        if let Some(open) = self.open() {
            return Turn::Open(open);
        }
        let first = tokio::time::timeout(SHARED_MAX, self.connecting.lock()).await;
        let _until = match first {
            Ok(first) => first,
            Err(_) => self.again.lock().await,
        };
        self.open().map_or(Turn::Connects { _until }, Turn::Open)
    }

    fn keep(&self, link: &Link) {
        *lock(&self.link) = Some(link.clone());
    }
}

impl Pool {
    /// No links yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, peers: Mutex::default() }
    }

    /// The link to whoever has the key: the one that is open, else a new one. `secret` is used for a peer that is met for
    /// the first time: fresh random bytes, or the node's own to be known.
    pub async fn link(
        &self,
        key: &Bytes32,
        addresses: &[Address],
        secret: impl FnOnce() -> TransportSecret,
    ) -> Result<Link, ConnectError> {
        self.link_by(key, &Way { addresses, ..Way::default() }, secret).await
    }

    /// The same with demands on the way.
    pub async fn link_by(
        &self,
        key: &Bytes32,
        way: &Way<'_>,
        secret: impl FnOnce() -> TransportSecret,
    ) -> Result<Link, ConnectError> {
        let peer = self.peer((*key, way.hide, way.known), secret)?;
        let _until = match peer.turn().await {
            Turn::Open(link) => return Ok(link),
            Turn::Connects { _until } => _until,
        };
        let new = self.endpoint.connect(&peer.identity, key, way).await?.showing(peer.key);
        peer.keep(&new);
        Ok(new)
    }

    /// Asks a peer how busy it is, on the open link, else on a new one. If this node has been there before, the question goes
    /// with the first packet and costs one round trip: repeated by somebody who recorded it, it does no harm.
    pub async fn probe(
        &self,
        key: &Bytes32,
        addresses: &[Address],
        spec: EntryHash,
        secret: impl FnOnce() -> TransportSecret,
    ) -> Result<(Load, Duration), ConnectError> {
        self.probe_by(key, &Way { addresses, ..Way::default() }, spec, secret).await
    }

    /// The same with demands on the way.
    pub async fn probe_by(
        &self,
        key: &Bytes32,
        way: &Way<'_>,
        spec: EntryHash,
        secret: impl FnOnce() -> TransportSecret,
    ) -> Result<(Load, Duration), ConnectError> {
        let peer = self.peer((*key, way.hide, way.known), secret)?;
        let begun = Instant::now();
        let turn = peer.turn().await;
        let (open, early) = match &turn {
            Turn::Open(open) => (open.clone(), None),
            Turn::Connects { .. } => {
                let (link, early) = self.endpoint.connect_early(&peer.identity, key, way).await?;
                (link.showing(peer.key), early)
            }
        };
        let probed = open.probe(spec).await;
        if let Some(early) = early {
            early.proved(key).await?;
        }
        let load = probed.map_err(|e| ConnectError::Refused { reason: e.to_string() })?;
        if let Turn::Connects { .. } = turn {
            peer.keep(&open);
        }
        Ok((load, begun.elapsed()))
    }

    /// The open link to a peer that was reached without demands, if there is one.
    pub fn open(&self, key: &Bytes32) -> Option<Link> {
        self.open_by(key, Hide::No)
    }

    /// The same for one that was reached with this demand on the way.
    pub fn open_by(&self, key: &Bytes32, hide: Hide) -> Option<Link> {
        let kept = |known| lock(&self.peers).get(&(*key, hide, known)).cloned();
        [false, true].into_iter().filter_map(kept).find_map(|peer| peer.open())
    }

    /// The key that this node shows to a peer that it has met, by such a way, while it is not known there.
    pub fn shown_to(&self, key: &Bytes32, hide: Hide) -> Option<Bytes32> {
        lock(&self.peers).get(&(*key, hide, false)).map(|peer| peer.key)
    }

    fn peer(&self, kept: Kept, secret: impl FnOnce() -> TransportSecret) -> Result<Arc<Peer>, ConnectError> {
        let mut peers = lock(&self.peers);
        if let Some(peer) = peers.get(&kept) {
            *lock(&peer.used) = Instant::now();
            return Ok(peer.clone());
        }
        if peers.len() >= PEERS_MAX {
            let oldest = peers.iter().min_by_key(|(_, peer)| *lock(&peer.used)).map(|(key, _)| *key);
            oldest.and_then(|key| peers.remove(&key));
        }
        let secret = secret();
        let peer = Arc::new(Peer {
            identity: Identity::new(&secret)?,
            key: secret.public(),
            link: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            again: tokio::sync::Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        peers.insert(kept, peer.clone());
        Ok(peer)
    }
}
