//! What the tests' model may have been before it was rounded to eight bits: a file in sixteen that rounds to the same eight, but for the last bit of a few scales.
//!
//! Its own in sixteen bits is not kept, and training gives others elsewhere. Any number that rounds to the same eight bits is as likely to have been
//! there; so each is thrown anew within its step, but for the largest of its scale, which decides the step.

use super::blocks::{half, number, BLOCK};
use super::dice::Dice;
use super::metadata::{array, length};
use super::ALIGNMENT;
use std::io::Result;
use std::path::{Path, PathBuf};

/// Kinds of tensors in a file.
const F16: u32 = 1;
const Q8_0: u32 = 8;
/// The kind of the whole file: mostly sixteen bits.
const MOSTLY_F16: u32 = 1;
/// So far from its middle a number is thrown, in steps: not to the edge, for sixteen bits and the scale are rounded too.
const WITHIN: f32 = 0.37;
const LARGEST: i8 = 127;

/// The file in this folder; written if it is not there, or another.
pub(crate) fn made(folder: &Path, tiny: &Path) -> Result<PathBuf> {
    let path = folder.join("tiny-gemma-f16.gguf");
    let bytes = unrounded(&fs_err::read(tiny)?);
    if fs_err::read(&path).ok().as_ref() != Some(&bytes) {
        fs_err::create_dir_all(folder)?;
        let part = path.with_extension("part");
        fs_err::write(&part, bytes)?;
        fs_err::rename(part, &path)?;
    }
    Ok(path)
}

/// One of a file's tensors.
struct Tensor<'a> {
    /// Its name and sides, as they stand before its kind.
    begin: &'a [u8],
    kind: u32,
    data: &'a [u8],
}

/// What stands before the tensors, with the file's kind changed if there is another for it; and all of them.
fn read(file: &[u8], of_files: Option<u32>) -> (Vec<u8>, Vec<Tensor<'_>>) {
    let (count, pairs) = (u64::from_le_bytes(array(&file[8..])), u64::from_le_bytes(array(&file[16..])));
    let (mut head, mut at) = (file[..24].to_vec(), 24);
    for _ in 0..pairs {
        let (key, value) = (text(file, at), at + 8 + text(file, at).len() + 4);
        let end = value + length(u32::from_le_bytes(array(&file[value - 4..])), &file[value..]);
        match of_files.filter(|_| key == b"general.file_type") {
            Some(kind) => head.extend([&file[at..value], &kind.to_le_bytes()].concat()),
            None => head.extend_from_slice(&file[at..end]),
        }
        at = end;
    }
    let mut infos = Vec::new();
    for _ in 0..count {
        let sides_at = at + 8 + text(file, at).len() + 4;
        let kind_at = sides_at + 8 * u32::from_le_bytes(array(&file[sides_at - 4..])) as usize;
        let numbers: u64 =
            file[sides_at..kind_at].chunks_exact(8).map(|side| u64::from_le_bytes(array(side))).product();
        let kind = u32::from_le_bytes(array(&file[kind_at..]));
        let bytes = match kind {
            Q8_0 => numbers as usize / BLOCK * (2 + BLOCK),
            F16 => numbers as usize * 2,
            _ => numbers as usize * 4,
        };
        infos.push((&file[at..kind_at], kind, u64::from_le_bytes(array(&file[kind_at + 4..])) as usize, bytes));
        at = kind_at + 12;
    }
    let data = &file[at.next_multiple_of(ALIGNMENT as usize)..];
    let tensor = |(begin, kind, from, bytes)| Tensor { begin, kind, data: &data[from..from + bytes] };
    (head, infos.into_iter().map(tensor).collect())
}

/// A file of the same tensors, those of eight bits in sixteen.
fn unrounded(tiny: &[u8]) -> Vec<u8> {
    let (mut out, tensors) = read(tiny, Some(MOSTLY_F16));
    let (mut dice, mut data) = (Dice::new(), Vec::new());
    let padded = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    for Tensor { begin, kind, data: was } in tensors {
        out.extend_from_slice(begin);
        out.extend_from_slice(&if kind == Q8_0 { F16 } else { kind }.to_le_bytes());
        out.extend_from_slice(&(data.len() as u64).to_le_bytes());
        match kind {
            Q8_0 => {
                let blocks = was.chunks_exact(2 + BLOCK).flat_map(|block| unrounded_block(block, &mut dice));
                data.extend(blocks.flat_map(|x| half(x).to_le_bytes()));
            }
            _ => data.extend_from_slice(was),
        }
        padded(&mut data);
    }
    padded(&mut out);
    [out, data].concat()
}

/// Numbers that share a scale.
fn unrounded_block(block: &[u8], dice: &mut Dice) -> [f32; BLOCK] {
    let step = number(u16::from_le_bytes(array(&block[..2])));
    std::array::from_fn(|at| {
        let rounded = i8::from_le_bytes([block[2 + at]]);
        // Twenty-four bits: as many as a float has.
        let thrown = (dice.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
        let off = if rounded.saturating_abs() == LARGEST { 0.0 } else { WITHIN * thrown };
        (f32::from(rounded) + off) * step
    })
}

/// The text that begins here.
fn text(file: &[u8], at: usize) -> &[u8] {
    &file[at + 8..at + 8 + u64::from_le_bytes(array(&file[at..])) as usize]
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/models/tiny-gemma-q8_0.gguf");

    #[test]
    fn rounded_again_it_is_the_tests_model() {
        let tiny = fs_err::read(TINY).unwrap();
        let fine = unrounded(&tiny);
        let (before, after) = (read(&tiny, Some(MOSTLY_F16)), read(&fine, None));
        assert_eq!((before.0, before.1.len()), (after.0, after.1.len()));
        let (mut scales, mut blocks) = (0, 0);
        for (was, is) in before.1.iter().zip(&after.1) {
            assert_eq!(was.begin, is.begin);
            if was.kind != Q8_0 {
                assert_eq!((was.kind, was.data), (is.kind, is.data));
                continue;
            }
            assert_eq!(is.kind, F16);
            for (block, halves) in was.data.chunks_exact(2 + BLOCK).zip(is.data.chunks_exact(2 * BLOCK)) {
                let numbers = std::array::from_fn(|at| number(u16::from_le_bytes(array(&halves[2 * at..]))));
                let mut again = Vec::new();
                Format::Q8_0.add(&mut again, &numbers);
                assert_eq!(again[2..], block[2..], "block {blocks}");
                blocks += 1;
                scales += u32::from(again[..2] == block[..2]);
            }
        }
        // A scale in sixteen bits may come out a bit smaller or larger.
        assert!(blocks > 40_000 && scales * 100 >= blocks * 95, "{scales} of {blocks} scales");
    }
}
