//! The table by which the tests' nodes judge answers of the tiny model.

use crate::{root, tiny_model, Client};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// The table of the tiny model, for the class of machine that this one is: both sides of these tests run here.
pub async fn calibration(client: &Client, dir: &Path) -> PathBuf {
    calibration_of(&tiny_model(), client, dir).await
}

/// The same of another model, which that node serves.
pub async fn calibration_of(model: &Path, client: &Client, dir: &Path) -> PathBuf {
    let stem = format!("{}.", model.file_stem().expect("a file").to_string_lossy());
    let folder = root().join("docs/reference/calibration");
    let is_table = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&stem) && name.ends_with(".table.json")
    };
    let files = std::fs::read_dir(folder).expect("calibrations").map(|entry| entry.expect("a file").path());
    let path = files.filter(is_table).min().expect("a table");
    let mut table: Value = serde_json::from_slice(&std::fs::read(path).expect("a table")).expect("JSON");
    let info = &client.status().await["models"][0]["info"];
    let detail = info["backend_detail"].as_str().expect("a machine").split(',').next().unwrap_or_default().to_owned();
    let class = format!("{}-{}", info["backend"].as_str().expect("a backend"), detail.trim().to_lowercase());
    (table["prover"], table["verifier"]) = (json!(class), json!(class));
    let own = dir.join("here.table.json");
    std::fs::write(&own, table.to_string()).expect("a file");
    own
}
