//! Good defaults, as data: a word, where its file is, and what memory it wants. It knows no network and no disk.

use crate::name::{ModelName, Pick, Repo};
use serde::Deserialize;
use std::sync::OnceLock;

const DATA: &str = include_str!("catalogue.toml");
/// The family that is recommended.
const FAMILY: &str = "gemma";

/// A model of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The word that people write.
    pub name: String,
    /// `org/repo` on the hub.
    repo: String,
    /// Which of its files; the usual one if unset.
    quant: Option<String>,
    /// Rough size of the file in bytes.
    pub about_bytes: u64,
    /// Memory in bytes that it runs well in.
    pub memory_bytes: u64,
    /// Models of one family have the same maker and tokenizer.
    pub family: String,
    /// What it is good for.
    pub note: String,
    /// Under what it may be used.
    pub licence: String,
    /// SHA-256 of the file, where it is pinned.
    pub sha256: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    model: Vec<Entry>,
}

impl Entry {
    /// Where it is.
    pub fn source(&self) -> Option<ModelName> {
        let repo = Repo::parse(&self.repo)?;
        Some(ModelName::Hub { repo, pick: self.quant.clone().map_or(Pick::Usual, Pick::Quant) })
    }
}

/// All of them, in the order of the file.
pub fn catalogue() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    // A test reads the same text: it parses.
    ENTRIES.get_or_init(|| toml::from_str(DATA).map(|data: Data| data.model).unwrap_or_default())
}

/// The entry that a word means; upper and lower case are the same.
pub fn entry(word: &str) -> Option<&'static Entry> {
    catalogue().iter().find(|entry| entry.name.eq_ignore_ascii_case(word))
}

/// The largest model of the recommended family that so much memory holds.
pub fn recommend(memory_bytes: u64) -> Option<&'static Entry> {
    let fits = |entry: &&Entry| entry.family == FAMILY && entry.memory_bytes <= memory_bytes;
    catalogue().iter().filter(fits).max_by_key(|entry| entry.memory_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_data_makes_sense() {
        let data: Data = toml::from_str(DATA).unwrap();
        assert_eq!(data.model.len(), catalogue().len());
        assert_eq!(data.model[0].family, FAMILY, "Gemma first");
        let names: BTreeSet<_> = data.model.iter().map(|entry| entry.name.to_lowercase()).collect();
        assert_eq!(names.len(), data.model.len(), "every name once");
        for entry in &data.model {
            let source = entry.source().unwrap().to_string();
            assert_eq!(ModelName::parse(&source).unwrap().to_string(), source);
            let word = ModelName::Word { word: entry.name.clone(), quant: None };
            assert_eq!(ModelName::parse(&entry.name).unwrap(), word);
            assert!(entry.memory_bytes > entry.about_bytes, "{}", entry.name);
            assert!(entry.memory_bytes < 3 * entry.about_bytes, "{}", entry.name);
            assert!(entry.sha256.as_ref().is_none_or(|digest| digest.len() == 64));
        }
    }

    #[test]
    fn the_largest_that_fits_is_recommended() {
        let name = |gigabytes: u64| recommend(gigabytes * 1_000_000_000).map(|entry| entry.name.as_str());
        assert_eq!(name(1), None);
        assert_eq!(name(2), Some("gemma-3-1b"));
        assert_eq!(name(8), Some("gemma-4-e4b"));
        assert_eq!(name(16), Some("gemma-4-12b"));
        assert_eq!(name(1_000), Some("gemma-4-31b"));
        assert_eq!(entry("Gemma-4-E4B").unwrap().name, "gemma-4-e4b");
        assert!(entry("gemma").is_none());
    }
}
