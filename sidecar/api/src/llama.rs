//! The paths of llama-server that no other dialect has: models in and out of memory, tokens, templates.

use crate::answer::{explain, shapes};
use crate::fields::Fields;
use crate::openai;
use crate::question;
use crate::router::Api;
use crate::{body, ApiError};
use ainonymous_node::{Inspect, Inspected, DETOKENIZE_MAX};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use serde_json::{json, Value};

/// `POST /models/load`: answers when the model is loaded, or why it is not.
pub(crate) async fn load(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let (model, ignored) = named(&body::read(&headers, body).await?)?;
    let loaded = api.backend().load(&model).await.map_err(|error| explain(&api, error))?;
    Ok(told(json!({ "success": true, "model": loaded }), &ignored))
}

/// `POST /models/unload`: answers when the model has left memory. Its answers under way end with an error.
pub(crate) async fn unload(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let (model, ignored) = named(&body::read(&headers, body).await?)?;
    let unloaded = api.backend().unload(&model).await.map_err(|error| explain(&api, error))?;
    Ok(told(json!({ "success": true, "model": unloaded }), &ignored))
}

/// `POST /tokenize`.
pub(crate) async fn tokenize(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let model = question::model(&mut fields)?;
    let text = fields.string("content")?.ok_or(ApiError::Missing { param: "content".into() })?;
    question::check_bytes(text.len())?;
    let add_special = fields.boolean("add_special")?.unwrap_or(false);
    let parse_special = fields.boolean("parse_special")?.unwrap_or(true);
    let with_pieces = fields.boolean("with_pieces")?.unwrap_or(false);
    let asked = Inspect::Tokenize { text, add_special, parse_special };
    let Inspected::Tokens(tokens) = inspect(&api, model.as_deref(), asked).await? else {
        return Err(ApiError::AnswerBroke);
    };
    let one = |(id, bytes): (u32, Vec<u8>)| match with_pieces {
        true => json!({ "id": id, "piece": piece(bytes) }),
        false => id.into(),
    };
    Ok(told(json!({ "tokens": tokens.into_iter().map(one).collect::<Vec<_>>() }), &fields.leftovers()))
}

/// `POST /detokenize`.
pub(crate) async fn detokenize(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let model = question::model(&mut fields)?;
    let values = fields.array("tokens")?.ok_or(ApiError::Missing { param: "tokens".into() })?;
    let tokens = openai::tokens("tokens", values)?;
    if tokens.len() > DETOKENIZE_MAX {
        let problem = format!("has {} tokens; at most {DETOKENIZE_MAX} are allowed", tokens.len());
        return Err(ApiError::invalid("tokens", problem));
    }
    let text = text(inspect(&api, model.as_deref(), Inspect::Detokenize(tokens)).await?)?;
    Ok(told(json!({ "content": text }), &fields.leftovers()))
}

/// `POST /apply-template`: the prompt that a conversation becomes.
pub(crate) async fn apply_template(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut fields = question::body(&body::read(&headers, body).await?)?;
    let model = question::model(&mut fields)?;
    let chat = openai::conversation(&mut fields)?;
    let text = text(inspect(&api, model.as_deref(), Inspect::Render(Box::new(chat))).await?)?;
    Ok(told(json!({ "prompt": text }), &fields.leftovers()))
}

/// What tokeniser or template of a model of this node say.
pub(crate) async fn inspect(api: &Api, model: Option<&str>, question: Inspect) -> Result<Inspected, ApiError> {
    let _permit = api.admit(1)?;
    let inspected = api.backend().inspect(model, question).await;
    inspected.map(|(_, inspected)| inspected).map_err(|error| explain(api, error))
}

/// `model`, which must be there, and what else was sent.
fn named(bytes: &[u8]) -> Result<(String, Vec<String>), ApiError> {
    let mut fields: Fields = question::body(bytes)?;
    let model = question::model(&mut fields)?.ok_or(ApiError::Missing { param: "model".into() })?;
    Ok((model, fields.leftovers()))
}

/// A token's text; what is no UTF-8 is told as bytes.
fn piece(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => error.into_bytes().into(),
    }
}

fn text(inspected: Inspected) -> Result<String, ApiError> {
    match inspected {
        Inspected::Text(text) => Ok(text),
        Inspected::Tokens(_) | Inspected::Count(_) => Err(ApiError::AnswerBroke),
    }
}

fn told(answer: Value, ignored: &[String]) -> Response {
    let mut response = Json(answer).into_response();
    shapes::push_ignored(response.headers_mut(), ignored);
    response
}
