//! The files of the checkout, without what builds put there. Works where git is not, as in an unpacked archive.

use crate::error::Result;
use std::path::{Path, PathBuf};

/// Directories that hold no sources.
const NOT_SOURCES: &[&str] = &[".git", "target", "node_modules", "dist", "workdir", "test-results", "shared"];

/// Every source file below `root`, sorted.
pub(crate) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for entry in fs_err::read_dir(&dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if !NOT_SOURCES.contains(&entry.file_name().to_string_lossy().as_ref()) {
                    waiting.push(entry.path());
                }
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
