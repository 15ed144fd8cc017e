//! The folder of models, laid out as people look for them: `<root>/<org>/<repo>/<file>.gguf`, with an index by digest.
//!
//! It finds what is on this machine, in its own folder and in other programs' caches, and removes only its own. It must
//! not know the network.

use crate::catalogue;
use crate::choose::{choose, has_quant};
use crate::download::beside;
use crate::index::{Index, Known};
use crate::name::{ModelName, Pick, Repo, RepoFile};
use crate::places::{self, slashed, Caches, Found, Place};
use crate::{names, ModelError, PullError};
use fs_err as fs;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Models on this machine.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    caches: Caches,
}

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// A name that finds it again.
    pub name: String,
    /// Its file, or its parts in their order.
    pub files: Vec<PathBuf>,
    /// Their length together.
    pub bytes: u64,
    /// SHA-256 of the file as lower-case hex, where it is known without reading; never of parts.
    pub sha256: Option<String>,
    /// Whose it is.
    pub place: Place,
}

impl Store {
    /// The store in a folder, which need not be there yet, and caches to look into as well.
    pub fn new(root: impl Into<PathBuf>, caches: Caches) -> Self {
        Self { root: root.into(), caches }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All models, ours first.
    pub fn list(&self) -> Vec<Model> {
        let index = Index::read(&self.root);
        let mut families: Vec<(PathBuf, Vec<Found>)> = Vec::new();
        for found in places::find(&self.root, &self.caches) {
            let (family, _) = found.family();
            match families.iter_mut().find(|(known, _)| *known == family) {
                Some((_, parts)) => parts.push(found),
                None => families.push((family, vec![found])),
            }
        }
        families.into_iter().filter_map(|(_, parts)| self.model(parts, &index)).collect()
    }

    /// The file, or the parts in their order, that a name means on this machine.
    pub fn resolve(&self, name: &ModelName) -> Result<Vec<PathBuf>, ModelError> {
        let absent = || PullError::NotOnDisk { name: name.to_string() };
        match name {
            ModelName::Path(path) if path.is_file() => Ok(vec![path.clone()]),
            ModelName::Path(path) => Err(ModelError::NotFound { path: path.clone() }),
            ModelName::Hub { repo, pick } => Ok(self.of_repo(repo, pick).ok_or_else(absent)?),
            ModelName::Url(url) => {
                let path = self.place_of_url(url)?;
                Ok(path.is_file().then(|| vec![path]).ok_or_else(absent)?)
            }
            ModelName::Word { word, quant } => self.of_word(word, quant.as_deref(), name),
        }
    }

    /// Removes a model of ours: its file or all its parts, what is left of earlier pulls, and its entry of the index.
    /// Returns what it removed.
    pub fn remove(&self, name: &ModelName) -> Result<Vec<PathBuf>, ModelError> {
        let files = self.resolve(name)?;
        let mut ours = Vec::new();
        for file in &files {
            let below = self.below_root(file);
            let below = below.ok_or_else(|| PullError::NotOurs { path: file.clone(), root: self.root.clone() })?;
            ours.push((self.root.join(&below), below));
        }
        for (path, _) in &ours {
            fs::remove_file(path).map_err(|e| PullError::storage(path, &e))?;
            for end in [".part", ".part.json", ".lock"] {
                let _ = fs::remove_file(beside(path, end));
            }
            self.prune(path);
        }
        Index::change(&self.root, |index| {
            ours.iter().filter_map(|(_, below)| slashed(below)).for_each(|f| index.remove(&f))
        })?;
        Ok(ours.into_iter().map(|(path, _)| path).collect())
    }

    /// SHA-256 of a file of ours as the index has it, if the file still has the length that it had.
    pub(crate) fn known(&self, path: &Path) -> Option<Known> {
        let below = slashed(&self.below_root(path)?)?;
        let known = Index::read(&self.root).of(&below)?;
        (path.metadata().ok()?.len() == known.bytes).then_some(known)
    }

    pub(crate) fn remember(&self, path: &Path, known: Known) -> Result<(), PullError> {
        let Some(below) = self.below_root(path).and_then(|below| slashed(&below)) else { return Ok(()) };
        Index::change(&self.root, |index| index.put(&below, known))
    }

    /// Files of ours that had this digest.
    pub(crate) fn with_digest(&self, sha256: &str) -> Vec<PathBuf> {
        let files = Index::read(&self.root).with(sha256).into_iter();
        files
            .filter(|file| file.components().all(|part| matches!(part, Component::Normal(_))))
            .map(|file| self.root.join(file))
            .collect()
    }

    /// Where a file of a repository belongs.
    pub(crate) fn place_of(&self, repo: &Repo, file: &RepoFile) -> PathBuf {
        self.root.join(repo.org()).join(repo.name()).join(file.to_path())
    }

    /// Where a file of another server belongs: below the server's name, as its address says.
    pub(crate) fn place_of_url(&self, url: &str) -> Result<PathBuf, PullError> {
        let wrong = |problem| PullError::InvalidName { name: url.chars().take(80).collect(), problem };
        let parsed = reqwest::Url::parse(url).map_err(|_| wrong("it is no address"))?;
        let host = parsed.host_str().ok_or_else(|| wrong("it names no server"))?.replace(['[', ']', ':'], "_");
        let host = parsed.port().map_or(host.clone(), |port| format!("{host}_{port}"));
        let parts: Vec<&str> = parsed.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).collect();
        // Two folders at least, as repositories have them.
        let path = match parts.as_slice() {
            [file] => format!("{host}/files/{file}"),
            parts => format!("{host}/{}", parts.join("/")),
        };
        let file = RepoFile::parse(&path).filter(|file| crate::name::is_gguf(file.as_str()));
        Ok(self.root.join(file.ok_or_else(|| wrong("it must end with a harmless name of a .gguf file"))?.to_path()))
    }

    /// A model of one repository that is there already, with its place.
    fn of_repo(&self, repo: &Repo, pick: &Pick) -> Option<Vec<PathBuf>> {
        let all = places::find(&self.root, &self.caches);
        [Place::Store, Place::HuggingFace, Place::LlamaCpp].into_iter().find_map(|place| {
            let there = all.iter().filter(|found| found.place == place);
            let (files, paths): (Vec<RepoFile>, Vec<&PathBuf>) =
                there.filter_map(|found| Some((found.file_of(repo)?, &found.path))).unzip();
            let chosen = choose(&files, pick).ok()?;
            Some(chosen.into_iter().map(|i| paths[i].clone()).collect())
        })
    }

    /// A word is the name of a file that is there, of the catalogue, or the beginning of the name of a file.
    fn of_word(&self, word: &str, quant: Option<&str>, name: &ModelName) -> Result<Vec<PathBuf>, ModelError> {
        if quant.is_none() && Path::new(word).is_file() {
            return Ok(vec![word.into()]);
        }
        let entry = catalogue::entry(word);
        let firsts = self.list().into_iter().filter_map(|model| Some((model.files.first()?.clone(), model.files)));
        let models: BTreeMap<PathBuf, Vec<PathBuf>> = firsts.collect();
        let label =
            |path: &Path| path.file_name().is_some_and(|n| quant.is_none_or(|q| has_quant(&n.to_string_lossy(), q)));
        let there: Vec<PathBuf> = models.keys().filter(|path| label(path)).cloned().collect();
        let found = match (names::exact(word, &there), entry) {
            (Some(path), _) => path,
            (None, Some(entry)) => {
                let source = self.catalogued(entry, quant);
                let Some(ModelName::Hub { repo, pick }) = source else { return Err(absent(name)) };
                return self.of_repo(&repo, &pick).ok_or_else(|| absent(name));
            }
            (None, None) => names::beginning(word, &there)?,
        };
        Ok(models.get(&found).cloned().unwrap_or_else(|| vec![found]))
    }

    /// What a word of the catalogue means, with a quantisation of one's own.
    pub(crate) fn catalogued(&self, entry: &catalogue::Entry, quant: Option<&str>) -> Option<ModelName> {
        match (entry.source()?, quant) {
            (ModelName::Hub { repo, .. }, Some(quant)) => {
                Some(ModelName::Hub { repo, pick: Pick::Quant(quant.into()) })
            }
            (source, _) => Some(source),
        }
    }

    fn model(&self, mut parts: Vec<Found>, index: &Index) -> Option<Model> {
        parts.sort_by_key(|part| part.family().1);
        let first = parts.first()?.clone();
        let bytes = parts.iter().filter_map(|part| part.path.metadata().ok()).map(|metadata| metadata.len()).sum();
        let below = first.path.strip_prefix(&self.root).ok().and_then(slashed);
        let known = below.and_then(|below| index.of(&below)).filter(|_| first.place == Place::Store);
        let sha256 = match first.place {
            _ if parts.len() > 1 => None,
            Place::Store => known.as_ref().filter(|known| known.bytes == bytes).map(|known| known.sha256.clone()),
            Place::HuggingFace => blob_digest(&first.path),
            Place::LlamaCpp => None,
        };
        let name = match (known, &first.origin) {
            (Some(known), _) => known.source,
            (None, Some((repo, file))) => format!("hf:{repo}/{file}"),
            (None, None) => first.path.file_stem()?.to_string_lossy().into_owned(),
        };
        let files = parts.into_iter().map(|part| part.path).collect();
        Some(Model { name, files, bytes, sha256, place: first.place })
    }

    /// The path below our folder, if it is there. Links are followed up to the file's folder, not the file itself: one
    /// may remove a link.
    fn below_root(&self, path: &Path) -> Option<PathBuf> {
        let root = self.root.canonicalize().ok()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = folder.canonicalize().ok()?.join(path.file_name()?);
        real.strip_prefix(&root).ok().map(Path::to_owned)
    }

    /// Removes folders that are empty now, up to our own.
    pub(crate) fn prune(&self, removed: &Path) {
        for folder in removed.ancestors().skip(1).take_while(|folder| *folder != self.root) {
            if !folder.starts_with(&self.root) || std::fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

fn absent(name: &ModelName) -> ModelError {
    PullError::NotOnDisk { name: name.to_string() }.into()
}

/// Hugging Face's tools name the bytes of a large file by their SHA-256 and link to them.
fn blob_digest(path: &Path) -> Option<String> {
    let target = std::fs::read_link(path).ok()?;
    let name = target.file_name()?.to_str()?;
    (name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_ascii_lowercase())
}
