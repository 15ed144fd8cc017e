//! Questions that are answered in one piece, and how fields become a question.

use super::scripted::{provider, Scripted, ID_HEX};
use super::{ask, post, question};
use crate::BODY_BYTES_MAX;
use ainonymous_node::{AskRequest, Hiding, Route};
use ainonymous_types::limits::{
    ANSWER_TOKENS_MAX, CHAT_MESSAGES_MAX, PROMPT_BYTES_MAX, SEED_MAX, STOP_BYTES_MAX, STOP_STRINGS_MAX, TOP_K_MAX,
};
use ainonymous_types::{ChatInput, ChatRole, Sampling};
use serde_json::{json, Value};
use std::sync::Arc;

/// The question in the form that peers would get.
fn input(asked: &AskRequest) -> ChatInput {
    ChatInput::from(&asked.question)
}

#[tokio::test]
async fn an_answer_in_openai_s_shape() {
    let node = Arc::new(Scripted::new());
    let answer = ask(&node, question(json!({}))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-ainonymous-id"), ID_HEX);
    assert_eq!(answer.header("x-ainonymous-provider"), provider().to_string());
    assert_eq!(answer.header("x-ainonymous-route"), "signals");
    assert_eq!(answer.header("x-ainonymous-ignored"), "");
    let json = answer.json();
    assert_eq!(json["id"], format!("chatcmpl-{ID_HEX}"));
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], "tiny-gemma:q8_0");
    assert_eq!(json["system_fingerprint"], "fp_0101010101010101");
    assert!(json["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(
        json["choices"],
        json!([{ "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": { "role": "assistant", "content": "Paris.", "refusal": null } }])
    );
    let usage = json!({ "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
        "prompt_tokens_details": { "cached_tokens": 4 } });
    assert_eq!(json["usage"], usage);
    assert_eq!(json["timings"]["first_token_ms"], 41.0);
    assert_eq!(json["timings"]["provider_first_token_ms"], 30.5);
    assert_eq!(json["timings"]["predicted_per_second"], 1_000.0);
    let ours = &json["ainonymous"];
    assert_eq!(ours["id"], ID_HEX);
    assert_eq!(ours["provider"], provider().to_string());
    assert_eq!(ours["route"], "signals");
    assert!(ours["model_spec"].as_str().unwrap().starts_with("uhCEk"));
    assert_eq!(ours["receipt_path"], format!("/ainonymous/v1/receipts/{ID_HEX}"));
    assert_eq!(ours["receipt"]["provider"], provider().to_string());
    assert_eq!(ours["receipt"]["signature"].as_str().unwrap().len(), 128);
}

#[tokio::test]
async fn every_field_reaches_the_question() {
    let node = Arc::new(Scripted::new());
    let body = json!({
        "model": "tiny-gemma:q8_0",
        "messages": [
            { "role": "developer", "content": "Be brief." },
            { "role": "system", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
            { "role": "assistant", "content": "Yes?", "tool_calls": [], "audio": null },
            { "role": "user", "content": "Hi", "name": "ann" },
        ],
        "temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.0504, "seed": 42,
        "max_completion_tokens": 8, "stop": ["END", "\n\n"],
        "ainonymous": { "route": "posted", "provider": provider().to_string() },
    });
    assert_eq!(ask(&node, body).await.status, 200);
    let asked = node.question();
    assert_eq!(asked.model.as_deref(), Some("tiny-gemma:q8_0"));
    assert_eq!(asked.route, Route::Posted);
    assert_eq!(asked.provider, Some(provider()));
    let asked = input(&asked);
    let said: Vec<_> = asked.messages.iter().map(|m| (m.role, m.content.as_str())).collect();
    let wanted = [
        (ChatRole::System, "Be brief."),
        (ChatRole::System, "ab"),
        (ChatRole::Assistant, "Yes?"),
        (ChatRole::User, "Hi"),
    ];
    assert_eq!(said, wanted);
    let sampling = Sampling { temperature_milli: 700, top_p_milli: 900, min_p_milli: 50, top_k: 5, seed: 42 };
    assert_eq!(asked.sampling, sampling);
    assert_eq!(asked.max_tokens, 8);
    assert_eq!(asked.stop, ["END", "\n\n"]);
}

#[tokio::test]
async fn what_is_left_out_gets_the_defaults_and_a_seed_of_its_own() {
    let (one, two) = (Arc::new(Scripted::new()), Arc::new(Scripted::new()));
    let body = json!({ "model": "", "stop": null, "messages": [{ "role": "user", "content": "Hi" }] });
    ask(&one, body.clone()).await;
    ask(&two, body).await;
    let (one, two) = (one.question(), two.question());
    assert_eq!((&one.model, one.route, input(&one).max_tokens), (&None, Route::Auto, 0));
    assert!(input(&one).stop.is_empty());
    assert_eq!(Sampling { seed: 0, ..input(&one).sampling }, Sampling::default());
    assert_ne!(input(&one).sampling.seed, input(&two).sampling.seed);
    assert!(input(&one).sampling.seed <= SEED_MAX);
}

#[tokio::test]
async fn who_may_answer_and_through_how_many_routers() {
    for (said, hide) in [
        (json!(null), Hiding::No),
        (json!(false), Hiding::No),
        (json!(0), Hiding::No),
        (json!(true), Hiding::OneRouter),
        (json!(1), Hiding::OneRouter),
        (json!(2), Hiding::TwoRouters),
    ] {
        let node = Arc::new(Scripted::new());
        let own = json!({ "hide": said, "region": "eu", "only": "friends" });
        assert_eq!(ask(&node, question(json!({ "ainonymous": own }))).await.status, 200);
        let asked = node.question();
        assert_eq!(asked.hide, hide, "{said}");
        assert_eq!(asked.demands.region.unwrap().as_str(), "eu");
    }
}

#[tokio::test]
async fn unknown_fields_are_accepted_and_told() {
    let node = Arc::new(Scripted::new());
    let extra = json!({ "user": "ann", "stream_options": { "x": 1 }, "metadata": {}, "o\r\nd\u{e4}": 1 });
    let answer = ask(&node, question(extra)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-ainonymous-ignored"), "stream_options.x, metadata, o??d?, user");
}

#[tokio::test]
async fn fields_that_ask_for_nothing_pass() {
    let node = Arc::new(Scripted::new());
    let extra = json!({
        "n": 1, "tools": [], "tool_choice": "auto", "response_format": { "type": "text" }, "logprobs": false,
        "top_logprobs": 0, "logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0.0, "modalities": ["text"],
        "audio": null, "repeat_penalty": 1.0,
    });
    let answer = ask(&node, question(extra)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-ainonymous-ignored"), "");
}

#[tokio::test]
async fn fields_that_cannot_be_honoured_are_refused_by_name() {
    let cases = [
        ("best_of", json!(2)),
        ("functions", json!([{}])),
        ("function_call", json!({ "name": "x" })),
        ("mirostat", json!(2)),
        ("typical_p", json!(0.5)),
        ("min_tokens", json!(3)),
        ("audio", json!({ "voice": "x" })),
        ("modalities", json!(["text", "audio"])),
        ("web_search_options", json!({})),
    ];
    for (name, value) in cases {
        let node = Arc::new(Scripted::new());
        let answer = ask(&node, question(json!({ name: value }))).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(answer.error_code(), "unsupported_field", "{name}");
        assert_eq!(answer.json()["error"]["param"], name);
        assert!(node.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn parts_and_roles_that_cannot_be_honoured_are_refused_by_place() {
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
    let sound = json!({ "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } });
    let of = |role: &str, part: &Value| json!([{ "role": role, "content": [{ "type": "text", "text": "x" }, part] }]);
    let cases = [
        (of("user", &sound), "messages[0].content[1].type"),
        (of("assistant", &image), "messages[0].content[1].type"),
        (of("system", &image), "messages[0].content[1].type"),
        (json!([{ "role": "user", "content": "x" }, { "role": "function", "content": "x" }]), "messages[1].role"),
        (json!([{ "role": "assistant", "content": "x", "audio": { "id": "x" } }]), "messages[0].audio"),
    ];
    for (messages, param) in cases {
        let answer = ask(&Arc::new(Scripted::new()), json!({ "messages": messages })).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "unsupported_field"), "{param}");
        assert_eq!(answer.json()["error"]["param"], param);
    }
}

#[tokio::test]
async fn bounds_hold_at_the_bound_and_one_past_it() {
    let stops = |count: usize| json!(vec!["x"; count]);
    let cases: [(&str, Value, Value); 19] = [
        ("temperature", json!(5.0), json!(5.001)),
        ("temperature", json!(0), json!(-0.1)),
        ("top_p", json!(1), json!(1.001)),
        ("min_p", json!(1.0), json!(1.1)),
        ("top_k", json!(TOP_K_MAX), json!(TOP_K_MAX + 1)),
        ("top_k", json!(-1), json!(-2)),
        ("seed", json!(SEED_MAX), json!(SEED_MAX + 1)),
        ("max_tokens", json!(ANSWER_TOKENS_MAX), json!(ANSWER_TOKENS_MAX + 1)),
        ("max_tokens", json!(1), json!(0)),
        ("stop", stops(STOP_STRINGS_MAX), stops(STOP_STRINGS_MAX + 1)),
        ("stop[0]", json!(["x".repeat(STOP_BYTES_MAX)]), json!(["x".repeat(STOP_BYTES_MAX + 1)])),
        ("stop[0]", json!("x"), json!("")),
        ("n", json!(8), json!(9)),
        ("presence_penalty", json!(-2), json!(-2.1)),
        ("frequency_penalty", json!(2.0), json!(2.1)),
        ("repeat_penalty", json!(10), json!(10.5)),
        ("repeat_last_n", json!(-1), json!(-2)),
        ("logit_bias", json!({ "5": -100 }), json!({ "5": -100.5 })),
        ("logit_bias", json!([[5, false]]), json!([["five", 1]])),
    ];
    for (param, good, bad) in cases {
        let name = param.split('[').next().unwrap();
        let answer = ask(&Arc::new(Scripted::new()), question(json!({ name: good }))).await;
        assert_eq!(answer.status, 200, "{param}: {}", answer.body);
        let answer = ask(&Arc::new(Scripted::new()), question(json!({ name: bad }))).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "invalid_value"), "{param}");
        assert_eq!(answer.json()["error"]["param"], param);
    }
}

#[tokio::test]
async fn fractions_keep_their_meaning() {
    for (given, milli) in [(json!(0), 1), (json!(0.0001), 1), (json!(0.95), 950), (json!(0.9996), 1_000)] {
        let node = Arc::new(Scripted::new());
        assert_eq!(ask(&node, question(json!({ "top_p": given }))).await.status, 200);
        assert_eq!(input(&node.question()).sampling.top_p_milli, milli);
    }
    let node = Arc::new(Scripted::new());
    ask(&node, question(json!({ "temperature": 0.0001 }))).await;
    assert_eq!(input(&node.question()).sampling.temperature_milli, 1, "above zero stays above zero");
}

#[tokio::test]
async fn prompts_at_the_bound_and_one_past_it() {
    let of = |bytes: usize| json!({ "messages": [{ "role": "user", "content": "x".repeat(bytes) }] });
    assert_eq!(ask(&Arc::new(Scripted::new()), of(PROMPT_BYTES_MAX)).await.status, 200);
    let answer = ask(&Arc::new(Scripted::new()), of(PROMPT_BYTES_MAX + 1)).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (413, "prompt_too_large"));
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("1048577") && message.contains("1048576"), "{message}");

    let of = |count: usize| json!({ "messages": vec![json!({ "role": "user", "content": "x" }); count] });
    assert_eq!(ask(&Arc::new(Scripted::new()), of(CHAT_MESSAGES_MAX)).await.status, 200);
    let answer = ask(&Arc::new(Scripted::new()), of(CHAT_MESSAGES_MAX + 1)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["param"].as_str()), (400, Some("messages")));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_its_limit() {
    let answer =
        post(&Arc::new(Scripted::new()), question(json!({ "x": "y".repeat(BODY_BYTES_MAX) })).to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn an_escaped_prompt_has_room() {
    let node = Arc::new(Scripted::new());
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "\\u0041".repeat(800 << 10));
    assert_eq!(post(&node, body).await.status, 200);
    assert_eq!(input(&node.question()).messages[0].content.len(), 800 << 10);
}
