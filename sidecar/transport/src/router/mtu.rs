//! How large a packet may be in each layer, and what each layer's connections are allowed.
//!
//! A packet of an inner connection travels in one DATAGRAM frame of an outer one. What a layer costs:
//!
//! | bytes | for |
//! |---|---|
//! | 1 + 8 + 4 | the outer packet's first byte, connection id and packet number |
//! | 16 | its seal |
//! | 1 + 8 | the DATAGRAM frame's type and length, as quinn reserves them |
//! | 4 | the flow's number |
//!
//! QUIC needs 1,200 bytes ([`MTU_QUIC`]), so through one router an outer packet has 1,242, through two 1,284 ([`MTU_ASSUMED`]). Ethernet
//! carries 1,452 (1,500 less 40 for IPv6 and 8 for UDP), PPPoE 1,444, WireGuard 1,372. Tunnels with IPv6's least, 1,280, carry
//! 1,232: too narrow, which a check when a tunnel begins finds out.

use super::flow::FLOW_BYTES_MAX;
use crate::config;
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use std::time::Duration;

/// What QUIC needs (RFC 9000, section 14).
const MTU_QUIC: u16 = 1_200;
/// What Ethernet carries: 1,500 less 40 for IPv6 and 8 for UDP.
const MTU_ETHERNET: u16 = 1_500 - 40 - 8;
/// What a QUIC packet and a DATAGRAM frame put around a datagram.
const QUIC_BYTES: u16 = (1 + 8 + 4) + 16 + (1 + 8);
/// What a layer costs.
const LAYER_BYTES: u16 = QUIC_BYTES + FLOW_BYTES_MAX as u16;
/// What a path to a router must carry: two layers around the least that QUIC needs.
pub(crate) const MTU_ASSUMED: u16 = MTU_QUIC + 2 * LAYER_BYTES;
/// Datagrams of a client that wait to be sent or read, in bytes for each direction; the oldest give way. More than a link may
/// have unread, so that one link alone never loses a packet here.
const CLIENT_QUEUE_BYTES_MAX: usize = 768 << 10;
/// The same at a router, for each of its connections: with all its places taken 256 MiB wait to be sent at most.
const ROUTER_QUEUE_BYTES_MAX: usize = 256 << 10;
/// A router from which nothing is heard for this long is gone.
const ROUTER_IDLE_MAX: Duration = Duration::from_secs(5);
/// Silence towards a router is broken this often.
const ROUTER_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Requests to a router on one connection at once.
const REQUESTS_MAX: u32 = 8;
/// Bytes of requests that may wait unread.
const REQUEST_WINDOW: u32 = 4 << 10;

/// How many routers are around a connection's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// To the first router.
    Outer,
    /// To the second router, inside the first layer.
    Nested,
}

impl Layer {
    /// The size of packets that is taken for granted until more is found.
    pub(crate) const fn mtu(self) -> u16 {
        match self {
            Self::Outer => MTU_ASSUMED,
            Self::Nested => MTU_ASSUMED - LAYER_BYTES,
        }
    }

    /// The largest packet that an Ethernet path lets through.
    const fn mtu_max(self) -> u16 {
        match self {
            Self::Outer => MTU_ETHERNET,
            Self::Nested => MTU_ETHERNET - LAYER_BYTES,
        }
    }

    /// The largest datagram, flow number included, that must pass.
    pub(crate) const fn datagram(self) -> usize {
        (self.mtu() - QUIC_BYTES) as usize
    }
}

/// For connections to a router: the side that connects.
pub(crate) fn from_client(layer: Layer) -> TransportConfig {
    let mut transport = between(layer, CLIENT_QUEUE_BYTES_MAX);
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0)).keep_alive_interval(Some(ROUTER_KEEP_ALIVE));
    transport
}

/// The router's side of them.
pub(crate) fn from_router(layer: Layer) -> TransportConfig {
    let mut transport = between(layer, ROUTER_QUEUE_BYTES_MAX);
    transport.max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS_MAX));
    transport
}

/// For links that arrive through routers: begins with the least and looks for what one layer leaves.
pub(crate) fn inner() -> TransportConfig {
    let mut transport = config::transport();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(Layer::Nested.mtu_max());
    transport.mtu_discovery_config(Some(discovery));
    transport
}

fn between(layer: Layer, queue: usize) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(layer.mtu_max());
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(REQUEST_WINDOW))
        .receive_window(VarInt::from_u32(REQUEST_WINDOW * REQUESTS_MAX))
        .send_window(u64::from(REQUEST_WINDOW * REQUESTS_MAX))
        .datagram_receive_buffer_size(Some(queue))
        .datagram_send_buffer_size(queue)
        .initial_mtu(layer.mtu())
        // Under many losses QUIC falls back to this size; below it nothing inside would pass any more.
        .min_mtu(layer.mtu())
        .mtu_discovery_config(Some(discovery))
        .max_idle_timeout(IdleTimeout::try_from(ROUTER_IDLE_MAX).ok());
    transport
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Identity;
    use crate::dial::dial;
    use crate::endpoint;
    use crate::key::TransportSecret;
    use crate::router::ALPN;

    #[test]
    fn each_layer_leaves_room_for_the_next() {
        assert_eq!((LAYER_BYTES, MTU_ASSUMED, Layer::Nested.mtu()), (42, 1_284, 1_242));
        assert_eq!(Layer::Outer.datagram(), usize::from(Layer::Nested.mtu()) + FLOW_BYTES_MAX);
        assert_eq!(Layer::Nested.datagram(), usize::from(MTU_QUIC) + FLOW_BYTES_MAX);
        // Ethernet, PPPoE and WireGuard are wide enough; a tunnel of 1,280 bytes is not.
        for (path, wide) in [(1_500, true), (1_492, true), (1_420, true), (1_280, false)] {
            assert_eq!(path - 40 - 8 >= MTU_ASSUMED, wide, "{path}");
        }
    }

    /// What a layer costs is quinn's arithmetic: measured, without looking for larger packets.
    #[tokio::test]
    async fn a_layer_costs_what_is_written_above() {
        for layer in [Layer::Outer, Layer::Nested] {
            let (server_secret, client_secret) =
                (TransportSecret::from_bytes([1; 32]), TransportSecret::from_bytes([2; 32]));
            let fixed = |mut transport: TransportConfig| {
                transport.mtu_discovery_config(None);
                transport
            };
            let server = config::server(&server_secret, ALPN, fixed(from_router(layer))).unwrap();
            let at = endpoint::quic(endpoint::open("127.0.0.1:0".parse().unwrap()).unwrap(), server, &server_secret)
                .unwrap();
            let identity = Identity::with(&client_secret, ALPN, fixed(from_client(layer))).unwrap();
            let (key, to) = (server_secret.public(), at.local_addr().unwrap());
            let answered = async { at.accept().await.unwrap().await.unwrap() };
            let (client, server) = tokio::join!(dial(&at, &identity, to, &key), answered);
            for side in [client.unwrap(), server] {
                assert_eq!(side.max_datagram_size(), Some(layer.datagram()));
            }
        }
    }
}
