//! Projectors, by which models see images: which of the files beside a model is its own.

use crate::choose::{has_quant, Part};
use crate::name::is_gguf;
use std::path::{Path, PathBuf};

/// Most files of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// Formats of numbers, best first: a projector is small beside its model and loses by fewer bits.
const FORMATS: &[&str] = &["F16", "BF16", "Q8_0", "F32"];

/// The projector that lies beside a model: of files named `mmproj*.gguf` the one whose name has most words of the model's.
pub fn projector_beside(model: &Path) -> Option<PathBuf> {
    let folder = model.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).ok()?.flatten().take(ENTRIES_MAX);
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let chosen = choose(&names, model.file_name()?.to_str()?)?;
    Some(folder.join(chosen)).filter(|path| path.is_file())
}

fn choose<'a>(names: &'a [String], model: &str) -> Option<&'a str> {
    let is_projector = |name: &&String| is_gguf(name) && name.to_ascii_lowercase().starts_with("mmproj");
    let rank = |name: &str| {
        let shared = words_of(model).filter(|word| words_of(name).any(|own| own == *word)).count();
        let format = FORMATS.iter().position(|format| has_quant(name, format)).unwrap_or(FORMATS.len());
        (std::cmp::Reverse(shared), format, name.to_owned())
    };
    // A model may itself be named so: it is no projector of its own.
    let others = names.iter().filter(is_projector).filter(|name| *name != model);
    others.min_by_key(|name| rank(name)).map(String::as_str)
}

/// Words of a file's name, without the numbers of its part.
fn words_of(name: &str) -> impl Iterator<Item = String> + '_ {
    let stem = Part::of(name).map_or(name, |part| part.stem);
    stem.split(['-', '_', '.']).map(str::to_ascii_lowercase).filter(|word| !word.is_empty() && word != "gguf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projector_of_a_model_is_found_among_others() {
        let of = |names: &[&str], model: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            choose(&names, model).map(str::to_owned)
        };
        let repo = ["m-Q4_K_M.gguf", "mmproj-F32.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-F16.txt"];
        assert_eq!(of(&repo, "m-Q4_K_M.gguf").as_deref(), Some("mmproj-F16.gguf"));
        let mixed = ["mmproj-gemma-3-4b-it-F16.gguf", "mmproj-qwen2-vl-7b-Q8_0.gguf", "x.gguf"];
        assert_eq!(of(&mixed, "Qwen2-VL-7B-Q4_K_M.gguf").as_deref(), Some("mmproj-qwen2-vl-7b-Q8_0.gguf"));
        assert_eq!(of(&mixed, "gemma-3-4b-it-00001-of-00002.gguf").as_deref(), Some("mmproj-gemma-3-4b-it-F16.gguf"));
        assert_eq!(of(&["m.gguf", "org_repo_mmproj-F16.gguf"], "m.gguf"), None);
        assert_eq!(of(&["mmproj-a.gguf"], "mmproj-a.gguf"), None);
    }

    #[test]
    fn folders_are_looked_into() {
        let models = Path::new("../../tests/models");
        assert_eq!(projector_beside(&models.join("tiny-gemma-q8_0.gguf")), None);
        let found = projector_beside(&models.join("images/model.gguf"));
        assert_eq!(found, Some(models.join("images/mmproj-tiny-gemma-f32.gguf")));
        assert_eq!(projector_beside(Path::new("/no/such/folder/m.gguf")), None);
    }
}
