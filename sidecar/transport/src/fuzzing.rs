//! Doors for the fuzzer (`tests/fuzz`) to decoders that nobody else may call. Compiled for it only.

use crate::frame::{self, FRAME_BYTES_MAX, REPLY_BYTES_MAX};
use crate::router;
use bytes::BytesMut;

/// What clients and routers say to each other: what is understood can be said again, and means the same.
pub fn control(body: &[u8]) {
    router::fuzz_control(body);
}

/// A datagram between a router and its client.
pub fn datagram(datagram: &[u8]) {
    router::fuzz_datagram(datagram);
}

/// What arrives on a stream, as the side that answers, the side that asks and a router cut it up. What is left has been understood by
/// none of them, or is less than a frame.
pub fn stream(bytes: &[u8]) {
    for body_max in [FRAME_BYTES_MAX, REPLY_BYTES_MAX] {
        let mut buffer = BytesMut::from(bytes);
        let mut left = bytes.len();
        while let Ok(Some(_)) = frame::split(&mut buffer, body_max) {
            assert!(buffer.len() < left, "a frame that takes nothing off the stream");
            left = buffer.len();
        }
    }
    router::fuzz_stream(bytes);
}
