//! Hashes of a whole model, in one pass: of its file, or of its parts one after the other.

use crate::ModelError;
use ainonymous_types::Bytes32;
use ainonymous_verify::chunks::{ChunkTree, CHUNK_BYTES};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Hashes of a whole model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHashes {
    /// SHA-256 of its bytes.
    pub gguf_hash: Bytes32,
    /// Root of the Merkle tree over its chunks.
    pub gguf_root: Bytes32,
    /// Its length in bytes.
    pub gguf_bytes: u64,
}

/// Hashes a file. `progress` gets bytes done and bytes in all after each chunk, and returns false to stop.
pub fn hash_file(path: &Path, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<FileHashes, ModelError> {
    hash_files(&[path.to_owned()], progress)
}

/// Hashes files as if they were one: the first, then the second, and so on.
pub fn hash_files(files: &[PathBuf], progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<FileHashes, ModelError> {
    let mut all = 0u64;
    for path in files {
        all = all.saturating_add(path.metadata().map_err(|e| ModelError::io(path, &e))?.len());
    }
    let (mut whole, mut tree) = (Sha256::new(), ChunkTree::new());
    for path in files {
        add(path, &mut whole, &mut tree, &mut |done| progress(done, all))?;
    }
    let gguf_bytes = tree.bytes();
    let empty = || ModelError::NotGguf { path: files.first().cloned().unwrap_or_default() };
    let gguf_root = tree.finish().ok_or_else(empty)?;
    Ok(FileHashes { gguf_hash: Bytes32(whole.finalize().into()), gguf_root, gguf_bytes })
}

fn add(
    path: &Path,
    whole: &mut Sha256,
    tree: &mut ChunkTree,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(), ModelError> {
    let io = |e: std::io::Error| ModelError::io(path, &e);
    let mut file = File::open(path).map_err(io)?;
    let before = file.metadata().map_err(io)?;
    if !before.is_file() {
        return Err(ModelError::Unreadable { path: path.into(), reason: "it is not a file".into() });
    }
    let begin = tree.bytes();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(io(e)),
        };
        whole.update(&buffer[..read]);
        tree.update(&buffer[..read]);
        if !progress(tree.bytes()) {
            return Err(ModelError::Interrupted { problem: "it was cancelled".into() });
        }
    }
    let (after, read) = (file.metadata().map_err(io)?, tree.bytes() - begin);
    if read != before.len() || after.len() != before.len() || after.modified().ok() != before.modified().ok() {
        return Err(ModelError::Changed { path: path.into() });
    }
    Ok(())
}
