//! Where a peer can be reached, as its capability entry says it in text.

use ainonymous_types::{limits, Bytes32};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// An address of the data plane.
///
/// Written `quic://192.0.2.1:4242` or `quic://[2001:db8::1]:4242`, and with `/via/` and 64 hexadecimal digits behind it for a
/// peer that is registered at the router of that key. Names are not resolved: whoever writes an entry must not make others
/// ask a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// The peer itself listens there.
    Direct(SocketAddr),
    /// A router listens there, and the peer is registered at it.
    Routed {
        /// Where the router listens.
        at: SocketAddr,
        /// The router's transport key.
        router: Bytes32,
    },
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Over the bound for addresses in capability entries.
    #[error("longer than {} bytes", limits::ADDRESS_BYTES_MAX)]
    TooLong,
    /// Not one of the known forms.
    #[error("neither `quic://HOST:PORT` nor `quic://HOST:PORT/via/KEY` with a numeric host and a key in hexadecimal")]
    Malformed,
    /// Nobody can be reached there: no port, or an address that means nothing to others.
    #[error("nobody can be reached there")]
    Unreachable,
}

const SCHEME: &str = "quic://";
const VIA: &str = "/via/";

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > limits::ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(AddressError::Malformed)?;
        match rest.split_once(VIA) {
            None => Ok(Self::Direct(socket(rest)?)),
            Some((at, router)) => {
                let router = key(router).ok_or(AddressError::Malformed)?;
                Ok(Self::Routed { at: socket(at)?, router })
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(socket) => write!(f, "{SCHEME}{socket}"),
            Self::Routed { at, router } => write!(f, "{SCHEME}{at}{VIA}{router}"),
        }
    }
}

fn socket(text: &str) -> Result<SocketAddr, AddressError> {
    let socket: SocketAddr = text.parse().map_err(|_| AddressError::Malformed)?;
    if is_reachable(socket) {
        Ok(socket)
    } else {
        Err(AddressError::Unreachable)
    }
}

/// Whether somebody could be there, seen from another machine.
pub(crate) fn is_reachable(socket: SocketAddr) -> bool {
    let for_many = match socket {
        SocketAddr::V4(v4) => v4.ip().is_broadcast(),
        // A scope is the number of a network card: it means nothing on another machine.
        SocketAddr::V6(v6) => v6.scope_id() != 0,
    };
    !(for_many || socket.port() == 0 || socket.ip().is_unspecified() || socket.ip().is_multicast())
}

/// Lower-case hexadecimal only: one spelling for each key.
fn key(hex: &str) -> Option<Bytes32> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut key = [0; Bytes32::LEN];
    if hex.len() != 2 * key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(Bytes32(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_spelt_as_it_is_read() {
        let via = format!("quic://192.0.2.1:4242/via/{}", "0f".repeat(32));
        for text in ["quic://192.0.2.1:4242", "quic://[2001:db8::1]:1", "quic://127.0.0.1:65535", via.as_str()] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_longest_address_fits_into_an_entry() {
        let at = "[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let longest = Address::Routed { at, router: Bytes32([0xff; 32]) };
        assert_eq!(longest.to_string().len(), 123);
        assert!(longest.to_string().len() <= limits::ADDRESS_BYTES_MAX);
        assert_eq!(longest.to_string().parse(), Ok(longest));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("quic://{}", "1".repeat(limits::ADDRESS_BYTES_MAX));
        let via = |key: &str| format!("quic://192.0.2.1:4242/via/{key}");
        let (short, upper, odd) = (via(&"0f".repeat(31)), via(&"0F".repeat(32)), via(&"é".repeat(32)));
        let nowhere = format!("quic://192.0.2.1:0/via/{}", "0f".repeat(32));
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
            ("quic://[fe80::1%3]:4242", AddressError::Unreachable),
            (long.as_str(), AddressError::TooLong),
            (short.as_str(), AddressError::Malformed),
            (upper.as_str(), AddressError::Malformed),
            (odd.as_str(), AddressError::Malformed),
            (nowhere.as_str(), AddressError::Unreachable),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
