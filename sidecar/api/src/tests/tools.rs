//! Tools, calls of them, and thinking, in the dialect of chat completions.

use super::scripted::{call, done, text, thought, Scripted};
use super::{ask, question};
use ainonymous_node::request::{Chat, Prompt, Role, ToolChoice};
use ainonymous_types::FinishReason;
use serde_json::{json, Value};
use std::sync::Arc;

fn weather() -> Value {
    json!({ "type": "function", "function": { "name": "weather", "description": "Now.", "strict": true,
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } } } } })
}

fn chat(node: &Scripted) -> Chat {
    match node.question().question.prompt {
        Prompt::Chat(chat) => chat,
        Prompt::Text(_) | Prompt::Tokens(_) => panic!("a chat"),
    }
}

fn calling() -> Arc<Scripted> {
    Scripted::saying(vec![
        thought("Which "),
        thought("city?"),
        call(0, Some(("call_1", "weather")), "{\"city\":"),
        call(0, None, "\"Paris\"}"),
        call(1, Some(("call_2", "weather")), "{}"),
        done(FinishReason::Stop),
    ])
}

#[tokio::test]
async fn tools_and_their_history_reach_the_question() {
    let node = Arc::new(Scripted::new());
    let body = json!({
        "messages": [
            { "role": "user", "content": "Weather?" },
            { "role": "assistant", "content": null, "reasoning_content": "Ask.", "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Rome\"}" } }] },
            { "role": "tool", "tool_call_id": "call_1", "content": [{ "type": "text", "text": "Sun." }] },
        ],
        "tools": [weather()],
        "tool_choice": { "type": "function", "function": { "name": "weather" } },
        "parallel_tool_calls": false,
        "reasoning_effort": "high",
        "chat_template_kwargs": { "enable_thinking": true },
    });
    let answer = ask(&node, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-ainonymous-ignored"), "");
    let Chat { messages, tools, tool_choice, parallel_tool_calls, thinking, template_arguments } = chat(&node);
    assert_eq!(messages[1].tool_calls[0].arguments, "{\"city\":\"Rome\"}");
    assert_eq!((messages[1].content.as_str(), messages[1].reasoning.as_deref()), ("", Some("Ask.")));
    assert_eq!((messages[2].role, messages[2].tool_call_id.as_deref()), (Role::Tool, Some("call_1")));
    assert_eq!(messages[2].content, "Sun.");
    assert_eq!((tools[0].name.as_str(), tools[0].description.as_deref()), ("weather", Some("Now.")));
    assert_eq!(tools[0].parameters["properties"]["city"]["type"], "string");
    assert_eq!(tool_choice, ToolChoice::Named("weather".into()));
    assert!(!parallel_tool_calls);
    assert_eq!(thinking, Some(true));
    assert_eq!(template_arguments["enable_thinking"], true);
    assert_eq!(template_arguments["reasoning_effort"], "high");
}

#[tokio::test]
async fn choices_of_tools() {
    for (choice, wanted) in [
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Required),
    ] {
        let node = Arc::new(Scripted::new());
        ask(&node, question(json!({ "tools": [weather()], "tool_choice": choice }))).await;
        assert_eq!(chat(&node).tool_choice, wanted);
        assert!(chat(&node).parallel_tool_calls, "unless it is said");
    }
    let node = Arc::new(Scripted::new());
    ask(&node, question(json!({ "reasoning_effort": "none" }))).await;
    assert_eq!(chat(&node).thinking, Some(false));
}

#[tokio::test]
async fn calls_in_one_piece() {
    let json = ask(&calling(), question(json!({ "tools": [weather()] }))).await.json();
    let choice = &json["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["message"]["reasoning_content"], "Which city?");
    let wanted = json!([
        { "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } },
        { "id": "call_2", "type": "function", "function": { "name": "weather", "arguments": "{}" } },
    ]);
    assert_eq!(choice["message"]["tool_calls"], wanted);
}

#[tokio::test]
async fn calls_as_they_come() {
    let answer = ask(&calling(), question(json!({ "tools": [weather()], "stream": true }))).await;
    let events = answer.events();
    let deltas: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str::<Value>(event).unwrap()["choices"][0].clone())
        .collect();
    assert_eq!(deltas[1]["delta"], json!({ "reasoning_content": "Which " }));
    assert_eq!(
        deltas[3]["delta"]["tool_calls"][0],
        json!({ "index": 0, "id": "call_1", "type": "function",
            "function": { "name": "weather", "arguments": "{\"city\":" } })
    );
    assert_eq!(deltas[4]["delta"]["tool_calls"][0], json!({ "index": 0, "function": { "arguments": "\"Paris\"}" } }));
    assert_eq!(deltas[5]["delta"]["tool_calls"][0]["index"], 1);
    assert_eq!(deltas.last().unwrap()["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn an_answer_that_was_cut_was_cut_whatever_it_called() {
    let node = Scripted::saying(vec![call(0, Some(("a", "weather")), "{"), done(FinishReason::Length)]);
    assert_eq!(
        ask(&node, question(json!({ "tools": [weather()] }))).await.json()["choices"][0]["finish_reason"],
        "length"
    );
    let node = Scripted::saying(vec![text("Hm."), call(0, Some(("a", "weather")), "{}"), done(FinishReason::Stop)]);
    let json = ask(&node, question(json!({ "tools": [weather()] }))).await.json();
    assert_eq!(json["choices"][0]["message"]["content"], "Hm.", "words beside a call stay");
}

#[tokio::test]
async fn tools_that_make_no_sense_are_named() {
    let long = "x".repeat(65);
    let cases = [
        (json!({ "tools": [{ "type": "retrieval" }] }), "tools[0].type"),
        (json!({ "tools": [{ "type": "function" }] }), "tools[0].function"),
        (json!({ "tools": [{ "type": "function", "function": {} }] }), "tools[0].function.name"),
        (json!({ "tools": [{ "type": "function", "function": { "name": "a b" } }] }), "tools[0].function.name"),
        (json!({ "tools": [{ "type": "function", "function": { "name": long } }] }), "tools[0].function.name"),
        (
            json!({ "tools": [{ "type": "function", "function": { "name": "a", "parameters": [] } }] }),
            "tools[0].function.parameters",
        ),
        (json!({ "tools": vec![weather(); 129] }), "tools"),
        (json!({ "tool_choice": "required" }), "tool_choice"),
        (
            json!({ "tools": [weather()], "tool_choice": { "type": "function", "function": { "name": "x" } } }),
            "tool_choice",
        ),
        (json!({ "tools": [weather()], "tool_choice": "often" }), "tool_choice"),
        (json!({ "reasoning_effort": "gigantic" }), "reasoning_effort"),
        (json!({ "messages": [{ "role": "assistant", "tool_calls": [{}] }] }), "messages[0].tool_calls[0].function"),
        (json!({ "messages": [{ "role": "assistant", "tool_calls": [] }] }), "messages[0].content"),
    ];
    for (extra, param) in cases {
        let node = Arc::new(Scripted::new());
        let answer = ask(&node, question(extra)).await;
        assert_eq!(answer.status, 400, "{param}: {}", answer.body);
        assert_eq!(answer.json()["error"]["param"], param);
        assert!(node.asked.lock().unwrap().is_empty());
    }
}
