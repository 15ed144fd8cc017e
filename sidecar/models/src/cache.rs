//! Remembers hashes of files, so that a warm start need not read a model of many gigabytes.
//!
//! An entry counts only while the file has the same identity, length and times. The cache is advice: when it cannot
//! be read or written, files are hashed again. It must not be writable by others than the node's owner, as the rest of the
//! data folder.

use crate::{hash_files, FileHashes, ModelError};
use ainonymous_types::Bytes32;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::Metadata;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most files that are remembered; the oldest go.
const ENTRIES_MAX: usize = 256;
/// Largest cache file that is read.
const CACHE_BYTES_MAX: u64 = 1 << 20;
/// A file that changed so recently could change again without a different time: it is not remembered.
const SETTLED: Duration = Duration::from_secs(2);
/// Changed with the format of the file or the definition of a hash.
const VERSION: u32 = 1;

/// A cache of file hashes in one small file.
#[derive(Debug)]
pub struct HashCache {
    path: PathBuf,
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    file: PathBuf,
    identity: Identity,
    gguf_hash: String,
    gguf_root: String,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    bytes: u64,
    modified_ns: u64,
    /// Time of the last change of content or name, and number of the file, where the system has them.
    changed_ns: u64,
    number: u64,
}

impl HashCache {
    /// The cache in this file; empty if there is none or it cannot be read.
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), entries: read(path).unwrap_or_default() }
    }

    /// Hashes of a file, from the cache if the file has not changed.
    pub fn hash_file(&mut self, file: &Path) -> Result<FileHashes, ModelError> {
        self.hash_file_with(file, &mut |_, _| true)
    }

    /// The same with a report of progress, see [`hash_file`].
    ///
    /// [`hash_file`]: crate::hash_file
    pub fn hash_file_with(
        &mut self,
        file: &Path,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<FileHashes, ModelError> {
        self.hash_files_with(&[file.to_owned()], progress)
    }

    /// Hashes of a model's parts as of one file, from the cache if none has changed. The first names them.
    pub fn hash_files(&mut self, files: &[PathBuf]) -> Result<FileHashes, ModelError> {
        self.hash_files_with(files, &mut |_, _| true)
    }

    /// The same with a report of progress.
    pub fn hash_files_with(
        &mut self,
        files: &[PathBuf],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<FileHashes, ModelError> {
        let real = |file: &PathBuf| file.canonicalize().map_err(|e| ModelError::io(file, &e));
        let files: Vec<PathBuf> = files.iter().map(real).collect::<Result<_, _>>()?;
        let identity = Identity::of_all(&files)?;
        let known = files.first().zip(identity.as_ref()).and_then(|(file, identity)| self.find(file, identity));
        if let Some(hashes) = known {
            return Ok(hashes);
        }
        let hashes = hash_files(&files, progress)?;
        if let Some(file) = files.first().filter(|_| identity.is_some()) {
            if identity == Identity::of_all(&files)? {
                self.remember(file, identity, &hashes);
            }
        }
        Ok(hashes)
    }

    fn find(&self, file: &Path, identity: &Identity) -> Option<FileHashes> {
        let entry = self.entries.iter().find(|e| e.file == file && e.identity == *identity)?;
        let bytes = |text: &str| <[u8; 32]>::try_from(hex::decode(text).ok()?).ok().map(Bytes32);
        let (gguf_hash, gguf_root) = (bytes(&entry.gguf_hash)?, bytes(&entry.gguf_root)?);
        Some(FileHashes { gguf_hash, gguf_root, gguf_bytes: identity.bytes })
    }

    fn remember(&mut self, file: &Path, identity: Option<Identity>, hashes: &FileHashes) {
        let Some(identity) = identity.filter(Identity::is_settled) else { return };
        // Others may have written since it was opened.
        self.entries = read(&self.path).unwrap_or_default();
        self.entries.retain(|e| e.file != file);
        let (gguf_hash, gguf_root) = (hashes.gguf_hash.to_hex(), hashes.gguf_root.to_hex());
        self.entries.push(Entry { file: file.to_owned(), identity, gguf_hash, gguf_root });
        let surplus = self.entries.len().saturating_sub(ENTRIES_MAX);
        self.entries.drain(..surplus);
        let _ = write(&self.path, &self.entries);
    }
}

impl Identity {
    /// Of several files together: their lengths, the latest times, and a number that is another if anything is.
    fn of_all(files: &[PathBuf]) -> Result<Option<Self>, ModelError> {
        let mut all = Some(Vec::new());
        for file in files {
            let one = Self::of(&file.metadata().map_err(|e| ModelError::io(file, &e))?);
            all = all.zip(one).map(|(mut all, one)| {
                all.push(one);
                all
            });
        }
        Ok(all.and_then(|all: Vec<Self>| match all.as_slice() {
            [] => None,
            [one] => Some(*one),
            several => {
                let words = |i: &Self| [i.bytes, i.modified_ns, i.changed_ns, i.number].map(u64::to_le_bytes).concat();
                let hash = several.iter().fold(Sha256::new(), |hash, identity| hash.chain_update(words(identity)));
                let mut number = [0; 8];
                number.copy_from_slice(&hash.finalize()[..8]);
                Some(Self {
                    bytes: several.iter().map(|identity| identity.bytes).sum(),
                    modified_ns: several.iter().map(|identity| identity.modified_ns).max()?,
                    changed_ns: several.iter().map(|identity| identity.changed_ns).max()?,
                    number: u64::from_le_bytes(number),
                })
            }
        }))
    }

    fn of(metadata: &Metadata) -> Option<Self> {
        let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let modified_ns = u64::try_from(since.as_nanos()).ok()?;
        #[cfg(unix)]
        let (changed_ns, number) = {
            use std::os::unix::fs::MetadataExt;
            let seconds = u64::try_from(metadata.ctime()).ok()?;
            (seconds * 1_000_000_000 + u64::try_from(metadata.ctime_nsec()).ok()?, metadata.ino())
        };
        #[cfg(not(unix))]
        let (changed_ns, number) = (modified_ns, 0);
        Some(Self { bytes: metadata.len(), modified_ns, changed_ns, number })
    }

    fn is_settled(&self) -> bool {
        let last = UNIX_EPOCH + Duration::from_nanos(self.modified_ns.max(self.changed_ns));
        SystemTime::now().duration_since(last).is_ok_and(|age| age >= SETTLED)
    }
}

fn read(path: &Path) -> Option<Vec<Entry>> {
    let mut text = String::new();
    fs_err::File::open(path).ok()?.take(CACHE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let Stored { version, mut entries } = serde_json::from_str(&text).ok()?;
    entries.truncate(ENTRIES_MAX);
    (version == VERSION).then_some(entries)
}

/// Replaces the file as a whole, so that a reader never sees half of it.
fn write(path: &Path, entries: &[Entry]) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let stored = Stored { version: VERSION, entries: entries.to_vec() };
    serde_json::to_writer(&mut file, &stored)?;
    file.flush()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
