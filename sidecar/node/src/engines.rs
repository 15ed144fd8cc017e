//! The models of this node: from file to running engine, and what each of them is called.

use crate::node::lock;
use crate::{LocalModel, LocalModelState, ModelEntry, Phase, ServeOptions};
use ainonymous_engine::{Engine, EngineOptions, LlamaEngine, ProjectorOptions, WorkerCommand, SAMPLER_VERSION};
use ainonymous_models::{parts_of, projector_beside, FileHashes, HashCache};
use ainonymous_types::{ActionHash, EntryHash, ModelSpec, SpecRef};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
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

/// All models of this node. They come and go while it runs.
#[derive(Debug)]
pub(crate) struct Engines {
    worker: WorkerCommand,
    hash_cache: PathBuf,
    slots: RwLock<Vec<Arc<Slot>>>,
    /// Counts changes of what is loaded.
    changes: watch::Sender<u64>,
}

/// A model that is loaded, or can be.
#[derive(Debug)]
pub(crate) struct Slot {
    options: ServeOptions,
    state: Mutex<SlotState>,
    used: Mutex<Instant>,
}

#[derive(Debug)]
enum SlotState {
    Loading {
        announced: Option<Announced>,
    },
    Ready {
        loaded: Box<Loaded>,
        announced: Option<Announced>,
    },
    /// Was loaded, and is again when it is asked.
    Resting {
        model: Box<ModelSpec>,
        announced: Option<Announced>,
    },
    Failed {
        code: &'static str,
        problem: String,
        hint: String,
    },
}

/// What a name stands for on this node.
#[derive(Debug)]
pub(crate) enum Found {
    /// A model that answers.
    Ready(Box<Loaded>),
    /// One that is being loaded.
    Loading(Arc<Slot>),
    /// One that has to be loaded first.
    Resting(Arc<Slot>),
    /// None.
    Nothing,
}

/// `name:quantisation`, as people write it.
pub(crate) fn model_id(model: &ModelSpec) -> String {
    format!("{}:{}", model.name, model.quantization)
}

/// Whether a question's model names this one: by name, or by name and quantisation.
pub(crate) fn is_named(model: &ModelSpec, wanted: &str) -> bool {
    wanted.eq_ignore_ascii_case(&model.name) || wanted.eq_ignore_ascii_case(&model_id(model))
}

impl Slot {
    /// What it is called before it is known better.
    pub(crate) fn label(&self) -> String {
        match &*lock(&self.state) {
            SlotState::Ready { loaded, .. } => model_id(&loaded.model),
            SlotState::Resting { model, .. } => model_id(model),
            SlotState::Loading { .. } | SlotState::Failed { .. } => self.options.label(),
        }
    }

    fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    /// The running engine, and how the network knows it.
    pub(crate) fn ready(&self) -> Option<(Loaded, Option<Announced>)> {
        match &*lock(&self.state) {
            SlotState::Ready { loaded, announced } => Some((Loaded::clone(loaded), announced.clone())),
            SlotState::Loading { .. } | SlotState::Resting { .. } | SlotState::Failed { .. } => None,
        }
    }

    fn is_loading(&self) -> bool {
        matches!(&*lock(&self.state), SlotState::Loading { .. })
    }

    /// Since when nobody has asked it anything, if it runs and is idle.
    fn idle_for(&self) -> Option<Duration> {
        let (loaded, _) = self.ready()?;
        let status = loaded.engine.status();
        if status.running + status.queued > 0 {
            self.touch();
            return None;
        }
        Some(lock(&self.used).elapsed())
    }
}

impl Engines {
    pub(crate) fn new(worker: WorkerCommand, hash_cache: PathBuf, models: Vec<ServeOptions>) -> Self {
        let slots = models.into_iter().map(|options| Arc::new(slot(options))).collect();
        Self { worker, hash_cache, slots: RwLock::new(slots), changes: watch::Sender::new(0) }
    }

    /// All slots, in the order in which they came.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts changes of what is loaded.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The slot of a model file, which is new and loading unless it was known; and whether it has to be loaded.
    pub(crate) fn add(&self, options: ServeOptions) -> (Arc<Slot>, bool) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slots.iter().find(|slot| slot.options.path == options.path) {
            let known = known.clone();
            return (known.clone(), begin_loading(&known));
        }
        let new = Arc::new(slot(options));
        slots.push(new.clone());
        (new, true)
    }

    /// Begins to load a model that rests; false if it is loaded or being loaded.
    pub(crate) fn wake(&self, slot: &Slot) -> bool {
        begin_loading(slot)
    }

    /// Loads a model whose state is `Loading`; its outcome, good or bad, is its state afterwards.
    pub(crate) async fn load(&self, slot: &Slot, stop: &CancellationToken) {
        let outcome = self.try_load(&slot.options, stop).await;
        if let SlotState::Failed { code, problem, .. } = &outcome {
            tracing::warn!(code, problem, "a model could not be loaded");
        }
        slot.touch();
        {
            let mut state = lock(&slot.state);
            let before = std::mem::replace(&mut *state, outcome);
            if let (SlotState::Loading { announced: was }, SlotState::Ready { announced, .. }) = (before, &mut *state) {
                *announced = was;
            }
        }
        self.changes.send_modify(|n| *n += 1);
    }

    /// Stops a model's engine; from then on it rests. False if it does not run.
    pub(crate) async fn unload(&self, slot: &Slot) -> bool {
        let Some((loaded, announced)) = slot.ready() else { return false };
        let model = Box::new(loaded.model.clone());
        *lock(&slot.state) = SlotState::Resting { model, announced };
        loaded.engine.shutdown().await;
        self.changes.send_modify(|n| *n += 1);
        true
    }

    /// Models that nobody has asked anything for so long, the longest idle first.
    pub(crate) fn idle(&self, longer_than: Duration) -> Vec<Arc<Slot>> {
        let idle = |slot: Arc<Slot>| Some((slot.idle_for().filter(|idle| *idle > longer_than)?, slot));
        let mut found: Vec<_> = self.slots().into_iter().filter_map(idle).collect();
        found.sort_by_key(|(idle, _)| std::cmp::Reverse(*idle));
        found.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Is this file in memory?
    pub(crate) fn is_loaded(&self, path: &Path) -> bool {
        self.slots().iter().any(|slot| slot.options.path == path && slot.ready().is_some())
    }

    /// Resolves when nothing is being loaded.
    pub(crate) async fn settled(&self) {
        let _ = self.changes().wait_for(|_| !self.slots().iter().any(|slot| slot.is_loading())).await;
    }

    /// Resolves when this model is ready or has failed.
    pub(crate) async fn settled_one(&self, slot: &Slot) {
        let _ = self.changes().wait_for(|_| !slot.is_loading()).await;
    }

    /// Models that answer questions.
    pub(crate) fn loaded(&self) -> Vec<Loaded> {
        self.slots().iter().filter_map(|slot| slot.ready()).map(|(loaded, _)| loaded).collect()
    }

    /// Models that the network may be told of.
    pub(crate) fn shared(&self) -> Vec<(Arc<Slot>, ModelSpec)> {
        self.offered().into_iter().filter(|(slot, _)| slot.options.share).collect()
    }

    /// Models that answer, and those that would if they were asked.
    pub(crate) fn offered(&self) -> Vec<(Arc<Slot>, ModelSpec)> {
        let offered = |slot: Arc<Slot>| {
            let model = match &*lock(&slot.state) {
                SlotState::Ready { loaded, .. } => loaded.model.clone(),
                SlotState::Resting { model, .. } => ModelSpec::clone(model),
                SlotState::Loading { .. } | SlotState::Failed { .. } => return None,
            };
            Some((slot, model))
        };
        self.slots().into_iter().filter_map(offered).collect()
    }

    /// The model that the network knows by this spec.
    pub(crate) fn by_spec(&self, spec: &EntryHash) -> Option<(Found, Announced)> {
        self.slots().into_iter().find_map(|slot| {
            let is_it = |announced: &Option<Announced>| announced.clone().filter(|a| a.spec.entry == *spec);
            let (found, announced) = match &*lock(&slot.state) {
                SlotState::Ready { loaded, announced } => (Found::Ready(loaded.clone()), is_it(announced)?),
                SlotState::Resting { announced, .. } => (Found::Resting(slot.clone()), is_it(announced)?),
                SlotState::Loading { announced } => (Found::Loading(slot.clone()), is_it(announced)?),
                SlotState::Failed { .. } => return None,
            };
            slot.touch();
            Some((found, announced))
        })
    }

    /// What a question's model stands for here; whatever is there if it names none. What answers comes first.
    pub(crate) fn named(&self, wanted: Option<&str>) -> Found {
        let (mut loading, mut resting) = (None, None);
        for slot in self.slots() {
            match &*lock(&slot.state) {
                SlotState::Ready { loaded, .. } if wanted.is_none_or(|w| is_named(&loaded.model, w)) => {
                    slot.touch();
                    return Found::Ready(loaded.clone());
                }
                SlotState::Resting { model, .. } if wanted.is_none_or(|w| is_named(model, w)) => {
                    resting.get_or_insert_with(|| slot.clone());
                }
                SlotState::Loading { .. } if wanted.is_none_or(|w| slot.options.may_be(w)) => {
                    loading.get_or_insert_with(|| slot.clone());
                }
                SlotState::Ready { .. }
                | SlotState::Resting { .. }
                | SlotState::Loading { .. }
                | SlotState::Failed { .. } => {}
            }
        }
        match (loading, resting) {
            (Some(slot), _) => Found::Loading(slot),
            (None, Some(slot)) => Found::Resting(slot),
            (None, None) => Found::Nothing,
        }
    }

    pub(crate) fn set_announced(&self, slot: &Slot, now: Option<Announced>) {
        match &mut *lock(&slot.state) {
            SlotState::Ready { announced, .. }
            | SlotState::Resting { announced, .. }
            | SlotState::Loading { announced } => *announced = now,
            SlotState::Failed { .. } => {}
        }
    }

    /// The slot of a model that answers or rests, by its name.
    pub(crate) fn slot_named(&self, wanted: &str) -> Option<Arc<Slot>> {
        self.offered().into_iter().find(|(_, model)| is_named(model, wanted)).map(|(slot, _)| slot)
    }

    /// How far a model is.
    pub(crate) fn status_of(&self, slot: &Slot) -> LocalModelState {
        match &*lock(&slot.state) {
            SlotState::Loading { .. } => LocalModelState::Loading,
            SlotState::Ready { loaded, .. } => {
                LocalModelState::Ready { info: Box::new(loaded.engine.info().clone()), engine: loaded.engine.status() }
            }
            SlotState::Resting { .. } => LocalModelState::Resting,
            SlotState::Failed { code, problem, hint } => {
                LocalModelState::Failed { code, problem: problem.clone(), hint: hint.clone() }
            }
        }
    }

    pub(crate) fn status(&self) -> Vec<LocalModel> {
        let one = |slot: Arc<Slot>| LocalModel { id: slot.label(), state: self.status_of(&slot) };
        self.slots().into_iter().map(one).collect()
    }

    pub(crate) fn entries(&self) -> Vec<ModelEntry> {
        let entry = |(_, model): (Arc<Slot>, ModelSpec)| ModelEntry {
            id: model_id(&model),
            local: true,
            providers: Vec::new(),
            context_tokens: model.context_tokens,
            file_bytes: model.gguf_bytes,
            gguf_hash: model.gguf_hash.to_hex(),
        };
        self.offered().into_iter().map(entry).collect()
    }

    /// `Starting` while something loads for the first time, `Degraded` if something failed.
    pub(crate) fn phase(&self) -> Phase {
        let mut phase = Phase::Running;
        let any_ready = self.slots().iter().any(|slot| slot.ready().is_some());
        for slot in self.slots() {
            match &*lock(&slot.state) {
                SlotState::Loading { .. } if !any_ready => return Phase::Starting,
                SlotState::Failed { code, problem, hint } => {
                    phase = Phase::Degraded { code, problem: problem.clone(), hint: hint.clone() };
                }
                SlotState::Loading { .. } | SlotState::Ready { .. } | SlotState::Resting { .. } => {}
            }
        }
        phase
    }

    pub(crate) async fn shutdown(&self) {
        for loaded in self.loaded() {
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

    /// Reads and hashes the file, or its parts, away from the async threads.
    async fn describe(
        &self,
        options: &ServeOptions,
    ) -> Result<(ainonymous_models::Description, FileHashes), ainonymous_models::ModelError> {
        let (path, cache) = (options.path.clone(), self.hash_cache.clone());
        let work = move || {
            let description = ainonymous_models::describe(&path)?;
            let hashes = HashCache::open(&cache).hash_files(&parts_of(&path)?)?;
            Ok((description, hashes))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(stopped) => Err(ainonymous_models::ModelError::Interrupted { problem: stopped.to_string() }),
        }
    }
}

fn slot(options: ServeOptions) -> Slot {
    let state = Mutex::new(SlotState::Loading { announced: None });
    Slot { options, state, used: Mutex::new(Instant::now()) }
}

/// A model that rests or has failed is loading from now on; false for all others.
fn begin_loading(slot: &Slot) -> bool {
    let mut state = lock(&slot.state);
    let announced = match &*state {
        SlotState::Resting { announced, .. } => announced.clone(),
        SlotState::Failed { .. } => None,
        SlotState::Loading { .. } | SlotState::Ready { .. } => return false,
    };
    *state = SlotState::Loading { announced };
    true
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
