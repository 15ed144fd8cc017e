//! What the owner does with the node from its page: peers, counts over time, pulls, pausing, the end.
//!
//! Reading follows the rules of the rest of the API. What changes the node needs the page's token on top: it stands only in the
//! page, which is given to whoever showed the key that `ainonymous up` printed. An API key is not enough, because keys are
//! handed to programs that may ask and nothing more.

use crate::router::Api;
use crate::{body, question, ApiError};
use ainonymous_node::{KnownPeers, Offer, Pull, Timeline};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::Json;
use serde::Serialize;
use serde_json::{json, Value};

/// The header that the page's token comes in.
const TOKEN: &str = "x-ainonymous-token";
/// Longest name of a model that is pulled, in bytes: addresses are long.
const NAME_BYTES_MAX: usize = 2_048;

/// `GET /ainonymous/v1/peers`.
pub(crate) async fn peers(State(api): State<Api>) -> Json<KnownPeers> {
    Json(api.backend().peers().await)
}

/// `GET /ainonymous/v1/timeline`.
pub(crate) async fn timeline(State(api): State<Api>) -> Json<Timeline> {
    Json(api.backend().timeline())
}

#[derive(Serialize)]
pub(crate) struct Catalogue {
    models: Vec<Offer>,
}

/// `GET /ainonymous/v1/catalogue`.
pub(crate) async fn catalogue(State(api): State<Api>) -> Json<Catalogue> {
    Json(Catalogue { models: api.backend().catalogue().await })
}

#[derive(Serialize)]
pub(crate) struct Pulls {
    pulls: Vec<Pull>,
}

/// `GET /ainonymous/v1/pulls`.
pub(crate) async fn pulls(State(api): State<Api>) -> Json<Pulls> {
    Json(Pulls { pulls: api.backend().pulls() })
}

/// `POST /ainonymous/v1/pulls`: answers at once; the list says how far it is.
pub(crate) async fn pull(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Json<Pull>, ApiError> {
    admitted(&api, &headers)?;
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let model = fields.string("model")?.ok_or(ApiError::Missing { param: "model".into() })?;
    if model.len() > NAME_BYTES_MAX {
        return Err(ApiError::invalid("model", format!("is longer than {NAME_BYTES_MAX} bytes")));
    }
    Ok(Json(api.backend().pull(&model)?))
}

/// `POST /ainonymous/v1/pulls/cancel`.
pub(crate) async fn cancel_pull(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    admitted(&api, &headers)?;
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let id = fields.integer("id", 0, i64::MAX)?.ok_or(ApiError::Missing { param: "id".into() })?;
    api.backend().cancel_pull(u64::try_from(id).unwrap_or_default())?;
    Ok(Json(json!({ "cancelled": id })))
}

/// `POST /ainonymous/v1/pause`: whether questions of peers are refused for now.
pub(crate) async fn pause(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Json<Value>, ApiError> {
    admitted(&api, &headers)?;
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let paused = fields.boolean("paused")?.ok_or(ApiError::Missing { param: "paused".into() })?;
    api.backend().set_paused(paused);
    Ok(Json(json!({ "paused": paused })))
}

/// `POST /ainonymous/v1/stop`: answers, then the node finishes what runs and ends.
pub(crate) async fn stop(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Value>, ApiError> {
    admitted(&api, &headers)?;
    api.backend().want_end();
    Ok(Json(json!({ "stopping": true })))
}

/// Whether the page's token was shown.
pub(crate) fn admitted(api: &Api, headers: &HeaderMap) -> Result<(), ApiError> {
    let shown = headers.get(TOKEN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    api.page_key().is_token(shown).then_some(()).ok_or(ApiError::NoPageToken)
}
