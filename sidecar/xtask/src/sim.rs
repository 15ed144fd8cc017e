//! Simulations: the real protocol code in networks larger than any machine could run. Each row is one JSON object; the
//! figures are kept in docs/reference/benchmarks.md.

use crate::error::Result;
use crate::layout::Layout;
use crate::run;

/// What can be simulated.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum What {
    /// Finding and choosing providers, from 10 to 100,000 of them.
    Network,
    /// How rarely an honest provider is accused, how soon a cheat is found.
    Audits,
}

/// Builds the simulation with optimisation, in the directory of the pure crates, and runs it.
pub(crate) fn run(layout: &Layout, what: What, arguments: &[String]) -> Result<()> {
    let named: &[&str] = match what {
        What::Network => &[],
        What::Audits => &["audits"],
    };
    let mut cargo = run::cargo(layout);
    cargo.env("CARGO_TARGET_DIR", layout.cache.join("quick"));
    cargo.args(["run", "--locked", "--release", "--quiet", "-p", "ainonymous-sim", "--"]).args(named).args(arguments);
    print!("{}", String::from_utf8_lossy(&run::capture("the simulation", &mut cargo)?));
    Ok(())
}
