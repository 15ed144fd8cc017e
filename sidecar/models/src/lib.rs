//! Model files: what people call them, where they are, how they come here, what their header says, and their hashes.
//!
//! A GGUF may come from a stranger, and so may everything a server says of it: readers are bounded everywhere, never trust
//! a length, and never load weights. The crate must not know llama.cpp, engines, peers or the command line.

mod cache;
mod catalogue;
mod choose;
mod describe;
mod download;
mod error;
mod gguf;
mod hash;
mod hub;
mod index;
mod name;
mod names;
mod parts;
mod places;
mod projector;
mod pull;
mod pull_error;
mod store;
mod tensor;

pub use cache::HashCache;
pub use catalogue::{catalogue, entry, recommend, Entry};
pub use describe::{describe, Description};
pub use download::{Manner, Phase, Progress, Watcher};
pub use error::ModelError;
pub use gguf::{Header, Tensor, Value};
pub use hash::{hash_file, hash_files, FileHashes};
pub use hub::{Hub, Patience};
pub use name::{ModelName, Pick, Repo, RepoFile, DEPTH_MAX, NAME_BYTES_MAX, PART_BYTES_MAX};
pub use parts::parts_of;
pub use places::{Caches, Place};
pub use projector::projector_beside;
pub use pull::{Pulled, Puller};
pub use pull_error::PullError;
pub use store::{Model, Store};
