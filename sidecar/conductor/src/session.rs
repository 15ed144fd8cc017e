//! One unbroken time of being connected to a conductor, and where such times come from.

use crate::app::{self, AppSpec};
use crate::calls::sidecar_functions;
use crate::credentials::{app_interface, issue_token, Credentials};
use crate::link::{AdminLink, AppLink, ADMIN_TIMEOUT};
use crate::signals::SignalSource;
use crate::socket::Socket;
use crate::{AttachOptions, ConductorError};
use holochain_conductor_api::{AdminResponse, AppRequest, AppResponse};
use holochain_types::prelude::CellId;
use std::sync::Arc;
use tokio::sync::mpsc;

#[cfg(feature = "embedded")]
use crate::embedded::Embedded;

/// Signals that wait for the decoder; the rest is dropped.
const SIGNAL_QUEUE: usize = 4_096;
/// Where an embedded conductor listens, and for whom: its calls go inside the process, but Holochain emits signals to
/// websockets only. The name is fixed because interfaces are kept for ever; what admits is the token.
#[cfg(feature = "embedded")]
const LOOPBACK: &str = "127.0.0.1";
#[cfg(feature = "embedded")]
const EMBEDDED_ORIGIN: &str = "ainonymous-sidecar";

/// A live connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) admin: AdminLink,
    pub(crate) app: AppLink,
    pub(crate) cell: CellId,
    /// The websocket that signals come from; attached, calls go over it as well.
    ears: Socket,
}

impl Session {
    /// Ends when the connection does.
    pub(crate) async fn closed(&self) {
        tokio::select! {
            () = self.admin.closed().cancelled() => {}
            () = self.app.closed().cancelled() => {}
            () = self.ears.closed().cancelled() => {}
        }
    }
}

/// Where a session comes from.
pub(crate) enum Host {
    /// The conductor in this process.
    #[cfg(feature = "embedded")]
    Embedded(Embedded),
    /// A conductor elsewhere.
    Attach(AttachOptions),
}

/// A new session and what comes with it.
pub(crate) struct Opened {
    pub(crate) session: Arc<Session>,
    pub(crate) signals: SignalSource,
    /// What calls are signed with; none where the agent itself calls.
    pub(crate) credentials: Option<Arc<Credentials>>,
}

impl Host {
    /// Connects. Credentials of an earlier session are used again if they fit: their grant is still on the chain.
    pub(crate) async fn open(
        &self,
        spec: &AppSpec,
        earlier: Option<Arc<Credentials>>,
    ) -> Result<Opened, ConductorError> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => open_embedded(embedded, spec).await,
            Self::Attach(options) => open_attached(options, spec, earlier).await,
        }
    }
}

#[cfg(feature = "embedded")]
async fn open_embedded(embedded: &Embedded, spec: &AppSpec) -> Result<Opened, ConductorError> {
    let admin = embedded.admin();
    let data_dir = embedded.data_dir();
    let cell = app::ensure(&admin, spec).await.map_err(|error| match error {
        ConductorError::AppOfAnotherNetwork { app_id: _, expected, found } => {
            ConductorError::DataDirOfAnotherNetwork { data_dir: data_dir.root().to_path_buf(), expected, found }
        }
        error => error,
    })?;
    data_dir.remember_network(&spec.dna)?;
    let app = embedded.app(&spec.app_id, cell.agent_pubkey().clone());
    let (ears, signals) = connect_app(&admin, spec, LOOPBACK, EMBEDDED_ORIGIN).await?;
    Ok(Opened { session: Arc::new(Session { admin, app, cell, ears }), signals, credentials: None })
}

async fn open_attached(
    options: &AttachOptions,
    spec: &AppSpec,
    earlier: Option<Arc<Credentials>>,
) -> Result<Opened, ConductorError> {
    let AttachOptions { admin_url: _, origin } = options;
    let (host, port) = options.address()?;
    let admin = AdminLink::Remote(Socket::connect::<AdminResponse>(&host, port, origin, None).await?);
    let cell = app::ensure(&admin, spec).await?;
    let credentials = match earlier {
        Some(earlier) if earlier.fit(&cell) => earlier,
        _ => Arc::new(grant(&admin, &cell).await?),
    };
    let (ears, signals) = connect_app(&admin, spec, &host, origin).await?;
    let app = AppLink::Remote(ears.clone());
    let session = Arc::new(Session { admin, app, cell, ears });
    Ok(Opened { session, signals, credentials: Some(credentials) })
}

/// A websocket to an app interface of our own, with our own origin and token.
async fn connect_app(
    admin: &AdminLink,
    spec: &AppSpec,
    host: &str,
    origin: &str,
) -> Result<(Socket, SignalSource), ConductorError> {
    const NAME: &str = "authenticate";
    let port = app_interface(admin, &spec.app_id, origin).await?;
    let token = issue_token(admin, &spec.app_id, false).await?;
    let (sender, signals) = mpsc::channel(SIGNAL_QUEUE);
    let socket = Socket::connect::<AppResponse>(host, port, origin, Some(sender)).await?;
    socket.authenticate(token).await.map_err(|e| e.into_admin(NAME))?;
    // The conductor says nothing to a token that it does not take; it closes.
    match socket.request(AppRequest::AppInfo, ADMIN_TIMEOUT).await.map_err(|e| e.into_admin(NAME))? {
        AppResponse::AppInfo(_) => Ok((socket, signals)),
        _ => Err(ConductorError::ConductorTooOld { request: NAME }),
    }
}

/// Credentials for every function that the sidecar calls.
pub(crate) async fn grant(admin: &AdminLink, cell: &CellId) -> Result<Credentials, ConductorError> {
    Credentials::grant(admin, cell, "ainonymous sidecar", sidecar_functions().map(|f| f.name)).await
}
