//! Routers: nodes with an address that carry sealed packets between peers that cannot reach each other, or do not want to show
//! their address.
//!
//! An inner QUIC connection goes from asker to provider with their own keys; its packets travel as datagrams (RFC 9221) of outer
//! connections, of which the router is one end. It learns who connects from where and to which registered key, how much and when,
//! and nothing of what is said. A second router is registered at the first like any provider, and reached through it.
//!
//! A router forwards nothing to an address that has not completed a handshake with it, and never connects to an address that a
//! client names: it cannot be made to knock elsewhere.

mod bucket;
mod client;
mod control;
mod flow;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod meeting;
mod mtu;
mod registration;
mod serve;
mod socket;
mod table;

pub use control::RouterRefusal;
pub use registration::{Registration, RegistrationState};
pub use serve::{Router, RouterCounts, RouterOptions};
pub use table::RouterLimits;

pub(crate) use client::tunnel;
#[cfg(test)]
pub(crate) use flow::address_of;
pub(crate) use flow::is_flow;
pub(crate) use mtu::{inner, Layer};
pub(crate) use registration::Registering;

#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_control(body: &[u8]) {
    if let Ok(control) = control::Control::decode(body) {
        let again = control.encode().ok();
        let understood = again.as_deref().map(|frame| control::Control::decode(&frame[2..]));
        assert_eq!(understood, Some(Ok(control)));
    }
}

/// What is cut off a stream, as long as it can be understood.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_stream(bytes: &[u8]) {
    let mut buffer = bytes::BytesMut::from(bytes);
    while let Ok(Some(_)) = control::split(&mut buffer) {}
}

#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_datagram(datagram: &[u8]) {
    if let Some((number, packet)) = flow::split(bytes::Bytes::copy_from_slice(datagram)) {
        assert_eq!(flow::join(number, &packet), datagram);
    }
}

/// The protocol between routers and their clients, and its version.
const ALPN: &[u8] = b"ainonymous-router/1";
/// The code with which a connection is closed whose key has registered from another one.
const REPLACED: quinn::VarInt = quinn::VarInt::from_u32(16);
