//! The properties of a DNA, which say what network it is.
#![no_main]

use ainonymous_verify::network::Network;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|properties: &[u8]| {
    let _ = Network::of_dna(properties, "seed");
});
