//! Which files of a repository make up the model that somebody asked for. Pure: from names to names.

use crate::name::{is_gguf, Pick, RepoFile};

/// Quantisations that are taken when nobody chose, best first.
const USUAL: &[&str] = &["Q4_K_M", "Q8_0"];
/// Most parts of a split model.
const PARTS_MAX: u32 = 1_000;

/// Why nothing was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// There is no model at all.
    NoModel,
    /// There are models, but not this one.
    NoSuch {
        /// What was wanted.
        wanted: String,
        /// What is there.
        there: Vec<String>,
    },
    /// Parts are missing.
    Parts {
        /// A part that is there.
        file: String,
    },
}

/// Places in `files` of the model's files: one, or all parts in their order.
pub(crate) fn choose(files: &[RepoFile], pick: &Pick) -> Result<Vec<usize>, Miss> {
    let models: Vec<usize> = (0..files.len()).filter(|i| is_model(files[*i].as_str())).collect();
    let first = match pick {
        Pick::Usual | Pick::Quant(_) if models.is_empty() => return Err(Miss::NoModel),
        Pick::Usual => {
            let usual = USUAL.iter().find_map(|quant| of_quant(files, &models, quant));
            usual.or_else(|| models.first().copied())
        }
        Pick::Quant(quant) => of_quant(files, &models, quant),
        // Whoever names a file means it: a projector, for example.
        Pick::File(file) => (0..files.len()).find(|i| files[*i] == *file && is_gguf(file.as_str())),
    };
    let Some(first) = first else { return Err(miss(files, &models, pick)) };
    let Some(part) = Part::of(files[first].as_str()) else { return Ok(vec![first]) };
    let whole = |number| models.iter().copied().find(|i| part.is_sibling(files[*i].as_str(), number));
    let parts: Option<Vec<usize>> = (1..=part.count).map(whole).collect();
    parts.ok_or_else(|| Miss::Parts { file: files[first].to_string() })
}

fn miss(files: &[RepoFile], models: &[usize], pick: &Pick) -> Miss {
    let wanted = match pick {
        Pick::Usual => "model".to_owned(),
        Pick::Quant(quant) => quant.clone(),
        Pick::File(file) => file.to_string(),
    };
    Miss::NoSuch { wanted, there: models.iter().map(|i| files[*i].to_string()).collect() }
}

/// The model whose name ends with the label; of several (`…-UD-Q4_K_M` beside `…-Q4_K_M`) the shortest name.
fn of_quant(files: &[RepoFile], models: &[usize], quant: &str) -> Option<usize> {
    let fits = |i: &usize| has_quant(files[*i].file_name(), quant);
    models.iter().copied().filter(fits).min_by_key(|i| (files[*i].as_str().len(), *i))
}

/// Does the name of a file end with this label, before the number of its part?
pub(crate) fn has_quant(file_name: &str, quant: &str) -> bool {
    let stem = Part::of(file_name).map_or_else(|| stem(file_name), |part| part.stem).to_ascii_lowercase();
    let Some(before) = stem.strip_suffix(&quant.to_ascii_lowercase()) else { return false };
    before.is_empty() || before.ends_with(['-', '_', '.'])
}

/// Is it a language model? Projectors for images and matrices of importance are GGUF files too.
fn is_model(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    is_gguf(&name) && !name.contains("mmproj") && !name.contains("imatrix")
}

/// `model-00001-of-00003.gguf`, or a path to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// What stands before the numbers, with its folders.
    pub(crate) stem: &'a str,
    /// From 1.
    pub(crate) number: u32,
    /// How many there are.
    pub(crate) count: u32,
}

impl<'a> Part<'a> {
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let (before, count) = stem(path).rsplit_once("-of-")?;
        let (stem, number) = before.rsplit_once('-')?;
        let five = |digits: &str| (digits.len() == 5).then(|| digits.parse::<u32>().ok()).flatten();
        let (number, count) = (five(number)?, five(count)?);
        (number >= 1 && number <= count && count <= PARTS_MAX).then_some(Self { stem, number, count })
    }

    fn is_sibling(&self, path: &str, number: u32) -> bool {
        Part::of(path) == Some(Self { number, ..*self })
    }
}

fn stem(path: &str) -> &str {
    if is_gguf(path) {
        &path[..path.len() - 5]
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str], pick: &Pick) -> Result<Vec<String>, Miss> {
        let files: Vec<RepoFile> = files.iter().map(|file| RepoFile::parse(file).unwrap()).collect();
        Ok(choose(&files, pick)?.into_iter().map(|i| files[i].to_string()).collect())
    }

    fn quant(label: &str) -> Pick {
        Pick::Quant(label.into())
    }

    #[test]
    fn the_usual_one_is_q4_k_m_then_q8_0_then_the_first() {
        let all = ["README.md", "mmproj-m-f16.gguf", "m-BF16.gguf", "m-Q8_0.gguf", "m-UD-Q4_K_M.gguf", "m-Q4_K_M.gguf"];
        assert_eq!(chosen(&all, &Pick::Usual).unwrap(), ["m-Q4_K_M.gguf"]);
        assert_eq!(chosen(&all[..5], &Pick::Usual).unwrap(), ["m-UD-Q4_K_M.gguf"]);
        assert_eq!(chosen(&all[..4], &Pick::Usual).unwrap(), ["m-Q8_0.gguf"]);
        assert_eq!(chosen(&all[..3], &Pick::Usual).unwrap(), ["m-BF16.gguf"]);
        assert_eq!(chosen(&all[..2], &Pick::Usual), Err(Miss::NoModel), "a projector is no model");
    }

    #[test]
    fn a_label_is_the_whole_end_of_a_name() {
        let all = ["m-Q4_K_M.gguf", "m-Q4_K.gguf", "m.q8_0.gguf", "m-IQ4_K.gguf", "m-UD-Q4_K_XL.gguf"];
        assert_eq!(chosen(&all, &quant("q4_k")).unwrap(), ["m-Q4_K.gguf"]);
        assert_eq!(chosen(&all, &quant("Q8_0")).unwrap(), ["m.q8_0.gguf"]);
        assert_eq!(chosen(&all, &quant("UD-Q4_K_XL")).unwrap(), ["m-UD-Q4_K_XL.gguf"]);
        let Err(Miss::NoSuch { wanted, there }) = chosen(&all, &quant("Q5_K_M")) else { panic!() };
        assert_eq!((wanted.as_str(), there.len()), ("Q5_K_M", 5));
    }

    #[test]
    fn all_parts_or_none() {
        let all =
            ["Q4_K_M/m-Q4_K_M-00002-of-00002.gguf", "Q4_K_M/m-Q4_K_M-00001-of-00002.gguf", "n-00001-of-00002.gguf"];
        let both = ["Q4_K_M/m-Q4_K_M-00001-of-00002.gguf", "Q4_K_M/m-Q4_K_M-00002-of-00002.gguf"];
        assert_eq!(chosen(&all, &Pick::Usual).unwrap(), both);
        assert_eq!(chosen(&all, &Pick::File(RepoFile::parse(both[1]).unwrap())).unwrap(), both);
        assert!(matches!(chosen(&all[1..], &quant("Q4_K_M")), Err(Miss::Parts { .. })));
    }

    #[test]
    fn numbers_of_parts_are_five_digits_in_order() {
        assert_eq!(Part::of("a/m-00001-of-00003.gguf"), Some(Part { stem: "a/m", number: 1, count: 3 }));
        for text in
            ["m.gguf", "m-1-of-3.gguf", "m-00004-of-00003.gguf", "m-00000-of-00003.gguf", "m-00001-of-99999.gguf"]
        {
            assert_eq!(Part::of(text), None, "{text}");
        }
    }
}
