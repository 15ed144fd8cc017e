//! Talks to the conductor inside this process without any socket.
//!
//! Every request runs on a task of its own: whoever gives up waiting must not stop the conductor in mid-commit.

use crate::link::{LinkError, ZomeCall};
use ainonymous_types::{AgentPubKey, COORDINATOR_ZOME};
use holochain::conductor::api::{AdminInterfaceApi, AppInterfaceApi};
use holochain::conductor::interface::error::{InterfaceError, InterfaceResult};
use holochain::conductor::ConductorHandle;
use holochain_conductor_api::{AdminRequest, AdminResponse, AppRequest, AppResponse, ExternalApiWireError};
use holochain_types::prelude::{ExternIO, Nonce256Bits, Timestamp, ZomeCallParams, ZomeCallResponse};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A call must be answered before its parameters expire; generous, for the nonce never leaves the process.
const CALL_EXPIRES_AFTER: Duration = Duration::from_secs(300);

/// A conductor in this process, administered.
#[derive(Clone)]
pub(crate) struct LocalAdmin {
    conductor: ConductorHandle,
    closed: CancellationToken,
}

/// A conductor in this process, used by one app.
#[derive(Clone)]
pub(crate) struct LocalApp {
    conductor: ConductorHandle,
    app_id: String,
    agent: AgentPubKey,
    closed: CancellationToken,
}

impl LocalAdmin {
    pub(crate) fn new(conductor: ConductorHandle, closed: CancellationToken) -> Self {
        Self { conductor, closed }
    }

    pub(crate) async fn request(&self, request: AdminRequest, timeout: Duration) -> Result<AdminResponse, LinkError> {
        let api = AdminInterfaceApi::new(self.conductor.clone());
        within(timeout, &self.closed, Box::pin(async move { readable(api.handle_request(Ok(request)).await) })).await
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

impl LocalApp {
    pub(crate) fn new(
        conductor: ConductorHandle,
        app_id: String,
        agent: AgentPubKey,
        closed: CancellationToken,
    ) -> Self {
        Self { conductor, app_id, agent, closed }
    }

    pub(crate) async fn request(&self, request: AppRequest, timeout: Duration) -> Result<AppResponse, LinkError> {
        let (api, app_id) = (AppInterfaceApi::new(self.conductor.clone()), self.app_id.clone());
        let handled = async move { readable(Box::pin(api.handle_request(app_id, Ok(request))).await) };
        within(timeout, &self.closed, Box::pin(handled)).await
    }

    /// Calls a function as the agent itself.
    pub(crate) async fn call(&self, call: ZomeCall, timeout: Duration) -> Result<ExternIO, LinkError> {
        let ZomeCall { cell, function, payload } = call;
        let params = ZomeCallParams {
            provenance: self.agent.clone(),
            cell_id: cell,
            zome_name: COORDINATOR_ZOME.into(),
            fn_name: function.into(),
            cap_secret: None,
            payload,
            nonce: Nonce256Bits::from(rand::random::<[u8; 32]>()),
            expires_at: Timestamp::now().saturating_add(&CALL_EXPIRES_AFTER),
        };
        let conductor = self.conductor.clone();
        let called = async move {
            match conductor.call_zome(params).await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(error)) => Err(LinkError::Refused(error.into())),
                Err(error) => Err(LinkError::Refused(error.into())),
            }
        };
        match within(timeout, &self.closed, Box::pin(called)).await? {
            ZomeCallResponse::Ok(output) => Ok(output),
            ZomeCallResponse::AuthenticationFailed(..) | ZomeCallResponse::Unauthorized(..) => {
                Err(LinkError::Refused(ExternalApiWireError::ZomeCallUnauthorized(call_name(function))))
            }
            ZomeCallResponse::NetworkError(text) => Err(LinkError::Refused(ExternalApiWireError::RibosomeError(text))),
            ZomeCallResponse::CountersigningSession(text) => {
                Err(LinkError::Refused(ExternalApiWireError::CountersigningSessionError(text)))
            }
        }
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

fn call_name(function: &str) -> String {
    format!("call of {function}")
}

fn readable<R>(result: InterfaceResult<R>) -> Result<R, LinkError> {
    result.map_err(|error| match error {
        InterfaceError::SerializedBytes(error) => LinkError::Incomprehensible(error.to_string()),
        _ => LinkError::Closed,
    })
}

/// Runs the work on its own task and waits for it, but not past the timeout or the conductor's end.
async fn within<R: Send + 'static>(
    timeout: Duration,
    closed: &CancellationToken,
    work: Pin<Box<dyn Future<Output = Result<R, LinkError>> + Send>>,
) -> Result<R, LinkError> {
    if closed.is_cancelled() {
        return Err(LinkError::Closed);
    }
    let task = tokio::spawn(work);
    tokio::select! {
        biased;
        result = tokio::time::timeout(timeout, task) => match result {
            Ok(Ok(result)) => result,
            // The conductor panicked in there; it has told the log.
            Ok(Err(_)) => Err(LinkError::Closed),
            Err(_) => Err(LinkError::TimedOut),
        },
        () = closed.cancelled() => Err(LinkError::Closed),
    }
}

impl std::fmt::Debug for LocalAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalAdmin").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LocalApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalApp").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}
