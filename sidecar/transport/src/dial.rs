//! One connection to one address, with a proved key or a named error.

use crate::config::{Identity, HANDSHAKE_MAX};
use crate::error::ConnectError;
use crate::tls;
use ainonymous_types::Bytes32;
use quinn::{Connection, ConnectionError, TransportErrorCode};
use std::net::SocketAddr;

/// Connects to whoever has the key, there.
pub(crate) async fn dial(
    quic: &quinn::Endpoint,
    identity: &Identity,
    at: SocketAddr,
    key: &Bytes32,
) -> Result<Connection, ConnectError> {
    let connecting = quic.connect_with(identity.config(), at, &tls::name_of(key));
    let connecting = connecting.map_err(|e| ConnectError::Refused { reason: e.to_string() })?;
    finish(connecting, key).await
}

/// Waits for the rest of a handshake.
pub(crate) async fn finish(connecting: quinn::Connecting, key: &Bytes32) -> Result<Connection, ConnectError> {
    match tokio::time::timeout(HANDSHAKE_MAX, connecting).await {
        Ok(connected) => proved(connected.map_err(on_connect)?, key),
        Err(_) => Err(ConnectError::Silent { after: HANDSHAKE_MAX }),
    }
}

/// The connection, if its other side has proved the key.
pub(crate) fn proved(connection: Connection, key: &Bytes32) -> Result<Connection, ConnectError> {
    match tls::peer_key(connection.peer_identity()) {
        Some(proved) if proved == *key => Ok(connection),
        _ => Err(ConnectError::WrongKey),
    }
}

pub(crate) fn on_connect(e: ConnectionError) -> ConnectError {
    match e {
        ConnectionError::TimedOut => ConnectError::Silent { after: HANDSHAKE_MAX },
        // TLS says this of a key that is not the expected one, on our side.
        ConnectionError::TransportError(ref t) if is_bad_certificate(t.code) => ConnectError::WrongKey,
        ConnectionError::LocallyClosed => ConnectError::Closed,
        other => ConnectError::Refused { reason: other.to_string() },
    }
}

/// The alerts `bad_certificate` and `certificate_unknown` (RFC 8446, section 6) as QUIC carries them (RFC 9001, section 4.8).
fn is_bad_certificate(code: TransportErrorCode) -> bool {
    [42, 46].into_iter().any(|alert| code == TransportErrorCode::crypto(alert))
}
