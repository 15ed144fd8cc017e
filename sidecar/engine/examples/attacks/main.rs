//! What cheats an audit finds, tried for real: `cargo xtask attacks`. Real workers give answers by the rules and against them, another one
//! computes them again, and the judgements are those of `verify::audit` by the table that `cargo xtask calibrate` has made.
//!
//! One JSON object a line for each attack. What is not found is said as openly as what is.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]

mod auditors;
mod cheat;
mod deeds;
mod finer;
#[path = "../calibrate/give.rs"]
mod give;
mod goals;
mod long;
mod odd;
mod poisoned;
mod providers;
mod row;
mod score;

use ainonymous_engine::run_worker;
use std::path::Path;
use std::process::ExitCode;

/// Answers for each attack, and in a hurry.
const ANSWERS: u64 = 400;
const ANSWERS_QUICK: u64 = 64;

/// What is tried.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    Full,
    Quick,
    Goals,
}

/// Files of models, and the table of the first.
struct Files<'a> {
    model: &'a Path,
    cheaper: &'a Path,
    other: &'a Path,
    table: &'a Path,
    /// Of the tests' model.
    relatives: Option<Relatives<'a>>,
}

/// What is made of the tests' model only.
#[derive(Clone, Copy)]
struct Relatives<'a> {
    /// The model, trained on.
    tuned: &'a Path,
    /// What is rounded to the model, and the table of that.
    finer: &'a Path,
    finer_table: &'a Path,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (files, extent) = match words[..] {
        ["worker"] => return run_worker(),
        ["cheat", ref rest @ ..] => return cheat::run(rest),
        [.., "--quick"] => (&words[..words.len() - 1], Extent::Quick),
        [.., "--goals"] => (&words[..words.len() - 1], Extent::Goals),
        _ => (&words[..], Extent::Full),
    };
    let paths: Vec<&Path> = files.iter().map(Path::new).collect();
    let files = match paths[..] {
        [model, cheaper, other, table] => Files { model, cheaper, other, table, relatives: None },
        [model, cheaper, other, table, tuned, finer, finer_table] => {
            let relatives = Some(Relatives { tuned, finer, finer_table });
            Files { model, cheaper, other, table, relatives }
        }
        _ => {
            eprintln!("usage: attacks MODEL CHEAPER OTHER TABLE [TUNED FINER TABLE_OF_FINER] [--quick|--goals]");
            return ExitCode::from(2);
        }
    };
    run(&files, extent)
}

/// Fails if something that was promised to be found was not, or if the honest were accused.
#[tokio::main]
async fn run(files: &Files<'_>, extent: Extent) -> ExitCode {
    let tables = score::Tables::read(files.table, files.model);
    let table = tables.ordinary();
    let lab = providers::Lab::open(files).await;
    if lab.class() != table.prover {
        eprintln!("the table was measured on {}, this machine is {}: both sides run here", table.prover, lab.class());
    }
    let mut good = true;
    if extent != Extent::Goals {
        let answers = if extent == Extent::Quick { ANSWERS_QUICK } else { ANSWERS };
        let honest = lab.honest(answers).await;
        let fair = score::Fair::of(&table, &honest);
        good &= fair.is_fair();
        let mut plain = Vec::new();
        for attack in providers::ATTACKS.into_iter().filter(|attack| lab.can(attack.deed)) {
            let outcomes = lab.attack(attack, answers).await;
            good &= told(&score::row(&attack, &table, &outcomes, &fair));
            if attack.deed.is_plain() {
                plain.extend(outcomes);
            }
        }
        if let Some(relatives) = files.relatives {
            let (fair, rows) = finer::rows(files, relatives, answers).await;
            good &= fair.is_fair();
            for row in rows {
                good &= told(&row);
            }
        }
        for row in auditors::rows(&lab, &table, &honest, &fair, answers).await {
            good &= told(&row);
        }
        for row in odd::rows(&lab, &tables, answers).await {
            good &= told(&row);
        }
        for row in long::rows(files, &table, answers).await {
            good &= told(&row);
        }
        for row in poisoned::rows(&table, &honest, &plain, &fair) {
            good &= told(&row);
        }
    }
    if extent != Extent::Quick {
        goals::rows(&lab, &table, |row| good &= told(&row)).await;
    }
    lab.close().await;
    if good {
        ExitCode::SUCCESS
    } else {
        eprintln!("error: an attack that has to be found was not, or an honest provider was accused");
        ExitCode::FAILURE
    }
}

/// Prints a row; whether it keeps what it promises.
fn told(row: &row::Row) -> bool {
    println!("{}", serde_json::to_string(row).unwrap());
    row.keeps_promise()
}
