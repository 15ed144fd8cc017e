//! What only this API has: the node's status, its models, receipts, and answers to posted requests.

use crate::answer::shapes::{finish_reason, SignedReceiptView};
use crate::router::Api;
use crate::ApiError;
use ainonymous_node::{AnswerAudit, AuditMade, Findings, ModelEntry, ReceiptState, Status};
use ainonymous_types::{ActionHash, AgentPubKey, ChunkMore, PostedAnswer, RequestId, ToolCallBegin, ToolCallPiece};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{header, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde::Serialize;
use std::time::Duration;

/// Longest time that a caller can wait for a receipt to be checked.
const RECEIPT_WAIT_MS_MAX: u64 = 60_000;

/// `GET /ainonymous/v1/status`.
pub(crate) async fn status(State(api): State<Api>) -> Json<Status> {
    Json(api.backend().status())
}

#[derive(Serialize)]
pub(crate) struct Models {
    models: Vec<ModelEntry>,
}

/// `GET /ainonymous/v1/models`.
pub(crate) async fn models(State(api): State<Api>) -> Json<Models> {
    Json(Models { models: api.backend().models().await })
}

/// Where a receipt stands, what this node knows of the answer, and where more is to be had.
#[derive(Serialize)]
pub(crate) struct ReceiptView {
    #[serde(flatten)]
    state: ReceiptState,
    #[serde(flatten)]
    audit: AnswerAudit,
    /// Path of this API to the receipt as a file.
    file: String,
    /// Path of this API that has the answer checked.
    verify: String,
}

/// `GET /ainonymous/v1/receipts/{id}?wait_ms=`.
pub(crate) async fn receipt(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Json<ReceiptView>, ApiError> {
    let parsed = parse_id(&segment("id", id)?)?;
    let wait = parse_wait(query.as_deref().unwrap_or_default())?;
    match api.backend().receipt(parsed, wait).await {
        Some(state) => {
            let path = |rest: &str| format!("/ainonymous/v1/receipts/{}/{rest}", parsed.to_hex());
            let audit = api.backend().audit_state(parsed);
            Ok(Json(ReceiptView { state, audit, file: path("file?open=true"), verify: path("verify") }))
        }
        None => Err(ApiError::UnknownReceipt { id: parsed.to_hex() }),
    }
}

/// `POST /ainonymous/v1/receipts/{id}/verify`: answers when the check is done.
pub(crate) async fn verify(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<AuditMade>, ApiError> {
    let parsed = parse_id(&segment("id", id)?)?;
    Ok(Json(api.backend().audit(parsed).await?))
}

/// `GET /ainonymous/v1/findings/{agent}`.
pub(crate) async fn findings(
    State(api): State<Api>,
    agent: Result<Path<String>, PathRejection>,
) -> Result<Json<Findings>, ApiError> {
    let agent = AgentPubKey::try_from(segment("agent", agent)?.as_str())
        .map_err(|_| ApiError::invalid("agent", "must be an agent key that begins with uhCAk"))?;
    Ok(Json(api.backend().findings(agent).await?))
}

/// `GET /ainonymous/v1/receipts/{id}/file?open=`.
pub(crate) async fn receipt_file(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parsed = parse_id(&segment("id", id)?)?;
    let open = match query.as_deref().unwrap_or_default() {
        "" | "open=false" => false,
        "open=true" => true,
        _ => return Err(ApiError::invalid("query", "can only have open, which is true or false")),
    };
    let unknown = || ApiError::UnknownReceipt { id: parsed.to_hex() };
    let (text, unopened) = api.backend().receipt_file(parsed, open).await.ok_or_else(unknown)?;
    let name = format!("attachment; filename=\"receipt-{}.json\"", parsed.to_hex());
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        // It contains the question.
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let mut response = (headers, text).into_response();
    if let Some(code) = unopened {
        response.headers_mut().insert("x-ainonymous-unopened", HeaderValue::from_static(code));
    }
    Ok(response)
}

#[derive(Serialize)]
pub(crate) struct Posted {
    request: String,
    text: String,
    /// What the model thought before it answered, if its template parts that.
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    /// Calls of the tools that the question offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<PostedCall>,
    prompt_tokens: u32,
    completion_tokens: u32,
    finish_reason: &'static str,
    receipt: SignedReceiptView,
    batch: String,
    batch_index: u32,
}

#[derive(Serialize)]
struct PostedCall {
    id: String,
    name: String,
    arguments: String,
}

/// The calls of an answer, from the pieces in which they were said.
fn calls(pieces: Vec<ToolCallPiece>) -> Vec<PostedCall> {
    let mut calls: Vec<(u32, PostedCall)> = Vec::new();
    for ToolCallPiece { index, begins, arguments } in pieces {
        match (begins, calls.iter_mut().find(|(at, _)| *at == index)) {
            (_, Some((_, call))) => call.arguments.push_str(&arguments),
            (Some(ToolCallBegin { id, name }), None) => calls.push((index, PostedCall { id, name, arguments })),
            // A piece of a call that never began says nothing.
            (None, None) => {}
        }
    }
    calls.into_iter().map(|(_, call)| call).collect()
}

/// `GET /ainonymous/v1/posted/{request}`.
pub(crate) async fn posted(
    State(api): State<Api>,
    request: Result<Path<String>, PathRejection>,
) -> Result<Json<Posted>, ApiError> {
    let request = segment("request", request)?;
    let action = ActionHash::try_from(request.as_str())
        .map_err(|_| ApiError::invalid("request", "must be an action hash that begins with uhCkk"))?;
    let answer = api.backend().fetch_answer(action.clone()).await?;
    let PostedAnswer { text, tokens: _, more, receipt, proof } =
        answer.ok_or_else(|| ApiError::NoAnswerYet { request: action.to_string() })?;
    let ChunkMore { reasoning, tool_calls, logprobs: _ } = more.map(|more| *more).unwrap_or_default();
    let tool_calls = calls(tool_calls);
    Ok(Json(Posted {
        request: action.to_string(),
        text,
        reasoning_content: reasoning,
        prompt_tokens: receipt.receipt.prompt_tokens,
        completion_tokens: receipt.receipt.completion_tokens,
        finish_reason: finish_reason(receipt.receipt.finish, !tool_calls.is_empty()),
        tool_calls,
        batch: proof.batch.to_string(),
        batch_index: proof.index,
        receipt: SignedReceiptView::from(&receipt),
    }))
}

/// The variable part of a path.
pub(crate) fn segment(name: &str, path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    path.map(|Path(text)| text).map_err(|_| ApiError::invalid(name, "is not UTF-8"))
}

/// The id of an answer, with or without the prefix that its dialect gave it.
fn parse_id(text: &str) -> Result<RequestId, ApiError> {
    let invalid = || ApiError::invalid("id", "must be 32 hexadecimal digits");
    let prefixes = crate::openai::ID_PREFIXES.iter().chain([&crate::anthropic::ID_PREFIX]);
    let digits = prefixes.filter_map(|prefix| text.strip_prefix(prefix)).next().unwrap_or(text);
    let mut bytes = [0; RequestId::LEN];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| invalid())?;
    Ok(RequestId(bytes))
}

fn parse_wait(query: &str) -> Result<Duration, ApiError> {
    let mut wait = Duration::ZERO;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let value = pair.strip_prefix("wait_ms=");
        let value = value.ok_or_else(|| ApiError::invalid("query", "can only have wait_ms"))?;
        let ms = value.parse::<u64>().ok().filter(|ms| *ms <= RECEIPT_WAIT_MS_MAX);
        let ms = ms.ok_or_else(|| {
            ApiError::invalid("wait_ms", format!("must be a whole number from 0 to {RECEIPT_WAIT_MS_MAX}"))
        })?;
        wait = Duration::from_millis(ms);
    }
    Ok(wait)
}
