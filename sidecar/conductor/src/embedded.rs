//! A conductor inside this process: keystore, databases and network, driven without any admin port.

use crate::link::{AdminLink, AppLink};
use crate::local::{LocalAdmin, LocalApp};
use crate::lock::DataDir;
use crate::{keystore, network, ConductorError, EmbeddedOptions};
use ainonymous_types::{AgentPubKey, DnaHash};
use holochain::conductor::{Conductor, ConductorHandle};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest time that an orderly end may take; then the process ends without it, which Holochain's databases survive.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Folder of the keystore in a data folder.
pub(crate) const KEYSTORE: &str = "keystore";
/// What is in a data folder as soon as a conductor was started there.
pub(crate) const STARTED: &str = "conductor/databases/conductor.db";

/// A running conductor of our own.
pub(crate) struct Embedded {
    conductor: ConductorHandle,
    closed: CancellationToken,
    data_dir: DataDir,
}

impl Embedded {
    /// Starts a conductor for the network `dna`.
    pub(crate) async fn start(options: &EmbeddedOptions, dna: &DnaHash) -> Result<Self, ConductorError> {
        crate::install_crypto_provider();
        let data_dir = DataDir::open(&options.data_dir)?;
        data_dir.expect_network(dna)?;
        // The database that names agents; compiled zomes alone belong to no keystore.
        let started_before = data_dir.root().join(STARTED).exists();
        let (keystore_dir, may_create) = match &options.keystore {
            Some(shared) => (shared.clone(), false),
            None => (data_dir.subdir(KEYSTORE)?, !started_before),
        };
        let conductor_dir = data_dir.subdir("conductor")?;
        let config = network::conductor_config(options, &conductor_dir)?;
        let passphrase = &options.passphrase;
        let keystore = keystore::open(&keystore_dir, data_dir.root(), passphrase, may_create).await?;
        tracing::debug!("the keystore is open");
        let builder = Conductor::builder()
            .config(config)
            .passphrase(Some(passphrase.locked()))
            .with_keystore(keystore)
            .no_print_setup();
        let conductor = Box::pin(builder.build()).await.map_err(|e| not_started(&e.to_string(), &data_dir))?;
        Ok(Self { conductor, closed: CancellationToken::new(), data_dir })
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Its administrative interface.
    pub(crate) fn admin(&self) -> AdminLink {
        AdminLink::Local(LocalAdmin::new(self.conductor.clone(), self.closed.clone()))
    }

    /// The interface of one app.
    pub(crate) fn app(&self, app_id: &str, agent: AgentPubKey) -> AppLink {
        AppLink::Local(LocalApp::new(self.conductor.clone(), app_id.to_string(), agent, self.closed.clone()))
    }

    /// Stops it and lets go of the data folder.
    pub(crate) async fn shutdown(self) {
        self.closed.cancel();
        let Self { conductor, closed: _, data_dir } = self;
        match tokio::time::timeout(SHUTDOWN_TIMEOUT, conductor.shutdown()).await {
            Ok(Ok(Ok(()))) => tracing::debug!("the embedded conductor is stopped"),
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the embedded conductor stopped with an error"),
            Ok(Err(error)) => tracing::warn!(%error, "the embedded conductor did not stop in order"),
            Err(_) => tracing::warn!("the embedded conductor takes too long to stop"),
        }
        drop(data_dir);
    }
}

fn not_started(problem: &str, data_dir: &DataDir) -> ConductorError {
    let lower = problem.to_ascii_lowercase();
    if lower.contains("disk is full") || lower.contains("no space left") {
        return ConductorError::storage(data_dir.root(), std::io::ErrorKind::StorageFull.into());
    }
    ConductorError::StartFailed { problem: problem.to_string() }
}
