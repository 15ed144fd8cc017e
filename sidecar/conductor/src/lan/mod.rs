//! Networks on a LAN: which servers they may use, and meeting there without any that somebody named.
//!
//! A server of a LAN has an address that the Internet does not route. Names are not resolved, for they may mean another address
//! a moment later: an address in digits, or `localhost`.

mod advert;
mod door;
mod forward;
mod meeting;
mod said;

pub use meeting::Meeting;

use crate::ConductorError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url2::Url2;

/// In the place of a bootstrap server's address: nodes find each other on the LAN.
pub const ON_THE_LAN: &str = "lan:";

/// Refuses a server whose address is not private. `what` names it (`bootstrap`, `relay`).
pub fn check_server(what: &'static str, url: &str) -> Result<(), ConductorError> {
    if url == ON_THE_LAN {
        return Ok(());
    }
    let parsed = Url2::try_parse(url).ok();
    let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let digits = host.trim_start_matches('[').trim_end_matches(']').parse();
    let private = host == "localhost" || digits.is_ok_and(is_private);
    let problem = "a LAN-only network needs a private address in digits, for example http://192.168.1.10:4000";
    private.then_some(()).ok_or_else(|| ConductorError::InvalidUrl { what, url: url.to_string(), problem })
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    address.is_private() || address.is_loopback() || address.is_link_local()
}

/// Loopback, link-local (fe80::/10) and unique local (fc00::/7).
fn is_private_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    address.is_loopback() || first & 0xffc0 == 0xfe80 || first & 0xfe00 == 0xfc00
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_addresses() {
        for url in [
            ON_THE_LAN,
            "http://127.0.0.1:4000",
            "http://localhost:1",
            "https://10.1.2.3",
            "http://172.31.255.255:1",
            "http://192.168.1.10:4000",
            "http://169.254.1.1",
            "http://[::1]:1",
            "http://[fe80::1]",
            "http://[fd00::1]",
            "http://[::ffff:10.0.0.1]",
        ] {
            assert!(check_server("bootstrap", url).is_ok(), "{url}");
        }
        for url in [
            "http://172.32.0.1",
            "http://192.169.1.1",
            "http://8.8.8.8",
            "http://100.64.0.1",
            "http://[2001:db8::1]",
            "http://[::ffff:8.8.8.8]",
            "https://bootstrap.example",
            "http://localhost.example",
            "http://",
            "nonsense",
            "lan:x",
        ] {
            assert_eq!(check_server("relay", url).unwrap_err().code(), "invalid_url", "{url}");
        }
    }
}
