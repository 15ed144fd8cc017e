//! Networks of this node, for its page: which there are, who is in the one that runs, inviting, joining, shutting out.
//!
//! Everything here wants the page's token, reading too: which networks a node is in and who it is in each of them is nobody
//! else's business, and an API key is for programs that ask questions. How networks are kept and how keys are opened is known
//! to whoever implements [`Networks`]; an invite's text passes through and is never logged or kept here.

use crate::manage::admitted;
use crate::router::Api;
use crate::{body, question, ApiError};
use ainonymous_node::Roster;
use ainonymous_types::limits::{INVITE_TEXT_BYTES_MAX, NETWORK_NAME_BYTES_MAX, SERVER_URL_BYTES_MAX, WORK_BITS_MAX};
use ainonymous_types::NetworkKind;
use async_trait::async_trait;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::Json;
use serde::Serialize;

/// Shortest time that an invite made here can be taken up, in seconds.
const INVITE_S_MIN: i64 = 60;
/// Longest: ten years.
const INVITE_S_MAX: i64 = 3_650 * 24 * 3_600;
/// Longest agent key in text, in bytes.
const AGENT_BYTES_MAX: usize = 64;

/// What the page can do with networks; whoever runs the API knows how.
#[async_trait]
pub trait Networks: Send + Sync + 'static {
    /// Those of this node.
    fn list(&self) -> Result<NetworkList, NetworkRefused>;
    /// Makes one, whose founder this node is. Nothing is published before it is started.
    async fn create(&self, wish: NewNetwork) -> Result<NetworkView, NetworkRefused>;
    /// Invites to one.
    async fn invite(&self, wish: InviteWish) -> Result<MadeInvite, NetworkRefused>;
    /// Takes up an invite. Nothing is published before the network is started.
    async fn join(&self, invite: &str) -> Result<NetworkView, NetworkRefused>;
    /// Shuts an agent, or everybody who came with an invite, out of one.
    async fn revoke(&self, network: &str, whom: &str) -> Result<Revocation, NetworkRefused>;
}

/// Networks of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkList {
    /// The one that runs; none for the public one.
    pub running: Option<String>,
    /// Whether this node can make, join and invite: it needs a keystore of its own.
    pub can_change: bool,
    /// By name.
    pub networks: Vec<NetworkView>,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkView {
    /// Its name here: `ainonymous up --network` takes it.
    pub network: String,
    /// Its name as people write it.
    pub name: String,
    /// `public`, `private` or `lan`.
    pub kind: NetworkKind,
    /// Zero bits of the proof of work that every new agent has to do once; 0 where none is asked for.
    pub work_bits: u8,
    /// Its identity, in hexadecimal.
    pub id: String,
    /// Who this node is in it, as `uhCAk…`.
    pub agent: String,
    /// Whether this node invites and revokes there.
    pub is_founder: bool,
    /// All founders.
    pub founders: Vec<String>,
    /// Where its nodes find each other.
    pub bootstrap: String,
    /// Who forwards what cannot go directly, if that is another server.
    pub relay: Option<String>,
    /// Key of the invite that admits this node, in hexadecimal; none for founders and in public networks.
    pub invite: Option<String>,
    /// Invites that were made here.
    pub issued: Vec<IssuedInvite>,
    /// Whom this node shut out.
    pub revoked: Vec<Revocation>,
}

/// An invite that was made here, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IssuedInvite {
    /// Its key, in hexadecimal.
    pub key: String,
    /// When it ends. Microseconds since the epoch.
    pub expires_at: i64,
    /// The only agent that can use it.
    pub agent: Option<String>,
}

/// Somebody who was shut out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// An agent, or an invite's key in hexadecimal.
    pub revoked: String,
    /// `waiting` until a running node has published it, then `revoked`; `refused` by the network's rules.
    pub state: &'static str,
}

/// What a new network shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNetwork {
    /// As people write it.
    pub name: String,
    /// Who may join, and where nodes look for each other.
    pub kind: NetworkKind,
    /// Work of every new agent, in zero bits; only in a public network.
    pub work_bits: u8,
    /// Where nodes find each other; by default where this node does, or on the LAN.
    pub bootstrap: Option<String>,
}

/// What an invite shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteWish {
    /// To which network.
    pub network: String,
    /// How long it can be taken up, in seconds.
    pub lasts_s: i64,
    /// The only agent that may use it.
    pub agent: Option<String>,
}

/// A new invite. Whoever has its text can join.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct MadeInvite {
    /// To which network.
    pub network: String,
    /// What travels. Secret, unless the network is public.
    pub invite: String,
    /// Its key, in hexadecimal; empty in a public network.
    pub key: String,
    /// When it ends, in microseconds since the epoch; 0 in a public network, where nothing ends.
    pub expires_at: i64,
    /// The text as a QR code: rows of modules, `1` for dark ones; empty if it is too long for any.
    pub qr: Vec<String>,
}

impl std::fmt::Debug for MadeInvite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeInvite").field("network", &self.network).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why something about networks was not done, as whoever does it says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct NetworkRefused {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
    /// The node is at fault, and not what it was asked.
    pub is_ours: bool,
}

/// `GET /ainonymous/v1/networks`.
pub(crate) async fn list(State(api): State<Api>, headers: HeaderMap) -> Result<Json<NetworkList>, ApiError> {
    admitted(&api, &headers)?;
    Ok(Json(networks(&api)?.list()?))
}

/// `GET /ainonymous/v1/networks/members`: of the network that runs.
pub(crate) async fn members(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Roster>, ApiError> {
    admitted(&api, &headers)?;
    Ok(Json(api.backend().roster().await))
}

/// `POST /ainonymous/v1/networks`.
pub(crate) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<NetworkView>, ApiError> {
    admitted(&api, &headers)?;
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let name = bounded("name", fields.needed("name")?, NETWORK_NAME_BYTES_MAX)?;
    let kind = match fields.string("kind")?.as_deref() {
        None | Some("private") => NetworkKind::Private,
        Some("lan") => NetworkKind::Lan,
        Some("public") => NetworkKind::Public,
        Some(_) => return Err(ApiError::invalid("kind", "must be private, lan or public")),
    };
    let work_bits = fields.integer("work_bits", 0, WORK_BITS_MAX.into())?.unwrap_or(0);
    let work_bits = u8::try_from(work_bits).ok().filter(|bits| *bits == 0 || kind == NetworkKind::Public);
    let work_bits = work_bits.ok_or_else(|| ApiError::invalid("work_bits", "is for public networks only"))?;
    let bootstrap = fields.string("bootstrap")?.filter(|text| !text.is_empty());
    let bootstrap = bootstrap.map(|text| bounded("bootstrap", text, SERVER_URL_BYTES_MAX)).transpose()?;
    Ok(Json(networks(&api)?.create(NewNetwork { name, kind, work_bits, bootstrap }).await?))
}

/// `POST /ainonymous/v1/networks/invite`.
pub(crate) async fn invite(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<MadeInvite>, ApiError> {
    admitted(&api, &headers)?;
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let network = bounded("network", fields.needed("network")?, INVITE_TEXT_BYTES_MAX)?;
    let lasts_s = fields.integer("expires_s", INVITE_S_MIN, INVITE_S_MAX)?;
    let lasts_s = lasts_s.ok_or(ApiError::Missing { param: "expires_s".into() })?;
    let agent = fields.string("agent")?.filter(|text| !text.is_empty());
    let agent = agent.map(|text| bounded("agent", text, AGENT_BYTES_MAX)).transpose()?;
    Ok(Json(networks(&api)?.invite(InviteWish { network, lasts_s, agent }).await?))
}

/// `POST /ainonymous/v1/networks/join`.
pub(crate) async fn join(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<NetworkView>, ApiError> {
    admitted(&api, &headers)?;
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let invite = bounded("invite", fields.needed("invite")?, INVITE_TEXT_BYTES_MAX)?;
    Ok(Json(networks(&api)?.join(&invite).await?))
}

/// `POST /ainonymous/v1/networks/revoke`.
pub(crate) async fn revoke(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Revocation>, ApiError> {
    admitted(&api, &headers)?;
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let network = bounded("network", fields.needed("network")?, INVITE_TEXT_BYTES_MAX)?;
    let whom = bounded("whom", fields.needed("whom")?, INVITE_TEXT_BYTES_MAX)?;
    Ok(Json(networks(&api)?.revoke(&network, &whom).await?))
}

fn networks(api: &Api) -> Result<&dyn Networks, ApiError> {
    api.networks().ok_or(ApiError::NoNetworks)
}

/// A text of at least one and at most `max` bytes.
fn bounded(param: &str, text: String, max: usize) -> Result<String, ApiError> {
    match text.len() {
        0 => Err(ApiError::invalid(param, "is empty")),
        bytes if bytes > max => Err(ApiError::invalid(param, format!("has {bytes} bytes; at most {max} are allowed"))),
        _ => Ok(text),
    }
}
