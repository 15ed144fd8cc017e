//! The API as an OpenAPI 3.1 document, made from the table of paths. Served at `/openapi.json` and kept in
//! `docs/reference/openapi.json`.
//!
//! Tests hold it to the code: every path is in it, every field that a body can have is in its schema and no other,
//! and answers have what their schemas promise.

mod schemas;

use crate::router::ROUTES;
use axum::http::header;
use axum::response::IntoResponse;
use schemas::{Body, Field};
use serde_json::{json, Map, Value};

/// `GET /openapi.json`.
pub(crate) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document().to_string())
}

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for (method, path, what) in ROUTES {
        let entry = paths.entry(*path).or_insert_with(|| json!({}));
        entry[method.to_lowercase()] = operation(method, path, what);
    }
    let schemas = schemas::ALL.iter().flat_map(|(_, body)| {
        [(body.request.0, object(body.request.1, body.required)), (body.answer.0, answer(body.answer.1))]
    });
    let mut components: Map<String, Value> = schemas.map(|(name, schema)| (name.to_owned(), schema)).collect();
    components.insert("Error".into(), error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "AInonymous",
            "summary": "The API that every node serves.",
            "description": "The dialects of OpenAI, Anthropic and Ollama. Fields that are not named here are accepted \
                and listed in the response header `x-ainonymous-ignored`; known fields that cannot be honoured are \
                refused by name.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:11435" }],
        "security": [{}, { "bearer": [] }, { "apiKey": [] }],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "pageToken": { "type": "apiKey", "in": "header", "name": "x-ainonymous-token" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "x-api-key" },
            },
        },
    })
}

fn operation(method: &str, path: &str, what: &str) -> Value {
    let body = schemas::ALL.iter().find(|(known, _)| *known == path && method == "POST").map(|(_, body)| body);
    let mut operation = json!({
        "operationId": operation_id(method, path),
        "summary": what,
        "responses": {
            "200": { "description": "The answer.", "content": content(path, body) },
            "default": {
                "description": "An error. 429 and 503 have `Retry-After`.",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
            },
        },
    });
    if let Some(Body { request: (name, _), .. }) = body {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    if needs_page_token(method, path) {
        operation["security"] = json!([{ "pageToken": [] }]);
    }
    let parameters: Vec<Value> = path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

/// What changes the node, or shows which networks it is in, is for its own page.
fn needs_page_token(method: &str, path: &str) -> bool {
    (method == "POST" && path.starts_with("/ainonymous/")) || path.starts_with("/ainonymous/v1/networks")
}

fn content(path: &str, body: Option<&Body>) -> Value {
    let Some(Body { answer: (name, _), stream, .. }) = body else {
        return match path {
            "/" => json!({ "text/html": {} }),
            "/metrics" => json!({ "application/openmetrics-text": {} }),
            _ => json!({ "application/json": { "schema": { "type": "object" } } }),
        };
    };
    let mut content = json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } } });
    if let Some(stream) = stream {
        content[*stream] = json!({ "schema": { "type": "string" } });
    }
    content
}

/// `postV1ChatCompletions`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let name: String = words.map(capital).collect();
    method.to_lowercase() + if name.is_empty() { "Page" } else { &name }
}

fn object(fields: &[&[Field]], required: &[&str]) -> Value {
    let properties = fields.iter().copied().flatten().map(|(name, kind, what)| {
        let mut schema = schema(kind);
        schema["description"] = (*what).into();
        ((*name).to_owned(), schema)
    });
    let properties: Map<String, Value> = properties.collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// Every field of an answer is always there.
fn answer(fields: &[Field]) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, ..)| *name).collect();
    object(&[fields], &names)
}

/// `string`, `[string]` for a list of them, `string|integer` for either.
fn schema(kind: &str) -> Value {
    if kind.contains('|') {
        return json!({ "anyOf": kind.split('|').map(schema).collect::<Vec<_>>() });
    }
    match kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(items) => json!({ "type": "array", "items": schema(items) }),
        None if kind == "any" => json!({}),
        None => json!({ "type": kind }),
    }
}

/// The shape of OpenAI; on `/v1/messages` and `/api/…` errors have the shape of their dialect.
fn error() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "description": "On /v1/messages in Anthropic's shape, below /api/ in Ollama's.",
        "properties": { "error": { "anyOf": [text(), {
            "type": "object",
            "properties": {
                "message": text(),
                "type": text(),
                "code": text(),
                "param": { "type": ["string", "null"] },
                "hint": text(),
            },
            "required": ["message"],
        }] } },
        "required": ["error"],
    })
}
