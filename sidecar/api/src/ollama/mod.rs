//! The dialect of Ollama, as far as its clients need it for asking: version, models, chat, generate, embed.

mod answer;
mod catalogue;
mod embed;
mod request;

pub(crate) use catalogue::{loaded, show, tags, version};
pub(crate) use embed::embed;

use crate::answer::stream::{self, Format};
use crate::answer::{shapes, Answers};
use crate::router::Api;
use crate::{body, ApiError};
use answer::{Kind, Lines};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use request::Parsed;
use serde_json::{json, Value};

/// `POST /api/chat`.
pub(crate) async fn chat(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    answer(&api, request::chat(&body::read(&headers, body).await?)?, Kind::Chat).await
}

/// `POST /api/generate`.
pub(crate) async fn generate(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    answer(&api, request::generate(&body::read(&headers, body).await?)?, Kind::Generate).await
}

async fn answer(api: &Api, parsed: Parsed, kind: Kind) -> Result<Response, ApiError> {
    let Parsed { ask, nothing_asked, stream, ignored } = parsed;
    if nothing_asked {
        // Their way to have a model loaded: ours are loaded already.
        return Ok(Json(answer::loaded(kind, &catalogue::find(api, ask.model).await?)).into_response());
    }
    let mut answers = Answers::ask(api, vec![ask]).await?;
    let extra = shapes::headers(&answers.heads[0], &ignored);
    let mut response = if stream {
        answers.look_ahead().await?;
        let lines = Lines::new(kind, &answers.heads[0]);
        stream::respond(answers, lines, Format::Lines)
    } else {
        let whole = answers.collect().await?.pop().ok_or(ApiError::AnswerBroke)?;
        Json(answer::whole(kind, whole)).into_response()
    };
    response.headers_mut().extend(extra);
    Ok(response)
}

/// An error in Ollama's shape; our code and hint stand beside it.
pub(crate) fn error(ours: &Value) -> Value {
    let error = &ours["error"];
    json!({ "error": error["message"], "code": error["code"], "param": error["param"], "hint": error["hint"] })
}
