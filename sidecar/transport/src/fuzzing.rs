//! Doors for the fuzzer (`tests/fuzz`) to decoders that nobody else may call. Compiled for it only.

use crate::router;

/// What clients and routers say to each other: what is understood can be said again, and means the same.
pub fn control(body: &[u8]) {
    router::fuzz_control(body);
}

/// A datagram between a router and its client.
pub fn datagram(datagram: &[u8]) {
    router::fuzz_datagram(datagram);
}
