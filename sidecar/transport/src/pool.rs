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
use tokio::sync::watch;

/// Peers remembered; the longest unused gives way.
const PEERS_MAX: usize = 256;
/// Whoever comes after an attempt to connect waits so long for it, from its beginning, and then makes one beside it: an attempt whose
/// packets are lost repeats them ever more rarely, and would not notice for seconds that the network is back.
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
    link: watch::Sender<Option<Link>>,
    /// When the youngest attempt to connect began, while it lasts.
    connecting: Mutex<Option<Instant>>,
    used: Mutex<Instant>,
}

/// What whoever comes to a peer has to do.
enum Turn<'a> {
    /// Take the link that is open.
    Open(Link),
    /// Connect; others wait for a while, until this is dropped at the latest.
    Connect(Attempt<'a>),
}

/// An attempt to connect.
struct Attempt<'a> {
    peer: &'a Peer,
    begun: Instant,
}

impl Peer {
    fn open(&self) -> Option<Link> {
        self.link.borrow().as_ref().filter(|link| link.is_open()).cloned()
    }

    async fn turn(&self) -> Turn<'_> {
        let mut links = self.link.subscribe();
        loop {
            if let Some(open) = self.open() {
                return Turn::Open(open);
            }
            let shared = {
                let mut connecting = lock(&self.connecting);
                let shared = connecting.and_then(|begun| SHARED_MAX.checked_sub(begun.elapsed()));
                match shared {
                    Some(shared) => shared,
                    None => {
                        let begun = *connecting.insert(Instant::now());
                        return Turn::Connect(Attempt { peer: self, begun });
                    }
                }
            };
            // Either way it is looked at again.
            let _ = tokio::time::timeout(shared, links.changed()).await;
        }
    }
}

impl Attempt<'_> {
    /// Keeps the link, unless another attempt was quicker: its link is returned then.
    fn succeeds(self, new: Link) -> Link {
        let mut kept = new.clone();
        self.peer.link.send_if_modified(|link| match link {
            Some(open) if open.is_open() => {
                kept = open.clone();
                false
            }
            _ => {
                *link = Some(new);
                true
            }
        });
        kept
    }
}

impl Drop for Attempt<'_> {
    /// Whoever waits looks again.
    fn drop(&mut self) {
        lock(&self.peer.connecting).take_if(|begun| *begun == self.begun);
        self.peer.link.send_modify(|_| ());
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
        let attempt = match peer.turn().await {
            Turn::Open(link) => return Ok(link),
            Turn::Connect(attempt) => attempt,
        };
        let new = self.endpoint.connect(&peer.identity, key, way).await?.showing(peer.key);
        Ok(attempt.succeeds(new))
    }

    /// A link that is nobody else's: not kept for later, and by a key that is shown nowhere else.
    pub async fn link_apart(
        &self,
        key: &Bytes32,
        way: &Way<'_>,
        secret: &TransportSecret,
    ) -> Result<Link, ConnectError> {
        let link = self.endpoint.connect(&Identity::new(secret)?, key, way).await?;
        Ok(link.showing(secret.public()))
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
            Turn::Connect(_) => {
                let (link, early) = self.endpoint.connect_early(&peer.identity, key, way).await?;
                (link.showing(peer.key), early)
            }
        };
        let probed = open.probe(spec).await;
        if let Some(early) = early {
            early.proved(key).await?;
        }
        let load = probed.map_err(|e| ConnectError::Refused { reason: e.to_string() })?;
        if let Turn::Connect(attempt) = turn {
            attempt.succeeds(open);
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
            link: watch::Sender::default(),
            connecting: Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        peers.insert(kept, peer.clone());
        Ok(peer)
    }
}
