//! Images in the shapes of all dialects: they reach the node as bytes, at their place; nothing is fetched.

use super::scripted::Scripted;
use super::{ask_at, Answer};
use ainonymous_node::request::{Message, IMAGES_MAX, IMAGE_BYTES_MAX};
use ainonymous_node::{AskError, EngineError, Prompt};
use base64::prelude::{Engine as _, BASE64_STANDARD};
use serde_json::{json, Value};
use std::sync::Arc;

const CHAT: &str = "/v1/chat/completions";

fn data(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes))
}

/// The last message that the node was asked.
async fn asked(path: &str, body: Value) -> Message {
    let node = Arc::new(Scripted::new());
    let answer = ask_at(&node, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    match node.question().question.prompt {
        Prompt::Chat(chat) => chat.messages.last().unwrap().clone(),
        Prompt::Text(_) | Prompt::Tokens(_) => panic!("a chat"),
    }
}

async fn refused(body: Value) -> Answer {
    let node = Arc::new(Scripted::new());
    let answer = ask_at(&node, CHAT, body).await;
    assert!(node.asked.lock().unwrap().is_empty());
    assert_eq!(answer.status, 400, "{}", answer.body);
    answer
}

fn showing(address: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": address } }] }] })
}

#[tokio::test]
async fn every_dialect_shows_the_same_image() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let image = |address: &str| json!({ "type": "image_url", "image_url": { "url": address, "detail": "high" } });
    let parts = json!([text("What is "), image(&data(b"one")), text("this?"), image(&data(b"two"))]);
    let message = asked(CHAT, json!({ "messages": [{ "role": "user", "content": parts }] })).await;
    assert_eq!(message.content, "What is this?");
    let places: Vec<_> = message.images.iter().map(|image| (image.at, &*image.bytes)).collect();
    assert_eq!(places, [(8, &b"one"[..]), (13, &b"two"[..])]);

    let plain = BASE64_STANDARD.encode(b"one");
    let source = json!({ "type": "base64", "media_type": "image/png", "data": plain });
    let anthropic = json!([{ "type": "image", "source": source }, { "type": "text", "text": "x" }]);
    let cases = [
        ("/v1/messages", json!({ "max_tokens": 5, "messages": [{ "role": "user", "content": anthropic }] })),
        (
            "/v1/responses",
            json!({ "input": [{ "role": "user", "content": [
                { "type": "input_image", "image_url": data(b"one"), "detail": "auto" },
                { "type": "input_text", "text": "x" }] }] }),
        ),
        ("/api/chat", json!({ "stream": false, "messages": [{ "role": "user", "content": "x", "images": [plain] }] })),
        ("/api/generate", json!({ "stream": false, "prompt": "x", "images": [plain] })),
        (
            CHAT,
            json!({ "messages": [{ "role": "user", "content": [
            { "type": "image_url", "image_url": data(b"one").to_uppercase().replace(&plain.to_uppercase(), &plain) },
            text("x")] }] }),
        ),
    ];
    for (path, body) in cases {
        let message = asked(path, body).await;
        assert_eq!((message.content.as_str(), message.images.len()), ("x", 1), "{path}");
        assert_eq!((message.images[0].at, &*message.images[0].bytes), (0, &b"one"[..]), "{path}");
    }
    // An image alone is a question, and tools may show theirs.
    assert_eq!(asked(CHAT, showing(&data(b"one"))).await.images.len(), 1);
    let result =
        json!([{ "type": "tool_result", "tool_use_id": "t", "content": [{ "type": "image", "source": source }] }]);
    let used = json!([{ "type": "tool_use", "id": "t", "name": "see", "input": {} }]);
    let messages = json!([{ "role": "user", "content": "x" }, { "role": "assistant", "content": used },
        { "role": "user", "content": result }]);
    assert_eq!(asked("/v1/messages", json!({ "max_tokens": 5, "messages": messages })).await.images.len(), 1);
}

#[tokio::test]
async fn addresses_are_not_fetched() {
    for address in ["https://a.example/SECRET.png", "http://127.0.0.1:1/", "HTTPS://A"] {
        let answer = refused(showing(address)).await;
        assert_eq!(answer.error_code(), "unsupported_field");
        assert_eq!(answer.json()["error"]["param"], "messages[0].content[0].image_url.url");
        assert!(answer.body.contains("fetches nothing") && !answer.body.contains("SECRET"), "{}", answer.body);
    }
    for address in
        ["", "data:", "data:image/png;base64,", "data:image/png,AAAA", "data:image/png;base64,%%", "é", "file:///x"]
    {
        assert_eq!(refused(showing(address)).await.error_code(), "invalid_value", "{address}");
    }
}

#[tokio::test]
async fn images_are_bounded_at_the_door() {
    let of = |count: usize, bytes: usize| {
        let part = json!({ "type": "image_url", "image_url": { "url": data(&vec![7; bytes]) } });
        json!({ "messages": [{ "role": "user", "content": vec![part; count] }] })
    };
    assert_eq!(asked(CHAT, of(IMAGES_MAX, 3)).await.images.len(), IMAGES_MAX);
    assert_eq!(refused(of(IMAGES_MAX + 1, 3)).await.error_code(), "invalid_value");
    assert_eq!(asked(CHAT, of(1, IMAGE_BYTES_MAX)).await.images[0].bytes.len(), IMAGE_BYTES_MAX);
    assert_eq!(refused(of(1, IMAGE_BYTES_MAX + 1)).await.error_code(), "invalid_value");
}

#[tokio::test]
async fn a_model_that_sees_nothing_says_so() {
    let node = Scripted::failing(AskError::Engine(EngineError::NoProjector));
    let answer = ask_at(&node, CHAT, showing(&data(b"one"))).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "no_projector"));
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("--mmproj"));
}
