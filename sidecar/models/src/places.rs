//! Where models lie on this machine: our own folder, the Hugging Face cache, llama.cpp's cache. It only looks: nothing
//! is copied, nothing outside our folder is ever written.

use crate::choose::Part;
use crate::name::{is_gguf, Repo, RepoFile, DEPTH_MAX};
use fs_err as fs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// Longest reference of a repository's cache. Bytes.
const REF_BYTES_MAX: usize = 128;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Ours: pulled or put there.
    Store,
    /// The cache of Hugging Face's own tools.
    HuggingFace,
    /// The cache of llama.cpp's programs.
    LlamaCpp,
}

impl Place {
    /// Stable name, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::HuggingFace => "huggingface",
            Self::LlamaCpp => "llama.cpp",
        }
    }
}

/// A GGUF file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) place: Place,
    /// Where it comes from, if its place says so.
    pub(crate) origin: Option<(Repo, RepoFile)>,
}

impl Found {
    /// Is it of this repository, and as which file? llama.cpp writes both in one flat name, which cannot be taken apart
    /// but can be compared.
    pub(crate) fn file_of(&self, repo: &Repo) -> Option<RepoFile> {
        match (&self.origin, self.place) {
            (Some((own, file)), _) if repo.is(own.org(), own.name()) => Some(file.clone()),
            (None, Place::LlamaCpp) => {
                let name = self.path.file_name()?.to_str()?;
                let prefix = format!("{}_{}_", repo.org(), repo.name());
                let fits = name.get(..prefix.len())?.eq_ignore_ascii_case(&prefix);
                fits.then(|| RepoFile::parse(&name[prefix.len()..])).flatten()
            }
            _ => None,
        }
    }

    /// The same file in every part of a split model, without its number.
    pub(crate) fn family(&self) -> (PathBuf, Option<u32>) {
        let text = self.path.to_string_lossy();
        match Part::of(&text) {
            Some(part) => (PathBuf::from(part.stem), Some(part.number)),
            None => (self.path.clone(), None),
        }
    }
}

/// Caches of other programs.
#[derive(Clone, Debug, Default)]
pub struct Caches {
    /// Folders with `models--org--repo` in them.
    pub huggingface: Vec<PathBuf>,
    /// Folders of llama.cpp.
    pub llama_cpp: Vec<PathBuf>,
}

impl Caches {
    /// The caches that the environment says: `HF_HUB_CACHE`, `HF_HOME`, `LLAMA_CACHE` and the usual folders.
    pub fn from_env() -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = folder("HOME").or_else(|| folder("USERPROFILE"));
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(home.clone()?.join(".cache")));
        let hub = folder("HF_HUB_CACHE")
            .or_else(|| Some(folder("HF_HOME")?.join("hub")))
            .or_else(|| Some(cache.clone()?.join("huggingface/hub")));
        let llama = folder("LLAMA_CACHE").or_else(|| match () {
            () if cfg!(target_os = "macos") => Some(home?.join("Library/Caches/llama.cpp")),
            () if cfg!(windows) => Some(folder("LOCALAPPDATA")?.join("llama.cpp")),
            () => Some(cache?.join("llama.cpp")),
        });
        // Newer builds of llama.cpp keep repositories as Hugging Face's tools do.
        Self { huggingface: hub.into_iter().chain(llama.clone()).collect(), llama_cpp: llama.into_iter().collect() }
    }
}

/// Everything, ours first. Folders that cannot be read count as empty.
pub(crate) fn find(root: &Path, caches: &Caches) -> Vec<Found> {
    let mut found = ours(root);
    for cache in &caches.huggingface {
        // The same file in both of two caches that are one.
        let known: BTreeSet<PathBuf> = found.iter().map(|one| one.path.clone()).collect();
        found.extend(huggingface(cache).into_iter().filter(|one| !known.contains(&one.path)));
    }
    for cache in &caches.llama_cpp {
        let flat = entries(cache).into_iter().filter(|path| is_model(path));
        found.extend(flat.map(|path| Found { path, place: Place::LlamaCpp, origin: None }));
    }
    found
}

fn ours(root: &Path) -> Vec<Found> {
    let found = |path: PathBuf| {
        let below = path.strip_prefix(root).ok().and_then(slashed).unwrap_or_default();
        let mut parts = below.splitn(3, '/');
        let origin = match (parts.next(), parts.next(), parts.next()) {
            (Some(org), Some(repo), Some(file)) => Repo::parse(&format!("{org}/{repo}")).zip(RepoFile::parse(file)),
            _ => None,
        };
        Found { path, place: Place::Store, origin }
    };
    below(root, DEPTH_MAX + 2).into_iter().map(found).collect()
}

/// `models--org--repo/snapshots/<revision>/<file>`; of several revisions the one that `main` means.
fn huggingface(cache: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for folder in entries(cache) {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let repo = name.strip_prefix("models--").and_then(|rest| rest.split_once("--"));
        let Some(repo) = repo.and_then(|(org, repo)| Repo::parse(&format!("{org}/{repo}"))) else { continue };
        let main = fs::read_to_string(folder.join("refs/main")).unwrap_or_default();
        let main = main.get(..main.len().min(REF_BYTES_MAX)).unwrap_or_default().trim().to_owned();
        let mut revisions = entries(&folder.join("snapshots"));
        revisions.sort_by_key(|revision| revision.file_name().is_none_or(|name| name.to_string_lossy() != main));
        let mut seen = BTreeSet::new();
        for revision in revisions {
            for path in below(&revision, DEPTH_MAX) {
                let file = path.strip_prefix(&revision).ok().and_then(slashed);
                let Some(file) = file.and_then(|file| RepoFile::parse(&file)) else { continue };
                if seen.insert(file.clone()) {
                    found.push(Found { path, place: Place::HuggingFace, origin: Some((repo.clone(), file)) });
                }
            }
        }
    }
    found
}

/// GGUF files below a folder, sorted. Links to files are files, links to folders are not followed.
fn below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder) {
        if is_model(&path) {
            files.push(path);
        } else if depth > 1 && path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            files.extend(below(&path, depth - 1));
        }
        if files.len() > ENTRIES_MAX {
            files.truncate(ENTRIES_MAX);
            break;
        }
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().take(ENTRIES_MAX).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn is_model(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(is_gguf) && path.is_file()
}

/// A relative path with `/` between its parts.
pub(crate) fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    Some(parts?.join("/"))
}
