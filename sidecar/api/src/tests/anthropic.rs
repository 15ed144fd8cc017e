//! The dialect of Anthropic.

use super::scripted::{busy, chat_of, done, stopped_by, text, Scripted, ID_HEX};
use super::{api, ask_at, request, send, Answer};
use ainonymous_node::request::{Chat, Constraint, Role, ToolChoice};
use ainonymous_node::AskError;
use ainonymous_types::FinishReason;
use axum::body::Body;
use axum::http::Method;
use serde_json::{json, Value};
use std::sync::Arc;

const PATH: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";

fn body(extra: Value) -> Value {
    let mut body = json!({ "model": "tiny", "max_tokens": 9, "messages": [{ "role": "user", "content": "Hello" }] });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_message_in_anthropic_s_shape() {
    let node = Arc::new(Scripted::new());
    let answer = ask_at(&node, PATH, body(json!({ "system": [{ "type": "text", "text": "Be brief." }] }))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json = answer.json();
    assert_eq!(json["id"], format!("msg_{ID_HEX}"));
    assert_eq!((json["type"].as_str(), json["role"].as_str()), (Some("message"), Some("assistant")));
    assert_eq!(json["content"], json!([{ "type": "text", "text": "Paris." }]));
    assert_eq!((json["stop_reason"].as_str(), &json["stop_sequence"]), (Some("end_turn"), &Value::Null));
    let usage = json!({ "input_tokens": 8, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 3 });
    assert_eq!(json["usage"], usage);
    assert_eq!(json["ainonymous"]["id"], ID_HEX);
    let messages = chat_of(&node).messages;
    assert_eq!((messages[0].role, messages[0].content.as_str()), (Role::System, "Be brief."));
    assert_eq!(node.question().question.max_tokens, 9);
}

#[tokio::test]
async fn blocks_become_a_conversation() {
    let node = Arc::new(Scripted::new());
    let schema = json!({ "type": "object", "properties": {} });
    let extra = json!({
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "Weather?", "cache_control": { "type": "ephemeral" } }] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "Ask.", "signature": "x" },
                { "type": "text", "text": "Let me see." },
                { "type": "tool_use", "id": "t1", "name": "weather", "input": { "city": "Rome" } },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "t1", "content": [{ "type": "text", "text": "No." }], "is_error": true },
                { "type": "text", "text": "And now?" },
            ] },
        ],
        "tools": [{ "name": "weather", "input_schema": schema }],
        "tool_choice": { "type": "any", "disable_parallel_tool_use": true },
        "stop_sequences": ["END"],
        "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "output_config": { "format": { "type": "json_schema", "schema": schema } },
        "metadata": { "user_id": "x" },
    });
    let answer = ask_at(&node, PATH, body(extra)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-ainonymous-ignored"), "metadata");
    let Chat { messages, tools, tool_choice, parallel_tool_calls, thinking, .. } = chat_of(&node);
    let roles: Vec<Role> = messages.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::User]);
    assert_eq!(messages[1].reasoning.as_deref(), Some("Ask."));
    assert_eq!(messages[1].tool_calls[0].arguments, "{\"city\":\"Rome\"}");
    assert_eq!((messages[2].content.as_str(), messages[2].tool_call_id.as_deref()), ("Error: No.", Some("t1")));
    assert_eq!((tools[0].name.as_str(), tool_choice), ("weather", ToolChoice::Required));
    assert_eq!((parallel_tool_calls, thinking), (false, Some(true)));
    let question = node.question().question;
    assert_eq!(question.stop, ["END"]);
    assert!(question.constraint == Some(Constraint::JsonSchema(schema)));
}

#[tokio::test]
async fn content_of_every_kind() {
    let json = ask_at(&busy(vec![]), PATH, body(json!({}))).await.json();
    assert_eq!(json["stop_reason"], "tool_use");
    let wanted = json!([
        { "type": "thinking", "thinking": "Hm.", "signature": "" },
        { "type": "text", "text": "Let me see." },
        { "type": "tool_use", "id": "call_1", "name": "weather", "input": { "city": "Rome" } },
    ]);
    assert_eq!(json["content"], wanted);
}

#[tokio::test]
async fn events_block_by_block() {
    let answer = ask_at(&busy(vec![]), PATH, body(json!({ "stream": true }))).await;
    let events = answer.named_events();
    let told: Vec<(&str, Option<u64>)> = events.iter().map(|(name, event)| (*name, event["index"].as_u64())).collect();
    let wanted = [
        ("message_start", None),
        ("ping", None),
        ("content_block_start", Some(0)),
        ("content_block_delta", Some(0)),
        ("content_block_stop", Some(0)),
        ("content_block_start", Some(1)),
        ("content_block_delta", Some(1)),
        ("content_block_delta", Some(1)),
        ("content_block_stop", Some(1)),
        ("content_block_start", Some(2)),
        ("content_block_delta", Some(2)),
        ("content_block_delta", Some(2)),
        ("content_block_stop", Some(2)),
        ("message_delta", None),
        ("message_stop", None),
    ];
    assert_eq!(told, wanted);
    assert_eq!(events[0].1["message"]["content"], json!([]));
    assert_eq!(events[3].1["delta"], json!({ "type": "thinking_delta", "thinking": "Hm." }));
    assert_eq!(events[6].1["delta"], json!({ "type": "text_delta", "text": "Let me " }));
    assert_eq!(
        events[9].1["content_block"],
        json!({ "type": "tool_use", "id": "call_1", "name": "weather", "input": {} })
    );
    assert_eq!(events[10].1["delta"], json!({ "type": "input_json_delta", "partial_json": "{\"city\":" }));
    let last = &events[13].1;
    assert_eq!(last["delta"], json!({ "stop_reason": "tool_use", "stop_sequence": null }));
    assert_eq!((last["usage"]["output_tokens"].as_u64(), last["usage"]["input_tokens"].as_u64()), (Some(3), Some(8)));
    for (name, event) in &events {
        assert_eq!(event["type"], *name);
    }
}

#[tokio::test]
async fn what_ended_it_is_told() {
    let stops = json!({ "stop_sequences": ["A", "B"] });
    let node = Scripted::saying(vec![text("x"), stopped_by(1)]);
    let json = ask_at(&node, PATH, body(stops)).await.json();
    assert_eq!((json["stop_reason"].as_str(), json["stop_sequence"].as_str()), (Some("stop_sequence"), Some("B")));
    let node = Scripted::saying(vec![text("x"), done(FinishReason::Length)]);
    assert_eq!(ask_at(&node, PATH, body(json!({}))).await.json()["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn errors_in_anthropic_s_shape() {
    let image = json!([{ "role": "user", "content": [{ "type": "image", "source": {} }] }]);
    let cases = [
        (json!({ "max_tokens": null }), "invalid_request_error", "max_tokens"),
        (json!({ "messages": image }), "invalid_request_error", "messages[0].content[0].source.type"),
        (json!({ "mcp_servers": [{}] }), "invalid_request_error", "mcp_servers"),
        (json!({ "tools": [{ "type": "bash_20250124", "name": "bash" }] }), "invalid_request_error", "tools[0].type"),
        (json!({ "tool_choice": { "type": "tool", "name": "x" } }), "invalid_request_error", "tool_choice"),
        (json!({ "thinking": { "type": "perhaps" } }), "invalid_request_error", "thinking.type"),
    ];
    for (extra, kind, param) in cases {
        let answer = ask_at(&Arc::new(Scripted::new()), PATH, body(extra)).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), json["type"].as_str()), (400, Some("error")), "{json}");
        assert_eq!((json["error"]["type"].as_str(), json["error"]["param"].as_str()), (Some(kind), Some(param)));
        assert!(json["error"]["message"].is_string() && json["error"]["hint"].is_string());
    }
    let full = AskError::Engine(ainonymous_node::EngineError::QueueFull { queue_max: 4 });
    let answer = ask_at(&Scripted::failing(full), PATH, body(json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert!(!answer.header("retry-after").is_empty());
    let length = answer.header("content-length");
    assert!(length.is_empty() || length.parse() == Ok(answer.body.len()), "a length that is told is right");
    let request = request(Method::GET, PATH).body(Body::empty()).unwrap();
    let answer = send(&api(&Arc::new(Scripted::new()), None), request).await;
    assert_eq!((answer.status.as_u16(), answer.json()["type"].as_str()), (405, Some("error")));
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_event() {
    let gone = AskError::ProviderGone { provider: "uhCAkX".into(), tokens: 1 };
    let node = Scripted::saying(vec![text("Par"), Err(gone)]);
    let answer = ask_at(&node, PATH, body(json!({ "stream": true }))).await;
    let events = answer.named_events();
    let (name, error) = events.last().unwrap();
    assert_eq!((*name, error["error"]["type"].as_str()), ("error", Some("api_error")));
    assert_eq!(error["error"]["code"], "provider_gone");
}

#[tokio::test]
async fn tokens_are_counted_without_an_answer() {
    let node = Arc::new(Scripted::new());
    let tools = json!([{ "name": "weather", "input_schema": { "type": "object" } }]);
    let question = json!({ "model": "tiny-gemma", "system": "Be brief.", "tools": tools, "future": 1,
        "messages": [{ "role": "user", "content": "Hello" }] });
    let answer = ask_at(&node, COUNT, question).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "input_tokens": 30 })));
    assert_eq!(answer.header("x-ainonymous-ignored"), "future");
    assert!(node.asked.lock().unwrap().is_empty());
    for (question, kind) in [
        (json!({ "model": "tiny-gemma" }), "invalid_request_error"),
        (json!({ "messages": [{ "role": "user", "content": [{ "type": "image" }] }] }), "invalid_request_error"),
    ] {
        let json = ask_at(&Arc::new(Scripted::new()), COUNT, question).await.json();
        assert_eq!((json["type"].as_str(), json["error"]["type"].as_str()), (Some("error"), Some(kind)), "{json}");
    }
    let error = AskError::UnknownModel { model: "x".into(), known: vec![] };
    let json = ask_at(&Scripted::failing(error), COUNT, body(json!({}))).await.json();
    assert_eq!(json["error"]["type"], "not_found_error", "only this node's models can count");
}

#[tokio::test]
async fn models_for_clients_that_say_their_version() {
    let node = Arc::new(Scripted::with_models());
    let list = |path: &'static str| {
        let sent = request(Method::GET, path).header("anthropic-version", "2023-06-01").body(Body::empty()).unwrap();
        let api = api(&node, None);
        async move { send(&api, sent).await }
    };
    let ids = |answer: &Answer| -> Vec<String> {
        let json = answer.json();
        json["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = list("/v1/models").await;
    let names = ["tiny-gemma:q8_0", "second:q4_0", "third:q4_0", "broken:q8_0", "large:q8_0"];
    assert_eq!(ids(&all), names);
    let json = all.json();
    assert_eq!((json["data"][0]["type"].as_str(), json["has_more"].as_bool()), (Some("model"), Some(false)));
    assert_eq!((&json["first_id"], &json["last_id"]), (&json!(names[0]), &json!(names[4])));
    assert!(json["data"][0]["created_at"].as_str().unwrap().ends_with('Z') && json.get("object").is_none());
    let first = list("/v1/models?limit=2").await;
    assert_eq!(ids(&first), names[..2]);
    assert_eq!(first.json()["has_more"], true);
    let next = list("/v1/models?limit=2&after_id=second%3Aq4_0").await;
    assert_eq!((ids(&next)[0].as_str(), next.json()["has_more"].as_bool()), ("third:q4_0", Some(true)));
    let before = list("/v1/models?limit=1&before_id=third%3Aq4_0").await;
    assert_eq!((ids(&before), before.json()["has_more"].as_bool()), (vec!["second:q4_0".to_owned()], Some(true)));
    assert_eq!(list("/v1/models/second:q4_0").await.json()["display_name"], "second:q4_0");
    for path in
        ["/v1/models?limit=0", "/v1/models?after_id=x", "/v1/models?after_id=large%3Aq8_0&before_id=large%3Aq8_0"]
    {
        let answer = list(path).await;
        assert_eq!((answer.status.as_u16(), answer.json()["type"].as_str()), (400, Some("error")), "{path}");
    }
    let missing = list("/v1/models/other").await.json();
    assert_eq!(missing["error"]["type"], "not_found_error");
    assert_eq!(super::get(&node, "/v1/models").await.json()["object"], "list", "others get OpenAI's shape");
}
