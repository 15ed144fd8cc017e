//! The dialect of Anthropic: messages, their tokens, models.

mod answer;
mod models;
mod request;

pub(crate) use models::{model, model_page};

use crate::answer::stream::{self, Format};
use crate::answer::{shapes, Answers};
use crate::router::Api;
use crate::{body, llama, ApiError};
use ainonymous_node::request::Prompt;
use ainonymous_node::{Inspect, Inspected};
use answer::{Content, Events};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use request::Parsed;
use serde_json::{json, Value};

/// What the ids of messages begin with.
pub(crate) const ID_PREFIX: &str = "msg_";

/// Answers a conversation, streaming or not.
pub(crate) async fn messages(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let Parsed { ask, stream, ignored } = request::parse(&body::read(&headers, body).await?)?;
    let stops = ask.question.stop.clone();
    let mut answers = Answers::ask(&api, vec![ask]).await?;
    let extra = shapes::headers(&answers.heads[0], &ignored);
    let mut response = if stream {
        answers.look_ahead().await?;
        let events = Events::new(&answers.heads[0], stops);
        stream::respond(answers, events, Format::Events)
    } else {
        let whole = answers.collect().await?.pop().ok_or(ApiError::AnswerBroke)?;
        Json(Content::message(whole, &stops)).into_response()
    };
    response.headers_mut().extend(extra);
    Ok(response)
}

/// `POST /v1/messages/count_tokens`: the tokens of what the model would be asked, counted by its own tokeniser.
pub(crate) async fn count_tokens(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let (model, chat, ignored) = request::to_count(&body::read(&headers, body).await?)?;
    match llama::inspect(&api, model.as_deref(), Inspect::Count(Prompt::Chat(chat))).await? {
        Inspected::Count(tokens) => {
            let mut response = Json(json!({ "input_tokens": tokens })).into_response();
            shapes::push_ignored(response.headers_mut(), &ignored);
            Ok(response)
        }
        Inspected::Tokens(_) | Inspected::Text(_) => Err(ApiError::AnswerBroke),
    }
}

/// Whether a request for what several dialects have is one of this dialect: its clients say their version with each.
pub(crate) fn is_spoken(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version")
}

/// An error in Anthropic's shape; ours stands beside it.
pub(crate) fn error(status: StatusCode, ours: &Value) -> Value {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    let mut error = ours["error"].clone();
    error["type"] = kind.into();
    json!({ "type": "error", "error": error })
}
