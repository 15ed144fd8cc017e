//! Hashes over a model's metadata as llama.cpp reads it.
//!
//! Definition, shared with the `models` crate, which computes the same from the file: for each metadata pair whose key starts
//! with `tokenizer.`, except chat templates (`tokenizer.chat_template` and keys that begin so), take the SHA-256 of the pair
//! exactly as GGUF encodes it (length of the key as u64, key, value type as u32, value; little-endian). The tokenizer hash
//! is the SHA-256 of these hashes one after the other, ordered by key bytes. The template hash is the SHA-256 of
//! the bytes of `tokenizer.chat_template`, of nothing if there is none.
//! A test vector in each crate over the same file keeps the two together; a node compares them at each load.

use ainonymous_types::Bytes32;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Does the pair belong to the tokenizer hash?
pub(crate) fn is_tokenizer_key(key: &str) -> bool {
    key.starts_with("tokenizer.") && !key.starts_with("tokenizer.chat_template")
}

/// Collects hashes of pairs in any order.
#[derive(Debug, Default)]
pub(crate) struct TokenizerHasher(BTreeMap<Vec<u8>, [u8; 32]>);

impl TokenizerHasher {
    /// Adds a pair; `write_value` writes the value as GGUF encodes it.
    pub(crate) fn pair(&mut self, key: &str, value_type: u32, write_value: impl FnOnce(&mut Sha256)) {
        let mut hash = Sha256::new()
            .chain_update((key.len() as u64).to_le_bytes())
            .chain_update(key)
            .chain_update(value_type.to_le_bytes());
        write_value(&mut hash);
        self.0.insert(key.into(), hash.finalize().into());
    }

    pub(crate) fn finish(self) -> Bytes32 {
        let all = self.0.into_values().fold(Sha256::new(), |all, hash| all.chain_update(hash));
        Bytes32(all.finalize().into())
    }
}

/// SHA-256 of a chat template.
pub(crate) fn template_hash(template: &str) -> Bytes32 {
    Bytes32(Sha256::digest(template).into())
}
