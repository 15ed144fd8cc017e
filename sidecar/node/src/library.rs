//! The models that this node could answer with: loaded, resting, and all that lie on its disk; and what each file says of itself.
//!
//! A file's header is read once and remembered as long as its length and time of change stay. Weights are not read.

use crate::engines::{id_of, is_called, model_id};
use crate::node::{lock, Node};
use crate::slot::Slot;
use crate::{LocalModelState, ModelDetails, ModelEntry, ModelState};
use ainonymous_engine::TemplateKnows;
use ainonymous_models::Description;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// Most models on disk that are listed.
const LISTED_MAX: usize = 1_024;

/// What files say of themselves, as far as they were read.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    read: Mutex<HashMap<PathBuf, Read>>,
}

#[derive(Debug)]
struct Read {
    bytes: u64,
    changed: Option<SystemTime>,
    about: Option<Arc<About>>,
}

/// What a file says of itself.
#[derive(Debug)]
pub(crate) struct About {
    name: String,
    quantization: String,
    bytes: u64,
    /// Without one a model answers nobody.
    has_template: bool,
    details: ModelDetails,
}

impl About {
    fn new(description: Description) -> Self {
        let template = description.chat_template.as_deref();
        let TemplateKnows { tools, thinking } = template.map(TemplateKnows::of).unwrap_or_default();
        Self {
            has_template: template.is_some(),
            bytes: description.file_bytes,
            details: ModelDetails {
                architecture: description.architecture,
                parameters: description.parameters,
                context_trained: description.context_trained,
                layers: description.layers,
                tools,
                thinking,
                embedding: description.names_its_pooling,
            },
            name: description.name,
            quantization: description.quantization,
        }
    }

    fn id(&self) -> String {
        id_of(&self.name, &self.quantization)
    }
}

impl Shelf {
    /// What a file says of itself; none if it is no model. Reads files.
    fn about(&self, path: &Path) -> Option<Arc<About>> {
        let metadata = path.metadata().ok()?;
        let (bytes, changed) = (metadata.len(), metadata.modified().ok());
        if let Some(read) = lock(&self.read).get(path).filter(|read| (read.bytes, read.changed) == (bytes, changed)) {
            return read.about.clone();
        }
        let about = ainonymous_models::describe(path).ok().map(|description| Arc::new(About::new(description)));
        let mut read = lock(&self.read);
        if read.len() >= 2 * LISTED_MAX {
            read.clear();
        }
        read.insert(path.to_owned(), Read { bytes, changed, about: about.clone() });
        about
    }
}

/// A model file of the library.
struct OnDisk {
    path: PathBuf,
    about: Arc<About>,
    sha256: Option<String>,
}

/// Models of the library that can answer, one of each name. Reads files.
fn on_disk(node: &Node) -> Vec<OnDisk> {
    let Some(library) = &node.inner.habits.library else { return Vec::new() };
    let mut ids = HashSet::new();
    let models = library.store.list().into_iter().take(LISTED_MAX);
    let found = models.filter_map(|model| {
        let path = model.files.into_iter().next()?;
        let about = node.inner.shelf.about(&path).filter(|about| about.has_template)?;
        Some(OnDisk { path, about, sha256: model.sha256 })
    });
    found.filter(|model| ids.insert(model.about.id())).collect()
}

/// Everything that this node could answer with, without what peers could.
pub(crate) async fn entries(node: &Node) -> Vec<ModelEntry> {
    away(node, |node| {
        let slots = node.inner.engines.slots();
        let mut entries: Vec<ModelEntry> = slots.iter().map(|slot| of_slot(node, slot)).collect();
        let known: HashSet<&Path> = slots.iter().map(|slot| slot.path()).collect();
        let mut ids: HashSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        let rest = on_disk(node).into_iter().filter(|model| !known.contains(model.path.as_path()));
        entries.extend(rest.filter(|model| ids.insert(model.about.id())).map(of_disk));
        entries
    })
    .await
    .unwrap_or_default()
}

/// The model of this node that has a name, loaded or not, as a slot or as a file of the library.
pub(crate) async fn slot_of(node: &Node, wanted: &str) -> Option<Arc<Slot>> {
    let wanted = wanted.to_owned();
    away(node, move |node| {
        node.inner.engines.slots().into_iter().find(|slot| {
            let named = slot.label().eq_ignore_ascii_case(&wanted);
            named || {
                let about = node.inner.shelf.about(slot.path());
                about.is_some_and(|about| is_called(slot.name().unwrap_or(&about.name), &about.quantization, &wanted))
            }
        })
    })
    .await?
}

/// The file of the library that a listed name means; with `whole`, only by name and quantisation together.
pub(crate) async fn file_of(node: &Node, wanted: &str, whole: bool) -> Option<PathBuf> {
    let wanted = wanted.to_owned();
    away(node, move |node| {
        let is_it = |model: &OnDisk| match whole {
            true => model.about.id().eq_ignore_ascii_case(&wanted),
            false => is_called(&model.about.name, &model.about.quantization, &wanted),
        };
        on_disk(node).into_iter().find(is_it).map(|model| model.path)
    })
    .await?
}

/// Runs what reads files away from the async threads.
async fn away<T: Send + 'static>(node: &Node, work: impl FnOnce(&Node) -> T + Send + 'static) -> Option<T> {
    let node = node.clone();
    tokio::task::spawn_blocking(move || work(&node)).await.ok()
}

fn of_slot(node: &Node, slot: &Slot) -> ModelEntry {
    let about = node.inner.shelf.about(slot.path());
    let (state, problem) = match node.inner.engines.status_of(slot) {
        LocalModelState::Loading => (ModelState::Loading, None),
        LocalModelState::Ready { .. } => (ModelState::Loaded, None),
        LocalModelState::Resting => (ModelState::Unloaded, None),
        LocalModelState::Failed { problem, .. } => (ModelState::Failed, Some(problem)),
    };
    let details = about.as_ref().map(|about| about.details.clone());
    let unloads_in_s = slot.unloads_in(node.inner.habits.idle_unload).map(|left| left.as_secs());
    match slot.spec() {
        Some(model) => ModelEntry {
            id: model_id(&model),
            local: true,
            state,
            problem,
            providers: Vec::new(),
            context_tokens: model.context_tokens,
            file_bytes: model.gguf_bytes,
            gguf_hash: Some(model.gguf_hash.to_hex()),
            details,
            unloads_in_s,
        },
        None => ModelEntry {
            id: about
                .as_ref()
                .map_or_else(|| slot.label(), |about| id_of(slot.name().unwrap_or(&about.name), &about.quantization)),
            local: true,
            state,
            problem,
            providers: Vec::new(),
            context_tokens: about.as_ref().map_or(0, |about| about.details.context_trained),
            file_bytes: about.as_ref().map_or(0, |about| about.bytes),
            gguf_hash: None,
            details,
            unloads_in_s,
        },
    }
}

fn of_disk(OnDisk { path: _, about, sha256 }: OnDisk) -> ModelEntry {
    ModelEntry {
        id: about.id(),
        local: true,
        state: ModelState::Unloaded,
        problem: None,
        providers: Vec::new(),
        context_tokens: about.details.context_trained,
        file_bytes: about.bytes,
        gguf_hash: sha256,
        details: Some(about.details.clone()),
        unloads_in_s: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        let tiny = Path::new("../../tests/models/tiny-gemma-q8_0.gguf");
        let shelf = Shelf::default();
        assert!(shelf.about(&path).is_none(), "it is not there");
        std::fs::write(&path, "no model").unwrap();
        assert!(shelf.about(&path).is_none());
        std::fs::copy(tiny, &path).unwrap();
        let about = shelf.about(&path).unwrap();
        assert_eq!((about.id().as_str(), about.has_template), ("tiny-gemma:q8_0", true));
        assert!(about.details.context_trained > 0 && about.details.layers > 0 && !about.details.embedding);
        assert!(Arc::ptr_eq(&about, &shelf.about(&path).unwrap()), "read once");
    }
}
