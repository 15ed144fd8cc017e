//! Models on this machine: `pull`, `models list`, `show`, `rm` and `catalogue`. What a name means and how files come is
//! decided elsewhere; here are words.

use crate::args::{Folder, Named, OnDisk, Pull};
use crate::config::Config;
use crate::doctor::free_memory;
use crate::error::CliError;
use crate::exit::Exit;
use crate::meter::Meter;
use crate::out::Out;
use crate::show::{bytes, count, thousands};
use crate::{paths, signals};
use ainonymous_models::{
    catalogue, describe, recommend, Caches, Description, Entry, HashCache, Hub, Manner, Model, ModelName, Patience,
    Phase, Place, Progress, Puller, Store,
};
use serde_json::{json, Value};
use std::path::PathBuf;

/// Remembers digests of files that were not pulled, in the folder of models.
const HASHES: &str = "hashes.json";

/// `ainonymous models …`.
pub(crate) async fn run(command: OnDisk, config: &Config, out: &Out) -> Result<Exit, CliError> {
    match command {
        OnDisk::Pull(flags) => pull(&flags, config, out).await,
        OnDisk::List(folder) => list(&store(&folder, config)?, out),
        OnDisk::Show(named) => show(&named, &store(&named.folder, config)?, out),
        OnDisk::Rm(named) => rm(&named, &store(&named.folder, config)?, out),
        OnDisk::Catalogue(folder) => good_ones(&store(&folder, config)?, out),
    }
}

/// The folder that flag, environment or configuration name, and the caches of other programs.
pub(crate) fn store(folder: &Folder, config: &Config) -> Result<Store, CliError> {
    let root = match folder.models_dir.clone().or_else(|| config.models_dir.clone()) {
        Some(root) => root,
        None => paths::data_dir()?.join("models"),
    };
    Ok(Store::new(root, Caches::from_env()))
}

/// `ainonymous pull`.
pub(crate) async fn pull(flags: &Pull, config: &Config, out: &Out) -> Result<Exit, CliError> {
    let Pull { named: Named { name, folder }, parallel } = flags;
    let wanted = ModelName::parse(name)?;
    let hub = Hub::from_env(Patience::default())?;
    let manner = Manner { parallel: usize::from(*parallel), ..Manner::default() };
    let puller = Puller::new(store(folder, config)?, hub, manner);
    let meter = Meter::new(out);
    let pulled = puller.pull(&wanted, meter.watcher(), &signals::stop_token()).await;
    meter.end();
    let pulled = pulled?;
    if out.is_json() {
        out.object(&json!({ "name": name, "files": pulled.files, "bytes": pulled.bytes, "sha256": pulled.sha256,
            "was_there": pulled.was_there }));
        return Ok(Exit::Ok);
    }
    for file in &pulled.files {
        out.line(&file.display().to_string());
    }
    let said = if pulled.was_there { "was there already" } else { "pulled and checked" };
    out.talk(&format!("{said}, {}; `ainonymous serve {name}` serves it", bytes(pulled.bytes)));
    if pulled.files.len() > 1 {
        out.talk("it comes in parts: join them with `llama-gguf-split --merge` and serve the joined file");
    }
    Ok(Exit::Ok)
}

fn list(store: &Store, out: &Out) -> Result<Exit, CliError> {
    let models = store.list();
    if out.is_json() {
        let models: Vec<Value> = models.iter().map(model_json).collect();
        out.object(&json!({ "folder": store.root(), "models": models }));
        return Ok(Exit::Ok);
    }
    if models.is_empty() {
        out.talk("no model is on this machine; `ainonymous models catalogue` lists good ones to pull");
    }
    for model in &models {
        out.line(&model_line(model));
    }
    Ok(Exit::Ok)
}

fn show(named: &Named, store: &Store, out: &Out) -> Result<Exit, CliError> {
    let name = ModelName::parse(&named.name)?;
    let files = store.resolve(&name)?;
    let listed = store.list().into_iter().find(|model| model.files == files);
    let said = files.first().map(|file| describe(file)).transpose()?;
    let known = listed.as_ref().and_then(|model| model.sha256.clone());
    let sha256 = match known {
        Some(known) => Some(known),
        None => Some(digest(&files, store, out)?),
    };
    let size = files.iter().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    let place = listed.as_ref().map(|model| model.place);
    if out.is_json() {
        out.object(&shown_json(&named.name, &files, size, place, said.as_ref(), sha256.as_deref()));
        return Ok(Exit::Ok);
    }
    for line in shown_lines(&files, size, place, said.as_ref(), sha256.as_deref()) {
        out.line(&line);
    }
    Ok(Exit::Ok)
}

/// The digest of a file that nobody pulled, or of all parts of a model as of one file: they are read, and it is remembered.
fn digest(files: &[PathBuf], store: &Store, out: &Out) -> Result<String, CliError> {
    let meter = Meter::new(out);
    let watcher = meter.watcher();
    let name = files.first().and_then(|file| file.file_name()).unwrap_or_default().to_string_lossy().into_owned();
    let hashes = HashCache::open(&store.root().join(HASHES)).hash_files_with(files, &mut |bytes_done, bytes_total| {
        watcher(Progress { file: name.clone(), phase: Phase::Checking, bytes_done, bytes_total });
        true
    });
    meter.end();
    Ok(hashes?.gguf_hash.to_hex())
}

fn rm(named: &Named, store: &Store, out: &Out) -> Result<Exit, CliError> {
    let removed = store.remove(&ModelName::parse(&named.name)?)?;
    if out.is_json() {
        out.object(&json!({ "removed": removed }));
        return Ok(Exit::Ok);
    }
    for path in removed {
        out.line(&format!("removed {}", path.display()));
    }
    Ok(Exit::Ok)
}

fn good_ones(store: &Store, out: &Out) -> Result<Exit, CliError> {
    let memory = free_memory();
    let best = memory.and_then(recommend).map(|entry| entry.name.as_str());
    let there = |entry: &Entry| entry.source().is_some_and(|source| store.resolve(&source).is_ok());
    if out.is_json() {
        let models: Vec<Value> = catalogue().iter().map(|entry| entry_json(entry, there(entry))).collect();
        out.object(&json!({ "free_memory_bytes": memory, "recommended": best, "models": models }));
        return Ok(Exit::Ok);
    }
    for entry in catalogue() {
        out.line(&entry_line(entry, there(entry)));
    }
    if let (Some(memory), Some(best)) = (memory, best) {
        out.talk(&format!("{} of memory are free here: `ainonymous pull {best}` fits", bytes(memory)));
    }
    Ok(Exit::Ok)
}

fn model_line(model: &Model) -> String {
    let parts = match model.files.len() {
        1 => String::new(),
        parts => format!(", {}", count(parts as u64, "part")),
    };
    format!("{:<64} {:>9}  {}{parts}", model.name, bytes(model.bytes), whose(model.place))
}

fn model_json(model: &Model) -> Value {
    let Model { name, files, bytes, sha256, place } = model;
    json!({ "name": name, "files": files, "bytes": bytes, "sha256": sha256, "place": place.name() })
}

fn whose(place: Place) -> &'static str {
    match place {
        Place::Store => "in the folder of models",
        Place::HuggingFace => "in the Hugging Face cache",
        Place::LlamaCpp => "in llama.cpp's cache",
    }
}

fn shown_lines(
    files: &[PathBuf],
    size: u64,
    place: Option<Place>,
    said: Option<&Description>,
    sha256: Option<&str>,
) -> Vec<String> {
    let mut lines: Vec<String> = files.iter().map(|file| format!("file          {}", file.display())).collect();
    lines.push(format!("size          {} ({} bytes)", bytes(size), thousands(size as f64)));
    if let Some(place) = place {
        lines.push(format!("place         {}", whose(place)));
    }
    if let Some(said) = said {
        lines.push(format!("name          {}", said.name));
        lines.push(format!("architecture  {}", said.architecture));
        lines.push(format!("parameters    {}", thousands(said.parameters as f64)));
        lines.push(format!("quantisation  {}", said.quantization));
        lines.push(format!("context       {} tokens, as trained", thousands(f64::from(said.context_trained))));
        lines.push(format!("chat template {}", if said.chat_template.is_some() { "yes" } else { "none" }));
    }
    lines.extend(sha256.map(|sha256| format!("sha256        {sha256}")));
    lines
}

fn shown_json(
    name: &str,
    files: &[PathBuf],
    size: u64,
    place: Option<Place>,
    said: Option<&Description>,
    sha256: Option<&str>,
) -> Value {
    json!({
        "name": name,
        "files": files,
        "bytes": size,
        "place": place.map(Place::name),
        "title": said.map(|said| &said.name),
        "architecture": said.map(|said| &said.architecture),
        "parameters": said.map(|said| said.parameters),
        "quantization": said.map(|said| &said.quantization),
        "context_trained": said.map(|said| said.context_trained),
        "has_chat_template": said.map(|said| said.chat_template.is_some()),
        "sha256": sha256,
    })
}

fn entry_line(entry: &Entry, there: bool) -> String {
    format!(
        "{:<16} {:>9}, wants {:>9}  {}{}",
        entry.name,
        bytes(entry.about_bytes),
        bytes(entry.memory_bytes),
        entry.note,
        if there { " (on this machine)" } else { "" }
    )
}

fn entry_json(entry: &Entry, there: bool) -> Value {
    let Entry { name, about_bytes, memory_bytes, family, note, licence, sha256, .. } = entry;
    json!({ "name": name, "source": entry.source().map(|source| source.to_string()), "about_bytes": about_bytes,
        "memory_bytes": memory_bytes, "family": family, "note": note, "licence": licence, "sha256": sha256,
        "is_there": there })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> PathBuf {
        PathBuf::from("../../tests/models/tiny-gemma-q8_0.gguf")
    }

    #[test]
    fn a_model_for_people_and_for_programs() {
        let said = describe(&model()).unwrap();
        let lines = shown_lines(&[model()], said.file_bytes, Some(Place::Store), Some(&said), Some("ab")).join("\n");
        for wanted in [
            "architecture  gemma4",
            "quantisation  q8_0",
            "place         in the folder of models",
            "sha256        ab",
            "1,624,000 bytes",
        ] {
            assert!(lines.contains(wanted), "{wanted}\n{lines}");
        }
        let json = shown_json("tiny", &[model()], said.file_bytes, None, Some(&said), None);
        assert_eq!((json["architecture"].as_str(), json["bytes"].as_u64()), (Some("gemma4"), Some(1_624_000)));
        let parts = shown_json("tiny", &[model(), model()], 2, None, None, None);
        assert!(parts["architecture"].is_null() && parts["files"].as_array().unwrap().len() == 2);
    }

    #[test]
    fn lists_for_people() {
        let model = Model {
            name: "hf:o/r/m.gguf".into(),
            files: vec!["a".into(), "b".into()],
            bytes: 3 << 30,
            sha256: None,
            place: Place::HuggingFace,
        };
        let line = model_line(&model);
        assert!(
            line.starts_with("hf:o/r/m.gguf ") && line.ends_with("3.0 GiB  in the Hugging Face cache, 2 parts"),
            "{line}"
        );
        assert_eq!(model_json(&model)["place"], "huggingface");
        let line = entry_line(&catalogue()[0], true);
        assert!(line.starts_with("gemma-4-") && line.ends_with("(on this machine)"), "{line}");
        assert_eq!(entry_json(&catalogue()[0], false)["is_there"], false);
    }
}
