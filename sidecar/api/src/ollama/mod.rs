//! The dialect of Ollama, as far as its clients need it for asking: version, models, chat, generate, embed.

mod answer;
mod catalogue;
mod embed;
mod keep_alive;
mod request;

pub(crate) use catalogue::{loaded, show, tags, version};
pub(crate) use embed::{embed, embeddings};

use crate::answer::stream::{self, Format};
use crate::answer::{explain, shapes, Answers};
use crate::router::Api;
use crate::{body, catalogue as models, ApiError};
use ainonymous_node::{KeepAlive, Route};
use answer::{Kind, Lines};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use request::Parsed;
use serde_json::{json, Value};
use std::time::Duration;

/// `POST /api/chat`.
pub(crate) async fn chat(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    answer(&api, request::chat(&body::read(&headers, body).await?)?, Kind::Chat).await
}

/// `POST /api/generate`.
pub(crate) async fn generate(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    answer(&api, request::generate(&body::read(&headers, body).await?)?, Kind::Generate).await
}

async fn answer(api: &Api, parsed: Parsed, kind: Kind) -> Result<Response, ApiError> {
    let Parsed { ask, nothing_asked, keep, stream, mut ignored } = parsed;
    if nothing_asked {
        return Ok(Json(load_or_unload(api, ask.model, keep, kind).await?).into_response());
    }
    let mut answers = Answers::ask(api, vec![ask]).await?;
    match (keep, answers.heads[0].route) {
        // It counts from the end of the answer: what answers is not idle.
        (Some(keep), Route::Local) => keep_loaded(api, &answers.heads[0].model, keep).await,
        (Some(_), _) => ignored.push("keep_alive".into()),
        (None, _) => {}
    }
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

/// Their way to have a model loaded, or with `keep_alive` of 0 unloaded: a question without a word.
async fn load_or_unload(
    api: &Api,
    name: Option<String>,
    keep: Option<KeepAlive>,
    kind: Kind,
) -> Result<Value, ApiError> {
    let name = match name {
        Some(name) => name,
        None => models::find(api, None).await?.id,
    };
    if keep == Some(KeepAlive::For(Duration::ZERO)) {
        let model = api.backend().keep(&name, KeepAlive::For(Duration::ZERO)).await;
        return Ok(answer::without_words(kind, &model.map_err(|error| explain(api, error))?, "unload"));
    }
    // A peer's is loaded already.
    let listed = models::find(api, Some(&name)).await.ok().filter(|model| !model.local);
    let model = match listed {
        Some(model) => model.id,
        None => api.backend().load(&name).await.map_err(|error| explain(api, error))?,
    };
    if let Some(keep) = keep {
        keep_loaded(api, &model, keep).await;
    }
    Ok(answer::without_words(kind, &model, "load"))
}

/// How long a model stays is a wish: one that is gone meanwhile stays no longer.
async fn keep_loaded(api: &Api, model: &str, keep: KeepAlive) {
    if let Err(error) = api.backend().keep(model, keep).await {
        tracing::debug!(code = error.code(), "a model is not kept");
    }
}

/// An error in Ollama's shape; our code and hint stand beside it.
pub(crate) fn error(ours: &Value) -> Value {
    let error = &ours["error"];
    json!({ "error": error["message"], "code": error["code"], "param": error["param"], "hint": error["hint"] })
}
