//! How much honest machines differ when they compute an answer again, and how much cheats do: `cargo xtask calibrate`.
//!
//! Answers are given by workers with other instruction sets, threads, batch shapes and caches, and by cheats; each is replayed by a
//! worker of every instruction set at hand. The whole distributions go to standard output as JSON, plots of them into
//! the folder that is named.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod cells;
mod plot;

use ainonymous_engine::run_worker;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["worker"] => return run_worker(),
        [model, cheaper, plots] => {
            let measured = cells::measure(Path::new(model), Path::new(cheaper));
            std::fs::create_dir_all(plots).unwrap();
            for (name, statistic) in plot::STATISTICS {
                std::fs::write(Path::new(plots).join(format!("{name}.svg")), plot::draw(&measured, statistic)).unwrap();
            }
            println!("{}", serde_json::to_string(&measured.to_json()).unwrap());
        }
        _ => eprintln!("usage: calibrate MODEL CHEAPER PLOTS"),
    }
    ExitCode::SUCCESS
}
