//! `POST /v1/responses`, without a memory: every request brings its whole conversation.

mod input;
mod output;
mod request;

use crate::answer::stream::{self, Format};
use crate::answer::{shapes, Answers};
use crate::router::Api;
use crate::{body, ApiError};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::Json;
use output::Output;
use request::Parsed;

/// What the ids of responses begin with.
pub(super) const ID_PREFIX: &str = "resp_";

/// Answers, streaming or not.
pub(crate) async fn responses(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let Parsed { ask, stream, echo, ignored } = request::parse(&body::read(&headers, body).await?)?;
    let mut answers = Answers::ask(&api, vec![ask]).await?;
    let extra = shapes::headers(&answers.heads[0], &ignored);
    let output = Output::new(&answers.heads[0], echo);
    let mut response = if stream {
        answers.look_ahead().await?;
        stream::respond(answers, output, Format::Events)
    } else {
        Json(output.whole(answers).await?).into_response()
    };
    response.headers_mut().extend(extra);
    Ok(response)
}
