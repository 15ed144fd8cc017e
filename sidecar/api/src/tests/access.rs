//! Keys, limits, origins: who gets in through the whole of the API.

use super::scripted::{Script, Scripted};
use super::{question, HOST};
use crate::keys::{KeyRing, Limits};
use crate::{Access, Api, Backend};
use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt as _;

struct Gated {
    api: Api,
    secret: String,
}

fn gated(node: Scripted, address: &str, require_key: bool, limits: Limits, cors: &[&str]) -> Gated {
    let mut ring = KeyRing::default();
    let secret = ring.create("test", limits, 0).unwrap();
    let cors_origins = cors.iter().map(ToString::to_string).collect();
    let access = Access { keys: Some(Arc::new(ring)), require_key, cors_origins };
    let api = Api::new(Arc::new(node) as Arc<dyn Backend>, address.parse().unwrap(), None, access);
    Gated { api, secret }
}

impl Gated {
    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> super::Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", HOST);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        super::send(&self.api, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.secret)
    }
}

#[tokio::test]
async fn without_its_key_nobody_gets_in_and_every_dialect_says_so() {
    let gated = gated(Scripted::new(), HOST, true, Limits::default(), &[]);
    for (path, place) in [("/v1/models", "/error/code"), ("/v1/messages", "/error/code"), ("/api/tags", "/code")] {
        let answer = gated.send(Method::GET, path, &[], "").await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.json().pointer(place).unwrap(), "missing_api_key", "{path}");
        assert!(answer.body.contains("ainonymous keys create"), "{}", answer.body);
    }
    for path in ["/models/load", "/models/unload", "/tokenize", "/api/embeddings", "/v1/messages/count_tokens"] {
        assert_eq!(gated.send(Method::POST, path, &[], "{}").await.status, 401, "{path}");
    }
    for path in ["/models", "/metrics", "/slots", "/openapi.json", "/ainonymous/v1/status", "/health", "/nothing"] {
        assert_eq!(gated.send(Method::GET, path, &[], "").await.status, 401, "{path}");
    }
    assert_eq!(gated.send(Method::GET, "/livez", &[], "").await.status, 200, "who supervises has no key");
    assert_eq!(gated.send(Method::GET, "/", &[], "").await.status, 404, "the page has its own key");
    let wrong = gated.send(Method::GET, "/v1/models", &[("authorization", "Bearer ain-0")], "").await;
    assert_eq!((wrong.status.as_u16(), wrong.error_code().as_str()), (401, "invalid_api_key"));
    assert_eq!(wrong.json()["error"]["type"], "authentication_error");
    for headers in [("authorization", gated.bearer()), ("x-api-key", gated.secret.clone())] {
        let answer = gated.send(Method::GET, "/v1/models", &[(headers.0, &headers.1)], "").await;
        assert_eq!(answer.status, 200, "{}", headers.0);
    }
}

#[tokio::test]
async fn on_an_open_address_any_host_will_do_but_no_request_without_a_key() {
    let gated = gated(Scripted::new(), "0.0.0.0:11435", false, Limits::default(), &[]);
    let lan = ("host", "192.168.1.2:11435");
    let bearer = gated.bearer();
    assert_eq!(gated.send(Method::GET, "/v1/models", &[lan], "").await.status, 401);
    assert_eq!(gated.send(Method::GET, "/v1/models", &[], "").await.status, 401, "nor one that says localhost");
    assert_eq!(gated.send(Method::GET, "/v1/models", &[lan, ("authorization", &bearer)], "").await.status, 200);
    let page = gated.send(Method::GET, "/", &[lan, ("authorization", &bearer)], "").await;
    assert_eq!((page.status.as_u16(), page.error_code().as_str()), (403, "foreign_host"), "the page stays here");
    assert_eq!(gated.api.url(), "http://127.0.0.1:11435", "as this machine reaches it");
}

#[tokio::test]
async fn a_key_that_nobody_needs_is_let_pass() {
    let gated = gated(Scripted::new(), HOST, false, Limits::default(), &[]);
    let answer = gated.send(Method::GET, "/v1/models", &[("authorization", "Bearer sk-no-key-needed")], "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn limits_of_a_key() {
    let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
    let gated = gated(Scripted::new(), HOST, true, limits, &[]);
    let bearer = gated.bearer();
    let key = [("authorization", bearer.as_str())];
    for _ in 0..2 {
        assert_eq!(gated.send(Method::GET, "/v1/models", &key, "").await.status, 200);
    }
    let answer = gated.send(Method::GET, "/v1/models", &key, "").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (429, "key_limit_reached"));
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((29..=31).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_stream_holds_its_place_until_it_ends_or_is_dropped() {
    let limits = Limits { concurrent: Some(1), ..Limits::default() };
    let gated = gated(Scripted::with(Script::Hang), HOST, true, limits, &[]);
    let bearer = gated.bearer();
    let key = [("authorization", bearer.as_str())];
    let body = question(json!({ "stream": true })).to_string();
    let request = Request::builder().method(Method::POST).uri("/v1/chat/completions").header("host", HOST);
    let request = request.header("authorization", &bearer).body(Body::from(body)).unwrap();
    let response = gated.api.clone().into_router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let second = gated.send(Method::GET, "/v1/models", &key, "").await;
    assert_eq!((second.status.as_u16(), second.error_code().as_str()), (429, "key_limit_reached"));
    drop(response);
    assert_eq!(gated.send(Method::GET, "/v1/models", &key, "").await.status, 200);
}

#[tokio::test]
async fn only_web_pages_that_were_named_may_ask() {
    const NAMED: &str = "https://app.example";
    let gated = gated(Scripted::new(), HOST, false, Limits::default(), &[NAMED]);
    let cross = ("sec-fetch-site", "cross-site");
    let answer = gated.send(Method::GET, "/v1/models", &[("origin", NAMED), cross], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), NAMED);
    assert_eq!(answer.header("vary"), "Origin");
    assert!(answer.header("access-control-allow-credentials").is_empty());
    let refused = gated.send(Method::POST, "/v1/chat/completions", &[("origin", NAMED), cross], "{}").await;
    assert_eq!((refused.status.as_u16(), refused.header("access-control-allow-origin")), (400, NAMED), "errors, too");
    let preflight = [
        ("origin", NAMED),
        cross,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, content-type, x-stainless-os"),
        ("access-control-request-private-network", "true"),
    ];
    let answer = gated.send(Method::OPTIONS, "/v1/chat/completions", &preflight, "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-headers"), "authorization, content-type, x-stainless-os");
    assert_eq!(answer.header("access-control-allow-methods"), "GET, POST");
    assert_eq!(answer.header("access-control-allow-private-network"), "true");
    for origin in ["https://evil.example", "https://app.example.evil", "http://app.example", "null"] {
        let answer = gated.send(Method::GET, "/v1/models", &[("origin", origin), cross], "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "foreign_origin"), "{origin}");
        assert!(answer.header("access-control-allow-origin").is_empty());
    }
    let page = gated.send(Method::GET, "/", &[("origin", NAMED), cross], "").await;
    assert_eq!(page.status, 403, "the page is for nobody else");
}

#[tokio::test]
async fn a_preflight_has_no_key_and_what_follows_needs_one() {
    const NAMED: &str = "https://app.example";
    let gated = gated(Scripted::new(), HOST, true, Limits::default(), &[NAMED]);
    let preflight = [("origin", NAMED), ("access-control-request-method", "GET")];
    assert_eq!(gated.send(Method::OPTIONS, "/v1/models", &preflight, "").await.status, 204);
    assert_eq!(gated.send(Method::GET, "/v1/models", &[("origin", NAMED)], "").await.status, 401);
}
