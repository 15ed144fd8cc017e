//! `/v1/responses`, without a memory.

use super::ask_at;
use super::scripted::{busy, call, chat_of, done, text, token, Scripted, ID_HEX};
use ainonymous_node::request::{Chat, Constraint, Role, ToolChoice};
use ainonymous_node::AskError;
use ainonymous_types::FinishReason;
use serde_json::{json, Value};
use std::sync::Arc;

const PATH: &str = "/v1/responses";

fn two_calls() -> Arc<Scripted> {
    busy(vec![call(1, Some(("call_2", "clock")), "{}")])
}

#[tokio::test]
async fn a_response_in_openai_s_shape() {
    let node = Arc::new(Scripted::new());
    let body = json!({ "model": "tiny", "input": "Hello", "instructions": "Be brief.", "store": true,
        "metadata": { "a": "b" }, "temperature": 0.5, "max_output_tokens": 9 });
    let answer = ask_at(&node, PATH, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-ainonymous-ignored"), "");
    let json = answer.json();
    assert_eq!(json["id"], format!("resp_{ID_HEX}"));
    assert_eq!((json["object"].as_str(), json["status"].as_str()), (Some("response"), Some("completed")));
    assert_eq!((json["store"].as_bool(), json["temperature"].as_f64()), (Some(false), Some(0.5)));
    assert_eq!((json["instructions"].as_str(), json["metadata"]["a"].as_str()), (Some("Be brief."), Some("b")));
    let wanted = json!([{ "id": format!("msg_{ID_HEX}_0"), "type": "message", "status": "completed", "role": "assistant",
        "content": [{ "type": "output_text", "text": "Paris.", "annotations": [], "logprobs": [] }] }]);
    assert_eq!(json["output"], wanted);
    let usage = json!({ "input_tokens": 12, "input_tokens_details": { "cached_tokens": 4 }, "output_tokens": 3,
        "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 15 });
    assert_eq!(json["usage"], usage);
    let messages = chat_of(&node).messages;
    let said: Vec<_> = messages.iter().map(|m| (m.role, m.content.as_str())).collect();
    assert_eq!(said, [(Role::System, "Be brief."), (Role::User, "Hello")]);
    assert_eq!(node.question().question.max_tokens, 9);
}

#[tokio::test]
async fn items_become_a_conversation() {
    let node = Arc::new(Scripted::new());
    let schema = json!({ "type": "object" });
    let body = json!({
        "input": [
            { "role": "developer", "content": "Be brief." },
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "Weather?" }] },
            { "type": "reasoning", "id": "rs_1", "summary": [], "content": [{ "type": "reasoning_text", "text": "Ask." }] },
            { "type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": "{}" },
            { "type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "output": "Sun." },
            { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Sun.", "annotations": [] }] },
            { "role": "user", "content": "Thanks" },
        ],
        "tools": [{ "type": "function", "name": "weather", "parameters": schema, "strict": true }],
        "tool_choice": { "type": "function", "name": "weather" },
        "text": { "format": { "type": "json_schema", "name": "x", "schema": schema }, "verbosity": "low" },
        "reasoning": { "effort": "low", "summary": "auto" },
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
    });
    let answer = ask_at(&node, PATH, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-ainonymous-ignored"), "text.verbosity");
    let Chat { messages, tool_choice, thinking, .. } = chat_of(&node);
    let roles: Vec<Role> = messages.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool, Role::Assistant, Role::User]);
    assert_eq!(messages[2].tool_calls.len(), 2, "calls of one turn are one message");
    assert_eq!(messages[2].reasoning.as_deref(), Some("Ask."));
    assert_eq!((messages[3].tool_call_id.as_deref(), messages[3].content.as_str()), (Some("c1"), "Sun."));
    assert_eq!((tool_choice, thinking), (ToolChoice::Named("weather".into()), Some(true)));
    let question = node.question().question;
    assert!(question.constraint == Some(Constraint::JsonSchema(schema)));
    assert_eq!(question.logprobs, Some(0));
}

#[tokio::test]
async fn output_of_every_kind() {
    let json = ask_at(&two_calls(), PATH, json!({ "input": "x" })).await.json();
    let output = json["output"].as_array().unwrap();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call", "function_call"]);
    assert_eq!(output[0]["content"][0]["text"], "Hm.");
    assert_eq!(output[1]["content"][0]["text"], "Let me see.");
    let wanted = json!({ "id": format!("fc_{ID_HEX}_2"), "type": "function_call", "status": "completed",
        "call_id": "call_1", "name": "weather", "arguments": "{\"city\":\"Rome\"}" });
    assert_eq!(output[2], wanted);
    assert_eq!(json["usage"]["output_tokens_details"]["reasoning_tokens"], 1);
}

#[tokio::test]
async fn events_tell_the_same_story() {
    let whole = ask_at(&two_calls(), PATH, json!({ "input": "x" })).await.json();
    let answer = ask_at(&two_calls(), PATH, json!({ "input": "x", "stream": true })).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let events = answer.named_events();
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    let wanted = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(names, wanted);
    for (at, (name, event)) in events.iter().enumerate() {
        assert_eq!((event["type"].as_str(), event["sequence_number"].as_u64()), (Some(*name), Some(at as u64)));
    }
    assert_eq!(events[0].1["response"]["status"], "in_progress");
    assert_eq!(events[10].1["item_id"], format!("msg_{ID_HEX}_1"));
    assert_eq!(events[10].1["output_index"], 1);
    let last = &events.last().unwrap().1["response"];
    assert_eq!(last["output"], whole["output"]);
    assert_eq!(last["usage"], whole["usage"]);
}

#[tokio::test]
async fn an_answer_that_was_cut_is_incomplete() {
    let node = || Scripted::saying(vec![text("Par"), done(FinishReason::Length)]);
    let json = ask_at(&node(), PATH, json!({ "input": "x", "max_output_tokens": 1 })).await.json();
    assert_eq!(json["status"], "incomplete");
    assert_eq!(json["incomplete_details"], json!({ "reason": "max_output_tokens" }));
    assert_eq!(json["output"][0]["status"], "incomplete");
    let answer = ask_at(&node(), PATH, json!({ "input": "x", "stream": true })).await;
    assert_eq!(answer.named_events().last().unwrap().0, "response.incomplete");
}

#[tokio::test]
async fn logprobs_come_with_their_text() {
    let node = Scripted::saying(vec![token("Par", -0.5, &[]), done(FinishReason::Stop)]);
    let json = ask_at(&node, PATH, json!({ "input": "x", "top_logprobs": 1 })).await.json();
    assert_eq!(json["output"][0]["content"][0]["logprobs"][0]["token"], "Par");
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_event() {
    let gone = AskError::ProviderGone { provider: "uhCAkX".into(), tokens: 1 };
    let node = Scripted::saying(vec![text("Par"), Err(gone)]);
    let answer = ask_at(&node, PATH, json!({ "input": "x", "stream": true })).await;
    let events = answer.named_events();
    let (name, error) = events.last().unwrap();
    assert_eq!((*name, error["code"].as_str()), ("error", Some("provider_gone")));
}

#[tokio::test]
async fn what_needs_a_memory_is_refused_by_name() {
    let image =
        json!([{ "role": "user", "content": [{ "type": "input_image", "image_url": "https://a.example/b.png" }] }]);
    let cases: [(Value, &str, &str); 9] = [
        (json!({ "input": "x", "previous_response_id": "resp_1" }), "unsupported_field", "previous_response_id"),
        (json!({ "input": "x", "conversation": "c" }), "unsupported_field", "conversation"),
        (json!({ "input": "x", "background": true }), "unsupported_field", "background"),
        (json!({ "input": "x", "truncation": "auto" }), "unsupported_field", "truncation"),
        (json!({ "input": [{ "type": "item_reference", "id": "x" }] }), "unsupported_field", "input[0].type"),
        (json!({ "input": "x", "tools": [{ "type": "web_search" }] }), "unsupported_field", "tools[0].type"),
        (json!({ "input": image }), "unsupported_field", "input[0].content[0].image_url"),
        (json!({}), "missing_field", "input"),
        (json!({ "input": " " }), "invalid_value", "input"),
    ];
    for (body, code, param) in cases {
        let answer = ask_at(&Arc::new(Scripted::new()), PATH, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, code), "{body}");
        assert_eq!(answer.json()["error"]["param"], param, "{body}");
    }
    let fine = json!({ "input": "x", "previous_response_id": null, "background": false, "truncation": "disabled" });
    assert_eq!(ask_at(&Arc::new(Scripted::new()), PATH, fine).await.status, 200);
}
