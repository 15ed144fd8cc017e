//! Reads the header of a GGUF: metadata and where the tensors lie. Streams; keeps short values only; never trusts a length.
//!
//! The tokenizer hash, shared with the engine, which computes the same from what llama.cpp read: for each metadata pair whose
//! key starts with `tokenizer.`, except chat templates (`tokenizer.chat_template` and keys that begin so), take the
//! SHA-256 of the pair exactly as the file has it (length of the key as u64, key, value type as u32, value). The tokenizer hash
//! is the SHA-256 of these hashes one after the other, ordered by key bytes.

use crate::tensor;
use crate::ModelError;
use ainonymous_types::Bytes32;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Bounds of the header; real files stay far below them.
const PAIRS_MAX: u64 = 1 << 16;
const TENSORS_MAX: u64 = 1 << 20;
const KEY_BYTES_MAX: u64 = u16::MAX as u64;
const TENSOR_NAME_BYTES_MAX: u64 = 256;
const STRING_BYTES_MAX: u64 = 64 << 20;
const ARRAY_ITEMS_MAX: u64 = 1 << 26;
const HEADER_BYTES_MAX: u64 = 2 << 30;
/// Longest string that is kept; longer ones are only hashed. Chat templates are shorter.
const KEPT_BYTES_MAX: u64 = 1 << 20;
/// All kept strings together.
const KEPT_SUM_BYTES_MAX: u64 = 16 << 20;
const DIMENSIONS_MAX: u32 = 4;
const ALIGNMENT_DEFAULT: u64 = 32;
const ALIGNMENT_MAX: u64 = 1 << 20;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any unsigned integer, or a signed one that is not negative.
    Unsigned(u64),
    /// A negative integer.
    Negative(i64),
    /// Any floating point number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text; `None` if it was too long to keep.
    Text(Option<String>),
    /// An array: its length.
    Array(u64),
}

/// A tensor: where it lies and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Number of elements.
    pub elements: u64,
    /// GGUF's number for its format.
    pub format: u32,
    /// Offset from the start of the file.
    pub offset: u64,
    /// Length in bytes; `None` if the format is not known here.
    pub bytes: Option<u64>,
}

/// What a GGUF says before its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Version of the format.
    pub version: u32,
    /// Metadata by key.
    pub values: BTreeMap<String, Value>,
    /// All tensors, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// Length of the file.
    pub file_bytes: u64,
    /// See the module.
    pub tokenizer_hash: Bytes32,
    /// SHA-256 of the bytes of `tokenizer.chat_template`; of nothing if there is none.
    pub template_hash: Bytes32,
}

impl Header {
    /// Reads and checks the header of a file, and that the file is as long as its tensors need.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let file = std::fs::File::open(path).map_err(|e| ModelError::io(path, &e))?;
        let metadata = file.metadata().map_err(|e| ModelError::io(path, &e))?;
        if !metadata.is_file() {
            return Err(ModelError::Unreadable { path: path.into(), reason: "it is not a file".into() });
        }
        Self::parse(BufReader::with_capacity(64 << 10, file), metadata.len(), path)
    }

    /// Reads a header from any stream of `file_bytes` bytes; `path` is for errors.
    pub fn parse(from: impl Read, file_bytes: u64, path: &Path) -> Result<Self, ModelError> {
        let mut reader = Reader { from, path, file_bytes, at: 0, tee: None, kept: 0 };
        let mut magic = [0; 4];
        match reader.exact(&mut magic) {
            Ok(()) if &magic == b"GGUF" => {}
            Ok(()) | Err(ModelError::Truncated { .. }) => return Err(ModelError::NotGguf { path: path.into() }),
            Err(e) => return Err(e),
        }
        let version = reader.u32()?;
        if !(2..=3).contains(&version) {
            return Err(ModelError::UnsupportedVersion { path: path.into(), version });
        }
        let tensor_count = reader.count(TENSORS_MAX, "too many tensors")?;
        let pair_count = reader.count(PAIRS_MAX, "too many metadata pairs")?;
        let pairs = reader.pairs(pair_count)?;
        let alignment =
            alignment(&pairs.values).ok_or_else(|| reader.malformed("its alignment is not a power of two"))?;
        let tensors = reader.tensors(tensor_count, alignment)?;
        let Pairs { values, tokenizer, template } = pairs;
        let template_hash = template.unwrap_or_else(|| Sha256::digest(b"").into());
        let all = tokenizer.into_values().fold(Sha256::new(), |all, hash| all.chain_update(hash));
        Ok(Self {
            version,
            values,
            tensors,
            file_bytes,
            tokenizer_hash: Bytes32(all.finalize().into()),
            template_hash: Bytes32(template_hash),
        })
    }

    /// A text value.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Text(text) => text.as_deref(),
            _ => None,
        }
    }

    /// A value that is an integer and not negative.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.values.get(key)? {
            Value::Unsigned(number) => Some(*number),
            _ => None,
        }
    }
}

fn alignment(values: &BTreeMap<String, Value>) -> Option<u64> {
    match values.get("general.alignment") {
        None => Some(ALIGNMENT_DEFAULT),
        Some(Value::Unsigned(a)) if a.is_power_of_two() && *a <= ALIGNMENT_MAX => Some(*a),
        Some(_) => None,
    }
}

struct Pairs {
    values: BTreeMap<String, Value>,
    tokenizer: BTreeMap<String, [u8; 32]>,
    template: Option<[u8; 32]>,
}

struct Reader<'a, R> {
    from: R,
    path: &'a Path,
    file_bytes: u64,
    at: u64,
    /// Hashes what is read.
    tee: Option<Sha256>,
    /// Bytes of strings that are kept.
    kept: u64,
}

impl<R: Read> Reader<'_, R> {
    fn pairs(&mut self, count: u64) -> Result<Pairs, ModelError> {
        let mut pairs = Pairs { values: BTreeMap::new(), tokenizer: BTreeMap::new(), template: None };
        for _ in 0..count {
            let key = self.string(KEY_BYTES_MAX)?;
            let is_template = key.starts_with("tokenizer.chat_template");
            let hashed = key.starts_with("tokenizer.") && !is_template;
            if hashed {
                let length = (key.len() as u64).to_le_bytes();
                self.tee = Some(Sha256::new().chain_update(length).chain_update(&key));
            }
            let kind = self.u32()?;
            let value = self.value(kind)?;
            if let Some(hash) = self.tee.take() {
                pairs.tokenizer.insert(key.clone(), hash.finalize().into());
            }
            if key == "tokenizer.chat_template" {
                let Value::Text(Some(text)) = &value else {
                    return Err(self.malformed("its chat template is not a text"));
                };
                pairs.template = Some(Sha256::digest(text).into());
            }
            if pairs.values.insert(key, value).is_some() {
                return Err(self.malformed("a metadata key stands twice"));
            }
        }
        Ok(pairs)
    }

    fn value(&mut self, kind: u32) -> Result<Value, ModelError> {
        Ok(match kind {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(u32::from_le_bytes(self.array()?).into()),
            5 => signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.kept_string()?),
            9 => Value::Array(self.skip_array()?),
            10 => Value::Unsigned(self.u64()?),
            11 => signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            _ => return Err(self.malformed("a metadata value has an unknown type")),
        })
    }

    /// Reads over an array. Arrays of arrays do not occur and are refused, so this does not recurse.
    fn skip_array(&mut self) -> Result<u64, ModelError> {
        let kind = self.u32()?;
        let count = self.count(ARRAY_ITEMS_MAX, "an array is too long")?;
        match kind {
            0 | 1 | 7 => self.skip(count)?,
            2 | 3 => self.skip(count * 2)?,
            4..=6 => self.skip(count * 4)?,
            10..=12 => self.skip(count * 8)?,
            8 => {
                for _ in 0..count {
                    let length = self.count(STRING_BYTES_MAX, "a text is too long")?;
                    self.skip(length)?;
                }
            }
            _ => return Err(self.malformed("an array has elements of an unknown type")),
        }
        Ok(count)
    }

    fn tensors(&mut self, count: u64, alignment: u64) -> Result<Vec<Tensor>, ModelError> {
        let mut tensors = Vec::new();
        for _ in 0..count {
            let name = self.string(TENSOR_NAME_BYTES_MAX)?;
            let dimensions = self.u32()?;
            if dimensions > DIMENSIONS_MAX {
                return Err(self.malformed("a tensor has too many dimensions"));
            }
            let mut elements = 1u64;
            for _ in 0..dimensions {
                let size = self.u64()?;
                elements = elements.checked_mul(size).ok_or_else(|| self.malformed("a tensor is too large"))?;
            }
            let format = self.u32()?;
            let offset = self.u64()?;
            if !offset.is_multiple_of(alignment) {
                return Err(self.malformed("a tensor is not aligned"));
            }
            let bytes = match tensor::block(format) {
                None => None,
                Some((block, bytes)) if elements.is_multiple_of(block) => {
                    Some((elements / block).checked_mul(bytes).ok_or_else(|| self.malformed("a tensor is too large"))?)
                }
                Some(_) => return Err(self.malformed("a tensor is not a whole number of blocks")),
            };
            tensors.push(Tensor { name, elements, format, offset, bytes });
        }
        let start = self.at.next_multiple_of(alignment);
        for tensor in &mut tensors {
            let offset = start.checked_add(tensor.offset);
            let end = offset.and_then(|offset| offset.checked_add(tensor.bytes.unwrap_or(0)));
            let (Some(offset), Some(end)) = (offset, end) else { return Err(self.malformed("a tensor is too large")) };
            if end > self.file_bytes {
                return Err(self.truncated(end));
            }
            tensor.offset = offset;
        }
        Ok(tensors)
    }

    fn count(&mut self, max: u64, what: &'static str) -> Result<u64, ModelError> {
        let count = self.u64()?;
        if count > max {
            return Err(self.malformed(what));
        }
        Ok(count)
    }

    /// A text that must be there and be valid.
    fn string(&mut self, bytes_max: u64) -> Result<String, ModelError> {
        let length = self.count(bytes_max, "a name is too long")?;
        let mut bytes = vec![0; length as usize];
        self.exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| self.malformed("a name is not UTF-8"))
    }

    /// A text, if it is short enough to keep. What is not UTF-8 in it is replaced.
    fn kept_string(&mut self) -> Result<Option<String>, ModelError> {
        let length = self.count(STRING_BYTES_MAX, "a text is too long")?;
        if length > KEPT_BYTES_MAX || self.kept + length > KEPT_SUM_BYTES_MAX {
            self.skip(length)?;
            return Ok(None);
        }
        self.promised(length)?;
        self.kept += length;
        let mut bytes = vec![0; length as usize];
        self.exact(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn u32(&mut self) -> Result<u32, ModelError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ModelError> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let mut bytes = [0; N];
        self.exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, mut length: u64) -> Result<(), ModelError> {
        self.promised(length)?;
        let mut buffer = [0; 4 << 10];
        while length > 0 {
            let now = length.min(buffer.len() as u64) as usize;
            self.exact(&mut buffer[..now])?;
            length -= now as u64;
        }
        Ok(())
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), ModelError> {
        self.promised(bytes.len() as u64)?;
        self.from.read_exact(bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => self.truncated(self.at + bytes.len() as u64),
            _ => ModelError::io(self.path, &e),
        })?;
        self.at += bytes.len() as u64;
        if let Some(tee) = &mut self.tee {
            tee.update(bytes);
        }
        Ok(())
    }

    /// Refuses what goes past the end of the file before memory or time is spent on it.
    fn promised(&self, length: u64) -> Result<(), ModelError> {
        let end = self.at.saturating_add(length);
        if end > HEADER_BYTES_MAX {
            return Err(self.malformed("it is too long"));
        }
        if end > self.file_bytes {
            return Err(self.truncated(end));
        }
        Ok(())
    }

    fn truncated(&self, promised: u64) -> ModelError {
        ModelError::Truncated { path: self.path.into(), bytes: self.file_bytes, promised }
    }

    fn malformed(&self, what: &'static str) -> ModelError {
        ModelError::Malformed { path: self.path.into(), what }
    }
}

fn signed(number: i64) -> Value {
    u64::try_from(number).map_or(Value::Negative(number), Value::Unsigned)
}
