//! From a word that a person types to one of the files that are there. Pure, apart from the names of files.

use crate::ModelError;
use std::path::{Path, PathBuf};

/// The file of that name, else the one with that stem. Upper and lower case are the same.
pub(crate) fn exact(word: &str, there: &[PathBuf]) -> Option<PathBuf> {
    let wanted = word.to_lowercase();
    let by_name = there.iter().find(|path| file_name(path) == wanted);
    by_name.or_else(|| there.iter().find(|path| stem(path) == wanted)).cloned()
}

/// The only file whose stem begins with the word.
pub(crate) fn beginning(word: &str, there: &[PathBuf]) -> Result<PathBuf, ModelError> {
    let wanted = word.to_lowercase();
    let fitting: Vec<&PathBuf> =
        there.iter().filter(|path| !wanted.is_empty() && stem(path).starts_with(&wanted)).collect();
    match fitting.as_slice() {
        [path] => Ok((*path).clone()),
        [] => Err(ModelError::UnknownName { name: word.into(), there: there.iter().map(|path| shown(path)).collect() }),
        several => {
            Err(ModelError::Ambiguous { name: word.into(), fitting: several.iter().map(|path| shown(path)).collect() })
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn stem(path: &Path) -> String {
    shown(path).to_lowercase()
}

fn shown(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_find_files_and_errors_say_what_is_there() {
        let there: Vec<PathBuf> =
            ["a/Tiny-Gemma-q8_0.gguf", "b/tiny-gemma-q4_0.gguf", "other.gguf"].into_iter().map(PathBuf::from).collect();
        assert_eq!(exact("tiny-gemma-q8_0.gguf", &there).unwrap(), there[0]);
        assert_eq!(exact("tiny-gemma-Q8_0", &there).unwrap(), there[0]);
        assert_eq!(exact("oth", &there), None);
        assert_eq!(beginning("oth", &there).unwrap(), there[2]);
        let several = beginning("tiny", &there).unwrap_err();
        assert!(matches!(&several, ModelError::Ambiguous { fitting, .. } if fitting.len() == 2));
        let error = beginning("llama", &there).unwrap_err();
        assert!(error.to_string().contains("tiny-gemma-q4_0, other"), "{error}");
        assert_eq!(beginning("", &there).unwrap_err().code(), "model_name_unknown");
    }
}
