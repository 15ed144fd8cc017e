//! Benchmarks: measured on the real parts, never asserted. Each prints one JSON object as its last line; the figures are
//! kept in docs/reference/benchmarks.md.

use crate::error::Result;
use crate::layout::Layout;
use crate::pack;
use crate::run::{self, Output};
use crate::setup::{self, For};
use crate::ui;

/// What can be measured.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum What {
    /// A question through the hApp alone against the provider's own engine; memory, warm start, bytes on the DHT.
    Path,
    /// Our engine through our own API against a real llama-server, in turn.
    Engine,
    /// Answers of another node over QUIC against a real llama-server; distance, changes of address, deaths, routers.
    Network,
    /// Tokens a second inside the worker process and across its boundary.
    Worker,
    /// The page in Chromium: first paint, script, long tasks at 200 tokens a second, accessibility.
    Ui,
}

/// Builds what is missing, then measures.
pub(crate) fn run(layout: &Layout, what: What, arguments: &[String]) -> Result<()> {
    let example = match what {
        What::Path => "bench-path",
        What::Engine => "bench-engine",
        What::Network => "bench-network",
        What::Worker => "bench",
        What::Ui => return page(layout, arguments),
    };
    let ready = setup::run(layout, For::Building, false)?;
    let log = layout.log("bench");
    pack::pack(layout, &ready, false, Output::Log(&log))?;
    pack::binaries(layout, Output::Log(&log))?;
    let mut program = run::command(layout, layout.binary(&format!("examples/{example}")));
    if let What::Worker = what {
        program.arg(layout.tiny_model());
    } else {
        program.env("AINONYMOUS_BIN", layout.binary("ainonymous"));
    }
    program.args(arguments);
    print!("{}", String::from_utf8_lossy(&run::capture("the benchmark", &mut program)?));
    Ok(())
}

/// The page needs neither nodes nor binaries: a scripted node sends it tokens at a known pace.
fn page(layout: &Layout, arguments: &[String]) -> Result<()> {
    let ready = setup::run(layout, For::Testing, false)?;
    ui::build(layout, &ready, Output::Log(&layout.log("bench")))?;
    let mut program = ui::browser(layout, &ready, "bench");
    program.args(arguments);
    print!("{}", String::from_utf8_lossy(&run::capture("the benchmark", &mut program)?));
    Ok(())
}
