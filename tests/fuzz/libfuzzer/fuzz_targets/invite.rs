//! See `ainonymous_fuzz::targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ainonymous_fuzz::targets::invite(bytes));
