//! Measures how much honest machines differ when they compute an answer again, and how much cheats do. The distributions are
//! kept in docs/reference/calibration; what follows from them is decided by people.

use crate::error::Result;
use crate::layout::Layout;
use crate::pack;
use crate::run::{self, Output};
use crate::setup::{self, For};

/// Builds what is missing, measures with the models of the tests, and writes numbers and plots.
pub(crate) fn run(layout: &Layout) -> Result<()> {
    let ready = setup::run(layout, For::Building, false)?;
    let log = layout.log("calibrate");
    pack::pack(layout, &ready, false, Output::Log(&log))?;
    pack::binaries(layout, Output::Log(&log))?;
    let folder = layout.root.join("docs/reference/calibration");
    fs_err::create_dir_all(&folder)?;
    let mut program = run::command(layout, layout.binary("examples/calibrate"));
    program.arg(layout.tiny_model()).arg(layout.root.join("tests/models/tiny-gemma-q4_0.gguf")).arg(&folder);
    let measured = run::capture("the calibration", &mut program)?;
    fs_err::write(folder.join("tiny-gemma-q8_0.json"), measured)?;
    println!("{}", folder.display());
    Ok(())
}
