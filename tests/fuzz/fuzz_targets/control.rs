//! What clients and routers say to each other.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| ainonymous_transport::fuzzing::control(body));
