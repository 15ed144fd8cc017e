//! `ainonymous-sim [--seed N]… [--requests N] [--honest | --lie-factor N] [--no-reports] [SIZE…]`: one JSON row for each size and seed, by default 10 to
//! 100,000. `ainonymous-sim audits`: rows about audits. `ainonymous-sim attacks [--quick]`: attacks on them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod attacks;

use ainonymous_sim::audits::{detection, honest, Text};
use ainonymous_sim::{requests_for, run, Row, Run, LIE_FACTOR, SEED, SIZES};
use serde::Serialize;
use std::process::ExitCode;

/// Simulated honest reports in each cell.
const REPORTS: u64 = 1_000_000_000;
/// Honest answers to calibrate with.
const ANSWERS: u64 = 4_000;

/// What the command line says.
struct Wanted {
    sizes: Vec<usize>,
    seeds: Vec<u64>,
    requests: Option<u64>,
    lie_factor: u32,
    no_reports: bool,
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("audits") => return audits(),
        Some("attacks") => return attacks::run(std::env::args().nth(2).as_deref() == Some("--quick")),
        _ => {}
    }
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
            let row: Row = run(Run {
                providers,
                requests,
                seed: *seed,
                lie_factor: wanted.lie_factor,
                reports: !wanted.no_reports,
            });
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
    let mut wanted =
        Wanted { sizes: Vec::new(), seeds: Vec::new(), requests: None, lie_factor: LIE_FACTOR, no_reports: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => wanted.seeds.push(arguments.next()?.parse().ok()?),
            "--requests" => {
                let requests = arguments.next()?.parse().ok()?;
                wanted.requests = Some(requests).filter(|n| (100..=100_000_000).contains(n));
                wanted.requests?;
            }
            "--honest" => wanted.lie_factor = 0,
            "--lie-factor" => wanted.lie_factor = arguments.next()?.parse().ok().filter(|n| (1..=1_000).contains(n))?,
            "--no-reports" => wanted.no_reports = true,
            size => wanted.sizes.push(size.parse().ok().filter(|n| (1..=1_000_000).contains(n))?),
        }
    }
    Some(wanted)
}

/// The honest cells, then each cheat at each length.
fn audits() -> ExitCode {
    let mut good = print_all(&honest(REPORTS, SEED));
    for text in [Text::Encyclopedia, Text::Chat] {
        for sigma in [0.0095, 0.04] {
            for tokens in [32, 128, 256] {
                good &= print_all(&detection(text, sigma, tokens, ANSWERS, SEED));
            }
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_all<T: Serialize>(rows: &[T]) -> bool {
    for row in rows {
        match serde_json::to_string(row) {
            Ok(row) => println!("{row}"),
            Err(error) => {
                eprintln!("error: {error}");
                return false;
            }
        }
    }
    true
}
