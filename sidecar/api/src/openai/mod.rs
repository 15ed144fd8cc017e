//! The JSON of OpenAI: chat completions and models. What cannot be honoured is refused by name, never ignored.

mod fields;
mod request;
mod response;
mod stream;
mod unsupported;

pub(crate) use response::{finish_reason, SignedReceiptView, ID_PREFIX};

use crate::admin::segment;
use crate::health::Health;
use crate::router::Api;
use crate::{body, ApiError};
use ainonymous_node::{AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskError, ModelEntry, Route};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::Json;
use request::Parsed;
use response::{Completion, ModelList, ModelView, Moment};
use std::time::Duration;

/// How long a streamed answer waits for its first event, so that what fails at once fails with a status.
const FIRST_EVENT_WAIT: Duration = Duration::from_secs(3);

/// `POST /v1/chat/completions`.
pub(crate) async fn chat_completions(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = body::read(&headers, body).await?;
    let Parsed { ask, stream, include_usage, ignored } = request::parse(&bytes)?;
    drop(bytes);
    let permit = api.admit()?;
    let answer = match api.backend().ask(ask).await {
        Ok(answer) => answer,
        Err(error) => return Err(explain(&api, error)),
    };
    let moment = Moment::now();
    let mut extra = answer_headers(&answer.head);
    if !ignored.is_empty() {
        push(&mut extra, "x-ainonymous-ignored", &ignored.join(", "));
    }
    let mut response = if stream {
        let (answer, first) = first_event(answer).await?;
        stream::respond(answer, first, moment, include_usage, permit)
    } else {
        let (head, text, done) = collect(answer).await?;
        Json(Completion::new(&head, text, &done, moment)).into_response()
    };
    response.headers_mut().extend(extra);
    Ok(response)
}

/// `GET /v1/models`.
pub(crate) async fn models(State(api): State<Api>) -> Json<ModelList> {
    let models = api.backend().models().await;
    Json(ModelList::new(models.into_iter().map(|model| ModelView::new(model, api.started_s())).collect()))
}

/// `GET /v1/models/{model}`.
pub(crate) async fn model(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelView>, ApiError> {
    let name = segment("model", name)?;
    let models = api.backend().models().await;
    let known = models.iter().map(|model| model.id.clone()).collect();
    let found = models.into_iter().find(|model: &ModelEntry| model.id == name);
    found.map(|model| Json(ModelView::new(model, api.started_s()))).ok_or(ApiError::UnknownModel { model: name, known })
}

/// A node that is still starting knows no models yet: then that is the reason, not the model.
fn explain(api: &Api, error: AskError) -> ApiError {
    let health = Health::of(&api.backend().status());
    match &error {
        AskError::UnknownModel { .. } | AskError::NoProvider { .. } if !health.is_ready() => {
            ApiError::not_ready(health)
        }
        _ => error.into(),
    }
}

/// Waits a little for the first event: an error now still gets its status.
async fn first_event(mut answer: AnswerStream) -> Result<(AnswerStream, Option<AnswerEvent>), ApiError> {
    match tokio::time::timeout(FIRST_EVENT_WAIT, answer.events.recv()).await {
        Err(_) => Ok((answer, None)),
        Ok(Some(Ok(event))) => Ok((answer, Some(event))),
        Ok(Some(Err(error))) => Err(error.into()),
        Ok(None) => Err(ApiError::AnswerBroke),
    }
}

/// The whole answer. If the client hangs up, this future is dropped and with it the question.
async fn collect(mut answer: AnswerStream) -> Result<(AnswerHead, String, AnswerDone), ApiError> {
    let mut whole = String::new();
    while let Some(event) = answer.events.recv().await {
        match event? {
            AnswerEvent::Queued { .. } => {}
            AnswerEvent::Text { text, .. } => whole.push_str(&text),
            AnswerEvent::Done(done) => return Ok((answer.head, whole, *done)),
        }
    }
    Err(ApiError::AnswerBroke)
}

fn answer_headers(head: &AnswerHead) -> HeaderMap {
    let mut headers = HeaderMap::new();
    push(&mut headers, "x-ainonymous-id", &head.id.to_hex());
    push(&mut headers, "x-ainonymous-route", route_name(head.route));
    if let Some(provider) = &head.provider {
        push(&mut headers, "x-ainonymous-provider", provider);
    }
    if let Some(request) = &head.request {
        push(&mut headers, "x-ainonymous-request", request);
    }
    headers
}

fn push(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The route as it is written.
pub(crate) fn route_name(route: Route) -> &'static str {
    match route {
        Route::Auto => "auto",
        Route::Local => "local",
        Route::Signals => "signals",
        Route::Posted => "posted",
    }
}
