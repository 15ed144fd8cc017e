//! The coordinator's functions, one typed method each.
//!
//! Reads and signals run side by side; writes queue up, for concurrent commits to one chain fail in Holochain. A read
//! that loses its connection is tried once more when it is back; a write is not: nobody knows whether it happened.

use crate::audits::AUDIT_FUNCTIONS;
use crate::conductor::Shared;
use crate::link::{wire_text, LinkError, ZomeCall};
use crate::session::{self, Session};
use crate::{Conductor, ConductorError};
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, AgentStanding, AnswerInput, BucketMember, BucketQuery, CapabilityInput, EntryHash,
    LinkClaim, LinkProof, Membership, ModelSpec, ModelSpecRecord, OpenRequest, OwnPlaces, PlacesInput, PostedAnswer,
    ProviderRecord, Receipt, ReceiptBatch, ReceiptBatchRecord, RequestInput, Revocation, RevocationRecord, SendSignal,
    SignedReceipt, SpecRef, Topic, COORDINATOR_ZOME,
};
use holochain_conductor_api::ExternalApiWireError;
use holochain_types::prelude::ExternIO;
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Payloads without a bound of their own are small.
pub(crate) const SMALL_BYTES_MAX: usize = 64 << 10;
/// Room for what surrounds a prompt or a signal.
const FRAME_BYTES_MAX: usize = 128 << 10;
/// How long a read waits for a lost connection to come back.
const RECONNECT_WAIT: Duration = Duration::from_secs(2);
/// Longest time for the first call after a start.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a write is tried if something else was committed at the same moment; then nothing of it was written.
const WRITE_ATTEMPTS: u32 = 4;
/// Longest text of a rejection that is passed on.
const PROBLEM_BYTES_MAX: usize = 1_024;

/// A zome function as it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    kind: Kind,
    max_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Changes nothing: may be repeated.
    Read,
    /// Changes nothing here, but others see it: not repeated.
    Send,
    /// Commits to the source chain.
    Write,
}

pub(crate) const fn read(name: &'static str) -> Function {
    Function { name, kind: Kind::Read, max_bytes: SMALL_BYTES_MAX }
}

pub(crate) const fn write(name: &'static str, max_bytes: usize) -> Function {
    Function { name, kind: Kind::Write, max_bytes }
}

const CREATE_MODEL_SPEC: Function = write("create_model_spec", SMALL_BYTES_MAX);
const GET_ALL_MODEL_SPECS: Function = read("get_all_model_specs");
const PUT_CAPABILITY: Function = write("put_capability", SMALL_BYTES_MAX);
const GET_MY_CAPABILITY: Function = read("get_my_capability");
const DELETE_MY_CAPABILITY: Function = write("delete_my_capability", SMALL_BYTES_MAX);
const GET_PROVIDERS: Function = read("get_providers");
const GET_PROVIDER: Function = read("get_provider");
const GET_BUCKET: Function = read("get_bucket");
const GET_MY_PLACES: Function = read("get_my_places");
const PUT_PLACES: Function = write("put_places", SMALL_BYTES_MAX);
const GET_PROVIDERS_FOR_MODEL_SPEC: Function = read("get_providers_for_model_spec");
const CREATE_REQUEST: Function = write("create_request", limits::PROMPT_BYTES_MAX + FRAME_BYTES_MAX);
const GET_OPEN_REQUESTS: Function = read("get_open_requests");
const OPEN_REQUEST: Function = read("open_request");
const CREATE_ANSWER: Function = write("create_answer", limits::SEALED_ANSWER_BYTES_MAX);
const GET_ANSWER: Function = read("get_answer");
const SIGN_RECEIPT: Function = read("sign_receipt");
const CREATE_RECEIPT_BATCH: Function = write("create_receipt_batch", SMALL_BYTES_MAX);
const GET_RECEIPT_BATCH: Function = read("get_receipt_batch");
const IS_HELD_BY_PEERS: Function = read("is_held_by_peers");
const SEND_SIGNAL: Function =
    Function { name: "send_signal", kind: Kind::Send, max_bytes: limits::SIGNAL_BYTES_MAX + SMALL_BYTES_MAX };
const GET_AGENT_STANDING: Function = read("get_agent_standing");
const GET_MEMBERSHIP: Function = read("get_membership");
const GET_REVOCATIONS: Function = read("get_revocations");
const CREATE_REVOCATION: Function = write("create_revocation", SMALL_BYTES_MAX);
const SIGN_LINK: Function = read("sign_link");

/// Everything that the sidecar calls: what it is granted when it attaches.
pub(crate) fn sidecar_functions() -> impl Iterator<Item = Function> {
    FUNCTIONS.into_iter().chain(AUDIT_FUNCTIONS)
}

const FUNCTIONS: [Function; 26] = [
    CREATE_MODEL_SPEC,
    GET_ALL_MODEL_SPECS,
    PUT_CAPABILITY,
    GET_MY_CAPABILITY,
    DELETE_MY_CAPABILITY,
    GET_PROVIDERS,
    GET_PROVIDER,
    GET_BUCKET,
    GET_MY_PLACES,
    PUT_PLACES,
    GET_PROVIDERS_FOR_MODEL_SPEC,
    CREATE_REQUEST,
    GET_OPEN_REQUESTS,
    OPEN_REQUEST,
    CREATE_ANSWER,
    GET_ANSWER,
    SIGN_RECEIPT,
    CREATE_RECEIPT_BATCH,
    GET_RECEIPT_BATCH,
    IS_HELD_BY_PEERS,
    SEND_SIGNAL,
    GET_AGENT_STANDING,
    GET_MEMBERSHIP,
    GET_REVOCATIONS,
    CREATE_REVOCATION,
    SIGN_LINK,
];

impl Conductor {
    /// How often each zome function was called so far.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a model spec down, or finds the same one written before.
    pub async fn create_model_spec(&self, spec: ModelSpec) -> Result<SpecRef, ConductorError> {
        self.call(CREATE_MODEL_SPEC, &spec).await
    }

    /// Every model spec on the network.
    pub async fn get_all_model_specs(&self) -> Result<Vec<ModelSpecRecord>, ConductorError> {
        self.call(GET_ALL_MODEL_SPECS, &()).await
    }

    /// Announces what this node offers, in place of what it announced before.
    pub async fn put_capability(&self, capability: CapabilityInput) -> Result<ActionHash, ConductorError> {
        self.call(PUT_CAPABILITY, &capability).await
    }

    /// What this node announces.
    pub async fn get_my_capability(&self) -> Result<Option<ProviderRecord>, ConductorError> {
        self.call(GET_MY_CAPABILITY, &()).await
    }

    /// Withdraws what this node announces.
    pub async fn delete_my_capability(&self) -> Result<(), ConductorError> {
        self.call(DELETE_MY_CAPABILITY, &()).await
    }

    /// Who offers something, by versions of capabilities that buckets name; at most [`limits::BUCKET_MEMBERS_MAX`] at a time.
    pub async fn get_providers(&self, versions: &[ActionHash]) -> Result<Vec<ProviderRecord>, ConductorError> {
        self.call(GET_PROVIDERS, &versions.to_vec()).await
    }

    /// What one agent offers.
    pub async fn get_provider(&self, agent: AgentPubKey) -> Result<Option<ProviderRecord>, ConductorError> {
        self.call(GET_PROVIDER, &agent).await
    }

    /// Who is linked from a bucket.
    pub async fn get_bucket(&self, query: BucketQuery) -> Result<Vec<BucketMember>, ConductorError> {
        self.call(GET_BUCKET, &query).await
    }

    /// Under which of these topics this node is linked, and how deep.
    pub async fn get_my_places(&self, topics: Vec<Topic>) -> Result<OwnPlaces, ConductorError> {
        self.call(GET_MY_PLACES, &topics).await
    }

    /// Links what this node offers from where it is looked for, and from nowhere else.
    pub async fn put_places(&self, places: PlacesInput) -> Result<OwnPlaces, ConductorError> {
        self.call(PUT_PLACES, &places).await
    }

    /// Providers of a model spec that everybody is shown: all of them in a small network.
    pub async fn get_providers_for_model_spec(&self, spec: EntryHash) -> Result<Vec<ProviderRecord>, ConductorError> {
        self.call(GET_PROVIDERS_FOR_MODEL_SPEC, &spec).await
    }

    /// Posts a question, sealed to its assignee.
    pub async fn create_request(&self, request: RequestInput) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_REQUEST, &request).await
    }

    /// The posted questions that wait for this node.
    pub async fn get_open_requests(&self) -> Result<Vec<OpenRequest>, ConductorError> {
        self.call(GET_OPEN_REQUESTS, &()).await
    }

    /// One posted question, opened; none if it is not (yet) to be found.
    pub async fn open_request(&self, request: ActionHash) -> Result<Option<OpenRequest>, ConductorError> {
        self.call(OPEN_REQUEST, &request).await
    }

    /// Posts an answer, sealed to the requester.
    pub async fn create_answer(&self, answer: AnswerInput) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_ANSWER, &answer).await
    }

    /// The answer to a posted question of ours; none if there is none yet.
    pub async fn get_answer(&self, request: ActionHash) -> Result<Option<PostedAnswer>, ConductorError> {
        self.call(GET_ANSWER, &request).await
    }

    /// Signs a receipt with the agent key. Writes nothing.
    pub async fn sign_receipt(&self, receipt: Receipt) -> Result<SignedReceipt, ConductorError> {
        self.call(SIGN_RECEIPT, &receipt).await
    }

    /// Publishes the root over many receipts.
    pub async fn create_receipt_batch(&self, batch: ReceiptBatch) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_RECEIPT_BATCH, &batch).await
    }

    /// A batch by its action; none if it is not (yet) to be found or not valid.
    pub async fn get_receipt_batch(&self, batch: ActionHash) -> Result<Option<ReceiptBatchRecord>, ConductorError> {
        self.call(GET_RECEIPT_BATCH, &batch).await
    }

    /// Whether a peer has validated and keeps a record that this node wrote.
    pub async fn is_held_by_peers(&self, action: ActionHash) -> Result<bool, ConductorError> {
        self.call(IS_HELD_BY_PEERS, &action).await
    }

    /// Says something to peers. Best effort: that it was sent does not mean that it arrived.
    pub async fn send_signal(&self, signal: SendSignal) -> Result<(), ConductorError> {
        self.call(SEND_SIGNAL, &signal).await
    }

    /// What the network knows about an agent.
    pub async fn get_agent_standing(&self, agent: AgentPubKey) -> Result<AgentStanding, ConductorError> {
        self.call(GET_AGENT_STANDING, &agent).await
    }

    /// How an agent joined this network; says nothing of revocations.
    pub async fn get_membership(&self, agent: AgentPubKey) -> Result<Membership, ConductorError> {
        self.call(GET_MEMBERSHIP, &agent).await
    }

    /// Everybody whom the network's founders have shut out.
    pub async fn get_revocations(&self) -> Result<Vec<RevocationRecord>, ConductorError> {
        self.call(GET_REVOCATIONS, &()).await
    }

    /// Shuts somebody out, if we are a founder. It is for ever.
    pub async fn create_revocation(&self, revocation: Revocation) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_REVOCATION, &revocation).await
    }

    /// Signs with the agent key that it is us who ask on a direct connection. Writes nothing.
    pub async fn sign_link(&self, claim: LinkClaim) -> Result<LinkProof, ConductorError> {
        self.call(SIGN_LINK, &claim).await
    }

    /// Calls a function and decodes what it gives back.
    pub(crate) async fn call<I, O>(&self, function: Function, input: &I) -> Result<O, ConductorError>
    where
        I: Serialize + std::fmt::Debug,
        O: DeserializeOwned + std::fmt::Debug,
    {
        let Function { name, kind, max_bytes } = function;
        let wrong_shape = |problem: String| ConductorError::WrongShape { function: name, problem };
        let payload = ExternIO::encode(input).map_err(|e| wrong_shape(e.to_string()))?;
        let bytes = payload.as_bytes().len();
        if bytes > max_bytes {
            return Err(ConductorError::TooLarge { function: name, bytes, max: max_bytes });
        }
        *self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        let output = match kind {
            Kind::Read => self.call_read(name, payload).await,
            Kind::Send => {
                let session = self.some_session(name).await?;
                call_once(&self.shared, &session, name, payload, self.shared.call_timeout).await
            }
            Kind::Write => self.call_write(name, payload).await,
        }?;
        output.decode().map_err(|e| wrong_shape(e.to_string()))
    }

    async fn call_read(&self, name: &'static str, payload: ExternIO) -> Result<ExternIO, ConductorError> {
        let (session, timeout) = (self.some_session(name).await?, self.shared.call_timeout);
        match call_once(&self.shared, &session, name, payload.clone(), timeout).await {
            Err(ConductorError::Disconnected { .. }) => {}
            result => return result,
        }
        let session = self.next_session(name, &session).await?;
        call_once(&self.shared, &session, name, payload, timeout).await
    }

    async fn call_write(&self, name: &'static str, payload: ExternIO) -> Result<ExternIO, ConductorError> {
        let timeout = self.shared.call_timeout;
        let timed_out = |_| ConductorError::CallTimeout { function: name, after: timeout };
        let _turn = tokio::time::timeout(timeout, self.shared.writes.lock()).await.map_err(timed_out)?;
        let mut attempt = 1;
        loop {
            let session = self.some_session(name).await?;
            match call_once(&self.shared, &session, name, payload.clone(), timeout).await {
                Err(ConductorError::CallRejected { problem, .. })
                    if is_head_moved(&problem) && attempt < WRITE_ATTEMPTS =>
                {
                    tracing::debug!(function = name, attempt, "something else was committed at the same moment");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// The session, or the next one if it is just being renewed: nothing was sent yet, so waiting is safe for every call.
    async fn some_session(&self, name: &'static str) -> Result<Arc<Session>, ConductorError> {
        let gone = match self.session(name) {
            Err(e @ ConductorError::Disconnected { .. }) => e,
            other => return other,
        };
        let mut sessions = self.shared.session.subscribe();
        let next = tokio::time::timeout(RECONNECT_WAIT, sessions.wait_for(Option::is_some)).await;
        match next {
            Ok(Ok(session)) => session.clone().ok_or(gone),
            Ok(Err(_)) | Err(_) => Err(gone),
        }
    }

    /// The session after the given one, if it comes soon.
    async fn next_session(&self, name: &'static str, lost: &Arc<Session>) -> Result<Arc<Session>, ConductorError> {
        let mut sessions = self.shared.session.subscribe();
        let is_next = |s: &Option<Arc<Session>>| s.as_ref().is_some_and(|s| !Arc::ptr_eq(s, lost));
        let next = tokio::time::timeout(RECONNECT_WAIT, sessions.wait_for(is_next)).await;
        match next {
            Ok(Ok(session)) => session.clone().ok_or(ConductorError::Disconnected { function: name }),
            Ok(Err(_)) | Err(_) => Err(ConductorError::Disconnected { function: name }),
        }
    }

    /// Makes the conductor run `init` and compile the zomes. The caller holds the turn to write.
    pub(crate) async fn warm_up(shared: &Shared, session: &Session) -> Result<(), ConductorError> {
        let nothing = ExternIO::encode(())
            .map_err(|e| ConductorError::WrongShape { function: GET_MY_CAPABILITY.name, problem: e.to_string() })?;
        call_once(shared, session, GET_MY_CAPABILITY.name, nothing, WARM_UP_TIMEOUT).await.map(drop)
    }
}

/// One call over one session; credentials that the conductor no longer knows are granted anew, once.
async fn call_once(
    shared: &Shared,
    session: &Session,
    name: &'static str,
    payload: ExternIO,
    timeout: Duration,
) -> Result<ExternIO, ConductorError> {
    let credentials = shared.credentials();
    let call = ZomeCall { cell: session.cell.clone(), function: name, payload };
    let first = session.app.call(call.clone(), credentials.as_deref(), timeout).await;
    let result = match (first, credentials) {
        (Err(LinkError::Refused(ExternalApiWireError::ZomeCallUnauthorized(_))), Some(_)) => {
            tracing::info!("the conductor no longer knows our credentials; asking for new ones");
            let granted = Arc::new(session::grant(&session.admin, &session.cell).await?);
            shared.set_credentials(Some(granted.clone()));
            session.app.call(call, Some(granted.as_ref()), timeout).await
        }
        (first, _) => first,
    };
    result.map_err(|error| call_error(name, timeout, error))
}

fn call_error(function: &'static str, after: Duration, error: LinkError) -> ConductorError {
    use ExternalApiWireError as Wire;
    match error {
        LinkError::Closed => ConductorError::Disconnected { function },
        LinkError::TimedOut => ConductorError::CallTimeout { function, after },
        LinkError::Incomprehensible(problem) => ConductorError::WrongShape { function, problem },
        LinkError::Refused(Wire::ZomeCallUnauthorized(_) | Wire::ZomeCallAuthenticationFailed(_)) => {
            ConductorError::NotAuthorised { function }
        }
        LinkError::Refused(error) => {
            let text = wire_text(error);
            if text.contains("Attempted to call a zome function that doesn't exist") {
                let problem = format!("the hApp has no function '{function}' in its zome '{COORDINATOR_ZOME}'");
                return ConductorError::WrongShape { function, problem };
            }
            ConductorError::CallRejected { function, problem: essence(&text) }
        }
    }
}

/// Holochain's words for a commit that came second; nothing was written then.
fn is_head_moved(problem: &str) -> bool {
    problem.contains("head has moved") || problem.contains("HeadMoved")
}

/// What a zome or validation said, out of the layers that Holochain wraps around it.
pub(crate) fn essence(text: &str) -> String {
    let inner = ["Guest(\"", "InvalidCommit(\""].iter().find_map(|opening| {
        let start = text.find(opening)? + opening.len();
        let rest = &text[start..];
        Some(&rest[..rest.find("\")").unwrap_or(rest.len())])
    });
    let mut text = inner.unwrap_or(text).replace("\\\"", "\"").replace("\\n", " ");
    if text.len() > PROBLEM_BYTES_MAX {
        let end = (0..=PROBLEM_BYTES_MAX).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_essence_of_a_rejection() {
        let text = r#"Wasm runtime error while working with Ribosome: RuntimeError: WasmError { file: "x.rs", line: 3, error: Guest("the batch names \"another\" spec") }"#;
        assert_eq!(essence(text), r#"the batch names "another" spec"#);
        assert_eq!(essence("plain"), "plain");
        assert_eq!(essence(&"ä".repeat(5_000)).chars().count(), PROBLEM_BYTES_MAX / 2 + 1);
    }

    #[test]
    fn every_function_is_granted_once() {
        let names: HashSet<_> = sidecar_functions().map(|f| f.name).collect();
        assert_eq!(names.len(), sidecar_functions().count());
        assert!(crate::UI_FUNCTIONS.iter().all(|f| names.contains(f)));
        let writes = |name| sidecar_functions().any(|f| f.name == name && f.kind == Kind::Write);
        assert!(!crate::UI_FUNCTIONS.into_iter().any(writes), "a page never writes");
    }

    #[test]
    fn every_payload_fits_into_a_websocket_frame() {
        assert!(sidecar_functions().all(|f| f.max_bytes < 16 << 20));
    }
}
