//! What the store knows of its files besides their names: digest, length, source. By digest, so that the same bytes are
//! found whatever they are called.
//!
//! The index is advice: it is rebuilt from what is pulled again, and an entry whose file is gone or has another length
//! counts for nothing.

use crate::download::write_json;
use crate::PullError;
use fs_err as fs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Name of the file in the store's folder.
const FILE: &str = "index.json";
/// Name of the file whose lock guards it.
const LOCK: &str = "index.lock";
/// Largest index that is read. Bytes.
const INDEX_BYTES_MAX: u64 = 16 << 20;
/// Changed with the format.
const VERSION: u32 = 1;

/// By digest: which files have these bytes.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_digest: BTreeMap<String, Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    by_digest: BTreeMap<String, Bytes>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bytes {
    bytes: u64,
    /// Path below the store's folder, with `/`, to where it came from.
    files: BTreeMap<String, String>,
}

/// What the index says of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Lower-case hex.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// The name that it was pulled by.
    pub(crate) source: String,
}

impl Index {
    /// The store's index; empty if there is none or it cannot be read.
    pub(crate) fn read(root: &Path) -> Self {
        let read = || -> Option<Stored> {
            let mut text = String::new();
            fs::File::open(root.join(FILE)).ok()?.take(INDEX_BYTES_MAX).read_to_string(&mut text).ok()?;
            serde_json::from_str(&text).ok()
        };
        let stored = read().filter(|stored| stored.version == VERSION);
        Self { by_digest: stored.map(|stored| stored.by_digest).unwrap_or_default() }
    }

    /// Changes the index under a lock, so that two processes do not lose each other's entries.
    pub(crate) fn change(root: &Path, change: impl FnOnce(&mut Self)) -> Result<(), PullError> {
        let storage = |e: std::io::Error| PullError::storage(&root.join(LOCK), &e);
        fs::create_dir_all(root).map_err(storage)?;
        let lock = std::fs::File::create(root.join(LOCK)).map_err(storage)?;
        lock.lock().map_err(storage)?;
        let mut index = Self::read(root);
        change(&mut index);
        index.by_digest.retain(|_, bytes| !bytes.files.is_empty());
        let stored = Stored { version: VERSION, by_digest: index.by_digest };
        write_json(&root.join(FILE), &stored)
    }

    /// What is known of a file.
    pub(crate) fn of(&self, file: &str) -> Option<Known> {
        let (digest, bytes) = self.by_digest.iter().find(|(_, bytes)| bytes.files.contains_key(file))?;
        let source = bytes.files.get(file)?.clone();
        Some(Known { sha256: digest.clone(), bytes: bytes.bytes, source })
    }

    /// Files that had this digest when they were pulled.
    pub(crate) fn with(&self, sha256: &str) -> Vec<PathBuf> {
        let files = self.by_digest.get(sha256).map(|bytes| bytes.files.keys());
        files.into_iter().flatten().map(|file| file.split('/').collect()).collect()
    }

    pub(crate) fn put(&mut self, file: &str, known: Known) {
        self.remove(file);
        let Known { sha256, bytes, source } = known;
        let entry = self.by_digest.entry(sha256).or_insert_with(|| Bytes { bytes, files: BTreeMap::new() });
        entry.bytes = bytes;
        entry.files.insert(file.to_owned(), source);
    }

    pub(crate) fn remove(&mut self, file: &str) {
        for bytes in self.by_digest.values_mut() {
            bytes.files.remove(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(sha256: &str) -> Known {
        Known { sha256: sha256.into(), bytes: 3, source: "hf:o/r/f.gguf".into() }
    }

    #[test]
    fn the_index_is_kept_and_a_broken_one_is_empty() {
        let root = tempfile::tempdir().unwrap();
        Index::change(root.path(), |index| {
            index.put("o/r/f.gguf", known("aa"));
            index.put("o/r/same.gguf", known("aa"));
        })
        .unwrap();
        let index = Index::read(root.path());
        assert_eq!(index.of("o/r/f.gguf"), Some(known("aa")));
        assert_eq!(index.with("aa").len(), 2);
        Index::change(root.path(), |index| index.put("o/r/f.gguf", known("bb"))).unwrap();
        assert_eq!(Index::read(root.path()).with("aa"), [PathBuf::from("o/r/same.gguf")], "one digest a file");
        Index::change(root.path(), |index| index.remove("o/r/f.gguf")).unwrap();
        assert_eq!(Index::read(root.path()).of("o/r/f.gguf"), None);
        std::fs::write(root.path().join(FILE), "{").unwrap();
        assert!(Index::read(root.path()).by_digest.is_empty());
    }

    #[test]
    fn two_at_once_lose_nothing() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let root = root.path();
                scope.spawn(move || {
                    for file in 0..8 {
                        let name = format!("{thread}/{file}.gguf");
                        Index::change(root, |index| index.put(&name, known("aa"))).unwrap();
                    }
                });
            }
        });
        assert_eq!(Index::read(root.path()).with("aa").len(), 32);
    }
}
