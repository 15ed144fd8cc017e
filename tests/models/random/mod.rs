//! Gemma 4 models of any size with random weights, written on the spot. How fast one computes depends on its shape alone; how far one
//! that is rounded to four bits is from the same in eight needs no meaning either.
//!
//! Tokenizer, template and the rest of the metadata are the tiny Gemma's; a larger vocabulary is filled up with made-up words.
//! The format is described with `ainonymous-models`; only what is changed is understood here. The same bytes come out everywhere.
//! Included by benchmarks and by what prepares measurements of audits.

mod blocks;
mod dice;
pub(crate) mod finer;
mod metadata;
mod tensors;

pub(crate) use blocks::Format;
use dice::Dice;
use metadata::text;
use std::io::{BufWriter, Result, Write};
use std::path::{Path, PathBuf};

/// A model but for its dice.
pub(crate) struct Shape {
    /// For people, in names of files and models.
    pub(crate) label: &'static str,
    /// Tokens, 2,048 of them the tiny Gemma's.
    pub(crate) vocabulary: u32,
    pub(crate) width: u32,
    pub(crate) layers: u32,
    pub(crate) heads: u32,
    pub(crate) key_value_heads: u32,
    pub(crate) head_width: u32,
    pub(crate) hidden: u32,
    pub(crate) window: u32,
    pub(crate) context: u32,
    pub(crate) weights: Weights,
    pub(crate) temper: Temper,
}

/// How matrices are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weights {
    /// Bytes of q8_0 are thrown as they are. With `repeat` so many blocks of a matrix, then its bytes begin again: speed does not
    /// depend on them, but making them takes time. A prime number, so that rows differ.
    Bytes { repeat: Option<u64> },
    /// Numbers from a normal distribution, rounded to a format: a model can be had in several.
    Numbers,
}

/// What decides how certain a model is, and how much a rounding tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Temper {
    /// Deviation of the table that words are looked up in; the model multiplies it by the root of its width.
    pub(crate) input: f32,
    /// Deviation of the table that gives logits: times the root of the width, that of the logits.
    pub(crate) output: f32,
    /// Size of what each half of a layer adds.
    pub(crate) added: f32,
}

impl Temper {
    /// Flat enough never to repeat itself.
    pub(crate) const FLAT: Self = Self { input: 0.03, output: 0.03, added: 0.3 };
}

/// 309 million weights, 329 MB as q8_0. A step computes with 276 million of them: the rest are looked up.
pub(crate) const MEDIUM: Shape = Shape {
    label: "309m",
    vocabulary: 32_000,
    width: 1_024,
    layers: 16,
    heads: 8,
    key_value_heads: 2,
    head_width: 128,
    hidden: 4_096,
    window: 512,
    context: 8_192,
    weights: Weights::Bytes { repeat: None },
    temper: Temper::FLAT,
};

/// 10.9 million weights with the tiny Gemma's vocabulary: for measuring audits with another model than it. Undecided at nearly every
/// token, where the tiny one is certain of most (docs/reference/calibration/README.md says how much, and how that was measured).
pub(crate) const AUDITED: Shape = Shape {
    label: "11m",
    vocabulary: 2_048,
    width: 256,
    layers: 10,
    heads: 4,
    key_value_heads: 2,
    head_width: 64,
    hidden: 1_024,
    window: 64,
    context: 4_096,
    weights: Weights::Numbers,
    temper: Temper { input: 0.03, output: 0.4, added: 0.035 },
};

const ALIGNMENT: u64 = 32;

/// The model in the cache of this user, made once.
pub(crate) fn cached(tiny: &Path, shape: &Shape) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let folder = cache.unwrap_or_else(std::env::temp_dir).join("ainonymous/models");
    made(&folder, tiny, shape, Format::Q8_0)
}

/// The model in a folder, made once; the tiny one lends what is not weights.
pub(crate) fn made(folder: &Path, tiny: &Path, shape: &Shape, format: Format) -> Result<PathBuf> {
    let path = folder.join(format!("random-gemma-{}-{}.gguf", shape.label, format.name()));
    if !path.exists() {
        eprintln!("making a model of random weights: {}", path.display());
        fs_err::create_dir_all(folder)?;
        write(&path, shape, format, tiny)?;
    }
    Ok(path)
}

fn write(path: &Path, shape: &Shape, format: Format, tiny: &Path) -> Result<()> {
    let tiny = fs_err::read(tiny)?;
    let tensors = tensors::tensors(shape, format);
    let part = path.with_extension("part");
    let mut out = BufWriter::new(fs_err::File::create(&part)?);
    let pairs = metadata::pairs(&tiny, shape, format.of_files());
    let mut head = Vec::new();
    head.extend_from_slice(b"GGUF");
    head.extend_from_slice(&3u32.to_le_bytes());
    head.extend_from_slice(&(tensors.len() as u64).to_le_bytes());
    head.extend_from_slice(&(pairs.len() as u64).to_le_bytes());
    pairs.iter().for_each(|pair| head.extend_from_slice(pair));
    let mut offset = 0;
    for tensor in &tensors {
        text(&mut head, &tensor.name);
        head.extend_from_slice(&(tensor.sides.len() as u32).to_le_bytes());
        tensor.sides.iter().for_each(|side| head.extend_from_slice(&u64::from(*side).to_le_bytes()));
        head.extend_from_slice(&tensor.format.map_or(0, Format::of_tensors).to_le_bytes());
        head.extend_from_slice(&u64::to_le_bytes(offset));
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    head.resize(head.len().next_multiple_of(ALIGNMENT as usize), 0);
    out.write_all(&head)?;
    let mut dice = Dice::new();
    for tensor in &tensors {
        let mut data = tensor.data(&mut dice, shape.weights);
        data.resize(data.len().next_multiple_of(ALIGNMENT as usize), 0);
        out.write_all(&data)?;
    }
    out.flush()?;
    fs_err::rename(part, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/models/tiny-gemma-q8_0.gguf");

    /// As small as it can be with the tiny model's words.
    fn small(weights: Weights) -> Shape {
        Shape { label: "small", width: 64, layers: 2, heads: 2, key_value_heads: 1, hidden: 96, weights, ..AUDITED }
    }

    /// The bytes of a model.
    fn bytes(shape: &Shape, format: Format, place: &str) -> Vec<u8> {
        let folder = std::env::temp_dir().join(format!("ainonymous-random-{}-{place}", std::process::id()));
        let path = made(&folder, Path::new(TINY), shape, format).unwrap();
        let bytes = fs_err::read(&path).unwrap();
        fs_err::remove_dir_all(folder).unwrap();
        bytes
    }

    /// FNV-1a: enough to tell whether something changed.
    fn hash(bytes: &[u8]) -> u64 {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
    }

    #[test]
    fn the_same_bytes_come_out_everywhere() {
        let numbers = small(Weights::Numbers);
        let thrown = small(Weights::Bytes { repeat: None });
        let found = [(&numbers, Format::Q8_0), (&numbers, Format::Q4_0), (&thrown, Format::Q8_0)]
            .map(|(shape, format)| hash(&bytes(shape, format, "same")));
        let expected = [7_540_154_517_962_947_654, 10_398_433_912_637_420_208, 132_094_158_901_884_673];
        assert_eq!(found, expected, "whoever changes the recipe measures again");
    }

    #[test]
    fn formats_share_their_numbers_and_differ_in_matrices_of_layers_alone() {
        let shape = small(Weights::Numbers);
        let (mut eight, mut four) = (Dice::new(), Dice::new());
        let pairs = tensors::tensors(&shape, Format::Q8_0).into_iter().zip(tensors::tensors(&shape, Format::Q4_0));
        for (as_eight, as_four) in pairs {
            let data = (as_eight.data(&mut eight, shape.weights), as_four.data(&mut four, shape.weights));
            assert_eq!((data.0.len() as u64, data.1.len() as u64), (as_eight.bytes(), as_four.bytes()));
            let of_a_layer = as_eight.name.starts_with("blk.") && as_eight.sides.len() > 1;
            assert_eq!(data.0 == data.1, !of_a_layer, "{}", as_eight.name);
        }
        assert_eq!(eight.next(), four.next(), "both threw as often");
    }

    #[test]
    fn a_file_is_made_once() {
        let folder = std::env::temp_dir().join(format!("ainonymous-random-{}-once", std::process::id()));
        let shape = small(Weights::Numbers);
        let path = made(&folder, Path::new(TINY), &shape, Format::Q4_0).unwrap();
        fs_err::write(&path, b"as it was").unwrap();
        assert_eq!(made(&folder, Path::new(TINY), &shape, Format::Q4_0).unwrap(), path);
        assert_eq!(fs_err::read(&path).unwrap(), b"as it was");
        fs_err::remove_dir_all(folder).unwrap();
    }
}
