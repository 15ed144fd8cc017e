//! Everything that can go wrong with a conductor, each with a stable code and what the caller can do about it.

use ainonymous_types::DnaHash;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why a conductor cannot be started, reached or called.
#[derive(Debug, thiserror::Error)]
pub enum ConductorError {
    /// The passphrase does not open the keystore in the data folder.
    #[error("the passphrase does not open the keystore in {data_dir}")]
    WrongPassphrase {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// The keystore's files cannot be read; it is never replaced by a new one.
    #[error("the keystore {path} is damaged: {problem}")]
    KeystoreDamaged {
        /// Which file.
        path: PathBuf,
        /// What its reader says.
        problem: String,
    },
    /// The keystore does not do what it is asked.
    #[error("the keystore fails: {problem}")]
    KeystoreFailed {
        /// What it says.
        problem: String,
    },
    /// What we have to show does not admit us: no invite or a bad one, or too little work.
    #[error("this network does not admit us: {problem}")]
    NotAdmitted {
        /// The rule that was broken.
        problem: String,
    },
    /// The data folder belongs to a network with another DNA.
    #[error("{data_dir} belongs to the network {found}, not to {expected}")]
    DataDirOfAnotherNetwork {
        /// The data folder.
        data_dir: PathBuf,
        /// DNA hash of the given hApp and network seed.
        expected: DnaHash,
        /// DNA hash of what is installed.
        found: DnaHash,
    },
    /// The conductor attached to has an app of this name with another DNA.
    #[error("the app '{app_id}' of that conductor runs the network {found}, not {expected}")]
    AppOfAnotherNetwork {
        /// Installed app id.
        app_id: String,
        /// DNA hash of the given hApp and network seed.
        expected: DnaHash,
        /// DNA hash of what is installed.
        found: DnaHash,
    },
    /// Another process uses the data folder.
    #[error("another process uses {data_dir}")]
    DataDirInUse {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// A folder or file cannot be used.
    #[error("cannot use {path}: {source}")]
    Storage {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The disk is full, or would be.
    #[error("the disk of {path} has {free_bytes} bytes free, fewer than the {needed_bytes} that a conductor needs")]
    DiskFull {
        /// The folder on it.
        path: PathBuf,
        /// Free bytes.
        free_bytes: u64,
        /// Bytes needed to go on.
        needed_bytes: u64,
    },
    /// Nodes cannot be looked for on the LAN.
    #[error("nodes cannot be looked for on the local network: {problem}")]
    LanUnavailable {
        /// In the words of multicast DNS.
        problem: String,
    },
    /// Another program listens there.
    #[error("another program listens on {address}")]
    PortInUse {
        /// Where.
        address: SocketAddr,
    },
    /// The operating system does not let us listen there.
    #[error("cannot listen on {address}: {source}")]
    CannotListen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// An address is not one.
    #[error("'{url}' cannot be used as the {what} address: {problem}")]
    InvalidUrl {
        /// Which address (`bootstrap`, `relay`, `conductor`).
        what: &'static str,
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The hApp bundle cannot be read.
    #[error("the hApp bundle cannot be read: {problem}")]
    InvalidHapp {
        /// What its reader says.
        problem: String,
    },
    /// A bundle cannot be packed.
    #[error("cannot pack {path}: {problem}")]
    CannotPack {
        /// Manifest or folder.
        path: PathBuf,
        /// What the packer says.
        problem: String,
    },
    /// Nothing answers at the conductor's address.
    #[error("no conductor answers at {url}")]
    NoConductor {
        /// Where.
        url: String,
    },
    /// The conductor does not admit our origin.
    #[error("the conductor at {url} does not admit the origin '{origin}'")]
    OriginRefused {
        /// Where.
        url: String,
        /// As given.
        origin: String,
    },
    /// The conductor speaks another version of the API.
    #[error("the conductor does not understand '{request}': it is of another generation than Holochain 0.7.1")]
    ConductorTooOld {
        /// Which request.
        request: &'static str,
    },
    /// Holochain does not start.
    #[error("the embedded conductor does not start: {problem}")]
    StartFailed {
        /// What Holochain says.
        problem: String,
    },
    /// This program was built without a conductor.
    #[error("this build has no embedded conductor")]
    EmbeddedUnavailable,
    /// The hApp is not installed and cannot be.
    #[error("the app '{app_id}' is not installed and the conductor refuses to install it: {problem}")]
    AppNotInstalled {
        /// Installed app id.
        app_id: String,
        /// What the conductor says.
        problem: String,
    },
    /// The hApp is installed but not running.
    #[error("the app '{app_id}' is installed but not enabled: {problem}")]
    AppNotEnabled {
        /// Installed app id.
        app_id: String,
        /// What the conductor says.
        problem: String,
    },
    /// The conductor refuses an administrative request.
    #[error("the conductor refuses '{request}': {problem}")]
    AdminRefused {
        /// Which request.
        request: &'static str,
        /// What it says.
        problem: String,
    },
    /// No answer in time. What a function that writes was asked to do may still happen.
    #[error("'{function}' did not answer within {} ms", after.as_millis())]
    CallTimeout {
        /// Function or request.
        function: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The function says no: validation, a bound, or something it depends on is not there.
    #[error("'{function}' says: {problem}")]
    CallRejected {
        /// Zome function.
        function: &'static str,
        /// In its words.
        problem: String,
    },
    /// The conductor does not let us call that function.
    #[error("the conductor does not let this program call '{function}'")]
    NotAuthorised {
        /// Zome function.
        function: &'static str,
    },
    /// What a function was given or gave back does not fit its declaration: program and hApp are of different versions.
    #[error("what '{function}' takes or gives does not fit: {problem}")]
    WrongShape {
        /// Zome function.
        function: &'static str,
        /// What the decoder says.
        problem: String,
    },
    /// A payload over its bound, refused before it is sent: Holochain would drop the whole connection.
    #[error("'{function}' was given {bytes} bytes; at most {max} are allowed")]
    TooLarge {
        /// Zome function.
        function: &'static str,
        /// Bytes of the encoded payload.
        bytes: usize,
        /// Most bytes allowed.
        max: usize,
    },
    /// The connection was lost while the call was under way, or is lost.
    #[error("the connection to the conductor was lost during '{function}'")]
    Disconnected {
        /// Function or request.
        function: &'static str,
    },
    /// The conductor is not as far yet.
    #[error("the conductor is still starting")]
    NotReady,
    /// The conductor was shut down.
    #[error("the conductor is stopped")]
    Stopped,
}

impl ConductorError {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongPassphrase { .. } => "wrong_passphrase",
            Self::KeystoreDamaged { .. } => "keystore_damaged",
            Self::KeystoreFailed { .. } => "keystore_failed",
            Self::NotAdmitted { .. } => "not_admitted",
            Self::DataDirOfAnotherNetwork { .. } => "data_dir_of_another_network",
            Self::AppOfAnotherNetwork { .. } => "app_of_another_network",
            Self::DataDirInUse { .. } => "data_dir_in_use",
            Self::Storage { .. } => "storage",
            Self::DiskFull { .. } => "disk_full",
            Self::PortInUse { .. } => "port_in_use",
            Self::LanUnavailable { .. } => "lan_unavailable",
            Self::CannotListen { .. } => "cannot_listen",
            Self::InvalidUrl { .. } => "invalid_url",
            Self::InvalidHapp { .. } => "invalid_happ",
            Self::CannotPack { .. } => "cannot_pack",
            Self::NoConductor { .. } => "no_conductor",
            Self::OriginRefused { .. } => "origin_refused",
            Self::ConductorTooOld { .. } => "conductor_too_old",
            Self::StartFailed { .. } => "conductor_start_failed",
            Self::EmbeddedUnavailable => "embedded_unavailable",
            Self::AppNotInstalled { .. } => "app_not_installed",
            Self::AppNotEnabled { .. } => "app_not_enabled",
            Self::AdminRefused { .. } => "admin_refused",
            Self::CallTimeout { .. } => "call_timeout",
            Self::CallRejected { .. } => "call_rejected",
            Self::NotAuthorised { .. } => "not_authorised",
            Self::WrongShape { .. } => "wrong_shape",
            Self::TooLarge { .. } => "too_large",
            Self::Disconnected { .. } => "disconnected",
            Self::NotReady => "not_ready",
            Self::Stopped => "stopped",
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        match self {
            Self::WrongPassphrase { .. } => "give the passphrase that the folder was made with, or choose another \
                folder with --data-dir; a lost passphrase cannot be recovered"
                .into(),
            Self::KeystoreDamaged { path, .. } => {
                format!("restore {} from a backup; without it the agent key is lost", path.display())
            }
            Self::KeystoreFailed { .. } => "try again; if it stays so, restore the keystore from a backup".into(),
            Self::NotAdmitted { .. } => {
                "ask a founder for a new invite and take it up with `ainonymous network join`; where the network asks for \
                 work, delete the file `work` in its folder and start again"
                    .into()
            }
            Self::DataDirOfAnotherNetwork { .. } => {
                "choose another folder with --data-dir, or use the hApp and network seed that it was made with".into()
            }
            Self::AppOfAnotherNetwork { .. } => {
                "choose another app id, or uninstall that app from the conductor (its source chain is lost)".into()
            }
            Self::DataDirInUse { .. } => "stop the other process, or choose another folder with --data-dir".into(),
            Self::Storage { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "free some space on that disk, then start again".into()
            }
            Self::Storage { path, .. } => format!("check that {} exists and that you may write to it", path.display()),
            Self::DiskFull { needed_bytes, .. } => {
                format!("free {} MiB on that disk, then start again", needed_bytes.div_ceil(1 << 20))
            }
            Self::LanUnavailable { .. } => {
                "check that this machine has a network with multicast, or name a server with --bootstrap".into()
            }
            Self::PortInUse { address } => format!("stop the program on port {}, or choose another", address.port()),
            Self::CannotListen { .. } => "choose an address of this machine and a port above 1023".into(),
            Self::InvalidUrl { what, .. } => format!("correct the {what} address"),
            Self::InvalidHapp { .. } => "pack the hApp again".into(),
            Self::CannotPack { .. } => "build the zomes first, and check the manifest's paths".into(),
            Self::NoConductor { .. } => "start it, or check its address; without --conductor one is embedded".into(),
            Self::OriginRefused { .. } => "add the origin to the conductor's admin interface".into(),
            Self::ConductorTooOld { .. } => "use a conductor of Holochain 0.7.1, or the embedded one".into(),
            Self::StartFailed { .. } => {
                "run `ainonymous doctor`; the log says more with RUST_LOG=holochain=info".into()
            }
            Self::EmbeddedUnavailable => "build with the feature `embedded`, or attach with --conductor".into(),
            Self::AppNotInstalled { .. } | Self::AppNotEnabled { .. } => {
                "look at the conductor's log; `hc sandbox call list-apps` shows its apps".into()
            }
            Self::AdminRefused { .. } => "look at the conductor's log".into(),
            Self::CallTimeout { .. } => "try again; the machine or the network may be overloaded".into(),
            Self::CallRejected { .. } => "correct what was asked for".into(),
            Self::NotAuthorised { .. } => "restart this program: it asks for its credentials again".into(),
            Self::WrongShape { .. } => "use a program and a hApp of the same release".into(),
            Self::TooLarge { max, .. } => format!("send at most {max} bytes"),
            Self::Disconnected { .. } => {
                "try again: the connection is restored as soon as the conductor answers".into()
            }
            Self::NotReady => "wait until `ainonymous status` says ready".into(),
            Self::Stopped => "start the node again".into(),
        }
    }

    /// A file system error at a path, with a full disk told apart.
    pub(crate) fn storage(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Storage { path: path.into(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        let errors = [
            ConductorError::WrongPassphrase { data_dir: "d".into() },
            ConductorError::NoConductor { url: "ws://127.0.0.1:1".into() },
            ConductorError::TooLarge { function: "send_signal", bytes: 2, max: 1 },
            ConductorError::Disconnected { function: "get_answer" },
            ConductorError::Stopped,
        ];
        for error in errors {
            assert!(!error.hint().is_empty());
            assert!(error.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
    }
}
