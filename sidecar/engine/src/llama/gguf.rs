//! What a GGUF's header says, read by llama.cpp's own reader before any weight is touched.

use super::{sys, text};
use crate::fit::{Metadata, Shape, Weights};
use crate::hashes::{is_tokenizer_key, template_hash, TokenizerHasher};
use crate::parts::parts;
use ainonymous_types::Bytes32;
use sha2::{Digest, Sha256};
use std::ffi::{c_void, CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// Facts about a model file.
#[derive(Debug)]
pub(crate) struct GgufFacts {
    /// The file, or all its parts.
    pub(crate) files: Vec<PathBuf>,
    /// See `crate::hashes`.
    pub(crate) tokenizer_hash: Bytes32,
    /// See `crate::hashes`.
    pub(crate) template_hash: Bytes32,
    /// What it takes.
    pub(crate) shape: Shape,
}

impl GgufFacts {
    /// Of a model that was split, `path` is the first part. `None` if llama.cpp cannot read a header (its log says why).
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let file = Header::open(path)?;
        let files = if file.is_split() { parts(path) } else { vec![path.to_owned()] };
        let mut weights = Weights::default();
        for part in files.iter().filter(|part| *part != path) {
            weights.add(Header::open(part)?.weights());
        }
        weights.add(file.weights());
        Some(Self {
            files,
            tokenizer_hash: file.tokenizer_hash(),
            template_hash: template_hash(&file.string("tokenizer.chat_template")),
            shape: Shape::read(&file, &weights).with_vocabulary(file.array_length("tokenizer.ggml.tokens")),
        })
    }
}

/// The header of a file.
pub(super) struct Header(NonNull<sys::gguf_context>);

impl Drop for Header {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `gguf_init_from_file` and is freed once.
        unsafe { sys::gguf_free(self.0.as_ptr()) }
    }
}

impl Header {
    /// `None` if llama.cpp cannot read it (its log says why).
    pub(super) fn open(path: &Path) -> Option<Self> {
        super::init();
        let path = CString::new(path.to_str()?).ok()?;
        let parameters = sys::gguf_init_params { no_alloc: true, ctx: std::ptr::null_mut() };
        // SAFETY: the path is a C string that outlives the call; no tensor context is asked for.
        NonNull::new(unsafe { sys::gguf_init_from_file(path.as_ptr(), parameters) }).map(Self)
    }

    /// A text; empty if there is none of that name.
    pub(super) fn string(&self, key: &str) -> String {
        let Ok(key) = CString::new(key) else { return String::new() };
        // SAFETY: the context lives; the value is read only if it is a string.
        unsafe {
            let id = sys::gguf_find_key(self.0.as_ptr(), key.as_ptr());
            if id < 0 || sys::gguf_get_kv_type(self.0.as_ptr(), id) != sys::GGUF_TYPE_STRING {
                return String::new();
            }
            text(sys::gguf_get_val_str(self.0.as_ptr(), id))
        }
    }

    fn tokenizer_hash(&self) -> Bytes32 {
        let mut hasher = TokenizerHasher::default();
        let context = self.0.as_ptr();
        // SAFETY: the context lives; ids are below the count; each getter is called for the type that it is for.
        unsafe {
            for id in 0..sys::gguf_get_n_kv(context) {
                let key = text(sys::gguf_get_key(context, id));
                if !is_tokenizer_key(&key) {
                    continue;
                }
                let kind = sys::gguf_get_kv_type(context, id);
                hasher.pair(&key, kind as u32, |hash| match kind {
                    sys::GGUF_TYPE_STRING => string(hash, CStr::from_ptr(sys::gguf_get_val_str(context, id))),
                    sys::GGUF_TYPE_ARRAY => array(hash, context, id),
                    _ => raw(hash, sys::gguf_get_val_data(context, id), scalar_bytes(kind)),
                });
            }
        }
        hasher.finish()
    }

    /// Items of an array; 0 if there is none of that name.
    fn array_length(&self, key: &str) -> u64 {
        self.find(key, sys::GGUF_TYPE_ARRAY).map_or(0, |id| {
            // SAFETY: the context lives; the id names an array.
            unsafe { sys::gguf_get_arr_n(self.0.as_ptr(), id) as u64 }
        })
    }

    /// The pair with this key, if its value is of this type.
    fn find(&self, key: &str, kind: sys::gguf_type) -> Option<i64> {
        let key = CString::new(key).ok()?;
        // SAFETY: the context lives; the type is asked for only if the key is there.
        unsafe {
            let id = sys::gguf_find_key(self.0.as_ptr(), key.as_ptr());
            (id >= 0 && sys::gguf_get_kv_type(self.0.as_ptr(), id) == kind).then_some(id)
        }
    }

    /// Is it one of several parts of a model?
    fn is_split(&self) -> bool {
        self.numbers("split.count").is_some_and(|count| count.first().is_some_and(|count| *count > 1))
    }

    fn weights(&self) -> Weights {
        let mut bytes = Weights::default();
        // SAFETY: the context lives; ids are below the count.
        unsafe {
            for id in 0..sys::gguf_get_n_tensors(self.0.as_ptr()) {
                let name = text(sys::gguf_get_tensor_name(self.0.as_ptr(), id));
                let size = sys::gguf_get_tensor_size(self.0.as_ptr(), id) as u64;
                let kind = sys::gguf_get_tensor_type(self.0.as_ptr(), id);
                let (block, block_bytes) =
                    (sys::ggml_blck_size(kind).max(1) as u64, sys::ggml_type_size(kind).max(1) as u64);
                bytes.parameters = bytes.parameters.saturating_add((size / block_bytes).saturating_mul(block));
                match layer_of(&name) {
                    Some(layer) => {
                        if bytes.layers.len() <= layer {
                            bytes.layers.resize(layer + 1, 0);
                        }
                        bytes.layers[layer] += size;
                    }
                    None => bytes.rest += size,
                }
            }
        }
        bytes
    }
}

impl Metadata for Header {
    fn numbers(&self, key: &str) -> Option<Vec<u64>> {
        let key = CString::new(key).ok()?;
        let context = self.0.as_ptr();
        // SAFETY: the context lives; each getter is called for the type that it is for; `items` reads what the array holds.
        unsafe {
            let id = sys::gguf_find_key(context, key.as_ptr());
            if id < 0 {
                return None;
            }
            let kind = sys::gguf_get_kv_type(context, id);
            if kind != sys::GGUF_TYPE_ARRAY {
                return if scalar_bytes(kind) > 0 { items(kind, sys::gguf_get_val_data(context, id), 1) } else { None };
            }
            let (kind, count) = (sys::gguf_get_arr_type(context, id), sys::gguf_get_arr_n(context, id));
            if kind == sys::GGUF_TYPE_STRING || count == 0 || count > LAYERS_MAX {
                return None;
            }
            items(kind, sys::gguf_get_arr_data(context, id), count)
        }
    }

    fn text(&self, key: &str) -> String {
        self.string(key)
    }
}

/// Integers or truth values, negative ones as 0; `None` if they are anything else.
///
/// # Safety
/// `data` is null or points at `count` values of this type.
unsafe fn items(kind: sys::gguf_type, data: *const c_void, count: usize) -> Option<Vec<u64>> {
    let length = scalar_bytes(kind);
    if data.is_null() || length == 0 {
        return None;
    }
    // SAFETY: as promised by the caller; bytes have no alignment and no invalid values.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), count * length) };
    let signed = |number: i64| u64::try_from(number).unwrap_or(0);
    bytes
        .chunks_exact(length)
        .map(|item| {
            let mut wide = [0; 8];
            wide[..length].copy_from_slice(item);
            let number = u64::from_le_bytes(wide);
            Some(match kind {
                sys::GGUF_TYPE_UINT8 | sys::GGUF_TYPE_UINT16 | sys::GGUF_TYPE_UINT32 | sys::GGUF_TYPE_UINT64 => number,
                sys::GGUF_TYPE_BOOL => u64::from(number != 0),
                sys::GGUF_TYPE_INT8 => signed((number as u8 as i8).into()),
                sys::GGUF_TYPE_INT16 => signed((number as u16 as i16).into()),
                sys::GGUF_TYPE_INT32 => signed((number as u32 as i32).into()),
                sys::GGUF_TYPE_INT64 => signed(number as i64),
                _ => return None,
            })
        })
        .collect()
}

/// Most layers that are told apart.
const LAYERS_MAX: usize = 4_096;

/// `blk.7.attn_q.weight` belongs to layer 7.
fn layer_of(tensor: &str) -> Option<usize> {
    let layer = tensor.strip_prefix("blk.")?.split('.').next()?.parse().ok()?;
    (layer < LAYERS_MAX).then_some(layer)
}

fn scalar_bytes(kind: sys::gguf_type) -> usize {
    match kind {
        sys::GGUF_TYPE_UINT8 | sys::GGUF_TYPE_INT8 | sys::GGUF_TYPE_BOOL => 1,
        sys::GGUF_TYPE_UINT16 | sys::GGUF_TYPE_INT16 => 2,
        sys::GGUF_TYPE_UINT32 | sys::GGUF_TYPE_INT32 | sys::GGUF_TYPE_FLOAT32 => 4,
        sys::GGUF_TYPE_UINT64 | sys::GGUF_TYPE_INT64 | sys::GGUF_TYPE_FLOAT64 => 8,
        _ => 0,
    }
}

fn string(hash: &mut Sha256, value: &CStr) {
    hash.update((value.to_bytes().len() as u64).to_le_bytes());
    hash.update(value.to_bytes());
}

/// # Safety
/// `data` is null or points at `length` bytes.
unsafe fn raw(hash: &mut Sha256, data: *const c_void, length: usize) {
    if !data.is_null() && length > 0 {
        // SAFETY: as promised by the caller; bytes have no alignment and no invalid values.
        hash.update(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) });
    }
}

/// # Safety
/// `id` names an array of `context`.
unsafe fn array(hash: &mut Sha256, context: *const sys::gguf_context, id: i64) {
    // SAFETY: as promised by the caller; strings are read one by one, other elements as the bytes that they are.
    unsafe {
        let kind = sys::gguf_get_arr_type(context, id);
        let count = sys::gguf_get_arr_n(context, id);
        hash.update((kind as u32).to_le_bytes());
        hash.update((count as u64).to_le_bytes());
        if kind == sys::GGUF_TYPE_STRING {
            for index in 0..count {
                string(hash, CStr::from_ptr(sys::gguf_get_arr_str(context, id, index)));
            }
        } else if count > 0 {
            raw(hash, sys::gguf_get_arr_data(context, id), count.saturating_mul(scalar_bytes(kind)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GgufFacts, Header};
    use crate::fit::{Metadata, Weights};

    /// The same small file and the same numbers as in the tests of the `models` crate, from an independent implementation.
    #[test]
    fn hashes_are_those_of_the_definition() {
        let mut file = b"GGUF".to_vec();
        let number = |file: &mut Vec<u8>, n: u32| file.extend(n.to_le_bytes());
        let length = |file: &mut Vec<u8>, n: u64| file.extend(n.to_le_bytes());
        let text = |file: &mut Vec<u8>, text: &str| {
            file.extend((text.len() as u64).to_le_bytes());
            file.extend(text.as_bytes());
        };
        number(&mut file, 3);
        length(&mut file, 1);
        length(&mut file, 4);
        text(&mut file, "general.architecture");
        number(&mut file, 8);
        text(&mut file, "test");
        text(&mut file, "tokenizer.ggml.tokens");
        number(&mut file, 9);
        number(&mut file, 8);
        length(&mut file, 2);
        text(&mut file, "a");
        text(&mut file, "b");
        text(&mut file, "tokenizer.ggml.bos_token_id");
        number(&mut file, 4);
        number(&mut file, 1);
        text(&mut file, "tokenizer.chat_template");
        number(&mut file, 8);
        text(&mut file, "{{ x }}");
        text(&mut file, "blk.1.weight");
        number(&mut file, 2);
        length(&mut file, 32);
        length(&mut file, 2);
        number(&mut file, 8);
        length(&mut file, 0);
        file.resize(file.len().next_multiple_of(32) + 96, 7);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.gguf");
        std::fs::write(&path, file).unwrap();
        let facts = GgufFacts::read(&path).unwrap();
        assert_eq!(facts.tokenizer_hash.to_hex(), "601f646d2dc1706a2257eae5fb87b329f4f5ebfb9c74585ef0c67dcfcbb0d40f");
        assert_eq!(facts.template_hash.to_hex(), "e52c737297f7dad622da7e58f5a16e7437f2716daccb4da859fc567ccd75c9a4");
        let header = Header::open(&path).unwrap();
        assert_eq!(header.weights(), Weights { layers: vec![0, 68], rest: 0, parameters: 64 });
        assert_eq!(header.array_length("tokenizer.ggml.tokens"), 2);
        assert_eq!(header.numbers("tokenizer.ggml.bos_token_id"), Some(vec![1]));
        assert_eq!(header.numbers("tokenizer.ggml.tokens"), None, "texts are no numbers");
        assert_eq!(facts.shape.weight_bytes(), 68);
    }

    #[test]
    fn tensors_are_counted_to_their_layer() {
        assert_eq!(super::layer_of("blk.12.ffn_up.weight"), Some(12));
        assert_eq!(super::layer_of("token_embd.weight"), None);
        assert_eq!(super::layer_of("blk.99999999.x"), None);
    }
}
