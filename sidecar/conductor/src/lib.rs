//! The only place that knows Holochain's APIs: a conductor inside this process or one that runs elsewhere, our hApp in
//! it, typed calls, signals, and the state of the network as one value.
//!
//! Must not know engines, models, scheduling or HTTP.
//!
//! ```text
//!   Conductor ── calls ──► Session ──► AdminLink / AppLink ──► LocalAdmin, LocalApp   (embedded, no socket)
//!       ▲                     ▲                           └──► Socket                 (attached, two websockets)
//!       └── state, signals ── supervisor: reconnects, counts peers, decodes signals, ends everything
//! ```

mod app;
mod audits;
#[cfg(feature = "embedded")]
pub mod bootstrap;
mod calls;
mod conductor;
mod credentials;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
#[cfg(feature = "embedded")]
pub mod keyring;
#[cfg(feature = "embedded")]
mod keystore;
#[cfg(feature = "embedded")]
pub mod lan;
mod link;
#[cfg(feature = "embedded")]
mod local;
#[cfg(feature = "embedded")]
mod lock;
#[cfg(feature = "embedded")]
mod network;
mod options;
pub mod pack;
mod session;
mod signals;
mod socket;
mod spec;
mod state;
mod stats;
mod supervisor;
pub mod work;

pub use conductor::Conductor;
pub use credentials::{UiCredentials, UiKeyPair, UI_FUNCTIONS};
pub use error::ConductorError;
pub use options::{
    AttachOptions, ConductorOptions, EmbeddedOptions, FoundedNetwork, Mode, NetworkTuning, Passphrase,
    CALL_TIMEOUT_DEFAULT,
};
pub use spec::spec_entry;
pub use state::{JoinStage, NetworkState};
pub use stats::{DhtStats, KindStats};

/// Stack that each worker thread of the runtime needs: Holochain's futures are deep, more so without optimisation.
pub const WORKER_STACK_BYTES: usize = 8 << 20;

/// Chooses the cryptography of TLS. More than one is linked, so somebody must, before the first connection.
pub fn install_crypto_provider() {
    // Databases may still be closing on threads of their own when the process ends: OpenSSL must not take its memory away
    // from under them, which it does at exit unless it is told not to before its first use.
    #[cfg(feature = "embedded")]
    openssl_sys::init();
    // An error means that one is chosen already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
