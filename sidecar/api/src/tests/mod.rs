//! The contract of the API: every path, status and shape, over a scripted node.

mod access;
mod admin;
mod anthropic;
mod chat;
mod choices;
mod completions;
mod embeddings;
mod guard;
mod health;
mod images;
mod llama;
mod manage;
mod metrics;
mod networks;
mod ollama;
mod openapi;
mod page;
mod refusals;
mod responses;
mod scripted;
mod socket;
mod streaming;
mod structured;
mod tools;

use crate::{Access, Api, Backend, Networks, Site};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use scripted::Scripted;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use tower::ServiceExt as _;

thread_local! {
    /// Fields that a body of this test was asked for.
    static TAKEN: RefCell<BTreeSet<String>> = RefCell::default();
}

/// A field of a body was asked for.
pub(crate) fn taken(name: &str) {
    TAKEN.with_borrow_mut(|names| names.insert(name.to_owned()));
}

const HOST: &str = "127.0.0.1:11435";

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The data of the events of a stream.
    fn events(&self) -> Vec<&str> {
        self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect()
    }

    /// Names and data of the events of a stream.
    fn named_events(&self) -> Vec<(&str, Value)> {
        let parse = |event: &'_ str| -> Option<(usize, usize)> {
            let name = event.strip_prefix("event: ")?;
            let end = name.find('\n')?;
            Some((7, 7 + end))
        };
        let events = self.body.split("\n\n").filter_map(|event| parse(event).map(|range| (event, range)));
        events
            .map(|(event, (from, to))| {
                let data = event[to + 1..].strip_prefix("data: ").unwrap();
                (&event[from..to], serde_json::from_str(data).unwrap())
            })
            .collect()
    }

    /// The objects of a stream of lines.
    fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks the shape that every error has, and gives back its code.
    fn error_code(&self) -> String {
        let json = self.json();
        let error = json["error"].as_object().expect("an error");
        for field in ["message", "type", "code", "hint"] {
            assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {json}");
        }
        assert!(error.contains_key("param"), "{json}");
        error["code"].as_str().unwrap().to_owned()
    }
}

fn api(node: &Arc<Scripted>, site: Option<Site>) -> Api {
    let backend = Arc::clone(node) as Arc<dyn Backend>;
    let api = Api::new(backend, HOST.parse().unwrap(), site, Access::of_this_machine());
    api.with_networks(Arc::clone(node) as Arc<dyn Networks>)
}

async fn send(api: &Api, request: Request<Body>) -> Answer {
    let response = api.clone().into_router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", HOST)
}

async fn get(node: &Arc<Scripted>, path: &str) -> Answer {
    send(&api(node, None), request(Method::GET, path).body(Body::empty()).unwrap()).await
}

async fn post(node: &Arc<Scripted>, body: impl Into<Body>) -> Answer {
    post_to(node, "/v1/chat/completions", body).await
}

async fn post_to(node: &Arc<Scripted>, path: &str, body: impl Into<Body>) -> Answer {
    let request = request(Method::POST, path).header("content-type", "application/json");
    send(&api(node, None), request.body(body.into()).unwrap()).await
}

/// Asks at another path than that of chat completions.
async fn ask_at(node: &Arc<Scripted>, path: &str, body: Value) -> Answer {
    post_to(node, path, body.to_string()).await
}

async fn ask(node: &Arc<Scripted>, body: Value) -> Answer {
    post(node, body.to_string()).await
}

/// A question with one message, plus other fields.
fn question(extra: Value) -> Value {
    let mut body = serde_json::json!({ "model": "tiny", "messages": [{ "role": "user", "content": "Hello" }] });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}
