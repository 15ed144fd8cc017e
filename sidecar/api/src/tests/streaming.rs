//! Answers as server-sent events.

use super::scripted::{done, text, Script, Scripted, ID_HEX};
use super::{api, ask, question, request};
use ainonymous_node::{AnswerEvent, AskError};
use ainonymous_types::FinishReason;
use axum::http::Method;
use futures::StreamExt as _;
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

fn parse(event: &str) -> Value {
    serde_json::from_str(event).unwrap()
}

#[tokio::test]
async fn role_first_then_text_then_the_reason_then_done() {
    let answer = ask(&Arc::new(Scripted::new()), question(json!({ "stream": true }))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("x-ainonymous-id"), ID_HEX);
    let events = answer.events();
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(events[4], "[DONE]");
    let chunks: Vec<Value> = events[..4].iter().map(|event| parse(event)).collect();
    for chunk in &chunks {
        assert_eq!(chunk["id"], format!("chatcmpl-{ID_HEX}"));
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "tiny-gemma:q8_0");
        assert!(chunk["system_fingerprint"].is_string() && chunk["created"].is_u64());
        assert!(chunk.get("usage").is_none());
    }
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    assert_eq!(chunks[1]["choices"][0]["delta"], json!({ "content": "Par" }));
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(chunks[2]["choices"][0]["delta"], json!({ "content": "is." }));
    assert_eq!(chunks[3]["choices"][0]["delta"], json!({}));
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[3]["ainonymous"]["id"], ID_HEX);
    assert_eq!(chunks[3]["ainonymous"]["receipt"]["completion_tokens"], 3);
    assert_eq!(chunks[3]["timings"]["predicted_n"], 3);
}

#[tokio::test]
async fn usage_comes_last_when_it_is_asked_for() {
    let body = question(json!({ "stream": true, "stream_options": { "include_usage": true } }));
    let answer = ask(&Arc::new(Scripted::new()), body).await;
    let events = answer.events();
    assert_eq!(events.len(), 6);
    for event in &events[..4] {
        assert_eq!(parse(event).get("usage"), Some(&Value::Null));
    }
    let last = parse(events[4]);
    assert_eq!(last["choices"], json!([]));
    let usage = json!({ "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
        "prompt_tokens_details": { "cached_tokens": 4 } });
    assert_eq!(last["usage"], usage);
    assert_eq!(events[5], "[DONE]");
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_stream_without_done() {
    let gone = AskError::ProviderGone { provider: "uhCAkX".into(), tokens: 1 };
    for (end, code) in [(Some(gone), "provider_gone"), (None, "answer_broke")] {
        let events = std::iter::once(text("Par")).chain(end.map(Err)).collect();
        let node = Arc::new(Scripted::with(Script::Events(events)));
        let answer = ask(&node, question(json!({ "stream": true }))).await;
        assert_eq!(answer.status, 200);
        let events = answer.events();
        assert_eq!(events.len(), 3);
        let error = parse(events[2]);
        assert_eq!(error["error"]["code"], code);
        assert!(error["error"]["hint"].is_string());
    }
}

#[tokio::test]
async fn an_error_before_the_first_text_has_a_status() {
    let silent = AskError::ProviderSilent { provider: "uhCAkX".into() };
    let node = Arc::new(Scripted::with(Script::Events(vec![Err(silent)])));
    let answer = ask(&node, question(json!({ "stream": true }))).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (504, "provider_silent"));
}

#[tokio::test]
async fn the_place_in_the_queue_is_a_comment() {
    let events = vec![Ok(AnswerEvent::Queued { position: 3 }), text("x"), done(FinishReason::Length)];
    let answer = ask(&Arc::new(Scripted::with(Script::Events(events))), question(json!({ "stream": true }))).await;
    assert!(answer.body.contains("\n\n: queued 3\n\n"), "{}", answer.body);
    assert_eq!(parse(answer.events()[2])["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn text_of_any_kind_stays_one_event() {
    let odd = "a\r\n\nb\u{2028}\u{0}é🦀\"\\";
    let node = Arc::new(Scripted::with(Script::Events(vec![text(odd), done(FinishReason::Stop)])));
    let answer = ask(&node, question(json!({ "stream": true }))).await;
    assert_eq!(parse(answer.events()[1])["choices"][0]["delta"]["content"], odd);
}

#[tokio::test]
async fn hanging_up_cancels_a_stream() {
    let node = Arc::new(Scripted::with(Script::Hang));
    let body = question(json!({ "stream": true })).to_string();
    let request = request(Method::POST, "/v1/chat/completions").body(axum::body::Body::from(body)).unwrap();
    let response = api(&node, None).into_router().oneshot(request).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    stream.next().await.unwrap().unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), node.cancelled.notified()).await.expect("cancelled");
}

#[tokio::test]
async fn hanging_up_cancels_an_answer_in_one_piece() {
    let node = Arc::new(Scripted::with(Script::Hang));
    let asked = tokio::time::timeout(Duration::from_millis(200), ask(&node, question(json!({})))).await;
    assert!(asked.is_err(), "it waits for the answer");
    tokio::time::timeout(Duration::from_secs(5), node.cancelled.notified()).await.expect("cancelled");
}

#[tokio::test]
async fn pieces_that_are_there_already_go_as_one_write() {
    let pieces: Vec<_> = (0..5).map(|_| text("word ")).chain([done(FinishReason::Stop)]).collect();
    let node = Scripted::saying_each(vec![pieces]);
    let body = question(json!({ "stream": true })).to_string();
    let asked = request(Method::POST, "/v1/chat/completions").body(axum::body::Body::from(body)).unwrap();
    let response = api(&node, None).into_router().oneshot(asked).await.unwrap();
    let writes: Vec<_> = response.into_body().into_data_stream().map(Result::unwrap).collect().await;
    let whole: Vec<u8> = writes.concat();
    let events = String::from_utf8(whole).unwrap();
    assert_eq!(events.matches("\n\n").count(), 8, "the role, five words, the end, [DONE]: {events}");
    assert!(events.ends_with("data: [DONE]\n\n"));
    assert!(writes.len() <= 2, "{} writes", writes.len());
}
