//! The two ways to talk to a conductor: inside the process, or over its websockets. Above this, nobody can tell.
//!
//! Knows requests and responses; must not know what they are for.

use crate::credentials::Credentials;
use crate::socket::Socket;
use crate::ConductorError;
use holochain_conductor_api::{AdminRequest, AdminResponse, AppRequest, AppResponse, ExternalApiWireError};
use holochain_types::prelude::{CellId, ExternIO};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "embedded")]
use crate::local::{LocalAdmin, LocalApp};

/// Longest time for an administrative request; installing compiles the zomes, which takes seconds.
pub(crate) const ADMIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// The connection is lost.
    Closed,
    /// No answer in time.
    TimedOut,
    /// The other side could not read us, or we cannot read it.
    Incomprehensible(String),
    /// The other side says no.
    Refused(ExternalApiWireError),
}

/// A call of a zome function, not signed yet.
#[derive(Clone, Debug)]
pub(crate) struct ZomeCall {
    pub(crate) cell: CellId,
    pub(crate) function: &'static str,
    pub(crate) payload: ExternIO,
}

/// The administrative interface.
#[derive(Clone, Debug)]
pub(crate) enum AdminLink {
    /// Over a websocket.
    Remote(Socket),
    /// Inside the process.
    #[cfg(feature = "embedded")]
    Local(LocalAdmin),
}

/// The app's interface.
#[derive(Clone, Debug)]
pub(crate) enum AppLink {
    /// Over a websocket.
    Remote(Socket),
    /// Inside the process.
    #[cfg(feature = "embedded")]
    Local(LocalApp),
}

impl AdminLink {
    /// One request, one response; a response of type `Error` is an error.
    pub(crate) async fn request(&self, request: AdminRequest, timeout: Duration) -> Result<AdminResponse, LinkError> {
        let response = match self {
            Self::Remote(socket) => socket.request(request, timeout).await?,
            #[cfg(feature = "embedded")]
            Self::Local(local) => local.request(request, timeout).await?,
        };
        match response {
            AdminResponse::Error(error) => Err(refused(error)),
            response => Ok(response),
        }
    }

    /// Cancelled when the connection is lost.
    pub(crate) fn closed(&self) -> &CancellationToken {
        match self {
            Self::Remote(socket) => socket.closed(),
            #[cfg(feature = "embedded")]
            Self::Local(local) => local.closed(),
        }
    }
}

impl AppLink {
    /// Calls a zome function. Signed with the credentials; inside the process the agent itself calls and none are needed.
    pub(crate) async fn call(
        &self,
        call: ZomeCall,
        credentials: Option<&Credentials>,
        timeout: Duration,
    ) -> Result<ExternIO, LinkError> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Local(local) => local.call(call, timeout).await,
            Self::Remote(_) => {
                let credentials = credentials.ok_or_else(|| {
                    LinkError::Refused(ExternalApiWireError::ZomeCallUnauthorized("no credentials".into()))
                })?;
                let signed = credentials.sign(call).map_err(LinkError::Incomprehensible)?;
                match self.request(AppRequest::CallZome(Box::new(signed)), timeout).await? {
                    AppResponse::ZomeCalled(output) => Ok(*output),
                    _ => Err(LinkError::Incomprehensible("another response than asked for".into())),
                }
            }
        }
    }

    /// One request, one response; a response of type `Error` is an error.
    pub(crate) async fn request(&self, request: AppRequest, timeout: Duration) -> Result<AppResponse, LinkError> {
        let response = match self {
            Self::Remote(socket) => socket.request(request, timeout).await?,
            #[cfg(feature = "embedded")]
            Self::Local(local) => local.request(request, timeout).await?,
        };
        match response {
            AppResponse::Error(error) => Err(refused(error)),
            response => Ok(response),
        }
    }

    /// Cancelled when the connection is lost.
    pub(crate) fn closed(&self) -> &CancellationToken {
        match self {
            Self::Remote(socket) => socket.closed(),
            #[cfg(feature = "embedded")]
            Self::Local(local) => local.closed(),
        }
    }
}

impl LinkError {
    /// For a request to the administrative interface.
    pub(crate) fn into_admin(self, request: &'static str) -> ConductorError {
        match self {
            Self::Closed => ConductorError::Disconnected { function: request },
            Self::TimedOut => ConductorError::CallTimeout { function: request, after: ADMIN_TIMEOUT },
            Self::Incomprehensible(_) => ConductorError::ConductorTooOld { request },
            Self::Refused(error) => ConductorError::AdminRefused { request, problem: wire_text(error) },
        }
    }
}

/// The text in an error of the conductor's, whichever kind it is.
pub(crate) fn wire_text(error: ExternalApiWireError) -> String {
    use ExternalApiWireError::*;
    match error {
        InternalError(text)
        | Deserialization(text)
        | DnaReadError(text)
        | RibosomeError(text)
        | ZomeCallAuthenticationFailed(text)
        | ZomeCallUnauthorized(text)
        | CountersigningSessionError(text) => text,
    }
}

fn refused(error: ExternalApiWireError) -> LinkError {
    match error {
        ExternalApiWireError::Deserialization(text) => LinkError::Incomprehensible(text),
        error => LinkError::Refused(error),
    }
}
