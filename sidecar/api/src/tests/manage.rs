//! What the owner does from the page: who may, and what becomes of it.

use super::scripted::Scripted;
use super::{api, get, request, send, Answer};
use crate::Api;
use axum::body::Body;
use axum::http::Method;
use serde_json::{json, Value};
use std::sync::Arc;

const ORDERS: [(&str, &str); 4] = [
    ("/ainonymous/v1/pulls", r#"{"model":"gemma-4-e4b"}"#),
    ("/ainonymous/v1/pulls/cancel", r#"{"id":1}"#),
    ("/ainonymous/v1/pause", r#"{"paused":true}"#),
    ("/ainonymous/v1/stop", ""),
];

async fn order_at(api: &Api, path: &str, body: String, headers: &[(&str, &str)]) -> Answer {
    let mut request = request(Method::POST, path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(api, request.body(Body::from(body)).unwrap()).await
}

/// Posts as the page does.
pub(super) async fn order(node: &Arc<Scripted>, path: &str, body: Value) -> Answer {
    let api = api(node, None);
    let token = api.page_key().token().to_owned();
    order_at(&api, path, body.to_string(), &[("x-ainonymous-token", &token)]).await
}

#[tokio::test]
async fn what_changes_the_node_needs_the_token_of_its_page() {
    let node = Arc::new(Scripted::new());
    let api = api(&node, None);
    let token = api.page_key().token().to_owned();
    let wrong = "0".repeat(token.len());
    for (path, body) in ORDERS {
        for headers in [
            vec![],
            vec![("x-ainonymous-token", "")],
            vec![("x-ainonymous-token", wrong.as_str())],
            vec![("authorization", "Bearer ain-1")],
        ] {
            let answer = order_at(&api, path, body.into(), &headers).await;
            assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "page_token_needed"), "{path}");
        }
        let foreign = [("x-ainonymous-token", token.as_str()), ("origin", "http://evil.example")];
        let answer = order_at(&api, path, body.into(), &foreign).await;
        assert_eq!(answer.error_code(), "foreign_origin", "the token does not help another site");
    }
    assert!(node.done.lock().unwrap().is_empty());
    for (path, body) in ORDERS {
        let answer = order_at(&api, path, body.into(), &[("x-ainonymous-token", &token)]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    assert_eq!(*node.done.lock().unwrap(), ["pull gemma-4-e4b", "cancel 1", "pause true", "stop"]);
}

#[tokio::test]
async fn another_start_has_another_token() {
    let node = Arc::new(Scripted::new());
    let (one, other) = (api(&node, None), api(&node, None));
    assert_ne!(one.page_key().token(), other.page_key().token());
    assert_ne!(one.page_key().token(), one.page_key().secret());
}

#[tokio::test]
async fn peers_counts_and_models_to_pull() {
    let node = Arc::new(Scripted::new());
    let peers = get(&node, "/ainonymous/v1/peers").await.json();
    assert_eq!((peers["read_ago_s"].as_u64(), peers["peers"][0]["kinship"].as_str()), (Some(3), Some("friend")));
    let heard = &peers["peers"][0]["models"][0]["heard"];
    assert_eq!(
        heard,
        &json!({ "ago_s": 7, "round_trip_ms": 1.5, "queued": 2, "slots": 4, "free_slots": 0, "milli_price": 0 })
    );
    let timeline = get(&node, "/ainonymous/v1/timeline").await.json();
    assert_eq!(timeline, json!({ "every_s": 20, "samples": [{ "at_s": 1, "asked": 2, "answered": 3, "refused": 4 }] }));
    let catalogue = get(&node, "/ainonymous/v1/catalogue").await.json();
    assert_eq!(
        (catalogue["models"][0]["name"].as_str(), catalogue["models"][0]["is_there"].as_bool()),
        (Some("gemma-4-e4b"), Some(false))
    );
    assert_eq!(get(&node, "/ainonymous/v1/pulls").await.json(), json!({ "pulls": [] }));
}

#[tokio::test]
async fn orders_that_make_no_sense_are_named() {
    let node = Arc::new(Scripted::new());
    for (path, body, status, code) in [
        ("/ainonymous/v1/pulls", json!({}), 400, "missing_field"),
        ("/ainonymous/v1/pulls", json!({ "model": "x".repeat(2_049) }), 400, "invalid_value"),
        ("/ainonymous/v1/pulls", json!({ "model": "full" }), 429, "too_many_pulls"),
        ("/ainonymous/v1/pulls/cancel", json!({ "id": -1 }), 400, "invalid_value"),
        ("/ainonymous/v1/pulls/cancel", json!({ "id": 2 }), 404, "pull_not_found"),
        ("/ainonymous/v1/pause", json!({ "paused": "yes" }), 400, "invalid_value"),
    ] {
        let answer = order(&node, path, body).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code), "{path}");
    }
    assert_eq!(order(&node, "/ainonymous/v1/pulls", json!({ "model": "x".repeat(2_048) })).await.status, 200);
}
