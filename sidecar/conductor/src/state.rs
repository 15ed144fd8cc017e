//! How far the node is with the network, as one value that everything else can watch.
//!
//! Alone is not ready: a node that never saw a peer stays `Joining { Peers }`, because it cannot tell an empty network
//! from an unreachable one. Who has seen a peer is ready, even if all of them leave again: then `peers` is 0.

use ainonymous_types::AgentPubKey;
use base64::Engine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// How far the node is with the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NetworkState {
    /// There is no conductor to talk to; the connection is being restored unless the node is stopping.
    Offline {
        /// Why, for people.
        reason: String,
    },
    /// On the way.
    Joining {
        /// Which part is under way.
        stage: JoinStage,
    },
    /// At least one peer was seen.
    Ready {
        /// Peers known to be online now.
        peers: u32,
    },
}

/// What is under way while joining, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinStage {
    /// The conductor starts; the app is installed.
    Starting,
    /// No relay has given us an address yet.
    Relay,
    /// We have an address; our own agent is not announced yet.
    Bootstrap,
    /// Announced; no peer was seen yet.
    Peers,
}

impl NetworkState {
    /// True if questions can go to peers.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready { .. })
    }
}

impl fmt::Display for NetworkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline { reason } => write!(f, "offline: {reason}"),
            Self::Joining { stage } => write!(f, "joining: {stage}"),
            Self::Ready { peers: 1 } => f.write_str("ready, 1 peer"),
            Self::Ready { peers } => write!(f, "ready, {peers} peers"),
        }
    }
}

impl fmt::Display for JoinStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting the conductor",
            Self::Relay => "looking for a relay",
            Self::Bootstrap => "announcing this node",
            Self::Peers => "waiting for a first peer",
        })
    }
}

/// Bytes of a key without its prefix and location.
const RAW_KEY_BYTES: usize = 32;

/// What the conductor knows about agents, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerCount {
    /// Our own agent is announced.
    pub(crate) me: bool,
    /// Others that are announced and not expired.
    pub(crate) others: u32,
}

impl PeerCount {
    /// Reads the conductor's JSON; what cannot be read is not a peer.
    pub(crate) fn from_agent_infos(infos: &[String], me: &AgentPubKey) -> Self {
        let me = base64_url(me.get_raw_32());
        let mut count = Self::default();
        for agent in alive(infos) {
            if agent == me {
                count.me = true;
            } else {
                count.others = count.others.saturating_add(1);
            }
        }
        count
    }
}

/// Most agents that are told to be online.
const ONLINE_MAX: usize = 1_024;

/// Others that are announced and not expired, each once.
pub(crate) fn others_online(infos: &[String], me: &AgentPubKey) -> Vec<AgentPubKey> {
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let key = |agent: String| engine.decode(agent).ok().filter(|raw| raw.len() == RAW_KEY_BYTES);
    let others: BTreeSet<Vec<u8>> =
        alive(infos).filter_map(key).filter(|raw| raw.as_slice() != me.get_raw_32()).take(ONLINE_MAX).collect();
    others.into_iter().map(AgentPubKey::from_raw_32).collect()
}

/// Agents that are announced and not expired, as the conductor writes them.
fn alive(infos: &[String]) -> impl Iterator<Item = String> + '_ {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
    infos.iter().filter_map(|json| AgentInfo::parse(json)).filter_map(move |info| {
        let is_gone = info.is_tombstone || info.url.is_none();
        (!is_gone && !info.expires_at.parse().is_ok_and(|at: i64| at < now)).then_some(info.agent)
    })
}

/// Works out the state from what is observed.
pub(crate) fn judge(has_address: bool, count: PeerCount, seen_before: bool) -> NetworkState {
    if seen_before || count.others > 0 {
        return NetworkState::Ready { peers: count.others };
    }
    let stage = match (has_address, count.me) {
        (_, true) => JoinStage::Peers,
        (true, false) => JoinStage::Bootstrap,
        (false, false) => JoinStage::Relay,
    };
    NetworkState::Joining { stage }
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "agentInfo")]
    agent_info: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentInfo {
    agent: String,
    expires_at: String,
    #[serde(default)]
    is_tombstone: bool,
    url: Option<String>,
}

impl AgentInfo {
    fn parse(json: &str) -> Option<Self> {
        let signed: Signed = serde_json::from_str(json).ok()?;
        serde_json::from_str(&signed.agent_info).ok()
    }
}

/// How the conductor writes agents.
fn base64_url(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(agent: &AgentPubKey, expires_at: i64, tombstone: bool) -> String {
        let inner = serde_json::json!({ "agent": base64_url(agent.get_raw_32()), "space": "x", "createdAt": "0",
            "expiresAt": expires_at.to_string(), "isTombstone": tombstone, "url": "http://127.0.0.1:1/x" });
        serde_json::json!({ "agentInfo": inner.to_string(), "signature": "AA" }).to_string()
    }

    #[test]
    fn only_living_others_are_peers() {
        let (me, other) = (AgentPubKey::from_raw_32(vec![1; 32]), AgentPubKey::from_raw_32(vec![2; 32]));
        let far = i64::MAX;
        let infos = [info(&me, far, false), info(&other, far, false), info(&other, 1, false), info(&other, far, true)];
        let count = PeerCount::from_agent_infos(&infos, &me);
        assert_eq!(count, PeerCount { me: true, others: 1 });
        assert_eq!(others_online(&infos, &me), [other]);
        assert_eq!(others_online(&["nonsense".into(), "{}".into()], &me), []);
        assert_eq!(PeerCount::from_agent_infos(&["nonsense".into(), "{}".into()], &me), PeerCount::default());
    }

    #[test]
    fn alone_is_joining_until_a_peer_was_seen() {
        let me = PeerCount { me: true, others: 0 };
        assert_eq!(judge(false, PeerCount::default(), false), NetworkState::Joining { stage: JoinStage::Relay });
        assert_eq!(judge(true, PeerCount::default(), false), NetworkState::Joining { stage: JoinStage::Bootstrap });
        assert_eq!(judge(true, me, false), NetworkState::Joining { stage: JoinStage::Peers });
        assert_eq!(judge(true, PeerCount { me: true, others: 2 }, false), NetworkState::Ready { peers: 2 });
        assert_eq!(judge(true, me, true), NetworkState::Ready { peers: 0 });
    }
}
