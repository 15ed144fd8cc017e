//! `POST /api/embed` and its older form `/api/embeddings`: vectors of texts.

use super::keep_alive::keep_alive;
use super::{keep_loaded, request};
use crate::answer::{explain, shapes};
use crate::fields::Fields;
use crate::openai::{inputs, shortened};
use crate::router::Api;
use crate::{body, question, ApiError};
use ainonymous_node::{EmbedInput, EmbedQuestion, Embeddings, KeepAlive};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use serde_json::json;
use std::time::Instant;

/// Makes vectors.
pub(crate) async fn embed(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let started = Instant::now();
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let model = request::model(&mut fields)?;
    let inputs = inputs(&mut fields)?;
    let dimensions = fields.integer("dimensions", 1, crate::openai::DIMENSIONS_MAX)?.map(|wanted| wanted as usize);
    // Whether a text that is too long may be cut is moot: it is refused.
    fields.boolean("truncate")?;
    let keep = about_loading(&mut fields)?;
    let ignored = fields.leftovers();
    let (model, embeddings) = made(&api, model.as_deref(), inputs, keep).await?;
    let vectors = embeddings.vectors.into_iter().map(|vector| shortened(vector, dimensions));
    let mut response = Json(json!({
        "model": model,
        "embeddings": vectors.collect::<Result<Vec<_>, _>>()?,
        "total_duration": started.elapsed().as_nanos() as u64,
        "load_duration": 0,
        "prompt_eval_count": embeddings.prompt_tokens,
    }))
    .into_response();
    shapes::push_ignored(response.headers_mut(), &ignored);
    Ok(response)
}

/// Makes one vector. Of an empty text there is none; it has the model loaded.
pub(crate) async fn embeddings(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let model = request::model(&mut fields)?;
    let text = fields.string("prompt")?.unwrap_or_default();
    question::check_bytes(text.len())?;
    let keep = about_loading(&mut fields)?;
    let ignored = fields.leftovers();
    let vector = match (text.is_empty(), model) {
        (true, None) => Vec::new(),
        (true, Some(model)) => {
            let loaded = api.backend().load(&model).await.map_err(|error| explain(&api, error))?;
            if let Some(keep) = keep {
                keep_loaded(&api, &loaded, keep).await;
            }
            Vec::new()
        }
        (false, model) => {
            let (_, embeddings) = made(&api, model.as_deref(), vec![EmbedInput::Text(text)], keep).await?;
            embeddings.vectors.into_iter().next().unwrap_or_default()
        }
    };
    let mut response = Json(json!({ "embedding": vector })).into_response();
    shapes::push_ignored(response.headers_mut(), &ignored);
    Ok(response)
}

async fn made(
    api: &Api,
    model: Option<&str>,
    inputs: Vec<EmbedInput>,
    keep: Option<KeepAlive>,
) -> Result<(String, Embeddings), ApiError> {
    let _permit = api.admit(1)?;
    let embedded = api.backend().embed(model, EmbedQuestion { inputs }).await;
    let (model, embeddings) = embedded.map_err(|error| explain(api, error))?;
    api.metrics().embedded(embeddings.prompt_tokens);
    if let Some(keep) = keep {
        keep_loaded(api, &model, keep).await;
    }
    Ok((model, embeddings))
}

/// How long the model stays; options are about loading, which its operator chose.
fn about_loading(fields: &mut Fields) -> Result<Option<KeepAlive>, ApiError> {
    fields.map("options")?;
    keep_alive(fields)
}
