//! The handle that everybody else holds.

use crate::app::AppSpec;
use crate::credentials::{app_interface, issue_token, revoke_token, Credentials, UiCredentials, UI_FUNCTIONS};
use crate::session::{Host, Session};
use crate::signals::SignalHub;
use crate::work::Kept;
use crate::{pack, supervisor, ConductorError, ConductorOptions, DhtStats, JoinStage, Mode, NetworkState};
#[cfg(feature = "embedded")]
use ainonymous_types::NetworkKind;
use ainonymous_types::{AgentPubKey, DnaHash, LocalSignal};
use holochain_types::prelude::CellId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A conductor, ours or another's, with our app in it. Cheap to clone; stops when the last clone is dropped, in order
/// when [`Conductor::shutdown`] is awaited.
#[derive(Clone, Debug)]
pub struct Conductor {
    pub(crate) shared: Arc<Shared>,
    _end: Arc<DropGuard>,
}

/// What handle and supervisor share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) spec: AppSpec,
    pub(crate) cell: CellId,
    pub(crate) call_timeout: Duration,
    /// The live connection; none while there is none.
    pub(crate) session: watch::Sender<Option<Arc<Session>>>,
    pub(crate) state: watch::Sender<NetworkState>,
    pub(crate) hub: SignalHub,
    /// Other agents that were last seen online.
    pub(crate) online: Mutex<Vec<AgentPubKey>>,
    /// Held while something is written to the source chain: concurrent commits fail in Holochain.
    pub(crate) writes: tokio::sync::Mutex<()>,
    /// Calls so far, by function.
    pub(crate) calls: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) credentials: Mutex<Option<Arc<Credentials>>>,
    pub(crate) pages: tokio::sync::Mutex<Pages>,
    /// Cancelled to stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled when stopped.
    pub(crate) stopped: CancellationToken,
}

/// What was handed out to web pages.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) credentials: HashMap<String, Credentials>,
    pub(crate) tokens: Vec<Vec<u8>>,
}

impl Conductor {
    /// Starts or attaches, installs and enables the app if needed, connects, and warms the first call in the background.
    ///
    /// The runtime must be multi-threaded with [`crate::WORKER_STACK_BYTES`] of stack for each worker.
    pub async fn start(options: ConductorOptions) -> Result<Self, ConductorError> {
        let ConductorOptions { mode, happ, network_seed, network, app_id, call_timeout } = options;
        let properties = network.as_ref().map(|network| &network.properties);
        let (dna, identity) = pack::network_of(&happ, network_seed.as_deref(), properties).await?;
        #[cfg(feature = "embedded")]
        if let (Mode::Embedded(embedded), Some(NetworkKind::Lan)) = (&mode, properties.map(|p| p.kind)) {
            crate::lan::check_server("bootstrap", &embedded.bootstrap_url)?;
            crate::lan::check_server("relay", &embedded.relay_url)?;
        }
        let kept = match &mode {
            Mode::Embedded(embedded) => Some(Kept::of(&embedded.data_dir)),
            Mode::Attach(_) => None,
        };
        let spec = AppSpec { app_id, happ, network_seed, network, dna, identity, kept };
        let host = match mode {
            #[cfg(feature = "embedded")]
            Mode::Embedded(options) => {
                Host::Embedded(Box::pin(crate::embedded::Embedded::start(&options, &spec.dna)).await?)
            }
            #[cfg(not(feature = "embedded"))]
            Mode::Embedded(_) => return Err(ConductorError::EmbeddedUnavailable),
            Mode::Attach(options) => Host::Attach(options),
        };
        let opened = match Box::pin(host.open(&spec, None)).await {
            Ok(opened) => opened,
            Err(error) => {
                host.shutdown().await;
                return Err(error);
            }
        };
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            spec,
            cell: opened.session.cell.clone(),
            call_timeout,
            session: watch::Sender::new(None),
            state: watch::Sender::new(NetworkState::Joining { stage: JoinStage::Starting }),
            hub: SignalHub::new(),
            online: Mutex::default(),
            writes: tokio::sync::Mutex::default(),
            calls: Mutex::default(),
            credentials: Mutex::new(None),
            pages: tokio::sync::Mutex::default(),
            stop: stop.clone(),
            stopped: CancellationToken::new(),
        });
        shared.adopt(&opened);
        tokio::spawn(supervisor::run(shared.clone(), host, opened));
        Ok(Self { shared, _end: Arc::new(stop.drop_guard()) })
    }

    /// How far the network is joined; kept true in the background.
    pub fn state(&self) -> watch::Receiver<NetworkState> {
        self.shared.state.subscribe()
    }

    /// Who we are.
    pub fn agent(&self) -> AgentPubKey {
        self.shared.cell.agent_pubkey().clone()
    }

    /// Which network this is.
    pub fn dna_hash(&self) -> DnaHash {
        self.shared.cell.dna_hash().clone()
    }

    /// Other agents of the network that were online when it was last looked, a few seconds ago; bounded.
    pub fn online(&self) -> Vec<AgentPubKey> {
        self.shared.online.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What our zomes emit from now on, in order.
    pub fn signals(&self) -> broadcast::Receiver<LocalSignal> {
        self.shared.hub.subscribe()
    }

    /// Signals so far that could not be decoded.
    pub fn undecodable_signals(&self) -> u64 {
        self.shared.hub.undecodable()
    }

    /// What a web page of that origin (`http://host:port`, as browsers send it) needs to call the conductor itself.
    ///
    /// The page may call [`UI_FUNCTIONS`] only. One key pair for each origin and run, so that reloading a page adds
    /// nothing to the source chain; a fresh token each time. All are revoked on shutdown.
    pub async fn ui_credentials(&self, origin: &str) -> Result<UiCredentials, ConductorError> {
        let session = self.session("ui credentials")?;
        let app_id = &self.shared.spec.app_id;
        let mut pages = self.shared.pages.lock().await;
        let port = app_interface(&session.admin, app_id, origin).await?;
        if !pages.credentials.contains_key(origin) {
            let _write = self.shared.writes.lock().await;
            let granted = Credentials::grant(&session.admin, &session.cell, "ainonymous page", UI_FUNCTIONS).await?;
            pages.credentials.insert(origin.to_string(), granted);
        }
        let token = issue_token(&session.admin, app_id, true).await?;
        pages.tokens.push(token.clone());
        // Old tokens have expired by the time that so many pages were opened.
        if pages.tokens.len() > PAGE_TOKENS_MAX {
            let oldest = pages.tokens.remove(0);
            revoke_token(&session.admin, oldest).await?;
        }
        match pages.credentials.get(origin) {
            Some(credentials) => Ok(credentials.for_page(app_id, port, token)),
            None => Err(ConductorError::NotReady),
        }
    }

    /// What the node stores for the network, by kind. Reads every op: for measuring, not for every minute.
    pub async fn dht_stats(&self) -> Result<DhtStats, ConductorError> {
        let session = self.session("dht stats")?;
        crate::stats::collect(&session.admin, &session.cell).await
    }

    /// The bytes of every op that the node stores for the network, as Holochain encodes them. For tests that search them.
    pub async fn dht_ops(&self) -> Result<Vec<Vec<u8>>, ConductorError> {
        let session = self.session("dht ops")?;
        crate::stats::raw_ops(&session.admin, &session.cell).await
    }

    /// Revokes what was handed out, stops an embedded conductor and lets go of its folder. Idempotent.
    pub async fn shutdown(&self) -> Result<(), ConductorError> {
        self.shared.stop.cancel();
        self.shared.stopped.cancelled().await;
        Ok(())
    }

    /// The live connection, or why there is none.
    pub(crate) fn session(&self, function: &'static str) -> Result<Arc<Session>, ConductorError> {
        if self.shared.stop.is_cancelled() {
            return Err(ConductorError::Stopped);
        }
        self.shared.session.borrow().clone().ok_or(ConductorError::Disconnected { function })
    }
}

/// Most page tokens that are valid at once.
const PAGE_TOKENS_MAX: usize = 64;

impl Shared {
    /// Makes an opened session the live one.
    pub(crate) fn adopt(&self, opened: &crate::session::Opened) {
        self.set_credentials(opened.credentials.clone());
        self.session.send_replace(Some(opened.session.clone()));
    }

    pub(crate) fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_credentials(&self, credentials: Option<Arc<Credentials>>) {
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
    }
}
