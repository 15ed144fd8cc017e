//! Writes the golden vectors: `cargo run -p ainonymous-verify --example vectors`.
//!
//! Rules state what they expect here, in their own words; hashes and bytes are what this build computes. A test compares
//! both with the files, so that a change of either is noticed, and meant.

#![allow(missing_docs, clippy::unwrap_used)]

#[path = "vectors/audits.rs"]
mod audits;
#[path = "vectors/bytes.rs"]
mod bytes;
#[path = "vectors/fixtures.rs"]
mod fixtures;
#[path = "vectors/networks.rs"]
mod networks;
#[path = "vectors/rules.rs"]
mod rules;
#[path = "vectors/said.rs"]
mod said;

use ainonymous_verify::vectors::{run, to_json, Case, File};
use serde::Serialize;
use serde_json::Value;

/// All files by name.
pub fn files() -> Vec<(&'static str, File)> {
    vec![
        ("commitments.json", bytes::commitments()),
        ("receipts.json", bytes::receipts()),
        ("merkle.json", bytes::merkle()),
        ("said.json", said::cases()),
        ("entries.json", rules::entries()),
        ("links.json", rules::links()),
        ("changes.json", rules::changes()),
        ("networks.json", networks::cases()),
        ("audits.json", audits::cases()),
    ]
}

/// One case a line: readable, and easy on a diff.
pub fn text(file: &File) -> String {
    let cases: Vec<_> = file.cases.iter().map(|case| serde_json::to_string(case).unwrap()).collect();
    let about = serde_json::to_string(&file.about).unwrap();
    let records: Vec<_> = file.records.as_array().into_iter().flatten().map(ToString::to_string).collect();
    let records = match records.as_slice() {
        [] => String::new(),
        _ => format!("\"records\": [\n{}\n],\n", records.join(",\n")),
    };
    format!("{{\n\"about\": {about},\n{records}\"cases\": [\n{}\n]\n}}\n", cases.join(",\n"))
}

/// A file about the DHT: its cases share the records of the fixtures.
fn file(about: &str, cases: Vec<Case>) -> File {
    File { about: about.into(), records: to_json(&fixtures::records()).unwrap(), cases }
}

/// A case whose result is whatever this build computes.
fn computed<T: Serialize + std::fmt::Debug>(name: &str, operation: &str, with: &T) -> Case {
    let with = to_json(with).unwrap();
    let records = to_json(&fixtures::records()).unwrap();
    let gives = run(operation, &with, &records).unwrap();
    Case { name: name.into(), operation: operation.into(), with, gives }
}

/// A case whose result is stated: `ok`, or the code of a breach with the beginning of its text.
fn stated<T: Serialize + std::fmt::Debug>(name: &str, operation: &str, with: &T, expected: &str) -> Case {
    let case = computed(name, operation, with);
    let Value::String(given) = &case.gives else { panic!("{name} gives no verdict") };
    assert!(given == expected || given.starts_with(&format!("{expected}: ")), "{name}: {expected}, not {given}");
    case
}

fn main() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors");
    for (name, file) in files() {
        std::fs::write(format!("{folder}/{name}"), text(&file)).unwrap();
    }
}
