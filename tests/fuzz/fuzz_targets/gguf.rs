//! Headers of model files. What one claims never costs more memory than it has bytes, give or take.
#![no_main]

use ainonymous_models::Header;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    // A file as long as it is, and one that claims to go on for long.
    for file_bytes in [bytes.len() as u64, 1 << 40] {
        let _ = Header::parse(bytes, file_bytes, Path::new("fuzzed.gguf"));
    }
});
