//! Texts continued as they are.

use super::scripted::{done, text, token, Scripted, ID_HEX};
use super::{ask_at, Answer};
use ainonymous_node::Prompt;
use ainonymous_types::FinishReason;
use serde_json::{json, Value};
use std::sync::Arc;

const PATH: &str = "/v1/completions";

async fn completed(node: &Arc<Scripted>, body: Value) -> Answer {
    ask_at(node, PATH, body).await
}

#[tokio::test]
async fn a_text_in_openai_s_shape() {
    let node = Arc::new(Scripted::new());
    let answer = completed(&node, json!({ "prompt": "The capital is", "max_tokens": 5, "user": "x" })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("x-ainonymous-ignored"), "user");
    let json = answer.json();
    assert_eq!(json["id"], format!("cmpl-{ID_HEX}"));
    assert_eq!(json["object"], "text_completion");
    let wanted = json!([{ "text": "Paris.", "index": 0, "logprobs": null, "finish_reason": "stop" }]);
    assert_eq!(json["choices"], wanted);
    assert_eq!(json["usage"]["total_tokens"], 15);
    let question = node.question().question;
    assert!(question.prompt == Prompt::Text("The capital is".into()));
    assert_eq!(question.max_tokens, 5);
}

#[tokio::test]
async fn sixteen_tokens_unless_it_is_said() {
    for (extra, tokens) in [(json!({}), 16), (json!({ "max_tokens": -1 }), 0), (json!({ "n_predict": 3 }), 3)] {
        let node = Arc::new(Scripted::new());
        let mut body = json!({ "prompt": "x" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(completed(&node, body).await.status, 200);
        assert_eq!(node.question().question.max_tokens, tokens);
    }
}

#[tokio::test]
async fn prompts_of_every_kind() {
    let tokens = |ids: &[u32]| Prompt::Tokens(ids.to_vec());
    let text = |text: &str| Prompt::Text(text.into());
    for (prompt, wanted) in [
        (json!("a"), vec![text("a")]),
        (json!(["a", "b"]), vec![text("a"), text("b")]),
        (json!([1, 2]), vec![tokens(&[1, 2])]),
        (json!([[1, 2], [3]]), vec![tokens(&[1, 2]), tokens(&[3])]),
    ] {
        let answers = wanted.iter().map(|_| vec![super::scripted::text("x"), done(FinishReason::Stop)]).collect();
        let node = Scripted::saying_each(answers);
        let json = completed(&node, json!({ "prompt": prompt })).await.json();
        assert_eq!(json["choices"].as_array().unwrap().len(), wanted.len());
        assert_eq!(json["usage"]["prompt_tokens"].as_u64(), Some(12 * wanted.len() as u64), "each prompt counts");
        let asked: Vec<Prompt> = node.asked.lock().unwrap().iter().map(|ask| ask.question.prompt.clone()).collect();
        assert!(asked == wanted, "{prompt}");
    }
}

#[tokio::test]
async fn answers_to_each_prompt_stand_together() {
    let say = |words: &str| vec![text(words), done(FinishReason::Stop)];
    let node = Scripted::saying_each(vec![say("1"), say("2"), say("3"), say("4")]);
    let json = completed(&node, json!({ "prompt": ["a", "b"], "n": 2, "echo": true, "best_of": 2 })).await.json();
    let texts: Vec<&str> = json["choices"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["a1", "a2", "b3", "b4"]);
    assert_eq!(json["usage"]["prompt_tokens"], 24);
    assert_eq!(json["usage"]["completion_tokens"], 12);
}

#[tokio::test]
async fn a_stream_with_echo_and_usage() {
    let body = json!({ "prompt": "Q: ", "echo": true, "stream": true, "stream_options": { "include_usage": true } });
    let answer = completed(&Arc::new(Scripted::new()), body).await;
    let events = answer.events();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    let texts: Vec<&str> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(texts, ["Q: ", "Par", "is.", ""]);
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[4]["usage"]["total_tokens"], 15);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion"));
}

#[tokio::test]
async fn logprobs_in_the_older_shape() {
    let node = || {
        let first = token("é", -0.25, &[("é", -0.25), ("e", -2.0)]);
        Scripted::saying(vec![first, token("t", -0.5, &[("t", -0.5)]), done(FinishReason::Stop)])
    };
    let json = completed(&node(), json!({ "prompt": "x", "logprobs": 2 })).await.json();
    let wanted = json!({ "tokens": ["é", "t"], "token_logprobs": [-0.25, -0.5], "text_offset": [0, 1],
        "top_logprobs": [{ "é": -0.25, "e": -2.0 }, { "t": -0.5 }] });
    assert_eq!(json["choices"][0]["logprobs"], wanted);
    let asked = node();
    let streamed = completed(&asked, json!({ "prompt": "x", "logprobs": 0, "stream": true })).await;
    assert_eq!(asked.question().question.logprobs, Some(0));
    let second: Value = serde_json::from_str(streamed.events()[1]).unwrap();
    assert_eq!(second["choices"][0]["logprobs"]["text_offset"], json!([1]));
}

#[tokio::test]
async fn what_cannot_be_continued_is_named() {
    let cases = [
        (json!({}), "missing_field", "prompt"),
        (json!({ "prompt": "" }), "invalid_value", "prompt"),
        (json!({ "prompt": [] }), "invalid_value", "prompt"),
        (json!({ "prompt": ["a", ""] }), "invalid_value", "prompt"),
        (json!({ "prompt": [1, "a"] }), "invalid_value", "prompt"),
        (json!({ "prompt": ["a", 1] }), "invalid_value", "prompt[1]"),
        (json!({ "prompt": [[-1]] }), "invalid_value", "prompt[0]"),
        (json!({ "prompt": { "text": "a" } }), "invalid_value", "prompt"),
        (json!({ "prompt": vec!["a"; 33] }), "invalid_value", "prompt"),
        (json!({ "prompt": vec!["a"; 17], "n": 2 }), "invalid_value", "prompt"),
        (json!({ "prompt": "a", "suffix": "b" }), "unsupported_field", "suffix"),
        (json!({ "prompt": "a", "best_of": 2 }), "unsupported_field", "best_of"),
        (json!({ "prompt": [1], "echo": true }), "unsupported_field", "echo"),
        (json!({ "prompt": "a", "echo": true, "logprobs": 1 }), "unsupported_field", "echo"),
        (json!({ "prompt": "a", "logprobs": 21 }), "invalid_value", "logprobs"),
    ];
    for (body, code, param) in cases {
        let node = Arc::new(Scripted::new());
        let answer = completed(&node, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, code), "{body}");
        assert_eq!(answer.json()["error"]["param"], param, "{body}");
        assert!(node.asked.lock().unwrap().is_empty());
    }
    assert_eq!(completed(&Arc::new(Scripted::new()), json!({ "prompt": vec!["a"; 32] })).await.status, 200);
}
