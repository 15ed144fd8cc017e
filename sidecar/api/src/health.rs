//! Whether the node can answer, for people, scripts and supervisors.

use crate::router::Api;
use ainonymous_node::{LocalModelState, Phase, Status};
use axum::extract::State;
use axum::http::{header, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde::Serialize;

/// Seconds after which it makes sense to look again.
pub(crate) const RETRY_AFTER_S: u32 = 1;

/// How the node is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Health {
    /// `ok`, `degraded`, `starting`, `unavailable` or `draining`.
    pub(crate) status: &'static str,
    /// Why, unless it is `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Health {
    /// Whether questions can be answered.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.status, "ok" | "degraded")
    }

    /// Judges a status.
    pub(crate) fn of(status: &Status) -> Self {
        let with = |status, reason: String, hint: String| Self { status, reason: Some(reason), hint: Some(hint) };
        match &status.phase {
            Phase::Running if can_answer(status) => Self { status: "ok", reason: None, hint: None },
            Phase::Running => with(
                "unavailable",
                what_is_starting(status),
                "ask again when a peer was found; `ainonymous status` shows how far the network is".into(),
            ),
            Phase::Starting => with(
                "starting",
                what_is_starting(status),
                "ask again in a moment; `ainonymous status` shows the progress".into(),
            ),
            Phase::Degraded { problem, hint, .. } => {
                let state = if can_answer(status) { "degraded" } else { "unavailable" };
                with(state, problem.clone(), hint.clone())
            }
            Phase::Draining => {
                with("draining", "the node is stopping".into(), "start the node again with `ainonymous up`".into())
            }
        }
    }
}

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "ok", reason: None, hint: None })
}

/// `GET /readyz` and `GET /health`: the node answers questions, or says why not.
pub(crate) async fn ready(State(api): State<Api>) -> Response {
    let health = Health::of(&api.backend().status());
    if health.is_ready() {
        return Json(health).into_response();
    }
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    response
}

fn can_answer(status: &Status) -> bool {
    status.network.as_ref().is_some_and(|network| network.is_ready())
        || status
            .models
            .iter()
            .any(|model| matches!(model.state, LocalModelState::Ready { .. } | LocalModelState::Resting))
}

fn what_is_starting(status: &Status) -> String {
    let mut parts = Vec::new();
    match &status.network {
        Some(network) if network.is_ready() => {}
        Some(network) => parts.push(format!("network {network}")),
        None => parts.push("the conductor is starting".into()),
    }
    for model in status.models.iter().filter(|model| matches!(model.state, LocalModelState::Loading)) {
        parts.push(format!("model {} is loading", model.id));
    }
    if parts.is_empty() {
        parts.push("the node is starting".into());
    }
    parts.join("; ")
}
