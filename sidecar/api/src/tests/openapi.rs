//! The OpenAPI document says what the code does.

use super::manage::order;
use super::scripted::Scripted;
use super::{get, TAKEN};
use crate::openapi::document;
use crate::ROUTES;
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A body for each path that takes one.
fn bodies() -> Vec<(&'static str, Value)> {
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    vec![
        ("/v1/chat/completions", json!({ "messages": messages })),
        ("/v1/completions", json!({ "prompt": "Hello" })),
        ("/v1/embeddings", json!({ "input": "Hello" })),
        ("/v1/responses", json!({ "input": "Hello" })),
        ("/v1/messages", json!({ "messages": messages, "max_tokens": 5 })),
        ("/api/chat", json!({ "messages": messages, "stream": false })),
        ("/api/generate", json!({ "prompt": "Hello", "stream": false })),
        ("/api/embed", json!({ "input": "Hello" })),
        ("/v1/messages/count_tokens", json!({ "messages": messages })),
        ("/models/load", json!({ "model": "tiny-gemma" })),
        ("/models/unload", json!({ "model": "tiny-gemma" })),
        ("/tokenize", json!({ "content": "Hello" })),
        ("/detokenize", json!({ "tokens": [1, 2] })),
        ("/apply-template", json!({ "messages": messages })),
        ("/api/embeddings", json!({ "prompt": "Hello" })),
        ("/api/show", json!({ "model": "tiny-gemma:q8_0" })),
        ("/ainonymous/v1/pulls", json!({ "model": "gemma-4-e4b" })),
        ("/ainonymous/v1/pulls/cancel", json!({ "id": 1 })),
        ("/ainonymous/v1/pause", json!({ "paused": true })),
        ("/ainonymous/v1/networks", json!({ "name": "Circle" })),
        ("/ainonymous/v1/networks/invite", json!({ "network": "circle", "expires_s": 3_600 })),
        ("/ainonymous/v1/networks/join", json!({ "invite": "ainonymous-invite:aa" })),
        ("/ainonymous/v1/networks/revoke", json!({ "network": "circle", "whom": "uhCAk" })),
    ]
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn resolved<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
    document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

#[test]
fn every_path_is_in_it_and_no_other() {
    let document = document();
    let mut found = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        found.extend(names(methods).into_iter().map(|method| (method.to_uppercase(), path.clone())));
    }
    let wanted: BTreeSet<_> =
        ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(found, wanted);
    let mut ids = BTreeSet::new();
    for methods in document["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].to_string()), "{} is there twice", operation["operationId"]);
            assert!(operation["responses"]["200"]["description"].is_string());
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref") {
                    resolved(document, reference);
                }
                map.values().for_each(|inner| walk(document, inner));
            }
            Value::Array(values) => values.iter().for_each(|inner| walk(document, inner)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
}

#[tokio::test]
async fn bodies_have_the_fields_that_are_read_and_no_other() {
    let document = document();
    let with_bodies =
        document["paths"].as_object().unwrap().values().filter(|path| path["post"]["requestBody"].is_object());
    assert_eq!(with_bodies.count(), bodies().len());
    for (path, body) in bodies() {
        let reference =
            &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let schema = resolved(&document, reference);
        TAKEN.with_borrow_mut(BTreeSet::clear);
        let answer = order(&Arc::new(Scripted::new()), path, body.clone()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let mut read = TAKEN.with_borrow(Clone::clone);
        if path == "/api/show" {
            // Only asked for if the other is not there.
            read.insert("name".into());
        }
        assert_eq!(names(&schema["properties"]), read, "{path}");
        for needed in schema["required"].as_array().unwrap() {
            assert!(body.get(needed.as_str().unwrap()).is_some(), "{path} {needed}");
        }
    }
}

#[tokio::test]
async fn answers_have_what_their_schemas_promise() {
    let document = document();
    for (path, body) in bodies() {
        let content = &document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"];
        let schema = resolved(&document, &content["$ref"]);
        let answer = order(&Arc::new(Scripted::new()), path, body).await.json();
        for needed in schema["required"].as_array().unwrap() {
            let value = &answer[needed.as_str().unwrap()];
            let kind = schema["properties"][needed.as_str().unwrap()]["type"].as_str().unwrap();
            let fits = match kind {
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("{other}"),
            };
            assert!(fits, "{path} {needed} is no {kind}: {value}");
        }
    }
}

#[tokio::test]
async fn it_is_served_and_kept() {
    let served = get(&Arc::new(Scripted::new()), "/openapi.json").await;
    assert_eq!(served.json(), document());
    let kept = include_str!("../../../../docs/reference/openapi.json");
    let kept: Value = serde_json::from_str(kept).unwrap();
    assert!(kept == document(), "docs/reference/openapi.json is not what the code says: run `cargo xtask gen`");
}
