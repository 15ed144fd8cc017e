//! Everything that is no question, and everything that the node says no to.

use super::scripted::{done, text, Script, Scripted};
use super::{ask, get, post, question, request, send, Answer};
use ainonymous_node::{AskError, EngineError, Phase};
use ainonymous_types::{FinishReason, RefuseReason};
use axum::body::{Body, Bytes};
use axum::http::Method;
use serde_json::json;
use std::sync::Arc;

async fn refused(body: impl Into<Body>) -> Answer {
    let node = Arc::new(Scripted::new());
    let answer = post(&node, body).await;
    assert!(node.asked.lock().unwrap().is_empty());
    answer
}

#[tokio::test]
async fn invalid_json_names_the_place() {
    for (body, line, column) in
        [("", 1, 0), ("{", 1, 1), ("{\n  \"messages\": [,]\n}", 2, 16), (r#"{"a":"\ud800"}"#, 1, 13)]
    {
        let answer = refused(body).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "invalid_json"), "{body}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.ends_with(&format!("at line {line}, column {column}")), "{body}: {message}");
    }
    let deep = refused(format!("{}1", "[".repeat(100_000))).await;
    assert_eq!(deep.error_code(), "invalid_json");
}

#[tokio::test]
async fn an_error_never_repeats_the_body() {
    for body in [r#"{"messages": "SECRET"}"#, r#"{"messages":[{"role":"SECRET","content":"x"}]}"#, r#"{"a": SECRET}"#] {
        let answer = refused(body).await;
        assert_eq!(answer.status, 400);
        assert!(!answer.body.contains("SECRET"), "{}", answer.body);
    }
}

#[tokio::test]
async fn invalid_utf8_names_the_byte() {
    let answer = refused(Bytes::from_static(b"{\"messages\":\"\xff\"}")).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "invalid_utf8"));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("byte 13"));
}

#[tokio::test]
async fn what_is_missing_or_of_the_wrong_kind_is_named() {
    let cases = [
        (json!({}), "missing_field", "messages"),
        (json!({ "messages": null }), "missing_field", "messages"),
        (json!([]), "invalid_value", "body"),
        (json!({ "messages": [] }), "invalid_value", "messages"),
        (json!({ "messages": {} }), "invalid_value", "messages"),
        (json!({ "messages": ["hi"] }), "invalid_value", "messages[0]"),
        (json!({ "messages": [{ "content": "x" }] }), "missing_field", "messages[0].role"),
        (json!({ "messages": [{ "role": "user" }] }), "missing_field", "messages[0].content"),
        (json!({ "messages": [{ "role": "king", "content": "x" }] }), "invalid_value", "messages[0].role"),
        (json!({ "messages": [{ "role": "user", "content": 5 }] }), "invalid_value", "messages[0].content"),
        (json!({ "messages": [{ "role": "user", "content": [{}] }] }), "missing_field", "messages[0].content[0].type"),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "text" }] }] }),
            "missing_field",
            "messages[0].content[0].text",
        ),
        (json!({ "messages": [{ "role": "user", "content": " \n" }] }), "empty_prompt", "messages"),
        (question(json!({ "model": 5 })), "invalid_value", "model"),
        (question(json!({ "model": "x".repeat(200) })), "invalid_value", "model"),
        (question(json!({ "stream": "yes" })), "invalid_value", "stream"),
        (question(json!({ "temperature": "hot" })), "invalid_value", "temperature"),
        (question(json!({ "seed": 1.5 })), "invalid_value", "seed"),
        (question(json!({ "max_tokens": 5, "max_completion_tokens": 6 })), "invalid_value", "max_tokens"),
        (question(json!({ "ainonymous": { "route": "pigeon" } })), "invalid_value", "ainonymous.route"),
        (question(json!({ "ainonymous": { "provider": "bob" } })), "invalid_value", "ainonymous.provider"),
        (question(json!({ "ainonymous": { "show_auditors": "some" } })), "invalid_value", "ainonymous.show_auditors"),
        (
            question(json!({ "ainonymous": { "show_auditors": "all", "route": "posted" } })),
            "invalid_value",
            "ainonymous.show_auditors",
        ),
        (question(json!({ "ainonymous": { "hide": 3 } })), "invalid_value", "ainonymous.hide"),
        (question(json!({ "ainonymous": { "hide": "two" } })), "invalid_value", "ainonymous.hide"),
        (question(json!({ "ainonymous": { "hide": 2, "no_routers": true } })), "invalid_value", "ainonymous.hide"),
        (question(json!({ "ainonymous": { "hide": 1, "route": "posted" } })), "invalid_value", "ainonymous.hide"),
        (question(json!({ "ainonymous": { "region": "DE" } })), "invalid_value", "ainonymous.region"),
        (question(json!({ "ainonymous": { "rout": "auto" } })), "invalid_value", "ainonymous.rout"),
    ];
    for (body, code, param) in cases {
        let answer = refused(body.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, code), "{body}");
        assert_eq!(answer.json()["error"]["param"], param, "{body}");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn the_node_s_errors_have_their_status() {
    let provider = || "uhCAkX".to_owned();
    let refused = |reason| AskError::Refused { provider: provider(), reason, detail: String::new() };
    let cases = [
        (AskError::UnknownModel { model: "x".into(), known: vec!["tiny-gemma:q8_0".into()] }, 404, "model_not_found"),
        (AskError::NoProvider { model: "x".into() }, 503, "no_provider"),
        (AskError::ModelLoading { model: "x".into() }, 503, "model_loading"),
        (AskError::NotReady { state: "joining".into() }, 503, "not_ready"),
        (AskError::Invalid { problem: "too much".into(), code: "stop_bytes" }, 400, "stop_bytes"),
        (AskError::ProviderSilent { provider: provider() }, 504, "provider_silent"),
        (AskError::ProviderGone { provider: provider(), tokens: 3 }, 502, "provider_gone"),
        (refused(RefuseReason::Busy), 429, "provider_busy"),
        (refused(RefuseReason::PromptTooLong), 400, "prompt_too_long"),
        (refused(RefuseReason::EngineFailed), 502, "provider_engine_failed"),
        (AskError::Engine(EngineError::QueueFull { queue_max: 4 }), 429, "queue_full"),
        (AskError::Draining, 503, "draining"),
        (AskError::AnswerPending { request: "uhCkkX".into(), waited_s: 60 }, 504, "answer_pending"),
    ];
    for (error, status, code) in cases {
        let answer = ask(&Scripted::failing(error), question(json!({}))).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code));
        let retry = matches!(status, 429 | 503);
        assert_eq!(!answer.header("retry-after").is_empty(), retry, "{code}");
        let kind = match status {
            429 => "rate_limit_error",
            400 | 404 => "invalid_request_error",
            _ => "server_error",
        };
        assert_eq!(answer.json()["error"]["type"], kind, "{code}");
    }
    let answer = ask(
        &Scripted::failing(AskError::UnknownModel { model: "x".into(), known: vec!["tiny-gemma:q8_0".into()] }),
        question(json!({})),
    )
    .await;
    assert_eq!(answer.json()["error"]["param"], "model");
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("tiny-gemma:q8_0"));
}

#[tokio::test]
async fn a_node_that_starts_says_so_instead_of_blaming_the_model() {
    let error = AskError::UnknownModel { model: "x".into(), known: vec![] };
    let node = Scripted::with(Script::Refuse(error)).in_phase(Phase::Starting);
    let answer = ask(&Arc::new(node), question(json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "not_ready"));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("tiny-gemma:q8_0 is loading"));
}

#[tokio::test]
async fn an_answer_that_breaks_is_an_error() {
    let gone = || Err(AskError::ProviderGone { provider: "uhCAkX".into(), tokens: 1 });
    for (events, status, code) in [
        (vec![text("Par"), gone()], 502, "provider_gone"),
        (vec![text("Par")], 500, "answer_broke"),
        (vec![], 500, "answer_broke"),
    ] {
        let answer = ask(&Arc::new(Scripted::with(Script::Events(events))), question(json!({}))).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code));
    }
    let node = Arc::new(Scripted::with(Script::Events(vec![text("x"), done(FinishReason::Length)])));
    assert_eq!(ask(&node, question(json!({}))).await.json()["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn unknown_paths_list_the_known_ones() {
    for path in ["/v1/nothing", "/index.html", "/v1/chat/completions/", "/../etc/passwd"] {
        let answer = get(&Arc::new(Scripted::new()), path).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (404, "unknown_path"), "{path}");
        let hint = answer.json()["error"]["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("POST /v1/chat/completions") && hint.contains("GET /readyz"), "{hint}");
    }
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_one() {
    for (method, path, allowed) in [
        (Method::GET, "/v1/chat/completions", "POST"),
        (Method::PUT, "/v1/chat/completions", "POST"),
        (Method::POST, "/v1/models", "GET"),
        (Method::DELETE, "/v1/models/x", "GET"),
        (Method::POST, "/ainonymous/v1/receipts/x", "GET"),
        (Method::POST, "/", "GET"),
    ] {
        let request = request(method.clone(), path).body(Body::empty()).unwrap();
        let answer = send(&super::api(&Arc::new(Scripted::new()), None), request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error_code().as_str()),
            (405, "method_not_allowed"),
            "{method} {path}"
        );
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn only_so_many_questions_at_once() {
    let node = Arc::new(Scripted::new());
    let api = super::api(&node, None);
    let held: Vec<_> = (0..crate::IN_FLIGHT_MAX).map(|_| api.admit(1).unwrap()).collect();
    let body = || request(Method::POST, "/v1/chat/completions").body(question(json!({})).to_string().into()).unwrap();
    let answer = send(&api, body()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (429, "too_many_requests"));
    assert!(!answer.header("retry-after").is_empty());
    drop(held);
    assert_eq!(send(&api, body()).await.status, 200);
}
