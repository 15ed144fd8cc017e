//! `GET /v1/models`: what can be asked.

use crate::admin::segment;
use crate::router::Api;
use crate::ApiError;
use ainonymous_node::ModelEntry;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::Json;
use serde::Serialize;

/// All of them.
pub(crate) async fn models(State(api): State<Api>) -> Json<ModelList> {
    let models = api.backend().models().await;
    let data = models.into_iter().map(|model| ModelView::new(model, api.started_s())).collect();
    Json(ModelList { object: "list", data })
}

/// One of them.
pub(crate) async fn model(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelView>, ApiError> {
    let name = segment("model", name)?;
    let models = api.backend().models().await;
    let known = models.iter().map(|model| model.id.clone()).collect();
    let found = models.into_iter().find(|model: &ModelEntry| model.id == name);
    found.map(|model| Json(ModelView::new(model, api.started_s()))).ok_or(ApiError::UnknownModel { model: name, known })
}

/// Models that can be asked.
#[derive(Debug, Serialize)]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<ModelView>,
}

/// A model that can be asked.
#[derive(Debug, Serialize)]
pub(crate) struct ModelView {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    context_length: u32,
    ainonymous: ModelExtension,
}

#[derive(Debug, Serialize)]
struct ModelExtension {
    local: bool,
    providers: Vec<String>,
    file_bytes: u64,
    gguf_hash: String,
}

impl ModelView {
    /// `created` is when this API began to list it: nobody knows when a model was made.
    fn new(model: ModelEntry, created: u64) -> Self {
        let ModelEntry { id, local, providers, context_tokens, file_bytes, gguf_hash } = model;
        Self {
            id,
            object: "model",
            created,
            owned_by: if local { "local" } else { "peers" },
            context_length: context_tokens,
            ainonymous: ModelExtension { local, providers, file_bytes, gguf_hash },
        }
    }
}
