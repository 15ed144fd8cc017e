//! The models of this node: from file to running engine, and what each of them is called.

use crate::node::lock;
use crate::slot::{Slot, SlotState};
use crate::{KeepAlive, LocalModel, LocalModelState, Phase, ServeOptions};
use ainonymous_engine::{Engine, LlamaEngine, WorkerCommand, SAMPLER_VERSION};
use ainonymous_models::{parts_of, FileHashes, HashCache};
use ainonymous_transport::Load;
use ainonymous_types::{ActionHash, EntryHash, ModelSpec, SpecRef};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{watch, Notify};
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
    /// Measured decode speed of one stream; 0 if not measured.
    pub(crate) tokens_per_s: u32,
}

/// All models of this node. They come and go while it runs.
#[derive(Debug)]
pub(crate) struct Engines {
    worker: WorkerCommand,
    hash_cache: PathBuf,
    slots: RwLock<Vec<Arc<Slot>>>,
    /// Counts changes of what is loaded.
    changes: watch::Sender<u64>,
    /// Somebody said how long a model shall stay.
    keeps: Notify,
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
    id_of(&model.name, &model.quantization)
}

/// The same of a model that has no spec yet.
pub(crate) fn id_of(name: &str, quantization: &str) -> String {
    format!("{name}:{quantization}")
}

/// Whether a question's model names this one: by name, or by name and quantisation.
pub(crate) fn is_named(model: &ModelSpec, wanted: &str) -> bool {
    is_called(&model.name, &model.quantization, wanted)
}

/// The same of a model that has no spec yet.
pub(crate) fn is_called(name: &str, quantization: &str, wanted: &str) -> bool {
    wanted.eq_ignore_ascii_case(name) || wanted.eq_ignore_ascii_case(&id_of(name, quantization))
}

impl Engines {
    pub(crate) fn new(worker: WorkerCommand, hash_cache: PathBuf, models: Vec<ServeOptions>) -> Self {
        let slots = models.into_iter().map(|options| Arc::new(Slot::new(options))).collect();
        Self { worker, hash_cache, slots: RwLock::new(slots), changes: watch::Sender::new(0), keeps: Notify::new() }
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
            return (known.clone(), known.begin_loading());
        }
        let new = Arc::new(Slot::new(options));
        slots.push(new.clone());
        (new, true)
    }

    /// Begins to load a model that rests; false if it is loaded or being loaded.
    pub(crate) fn wake(&self, slot: &Slot) -> bool {
        slot.begin_loading()
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
        *lock(&slot.keep) = None;
        loaded.engine.shutdown().await;
        self.changes.send_modify(|n| *n += 1);
        true
    }

    /// From now on a model stays as long as is wished, until it leaves memory.
    pub(crate) fn set_keep(&self, slot: &Slot, keep: KeepAlive) {
        *lock(&slot.keep) = Some(keep);
        self.keeps.notify_one();
    }

    /// Resolves when somebody said how long a model shall stay.
    pub(crate) async fn keep_was_set(&self) {
        self.keeps.notified().await;
    }

    /// The least time that any model stays when nobody asks it anything.
    pub(crate) fn least_keep(&self, idle_unload: Option<Duration>) -> Option<Duration> {
        self.slots().iter().filter_map(|slot| slot.keep(idle_unload)).chain(idle_unload).min()
    }

    /// Models that nobody has asked anything for longer than they stay.
    pub(crate) fn overdue(&self, idle_unload: Option<Duration>) -> Vec<Arc<Slot>> {
        let is_overdue = |slot: &Arc<Slot>| match (slot.keep(idle_unload), slot.idle_for()) {
            (Some(keep), Some(idle)) => idle >= keep,
            _ => false,
        };
        self.slots().into_iter().filter(is_overdue).collect()
    }

    /// Models that nobody asks anything, the longest idle first.
    pub(crate) fn idle(&self) -> Vec<Arc<Slot>> {
        let idle = |slot: Arc<Slot>| Some((slot.idle_for()?, slot));
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

    /// How busy this node is with a model spec.
    pub(crate) fn load_of(&self, spec: &EntryHash, draining: bool) -> Load {
        let of_spec = |slot: &Arc<Slot>| {
            let (loaded, announced) = slot.ready()?;
            announced.filter(|a| a.spec.entry == *spec).map(|announced| (loaded, announced))
        };
        let Some((loaded, announced)) = self.slots().iter().find_map(of_spec) else {
            return Load { draining, ..Load::default() };
        };
        let status = loaded.engine.status();
        Load {
            serves: true,
            draining,
            queued: status.queued,
            running: status.running,
            slots: loaded.engine.info().fit.slots,
            milli_tokens_per_s: u64::from(announced.tokens_per_s) * 1_000,
            milli_prefill_tokens_per_s: 0,
            milli_price: 0,
        }
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
