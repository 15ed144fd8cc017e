//! What a node is started with. Parsing and defaults for people live in the command line.

use crate::{AuditHabits, ShowAuditors};
use ainonymous_conductor::ConductorOptions;
use ainonymous_engine::{DraftOptions, EngineOptions, GpuLayers, ProjectorOptions, WorkerCommand};
use ainonymous_models::{projector_beside, Store};
use ainonymous_protocol::choosing::{Price, Region};
use ainonymous_transport::Address;
use ainonymous_types::{limits, AgentPubKey, Bytes32, KvType};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// Everything that a node needs to start.
#[derive(Debug)]
pub struct NodeOptions {
    /// Folder of this node; created if missing, used by one process at a time.
    pub data_dir: PathBuf,
    /// File that remembers the hashes of model files; nodes of several networks may share it.
    pub hashes: PathBuf,
    /// How the conductor is had.
    pub conductor: ConductorOptions,
    /// Models to load.
    pub models: Vec<ServeOptions>,
    /// How to start a worker process.
    pub worker: WorkerCommand,
    /// How it behaves while it runs.
    pub habits: Habits,
    /// Direct connections between nodes; none does without them.
    pub quic: Option<QuicOptions>,
    /// A router for others.
    pub router: Option<RouterOptions>,
}

/// A router that the node runs for others.
#[derive(Clone, Debug)]
pub struct RouterOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where others reach it, if that is not where it listens.
    pub addresses: Vec<SocketAddr>,
    /// `host:port` that this machine reaches by the address that others shall use: the network's meeting point.
    pub reach: Option<String>,
}

/// How a node behaves while it runs.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Whether other peers may use the models.
    pub share: bool,
    /// Longest time that a receipt waits for its batch.
    pub receipt_interval: Duration,
    /// How often open posted requests are looked for, besides being told by signal.
    pub poll_interval: Duration,
    /// Models that nobody asks for so long leave memory until they are asked; `None` keeps them.
    pub idle_unload: Option<Duration>,
    /// Models on disk that a question of this node may name: they are loaded for it.
    pub library: Option<Library>,
    /// Whom this node prefers, serves and leaves alone.
    pub peers: Peers,
    /// Links on the DHT that are older are passed over; this node draws its own anew in time.
    pub link_age: Duration,
    /// Where this node stands, if others shall know.
    pub region: Option<Region>,
    /// Routers that questions which hide may go through first. If there are any, no stranger's is.
    pub trusted_routers: Vec<Bytes32>,
    /// What this node wants for its work; 0 is a gift. Nobody is charged yet: it is told to those who probe.
    pub price: Price,
    /// Whether peers that ask are told what this node saw of other providers.
    pub tell_reports: bool,
    /// How it checks the answers of others.
    pub audit: AuditHabits,
    /// What this node's questions say of later audits.
    pub audits_wished: Audits,
}

/// What a node's questions say of later audits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audits {
    /// How likely an audit of an answer is, in millionths; 0 for none but one's own.
    pub rate_ppm: u32,
    /// How likely each auditor is to be drawn, in millionths, or five for two into a jury.
    pub auditors_ppm: u32,
    /// Whether what was asked and answered is kept for a week, sealed, so that it can be checked or handed to an auditor.
    pub keep: bool,
    /// Which auditors may see question and answer, unless a question says otherwise.
    pub show_auditors: ShowAuditors,
}

impl Default for Audits {
    fn default() -> Self {
        Self { rate_ppm: 0, auditors_ppm: limits::PPM_MAX, keep: true, show_auditors: ShowAuditors::None }
    }
}

/// Agents that are not like all others.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// Machines of one's own.
    pub own: HashSet<AgentPubKey>,
    /// Friends'.
    pub friends: HashSet<AgentPubKey>,
    /// Neither asked nor served.
    pub blocked: HashSet<AgentPubKey>,
    /// If there are any, nobody else is served: whoever asks must show who he is.
    pub serve_only: HashSet<AgentPubKey>,
}

impl Peers {
    /// Whether questions of this agent are answered here.
    pub(crate) fn serves(&self, agent: &AgentPubKey) -> bool {
        !self.blocked.contains(agent) && (self.serve_only.is_empty() || self.serve_only.contains(agent))
    }
}

/// How this node takes part in direct connections.
#[derive(Clone, Debug, Default)]
pub struct QuicOptions {
    /// Where to listen; none takes a free port and the same one next time.
    pub listen: Option<SocketAddr>,
    /// Where peers reach this node, if that is not where it listens.
    pub addresses: Vec<Address>,
    /// Routers that lead to this node, for peers that cannot reach it or do not want to be seen.
    pub via: Vec<Address>,
    /// Also routers that the node finds by itself: a few, the quickest of those that it tries.
    pub find_routers: bool,
    /// `host:port` that this machine reaches by the address that peers shall use: the network's meeting point.
    pub reach: Option<String>,
    /// Where that is at the moment, if it moves.
    pub meeting: Option<watch::Receiver<Option<SocketAddr>>>,
    /// In a home: ask its router for a port in front of this node, and tell peers of it.
    pub map_port: bool,
}

/// Models on disk that are loaded when a question of this node names them.
#[derive(Clone, Debug)]
pub struct Library {
    /// Where they are.
    pub store: Store,
    /// How they are loaded; the path is another for each.
    pub serve: ServeOptions,
    /// Models in memory at most; beyond, the one that nobody has asked for longest makes room.
    pub loaded_max: usize,
}

/// How long a model stays in memory that nobody asks anything. The node's own idle time is the most that it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// So long.
    For(Duration),
    /// As long as the node lets it.
    Forever,
}

impl KeepAlive {
    /// How long, under the node's own idle time.
    pub(crate) fn within(wish: Option<Self>, idle_unload: Option<Duration>) -> Option<Duration> {
        match (wish, idle_unload) {
            (Some(Self::For(wished)), Some(most)) => Some(wished.min(most)),
            (Some(Self::For(wished)), None) => Some(wished),
            (Some(Self::Forever) | None, most) => most,
        }
    }
}

/// One model to load.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The GGUF file.
    pub path: PathBuf,
    /// Whether peers may be told of it, if the node shares at all.
    pub share: bool,
    /// Name to serve it under; by default `general.name` of the file.
    pub name: Option<String>,
    /// Compute threads; by default the physical cores.
    pub threads: Option<u32>,
    /// Layers on the GPU.
    pub gpu_layers: GpuLayers,
    /// Context in tokens for each slot; by default what the model was trained for, as far as memory allows.
    pub context_tokens: Option<u32>,
    /// Questions answered at once.
    pub slots: u32,
    /// Questions that may wait.
    pub queue_max: u32,
    /// Number format of the key-value cache.
    pub kv_type: KvType,
    /// Memory for computed beginnings of prompts, in bytes; by default a sixteenth of the machine's.
    pub prefix_cache_bytes: Option<u64>,
    /// A small model that guesses ahead.
    pub draft: Option<DraftOptions>,
    /// What lets the model see images; by default what lies beside it.
    pub mmproj: Option<PathBuf>,
}

impl ServeOptions {
    /// What the engine is told.
    pub fn engine_options(&self) -> EngineOptions {
        let Self {
            path,
            share: _,
            name: _,
            threads,
            gpu_layers,
            context_tokens,
            slots,
            queue_max,
            kv_type,
            prefix_cache_bytes,
            draft,
            mmproj,
        } = self;
        let named = mmproj.clone().map(|path| ProjectorOptions { path, found: false });
        let beside = || projector_beside(path).map(|path| ProjectorOptions { path, found: true });
        EngineOptions {
            model_path: path.clone(),
            threads: *threads,
            gpu_layers: *gpu_layers,
            context_tokens: *context_tokens,
            slots: *slots,
            queue_max: *queue_max,
            kv_type: *kv_type,
            prefix_cache_bytes: *prefix_cache_bytes,
            draft: draft.clone(),
            projector: named.or_else(beside),
        }
    }

    /// What it is called before its file was read.
    pub(crate) fn label(&self) -> String {
        let stem = || self.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        self.name.clone().unwrap_or_else(stem)
    }

    /// Whether the model, once loaded, may turn out to be the wanted one.
    pub(crate) fn may_be(&self, wanted: &str) -> bool {
        let base = wanted.split(':').next().unwrap_or(wanted).to_ascii_lowercase();
        self.label().to_ascii_lowercase().contains(&base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_keeps_a_model_longer_than_the_node_does() {
        let seconds = |s| Some(Duration::from_secs(s));
        let keep = |s| Some(KeepAlive::For(Duration::from_secs(s)));
        assert_eq!(KeepAlive::within(None, None), None);
        assert_eq!(KeepAlive::within(None, seconds(9)), seconds(9));
        assert_eq!(KeepAlive::within(keep(5), None), seconds(5));
        assert_eq!(KeepAlive::within(keep(5), seconds(9)), seconds(5));
        assert_eq!(KeepAlive::within(keep(50), seconds(9)), seconds(9));
        assert_eq!(KeepAlive::within(Some(KeepAlive::Forever), seconds(9)), seconds(9));
        assert_eq!(KeepAlive::within(Some(KeepAlive::Forever), None), None);
    }
}
