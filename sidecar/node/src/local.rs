//! Questions that the node's own engine answers: no network, no receipt.

use crate::engines::{model_id, Found, Loaded};
use crate::forward::forward;
use crate::node::Node;
use crate::{AnswerHead, AnswerStream, AskError, LocalModelState, Route, ServeOptions};
use ainonymous_engine::{EmbedQuestion, Embeddings, Question};
use ainonymous_models::ModelName;
use ainonymous_types::RequestId;
use std::path::Path;
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

/// The model that a question names, if it is here: loaded for it if it rests. `Err` while it is loading for the first time,
/// or if it cannot be loaded.
pub(crate) async fn find(node: &Node, wanted: Option<&str>) -> Result<Option<Loaded>, AskError> {
    let slot = match node.inner.engines.named(wanted) {
        Found::Ready(loaded) => return Ok(Some(*loaded)),
        Found::Nothing => return from_library(node, wanted).await,
        Found::Loading(slot) => return Err(AskError::ModelLoading { model: slot.label() }),
        Found::Resting(slot) => slot,
    };
    let label = slot.label();
    node.load(&slot);
    let loading = AskError::ModelLoading { model: label };
    if tokio::time::timeout(LOAD_WAIT, node.inner.engines.settled_one(&slot)).await.is_err() {
        return Err(loading);
    }
    match node.inner.engines.named(wanted) {
        Found::Ready(loaded) => Ok(Some(*loaded)),
        Found::Loading(_) | Found::Resting(_) | Found::Nothing => Err(loading),
    }
}

/// A model on disk that a question names, loaded for it. Paths and addresses are no names here: a question must not reach
/// other files than those that were put into the library.
async fn from_library(node: &Node, wanted: Option<&str>) -> Result<Option<Loaded>, AskError> {
    let (Some(library), Some(wanted)) = (&node.inner.library, wanted) else { return Ok(None) };
    let name = match ModelName::parse(wanted) {
        Ok(name @ (ModelName::Word { .. } | ModelName::Hub { .. })) => name,
        Ok(ModelName::Path(_) | ModelName::Url(_)) | Err(_) => return Ok(None),
    };
    let store = library.store.clone();
    let found = tokio::task::spawn_blocking(move || store.resolve(&name)).await;
    let Some(path) = found.ok().and_then(Result::ok).and_then(|files| files.into_iter().next()) else {
        return Ok(None);
    };
    make_room(node, library.loaded_max, &path).await;
    let (slot, begins) = node.inner.engines.add(ServeOptions { path, ..library.serve.clone() });
    if begins {
        node.spawn_load(slot.clone());
    }
    let in_time = tokio::time::timeout(LOAD_WAIT, node.inner.engines.settled_one(&slot)).await;
    match (in_time, node.inner.engines.status_of(&slot), slot.ready()) {
        (Ok(()), LocalModelState::Ready { .. }, Some((loaded, _))) => Ok(Some(loaded)),
        (_, LocalModelState::Failed { code, problem, hint }, _) => Err(AskError::LoadFailed { code, problem, hint }),
        _ => Err(AskError::ModelLoading { model: wanted.to_owned() }),
    }
}

/// Takes models out of memory, the longest idle first, until one more fits under the bound.
async fn make_room(node: &Node, loaded_max: usize, path: &Path) {
    let engines = &node.inner.engines;
    for slot in engines.idle(Duration::ZERO) {
        if engines.loaded().len() < loaded_max || engines.is_loaded(path) {
            return;
        }
        engines.unload(&slot).await;
    }
}

/// Loads a model file and waits for the outcome.
pub(crate) async fn load(node: &Node, options: ServeOptions) -> Result<String, AskError> {
    let (slot, begins) = node.inner.engines.add(options);
    if begins {
        node.inner.engines.load(&slot, &node.inner.stop).await;
    } else {
        node.inner.engines.settled_one(&slot).await;
    }
    let label = slot.label();
    match node.inner.engines.status_of(&slot) {
        LocalModelState::Ready { .. } => Ok(label),
        LocalModelState::Failed { code, problem, hint } => Err(AskError::LoadFailed { code, problem, hint }),
        LocalModelState::Loading | LocalModelState::Resting => Err(AskError::ModelLoading { model: label }),
    }
}

/// Takes a model out of memory.
pub(crate) async fn unload(node: &Node, model: &str) -> Result<String, AskError> {
    match node.inner.engines.slot_named(model) {
        Some(slot) => {
            let label = slot.label();
            node.inner.engines.unload(&slot).await;
            Ok(label)
        }
        None => Err(unknown_here(node, Some(model))),
    }
}

/// Takes models out of memory that nobody has asked anything for a while.
pub(crate) async fn rest_when_idle(node: Node) {
    let Some(longest) = node.inner.idle_unload else { return };
    loop {
        tokio::time::sleep((longest / 4).clamp(IDLE_LOOK_MIN, IDLE_LOOK_MAX)).await;
        for slot in node.inner.engines.idle(longest) {
            tracing::info!(model = slot.label(), "a model that nobody asks leaves memory until it is asked");
            node.inner.engines.unload(&slot).await;
        }
    }
}

/// None of this node's models has that name.
pub(crate) fn unknown_here(node: &Node, wanted: Option<&str>) -> AskError {
    AskError::UnknownModel {
        model: wanted.unwrap_or("any model").into(),
        known: node.inner.engines.loaded().iter().map(|l| model_id(&l.model)).collect(),
    }
}
