//! Attacks on audits, tried with real engines and the real judgements: one JSON object a line, what is not found among them. The figures
//! are kept in docs/reference/attacks.md.

use crate::calibrate;
use crate::error::Result;
use crate::layout::Layout;
use crate::pack;
use crate::run::{self, Output};
use crate::setup::{self, For};
use std::process::Command;

/// Builds what is missing, then tries them all.
pub(crate) fn run(layout: &Layout, quick: bool) -> Result<()> {
    let ready = setup::run(layout, For::Building, false)?;
    let log = layout.log("attacks");
    pack::pack(layout, &ready, false, Output::Log(&log))?;
    pack::binaries(layout, Output::Log(&log))?;
    print!("{}", String::from_utf8_lossy(&run::capture("the attacks", &mut command(layout, quick))?));
    Ok(())
}

/// The program, which fails if one that must be found is not.
pub(crate) fn command(layout: &Layout, quick: bool) -> Command {
    let mut program = run::command(layout, layout.binary("examples/attacks"));
    program.arg(layout.root.join("tests/models")).arg(calibrate::table(layout)).args(quick.then_some("--quick"));
    program
}
