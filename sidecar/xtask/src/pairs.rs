//! Models that audits are measured with: one that is promised, and the same weights in fewer bits, which a cheat would serve instead.
//!
//! Figures of one small model alone would say little, so there is a second of another size and temper. Its weights are random: it
//! has no meaning, and is made on the spot (tests/models/random).

#[allow(dead_code, reason = "benchmarks need more of it")]
#[path = "../../../tests/models/random/mod.rs"]
mod random;

use crate::error::Result;
use crate::layout::Layout;
use random::Format;
use std::path::{Path, PathBuf};

/// Which of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Which {
    /// The tiny Gemma of the tests: trained, 1.5 million weights, certain of its short answers.
    #[default]
    Tiny,
    /// 11 million random weights, undecided at nearly every token.
    Random,
}

/// Files of a model.
pub(crate) struct Pair {
    /// What is promised.
    pub(crate) model: PathBuf,
    /// The same in four bits, or in eight.
    pub(crate) cheaper: PathBuf,
}

impl Pair {
    /// The pair; the second is made if it is not in the cache.
    pub(crate) fn of(which: Which, layout: &Layout) -> Result<Self> {
        let tiny = layout.tiny_model();
        if which == Which::Tiny {
            return Ok(Self { model: tiny, cheaper: layout.root.join("tests/models/tiny-gemma-q4_0.gguf") });
        }
        let folder = layout.cache.join("models");
        let made = |format| random::made(&folder, &tiny, &random::AUDITED, format);
        Ok(Self { model: made(Format::Q8_0)?, cheaper: made(Format::Q4_0)? })
    }

    /// What the tests' model may have been in sixteen bits, and the tests' model in place of it.
    pub(crate) fn finer(layout: &Layout) -> Result<Self> {
        let cheaper = layout.tiny_model();
        Ok(Self { model: random::finer::made(&layout.cache.join("models"), &cheaper)?, cheaper })
    }
}

/// The calibration of a model in a folder: of this kind of machine or another.
pub(crate) fn table(folder: &Path, model: &Path) -> PathBuf {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_table = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(&*stem).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".table.json"))
    };
    names.filter(is_table).min().unwrap_or_else(|| folder.join(format!("{stem}.table.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_that_of_the_model() {
        let layout = Layout::find().unwrap();
        let folder = layout.root.join("docs/reference/calibration");
        let of = |model: &str| table(&folder, Path::new(model)).file_name().unwrap().to_string_lossy().into_owned();
        assert!(of("tiny-gemma-q8_0.gguf").starts_with("tiny-gemma-q8_0.cpu-"));
        assert!(of("random-gemma-11m-q8_0.gguf").starts_with("random-gemma-11m-q8_0.cpu-"));
        assert_eq!(of("unknown.gguf"), "unknown.table.json");
    }
}
