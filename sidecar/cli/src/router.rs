//! A router: it forwards sealed connections between nodes that cannot reach each other, or do not want to show their address.
//! It is no member of any network and keeps nothing but its key.

use crate::args;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::{paths, signals};
use ainonymous_transport::{Address, Router, RouterCounts, RouterLimits, RouterOptions, TransportSecret};
use serde_json::json;
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The router's secret, in its folder.
const KEY_FILE: &str = "router.key";

/// Runs until it is told to stop.
pub(crate) async fn run(flags: &args::Router, out: &Out) -> Result<Exit, CliError> {
    let stop = signals::stop_token();
    let folder = match &flags.data_dir {
        Some(folder) => folder.clone(),
        None => paths::data_dir()?,
    };
    let secret = secret(&folder)?;
    let limits = RouterLimits {
        registrations: flags.nodes as usize,
        peer_bytes_per_s: u64::from(flags.mib_per_s) << 20,
        ..RouterLimits::default()
    };
    let router = Router::bind(&RouterOptions { listen: flags.listen, secret, limits })?;
    let at = router.local_addr().unwrap_or(flags.listen);
    let ip = flags.public_ip.unwrap_or(at.ip());
    let address = Address::Routed { at: SocketAddr::new(ip, at.port()), router: router.key() };
    out.event("listening", json!({ "address": address.to_string(), "listens": at.to_string() }));
    out.line(&address.to_string());
    if reachable_nowhere(ip) {
        out.talk("warning: that address means nothing to other machines; say yours with --public-ip");
    }
    out.talk(&format!("nodes are reached here with `ainonymous up --via {address}`; Ctrl-C stops"));
    stop.cancelled().await;
    let RouterCounts { forwarded_packets, forwarded_bytes, refused, .. } = router.counts();
    router.close().await;
    out.event("stopped", json!({ "packets": forwarded_packets, "bytes": forwarded_bytes, "refused": refused }));
    Ok(Exit::Ok)
}

fn reachable_nowhere(ip: IpAddr) -> bool {
    ip.is_unspecified()
}

/// The secret of earlier runs, or a new one: who knows a router knows it by its key.
fn secret(folder: &Path) -> Result<TransportSecret, CliError> {
    let path = folder.join(KEY_FILE);
    let file_error = |source| CliError::File { path: path.clone(), source };
    match fs_err::read(&path) {
        Ok(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(TransportSecret::from_bytes(bytes)),
            Err(_) => Err(file_error(std::io::Error::new(ErrorKind::InvalidData, "it must have 32 bytes"))),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let bytes: [u8; 32] = rand::random();
            fs_err::create_dir_all(folder).map_err(file_error)?;
            let mut options = fs_err::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            {
                use fs_err::os::unix::fs::OpenOptionsExt as _;
                options.mode(0o600);
            }
            let mut file = options.open(&path).map_err(file_error)?;
            file.write_all(&bytes).map_err(file_error)?;
            Ok(TransportSecret::from_bytes(bytes))
        }
        Err(source) => Err(file_error(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_keeps_its_key_and_shows_it_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let first = secret(folder.path()).unwrap().public();
        assert_eq!(secret(folder.path()).unwrap().public(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(folder.path().join(KEY_FILE), "short").unwrap();
        assert_eq!(secret(folder.path()).unwrap_err().code(), "unreadable_file");
    }
}
