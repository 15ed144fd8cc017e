//! The models of this node: from file to running engine, and what each of them is called.

use crate::node::lock;
use crate::{LocalModel, LocalModelState, ModelEntry, Phase, ServeOptions};
use ainonymous_engine::{Engine, EngineOptions, LlamaEngine, WorkerCommand, SAMPLER_VERSION};
use ainonymous_models::{FileHashes, HashCache};
use ainonymous_types::{ActionHash, EntryHash, ModelSpec, SpecRef};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A model that answers questions.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) model: ModelSpec,
    pub(crate) engine: Arc<dyn Engine>,
}

/// How the network knows a loaded model.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    pub(crate) spec: SpecRef,
    /// None while the model is not shared.
    pub(crate) capability: Option<ActionHash>,
}

/// All models of this node.
#[derive(Debug)]
pub(crate) struct Engines {
    worker: WorkerCommand,
    hash_cache: PathBuf,
    slots: Vec<Slot>,
    unsettled: watch::Sender<usize>,
}

#[derive(Debug)]
struct Slot {
    options: ServeOptions,
    state: Mutex<SlotState>,
}

#[derive(Debug)]
enum SlotState {
    Loading,
    Ready { loaded: Box<Loaded>, announced: Option<Announced> },
    Failed { code: &'static str, problem: String, hint: String },
}

/// `name:quantisation`, as people write it.
pub(crate) fn model_id(model: &ModelSpec) -> String {
    format!("{}:{}", model.name, model.quantization)
}

/// Whether a question's model names this one: by name, or by name and quantisation.
pub(crate) fn is_named(model: &ModelSpec, wanted: &str) -> bool {
    wanted.eq_ignore_ascii_case(&model.name) || wanted.eq_ignore_ascii_case(&model_id(model))
}

impl Engines {
    pub(crate) fn new(worker: WorkerCommand, hash_cache: PathBuf, models: Vec<ServeOptions>) -> Self {
        let unsettled = watch::Sender::new(models.len());
        let slot = |options| Slot { options, state: Mutex::new(SlotState::Loading) };
        Self { worker, hash_cache, slots: models.into_iter().map(slot).collect(), unsettled }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Loads one model; its outcome, good or bad, is its state afterwards.
    pub(crate) async fn load(&self, index: usize, stop: &CancellationToken) {
        let slot = &self.slots[index];
        let outcome = self.try_load(&slot.options, stop).await;
        if let SlotState::Failed { code, problem, .. } = &outcome {
            tracing::warn!(code, problem, "a model could not be loaded");
        }
        *lock(&slot.state) = outcome;
        self.unsettled.send_modify(|n| *n -= 1);
    }

    /// Resolves when every model is ready or has failed.
    pub(crate) async fn settled(&self) {
        let _ = self.unsettled.subscribe().wait_for(|n| *n == 0).await;
    }

    /// Models that answer questions.
    pub(crate) fn loaded(&self) -> Vec<(usize, Loaded)> {
        let ready = |(i, slot): (usize, &Slot)| match &*lock(&slot.state) {
            SlotState::Ready { loaded, .. } => Some((i, Loaded::clone(loaded))),
            SlotState::Loading | SlotState::Failed { .. } => None,
        };
        self.slots.iter().enumerate().filter_map(ready).collect()
    }

    /// The model that the network knows by this spec.
    pub(crate) fn by_spec(&self, spec: &EntryHash) -> Option<(Loaded, Announced)> {
        self.slots.iter().find_map(|slot| match &*lock(&slot.state) {
            SlotState::Ready { loaded, announced: Some(a) } if a.spec.entry == *spec => {
                Some((Loaded::clone(loaded), a.clone()))
            }
            SlotState::Ready { .. } | SlotState::Loading | SlotState::Failed { .. } => None,
        })
    }

    /// The model that a question names; any if it names none. `Err` while it is still loading.
    pub(crate) fn named(&self, wanted: Option<&str>) -> Result<Option<Loaded>, String> {
        let mut loading = None;
        for slot in &self.slots {
            match &*lock(&slot.state) {
                SlotState::Ready { loaded, .. } if wanted.is_none_or(|w| is_named(&loaded.model, w)) => {
                    return Ok(Some(Loaded::clone(loaded)));
                }
                SlotState::Loading if wanted.is_none_or(|w| slot.options.may_be(w)) => {
                    loading = Some(slot.options.label());
                }
                SlotState::Ready { .. } | SlotState::Loading | SlotState::Failed { .. } => {}
            }
        }
        loading.map_or(Ok(None), Err)
    }

    pub(crate) fn set_announced(&self, index: usize, announced: Announced) {
        if let SlotState::Ready { announced: a, .. } = &mut *lock(&self.slots[index].state) {
            *a = Some(announced);
        }
    }

    pub(crate) fn status(&self) -> Vec<LocalModel> {
        let one = |slot: &Slot| match &*lock(&slot.state) {
            SlotState::Loading => LocalModel { id: slot.options.label(), state: LocalModelState::Loading },
            SlotState::Ready { loaded, .. } => LocalModel {
                id: model_id(&loaded.model),
                state: LocalModelState::Ready {
                    info: Box::new(loaded.engine.info().clone()),
                    engine: loaded.engine.status(),
                },
            },
            SlotState::Failed { code, problem, hint } => LocalModel {
                id: slot.options.label(),
                state: LocalModelState::Failed { code, problem: problem.clone(), hint: hint.clone() },
            },
        };
        self.slots.iter().map(one).collect()
    }

    pub(crate) fn entries(&self) -> Vec<ModelEntry> {
        let entry = |(_, loaded): (usize, Loaded)| ModelEntry {
            id: model_id(&loaded.model),
            local: true,
            providers: Vec::new(),
            context_tokens: loaded.model.context_tokens,
            file_bytes: loaded.model.gguf_bytes,
            gguf_hash: loaded.model.gguf_hash.to_hex(),
        };
        self.loaded().into_iter().map(entry).collect()
    }

    /// `Starting` while something loads, `Degraded` if something failed.
    pub(crate) fn phase(&self) -> Phase {
        let mut phase = Phase::Running;
        for slot in &self.slots {
            match &*lock(&slot.state) {
                SlotState::Loading => return Phase::Starting,
                SlotState::Failed { code, problem, hint } => {
                    phase = Phase::Degraded { code, problem: problem.clone(), hint: hint.clone() };
                }
                SlotState::Ready { .. } => {}
            }
        }
        phase
    }

    pub(crate) async fn shutdown(&self) {
        for (_, loaded) in self.loaded() {
            loaded.engine.shutdown().await;
        }
    }

    async fn try_load(&self, options: &ServeOptions, stop: &CancellationToken) -> SlotState {
        match self.describe(options).await {
            Ok((description, hashes)) => {
                let ServeOptions { name, kv_type, .. } = options;
                let engine = LlamaEngine::load(self.worker.clone(), options.engine_options(), stop.clone()).await;
                match engine {
                    Ok(engine) => {
                        let model = ModelSpec {
                            name: name.clone().unwrap_or(description.name),
                            quantization: description.quantization,
                            architecture: description.architecture,
                            gguf_hash: hashes.gguf_hash,
                            gguf_root: hashes.gguf_root,
                            gguf_bytes: hashes.gguf_bytes,
                            tokenizer_hash: description.tokenizer_hash,
                            template_hash: description.template_hash,
                            sampler_version: SAMPLER_VERSION,
                            kv_type: *kv_type,
                            context_tokens: engine.info().context_tokens,
                        };
                        SlotState::Ready {
                            loaded: Box::new(Loaded { model, engine: Arc::new(engine) }),
                            announced: None,
                        }
                    }
                    Err(e) => SlotState::Failed { code: e.code(), problem: e.to_string(), hint: e.hint() },
                }
            }
            Err(e) => SlotState::Failed { code: e.code(), problem: e.to_string(), hint: e.hint() },
        }
    }

    /// Reads and hashes the file away from the async threads.
    async fn describe(
        &self,
        options: &ServeOptions,
    ) -> Result<(ainonymous_models::Description, FileHashes), ainonymous_models::ModelError> {
        let (path, cache) = (options.path.clone(), self.hash_cache.clone());
        let work = move || {
            let description = ainonymous_models::describe(&path)?;
            let hashes = HashCache::open(&cache).hash_file(&path)?;
            Ok((description, hashes))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(stopped) => Err(ainonymous_models::ModelError::Interrupted { problem: stopped.to_string() }),
        }
    }
}

impl ServeOptions {
    /// What the engine is told.
    pub fn engine_options(&self) -> EngineOptions {
        let Self {
            path,
            name: _,
            threads,
            gpu_layers,
            context_tokens,
            slots,
            queue_max,
            kv_type,
            prefix_cache_bytes,
            draft,
        } = self;
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
        }
    }

    fn label(&self) -> String {
        let stem = || self.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        self.name.clone().unwrap_or_else(stem)
    }

    /// Whether the model, once loaded, may turn out to be the wanted one.
    fn may_be(&self, wanted: &str) -> bool {
        let base = wanted.split(':').next().unwrap_or(wanted).to_ascii_lowercase();
        self.label().to_ascii_lowercase().contains(&base)
    }
}
