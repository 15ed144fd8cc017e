//! What a node is started with. Parsing and defaults for people live in the command line.

use ainonymous_conductor::ConductorOptions;
use ainonymous_engine::{DraftOptions, GpuLayers, WorkerCommand};
use ainonymous_models::Store;
use ainonymous_types::KvType;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Whether other peers may use the models.
    pub share: bool,
    /// How to start a worker process.
    pub worker: WorkerCommand,
    /// Longest time that a receipt waits for its batch.
    pub receipt_interval: Duration,
    /// How often open posted requests are looked for, besides being told by signal.
    pub poll_interval: Duration,
    /// Models that nobody asks for so long leave memory until they are asked; `None` keeps them.
    pub idle_unload: Option<Duration>,
    /// Models on disk that a question of this node may name: they are loaded for it.
    pub library: Option<Library>,
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
}
