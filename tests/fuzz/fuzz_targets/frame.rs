//! Frames of a link: what is understood can be said again, and means the same.
#![no_main]

use ainonymous_transport::Frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Ok(frame) = Frame::decode(body) {
        let again = frame.encode().expect("what was understood is within the bounds");
        assert_eq!(Frame::decode(&again[4..]).as_ref(), Ok(&frame));
    }
});
