//! The dialect of Ollama.

use super::scripted::{call, done, text, thought, Scripted};
use super::{ask_at, get};
use ainonymous_node::request::{Chat, Constraint, Prompt, Role};
use ainonymous_node::AskError;
use ainonymous_types::FinishReason;
use serde_json::{json, Value};
use std::sync::Arc;

const CHAT: &str = "/api/chat";
const GENERATE: &str = "/api/generate";

fn hello(extra: Value) -> Value {
    let mut body = json!({ "model": "tiny-gemma:q8_0", "messages": [{ "role": "user", "content": "Hello" }] });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

fn chat(node: &Scripted) -> Chat {
    match node.question().question.prompt {
        Prompt::Chat(chat) => chat,
        Prompt::Text(_) | Prompt::Tokens(_) => panic!("a chat"),
    }
}

#[tokio::test]
async fn a_chat_streams_lines_unless_it_is_told_otherwise() {
    let answer = ask_at(&Arc::new(Scripted::new()), CHAT, hello(json!({}))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let lines = answer.lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["message"], json!({ "role": "assistant", "content": "Par" }));
    assert_eq!((lines[1]["done"].as_bool(), lines[1]["message"]["content"].as_str()), (Some(false), Some("is.")));
    let last = &lines[2];
    assert_eq!((last["done"].as_bool(), last["done_reason"].as_str()), (Some(true), Some("stop")));
    assert_eq!((last["prompt_eval_count"].as_u64(), last["eval_count"].as_u64()), (Some(12), Some(3)));
    assert_eq!((last["eval_duration"].as_u64(), last["total_duration"].as_u64()), (Some(2_000_000), Some(43_000_000)));
    assert!(last["created_at"].as_str().unwrap().ends_with('Z'));
    let whole = ask_at(&Arc::new(Scripted::new()), CHAT, hello(json!({ "stream": false }))).await.json();
    assert_eq!(whole["message"], json!({ "role": "assistant", "content": "Paris." }));
    assert_eq!((whole["done"].as_bool(), whole["model"].as_str()), (Some(true), Some("tiny-gemma:q8_0")));
}

#[tokio::test]
async fn options_reach_the_question() {
    let node = Arc::new(Scripted::new());
    let options = json!({ "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "seed": 4, "num_predict": 7,
        "stop": ["x"], "repeat_penalty": 1.1, "num_ctx": 4096, "mystery": 1 });
    let body = hello(json!({ "options": options, "format": "json", "think": true, "keep_alive": "5m",
        "model": "tiny-gemma:latest" }));
    let answer = ask_at(&node, CHAT, body).await;
    assert_eq!(answer.header("x-ainonymous-ignored"), "options.mystery");
    let asked = node.question();
    assert_eq!(asked.model.as_deref(), Some("tiny-gemma"));
    let question = asked.question;
    assert_eq!((question.sampling.temperature_milli, question.sampling.top_k, question.sampling.seed), (500, 3, 4));
    assert_eq!((question.max_tokens, question.stop), (7, vec!["x".to_owned()]));
    assert_eq!(question.adjust.repetition, 1.1);
    assert!(question.constraint == Some(Constraint::JsonObject));
    assert_eq!(chat(&node).thinking, Some(true));
    for num_predict in [-1, -2] {
        let node = Arc::new(Scripted::new());
        ask_at(&node, CHAT, hello(json!({ "options": { "num_predict": num_predict } }))).await;
        assert_eq!(node.question().question.max_tokens, 0);
    }
}

#[tokio::test]
async fn tools_and_thinking() {
    let node = Scripted::saying(vec![
        thought("Hm."),
        call(0, Some(("c1", "weather")), "{\"city\":"),
        call(0, None, "\"Rome\"}"),
        done(FinishReason::Stop),
    ]);
    let extra = json!({
        "messages": [
            { "role": "user", "content": "Weather?" },
            { "role": "assistant", "content": "", "tool_calls": [{ "function": { "name": "weather", "arguments": { "city": "Rome" } } }] },
            { "role": "tool", "tool_name": "weather", "content": "Sun." },
        ],
        "tools": [{ "type": "function", "function": { "name": "weather", "parameters": { "type": "object" } } }],
    });
    let answer = ask_at(&node, CHAT, hello(extra)).await;
    let lines = answer.lines();
    assert_eq!(lines[0]["message"]["thinking"], "Hm.");
    let wanted = json!([{ "id": "c1", "function": { "name": "weather", "arguments": { "city": "Rome" } } }]);
    assert_eq!(lines[1]["message"]["tool_calls"], wanted, "a call is told when it is complete");
    assert_eq!(lines.len(), 3);
    let messages = chat(&node).messages;
    assert_eq!(messages[1].tool_calls[0].arguments, "{\"city\":\"Rome\"}");
    assert_eq!((messages[2].role, messages[2].name.as_deref()), (Role::Tool, Some("weather")));
}

#[tokio::test]
async fn generating_with_and_without_the_template() {
    let node = Arc::new(Scripted::new());
    let body = json!({ "model": "tiny-gemma", "prompt": "Hi", "system": "Be brief.", "stream": false });
    let json = ask_at(&node, GENERATE, body).await.json();
    assert_eq!((json["response"].as_str(), json["done_reason"].as_str()), (Some("Paris."), Some("stop")));
    let said: Vec<Role> = chat(&node).messages.iter().map(|m| m.role).collect();
    assert_eq!(said, [Role::System, Role::User]);
    let node = Arc::new(Scripted::new());
    let answer = ask_at(&node, GENERATE, json!({ "prompt": "Hi", "raw": true })).await;
    assert!(node.question().question.prompt == Prompt::Text("Hi".into()));
    let lines = answer.lines();
    assert_eq!((lines[0]["response"].as_str(), lines[2]["done"].as_bool()), (Some("Par"), Some(true)));
}

#[tokio::test]
async fn asking_nothing_means_load() {
    for (path, body) in
        [(CHAT, json!({ "model": "tiny-gemma", "messages": [] })), (GENERATE, json!({ "model": "tiny-gemma" }))]
    {
        let node = Arc::new(Scripted::new());
        let json = ask_at(&node, path, body).await.json();
        assert_eq!((json["done"].as_bool(), json["done_reason"].as_str()), (Some(true), Some("load")));
        assert!(node.asked.lock().unwrap().is_empty());
    }
    let missing = ask_at(&Arc::new(Scripted::new()), GENERATE, json!({ "model": "other" })).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn models_and_versions() {
    let node = Arc::new(Scripted::new());
    assert_eq!(get(&node, "/api/version").await.json()["version"], env!("CARGO_PKG_VERSION"));
    let tags = get(&node, "/api/tags").await.json();
    let model = &tags["models"][0];
    assert_eq!((model["name"].as_str(), model["size"].as_u64()), (Some("tiny-gemma:q8_0"), Some(3_000_000)));
    assert_eq!(model["details"]["quantization_level"], "Q8_0");
    assert_eq!(get(&node, "/api/ps").await.json(), json!({ "models": [] }), "it is a peer's");
    for body in [json!({ "model": "tiny-gemma:q8_0" }), json!({ "name": "tiny-gemma" })] {
        let shown = ask_at(&node, "/api/show", body).await.json();
        assert_eq!(shown["details"]["format"], "gguf");
        assert!(shown["capabilities"].as_array().unwrap().contains(&json!("completion")));
    }
    let json = ask_at(&node, "/api/embed", json!({ "model": "tiny-gemma", "input": ["a", "b"], "truncate": true }))
        .await
        .json();
    assert_eq!(json["embeddings"].as_array().unwrap().len(), 2);
    assert_eq!(json["prompt_eval_count"], 3);
}

#[tokio::test]
async fn errors_in_ollama_s_shape() {
    let image = hello(json!({ "messages": [{ "role": "user", "content": "x", "images": ["%"] }] }));
    for (path, body, status, code) in [
        (CHAT, image, 400, "invalid_value"),
        (GENERATE, json!({ "prompt": "x", "images": ["AAAA"], "raw": true }), 400, "unsupported_field"),
        (CHAT, hello(json!({ "options": { "mirostat": 1 } })), 400, "unsupported_field"),
        (CHAT, hello(json!({ "format": "yaml" })), 400, "invalid_value"),
        (CHAT, hello(json!({ "think": 5 })), 400, "invalid_value"),
        (GENERATE, json!({ "prompt": "x", "suffix": "y" }), 400, "unsupported_field"),
        (GENERATE, json!({ "prompt": "x", "context": [1] }), 400, "unsupported_field"),
        ("/api/show", json!({}), 400, "missing_field"),
        ("/api/pull", json!({}), 404, "unknown_path"),
    ] {
        let answer = ask_at(&Arc::new(Scripted::new()), path, body.clone()).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), json["code"].as_str()), (status, Some(code)), "{body}");
        assert!(json["error"].as_str().is_some_and(|text| !text.is_empty()));
    }
    let gone = AskError::ProviderGone { provider: "uhCAkX".into(), tokens: 1 };
    let node = Scripted::saying(vec![text("Par"), Err(gone)]);
    let answer = ask_at(&node, CHAT, hello(json!({}))).await;
    assert!(answer.lines().last().unwrap()["error"].is_string());
}
