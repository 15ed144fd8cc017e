//! Every error that the API answers with, in the shape of OpenAI's plus a hint. No error repeats a prompt.

use crate::health::{Health, RETRY_AFTER_S};
use crate::networks::NetworkRefused;
use crate::router;
use ainonymous_node::{AskError, AuditRefused, ErrorClass, NodeError, PullRefused};
use axum::http::{header, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde_json::{json, Value};
use std::time::Duration;

/// An error's JSON beside its response, for the dialects that shape it otherwise.
#[derive(Clone, Debug)]
pub(crate) struct ErrorJson(pub(crate) Value);

/// Why a request gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The body is not JSON.
    #[error("the body is not JSON: {problem} at line {line}, column {column}")]
    MalformedJson {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What the parser says; never the text itself.
        problem: String,
    },
    /// The body is not UTF-8.
    #[error("the body is not UTF-8: byte {offset} fits no character")]
    InvalidUtf8 {
        /// From 0.
        offset: usize,
    },
    /// The body is larger than any prompt can make it.
    #[error("the body {}is over the limit of {max} bytes", bytes.map(|b| format!("of {b} bytes ")).unwrap_or_default())]
    BodyTooLarge {
        /// As declared, if it was.
        bytes: Option<u64>,
        /// The limit.
        max: usize,
    },
    /// The prompt is larger than a question may be.
    #[error("the messages have {bytes} bytes of text; at most {max} are allowed")]
    PromptTooLarge {
        /// Bytes of all contents together.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The sender stopped in the middle.
    #[error("the body ended after {bytes} bytes, before it was complete")]
    BodyInterrupted {
        /// Bytes received.
        bytes: usize,
    },
    /// The sender is too slow.
    #[error("the body did not arrive within {} s", after.as_secs())]
    BodyTooSlow {
        /// How long was waited.
        after: Duration,
    },
    /// A field is missing.
    #[error("'{param}' is missing")]
    Missing {
        /// Path of the field.
        param: String,
    },
    /// A field has a value that it cannot have.
    #[error("'{param}' {problem}")]
    Invalid {
        /// Path of the field.
        param: String,
        /// Completes "'temperature' …".
        problem: String,
    },
    /// A field is known, and honouring it is not possible: better to say so than to ignore it.
    #[error("'{param}' cannot be honoured: {reason}")]
    Unsupported {
        /// Path of the field.
        param: String,
        /// Why.
        reason: &'static str,
    },
    /// There is nothing to answer.
    #[error("the messages have no text")]
    EmptyPrompt,
    /// The path exists, for other methods.
    #[error("{path} does not take {method}")]
    MethodNotAllowed {
        /// As asked for.
        method: String,
        /// As asked for.
        path: String,
        /// What it takes.
        allowed: String,
    },
    /// No such path.
    #[error("there is no {path}")]
    UnknownPath {
        /// As asked for.
        path: String,
    },
    /// The request was sent to another name than this machine's.
    #[error("requests for the host '{host}' are not answered")]
    ForeignHost {
        /// As asked for.
        host: String,
    },
    /// A web page of another site asks.
    #[error("requests of '{origin}' web pages are not answered")]
    ForeignOrigin {
        /// As the browser says.
        origin: String,
    },
    /// No model of that name.
    #[error("no model named '{model}' is known")]
    UnknownModel {
        /// As asked for.
        model: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The node asked no such question.
    #[error("no question {id} is known")]
    UnknownReceipt {
        /// As asked for.
        id: String,
    },
    /// The answer to a posted request is not there.
    #[error("there is no answer to {request} yet")]
    NoAnswerYet {
        /// As asked for.
        request: String,
    },
    /// The request shows no API key, and needs one.
    #[error("an API key is needed")]
    KeyMissing,
    /// The API key that the request shows is not, or no longer, one of the node's.
    #[error("the API key is not known")]
    KeyUnknown,
    /// What was asked for changes the node, and the page's token was not shown.
    #[error("only the node's own page may do that")]
    NoPageToken,
    /// The API key has ended.
    #[error("the API key '{name}' has expired")]
    KeyExpired {
        /// Whose it is.
        name: String,
    },
    /// The API key may not ask more at the moment.
    #[error("the API key allows {max} {what}")]
    KeyLimit {
        /// Completes "allows 5 …".
        what: &'static str,
        /// The limit.
        max: u32,
        /// Seconds after which it may ask again.
        retry_after_s: u32,
    },
    /// As many requests as may run at once are running.
    #[error("{max} requests are being answered already")]
    TooManyRequests {
        /// The limit.
        max: usize,
    },
    /// The answer ended without an end.
    #[error("the answer broke off")]
    AnswerBroke,
    /// The node is not as far yet and has nobody to ask.
    #[error("the node is not ready: {reason}")]
    NotReady {
        /// How far it is.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The question is not answered.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A model is not fetched.
    #[error(transparent)]
    Pull(#[from] PullRefused),
    /// An answer is not checked.
    #[error(transparent)]
    Audit(#[from] AuditRefused),
    /// Something about networks is not done.
    #[error(transparent)]
    Network(#[from] NetworkRefused),
    /// Whoever runs this API keeps no networks.
    #[error("networks are not managed here")]
    NoNetworks,
    /// The node cannot do it.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl ApiError {
    /// An error about one field.
    pub(crate) fn invalid(param: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { param: param.into(), problem: problem.into() }
    }

    /// Why a node that is not ready does not answer.
    pub(crate) fn not_ready(health: Health) -> Self {
        Self::NotReady {
            reason: health.reason.unwrap_or_else(|| health.status.to_owned()),
            hint: health.hint.unwrap_or_else(|| "ask again in a moment".into()),
        }
    }

    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedJson { .. } => "invalid_json",
            Self::InvalidUtf8 { .. } => "invalid_utf8",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::PromptTooLarge { .. } => "prompt_too_large",
            Self::BodyInterrupted { .. } => "body_interrupted",
            Self::BodyTooSlow { .. } => "body_too_slow",
            Self::Missing { .. } => "missing_field",
            Self::Invalid { .. } => "invalid_value",
            Self::Unsupported { .. } => "unsupported_field",
            Self::EmptyPrompt => "empty_prompt",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::UnknownPath { .. } => "unknown_path",
            Self::ForeignHost { .. } => "foreign_host",
            Self::ForeignOrigin { .. } => "foreign_origin",
            Self::UnknownModel { .. } => "model_not_found",
            Self::UnknownReceipt { .. } => "receipt_not_found",
            Self::NoAnswerYet { .. } => "answer_not_found",
            Self::KeyMissing => "missing_api_key",
            Self::KeyUnknown => "invalid_api_key",
            Self::NoPageToken => "page_token_needed",
            Self::KeyExpired { .. } => "expired_api_key",
            Self::KeyLimit { .. } => "key_limit_reached",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::AnswerBroke => "answer_broke",
            Self::NotReady { .. } => "not_ready",
            Self::Ask(e) => e.code(),
            Self::Pull(e) => e.code(),
            Self::Audit(e) => e.code(),
            Self::Network(e) => e.code,
            Self::NoNetworks => "networks_unavailable",
            Self::Node(e) => e.code(),
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> String {
        match self {
            Self::MalformedJson { .. } => "send one JSON object; quote and escape every string".into(),
            Self::InvalidUtf8 { .. } => "encode the body as UTF-8".into(),
            Self::BodyTooLarge { .. } | Self::PromptTooLarge { .. } => {
                "shorten the messages, or ask in several questions".into()
            }
            Self::BodyInterrupted { .. } | Self::BodyTooSlow { .. } => "send the request again".into(),
            Self::Missing { param } if param == "messages" => {
                r#"send for example {"messages":[{"role":"user","content":"Hello"}]}"#.into()
            }
            Self::Missing { param } => format!("add '{param}'"),
            Self::Invalid { param, .. } => format!("correct '{param}'"),
            Self::Unsupported { param, .. } => format!("leave '{param}' out"),
            Self::EmptyPrompt => "put the question into the content of a message".into(),
            Self::MethodNotAllowed { allowed, .. } => format!("use {allowed}"),
            Self::UnknownPath { .. } => format!("there are: {}", router::listing()),
            Self::ForeignHost { .. } => "use http://127.0.0.1 or http://localhost with the port of the node".into(),
            Self::ForeignOrigin { .. } => {
                "call the API from a program, or from the chat page of the node itself".into()
            }
            Self::UnknownModel { known, .. } if known.is_empty() => {
                "serve one with `ainonymous serve MODEL.gguf`, or wait until a provider is found".into()
            }
            Self::UnknownModel { known, .. } => format!("known models: {}", known.join(", ")),
            Self::UnknownReceipt { .. } => {
                "use the id in 'ainonymous.id' of an answer that this node got since its start".into()
            }
            Self::NoAnswerYet { .. } => "ask again later; the request stays open until it expires".into(),
            Self::KeyMissing | Self::KeyUnknown => {
                "make one with `ainonymous keys create NAME` on the node's machine, and send it as \
                 `Authorization: Bearer KEY`"
                    .into()
            }
            Self::NoPageToken => {
                "open the address behind 'chat' that `ainonymous up` printed, or use the command line".into()
            }
            Self::KeyExpired { .. } => "make another with `ainonymous keys create NAME` on the node's machine".into(),
            Self::KeyLimit { retry_after_s, .. } => format!("ask again in {retry_after_s} s"),
            Self::TooManyRequests { .. } => "ask again in a moment".into(),
            Self::AnswerBroke => "ask again".into(),
            Self::NotReady { hint, .. } => hint.clone(),
            Self::Ask(e) => e.hint(),
            Self::Pull(e) => e.hint(),
            Self::Audit(e) => e.hint(),
            Self::Network(e) => e.hint.clone(),
            Self::NoNetworks => "use `ainonymous network` on the node's machine".into(),
            Self::Node(e) => e.hint(),
        }
    }

    /// Path of the field that is wrong, if it is one.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Missing { param } | Self::Invalid { param, .. } | Self::Unsupported { param, .. } => Some(param),
            Self::PromptTooLarge { .. } | Self::EmptyPrompt => Some("messages"),
            Self::UnknownModel { .. } | Self::Ask(AskError::UnknownModel { .. }) => Some("model"),
            _ => None,
        }
    }

    /// Status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::MalformedJson { .. }
            | Self::InvalidUtf8 { .. }
            | Self::BodyInterrupted { .. }
            | Self::Missing { .. }
            | Self::Invalid { .. }
            | Self::Unsupported { .. }
            | Self::EmptyPrompt => StatusCode::BAD_REQUEST,
            Self::ForeignHost { .. } | Self::ForeignOrigin { .. } | Self::NoPageToken => StatusCode::FORBIDDEN,
            Self::UnknownPath { .. }
            | Self::UnknownModel { .. }
            | Self::UnknownReceipt { .. }
            | Self::NoAnswerYet { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } | Self::PromptTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::KeyMissing | Self::KeyUnknown | Self::KeyExpired { .. } => StatusCode::UNAUTHORIZED,
            Self::TooManyRequests { .. } | Self::KeyLimit { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Pull(PullRefused::TooMany) => StatusCode::TOO_MANY_REQUESTS,
            Self::Pull(PullRefused::Unknown { .. }) => StatusCode::NOT_FOUND,
            Self::Pull(PullRefused::Running { .. }) => StatusCode::CONFLICT,
            Self::Audit(AuditRefused::Unknown(_)) => StatusCode::NOT_FOUND,
            Self::Audit(AuditRefused::ModelNotHere { .. } | AuditRefused::NotReplayable { .. }) => StatusCode::CONFLICT,
            Self::Audit(AuditRefused::Busy) => StatusCode::TOO_MANY_REQUESTS,
            Self::Audit(AuditRefused::Engine(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Pull(PullRefused::NoLibrary | PullRefused::Unfit { .. }) => StatusCode::BAD_REQUEST,
            Self::Network(NetworkRefused { is_ours: false, .. }) => StatusCode::BAD_REQUEST,
            Self::AnswerBroke => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady { .. } | Self::Node(_) | Self::NoNetworks | Self::Network(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Ask(e) => match e.class() {
                ErrorClass::BadRequest => StatusCode::BAD_REQUEST,
                ErrorClass::NotFound => StatusCode::NOT_FOUND,
                ErrorClass::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                ErrorClass::Busy => StatusCode::TOO_MANY_REQUESTS,
                ErrorClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                ErrorClass::BadGateway => StatusCode::BAD_GATEWAY,
                ErrorClass::Timeout => StatusCode::GATEWAY_TIMEOUT,
                ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// The kind of error in OpenAI's words.
    fn kind(&self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// The error as JSON; also what a stream ends with when it fails in the middle.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({
            "message": self.to_string(),
            "type": self.kind(),
            "code": self.code(),
            "param": self.param(),
            "hint": self.hint(),
        });
        if let Self::Ask(AskError::AnswerPending { request, .. }) = self {
            error["request"] = json!(request);
        }
        json!({ "error": error })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        tracing::debug!(code = self.code(), status = status.as_u16(), "refused");
        let json = self.to_json();
        let mut response = (status, Json(&json)).into_response();
        response.extensions_mut().insert(ErrorJson(json));
        let headers = response.headers_mut();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let wait = if let Self::KeyLimit { retry_after_s, .. } = &self { *retry_after_s } else { RETRY_AFTER_S };
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::PAYLOAD_TOO_LARGE || status == StatusCode::REQUEST_TIMEOUT {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Self::MethodNotAllowed { allowed, .. } = &self {
            if let Ok(allowed) = HeaderValue::from_str(allowed) {
                headers.insert(header::ALLOW, allowed);
            }
        }
        response
    }
}
