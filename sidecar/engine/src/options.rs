//! What a caller chooses for a model, and what is known once it is loaded.

use crate::fit::Fit;
use crate::{EngineClass, SandboxReport};
use ainonymous_types::{Backend, Bytes32, KvType};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the worker process is started: the host's own executable with a hidden subcommand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments; the process must end up in [`crate::run_worker`].
    pub args: Vec<String>,
}

/// How many layers go to the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GpuLayers {
    /// As many as fit into the GPUs' free memory; none without a GPU. Falls back to fewer when loading fails.
    Auto,
    /// Exactly so many, or all if there are fewer.
    Fixed(u32),
}

/// What to load and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// The GGUF file.
    pub model_path: PathBuf,
    /// Threads that compute; `None` takes the physical cores that this process may use.
    pub threads: Option<u32>,
    /// Layers on the GPU.
    pub gpu_layers: GpuLayers,
    /// Context of one slot in tokens; `None` takes what the model was trained with, at most 8192, or less if memory is short.
    pub context_tokens: Option<u32>,
    /// Questions answered at the same time, 1 to [`SLOTS_MAX`]; fewer if memory is short.
    pub slots: u32,
    /// Questions that may wait besides.
    pub queue_max: u32,
    /// Number format of the key-value cache.
    pub kv_type: KvType,
    /// Memory for computed beginnings of prompts, in bytes; `None` takes a sixteenth of the machine's, at most 4 GiB, or
    /// half of what is left.
    pub prefix_cache_bytes: Option<u64>,
    /// A small model that guesses ahead.
    pub draft: Option<DraftOptions>,
    /// What makes of images what the model can read.
    pub projector: Option<ProjectorOptions>,
}

/// A projector (llama.cpp's `mmproj`): makes of an image what the model can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectorOptions {
    /// The GGUF file; it must have been made for the model.
    pub path: PathBuf,
    /// It was not named but lay beside the model: one that does not fit is passed over instead of being an error.
    pub found: bool,
}

/// A small model that guesses what the large one will say. Answers are the same with and without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftOptions {
    /// The GGUF file; its tokenizer must be the large model's.
    pub model_path: PathBuf,
    /// Most tokens guessed in one step, 1 to [`DRAFT_TOKENS_MAX`].
    pub tokens_max: u32,
}

/// Most tokens that a draft model guesses in one step.
pub const DRAFT_TOKENS_MAX: u32 = 16;
/// Most memory for computed beginnings of prompts unless the caller chooses, in bytes.
pub const PREFIX_CACHE_BYTES_MAX: u64 = 4 << 30;

/// Most slots of one engine (llama.cpp's own bound on sequences is 256).
pub const SLOTS_MAX: u32 = 64;
/// Context of one slot unless the caller chooses, in tokens.
pub const CONTEXT_TOKENS_DEFAULT: u32 = 8_192;
/// Questions that may wait unless the caller chooses.
pub const QUEUE_MAX_DEFAULT: u32 = 64;

impl EngineOptions {
    /// The usual options for a model file: everything automatic, four slots.
    pub fn new(model_path: impl Into<PathBuf>) -> Self {
        Self {
            model_path: model_path.into(),
            threads: None,
            gpu_layers: GpuLayers::Auto,
            context_tokens: None,
            slots: 4,
            queue_max: QUEUE_MAX_DEFAULT,
            kv_type: KvType::F16,
            prefix_cache_bytes: None,
            draft: None,
            projector: None,
        }
    }

    /// Memory for computed beginnings of prompts, in bytes.
    pub(crate) fn prefix_cache_bytes(&self) -> usize {
        let automatic = || (crate::os::memory_bytes().unwrap_or(1 << 30) / 16).min(PREFIX_CACHE_BYTES_MAX);
        usize::try_from(self.prefix_cache_bytes.unwrap_or_else(automatic)).unwrap_or(usize::MAX)
    }

    /// Most tokens guessed in one step; 0 without a draft model.
    pub(crate) fn draft_tokens(&self) -> u32 {
        self.draft.as_ref().map_or(0, |draft| draft.tokens_max.clamp(1, DRAFT_TOKENS_MAX))
    }
}

/// A loaded model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// `general.architecture`.
    pub architecture: String,
    /// `general.name`, or the file's stem.
    pub name: String,
    /// Number of weights.
    pub parameters: u64,
    /// Tokens that prompt and answer of one question can have together, as loaded.
    pub context_tokens: u32,
    /// Tokens of the context that the model was trained with.
    pub context_trained: u32,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Number of token ids.
    pub vocabulary: u32,
    /// Number of layers.
    pub layers: u32,
    /// Layers on the GPU, as loaded (the output layer counts as one more).
    pub gpu_layers: u32,
    /// Threads that compute.
    pub threads: u32,
    /// Kind of device that computes.
    pub backend: Backend,
    /// Name of the device, for people.
    pub backend_detail: String,
    /// What computes, in the word that receipts and calibrations use.
    pub class: EngineClass,
    /// Quantisation label, for example `q8_0`.
    pub quantization: String,
    /// Hash over the tokenizer's metadata as llama.cpp read it; the definition is in [`crate::hashes`].
    pub tokenizer_hash: Bytes32,
    /// SHA-256 of the chat template.
    pub template_hash: Bytes32,
    /// Does it take images?
    pub images: bool,
    /// The plan after which it was loaded.
    pub fit: Fit,
    /// How long loading took, in milliseconds.
    pub load_ms: u64,
    /// What the worker process cannot do.
    pub sandbox: SandboxReport,
}

/// What loading a model would do, and what there is to compute on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The plan, if a model was named.
    pub fit: Option<Fit>,
    /// Variant of the processor's code, for example `zen4`; none where the build has only one.
    pub variant: Option<String>,
    /// What this build can compute on here.
    pub devices: Vec<DeviceInfo>,
    /// What a worker process cannot do here.
    pub sandbox: SandboxReport,
}

/// Something to compute on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `CPU`, `CUDA`, `Vulkan`, `Metal`, `ROCm`.
    pub backend: String,
    /// Its name, for people.
    pub name: String,
    /// Memory that is free, in bytes, as its driver says.
    pub free_bytes: u64,
    /// Is it a GPU (of its own or integrated)?
    pub is_gpu: bool,
}
