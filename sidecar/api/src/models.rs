//! `GET /v1/models`: what can be asked, in the shape of the dialect that asks.

use crate::admin::segment;
use crate::router::Api;
use crate::{anthropic, catalogue, openai, ApiError};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;

/// All of them.
pub(crate) async fn models(
    State(api): State<Api>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let models = catalogue::listed(&api).await;
    Ok(match anthropic::is_spoken(&headers) {
        true => Json(anthropic::model_page(&models, api.started_s(), query.as_deref())?).into_response(),
        false => Json(openai::model_list(models, api.started_s())).into_response(),
    })
}

/// One of them.
pub(crate) async fn model(
    State(api): State<Api>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let name = segment("model", name)?;
    let mut models = catalogue::listed(&api).await;
    let Some(at) = models.iter().position(|model| model.id == name) else {
        return Err(catalogue::unknown(&name, &models));
    };
    let model = models.swap_remove(at);
    Ok(match anthropic::is_spoken(&headers) {
        true => Json(anthropic::model(&model, api.started_s())).into_response(),
        false => Json(openai::model(model, api.started_s())).into_response(),
    })
}
