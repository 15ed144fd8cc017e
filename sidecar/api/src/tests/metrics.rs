//! Counts and times, and that they tell nothing else.

use super::scripted::{Script, Scripted};
use super::{api, question, request, send};
use ainonymous_node::AskError;
use axum::body::Body;
use axum::http::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn requests_answers_tokens_and_times_are_counted() {
    let api = api(&Arc::new(Scripted::new()), None);
    let ask = |extra| {
        let body = question(extra).to_string();
        request(Method::POST, "/v1/chat/completions").body(Body::from(body)).unwrap()
    };
    for extra in [json!({}), json!({ "stream": true }), json!({ "n": 2 }), json!({ "n": 99 })] {
        send(&api, ask(extra)).await;
    }
    send(&api, request(Method::GET, "/v1/models/tiny-gemma:q8_0").body(Body::empty()).unwrap()).await;
    send(&api, request(Method::GET, "/no-such-SECRET-path").body(Body::empty()).unwrap()).await;
    let answer = send(&api, request(Method::GET, "/metrics").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for line in [
        "ainonymous_http_requests_total{method=\"POST\",route=\"/v1/chat/completions\",status=\"2xx\"} 3",
        "ainonymous_http_requests_total{method=\"POST\",route=\"/v1/chat/completions\",status=\"4xx\"} 1",
        "ainonymous_http_requests_total{method=\"GET\",route=\"/v1/models/{model}\",status=\"2xx\"} 1",
        "ainonymous_http_requests_total{method=\"other\",route=\"other\",status=\"4xx\"} 1",
        "ainonymous_http_requests_in_flight 1",
        "ainonymous_answers_running 0",
        "ainonymous_answers_total{outcome=\"done\"} 4",
        "ainonymous_tokens_total{kind=\"prompt\"} 48",
        "ainonymous_tokens_total{kind=\"prompt_cached\"} 16",
        "ainonymous_tokens_total{kind=\"completion\"} 12",
        "ainonymous_first_token_seconds_bucket{le=\"0.05\"} 4",
        "ainonymous_first_token_seconds_count 4",
        "ainonymous_decode_tokens_per_second_bucket{le=\"+Inf\"} 4",
        "ainonymous_engine_ready{model=\"tiny-gemma:q8_0\"} 0",
        "ainonymous_uptime_seconds 1",
    ] {
        assert!(answer.body.lines().any(|found| found == line), "{line} is not in\n{}", answer.body);
    }
    assert!(answer.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn no_text_of_anybody_is_in_them() {
    let api = api(&Arc::new(Scripted::new()), None);
    let body = json!({ "model": "SECRET", "user": "SECRET", "messages": [{ "role": "user", "content": "SECRET" }] });
    for path in ["/v1/chat/completions", "/v1/SECRET", "/v1/models/SECRET?q=SECRET", "/ainonymous/v1/receipts/SECRET"] {
        for method in [Method::POST, Method::GET, Method::from_bytes(b"SECRET").unwrap()] {
            let request = request(method, path).header("authorization", "Bearer SECRET");
            send(&api, request.body(Body::from(body.to_string())).unwrap()).await;
        }
    }
    let answer = send(&api, request(Method::GET, "/metrics").body(Body::empty()).unwrap()).await;
    assert!(!answer.body.contains("SECRET"), "{}", answer.body);
    assert!(!answer.body.contains("Paris") && !answer.body.contains("uhCAk"), "nor answers, nor people");
}

#[tokio::test]
async fn failures_and_hang_ups_are_told_apart() {
    let count = |api: crate::Api, line: &'static str| async move {
        let answer = send(&api, request(Method::GET, "/metrics").body(Body::empty()).unwrap()).await;
        assert!(answer.body.lines().any(|found| found == line), "{line} is not in\n{}", answer.body);
    };
    let ask = || {
        let body = question(json!({})).to_string();
        request(Method::POST, "/v1/chat/completions").body(Body::from(body)).unwrap()
    };
    let hanging = api(&Arc::new(Scripted::with(Script::Hang)), None);
    assert!(tokio::time::timeout(Duration::from_millis(100), send(&hanging, ask())).await.is_err());
    count(hanging.clone(), "ainonymous_answers_total{outcome=\"cancelled\"} 1").await;
    count(hanging, "ainonymous_answers_running 0").await;
    let gone = AskError::ProviderGone { provider: "uhCAkX".into(), tokens: 1 };
    let failing = api(&Scripted::saying(vec![Err(gone)]), None);
    send(&failing, ask()).await;
    count(failing.clone(), "ainonymous_answers_total{outcome=\"failed\"} 1").await;
    count(failing, "ainonymous_answers_total{outcome=\"cancelled\"} 0").await;
}

#[tokio::test]
async fn a_glance_at_the_slots() {
    let answer = super::get(&Arc::new(Scripted::new()), "/slots").await;
    let wanted = json!({ "models": [{ "id": "tiny-gemma:q8_0", "state": "loading", "running": 0, "queued": 0 }] });
    assert_eq!(answer.json(), wanted);
}
