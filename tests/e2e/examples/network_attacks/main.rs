//! Attacks on audits against a real network: nodes that are processes of their own, with conductors, links and engines, of which one cheats.
//! `cargo xtask attacks` prints these rows behind those that are tried without nodes, with more answers and more attacks.
//!
//! A cheat is a whole node whose engine says something else (`attacks cheat`): all else in it is what everybody runs. What is counted is what the
//! node that asked says through its API.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]

mod auditors;
mod copying;
mod dice;
mod equivocation;
mod network;
mod providers;
#[allow(dead_code, reason = "nothing but one model is made here")]
#[path = "../../../models/random/mod.rs"]
mod random;
mod requesters;
#[path = "../../../../sidecar/engine/examples/attacks/row.rs"]
mod row;

use ainonymous_e2e::{root, tiny_model};
use network::Network;
use providers::Attack;
use std::process::ExitCode;

/// Answers for each attack, and in a hurry.
const ANSWERS: usize = 24;
const ANSWERS_QUICK: usize = 6;
/// Cheats in one network: each is a whole node.
const CHEATS_MAX: usize = 5;
/// What is tried together, besides providers and auditors.
const GROUPS: [&str; 4] = ["requesters", "equivocation", "dice", "copying"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (quick, only) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (false, None),
        ["--quick"] => (true, None),
        ["--only", name] => (false, Some(name.to_owned())),
        _ => {
            eprintln!("usage: network_attacks [--quick | --only PART]; PART is of a provider's or auditor's name, or one of {}", GROUPS.join(", "));
            return ExitCode::from(2);
        }
    };
    // Members without a node have their conductor in this process.
    ainonymous_e2e::run(run(quick, only))
}

/// Fails if something that was promised to be found was not, or if the honest were accused. `only`: what has this in its name.
async fn run(quick: bool, only: Option<String>) -> ExitCode {
    let answers = if quick { ANSWERS_QUICK } else { ANSWERS };
    let mut good = true;
    let wanted = |name: &str, in_quick: bool| only.as_deref().map_or(in_quick || !quick, |only| name.contains(only));
    let (tiny, cheaper) = (tiny_model(), root().join("tests/models/tiny-gemma-q4_0.gguf"));
    let of = |attacks: &'static [Attack]| attacks.iter().filter(|attack| wanted(attack.name, attack.quick)).collect();
    let (of_tiny, of_finer): (Vec<_>, Vec<_>) = (of(&providers::ATTACKS), of(&providers::OF_FINER));
    for some in of_tiny.chunks(CHEATS_MAX) {
        let mut network = Network::start(&tiny, &cheaper, answers).await;
        providers::rows(&mut network, some, |row| good &= told(&row)).await;
    }
    if !of_finer.is_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let finer = random::finer::made(folder.path(), &tiny).expect("a model");
        let mut network = Network::start(&finer, &tiny, answers).await;
        providers::rows(&mut network, &of_finer, |row| good &= told(&row)).await;
    }
    let of_auditors: Vec<_> = auditors::ATTACKS.iter().filter(|attack| wanted(attack.name, attack.quick)).collect();
    let groups: Vec<_> = GROUPS.into_iter().filter(|group| wanted(group, *group == GROUPS[0])).collect();
    if of_tiny.is_empty() && of_finer.is_empty() && of_auditors.is_empty() && groups.is_empty() {
        eprintln!("error: nothing has that in its name; the groups are {}", GROUPS.join(", "));
        return ExitCode::from(2);
    }
    if !(of_auditors.is_empty() && groups.is_empty()) {
        let mut network = Network::start(&tiny, &cheaper, answers).await;
        for group in groups {
            let rows = match group {
                "equivocation" => vec![equivocation::row(&mut network).await],
                "dice" => dice::rows(&mut network).await,
                "copying" => copying::rows(&mut network).await,
                _ => requesters::rows(&mut network, quick).await,
            };
            for row in rows {
                good &= told(&row);
            }
        }
        for attack in of_auditors {
            good &= told(&auditors::row(&mut network, attack).await);
        }
    }
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
    // Two of a few would be a wonder: the tables let one in a thousand fail.
    let fair = row.false_alarms < 2;
    let in_order = row.attack != providers::CONTROL || (row.found == 0 && row.unlike.is_some_and(|n| n <= 1));
    if !fair || !in_order {
        eprintln!("not as it has to be: {row:?}");
    }
    row.keeps_promise() && fair && in_order
}
