//! Addresses as entries of strangers spell them: one spelling for each.
#![no_main]

use ainonymous_transport::Address;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
});
