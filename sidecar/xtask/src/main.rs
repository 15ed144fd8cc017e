//! `cargo xtask`: setup, zomes, pack, demo, test, calibrate, gen, tidy. What a newcomer and CI type.
//!
//! It runs other programs and must not link any part of AInonymous: it has to build when they do not.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod attacks;
mod bench;
mod calibrate;
mod claim;
mod clients;
mod demo;
mod error;
mod gen;
mod layout;
mod lock;
mod pack;
mod pairs;
mod run;
mod setup;
mod sim;
mod stop;
mod test;
mod tidy;
mod ui;
mod walk;
mod zomes;

use clap::{Parser, Subcommand};
use error::Result;
use layout::Layout;
use run::Output;
use setup::For;
use std::process::ExitCode;

/// Everything that is done to this project rather than with it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check what a build needs, and install what is missing (Debian as root; elsewhere: name the command).
    Setup {
        /// Leave out what only tests need (Chromium, Python).
        #[arg(long)]
        build_only: bool,
    },
    /// Build the zomes to wasm into workdir/zomes.
    Zomes {
        /// Also the zome that breaks rules, for the tests of validation.
        #[arg(long)]
        rogue: bool,
    },
    /// Build the chat page into ui/dist.
    Ui,
    /// Pack the .dna, the .happ and the .webhapp into workdir; print the DNA hash.
    Pack {
        /// Do it again from a copy in another place and compare the DNA hash.
        #[arg(long)]
        check: bool,
    },
    /// Pack, then build the binaries; `ainonymous` carries the packed app.
    Build,
    /// Start a local network of two nodes, ask one the question that the other answers.
    Demo(demo::Options),
    /// Everything: rules, formatting, lints, unit, wasm, end to end, browser.
    Test(test::Options),
    /// Write the generated files: TypeScript types, references of command line, API and errors.
    Gen {
        /// Only compare.
        #[arg(long)]
        check: bool,
    },
    /// Measure; one JSON object is the last line.
    Bench {
        /// What.
        what: bench::What,
        /// Accepted for symmetry: the last line is JSON anyway.
        #[arg(long)]
        json: bool,
        /// Flags of the benchmark, after `--`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Take pictures of every view of the page, light and dark, phone and desktop.
    Screenshots {
        /// Where they are put.
        directory: std::path::PathBuf,
    },
    /// Simulate on the real protocol code; each line is one JSON object.
    Sim {
        /// What.
        what: sim::What,
        /// Accepted for symmetry: every line is JSON anyway.
        #[arg(long)]
        json: bool,
        /// Sizes of the network, after `--`; by default 10 to 100,000.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure how much machines differ when they compute an answer again, and how much cheats do.
    Calibrate {
        /// With which models.
        #[arg(long, value_enum, default_value_t)]
        model: pairs::Which,
        /// With what the tests' model may have been in sixteen bits, and that model as the cheaper one.
        #[arg(long, conflicts_with = "model")]
        finer: bool,
        /// Only a part of it.
        #[arg(long, value_enum)]
        only: Option<calibrate::Part>,
    },
    /// Try attacks on audits with real engines; each line is one JSON object.
    Attacks {
        /// With which models.
        #[arg(long, value_enum, default_value_t)]
        model: pairs::Which,
        /// Fewer answers: at most five minutes.
        #[arg(long)]
        quick: bool,
        /// Only the goals: a few attacks, at exact lengths and temperatures.
        #[arg(long, conflicts_with = "quick")]
        goals: bool,
        /// Accepted for symmetry: every line is JSON anyway.
        #[arg(long)]
        json: bool,
    },
    /// Check the rules of the house: arrows, file length, headers, printing, bounds, links.
    Tidy,
}

fn main() -> ExitCode {
    match stop::watch().and_then(|()| dispatch(Cli::parse().task)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.details() {
                eprintln!("  {line}");
            }
            eprintln!("error[{}]: {error}\nhint: {}", error.code(), error.hint());
            ExitCode::from(error.exit_status())
        }
    }
}

fn dispatch(task: Task) -> Result<()> {
    let layout = Layout::find()?;
    match task {
        Task::Setup { build_only } => {
            let purpose = if build_only { For::Building } else { For::Testing };
            setup::run(&layout, purpose, true).map(drop)
        }
        Task::Zomes { rogue } => {
            let ready = setup::run(&layout, For::Building, false)?;
            zomes::build(&layout, &ready.wasm, rogue, Output::Shown)
        }
        Task::Ui => {
            let ready = setup::run(&layout, For::Building, false)?;
            ui::build(&layout, &ready, Output::Shown).map(drop)
        }
        Task::Pack { check } => {
            let ready = setup::run(&layout, For::Building, false)?;
            let packed = if check {
                pack::check(&layout, &ready, Output::Shown)?
            } else {
                pack::pack(&layout, &ready, false, Output::Shown)?
            };
            println!("{}", packed.dna_hash);
            Ok(())
        }
        Task::Build => {
            let ready = setup::run(&layout, For::Building, false)?;
            pack::pack(&layout, &ready, false, Output::Shown)?;
            pack::binaries(&layout, Output::Shown)?;
            println!("{}", layout.binary("ainonymous").display());
            Ok(())
        }
        Task::Demo(options) => demo::run(&layout, &options),
        Task::Test(options) => test::run(&layout, &options),
        Task::Gen { check } => {
            let with_cli = layout.binary("ainonymous").is_file();
            if !with_cli {
                eprintln!("without the references of command line and API: they need `cargo xtask build` first");
            }
            gen::run(&layout, check, with_cli)
        }
        Task::Bench { what, json: _, arguments } => bench::run(&layout, what, &arguments),
        Task::Screenshots { directory } => ui::screenshots(&layout, &directory),
        Task::Sim { what, json: _, arguments } => sim::run(&layout, what, &arguments),
        Task::Calibrate { model, finer, only } => calibrate::run(&layout, model, finer, only),
        Task::Attacks { model, quick, goals, json: _ } => {
            let extent = match (quick, goals) {
                (true, _) => attacks::Extent::Quick,
                (_, true) => attacks::Extent::Goals,
                (false, false) => attacks::Extent::Full,
            };
            attacks::run(&layout, model, extent)
        }
        Task::Tidy => tidy::check(&layout),
    }
}
