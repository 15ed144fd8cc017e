//! What strangers send, fed with nonsense. The targets are plain functions of bytes: a test runs each for a moment with mutations of
//! its seeds (`tests/short.rs`), libFuzzer for as long as one likes (`libfuzzer/`). It must not know how nonsense is made beyond
//! [`Nonsense`], nor keep anything between two inputs.

mod nonsense;
pub mod targets;
mod wrapping;

pub use nonsense::Nonsense;
pub use wrapping::{invite_fields, invite_text};

use std::path::PathBuf;

/// Where the seeds of a target are.
pub fn seeds_of(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}
