//! What a node says about itself. Everything here is safe to show: no prompt, no answer, no secret.

use ainonymous_conductor::NetworkState;
use ainonymous_engine::{EngineStatus, ModelInfo};
use serde::Serialize;

/// The whole picture (`Node::status`).
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of this software.
    pub version: &'static str,
    /// What the node is doing.
    pub phase: Phase,
    /// Whether there is a network.
    pub network: Option<NetworkState>,
    /// Own agent key, as `uhCAk…`, once the conductor runs.
    pub agent: Option<String>,
    /// DNA hash of the network, as `uhC0k…`, once the conductor runs.
    pub dna_hash: Option<String>,
    /// Whether other peers may use the models here.
    pub share: bool,
    /// Models loaded here.
    pub models: Vec<LocalModel>,
    /// Counts since the start.
    pub counters: Counters,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Resident memory of this process (without workers), in bytes.
    pub rss_bytes: Option<u64>,
}

/// What a node is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Conductor or models are starting.
    Starting,
    /// Everything that was asked for runs.
    Running,
    /// A part could not start; the rest runs.
    Degraded {
        /// Stable code of the error.
        code: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// Finishing what runs, refusing what is new.
    Draining,
}

/// A model loaded, or to be loaded, by this node.
#[derive(Clone, Debug, Serialize)]
pub struct LocalModel {
    /// `name:quantisation`, or the file's name while unknown.
    pub id: String,
    /// How far it is.
    #[serde(flatten)]
    pub state: LocalModelState,
}

/// How far a model is.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LocalModelState {
    /// Being read or loaded.
    Loading,
    /// Answers questions.
    Ready {
        /// What was loaded.
        info: Box<ModelInfo>,
        /// What its engine does.
        engine: EngineStatus,
    },
    /// Not in memory; a question for it loads it.
    Resting,
    /// Could not be loaded.
    Failed {
        /// Stable code of the error.
        code: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
}

/// A model that a question can name: loaded here, or served by peers (`Node::models`).
#[derive(Clone, Debug, Serialize)]
pub struct ModelEntry {
    /// `name:quantisation`.
    pub id: String,
    /// Loaded by this node.
    pub local: bool,
    /// Peers that serve it, as `uhCAk…`.
    pub providers: Vec<String>,
    /// Context in tokens.
    pub context_tokens: u32,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// SHA-256 of the file.
    pub gguf_hash: String,
}

/// Counts since the start of the process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// Questions asked by this node.
    pub asked: u64,
    /// Questions of peers answered by this node.
    pub answered: u64,
    /// Questions of peers refused.
    pub refused: u64,
    /// Signals dropped because they broke a bound or made no sense.
    pub rejected_signals: u64,
    /// Receipts published.
    pub receipts_published: u64,
    /// Receipts of others checked and found right.
    pub receipts_checked: u64,
}

/// Resident memory of this process, where the system tells (`/proc/self/statm`, Linux).
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}
