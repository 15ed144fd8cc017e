//! Flows: what a datagram between a router and its client begins with, and the addresses that stand for them in QUIC.
//!
//! A flow is one tunnel as one client and its router number it. The number leads each datagram in 1 to 4 bytes (LEB128); a number is
//! never used twice on one connection.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bytes of the longest flow number.
pub(crate) const FLOW_BYTES_MAX: usize = 4;
/// The largest flow number: whoever has used it up connects again.
pub(crate) const FLOW_MAX: u32 = (1 << (7 * FLOW_BYTES_MAX)) - 1;
/// What is sent on this flow comes back: so a client learns whether its path to the router carries enough.
pub(crate) const FLOW_ECHO: u32 = 0;

/// The first flow that stands for a tunnel.
pub(crate) const FLOW_FIRST: u32 = FLOW_ECHO + 1;

/// The first 48 bits of addresses that stand for flows: locally assigned (RFC 4193), spelling "ainon".
const FLOW_NETWORK: [u16; 3] = [0xfd61, 0x696e, 0x6f6e];
/// QUIC wants a port.
const FLOW_PORT: u16 = 1;

/// The flow and the packet of a datagram.
pub(crate) fn split(mut datagram: Bytes) -> Option<(u32, Bytes)> {
    let mut flow = 0u32;
    for i in 0..FLOW_BYTES_MAX {
        let byte = datagram.first().copied()?;
        datagram.advance(1);
        flow |= u32::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            // One spelling for each number.
            return (byte != 0 || i == 0).then_some((flow, datagram));
        }
    }
    None
}

/// A datagram of a flow; `flow` is at most [`FLOW_MAX`].
pub(crate) fn join(flow: u32, packet: &[u8]) -> Bytes {
    let mut datagram = BytesMut::with_capacity(FLOW_BYTES_MAX + packet.len());
    let mut rest = flow;
    while rest >= 0x80 {
        datagram.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    datagram.put_u8(rest as u8);
    datagram.put_slice(packet);
    datagram.freeze()
}

/// The address that stands for a flow; all flows of one connection to a router are one network of 64 bits.
pub(crate) fn address_of(connection: u16, flow: u32) -> SocketAddr {
    let [a, b, c] = FLOW_NETWORK;
    let (high, low) = ((flow >> 16) as u16, flow as u16);
    SocketAddr::new(Ipv6Addr::new(a, b, c, connection, 0, 0, high, low).into(), FLOW_PORT)
}

/// The flow that an address stands for.
pub(crate) fn flow_of(address: SocketAddr) -> Option<u32> {
    match address.ip() {
        IpAddr::V6(v6) if is_flow(address.ip()) => {
            let [.., high, low] = v6.segments();
            Some(u32::from(high) << 16 | u32::from(low))
        }
        _ => None,
    }
}

/// Whether an address stands for a flow.
pub(crate) fn is_flow(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.segments()[..3] == FLOW_NETWORK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_datagrams() {
        for (flow, datagram) in
            [(0, "00aa"), (1, "01aa"), (127, "7faa"), (128, "8001aa"), (300, "ac02aa"), (FLOW_MAX, "ffffff7faa")]
        {
            assert_eq!(hex::encode(join(flow, &[0xaa])), datagram);
            let read = split(hex::decode(datagram).unwrap().into()).unwrap();
            assert_eq!(read, (flow, Bytes::from_static(&[0xaa])));
        }
    }

    #[test]
    fn what_is_no_datagram_is_none() {
        for bytes in [&[][..], &[0x80], &[0x80, 0], &[0xff, 0xff, 0xff, 0xff, 1], &[0xff; 3]] {
            assert_eq!(split(Bytes::copy_from_slice(bytes)), None, "{bytes:?}");
        }
    }

    #[test]
    fn other_addresses_stand_for_nothing() {
        for address in ["192.0.2.1:1", "[2001:db8::1]:1", "[fd61:696e:6f6f::1]:1"] {
            assert_eq!(flow_of(address.parse().unwrap()), None);
        }
    }

    proptest! {
        #[test]
        fn every_flow_comes_back(flow in 0..=FLOW_MAX, connection: u16, packet: Vec<u8>) {
            prop_assert_eq!(split(join(flow, &packet)), Some((flow, packet.into())));
            prop_assert_eq!(flow_of(address_of(connection, flow)), Some(flow));
        }

        #[test]
        fn no_bytes_make_splitting_panic(bytes: Vec<u8>) {
            if let Some((flow, packet)) = split(bytes.clone().into()) {
                prop_assert_eq!(join(flow, &packet), Bytes::from(bytes));
            }
        }
    }
}
