//! The paths of llama-server.

use super::scripted::Scripted;
use super::{ask_at, get};
use ainonymous_node::AskError;
use serde_json::json;
use std::sync::Arc;

fn node() -> Arc<Scripted> {
    Arc::new(Scripted::with_models())
}

#[tokio::test]
async fn models_say_how_far_they_are() {
    for path in ["/v1/models", "/models"] {
        let json = get(&node(), path).await.json();
        let models = json["data"].as_array().unwrap();
        let ids: Vec<&str> = models.iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["tiny-gemma:q8_0", "second:q4_0", "third:q4_0", "broken:q8_0", "large:q8_0"], "each once");
        let states: Vec<&str> = models.iter().map(|model| model["status"]["value"].as_str().unwrap()).collect();
        assert_eq!(states, ["loaded", "unloaded", "loading", "failed", "loaded"]);
        assert_eq!(models[3]["status"]["failed"], true);
        assert_eq!((models[0]["owned_by"].as_str(), models[4]["owned_by"].as_str()), (Some("local"), Some("peers")));
    }
}

#[tokio::test]
async fn models_are_loaded_and_unloaded_by_name() {
    let node = node();
    for (path, done) in [("/models/load", "load second:q4_0"), ("/models/unload", "unload second:q4_0")] {
        let answer = ask_at(&node, path, json!({ "model": "second", "extra": 1 })).await;
        assert_eq!(answer.json(), json!({ "success": true, "model": "second:q4_0" }));
        assert_eq!(answer.header("x-ainonymous-ignored"), "extra");
        assert_eq!(node.done.lock().unwrap().pop().as_deref(), Some(done));
        let missing = ask_at(&node, path, json!({})).await;
        assert_eq!((missing.status.as_u16(), missing.error_code().as_str()), (400, "missing_field"));
        let unknown = ask_at(&node, path, json!({ "model": "other" })).await;
        assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (404, "model_not_found"));
    }
    let broken = ask_at(&node, "/models/load", json!({ "model": "broken" })).await;
    assert_eq!((broken.status.as_u16(), broken.error_code().as_str()), (400, "invalid_model"));
}

#[tokio::test]
async fn tokens_and_templates() {
    let tokens = ask_at(&node(), "/tokenize", json!({ "content": "to be" })).await.json();
    assert_eq!(tokens, json!({ "tokens": [10, 11] }));
    let body = json!({ "content": "to be", "add_special": true, "parse_special": false, "with_pieces": true });
    let pieces = ask_at(&node(), "/tokenize", body).await.json();
    let wanted = json!({ "tokens": [{ "id": 2, "piece": "<bos>" }, { "id": 10, "piece": "to " }, { "id": 11, "piece": "be" },
        { "id": 3, "piece": [0xe2, 0x98] }] });
    assert_eq!(pieces, wanted, "what is no UTF-8 is told as bytes");
    let text = ask_at(&node(), "/detokenize", json!({ "tokens": [10, 11] })).await.json();
    assert_eq!(text, json!({ "content": "[10, 11]" }));
    let body =
        json!({ "messages": [{ "role": "user", "content": "Hello" }], "chat_template_kwargs": { "x": 1 }, "y": 2 });
    let prompt = ask_at(&node(), "/apply-template", body).await;
    assert_eq!(prompt.json(), json!({ "prompt": "<turn>Hello" }));
    assert_eq!(prompt.header("x-ainonymous-ignored"), "y");
    for (path, body, param) in [
        ("/tokenize", json!({}), "content"),
        ("/tokenize", json!({ "content": [1] }), "content"),
        ("/detokenize", json!({ "tokens": [-1] }), "tokens"),
        ("/detokenize", json!({ "tokens": vec![1; 65_537] }), "tokens"),
        ("/apply-template", json!({}), "messages"),
    ] {
        let answer = ask_at(&node(), path, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"]["param"].as_str()), (400, Some(param)), "{path}");
    }
    let error = AskError::UnknownModel { model: "x".into(), known: vec![] };
    let refused = ask_at(&Scripted::failing(error), "/tokenize", json!({ "content": "x" })).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (404, "model_not_found"));
}
