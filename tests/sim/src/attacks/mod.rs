//! Attacks on audits that need no engine: what several agents can do together, what a question tells of what it is for, and dice that
//! somebody would like to load. `cargo xtask attacks` prints these rows behind those that real engines give.
//!
//! All that decides is the real code of `verify` and `protocol`; made up is only what attackers do, and what people ask.

mod beacon;
mod canaries;
mod classifier;
mod collusion;
mod copying;
mod people;
#[path = "../../../../sidecar/engine/examples/attacks/row.rs"]
mod row;

use ainonymous_sim::SEED;
use ainonymous_types::AgentPubKey;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use row::Row;
use std::borrow::Cow;
use std::process::ExitCode;

/// How often each is tried, and in a hurry.
const TRIES: u64 = 2_000;
const TRIES_QUICK: u64 = 500;

/// Prints all rows; fails if one falls short of what it promises.
pub(crate) fn run(quick: bool) -> ExitCode {
    let rows = all(if quick { TRIES_QUICK } else { TRIES });
    let mut good = true;
    for row in &rows {
        match serde_json::to_string(row) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("error: {error}"),
        }
        good &= row.keeps_promise();
    }
    if good {
        ExitCode::SUCCESS
    } else {
        eprintln!("error: an attack that has to come to nothing did not");
        ExitCode::FAILURE
    }
}

fn all(tries: u64) -> Vec<Row> {
    let mut rows = collusion::rows(tries);
    rows.extend(copying::rows(tries));
    rows.extend(canaries::rows(tries));
    rows.extend(beacon::rows(tries));
    rows
}

/// How an attack fared: without tokens, for nothing is computed again here.
struct Fared {
    tried: u64,
    found: u64,
    /// The honest to whom the same was done or said, and those who suffered from it.
    honest_tried: u64,
    false_alarms: u64,
}

/// Where nobody honest has a part in it.
fn fared(tried: u64, found: u64) -> Fared {
    Fared { tried, found, honest_tried: 0, false_alarms: 0 }
}

fn row(attack: &'static str, promised_percent: u64, fared: Fared, note: impl Into<Cow<'static, str>>) -> Row {
    let Fared { tried, found, honest_tried, false_alarms } = fared;
    Row { attack, tried, found, false_alarms, honest_tried, note: note.into(), promised_percent, ..Row::default() }
}

/// Dice of their own for each attack.
fn dice(attack: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(SEED << 32 | attack)
}

fn agent(n: u64) -> AgentPubKey {
    let mut raw = vec![0; 36];
    raw[..8].copy_from_slice(&n.to_le_bytes());
    AgentPubKey::from_raw_36(raw)
}

fn bytes(dice: &mut ChaCha8Rng) -> [u8; 32] {
    dice.random()
}

/// The one in the middle.
fn median(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_come_to_nothing_does_and_what_does_not_is_said() {
        let rows = all(TRIES_QUICK);
        for row in &rows {
            println!("{}", serde_json::to_string(row).unwrap());
        }
        assert!(rows.iter().all(Row::keeps_promise));
        let found =
            |attack: &str| rows.iter().find(|row| row.attack == attack).map(|row| (row.found, row.tried)).unwrap();
        let nothing_found = |attack: &str| found(attack).0 == 0;
        // If one of these is found one day, the documentation has to say so.
        assert!(nothing_found("telling canaries by the list of their texts"));
        assert!(nothing_found("the same by auditors who were found right"));
        assert!(nothing_found("six accomplices convict an honest provider"));
        assert!(nothing_found("asker and provider draw together"));
        assert!(nothing_found("an auditor copies what a canary has shown"));
        let copying = rows.iter().find(|row| row.attack.contains("copies")).unwrap();
        assert_eq!(copying.false_alarms, 0, "the canary that is copied is in order");
        let unmoved = |row: &&Row| row.attack.contains("praise");
        assert!(rows.iter().filter(unmoved).all(|row| row.false_alarms == 0));
    }
}
