//! `ainonymous-sim [--seed N]… [--requests N] [--honest] [--no-reports] [SIZE…]`: one JSON row for each size and seed, by default 10 to 100,000.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use ainonymous_sim::{requests_for, run, Row, Run, SEED, SIZES};
use std::process::ExitCode;

/// What the command line says.
#[derive(Default)]
struct Wanted {
    sizes: Vec<usize>,
    seeds: Vec<u64>,
    requests: Option<u64>,
    honest: bool,
    no_reports: bool,
}

fn main() -> ExitCode {
    let Some(mut wanted) = parse(std::env::args().skip(1)) else {
        eprintln!("error: sizes are whole numbers from 1 to 1,000,000, requests from 100 to 100,000,000");
        eprintln!("hint: ainonymous-sim --seed 2 --seed 3 10 100 1000");
        return ExitCode::from(2);
    };
    if wanted.sizes.is_empty() {
        wanted.sizes = SIZES.to_vec();
    }
    if wanted.seeds.is_empty() {
        wanted.seeds = vec![SEED];
    }
    for providers in wanted.sizes {
        for seed in &wanted.seeds {
            let requests = wanted.requests.unwrap_or_else(|| requests_for(providers));
            let row: Row =
                run(Run { providers, requests, seed: *seed, honest: wanted.honest, reports: !wanted.no_reports });
            match serde_json::to_string(&row) {
                Ok(row) => println!("{row}"),
                Err(error) => {
                    eprintln!("error: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => wanted.seeds.push(arguments.next()?.parse().ok()?),
            "--requests" => {
                let requests = arguments.next()?.parse().ok()?;
                wanted.requests = Some(requests).filter(|n| (100..=100_000_000).contains(n));
                wanted.requests?;
            }
            "--honest" => wanted.honest = true,
            "--no-reports" => wanted.no_reports = true,
            size => wanted.sizes.push(size.parse().ok().filter(|n| (1..=1_000_000).contains(n))?),
        }
    }
    Some(wanted)
}
