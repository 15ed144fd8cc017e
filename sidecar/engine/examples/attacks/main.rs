//! What cheats an audit finds, tried for real: `cargo xtask attacks`. Real workers give answers by the rules and against them, another one
//! computes them again, and the judgements are those of `verify::audit` by the table that `cargo xtask calibrate` has made.
//!
//! One JSON object a line for each attack. What is not found is said as openly as what is.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod auditors;
#[path = "../calibrate/give.rs"]
mod give;
mod providers;
mod score;

use ainonymous_engine::run_worker;
use std::path::Path;
use std::process::ExitCode;

/// Answers for each attack, and in a hurry.
const ANSWERS: u64 = 400;
const ANSWERS_QUICK: u64 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["worker"] => run_worker(),
        [models, table] => run(Path::new(models), Path::new(table), ANSWERS),
        [models, table, "--quick"] => run(Path::new(models), Path::new(table), ANSWERS_QUICK),
        _ => {
            eprintln!("usage: attacks MODELS TABLE [--quick]");
            ExitCode::from(2)
        }
    }
}

/// Fails if something that was promised to be found was not, or if the honest were accused.
#[tokio::main]
async fn run(models: &Path, table: &Path, answers: u64) -> ExitCode {
    let table = score::table(table, &models.join("tiny-gemma-q8_0.gguf"));
    let lab = providers::Lab::open(models).await;
    if lab.class() != table.prover {
        eprintln!("the table was measured on {}, this machine is {}: both sides run here", table.prover, lab.class());
    }
    let honest = lab.honest(answers).await;
    let fair = score::Fair::of(&table, &honest);
    let mut good = fair.is_fair();
    for attack in providers::ATTACKS {
        let outcomes = lab.attack(attack, answers).await;
        let row = score::row(&attack, &table, &outcomes, &fair);
        good &= row.keeps_promise();
        println!("{}", serde_json::to_string(&row).unwrap());
    }
    for row in auditors::rows(&lab, &table, &honest, &fair, answers).await {
        good &= row.keeps_promise();
        println!("{}", serde_json::to_string(&row).unwrap());
    }
    lab.close().await;
    if good {
        ExitCode::SUCCESS
    } else {
        eprintln!("error: an attack that has to be found was not, or an honest provider was accused");
        ExitCode::FAILURE
    }
}
