//! `POST /api/embed`: vectors of texts.

use super::request;
use crate::answer::{explain, shapes};
use crate::fields::Fields;
use crate::openai::{inputs, shortened};
use crate::router::Api;
use crate::{body, question, ApiError};
use ainonymous_node::EmbedQuestion;
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
    only_as_it_is(&mut fields)?;
    let ignored = fields.leftovers();
    let _permit = api.admit(1)?;
    let embedded = api.backend().embed(model.as_deref(), EmbedQuestion { inputs }).await;
    let (model, embeddings) = embedded.map_err(|error| explain(&api, error))?;
    api.metrics().embedded(embeddings.prompt_tokens);
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

/// Whether a text that is too long may be cut is moot: it is refused. Options are about loading.
fn only_as_it_is(fields: &mut Fields) -> Result<(), ApiError> {
    fields.boolean("truncate")?;
    fields.map("options")?;
    fields.take("keep_alive");
    Ok(())
}
