//! Models that the node fetches for its owner, and how far each is. What a name means and how files come is decided in
//! `ainonymous_models`; here is which of them run.

use crate::node::{lock, Node};
use ainonymous_models::{catalogue, Hub, Manner, ModelName, Patience, Phase, Progress, Puller, Store};
use serde::Serialize;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Models fetched at once.
const RUNNING_MAX: usize = 3;
/// Pulls remembered, running or over.
const KEPT_MAX: usize = 32;

/// Why a model is not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PullRefused {
    /// The node was started without a folder of models.
    #[error("this node has no folder of models")]
    NoLibrary,
    /// The name means nothing that can be fetched, or the hub cannot be used.
    #[error("{problem}")]
    Unfit {
        /// Stable code of the error.
        code: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// As many as may run at once.
    #[error("{RUNNING_MAX} models are being fetched already")]
    TooMany,
    /// It is being fetched.
    #[error("{model} is being fetched already")]
    Running {
        /// Which.
        model: String,
    },
    /// There is no such pull, or it is over.
    #[error("no pull {id} is running")]
    Unknown {
        /// As asked for.
        id: u64,
    },
}

impl PullRefused {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoLibrary => "no_models_folder",
            Self::Unfit { code, .. } => code,
            Self::TooMany => "too_many_pulls",
            Self::Running { .. } => "pull_running",
            Self::Unknown { .. } => "pull_not_found",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        match self {
            Self::NoLibrary => "start the node with `ainonymous up`, which has one".into(),
            Self::Unfit { hint, .. } => hint.clone(),
            Self::TooMany => "wait until one is done, or cancel one".into(),
            Self::Running { .. } => "wait until it is done".into(),
            Self::Unknown { .. } => "`GET /ainonymous/v1/pulls` lists those that run".into(),
        }
    }
}

/// How far a pull is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// Names it until the node stops.
    pub id: u64,
    /// As asked for.
    pub model: String,
    /// How it stands.
    pub state: PullState,
    /// What is being done: `waiting`, `downloading` or `checking`.
    pub phase: &'static str,
    /// Bytes that are there, or checked.
    pub bytes_done: u64,
    /// Bytes in all; 0 while unknown.
    pub bytes_total: u64,
    /// Stable code of why it failed.
    pub code: Option<&'static str>,
    /// Why it failed.
    pub problem: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
}

/// How a pull stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// On its way.
    Running,
    /// The model is here.
    Done,
    /// It ended with an error; what came is kept.
    Failed,
    /// It was called off; what came is kept.
    Cancelled,
}

/// A model of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The word that people write.
    pub name: String,
    /// Rough size of the file in bytes.
    pub about_bytes: u64,
    /// Memory in bytes that it runs well in.
    pub memory_bytes: u64,
    /// What it is good for.
    pub note: String,
    /// Under what it may be used.
    pub licence: String,
    /// It is on this machine.
    pub is_there: bool,
}

/// Pulls of this run, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    last_id: u64,
    all: Vec<(Pull, CancellationToken)>,
}

impl Pulls {
    fn list(&self) -> Vec<Pull> {
        lock(&self.0).all.iter().map(|(pull, _)| pull.clone()).collect()
    }

    /// Writes one down, if it may run.
    fn begin(&self, model: &str, cancel: &CancellationToken) -> Result<Pull, PullRefused> {
        let mut known = lock(&self.0);
        let running = |(pull, _): &&(Pull, CancellationToken)| pull.state == PullState::Running;
        if known.all.iter().filter(running).any(|(pull, _)| pull.model == model) {
            return Err(PullRefused::Running { model: model.to_owned() });
        }
        if known.all.iter().filter(running).count() >= RUNNING_MAX {
            return Err(PullRefused::TooMany);
        }
        known.last_id += 1;
        let (state, phase) = (PullState::Running, phase_name(Phase::Waiting));
        let pull = Pull {
            id: known.last_id,
            model: model.to_owned(),
            state,
            phase,
            bytes_done: 0,
            bytes_total: 0,
            code: None,
            problem: None,
            hint: None,
        };
        known.all.push((pull.clone(), cancel.clone()));
        if known.all.len() > KEPT_MAX {
            let over = known.all.iter().position(|(pull, _)| pull.state != PullState::Running);
            if let Some(at) = over {
                known.all.remove(at);
            }
        }
        Ok(pull)
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Pull)) {
        if let Some((pull, _)) = lock(&self.0).all.iter_mut().find(|(pull, _)| pull.id == id) {
            change(pull);
        }
    }

    fn cancel(&self, id: u64) -> Result<(), PullRefused> {
        let known = lock(&self.0);
        let running = known.all.iter().find(|(pull, _)| pull.id == id && pull.state == PullState::Running);
        running.map(|(_, cancel)| cancel.cancel()).ok_or(PullRefused::Unknown { id })
    }
}

impl Node {
    /// Begins to fetch a model into the node's folder of models; returns at once.
    pub fn pull(&self, model: &str) -> Result<Pull, PullRefused> {
        let library = self.inner.habits.library.as_ref().ok_or(PullRefused::NoLibrary)?;
        let unfit = |code, problem, hint| PullRefused::Unfit { code, problem, hint };
        let name = ModelName::parse(model).map_err(|e| unfit(e.code(), e.to_string(), e.hint()))?;
        let hub = Hub::from_env(Patience::default()).map_err(|e| unfit(e.code(), e.to_string(), e.hint()))?;
        let cancel = self.inner.stop.child_token();
        let pull = self.inner.pulls.begin(model, &cancel)?;
        let puller = Puller::new(library.store.clone(), hub, Manner::default());
        self.spawn(run(self.clone(), puller, name, pull.id, cancel));
        Ok(pull)
    }

    /// Calls a pull off; what came is kept for the next time.
    pub fn cancel_pull(&self, id: u64) -> Result<(), PullRefused> {
        self.inner.pulls.cancel(id)
    }

    /// Pulls of this run, oldest first.
    pub fn pulls(&self) -> Vec<Pull> {
        self.inner.pulls.list()
    }

    /// Models that are known to be good.
    pub async fn catalogue(&self) -> Vec<Offer> {
        let store = self.inner.habits.library.as_ref().map(|library| library.store.clone());
        tokio::task::spawn_blocking(move || offers(store.as_ref())).await.unwrap_or_default()
    }
}

/// Reads files.
fn offers(store: Option<&Store>) -> Vec<Offer> {
    let is_there = |source: &ModelName| store.is_some_and(|store| store.resolve(source).is_ok());
    let offer = |entry: &ainonymous_models::Entry| Offer {
        name: entry.name.clone(),
        about_bytes: entry.about_bytes,
        memory_bytes: entry.memory_bytes,
        note: entry.note.clone(),
        licence: entry.licence.clone(),
        is_there: entry.source().as_ref().is_some_and(is_there),
    };
    catalogue().iter().map(offer).collect()
}

/// One pull, from begin to end.
async fn run(node: Node, puller: Puller, name: ModelName, id: u64, cancel: CancellationToken) {
    let watched = node.clone();
    let watcher = Arc::new(move |Progress { file: _, phase, bytes_done, bytes_total }: Progress| {
        watched.inner.pulls.change(id, |pull| {
            pull.phase = phase_name(phase);
            pull.bytes_done = bytes_done;
            pull.bytes_total = bytes_total;
        });
    });
    let ended = puller.pull(&name, watcher, &cancel).await;
    node.inner.pulls.change(id, |pull| match ended {
        Ok(pulled) => {
            pull.state = PullState::Done;
            (pull.bytes_done, pull.bytes_total) = (pulled.bytes, pulled.bytes);
        }
        Err(_) if cancel.is_cancelled() => pull.state = PullState::Cancelled,
        Err(e) => {
            pull.state = PullState::Failed;
            pull.code = Some(e.code());
            (pull.problem, pull.hint) = (Some(e.to_string()), Some(e.hint()));
        }
    });
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting",
        Phase::Downloading => "downloading",
        Phase::Checking => "checking",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_run_at_once_and_each_model_once() {
        let pulls = Pulls::default();
        let cancel = CancellationToken::new();
        let code = |model: &str| pulls.begin(model, &cancel).map(|pull| pull.id).map_err(|e| e.code());
        assert_eq!(code("a"), Ok(1));
        assert_eq!(code("a"), Err("pull_running"));
        assert_eq!((code("b"), code("c"), code("d")), (Ok(2), Ok(3), Err("too_many_pulls")));
        pulls.change(1, |pull| pull.state = PullState::Done);
        assert_eq!((code("d"), pulls.list().len()), (Ok(4), 4));
    }

    #[test]
    fn what_is_over_cannot_be_cancelled_and_is_forgotten_first() {
        let pulls = Pulls::default();
        let cancel = CancellationToken::new();
        let first = pulls.begin("first", &cancel).unwrap().id;
        for at in 0..KEPT_MAX + 3 {
            let id = pulls.begin(&at.to_string(), &CancellationToken::new()).unwrap().id;
            pulls.change(id, |pull| pull.state = PullState::Failed);
            assert_eq!(pulls.cancel(id).unwrap_err().code(), "pull_not_found");
        }
        assert_eq!((pulls.list().len(), pulls.list()[0].id), (KEPT_MAX, first));
        pulls.cancel(first).unwrap();
        assert!(cancel.is_cancelled());
    }
}
