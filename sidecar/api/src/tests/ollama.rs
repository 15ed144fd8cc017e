//! The dialect of Ollama.

use super::scripted::{call, chat_of, done, text, thought, Scripted};
use super::{ask_at, get};
use ainonymous_node::request::{Constraint, Prompt, Role};
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
    assert_eq!(answer.header("x-ainonymous-ignored"), "options.mystery, keep_alive", "a peer keeps its own models");
    let asked = node.question();
    assert_eq!(asked.model.as_deref(), Some("tiny-gemma"));
    let question = asked.question;
    assert_eq!((question.sampling.temperature_milli, question.sampling.top_k, question.sampling.seed), (500, 3, 4));
    assert_eq!((question.max_tokens, question.stop), (7, vec!["x".to_owned()]));
    assert_eq!(question.adjust.repetition, 1.1);
    assert!(question.constraint == Some(Constraint::JsonObject));
    assert_eq!(chat_of(&node).thinking, Some(true));
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
    let messages = chat_of(&node).messages;
    assert_eq!(messages[1].tool_calls[0].arguments, "{\"city\":\"Rome\"}");
    assert_eq!((messages[2].role, messages[2].name.as_deref()), (Role::Tool, Some("weather")));
}

#[tokio::test]
async fn generating_with_and_without_the_template() {
    let node = Arc::new(Scripted::new());
    let body = json!({ "model": "tiny-gemma", "prompt": "Hi", "system": "Be brief.", "stream": false });
    let json = ask_at(&node, GENERATE, body).await.json();
    assert_eq!((json["response"].as_str(), json["done_reason"].as_str()), (Some("Paris."), Some("stop")));
    let said: Vec<Role> = chat_of(&node).messages.iter().map(|m| m.role).collect();
    assert_eq!(said, [Role::System, Role::User]);
    let node = Arc::new(Scripted::new());
    let answer = ask_at(&node, GENERATE, json!({ "prompt": "Hi", "raw": true })).await;
    assert!(node.question().question.prompt == Prompt::Text("Hi".into()));
    let lines = answer.lines();
    assert_eq!((lines[0]["response"].as_str(), lines[2]["done"].as_bool()), (Some("Par"), Some(true)));
}

#[tokio::test]
async fn asking_nothing_means_load_or_unload() {
    let chat = |extra: Value| {
        let mut body = json!({ "model": "second", "messages": [] });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (path, body, reason, done) in [
        (CHAT, chat(json!({})), "load", vec!["load second:q4_0"]),
        (GENERATE, json!({ "model": "second:latest" }), "load", vec!["load second:q4_0"]),
        (
            GENERATE,
            json!({ "model": "second", "keep_alive": "5m" }),
            "load",
            vec!["load second:q4_0", "keep second:q4_0 300s"],
        ),
        (GENERATE, json!({ "model": "second", "keep_alive": 0 }), "unload", vec!["keep second:q4_0 0ns"]),
        (CHAT, chat(json!({ "keep_alive": "0s" })), "unload", vec!["keep second:q4_0 0ns"]),
        (GENERATE, json!({ "model": "large" }), "load", vec![]),
        (GENERATE, json!({}), "load", vec!["load tiny-gemma:q8_0"]),
    ] {
        let node = Arc::new(Scripted::with_models());
        let json = ask_at(&node, path, body.clone()).await.json();
        assert_eq!((json["done"].as_bool(), json["done_reason"].as_str()), (Some(true), Some(reason)), "{body} {json}");
        assert!(node.asked.lock().unwrap().is_empty());
        assert_eq!(*node.done.lock().unwrap(), done, "{body}");
    }
    for (body, status, code) in [
        (json!({ "model": "other" }), 404, "model_not_found"),
        (json!({ "model": "other", "keep_alive": 0 }), 404, "model_not_found"),
        (json!({ "model": "broken" }), 400, "invalid_model"),
        (json!({ "model": "second", "keep_alive": "soon" }), 400, "invalid_value"),
    ] {
        let answer = ask_at(&Arc::new(Scripted::with_models()), GENERATE, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (status, Some(code)), "{body}");
    }
}

#[tokio::test]
async fn how_long_a_model_stays_is_said_with_any_question() {
    for (keep, wanted) in [
        (json!(0), Some("keep tiny-gemma:q8_0 0ns")),
        (json!(-1), Some("keep tiny-gemma:q8_0 forever")),
        (json!("1h30m"), Some("keep tiny-gemma:q8_0 5400s")),
        (Value::Null, None),
    ] {
        let node = || Arc::new(Scripted::with_models());
        let check = |node: &Scripted, ignored: &str| {
            assert_eq!(node.done.lock().unwrap().first().map(String::as_str), wanted, "{keep}");
            assert_eq!(ignored, "");
        };
        let (asked, made, old) = (node(), node(), node());
        let answer = ask_at(&asked, CHAT, hello(json!({ "keep_alive": keep }))).await;
        check(&asked, answer.header("x-ainonymous-ignored"));
        ask_at(&made, "/api/embed", json!({ "model": "tiny-gemma", "input": "a", "keep_alive": keep })).await;
        check(&made, "");
        ask_at(&old, "/api/embeddings", json!({ "model": "tiny-gemma", "prompt": "a", "keep_alive": keep })).await;
        check(&old, "");
    }
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
    assert_eq!(model["capabilities"], json!(["completion", "tools"]), "what any model can do");
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
async fn models_in_every_state() {
    let node = Arc::new(Scripted::with_models());
    let tags = get(&node, "/api/tags").await.json();
    let states: Vec<_> =
        tags["models"].as_array().unwrap().iter().map(|m| (m["name"].clone(), m["status"].clone())).collect();
    let wanted = [
        (json!("tiny-gemma:q8_0"), json!({ "value": "loaded" })),
        (json!("second:q4_0"), json!({ "value": "unloaded" })),
        (json!("third:q4_0"), json!({ "value": "loading" })),
        (json!("broken:q8_0"), json!({ "value": "failed", "failed": true, "problem": "it is broken" })),
        (json!("large:q8_0"), json!({ "value": "loaded" })),
    ];
    assert_eq!(states, wanted, "each once");
    let loaded = get(&node, "/api/ps").await.json();
    assert_eq!(loaded["models"].as_array().unwrap().len(), 1);
    assert_eq!(loaded["models"][0]["name"], "tiny-gemma:q8_0");
    assert!(loaded["models"][0]["expires_at"].as_str().unwrap().starts_with("20"), "in a minute");
    let shown = ask_at(&node, "/api/show", json!({ "model": "Tiny-Gemma" })).await.json();
    assert_eq!(shown["capabilities"], json!(["completion", "thinking"]), "its template knows no tools");
    assert_eq!(shown["model_info"]["gemma3.block_count"], 4);
    let peer = ask_at(&node, "/api/show", json!({ "model": "large" })).await.json();
    assert_eq!(peer["capabilities"], json!(["completion", "tools"]), "what any model can do");
}

#[tokio::test]
async fn vectors_in_the_older_form() {
    let node = Arc::new(Scripted::with_models());
    let json = ask_at(&node, "/api/embeddings", json!({ "model": "tiny-gemma", "prompt": "a" })).await.json();
    assert_eq!(json["embedding"].as_array().map(Vec::len), Some(2), "{json}");
    let json = ask_at(&node, "/api/embeddings", json!({ "model": "second" })).await.json();
    assert_eq!(
        (json, node.done.lock().unwrap().as_slice()),
        (json!({ "embedding": [] }), ["load second:q4_0".to_owned()].as_slice())
    );
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
        (CHAT, hello(json!({ "keep_alive": "later" })), 400, "invalid_value"),
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
