//! From what a person types to a file: a path, or the name of a GGUF in one of the model folders.

use crate::ModelError;
use std::path::{Path, PathBuf};

/// Most files of one folder that are looked at.
const FILES_MAX: usize = 10_000;

/// The file that `name` means. A path (anything with a separator, or a file that is there) wins; otherwise the folders are searched
/// in their order for a file of that name, then for one with that stem, then for one whose stem begins with it.
/// Upper and lower case are the same.
pub fn resolve(name: &str, folders: &[PathBuf]) -> Result<PathBuf, ModelError> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if path.components().count() > 1 || path.is_absolute() {
        return Err(ModelError::NotFound { path: path.to_owned() });
    }
    let there = list(folders);
    let wanted = name.to_ascii_lowercase();
    let file_name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let stem = |p: &Path| p.file_stem().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let exact = there.iter().find(|p| file_name(p) == wanted).or_else(|| there.iter().find(|p| stem(p) == wanted));
    if let Some(path) = exact {
        return Ok(path.clone());
    }
    let begins: Vec<&PathBuf> = there.iter().filter(|p| !wanted.is_empty() && stem(p).starts_with(&wanted)).collect();
    let names = |paths: &[&PathBuf]| {
        let name = |p: &&PathBuf| p.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        paths.iter().map(name).collect::<Vec<_>>()
    };
    match begins.as_slice() {
        [path] => Ok((*path).clone()),
        [] => Err(ModelError::UnknownName { name: name.into(), there: names(&there.iter().collect::<Vec<_>>()) }),
        several => Err(ModelError::Ambiguous { name: name.into(), fitting: names(several) }),
    }
}

/// The GGUF files of the folders, by folder and name. Folders that cannot be read count as empty.
pub fn list(folders: &[PathBuf]) -> Vec<PathBuf> {
    let is_model = |p: &PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) && p.is_file();
    let mut all = Vec::new();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().take(FILES_MAX).map(|e| e.path()).filter(is_model).collect();
        files.sort();
        all.extend(files);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_files_and_errors_say_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["Tiny-Gemma-q8_0.gguf", "tiny-gemma-q4_0.gguf", "other.gguf", "notes.txt"] {
            std::fs::write(folder.path().join(file), "x").unwrap();
        }
        let folders = [folder.path().join("missing"), folder.path().to_owned()];
        let found = |name: &str| resolve(name, &folders).map(|p| p.file_name().unwrap().to_string_lossy().into_owned());
        assert_eq!(found("tiny-gemma-q8_0.gguf").unwrap(), "Tiny-Gemma-q8_0.gguf");
        assert_eq!(found("tiny-gemma-Q8_0").unwrap(), "Tiny-Gemma-q8_0.gguf");
        assert_eq!(found("oth").unwrap(), "other.gguf");
        assert!(matches!(found("tiny"), Err(ModelError::Ambiguous { fitting, .. }) if fitting.len() == 2));
        let error = found("llama").unwrap_err();
        assert!(error.to_string().contains("other, tiny-gemma-q4_0"), "{error}");
        assert_eq!(found("").unwrap_err().code(), "model_name_unknown");
        assert_eq!(found("/nowhere/x.gguf").unwrap_err().code(), "model_file_not_found");
        let path = folder.path().join("notes.txt");
        assert_eq!(resolve(path.to_str().unwrap(), &[]).unwrap(), path);
    }
}
