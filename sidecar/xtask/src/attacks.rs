//! Attacks on audits, tried with real engines and the real judgements, among real nodes, and those that need no engine: one JSON object a line,
//! what is not found among them. The figures are kept in docs/reference/attacks.md.

use crate::calibrate;
use crate::error::Result;
use crate::layout::Layout;
use crate::pack;
use crate::pairs::{Pair, Which};
use crate::run::{self, Output};
use crate::setup::{self, For};
use std::process::Command;

/// How many are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All.
    Full,
    /// Fewer answers, and none of the goals.
    Quick,
    /// The goals alone: a few attacks, at exact lengths and temperatures.
    Goals,
}

/// Builds what is missing, then tries them.
pub(crate) fn run(layout: &Layout, which: Which, extent: Extent) -> Result<()> {
    let ready = setup::run(layout, For::Building, false)?;
    let log = layout.log("attacks");
    pack::pack(layout, &ready, false, Output::Log(&log))?;
    pack::binaries(layout, Output::Log(&log))?;
    let printed = run::capture("the attacks", &mut command(layout, which, extent)?)?;
    print!("{}", String::from_utf8_lossy(&printed));
    if let Some(mut program) = without_engines(layout, extent) {
        print!("{}", String::from_utf8_lossy(&run::capture("attacks without engines", &mut program)?));
    }
    if let Some(mut program) = among_nodes(layout, which, extent) {
        print!("{}", String::from_utf8_lossy(&run::capture("attacks among nodes", &mut program)?));
    }
    Ok(())
}

/// The program for those that need engines, which fails if one that must be found is not.
pub(crate) fn command(layout: &Layout, which: Which, extent: Extent) -> Result<Command> {
    let Pair { model, cheaper } = Pair::of(which, layout)?;
    let table = calibrate::table(layout, &model);
    let mut program = run::command(layout, layout.binary("examples/attacks"));
    program.arg(model).arg(cheaper).arg(layout.root.join("tests/models/draft-gemma-q8_0.gguf")).arg(table);
    if which == Which::Tiny {
        let finer = Pair::finer(layout)?.model;
        let table = calibrate::table(layout, &finer);
        program.arg(layout.root.join("tests/models/tuned-gemma-q8_0.gguf")).arg(finer).arg(table);
    }
    program.args(match extent {
        Extent::Full => None,
        Extent::Quick => Some("--quick"),
        Extent::Goals => Some("--goals"),
    });
    Ok(program)
}

/// The same for those that need none; the goals have none of them.
pub(crate) fn without_engines(layout: &Layout, extent: Extent) -> Option<Command> {
    let mut program = run::command(layout, layout.binary("ainonymous-sim"));
    program.arg("attacks");
    match extent {
        Extent::Full => Some(program),
        Extent::Quick => {
            program.arg("--quick");
            Some(program)
        }
        Extent::Goals => None,
    }
}

/// The same for those that are tried in a network of nodes: with the tests' model, and none of the goals.
pub(crate) fn among_nodes(layout: &Layout, which: Which, extent: Extent) -> Option<Command> {
    let mut program = run::command(layout, layout.binary("examples/network_attacks"));
    program.env("AINONYMOUS_BIN", layout.binary("ainonymous"));
    match (which, extent) {
        (Which::Tiny, Extent::Full) => Some(program),
        (Which::Tiny, Extent::Quick) => {
            program.arg("--quick");
            Some(program)
        }
        _ => None,
    }
}
