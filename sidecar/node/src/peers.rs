//! Peers as people see them: who serves what, how near and how busy they were when they last said so.
//!
//! It only shows what is known already: nobody is asked anything for it, because a probe tells a peer this machine's address.

use crate::node::Node;
use serde::Serialize;
use std::time::Duration;

/// Everybody who serves, as last seen on the DHT.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peers {
    /// Seconds since the DHT was read; none if it was not read yet.
    pub read_ago_s: Option<u64>,
    /// In no order; without this node.
    pub peers: Vec<Peer>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peer {
    /// Its agent key, as `uhCAk…`.
    pub agent: String,
    /// How close its owner is: `own`, `friend`, `lan` or `public`.
    pub kinship: &'static str,
    /// What computes, by its own word.
    pub device: String,
    /// How a question would go there: `direct`, `routed` or `signals`.
    pub route: &'static str,
    /// It has not answered lately and is left alone for a while.
    pub failing: bool,
    /// What it serves.
    pub models: Vec<PeerModel>,
}

/// A model that a peer serves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerModel {
    /// `name:quantisation`.
    pub id: String,
    /// Decode speed of one stream by its own word, in tokens a second; 0 if it does not say.
    pub claimed_tokens_per_s: u32,
    /// The same as this node has measured it.
    pub measured_tokens_per_s: Option<f64>,
    /// What it last said of its queue; none if it was never asked.
    pub heard: Option<Heard>,
}

/// What a peer last said when it was asked how busy it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heard {
    /// Seconds since then.
    pub ago_s: u64,
    /// How long the question took there and back, in milliseconds.
    pub round_trip_ms: f64,
    /// Questions that waited.
    pub queued: u32,
    /// Answers that it makes at once.
    pub slots: u32,
    /// Of these, free.
    pub free_slots: u32,
    /// What it wants, in thousandths of a credit for a million parameter-tokens; 0 is a gift, none if it does not say.
    pub milli_price: Option<u64>,
}

impl Node {
    /// Everybody who serves, and what this node knows of them.
    pub async fn peers(&self) -> Peers {
        self.inner.directory.refresh_listing(self).await;
        let Some(own) = self.conductor().map(|conductor| conductor.agent()) else {
            return Peers { read_ago_s: None, peers: vec![] };
        };
        let (served, read_ago) = self.inner.directory.served_by_peers(self, &own);
        let peers = served.into_iter().map(|(device, candidates)| {
            let known = crate::choosing::known_of(self, &candidates);
            let link = candidates.first().and_then(|candidate| candidate.link.as_ref());
            let route = match link {
                None => "signals",
                Some(link) if link.is_routed() => "routed",
                Some(_) => "direct",
            };
            let first = known.first();
            let kinship = first.map_or("public", |known| known.kinship);
            let failing = first.is_some_and(|known| known.failing);
            let agent = candidates.first().map(|candidate| candidate.agent.to_string()).unwrap_or_default();
            let models = candidates.into_iter().zip(known).map(|(candidate, known)| PeerModel {
                id: candidate.model_id,
                claimed_tokens_per_s: candidate.claimed_tokens_per_s,
                measured_tokens_per_s: known.measured_tokens_per_s,
                heard: known.heard,
            });
            Peer { agent, kinship, device, route, failing, models: models.collect() }
        });
        Peers { read_ago_s: read_ago.as_ref().map(Duration::as_secs), peers: peers.collect() }
    }
}
