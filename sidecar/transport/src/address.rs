//! Where a peer can be reached, as its capability entry says it in text.

use ainonymous_types::limits;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// An address of the data plane.
///
/// Written `quic://192.0.2.1:4242` or `quic://[2001:db8::1]:4242`. Names are not resolved: whoever writes an entry must not
/// make others ask a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// The peer itself listens there.
    Direct(SocketAddr),
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Over the bound for addresses in capability entries.
    #[error("longer than {} bytes", limits::ADDRESS_BYTES_MAX)]
    TooLong,
    /// Not one of the known forms.
    #[error("not `quic://HOST:PORT` with a numeric host")]
    Malformed,
    /// Nobody can be reached there: no port, or an address that means nothing to others.
    #[error("nobody can be reached there")]
    Unreachable,
}

const SCHEME: &str = "quic://";

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > limits::ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        let socket: SocketAddr =
            text.strip_prefix(SCHEME).and_then(|rest| rest.parse().ok()).ok_or(AddressError::Malformed)?;
        if socket.port() == 0 || socket.ip().is_unspecified() || socket.ip().is_multicast() || is_broadcast(socket) {
            return Err(AddressError::Unreachable);
        }
        Ok(Self::Direct(socket))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(socket) => write!(f, "{SCHEME}{socket}"),
        }
    }
}

fn is_broadcast(socket: SocketAddr) -> bool {
    matches!(socket, SocketAddr::V4(v4) if v4.ip().is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_spelt_as_it_is_read() {
        for text in ["quic://192.0.2.1:4242", "quic://[2001:db8::1]:1", "quic://127.0.0.1:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("quic://{}", "1".repeat(limits::ADDRESS_BYTES_MAX));
        for (text, error) in [
            ("", AddressError::Malformed),
            ("192.0.2.1:4242", AddressError::Malformed),
            ("http://192.0.2.1:4242", AddressError::Malformed),
            ("quic://example.org:4242", AddressError::Malformed),
            ("quic://192.0.2.1", AddressError::Malformed),
            ("quic://192.0.2.1:0", AddressError::Unreachable),
            ("quic://0.0.0.0:4242", AddressError::Unreachable),
            ("quic://255.255.255.255:4242", AddressError::Unreachable),
            ("quic://224.0.0.1:4242", AddressError::Unreachable),
            (long.as_str(), AddressError::TooLong),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
