//! Signals: decoded as a conductor does, then judged by their bounds.
#![no_main]

use ainonymous_types::PeerSignal;
use holochain_serialized_bytes::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(signal) = decode::<_, PeerSignal>(bytes) else { return };
    if ainonymous_verify::signal::bounds(&signal).is_ok() {
        let again = encode(&signal).expect("it can be said again");
        assert_eq!(decode::<_, PeerSignal>(&again).ok().as_ref(), Some(&signal));
    }
});
