//! Each target for a moment: its seeds as they are, then nonsense made of them; the same in every run. A crash found by libFuzzer goes
//! into the seeds, so it is here from then on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test may fail by panicking.

use ainonymous_fuzz::targets::ALL;
use ainonymous_fuzz::{seeds_of, Nonsense};
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// Inputs of each target: about a second of an unoptimised build.
const INPUTS: u32 = 20_000;
/// No target goes on for longer, however slow the machine is,
const SHORT: Duration = Duration::from_secs(5);
/// but each has so many inputs at least.
const INPUTS_MIN: u32 = 500;
/// Longest time for one input: what takes longer does not end, or grows out of proportion.
const ONE_MAX: Duration = Duration::from_secs(2);

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(seeds_of(target)).unwrap_or_else(|e| panic!("{target}: {e}"));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn no_nonsense_makes_a_decoder_panic_or_take_its_time() {
    for (name, target) in ALL {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let run = |bytes: &[u8]| {
            let begun = Instant::now();
            if catch_unwind(|| target(bytes)).is_err() {
                panic!("{name}: put this into tests/fuzz/corpus/{name} and mend it: {}", hex::encode(bytes));
            }
            assert!(begun.elapsed() < ONE_MAX, "{name} took {:?}: {}", begun.elapsed(), hex::encode(bytes));
        };
        seeds.iter().for_each(|seed| run(seed));
        let (mut nonsense, begun, mut inputs) = (Nonsense::new(1), Instant::now(), 0);
        while inputs < INPUTS && (inputs < INPUTS_MIN || begun.elapsed() < SHORT) {
            run(&nonsense.next(&seeds));
            inputs += 1;
        }
        println!("{name}: {} seeds and {inputs} inputs in {} ms", seeds.len(), begun.elapsed().as_millis());
    }
}

/// A target that libFuzzer cannot run, or that nobody runs here, would be forgotten.
#[test]
fn every_target_is_under_libfuzzer_and_has_seeds() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let stems = |folder: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(here.join(folder)).unwrap();
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let named: BTreeSet<String> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems("libfuzzer/fuzz_targets"), named);
    assert_eq!(stems("corpus"), named);
    let manifest = std::fs::read_to_string(here.join("libfuzzer/Cargo.toml")).unwrap();
    assert!(named.iter().all(|name| manifest.contains(&format!("name = \"{name}\""))), "{manifest}");
}
