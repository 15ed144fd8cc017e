//! Datagrams between routers and clients: a flow's number and a packet.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| ainonymous_transport::fuzzing::datagram(datagram));
