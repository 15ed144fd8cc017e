//! Measures answers of another node over QUIC against a real llama-server: the same run, model, threads and client. Besides what
//! distance, a new address, a provider's death and routers do to them. Prints one JSON object on the last line.
//! `cargo xtask bench network` runs it.
//!
//! What it knows of nodes and servers is their addresses: everything is asked over HTTP, as users ask.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::print_stderr)] // A benchmark prints, and may fail by panicking.
#![allow(clippy::disallowed_methods)] // It measures from plain threads, which may sleep.

mod answers;
mod deaths;
mod distance;
mod nodes;
mod recording;
mod routers;

// Shared with the benchmark of the engine.
#[allow(dead_code, reason = "the benchmark of the engine needs more of it")]
#[path = "../bench-engine/ask.rs"]
mod ask;
#[path = "../bench-engine/figures.rs"]
mod figures;
#[allow(dead_code, reason = "the benchmark of the engine needs more of it")]
#[path = "../bench-engine/machine.rs"]
mod machine;
#[allow(dead_code, reason = "the benchmark of the engine needs more of it")]
#[path = "../bench-engine/measures.rs"]
mod measures;
#[allow(dead_code, reason = "the benchmark of the engine needs more of it")]
#[path = "../bench-engine/peer.rs"]
mod peer;
#[path = "../bench-engine/prompts.rs"]
mod prompts;
#[allow(dead_code, reason = "one of its models is for audits")]
#[path = "../../../models/random/mod.rs"]
mod random_model;

use ainonymous_e2e::tiny_model;
use figures::Report;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;

const FLAGS: &str = "--model FILE, --tiny, --threads N, --rounds N, --slots N, --no-peer, \
                     --parts answers,distance,migration,deaths,routers,recording";

/// What to measure with.
struct Options {
    model: Option<PathBuf>,
    tiny: bool,
    threads: u32,
    rounds: usize,
    slots: u32,
    peer: bool,
    /// What is measured; everything if empty.
    parts: String,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.split(',').any(|wanted| wanted == part)
    }

    /// The file that was named, the tiny Gemma, or one of 309 million random weights that is made once.
    fn model(&self) -> PathBuf {
        match &self.model {
            Some(model) => model.clone(),
            None if self.tiny => tiny_model(),
            None => random_model::cached(&tiny_model(), &random_model::MEDIUM).expect("a model"),
        }
    }
}

fn main() {
    let options = options();
    // Paths between nodes run on a thread of their own while this one asks.
    let lab = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let mut report = Report::default();
    report.note("rounds", options.rounds);
    report.note("load_average_before", machine::load());
    let mut part = |name: &str, figures: &[&str], measured: &dyn Fn(&mut Report) -> Result<(), String>| {
        let mut reason = "not measured this time".to_string();
        if options.wants(name) {
            // What breaks in one part is no reason to lose the others.
            let broke = || Err("the laboratory broke; its last words are on stderr".into());
            let outcome = catch_unwind(AssertUnwindSafe(|| measured(&mut report)));
            reason = outcome.unwrap_or_else(|_| broke()).err().unwrap_or(reason);
        }
        report.complete(figures, &reason);
    };
    let distances = distance::figures();
    let distances: Vec<&str> = distances.iter().map(String::as_str).collect();
    part("answers", &answers::FIGURES, &|report| answers::measure(report, &options, &lab));
    part("distance", &distances, &|report| distance::measure(report, &lab));
    part("migration", &distance::MIGRATION_FIGURES, &|report| distance::migration(report, &lab));
    part("deaths", &deaths::FIGURES, &|report| deaths::measure(report, &lab));
    part("routers", &routers::FIGURES, &routers::measure);
    part("recording", &recording::FIGURES, &|report| recording::measure(report, &options, &lab));
    report.note("load_average_after", machine::load());
    println!("{}", report.into_json());
}

fn options() -> Options {
    let mut options =
        Options { model: None, tiny: false, threads: 1, rounds: 5, slots: 8, peer: true, parts: String::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{flag} needs a value; there are {FLAGS}"));
        match flag.as_str() {
            "--model" => options.model = Some(value().into()),
            "--tiny" => options.tiny = true,
            "--threads" => options.threads = value().parse().expect("a number of threads"),
            "--rounds" => options.rounds = value().parse().expect("a number of rounds"),
            "--slots" => options.slots = value().parse().expect("a number of slots"),
            "--no-peer" => options.peer = false,
            "--parts" => options.parts = value(),
            "--json" => {}
            other => panic!("unknown flag {other}; there are {FLAGS}"),
        }
    }
    options
}
