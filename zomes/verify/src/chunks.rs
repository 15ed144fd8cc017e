//! The Merkle root over a file's chunks of 1 MiB: what a model spec names, and what a transfer is checked against.

use crate::canonical::Encoder;
use crate::merkle::Peaks;
use ainonymous_types::Bytes32;
use sha2::Sha256;

/// Length of a chunk in bytes; the last one may be shorter.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Leaf of one chunk.
pub fn leaf(chunk: &[u8]) -> Bytes32 {
    chunk_hash().raw(chunk).finish()
}

/// Reads a file in pieces of any size and gives the root over its chunks. Holds a few hundred bytes, however long the file.
#[derive(Debug)]
pub struct ChunkTree {
    peaks: Peaks,
    open: Option<Encoder<Sha256>>,
    open_bytes: usize,
    bytes: u64,
}

impl Default for ChunkTree {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkTree {
    /// An empty file so far.
    pub fn new() -> Self {
        Self { peaks: Peaks::default(), open: None, open_bytes: 0, bytes: 0 }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.open_bytes));
            self.open.get_or_insert_with(chunk_hash).add(now);
            self.open_bytes += now.len();
            self.bytes += now.len() as u64;
            if self.open_bytes == CHUNK_BYTES {
                self.close();
            }
            bytes = later;
        }
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The root; none for an empty file.
    pub fn finish(mut self) -> Option<Bytes32> {
        self.close();
        self.peaks.root()
    }

    fn close(&mut self) {
        if let Some(hash) = self.open.take() {
            self.peaks.push(hash.finish());
            self.open_bytes = 0;
        }
    }
}

fn chunk_hash() -> Encoder<Sha256> {
    Encoder::hash("ainonymous/chunk/v1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle;

    fn tree(bytes: &[u8], piece: usize) -> Option<Bytes32> {
        let mut tree = ChunkTree::new();
        bytes.chunks(piece).for_each(|p| tree.update(p));
        assert_eq!(tree.bytes(), bytes.len() as u64);
        tree.finish()
    }

    #[test]
    fn pieces_make_no_difference_and_chunks_are_leaves() {
        let file: Vec<u8> = (0..(2 * CHUNK_BYTES + 5)).map(|i| (i % 251) as u8).collect();
        let leaves: Vec<_> = file.chunks(CHUNK_BYTES).map(leaf).collect();
        assert_eq!(leaves.len(), 3);
        for piece in [1 << 10, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, file.len()] {
            assert_eq!(tree(&file, piece), merkle::root(&leaves));
        }
        assert_eq!(tree(&file[..CHUNK_BYTES], 999), merkle::root(&leaves[..1]));
        assert_eq!(ChunkTree::new().finish(), None);
    }
}
