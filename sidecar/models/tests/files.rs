//! Real and broken model files.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use ainonymous_models::{describe, hash_file, hash_files, parts_of, HashCache, Header, ModelError, Value};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[path = "../../../tests/models/split.rs"]
mod split;

fn model() -> PathBuf {
    PathBuf::from("../../tests/models/tiny-gemma-q8_0.gguf")
}

fn parse(bytes: &[u8]) -> Result<Header, ModelError> {
    Header::parse(bytes, bytes.len() as u64, Path::new("test"))
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A small file: three pairs, one tensor of 64 numbers in blocks of 8 bits.
fn small() -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend(1u64.to_le_bytes());
    out.extend(4u64.to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend(8u32.to_le_bytes());
    text(&mut out, "test");
    text(&mut out, "tokenizer.ggml.tokens");
    out.extend(9u32.to_le_bytes());
    out.extend(8u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    text(&mut out, "a");
    text(&mut out, "b");
    text(&mut out, "tokenizer.ggml.bos_token_id");
    out.extend(4u32.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    text(&mut out, "tokenizer.chat_template");
    out.extend(8u32.to_le_bytes());
    text(&mut out, "{{ x }}");
    text(&mut out, "weight");
    out.extend(2u32.to_le_bytes());
    out.extend(32u64.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    out.extend(8u32.to_le_bytes());
    out.extend(0u64.to_le_bytes());
    out.resize(out.len().next_multiple_of(32) + 68, 7);
    out
}

#[test]
fn a_small_file_is_read_to_the_byte() {
    let bytes = small();
    let header = parse(&bytes).unwrap();
    assert_eq!(header.text("general.architecture"), Some("test"));
    assert_eq!(header.values["tokenizer.ggml.tokens"], Value::Array(2));
    let tensor = &header.tensors[0];
    assert_eq!((tensor.name.as_str(), tensor.elements, tensor.bytes), ("weight", 64, Some(68)));
    assert_eq!(tensor.offset + 68, bytes.len() as u64);
    // From an independent implementation of the definition; the engine has the same file and the same numbers.
    assert_eq!(header.tokenizer_hash.to_hex(), SMALL_TOKENIZER);
    assert_eq!(header.template_hash.to_hex(), SMALL_TEMPLATE);
}

const SMALL_TOKENIZER: &str = "601f646d2dc1706a2257eae5fb87b329f4f5ebfb9c74585ef0c67dcfcbb0d40f";
const SMALL_TEMPLATE: &str = "e52c737297f7dad622da7e58f5a16e7437f2716daccb4da859fc567ccd75c9a4";

#[test]
fn every_truncation_is_noticed() {
    let bytes = small();
    for keep in 0..bytes.len() {
        let error = parse(&bytes[..keep]).unwrap_err();
        let expected = if keep < 4 { "not_gguf" } else { "model_truncated" };
        assert_eq!(error.code(), expected, "{keep} of {} bytes", bytes.len());
        assert!(!error.hint().is_empty());
    }
}

/// Any change of any byte gives a header or an error: no panic, no allocation beyond the file, no endless loop.
#[test]
fn every_changed_byte_is_survived() {
    let bytes = small();
    for at in 0..bytes.len() - 68 {
        for change in [0x01, 0x7f, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= change;
            let _ = parse(&bad);
        }
    }
}

#[test]
fn contradictions_have_names() {
    let code = |bytes: &[u8]| parse(bytes).unwrap_err().code();
    assert_eq!(code(b""), "not_gguf");
    assert_eq!(code(b"GGML\0\0\0\0"), "not_gguf");
    let with = |at: usize, value: &[u8]| {
        let mut bytes = small();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    assert_eq!(code(&with(4, &1u32.to_le_bytes())), "gguf_version_unsupported");
    assert_eq!(code(&with(4, &3u32.to_be_bytes())), "gguf_version_unsupported");
    assert_eq!(code(&with(8, &u64::MAX.to_le_bytes())), "gguf_malformed");
    assert_eq!(code(&with(16, &u64::MAX.to_le_bytes())), "gguf_malformed");
    assert_eq!(code(&with(24, &u64::MAX.to_le_bytes())), "gguf_malformed");
    assert_eq!(code(&with(24, &1_000u64.to_le_bytes())), "model_truncated");
}

#[test]
fn the_test_model_is_described() {
    let d = describe(&model()).unwrap();
    assert_eq!((d.architecture.as_str(), d.quantization.as_str()), ("gemma4", "q8_0"));
    assert!(
        d.parameters > 1_000_000
            && d.context_trained > 0
            && d.layers > 0
            && d.chat_template.is_some()
            && !d.names_its_pooling
    );
    assert_eq!(d.file_bytes, std::fs::metadata(model()).unwrap().len());
}

#[test]
fn hashes_are_those_of_the_file_and_are_remembered() {
    use sha2::{Digest, Sha256};
    let folder = tempfile::tempdir().unwrap();
    let (file, cache) = (folder.path().join("m.gguf"), folder.path().join("deep/er/hashes.json"));
    let bytes = small();
    std::fs::write(&file, &bytes).unwrap();
    let hashes = hash_file(&file, &mut |_, _| true).unwrap();
    assert_eq!(hashes.gguf_hash.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
    let leaves = [ainonymous_verify::chunks::leaf(&bytes)];
    assert_eq!(Some(hashes.gguf_root), ainonymous_verify::merkle::root(&leaves));
    assert_eq!(hashes.gguf_bytes, bytes.len() as u64);

    let mut calls = 0;
    let mut counted = |file: &Path| {
        HashCache::open(&cache).hash_file_with(file, &mut |_, _| {
            calls += 1;
            true
        })
    };
    assert_eq!(counted(&file).unwrap(), hashes);
    // A file that was just written may still change: it is not remembered yet.
    assert!(!cache.exists());
    std::thread::sleep(Duration::from_millis(2_100));
    assert_eq!(counted(&file).unwrap(), hashes);
    assert!(cache.exists());
    assert_eq!(counted(&file).unwrap(), hashes);
    assert_eq!(calls, 2, "the third time it is remembered");

    // The same length and time of modification, other content.
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &other).unwrap();
    std::fs::File::options().append(true).open(&file).unwrap().set_modified(modified).unwrap();
    assert_ne!(HashCache::open(&cache).hash_file(&file).unwrap().gguf_hash, hashes.gguf_hash);

    std::fs::write(&cache, "nonsense").unwrap();
    assert_eq!(HashCache::open(&cache).hash_file(&model()).unwrap(), hash_file(&model(), &mut |_, _| true).unwrap());
    assert!(SystemTime::now() > modified);
}

#[test]
fn hashing_says_why_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let code = |path: &Path| hash_file(path, &mut |_, _| true).unwrap_err().code();
    assert_eq!(code(&folder.path().join("none")), "model_file_not_found");
    assert_eq!(code(folder.path()), "model_file_unreadable");
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(code(&empty), "not_gguf");
    assert_eq!(hash_file(&model(), &mut |_, _| false).unwrap_err().code(), "model_read_interrupted");
}

#[test]
fn a_model_in_parts_is_described_and_hashed_as_one() {
    use sha2::{Digest, Sha256};
    let folder = tempfile::tempdir().unwrap();
    let parts = split::split(&model(), folder.path(), "tiny-q8_0", 3);
    assert_eq!(parts_of(&parts[0]).unwrap(), parts);
    assert_eq!(parts_of(&model()).unwrap(), [model()]);
    let (whole, split) = (describe(&model()).unwrap(), describe(&parts[0]).unwrap());
    assert_eq!((split.parameters, &split.quantization), (whole.parameters, &whole.quantization));
    assert_eq!((split.tokenizer_hash, split.template_hash), (whole.tokenizer_hash, whole.template_hash));
    let bytes: Vec<u8> = parts.iter().flat_map(|part| std::fs::read(part).unwrap()).collect();
    assert_eq!(split.file_bytes, bytes.len() as u64);
    let hashes = hash_files(&parts, &mut |_, all| all == bytes.len() as u64).unwrap();
    assert_eq!((hashes.gguf_hash.0, hashes.gguf_bytes), (Sha256::digest(&bytes).into(), bytes.len() as u64));
    // As of the file that they would make together.
    let joined = folder.path().join("joined");
    std::fs::write(&joined, &bytes).unwrap();
    assert_eq!(hash_file(&joined, &mut |_, _| true).unwrap(), hashes);
}

#[test]
fn parts_that_are_missing_or_exchanged_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let parts = split::split(&model(), folder.path(), "tiny-q8_0", 3);
    let code = |path: &Path| describe(path).unwrap_err().code();
    assert_eq!(code(&parts[1]), "model_split");
    let renamed = folder.path().join("tiny.gguf");
    std::fs::copy(&parts[0], &renamed).unwrap();
    assert_eq!(code(&renamed), "model_split");
    std::fs::copy(&parts[1], &parts[2]).unwrap();
    assert_eq!(code(&parts[0]), "gguf_malformed");
    std::fs::remove_file(&parts[2]).unwrap();
    match describe(&parts[0]).unwrap_err() {
        ModelError::PartMissing { path, parts: 3 } => assert_eq!(path, parts[2]),
        other => panic!("{other}"),
    }
}

/// A change of any part is noticed.
#[test]
fn hashes_of_parts_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (parts, cache) = (split::split(&model(), folder.path(), "t", 2), folder.path().join("hashes.json"));
    // What was just written is not remembered.
    std::thread::sleep(Duration::from_millis(2_100));
    let read = |parts: &[PathBuf]| {
        let mut read = 0;
        let hashes = HashCache::open(&cache).hash_files_with(parts, &mut |done, _| {
            read = done;
            true
        });
        (hashes.unwrap(), read > 0)
    };
    let (first, was_read) = read(&parts);
    assert!(was_read);
    assert_eq!(read(&parts), (first, false));
    let mut bytes = std::fs::read(&parts[1]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&parts[1], bytes).unwrap();
    let (second, was_read) = read(&parts);
    assert!(was_read && second.gguf_hash != first.gguf_hash);
}
