//! Model files: finding them by name, reading what their header says, and hashing them.
//!
//! A GGUF may come from a stranger: the reader is bounded everywhere, never trusts a length, and never loads weights. The
//! crate must not know llama.cpp, networks or engines.

mod cache;
mod describe;
mod error;
mod gguf;
mod hash;
mod names;
mod tensor;

pub use cache::HashCache;
pub use describe::{describe, Description};
pub use error::ModelError;
pub use gguf::{Header, Tensor, Value};
pub use hash::{hash_file, FileHashes};
pub use names::{list, resolve};
