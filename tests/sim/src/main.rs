//! `ainonymous-sim [SIZE…]`: one JSON row for each size, by default 10 to 100,000.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use ainonymous_sim::{requests_for, run, SEED, SIZES};
use std::process::ExitCode;

fn main() -> ExitCode {
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
