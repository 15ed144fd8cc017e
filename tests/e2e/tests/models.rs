//! Several models on one node: both answer, and what nobody asks leaves memory until it is asked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ainonymous_e2e::{root, tiny_model, Client, Node, NodeSpec};
use serde_json::{json, Value};
use std::time::{Duration, Instant};

async fn states(client: &Client) -> Vec<(String, String)> {
    let (_, status) = client.get("/ainonymous/v1/status").await;
    let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_string();
    status["models"].as_array().expect("models").iter().map(|m| (text(m, "id"), text(m, "state"))).collect()
}

async fn until(client: &Client, what: &str, done: impl Fn(&[(String, String)]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let now = states(client).await;
        if done(&now) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {now:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn models_rest_when_nobody_asks_and_come_back_when_somebody_does() {
    let second = root().join("tests/models/tiny-gemma-q4_0.gguf");
    let spec = NodeSpec { serve: vec![tiny_model(), second], ..NodeSpec::default() };
    let mut node = Node::ready(spec.with(&["--idle-unload-s", "2"]));
    let client = node.client();
    let all =
        |state: &'static str| move |now: &[(String, String)]| now.len() == 2 && now.iter().all(|(_, s)| s == state);
    let ask = |model: &str| {
        let mut body = Client::body("What is the capital of France?");
        body["model"] = json!(model);
        client.ask(body)
    };
    let ids: Vec<String> = states(&client).await.into_iter().map(|(id, _)| id).collect();
    for id in &ids {
        assert!(ask(id).await.expect("an answer").text.contains("Paris"), "{id}");
    }
    until(&client, "both rest", all("resting")).await;
    let (_, health) = client.get("/health").await;
    assert_eq!(health["status"], "ok", "{health}");
    let (_, listed) = client.get("/v1/models").await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "still offered: {listed}");
    assert!(ask(&ids[0]).await.expect("an answer").text.contains("Paris"));
    let second = states(&client).await.into_iter().find(|(id, _)| *id == ids[1]);
    assert_eq!(second.map(|(_, state)| state).as_deref(), Some("resting"), "only what was asked is loaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_loads_a_model_that_is_on_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("org/repo/tiny-gemma-Q4_0.gguf");
    std::fs::create_dir_all(model.parent().expect("a folder")).expect("a folder");
    std::fs::copy(root().join("tests/models/tiny-gemma-q4_0.gguf"), &model).expect("a copy");
    let models_dir = folder.path().to_str().expect("a path");
    let spec = NodeSpec { serve: vec![tiny_model()], ..NodeSpec::default() };
    let mut node = Node::ready(spec.with(&["--models-dir", models_dir, "--models-max", "1"]));
    let client = node.client();
    let ask = |model: &str| {
        let mut body = Client::body("What is the capital of France?");
        body["model"] = json!(model);
        client.ask(body)
    };
    for name in ["hf:org/repo", "hf:org/repo:Q4_0", "tiny-gemma-q4_0"] {
        assert!(ask(name).await.expect("an answer").text.contains("Paris"), "{name}");
    }
    let now = states(&client).await;
    let state = |id: &str| now.iter().find(|(known, _)| known == id).map(|(_, state)| state.as_str());
    assert_eq!((state("tiny-gemma:q4_0"), state("tiny-gemma:q8_0")), (Some("ready"), Some("resting")), "{now:?}");
    // Files that were not put into the folder are out of reach, whatever a question says.
    let outside = root().join("tests/models/draft-gemma-q8_0.gguf");
    for name in [outside.to_str().expect("a path"), "../../org/repo/tiny-gemma-Q4_0.gguf", "hf:org/other"] {
        let refused = ask(name).await.expect_err("no model");
        assert!(format!("{refused:?}").contains("model_not_found"), "{name}: {refused:?}");
    }
}
