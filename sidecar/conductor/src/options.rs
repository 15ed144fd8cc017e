//! What a conductor is started with. Parsed here, so that nothing below meets a value that cannot work.

use crate::ConductorError;
use ainonymous_types::{AgentPubKey, MembershipProof, NetworkProperties};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a call may take unless said otherwise.
pub const CALL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// What is run, and where.
#[derive(Clone, Debug)]
pub struct ConductorOptions {
    /// A conductor of our own, or one that runs already.
    pub mode: Mode,
    /// Bytes of `ainonymous.happ`: with seed and properties they are the network.
    pub happ: Vec<u8>,
    /// The same hApp with another seed is another network.
    pub network_seed: Option<String>,
    /// A network that somebody founded; without, the public network of that seed.
    pub network: Option<FoundedNetwork>,
    /// Installed app id, usually [`ainonymous_types::APP_ID`].
    pub app_id: String,
    /// Longest time that one call may take.
    pub call_timeout: Duration,
}

/// A network that somebody founded, and who we are in it.
#[derive(Clone, Debug)]
pub struct FoundedNetwork {
    /// What its founders decided: part of the DNA.
    pub properties: NetworkProperties,
    /// The agent to be, whose key the keystore has; without, a new one is made.
    pub agent: Option<AgentPubKey>,
    /// The invite that admits that agent; none in a public network, where the work that it may ask for is done at the start.
    pub proof: Option<MembershipProof>,
}

/// A conductor of our own, or one that runs already.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Inside this process.
    Embedded(EmbeddedOptions),
    /// In another one.
    Attach(AttachOptions),
}

/// A conductor inside this process.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Holds `conductor/`, `keystore/` and a lock; made with permissions 0700.
    pub data_dir: PathBuf,
    /// Folder of a keystore that serves several networks and must be there; without, `keystore/` in the data folder,
    /// made if it is missing.
    pub keystore: Option<PathBuf>,
    /// Opens the keystore and the databases.
    pub passphrase: Passphrase,
    /// Where peers find each other, `http(s)://host[:port]`.
    pub bootstrap_url: String,
    /// Who forwards what cannot go directly, `http(s)://host[:port]`.
    pub relay_url: String,
    /// Pace of gossip.
    pub network: NetworkTuning,
    /// Check what we author before we publish it. False only in tests of hostile nodes.
    pub self_validation: bool,
}

/// A conductor that runs already.
#[derive(Clone, Debug)]
pub struct AttachOptions {
    /// Its admin interface, `ws://host:port`.
    pub admin_url: String,
    /// Our origin; the conductor's admin interface must admit it.
    pub origin: String,
}

/// Pace of gossip, and whether a relay may be reached without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkTuning {
    /// Holochain's defaults, for networks across the Internet.
    #[default]
    Default,
    /// Fast gossip, relay without TLS allowed: for loopback and private networks.
    Lan,
}

/// A secret text: wiped when dropped, never printed.
#[derive(Clone)]
#[cfg_attr(not(feature = "embedded"), allow(dead_code))]
pub struct Passphrase {
    secret: Zeroizing<Vec<u8>>,
    stretching: Stretching,
}

/// How dear it is to try passphrases on a stolen keystore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretching {
    /// argon2id with 256 MiB.
    Moderate,
    /// argon2id with 8 KiB.
    Test,
}

impl Passphrase {
    /// A passphrase as a person gave it.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self { secret: Zeroizing::new(secret.into()), stretching: Stretching::Moderate }
    }

    /// A passphrase that is stretched cheaply when a keystore is made: starts are quick and the keystore is worth nothing.
    /// For tests and throw-away demonstrations only.
    pub fn cheap(secret: impl Into<Vec<u8>>) -> Self {
        Self { secret: Zeroizing::new(secret.into()), stretching: Stretching::Test }
    }

    #[cfg(feature = "embedded")]
    pub(crate) fn stretching(&self) -> Stretching {
        self.stretching
    }

    /// For lair: memory that is locked and wiped.
    #[cfg(feature = "embedded")]
    pub(crate) fn locked(&self) -> std::sync::Arc<std::sync::Mutex<sodoken::LockedArray>> {
        std::sync::Arc::new(std::sync::Mutex::new(sodoken::LockedArray::from(self.secret.to_vec())))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

impl From<String> for Passphrase {
    fn from(secret: String) -> Self {
        Self::new(secret)
    }
}

impl AttachOptions {
    /// Host and port of the admin interface.
    pub(crate) fn address(&self) -> Result<(String, u16), ConductorError> {
        let invalid = |problem| ConductorError::InvalidUrl { what: "conductor", url: self.admin_url.clone(), problem };
        let rest = self.admin_url.strip_prefix("ws://").ok_or_else(|| invalid("it must begin with ws://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| invalid("it has no port"))?;
        let port = port.parse().map_err(|_| invalid("the port is not a number from 1 to 65535"))?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || host.contains('/') {
            return Err(invalid("it has no host"));
        }
        Ok((host.to_string(), port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_never_printed() {
        let text = format!("{:?} {:?}", Passphrase::new("hunter2"), Passphrase::cheap("hunter2"));
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn conductor_addresses() {
        let parse = |url: &str| AttachOptions { admin_url: url.into(), origin: "o".into() }.address();
        assert_eq!(parse("ws://127.0.0.1:4444").unwrap(), ("127.0.0.1".into(), 4444));
        assert_eq!(parse("ws://[::1]:4444/").unwrap(), ("::1".into(), 4444));
        assert_eq!(parse("ws://localhost:1").unwrap(), ("localhost".into(), 1));
        for bad in ["http://127.0.0.1:4444", "ws://127.0.0.1", "ws://:1", "ws://h:70000", "4444", ""] {
            assert_eq!(parse(bad).unwrap_err().code(), "invalid_url", "{bad}");
        }
    }
}
