//! Models that were split over several files: their names. Pure; whether a file is a part is for its header to say.

use std::path::{Path, PathBuf};

/// Most parts of a split model.
const PARTS_MAX: u32 = 1_024;

/// The files of a model: itself, or all parts if its name says `-00001-of-00003.gguf`, as llama.cpp names them.
pub(crate) fn parts(path: &Path) -> Vec<PathBuf> {
    let alone = || vec![path.to_path_buf()];
    let split = || {
        let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (stem, count) = stem.rsplit_once("-of-")?;
        let (stem, number) = stem.rsplit_once('-')?;
        let five_digits = |text: &str| if text.len() == 5 { text.parse::<u32>().ok() } else { None };
        let (_, count) = (five_digits(number)?, five_digits(count)?);
        (1..=PARTS_MAX).contains(&count).then_some((stem, count))
    };
    let Some((stem, count)) = split() else { return alone() };
    (1..=count).map(|part| path.with_file_name(format!("{stem}-{part:05}-of-{count:05}.gguf"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_model_is_all_its_parts_and_nothing_else() {
        let of = |path: &str| parts(Path::new(path));
        assert_eq!(of("/m/a.gguf"), [PathBuf::from("/m/a.gguf")]);
        let expected: Vec<PathBuf> = (1..=3).map(|n| format!("/m/big-0000{n}-of-00003.gguf").into()).collect();
        assert_eq!(of("/m/big-00001-of-00003.gguf"), expected);
        assert_eq!(of("/m/big-00002-of-00003.gguf"), expected);
        for odd in ["/m/a-1-of-3.gguf", "/m/a-00001-of-00000.gguf", "/m/a-00001-of-99999.gguf", "/m/-of-.gguf", "/"] {
            assert_eq!(of(odd), [PathBuf::from(odd)], "{odd}");
        }
    }
}
