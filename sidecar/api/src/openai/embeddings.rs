//! `POST /v1/embeddings`: vectors of texts. They are made by this node alone; what is embedded travels nowhere.

use super::completions::tokens;
use crate::answer::{explain, shapes};
use crate::fields::{kind, Fields};
use crate::router::Api;
use crate::{body, question, ApiError};
use ainonymous_node::request::EMBED_INPUTS_MAX;
use ainonymous_node::{EmbedInput, EmbedQuestion};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use base64::Engine as _;
use serde_json::{json, Value};

/// Longest vector that can be asked for.
pub(crate) const DIMENSIONS_MAX: i64 = 1 << 20;

/// Makes vectors.
pub(crate) async fn embeddings(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let model = question::model(&mut fields)?;
    let inputs = inputs(&mut fields)?;
    let base64 = match fields.string("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(ApiError::invalid("encoding_format", "must be float or base64")),
    };
    let dimensions = fields.integer("dimensions", 1, DIMENSIONS_MAX)?.map(|wanted| wanted as usize);
    let ignored = fields.leftovers();
    let _permit = api.admit(1)?;
    let embedded = api.backend().embed(model.as_deref(), EmbedQuestion { inputs }).await;
    let (model, embeddings) = embedded.map_err(|error| explain(&api, error))?;
    api.metrics().embedded(embeddings.prompt_tokens);
    let one = |(index, vector): (usize, Vec<f32>)| {
        let vector = shortened(vector, dimensions)?;
        let embedding = if base64 { encoded(&vector) } else { json!(vector) };
        Ok(json!({ "object": "embedding", "index": index, "embedding": embedding }))
    };
    let data: Vec<Value> = embeddings.vectors.into_iter().enumerate().map(one).collect::<Result<_, ApiError>>()?;
    let tokens = embeddings.prompt_tokens;
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    let answer = json!({ "object": "list", "data": data, "model": model, "usage": usage });
    let mut response = Json(answer).into_response();
    shapes::push_ignored(response.headers_mut(), &ignored);
    Ok(response)
}

/// `input`: a text, tokens, or a list of either.
pub(crate) fn inputs(fields: &mut Fields) -> Result<Vec<EmbedInput>, ApiError> {
    let value = fields.take("input").ok_or(ApiError::Missing { param: "input".into() })?;
    let inputs = match value {
        Value::String(text) => vec![EmbedInput::Text(text)],
        Value::Array(values) if values.first().is_some_and(Value::is_number) => {
            vec![EmbedInput::Tokens(tokens("input", values)?)]
        }
        Value::Array(values) if (1..=EMBED_INPUTS_MAX).contains(&values.len()) => {
            values.into_iter().enumerate().map(|(at, value)| input(at, value)).collect::<Result<_, _>>()?
        }
        Value::Array(values) => {
            let problem = format!("must have 1 to {EMBED_INPUTS_MAX} texts, not {}", values.len());
            return Err(ApiError::invalid("input", problem));
        }
        other => return Err(fields.wrong_kind("input", "a string or an array", &other)),
    };
    let bytes = |input: &EmbedInput| match input {
        EmbedInput::Text(text) => text.len(),
        EmbedInput::Tokens(tokens) => tokens.len() * 4,
    };
    question::check_bytes(inputs.iter().map(bytes).sum())?;
    match inputs.iter().position(|input| bytes(input) == 0) {
        Some(at) => Err(ApiError::invalid(format!("input[{at}]"), "is empty")),
        None => Ok(inputs),
    }
}

fn input(at: usize, value: Value) -> Result<EmbedInput, ApiError> {
    let path = format!("input[{at}]");
    match value {
        Value::String(text) => Ok(EmbedInput::Text(text)),
        Value::Array(values) => tokens(&path, values).map(EmbedInput::Tokens),
        other => Err(ApiError::invalid(path, format!("must be a string or an array of tokens, not {}", kind(&other)))),
    }
}

/// The first dimensions of a vector, of length 1 again.
pub(crate) fn shortened(mut vector: Vec<f32>, dimensions: Option<usize>) -> Result<Vec<f32>, ApiError> {
    let Some(wanted) = dimensions else { return Ok(vector) };
    if wanted > vector.len() {
        let problem = format!("must be at most {}, which is what this model makes", vector.len());
        return Err(ApiError::invalid("dimensions", problem));
    }
    vector.truncate(wanted);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    Ok(vector)
}

/// 32-bit floats, least significant byte first, in base64.
fn encoded(vector: &[f32]) -> Value {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes).into()
}
