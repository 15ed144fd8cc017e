//! Brings together what a plan is made of: the headers of the files, the devices, the free memory.
//!
//! It must not load weights: `ainonymous doctor` asks for a plan alone.

use super::load::{check_file, why_refused};
use crate::error::EngineError;
use crate::fit::{self, Fit, Machine, PrefixCache, Reserved, Wishes};
use crate::llama::{self, Device, GgufFacts};
use crate::options::{DeviceInfo, Preview};
use crate::parts::parts;
use crate::{os, EngineOptions, SandboxReport};
use std::path::{Path, PathBuf};

/// What is known before anything is loaded.
pub(super) struct Plan {
    pub(super) file_bytes: u64,
    pub(super) facts: GgufFacts,
    pub(super) devices: Vec<Device>,
    /// Variant of the processor's code.
    pub(super) variant: Option<String>,
    draft: Option<GgufFacts>,
    /// Length of the projector's file.
    projector_bytes: Option<u64>,
    machine: Machine,
}

impl Plan {
    /// `reserved`: what others were promised of the memory that is free.
    pub(super) fn read(options: &EngineOptions, reserved: Reserved) -> Result<Self, EngineError> {
        let variant = llama::backends()?.variant;
        check_file(&options.model_path)?;
        let facts = GgufFacts::read(&options.model_path).ok_or_else(|| match first_missing(&options.model_path) {
            Some(part) => EngineError::FileNotFound { path: part.display().to_string() },
            None => why_refused(),
        })?;
        let file_bytes = facts.files.iter().map(|file| check_file(file)).sum::<Result<u64, _>>()?;
        let draft = match &options.draft {
            Some(draft) => {
                check_file(&draft.model_path)?;
                Some(GgufFacts::read(&draft.model_path).ok_or_else(why_refused)?)
            }
            None => None,
        };
        let projector_bytes = match &options.projector {
            Some(projector) => {
                Some(check_file(&projector.path)).filter(|bytes| bytes.is_ok() || !projector.found).transpose()?
            }
            None => None,
        };
        let devices = llama::devices();
        let machine = machine(&devices).without(reserved);
        Ok(Self { file_bytes, facts, devices, variant, draft, projector_bytes, machine })
    }

    /// The plan itself.
    pub(super) fn fit(&self, options: &EngineOptions) -> Result<Fit, EngineError> {
        fit::fit(&self.wishes(options), &self.machine).map_err(|fit::TooLarge { what, needed_bytes, free_bytes }| {
            EngineError::DoesNotFit { what, needed_bytes, free_bytes }
        })
    }

    /// Plans with fewer layers on the GPU, for when the first cannot be loaded.
    pub(super) fn fewer<'a>(&'a self, options: &'a EngineOptions, first: &'a Fit) -> impl Iterator<Item = Fit> + 'a {
        let fewer =
            if options.gpu_layers == crate::GpuLayers::Auto { fit::fewer_layers(first.gpu_layers) } else { vec![] };
        fewer.into_iter().filter_map(|layers| fit::with_gpu_layers(&self.wishes(options), &self.machine, first, layers))
    }

    /// Tokens that a batch must hold for images; 0 without a projector.
    pub(super) fn image_tokens(&self, options: &EngineOptions) -> u32 {
        self.wishes(options).image_tokens()
    }

    /// The header of the model that guesses.
    pub(super) fn draft(&self) -> Option<&GgufFacts> {
        self.draft.as_ref()
    }

    fn wishes(&self, options: &EngineOptions) -> Wishes<'_> {
        let EngineOptions {
            model_path: _,
            threads: _,
            gpu_layers,
            context_tokens,
            slots,
            queue_max: _,
            kv_type,
            prefix_cache_bytes,
            draft: _,
            projector: _,
        } = options;
        Wishes {
            model: &self.facts.shape,
            draft: self.draft.as_ref().map(|draft| (&draft.shape, options.draft_tokens())),
            projector_bytes: self.projector_bytes,
            context_tokens: *context_tokens,
            slots: *slots,
            gpu_layers: *gpu_layers,
            kv_type: *kv_type,
            prefix_cache: match prefix_cache_bytes {
                Some(bytes) => PrefixCache::Fixed(*bytes),
                None => PrefixCache::Automatic(options.prefix_cache_bytes() as u64),
            },
        }
    }
}

/// What this machine would do, without doing it; without a model, what it could compute on.
pub(super) fn preview(options: Option<&EngineOptions>, sandbox: SandboxReport) -> Result<Preview, EngineError> {
    let fit = options.map(|options| Plan::read(options, Reserved::default())?.fit(options)).transpose()?;
    let info = |Device { backend, description, free_bytes, is_gpu }| DeviceInfo {
        backend,
        name: description,
        free_bytes,
        is_gpu,
    };
    let variant = llama::backends()?.variant;
    Ok(Preview { fit, variant, devices: llama::devices().into_iter().map(info).collect(), sandbox })
}

/// The first part of a model that is not there, going by the names.
fn first_missing(path: &Path) -> Option<PathBuf> {
    parts(path).into_iter().find(|part| !part.exists())
}

fn machine(devices: &[Device]) -> Machine {
    let gpus = devices.iter().filter(|device| device.is_gpu).map(|device| device.free_bytes).collect();
    Machine { system_bytes: os::available_bytes(), gpus }
}
