//! `ainonymous-sim [SIZE…]`: one JSON row for each size, by default 10 to 100,000. `ainonymous-sim audits`: rows about audits.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use ainonymous_sim::audits::{detection, honest, Text};
use ainonymous_sim::{requests_for, run, SEED, SIZES};
use serde::Serialize;
use std::process::ExitCode;

/// Simulated honest reports in each cell.
const REPORTS: u64 = 1_000_000_000;
/// Honest answers to calibrate with.
const ANSWERS: u64 = 4_000;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("audits") {
        return audits();
    }
    let named: Result<Vec<usize>, _> = std::env::args().skip(1).map(|arg| arg.parse()).collect();
    let sizes = match named {
        Ok(sizes) if sizes.is_empty() => SIZES.to_vec(),
        Ok(sizes) if sizes.iter().all(|size| (1..=1_000_000).contains(size)) => sizes,
        _ => {
            eprintln!("error: sizes are whole numbers from 1 to 1,000,000\nhint: ainonymous-sim 10 100 1000");
            return ExitCode::from(2);
        }
    };
    for size in sizes {
        match serde_json::to_string(&run(size, requests_for(size), SEED)) {
            Ok(row) => println!("{row}"),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
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
