//! Everything that has to hold, in the order in which it fails cheapest.
//!
//! A stage is a name and something to run; what it counts comes from `count`. The first failure ends the run.

mod count;
mod stages;
pub(crate) mod vulkan;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::{lock, run, setup};
use count::Count;
use std::time::{Duration, Instant};

/// Lines of a failed step's log that are shown.
const TAIL_LINES: usize = 80;

/// Flags of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only what needs neither Holochain nor llama.cpp: rules, formatting, pure crates. For while you write.
    #[arg(long, conflicts_with = "slow")]
    quick: bool,
    /// Also what takes long: the reproducible build, documentation, licences and advisories.
    #[arg(long)]
    slow: bool,
    /// Instead: the engine with layers on a GPU, by Vulkan; a software GPU will do. Compiles for a quarter of an hour.
    #[arg(long, conflicts_with_all = ["quick", "slow", "filter"])]
    vulkan: bool,
    /// Only native tests whose name contains this (and what they need built).
    filter: Option<String>,
}

/// What is known while the stages run.
struct Run<'a> {
    layout: &'a Layout,
    options: &'a Options,
    ready: Option<setup::Ready>,
    done: Vec<Done>,
}

/// A stage that ended.
struct Done {
    name: &'static str,
    took: Duration,
    count: Count,
    failed: bool,
}

type Stage = (&'static str, fn(&mut Run<'_>) -> Result<Count>);

/// Runs the stages; the last line of stdout is the sum, alone on its line.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<()> {
    let started = Instant::now();
    let stages = stages::chosen(options);
    let mut run = Run { layout, options, ready: None, done: Vec::new() };
    let mut outcome = Ok(());
    for (number, (name, stage)) in stages.iter().enumerate() {
        eprintln!("[{:>2}/{}] {name}  ({} s so far)", number + 1, stages.len(), started.elapsed().as_secs());
        let began = Instant::now();
        let (count, error) = match stage(&mut run) {
            Ok(count) if count.failed == 0 => (count, None),
            Ok(count) => (count, Some(failure(name, count))),
            Err(error) => (Count { failed: 1, ..Count::default() }, Some(error)),
        };
        run.done.push(Done { name, took: began.elapsed(), count, failed: error.is_some() });
        if let Some(error) = error {
            show(&error);
            outcome = Err(error);
            break;
        }
    }
    summary(&run, stages.len(), started.elapsed());
    outcome
}

fn failure(name: &str, count: Count) -> Error {
    Error::Failed { what: name.to_owned(), status: format!("{} failed", count.failed), log: None }
}

/// The end of what a failed step printed.
fn show(error: &Error) {
    if let Error::Failed { log: Some(log), .. } | Error::TooSlow { log: Some(log), .. } = error {
        eprintln!("{}", run::ending(log, TAIL_LINES));
    }
}

fn summary(run: &Run<'_>, planned: usize, took: Duration) {
    println!();
    let mut sum = Count::default();
    for Done { name, took, count, failed } in &run.done {
        sum += *count;
        let verdict = if *failed { "FAILED" } else { "ok" };
        let tests = match count.total() {
            0 => String::new(),
            1 => "1 test".into(),
            more => format!("{more} tests"),
        };
        println!("{name:<34} {:>7.1} s  {verdict:<6}  {tests}", took.as_secs_f64());
    }
    if run.done.len() < planned {
        println!("{:<34}            {} stages not run", "", planned - run.done.len());
    }
    println!("{:<34} {:>7.1} s", "in all", took.as_secs_f64());
    if sum.retried > 0 {
        println!("{} of those that passed failed at the first try", sum.retried);
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
}

/// Shared by stages that build.
fn locked<T>(layout: &Layout, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let _lock = lock::BuildLock::take(layout)?;
    work()
}
