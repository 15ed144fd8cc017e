//! What QUIC is allowed on links, and each side's configuration.

use crate::error::ConnectError;
use crate::key::TransportSecret;
use crate::tls;
use aws_lc_rs::hmac;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;

/// The protocol and its version: another version is another name, and refused in the handshake.
pub(crate) const ALPN: &[u8] = b"ainonymous/4";
/// Longest handshake.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Handshakes that wait to be looked at; more are dropped.
pub(crate) const KNOCKING_MAX: usize = 256;
/// Bytes of one datagram that waits to be looked at, over all that wait.
const KNOCKING_BYTES_MAX: u64 = 1 << 20;
/// A link on which nothing is heard for this long is gone.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Silence is broken this often, by the side that connected.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Round trip that is supposed before one is measured: a first packet that is lost is repeated after three times that. RFC 9002, section
/// 6.2.2, recommends 333 ms; then a lost packet would take longer than a question waits for a link. A path that is longer sees it twice.
const SUPPOSED_RTT: Duration = Duration::from_millis(100);
/// Questions on one link at once.
const STREAMS_MAX: u32 = 64;
/// Bytes of one stream that may wait unread; a question of the largest size takes several round trips.
const STREAM_WINDOW: u32 = 256 << 10;
/// Bytes of one link that may wait unread.
pub(crate) const LINK_WINDOW: u32 = 512 << 10;
/// Bytes of one link that may wait unsent.
const SEND_WINDOW: u64 = 1 << 20;

/// A client's side of TLS, with its own key and its own memory of earlier links.
#[derive(Clone, Debug)]
pub(crate) struct Identity(quinn::ClientConfig);

impl Identity {
    /// For links.
    pub(crate) fn new(secret: &TransportSecret) -> Result<Self, ConnectError> {
        let mut transport = transport();
        transport.keep_alive_interval(Some(KEEP_ALIVE));
        // Whoever asks is never asked back.
        transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
        Self::with(secret, ALPN, transport)
    }

    /// For another protocol.
    pub(crate) fn with(
        secret: &TransportSecret,
        alpn: &[u8],
        transport: TransportConfig,
    ) -> Result<Self, ConnectError> {
        let tls = tls::client(secret, alpn).map_err(|e| key_error(&e))?;
        let quic = QuicClientConfig::try_from(tls).map_err(|e| key_error(&e))?;
        let mut config = quinn::ClientConfig::new(Arc::new(quic));
        config.transport_config(Arc::new(transport));
        Ok(Self(config))
    }

    pub(crate) fn config(&self) -> quinn::ClientConfig {
        self.0.clone()
    }
}

/// What a socket knows without remembering anybody. It follows from the secret: whoever starts again tells peers of connections of the time
/// before that they are gone (stateless resets, RFC 9000, section 10.3), and they need not find out by silence.
pub(crate) fn socket(secret: &TransportSecret) -> quinn::EndpointConfig {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*secret.to_bytes());
    let reset = hmac::sign(&key, b"ainonymous/1 stateless reset");
    let ids = hmac::sign(&key, b"ainonymous/1 connection ids");
    let mut id_key = [0; 8];
    id_key.copy_from_slice(&ids.as_ref()[..8]);
    let id_key = u64::from_le_bytes(id_key);
    let mut config = quinn::EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref())));
    config.cid_generator(move || Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(id_key)));
    config
}

/// An answering side's configuration.
pub(crate) fn server(
    secret: &TransportSecret,
    alpn: &[u8],
    transport: TransportConfig,
) -> Result<quinn::ServerConfig, ConnectError> {
    let tls = tls::server(secret, alpn).map_err(|e| key_error(&e))?;
    let quic = QuicServerConfig::try_from(tls).map_err(|e| key_error(&e))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(quic));
    config.transport_config(Arc::new(transport));
    config.max_incoming(KNOCKING_MAX);
    config.incoming_buffer_size_total(KNOCKING_BYTES_MAX);
    Ok(config)
}

/// What links are allowed.
pub(crate) fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(LINK_WINDOW))
        .send_window(SEND_WINDOW)
        .initial_rtt(SUPPOSED_RTT)
        .datagram_receive_buffer_size(None);
    if let Ok(idle) = IdleTimeout::try_from(IDLE_MAX) {
        transport.max_idle_timeout(Some(idle));
    }
    transport
}

fn key_error(e: &impl std::fmt::Display) -> ConnectError {
    ConnectError::Key { reason: e.to_string() }
}
