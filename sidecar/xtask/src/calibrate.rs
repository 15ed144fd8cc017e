//! Measures how much honest machines differ when they compute an answer again, and how much cheats do. The distributions are
//! kept in docs/reference/calibration; what follows from them is decided by people.

use crate::error::Result;
use crate::layout::Layout;
use crate::pack;
use crate::pairs::{self, Pair, Which};
use crate::run::{self, Output};
use crate::setup::{self, For};
use crate::test::vulkan;
use std::path::{Path, PathBuf};

/// Where tables and plots are kept.
const FOLDER: &str = "docs/reference/calibration";

/// What is measured, where it is not everything.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Part {
    /// How certain the model is, and how far from it the cheaper one.
    Temper,
    /// The table for audits.
    Table,
    /// Tables between this machine's instruction set and the most common one, either way round; only if it is named.
    Unlike,
    /// Whole distributions, over all instruction sets, threads, batches, caches and cheats.
    Cells,
    /// The same between the processor and Mesa's software GPU; only if it is named, for llama.cpp's shaders take a quarter of an hour to compile.
    Gpu,
}

/// The table of a model that is there: of this kind of machine or another.
pub(crate) fn table(layout: &Layout, model: &Path) -> PathBuf {
    pairs::table(&layout.root.join(FOLDER), model)
}

/// Builds what is missing, measures with one of the pairs or, if `finer`, with what the tests' model may have been rounded from, and writes numbers and
/// plots.
pub(crate) fn run(layout: &Layout, which: Which, finer: bool, part: Option<Part>) -> Result<()> {
    let mut program = match part {
        Some(Part::Gpu) => vulkan::example(layout, "calibrate")?,
        _ => {
            let ready = setup::run(layout, For::Building, false)?;
            let log = layout.log("calibrate");
            pack::pack(layout, &ready, false, Output::Log(&log))?;
            pack::binaries(layout, Output::Log(&log))?;
            run::command(layout, layout.binary("examples/calibrate"))
        }
    };
    let folder = layout.root.join(FOLDER);
    fs_err::create_dir_all(&folder)?;
    let Pair { model, cheaper } = if finer { Pair::finer(layout)? } else { Pair::of(which, layout)? };
    program.arg(model).arg(cheaper).arg(&folder);
    program.args(part.map(|part| match part {
        Part::Temper => "temper",
        Part::Table => "table",
        Part::Cells => "cells",
        Part::Unlike => "unlike",
        Part::Gpu => "gpu",
    }));
    run::run("the calibration", &mut program, Output::Shown)
}
