//! One model of this node: its file, how far it is, how long it stays.

use crate::engines::{model_id, Announced, Loaded};
use crate::node::lock;
use crate::{KeepAlive, ServeOptions};
use ainonymous_types::ModelSpec;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A model that is loaded, or can be.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) options: ServeOptions,
    pub(crate) state: Mutex<SlotState>,
    used: Mutex<Instant>,
    /// What was wished since it was loaded.
    pub(crate) keep: Mutex<Option<KeepAlive>>,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum SlotState {
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

impl Slot {
    /// A model that is to be loaded.
    pub(crate) fn new(options: ServeOptions) -> Self {
        let state = Mutex::new(SlotState::Loading { announced: None });
        Self { options, state, used: Mutex::new(Instant::now()), keep: Mutex::new(None) }
    }

    /// A model that rests or has failed is loading from now on; false for all others.
    pub(crate) fn begin_loading(&self) -> bool {
        let mut state = lock(&self.state);
        let announced = match &*state {
            SlotState::Resting { announced, .. } => announced.clone(),
            SlotState::Failed { .. } => None,
            SlotState::Loading { .. } | SlotState::Ready { .. } => return false,
        };
        *state = SlotState::Loading { announced };
        true
    }

    /// What it is called before it is known better.
    pub(crate) fn label(&self) -> String {
        match &*lock(&self.state) {
            SlotState::Ready { loaded, .. } => model_id(&loaded.model),
            SlotState::Resting { model, .. } => model_id(model),
            SlotState::Loading { .. } | SlotState::Failed { .. } => self.options.label(),
        }
    }

    /// The model's file.
    pub(crate) fn path(&self) -> &Path {
        &self.options.path
    }

    /// The name that it is served under, if it is another than its file's.
    pub(crate) fn name(&self) -> Option<&str> {
        self.options.name.as_deref()
    }

    /// The model, once it was loaded.
    pub(crate) fn spec(&self) -> Option<ModelSpec> {
        match &*lock(&self.state) {
            SlotState::Ready { loaded, .. } => Some(loaded.model.clone()),
            SlotState::Resting { model, .. } => Some(ModelSpec::clone(model)),
            SlotState::Loading { .. } | SlotState::Failed { .. } => None,
        }
    }

    /// How long it stays when nobody asks it anything.
    pub(crate) fn keep(&self, idle_unload: Option<Duration>) -> Option<Duration> {
        KeepAlive::within(*lock(&self.keep), idle_unload)
    }

    /// After how long it leaves memory if nobody asks it; none if it stays or is not there.
    pub(crate) fn unloads_in(&self, idle_unload: Option<Duration>) -> Option<Duration> {
        let keep = self.keep(idle_unload).filter(|_| self.ready().is_some())?;
        Some(keep.saturating_sub(lock(&self.used).elapsed()))
    }

    pub(crate) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    /// The running engine, and how the network knows it.
    pub(crate) fn ready(&self) -> Option<(Loaded, Option<Announced>)> {
        match &*lock(&self.state) {
            SlotState::Ready { loaded, announced } => Some((Loaded::clone(loaded), announced.clone())),
            SlotState::Loading { .. } | SlotState::Resting { .. } | SlotState::Failed { .. } => None,
        }
    }

    pub(crate) fn is_loading(&self) -> bool {
        matches!(&*lock(&self.state), SlotState::Loading { .. })
    }

    /// Since when nobody has asked it anything, if it runs and is idle.
    pub(crate) fn idle_for(&self) -> Option<Duration> {
        let (loaded, _) = self.ready()?;
        let status = loaded.engine.status();
        if status.running + status.queued > 0 {
            self.touch();
            return None;
        }
        Some(lock(&self.used).elapsed())
    }
}
