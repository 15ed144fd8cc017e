//! How much honest machines differ when they compute an answer again, and how much cheats do: `cargo xtask calibrate`.
//!
//! Answers are given by workers with other instruction sets, threads, batch shapes and caches, and by cheats; each is replayed by a
//! worker of every instruction set at hand: the whole distributions and plots of them go into the folder that is named. Then some
//! thousand answers make a table for audits, of this machine checking its like, which goes there as well; tables between this machine's
//! instruction set and the most common one, and what a graphics card makes of it, are measured if they are asked for.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]

mod cells;
mod give;
mod plot;
mod table;
mod temper;
mod variants;

use ainonymous_engine::run_worker;
use std::path::Path;
use std::process::ExitCode;

/// What can be measured alone; the first three are measured if nothing is named.
const PARTS: [&str; 5] = ["temper", "table", "cells", "unlike", "gpu"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["worker"] => return run_worker(),
        [model, cheaper, folder] => measure(Path::new(model), Path::new(cheaper), Path::new(folder), &PARTS[..3]),
        [model, cheaper, folder, part] if PARTS.contains(&part) => {
            measure(Path::new(model), Path::new(cheaper), Path::new(folder), &[part])
        }
        _ => {
            eprintln!("usage: calibrate MODEL CHEAPER FOLDER [{}]", PARTS.join("|"));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

#[tokio::main]
async fn measure(model: &Path, cheaper: &Path, folder: &Path, parts: &[&str]) {
    let name = model.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    std::fs::create_dir_all(folder).unwrap();
    let write = |file: String, text: String| {
        std::fs::write(folder.join(&file), text).unwrap();
        println!("{}", folder.join(&file).display());
    };
    if parts.contains(&"temper") {
        let temper = temper::measure(model, cheaper).await;
        write(format!("{name}.temper.json"), serde_json::to_string_pretty(&temper).unwrap() + "\n");
    }
    if parts.contains(&"table") {
        println!("{}", table::measure(model, cheaper, folder, table::Sides::default()).await.display());
    }
    if parts.contains(&"unlike") {
        for sides in table::unlike(model).await {
            println!("{}", table::measure(model, cheaper, folder, sides).await.display());
        }
    }
    let write_cells = |name: &str, measured: &cells::Measured| {
        for (statistic, of) in plot::STATISTICS {
            write(format!("{name}.{statistic}.svg"), plot::draw(measured, of));
        }
        write(format!("{name}.cells.json"), serde_json::to_string(&measured.to_json()).unwrap() + "\n");
    };
    if parts.contains(&"cells") {
        write_cells(&name, &cells::measure(model, cheaper).await);
    }
    if parts.contains(&"gpu") {
        let measured = cells::measure_gpu(model, cheaper).await;
        write_cells(&format!("{name}.gpu"), &measured.expect("a graphics card, and a build that knows its kind"));
    }
}
