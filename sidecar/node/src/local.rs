//! Questions that the node's own engine answers: no network, no receipt.

use crate::engines::{model_id, Found, Loaded};
use crate::forward::forward;
use crate::node::Node;
use crate::slot::Slot;
use crate::{library, AnswerHead, AnswerStream, AskError, KeepAlive, LocalModelState, Route, ServeOptions};
use ainonymous_engine::{EmbedQuestion, Embeddings, Inspect, Inspected, Question};
use ainonymous_models::ModelName;
use ainonymous_types::RequestId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Parts of an answer that wait for its reader.
const OUTBOX: usize = 256;
/// Shortest pause between two looks for idle models.
const IDLE_LOOK_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two of them.
const IDLE_LOOK_MAX: Duration = Duration::from_secs(10);
/// Longest time that a question waits for a model that rests to be loaded.
const LOAD_WAIT: Duration = Duration::from_secs(120);

pub(crate) fn ask(node: &Node, loaded: &Loaded, question: Question) -> Result<AnswerStream, AskError> {
    let generation = loaded.engine.generate(question)?;
    let head = AnswerHead {
        id: RequestId(rand::random()),
        model: model_id(&loaded.model),
        provider: node.conductor().map(|c| c.agent().to_string()),
        route: Route::Local,
        reason: None,
        request: None,
        spec: None,
    };
    let (sender, events) = mpsc::channel(OUTBOX);
    node.spawn_answer(forward(generation, sender, Instant::now()));
    Ok(AnswerStream { head, events })
}

/// Vectors are made by this node alone: what is embedded travels nowhere.
pub(crate) async fn embed(
    node: &Node,
    wanted: Option<&str>,
    question: EmbedQuestion,
) -> Result<(String, Embeddings), AskError> {
    match find(node, wanted).await? {
        Some(loaded) => Ok((model_id(&loaded.model), loaded.engine.embed(question).await?)),
        None => Err(unknown_here(node, wanted)),
    }
}

/// What tokeniser or template say; of this node's models alone.
pub(crate) async fn inspect(
    node: &Node,
    wanted: Option<&str>,
    question: Inspect,
) -> Result<(String, Inspected), AskError> {
    match find(node, wanted).await? {
        Some(loaded) => Ok((model_id(&loaded.model), loaded.engine.inspect(question).await?)),
        None => Err(unknown_here(node, wanted)),
    }
}

/// The model that a question names, if it is here: loaded for it if it rests or lies on disk. `Err` while it is loading for the
/// first time, or if it cannot be loaded.
pub(crate) async fn find(node: &Node, wanted: Option<&str>) -> Result<Option<Loaded>, AskError> {
    match node.inner.engines.named(wanted) {
        Found::Ready(loaded) => Ok(Some(*loaded)),
        Found::Loading(slot) => Err(AskError::ModelLoading { model: slot.label() }),
        Found::Resting(slot) => ready(node, &slot).await.map(Some),
        Found::Nothing => from_library(node, wanted).await,
    }
}

/// Loads a model unless that is under way or done, and waits a while for it.
async fn ready(node: &Node, slot: &Arc<Slot>) -> Result<Loaded, AskError> {
    node.load(slot);
    let in_time = tokio::time::timeout(LOAD_WAIT, node.inner.engines.settled_one(slot)).await;
    match (in_time, node.inner.engines.status_of(slot), slot.ready()) {
        (Ok(()), LocalModelState::Ready { .. }, Some((loaded, _))) => Ok(loaded),
        (_, LocalModelState::Failed { code, problem, hint }, _) => Err(AskError::LoadFailed { code, problem, hint }),
        _ => Err(AskError::ModelLoading { model: slot.label() }),
    }
}

/// A model on disk that a question names, loaded for it.
async fn from_library(node: &Node, wanted: Option<&str>) -> Result<Option<Loaded>, AskError> {
    let (Some(library), Some(wanted)) = (&node.inner.habits.library, wanted) else { return Ok(None) };
    let Some(path) = library_file(node, wanted).await else { return Ok(None) };
    make_room(node, library.loaded_max, &path).await;
    let (slot, is_new) = node.inner.engines.add(ServeOptions { path, ..library.serve.clone() });
    if is_new {
        node.spawn_load(slot.clone());
    }
    ready(node, &slot).await.map(Some)
}

/// The file of the library that a name means: what is listed by that name, what the store finds by it, what is listed by its
/// beginning. Paths and addresses are no names here: a question must not reach other files than those that were put into
/// the library.
async fn library_file(node: &Node, wanted: &str) -> Option<PathBuf> {
    if let Some(path) = library::file_of(node, wanted, true).await {
        return Some(path);
    }
    if let Ok(name @ (ModelName::Word { .. } | ModelName::Hub { .. })) = ModelName::parse(wanted) {
        let store = node.inner.habits.library.as_ref()?.store.clone();
        let found = tokio::task::spawn_blocking(move || store.resolve(&name)).await;
        if let Some(path) = found.ok().and_then(Result::ok).and_then(|files| files.into_iter().next()) {
            return Some(path);
        }
    }
    library::file_of(node, wanted, false).await
}

/// Takes models out of memory, the longest idle first, until one more fits under the bound.
async fn make_room(node: &Node, loaded_max: usize, path: &Path) {
    let engines = &node.inner.engines;
    for slot in engines.idle() {
        if engines.loaded().len() < loaded_max || engines.is_loaded(path) {
            return;
        }
        engines.unload(&slot).await;
    }
}

/// Loads a model by its name and waits for the outcome.
pub(crate) async fn load(node: &Node, wanted: &str) -> Result<String, AskError> {
    let loaded = match slot_of(node, wanted).await {
        Some(slot) => Some(ready(node, &slot).await?),
        None => from_library(node, Some(wanted)).await?,
    };
    loaded.map(|loaded| model_id(&loaded.model)).ok_or_else(|| unknown_here(node, Some(wanted)))
}

/// Takes a model out of memory. One that is not there is fine.
pub(crate) async fn unload(node: &Node, wanted: &str) -> Result<String, AskError> {
    match slot_of(node, wanted).await {
        Some(slot) => {
            let label = slot.label();
            let gone = node.inner.engines.unload(&slot).await;
            match node.inner.engines.status_of(&slot) {
                LocalModelState::Loading if !gone => Err(AskError::ModelLoading { model: label }),
                _ => Ok(label),
            }
        }
        None => named_on_disk(node, wanted).await,
    }
}

/// Says how long a model stays.
pub(crate) async fn keep(node: &Node, wanted: &str, keep: KeepAlive) -> Result<String, AskError> {
    let Some(slot) = slot_of(node, wanted).await else { return named_on_disk(node, wanted).await };
    node.inner.engines.set_keep(&slot, keep);
    rest_what_is_overdue(node).await;
    Ok(slot.label())
}

/// The slot that a name means, by the model's name or by that of its file in the library.
async fn slot_of(node: &Node, wanted: &str) -> Option<Arc<Slot>> {
    if let Some(slot) = library::slot_of(node, wanted).await {
        return Some(slot);
    }
    let path = library_file(node, wanted).await?;
    node.inner.engines.slots().into_iter().find(|slot| slot.path() == path)
}

/// A model that was never loaded needs not be taken out of memory.
async fn named_on_disk(node: &Node, wanted: &str) -> Result<String, AskError> {
    match library_file(node, wanted).await {
        Some(_) => Ok(wanted.to_owned()),
        None => Err(unknown_here(node, Some(wanted))),
    }
}

/// Takes models out of memory that nobody has asked anything for a while.
pub(crate) async fn rest_when_idle(node: Node) {
    loop {
        let least = node.inner.engines.least_keep(node.inner.habits.idle_unload).unwrap_or(4 * IDLE_LOOK_MAX);
        let pause = (least / 4).clamp(IDLE_LOOK_MIN, IDLE_LOOK_MAX);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = node.inner.engines.keep_was_set() => {}
        }
        rest_what_is_overdue(&node).await;
    }
}

async fn rest_what_is_overdue(node: &Node) {
    for slot in node.inner.engines.overdue(node.inner.habits.idle_unload) {
        tracing::info!(model = slot.label(), "a model that nobody asks leaves memory until it is asked");
        node.inner.engines.unload(&slot).await;
    }
}

/// None of this node's models has that name.
pub(crate) fn unknown_here(node: &Node, wanted: Option<&str>) -> AskError {
    AskError::UnknownModel {
        model: wanted.unwrap_or("any model").into(),
        known: node.inner.engines.loaded().iter().map(|l| model_id(&l.model)).collect(),
    }
}
