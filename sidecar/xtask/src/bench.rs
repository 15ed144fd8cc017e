//! Benchmarks: measured on the real parts, never asserted. Each prints one JSON object as its last line; the figures are
//! kept in docs/reference/benchmarks.md.

use crate::error::Result;
use crate::layout::Layout;
use crate::pack;
use crate::run::{self, Output};
use crate::setup::{self, For};

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
}

/// Builds what is missing, then measures.
pub(crate) fn run(layout: &Layout, what: What, arguments: &[String]) -> Result<()> {
    let ready = setup::run(layout, For::Building, false)?;
    let log = layout.log("bench");
    pack::pack(layout, &ready, false, Output::Log(&log))?;
    pack::binaries(layout, Output::Log(&log))?;
    let mut program = match what {
        What::Path => run::command(layout, layout.binary("examples/bench-path")),
        What::Engine => run::command(layout, layout.binary("examples/bench-engine")),
        What::Network => run::command(layout, layout.binary("examples/bench-network")),
        What::Worker => run::command(layout, layout.binary("examples/bench")),
    };
    match what {
        What::Path | What::Engine | What::Network => program.env("AINONYMOUS_BIN", layout.binary("ainonymous")),
        What::Worker => program.arg(layout.tiny_model()),
    };
    program.args(arguments);
    print!("{}", String::from_utf8_lossy(&run::capture("the benchmark", &mut program)?));
    Ok(())
}
