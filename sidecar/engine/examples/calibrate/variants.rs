//! Which of ggml's code for processors runs here, each in a folder of its own, so that a worker finds no other.

use crate::give::{load, options};
use ainonymous_engine::Engine;
use std::path::{Path, PathBuf};

/// Folders of those that run, named like their variants, in the order of their names.
pub(crate) async fn all(model: &Path) -> Vec<PathBuf> {
    let program = std::env::current_exe().unwrap();
    // target/PROFILE/examples/calibrate
    let Some(libraries) = program.ancestors().nth(2).map(|profile| profile.join("lib/ainonymous")) else {
        return vec![];
    };
    let mut names: Vec<String> = std::fs::read_dir(&libraries)
        .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    let mut found = vec![];
    for name in names {
        let Some(variant) = name.strip_prefix("libggml-cpu-").and_then(|rest| rest.strip_suffix(".so")) else {
            continue;
        };
        let folder = std::env::temp_dir().join(format!("ainonymous-calibrate-{}/{variant}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(libraries.join(&name), folder.join(&name)).unwrap();
        match load(Some(&folder), options(model, 1)).await {
            Ok(engine) => {
                engine.shutdown().await;
                found.push(folder);
            }
            Err(_) => eprintln!("{variant} does not run here"),
        }
    }
    found
}
