//! Several answers to one question.

use super::scripted::{done, text, Scripted};
use super::{ask, question};
use ainonymous_node::AskError;
use ainonymous_types::limits::SEED_MAX;
use ainonymous_types::FinishReason;
use serde_json::{json, Value};

fn both() -> std::sync::Arc<Scripted> {
    Scripted::saying_each(vec![
        vec![text("Par"), text("is."), done(FinishReason::Stop)],
        vec![text("Rome."), done(FinishReason::Length)],
    ])
}

#[tokio::test]
async fn each_has_its_index_its_seed_and_its_end() {
    let node = both();
    let json = ask(&node, question(json!({ "n": 2, "seed": 7 }))).await.json();
    assert_eq!(json["choices"].as_array().unwrap().len(), 2);
    let said = |index: usize| json["choices"][index]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!((said(0), said(1)), ("Paris.".into(), "Rome.".into()));
    assert_eq!(
        (json["choices"][1]["index"].as_u64(), json["choices"][1]["finish_reason"].as_str()),
        (Some(1), Some("length"))
    );
    // The prompt counts once, as OpenAI counts it; answers are summed.
    assert_eq!(
        (json["usage"]["prompt_tokens"].as_u64(), json["usage"]["completion_tokens"].as_u64()),
        (Some(12), Some(6))
    );
    assert!(json["choices"][1]["ainonymous"]["receipt"].is_object(), "each answer has its receipt");
    let seeds: Vec<u64> = node.asked.lock().unwrap().iter().map(|ask| ask.question.sampling.seed).collect();
    assert_eq!(seeds, [7, 8]);
}

#[tokio::test]
async fn the_last_seed_is_followed_by_the_first() {
    let node = both();
    ask(&node, question(json!({ "n": 2, "seed": SEED_MAX }))).await;
    let seeds: Vec<u64> = node.asked.lock().unwrap().iter().map(|ask| ask.question.sampling.seed).collect();
    assert_eq!(seeds, [SEED_MAX, 0]);
}

#[tokio::test]
async fn streams_are_merged_and_end_together() {
    let body = question(json!({ "n": 2, "stream": true, "stream_options": { "include_usage": true } }));
    let answer = ask(&both(), body).await;
    let events = answer.events();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    let of = |index: u64| -> String {
        let choices = chunks.iter().filter_map(|chunk| chunk["choices"].get(0));
        choices.filter(|c| c["index"] == index).filter_map(|c| c["delta"]["content"].as_str()).collect()
    };
    assert_eq!((of(0), of(1)), ("Paris.".into(), "Rome.".into()));
    let ends = chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"].is_string()).count();
    assert_eq!(ends, 2);
    let last = chunks.last().unwrap();
    assert_eq!((last["usage"]["prompt_tokens"].as_u64(), last["usage"]["total_tokens"].as_u64()), (Some(12), Some(18)));
    let ids: std::collections::BTreeSet<&str> = chunks.iter().map(|chunk| chunk["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1, "one stream, one id");
}

#[tokio::test]
async fn one_failure_fails_all() {
    let gone = AskError::ProviderGone { provider: "uhCAkX".into(), tokens: 1 };
    let node = Scripted::saying_each(vec![vec![text("x"), done(FinishReason::Stop)], vec![Err(gone)]]);
    let answer = ask(&node, question(json!({ "n": 2 }))).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (502, "provider_gone"));
}
