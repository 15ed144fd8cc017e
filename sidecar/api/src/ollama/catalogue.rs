//! What Ollama's clients ask about models: which there are, which are loaded, what one of them is.

use super::request;
use crate::answer::shapes::rfc3339;
use crate::router::Api;
use crate::{body, question, ApiError};
use ainonymous_node::{LocalModelState, ModelEntry, ModelInfo};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::Json;
use serde_json::{json, Value};
use std::time::{Duration, UNIX_EPOCH};

/// `GET /api/version`.
pub(crate) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /api/tags`: models that can be asked, here or at peers.
pub(crate) async fn tags(State(api): State<Api>) -> Json<Value> {
    let models = api.backend().models().await;
    let models: Vec<Value> = models.iter().map(|model| entry(&api, model)).collect();
    Json(json!({ "models": models }))
}

/// `GET /api/ps`: models that are loaded here.
pub(crate) async fn loaded(State(api): State<Api>) -> Json<Value> {
    let models = api.backend().models().await;
    let loaded = models.iter().filter(|model| model.local).map(|model| {
        let mut entry = entry(&api, model);
        entry["context_length"] = model.context_tokens.into();
        entry["size_vram"] = 0.into();
        // They stay as long as the node runs.
        entry["expires_at"] = "9999-12-31T23:59:59Z".into();
        entry
    });
    Json(json!({ "models": loaded.collect::<Vec<_>>() }))
}

/// `POST /api/show`: one of them.
pub(crate) async fn show(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Json<Value>, ApiError> {
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let name = match request::model(&mut fields)? {
        Some(name) => name,
        // As older clients say it.
        None => fields.string("name")?.ok_or(ApiError::Missing { param: "model".into() })?,
    };
    let model = find(&api, Some(name)).await?;
    let entry = entry(&api, &model);
    let mut facts = json!({ "general.architecture": "", "general.parameter_count": null });
    if let Some(info) = info(&api, &model.id) {
        facts["general.architecture"] = info.architecture.as_str().into();
        facts["general.parameter_count"] = info.parameters.into();
        facts[format!("{}.context_length", info.architecture)] = info.context_trained.into();
        facts[format!("{}.block_count", info.architecture)] = info.layers.into();
    }
    Ok(Json(json!({
        "modified_at": entry["modified_at"],
        "details": entry["details"],
        "model_info": facts,
        "capabilities": ["completion", "tools"],
        "parameters": format!("num_ctx {}", model.context_tokens),
        "template": "",
        "license": "",
    })))
}

/// The model that a name means; without one, whichever is there.
pub(super) async fn find(api: &Api, name: Option<String>) -> Result<ModelEntry, ApiError> {
    let models = api.backend().models().await;
    let known: Vec<String> = models.iter().map(|model| model.id.clone()).collect();
    let fits = |model: &ModelEntry| match &name {
        None => true,
        Some(name) => model.id == *name || model.id.split(':').next() == Some(name.as_str()),
    };
    let unknown = || ApiError::UnknownModel { model: name.clone().unwrap_or_else(|| "any model".into()), known };
    models.into_iter().find(fits).ok_or_else(unknown)
}

fn entry(api: &Api, model: &ModelEntry) -> Value {
    let quantization = model.id.rsplit_once(':').map_or("", |(_, quantization)| quantization);
    let (family, parameters) = match info(api, &model.id) {
        Some(info) => (info.architecture.clone(), short_count(info.parameters)),
        None => (String::new(), String::new()),
    };
    // Nobody knows when a model was made: this is when the API began to list it.
    let listed = UNIX_EPOCH + Duration::from_secs(api.started_s());
    json!({
        "name": model.id,
        "model": model.id,
        "modified_at": rfc3339(listed),
        "size": model.file_bytes,
        "digest": model.gguf_hash,
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": family,
            "families": [family],
            "parameter_size": parameters,
            "quantization_level": quantization.to_uppercase(),
        },
    })
}

fn info(api: &Api, id: &str) -> Option<ModelInfo> {
    let models = api.backend().status().models;
    models.into_iter().find(|model| model.id == id).and_then(|model| match model.state {
        LocalModelState::Ready { info, engine: _ } => Some(*info),
        LocalModelState::Loading | LocalModelState::Resting | LocalModelState::Failed { .. } => None,
    })
}

/// `7.2B`, `271K`.
fn short_count(count: u64) -> String {
    let scaled = |unit: f64| format!("{:.1}", count as f64 / unit);
    match count {
        1_000_000_000.. => format!("{}B", scaled(1e9)),
        1_000_000.. => format!("{}M", scaled(1e6)),
        1_000.. => format!("{}K", scaled(1e3)),
        few => few.to_string(),
    }
}
