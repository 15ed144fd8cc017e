//! What Ollama's clients ask about models: which there are, which are loaded, what one of them is.

use super::request;
use crate::answer::shapes::rfc3339;
use crate::router::Api;
use crate::{body, catalogue, question, ApiError};
use ainonymous_node::{ModelEntry, ModelState};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::Json;
use serde_json::{json, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a model goes that stays as long as the node runs.
const NEVER: &str = "9999-12-31T23:59:59Z";

/// `GET /api/version`.
pub(crate) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /api/tags`: models that can be asked, here or at peers.
pub(crate) async fn tags(State(api): State<Api>) -> Json<Value> {
    let models = catalogue::listed(&api).await;
    let models: Vec<Value> = models.iter().map(|model| entry(&api, model)).collect();
    Json(json!({ "models": models }))
}

/// `GET /api/ps`: models that are loaded here.
pub(crate) async fn loaded(State(api): State<Api>) -> Json<Value> {
    let models = catalogue::listed(&api).await;
    let loaded = models.iter().filter(|model| model.local && model.state == ModelState::Loaded).map(|model| {
        let mut entry = entry(&api, model);
        let leaves = |seconds| rfc3339(SystemTime::now() + Duration::from_secs(seconds));
        entry["context_length"] = model.context_tokens.into();
        entry["size_vram"] = 0.into();
        entry["expires_at"] = model.unloads_in_s.map_or_else(|| NEVER.into(), leaves).into();
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
    let model = catalogue::find(&api, Some(&name)).await?;
    let entry = entry(&api, &model);
    let mut facts = json!({ "general.architecture": "", "general.parameter_count": null });
    if let Some(details) = &model.details {
        facts["general.architecture"] = details.architecture.as_str().into();
        facts["general.parameter_count"] = details.parameters.into();
        facts[format!("{}.context_length", details.architecture)] = details.context_trained.into();
        facts[format!("{}.block_count", details.architecture)] = details.layers.into();
    }
    Ok(Json(json!({
        "modified_at": entry["modified_at"],
        "details": entry["details"],
        "model_info": facts,
        "capabilities": catalogue::capabilities(&model),
        "parameters": format!("num_ctx {}", model.context_tokens),
        "template": "",
        "license": "",
    })))
}

fn entry(api: &Api, model: &ModelEntry) -> Value {
    let quantization = model.id.rsplit_once(':').map_or("", |(_, quantization)| quantization);
    let (family, parameters) = match &model.details {
        Some(details) => (details.architecture.as_str(), short_count(details.parameters)),
        None => ("", String::new()),
    };
    // Nobody knows when a model was made: this is when the API began to list it.
    let listed = UNIX_EPOCH + Duration::from_secs(api.started_s());
    json!({
        "name": model.id,
        "model": model.id,
        "modified_at": rfc3339(listed),
        "size": model.file_bytes,
        "digest": model.gguf_hash.as_deref().unwrap_or_default(),
        "status": catalogue::status(model),
        "capabilities": catalogue::capabilities(model),
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
