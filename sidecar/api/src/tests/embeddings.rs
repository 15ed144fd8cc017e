//! Vectors of texts.

use super::ask_at;
use super::scripted::Scripted;
use ainonymous_node::{AskError, EmbedInput};
use base64::Engine as _;
use serde_json::json;
use std::sync::Arc;

const PATH: &str = "/v1/embeddings";

#[tokio::test]
async fn vectors_in_openai_s_shape() {
    let node = Arc::new(Scripted::new());
    let json = ask_at(&node, PATH, json!({ "model": "tiny", "input": ["a", "b"] })).await.json();
    assert_eq!((json["object"].as_str(), json["model"].as_str()), (Some("list"), Some("tiny-gemma:q8_0")));
    assert_eq!(json["data"].as_array().unwrap().len(), 2);
    let second = &json["data"][1];
    assert_eq!((second["object"].as_str(), second["index"].as_u64()), (Some("embedding"), Some(1)));
    assert_eq!(second["embedding"].as_array().unwrap().len(), 2);
    assert_eq!(json["usage"], json!({ "prompt_tokens": 3, "total_tokens": 3 }));
}

#[tokio::test]
async fn base64_holds_the_same_numbers() {
    let body = json!({ "input": "a", "encoding_format": "base64" });
    let json = ask_at(&Arc::new(Scripted::new()), PATH, body).await.json();
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(json["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let numbers: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(numbers, [0.6, 0.8]);
}

#[tokio::test]
async fn shorter_vectors_have_length_one_again() {
    let json = ask_at(&Arc::new(Scripted::new()), PATH, json!({ "input": "a", "dimensions": 1 })).await.json();
    assert_eq!(json["data"][0]["embedding"], json!([1.0]));
    let answer = ask_at(&Arc::new(Scripted::new()), PATH, json!({ "input": "a", "dimensions": 3 })).await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["param"].as_str()), (400, Some("dimensions")));
}

#[tokio::test]
async fn inputs_of_every_kind() {
    let (text, tokens) = (|text: &str| EmbedInput::Text(text.into()), |ids: &[u32]| EmbedInput::Tokens(ids.to_vec()));
    for (input, wanted) in [
        (json!("a"), vec![text("a")]),
        (json!(["a", "b"]), vec![text("a"), text("b")]),
        (json!([1, 2]), vec![tokens(&[1, 2])]),
        (json!([[1], [2]]), vec![tokens(&[1]), tokens(&[2])]),
    ] {
        let node = Arc::new(Scripted::new());
        assert_eq!(ask_at(&node, PATH, json!({ "input": input })).await.status, 200);
        assert!(node.embedded.lock().unwrap()[0].inputs == wanted);
    }
    for (body, param) in [
        (json!({}), "input"),
        (json!({ "input": [] }), "input"),
        (json!({ "input": "" }), "input[0]"),
        (json!({ "input": ["a", ""] }), "input[1]"),
        (json!({ "input": vec!["a"; 513] }), "input"),
        (json!({ "input": 5 }), "input"),
        (json!({ "input": "a", "encoding_format": "hex" }), "encoding_format"),
    ] {
        let answer = ask_at(&Arc::new(Scripted::new()), PATH, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["param"].as_str()), (400, Some(param)), "{body}");
    }
    assert_eq!(ask_at(&Arc::new(Scripted::new()), PATH, json!({ "input": vec!["a"; 512] })).await.status, 200);
}

#[tokio::test]
async fn a_model_that_loads_is_worth_waiting_for() {
    let node = Scripted::failing(AskError::ModelLoading { model: "x".into() });
    let answer = ask_at(&node, PATH, json!({ "input": "a" })).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "model_loading"));
    assert!(!answer.header("retry-after").is_empty());
}
