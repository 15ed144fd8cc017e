//! Splits a GGUF over several files as llama.cpp's `gguf-split` does: all metadata in the first part, tensors one after the
//! other, and in each part its number. Included by tests of several crates.

use std::path::{Path, PathBuf};

const ALIGNMENT: usize = 32;
const UINT16: u32 = 2;
const INT32: u32 = 5;

/// Writes the parts of `model` into a folder, named `STEM-00001-of-0000N.gguf`; returns their paths.
pub(crate) fn split(model: &Path, folder: &Path, stem: &str, count: u16) -> Vec<PathBuf> {
    let bytes = std::fs::read(model).unwrap();
    let mut at = Cursor { bytes: &bytes, at: 8 };
    let (tensors, pairs) = (at.u64(), at.u64());
    let begin = at.at;
    (0..pairs).for_each(|_| at.pair());
    let metadata = &bytes[begin..at.at];
    // Name and lengths as they stand, and where the numbers begin.
    let infos: Vec<(&[u8], usize)> = (0..tensors).map(|_| at.tensor()).collect();
    let data = &bytes[at.at.next_multiple_of(ALIGNMENT)..];
    let ends = infos.iter().skip(1).map(|(_, offset)| *offset).chain([data.len()]);
    let all: Vec<(&[u8], &[u8])> = infos.iter().zip(ends).map(|((info, from), to)| (*info, &data[*from..to])).collect();
    let each = all.len().div_ceil(usize::from(count));
    let mut paths = Vec::new();
    for number in 0..count {
        let of_part = all.chunks(each).nth(usize::from(number)).unwrap_or_default();
        let path = folder.join(format!("{stem}-{:05}-of-{count:05}.gguf", number + 1));
        let (shared, own) = if number == 0 { (metadata, pairs) } else { (&[][..], 0) };
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((of_part.len() as u64).to_le_bytes());
        out.extend((own + 3).to_le_bytes());
        out.extend(shared);
        for (key, kind, value) in [
            ("split.no", UINT16, number.to_le_bytes().to_vec()),
            ("split.count", UINT16, count.to_le_bytes().to_vec()),
            ("split.tensors.count", INT32, (tensors as i32).to_le_bytes().to_vec()),
        ] {
            out.extend((key.len() as u64).to_le_bytes());
            out.extend(key.as_bytes());
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        let mut offset = 0u64;
        for (info, numbers) in of_part {
            out.extend(*info);
            out.extend(offset.to_le_bytes());
            offset += numbers.len().next_multiple_of(ALIGNMENT) as u64;
        }
        for (_, numbers) in of_part {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend(*numbers);
        }
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        std::fs::write(&path, out).unwrap();
        paths.push(path);
    }
    paths
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        self.at += count;
        &self.bytes[self.at - count..self.at]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn string(&mut self) {
        let length = self.u64() as usize;
        self.take(length);
    }

    fn pair(&mut self) {
        self.string();
        let kind = self.u32();
        self.value(kind);
    }

    fn value(&mut self, kind: u32) {
        match kind {
            0 | 1 | 7 => drop(self.take(1)),
            2 | 3 => drop(self.take(2)),
            4..=6 => drop(self.take(4)),
            8 => self.string(),
            9 => {
                let (of, count) = (self.u32(), self.u64());
                (0..count).for_each(|_| self.value(of));
            }
            _ => drop(self.take(8)),
        }
    }

    /// What stands before the offset, and the offset.
    fn tensor(&mut self) -> (&'a [u8], usize) {
        let begin = self.at;
        self.string();
        let dimensions = self.u32() as usize;
        self.take(8 * dimensions + 4);
        let info = &self.bytes[begin..self.at];
        (info, self.u64() as usize)
    }
}
