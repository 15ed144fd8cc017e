//! Systems without a sandbox of ours yet: says so, and enforces nothing.
//!
//! macOS calls its own (`sandbox_init`) deprecated and documents no other for a process like this; on Windows a job object and a
//! restricted token are to come.

use super::Outcome;
use std::path::PathBuf;

pub(super) fn confine(_model_files: &[PathBuf], _gpu: bool) -> Outcome {
    let missing = format!("network, files and privileges (there is no sandbox on {} yet)", std::env::consts::OS);
    Outcome { missing: vec![missing], ..Outcome::default() }
}
