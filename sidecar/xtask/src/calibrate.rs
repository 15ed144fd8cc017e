//! Measures how much honest machines differ when they compute an answer again, and how much cheats do. The distributions are
//! kept in docs/reference/calibration; what follows from them is decided by people.

use crate::error::Result;
use crate::layout::Layout;
use crate::pack;
use crate::run::{self, Output};
use crate::setup::{self, For};
use std::path::PathBuf;

/// Where tables and plots are kept.
const FOLDER: &str = "docs/reference/calibration";

/// The table of the tests' model that is there: of this kind of machine or another.
pub(crate) fn table(layout: &Layout) -> PathBuf {
    let folder = layout.root.join(FOLDER);
    let names = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_table = |path: &PathBuf| path.to_string_lossy().ends_with(".table.json");
    names.filter(is_table).min().unwrap_or_else(|| folder.join("tiny-gemma-q8_0.table.json"))
}

/// Builds what is missing, measures with the models of the tests, and writes numbers and plots.
pub(crate) fn run(layout: &Layout) -> Result<()> {
    let ready = setup::run(layout, For::Building, false)?;
    let log = layout.log("calibrate");
    pack::pack(layout, &ready, false, Output::Log(&log))?;
    pack::binaries(layout, Output::Log(&log))?;
    let folder = layout.root.join(FOLDER);
    fs_err::create_dir_all(&folder)?;
    let mut program = run::command(layout, layout.binary("examples/calibrate"));
    program.arg(layout.tiny_model()).arg(layout.root.join("tests/models/tiny-gemma-q4_0.gguf")).arg(&folder);
    run::run("the calibration", &mut program, Output::Shown)
}
