//! The golden vectors: what is in the files is what this build gives, and what it would write.

#![allow(missing_docs, dead_code, clippy::unwrap_used, unreachable_pub)]

#[path = "../examples/vectors.rs"]
mod generator;

use ainonymous_verify::vectors::{check, File};

fn stored(name: &str) -> String {
    std::fs::read_to_string(format!("../../tests/vectors/{name}")).unwrap()
}

#[test]
fn every_vector_holds() {
    for (name, file) in generator::files() {
        let report = check(&stored(name)).unwrap();
        assert_eq!(report.failed, Vec::<String>::new(), "{name}");
        assert_eq!(report.passed as usize, file.cases.len(), "{name}");
    }
}

#[test]
fn the_files_are_those_that_would_be_written() {
    for (name, file) in generator::files() {
        let stored: File = serde_json::from_str(&stored(name)).unwrap();
        for (have, want) in stored.cases.iter().zip(&file.cases) {
            assert_eq!((&have.name, &have.with, &have.gives), (&want.name, &want.with, &want.gives), "{name}");
        }
        assert_eq!(stored.cases.len(), file.cases.len(), "{name}");
    }
}

#[test]
fn a_wrong_vector_is_noticed() {
    let spoilt = stored("merkle.json").replacen("\"ok\"", "\"proof_mismatch\"", 1);
    assert_eq!(check(&spoilt).unwrap().failed.len(), 1);
    assert!(check("{}").is_err());
}
