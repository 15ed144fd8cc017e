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
    let (_, listed) = client.get("/v1/models").await;
    let value = |listed: &Value, id: &str| {
        let found = listed["data"].as_array()?.iter().filter(|model| model["id"] == id).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{id} is listed once: {listed}");
        found[0]["status"]["value"].as_str().map(str::to_owned)
    };
    assert_eq!(value(&listed, "tiny-gemma:q4_0").as_deref(), Some("loaded"));
    assert_eq!(value(&listed, "tiny-gemma:q8_0").as_deref(), Some("unloaded"));
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

#[tokio::test(flavor = "multi_thread")]
async fn models_on_disk_are_listed_loaded_and_unloaded_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("org/repo/small-Q4_0.gguf");
    std::fs::create_dir_all(model.parent().expect("a folder")).expect("a folder");
    std::fs::copy(root().join("tests/models/tiny-gemma-q4_0.gguf"), &model).expect("a copy");
    std::fs::write(model.with_file_name("broken-Q4_0.gguf"), "no model").expect("a file");
    let models_dir = folder.path().to_str().expect("a path");
    let mut node = Node::ready(NodeSpec::default().with(&["--models-dir", models_dir]));
    let client = node.client();
    let listed = || async {
        let (_, listed) = client.get("/v1/models").await;
        let one = |model: &Value| (model["id"].clone(), model["status"]["value"].clone());
        listed["data"].as_array().expect("models").iter().map(one).collect::<Vec<_>>()
    };
    let is = |state: &str| vec![(json!("tiny-gemma:q4_0"), json!(state))];
    assert_eq!(listed().await, is("unloaded"), "what is no model is not listed");
    let (_, tags) = client.get("/api/tags").await;
    assert_eq!(tags["models"][0]["details"]["family"], "gemma4", "its file says so: {tags}");
    let (status, loaded) = client.post("/models/load", json!({ "model": "tiny-gemma:q4_0" })).await;
    assert_eq!((status, &loaded["success"]), (200, &json!(true)), "{loaded}");
    assert_eq!(listed().await, is("loaded"));
    let (_, ps) = client.get("/api/ps").await;
    assert_eq!(ps["models"].as_array().map(Vec::len), Some(1), "{ps}");
    let counted =
        json!({ "model": "tiny-gemma", "messages": [{ "role": "user", "content": "What is the capital of France?" }] });
    let (_, counted) = client.post("/v1/messages/count_tokens", counted).await;
    let answer = client.ask(Client::body("What is the capital of France?")).await.expect("an answer");
    assert!(answer.text.contains("Paris") && counted["input_tokens"].as_u64().is_some_and(|n| n > 5), "{counted}");
    let (status, _) = client.post("/models/unload", json!({ "model": "small" })).await;
    assert_eq!((status, listed().await), (200, is("unloaded")), "by the name of its file");
    let question = json!({ "model": "tiny-gemma", "prompt": "2+2=", "stream": false, "keep_alive": 0 });
    let (status, answer) = client.post("/api/generate", question).await;
    assert_eq!((status, &answer["done"]), (200, &json!(true)), "{answer}");
    until(&client, "it leaves memory after the answer", |now| now.iter().all(|(_, state)| state == "resting")).await;
    let (status, gone) = client.post("/models/load", json!({ "model": model.to_str() })).await;
    assert_eq!(status, 404, "a path is no name: {gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_fits_a_grammar_of_llama_cpp() {
    let mut node = Node::ready(NodeSpec { serve: vec![tiny_model()], ..NodeSpec::default() });
    let client = node.client();
    let grammar = "root ::= item+\nitem ::= \"- \" [A-C]{2} \"\\n\" | \"(\" root \")\"";
    let body = json!({ "prompt": "List:", "grammar": grammar, "max_tokens": 64, "temperature": 1, "seed": 3 });
    let (status, answer) = client.post("/v1/completions", body).await;
    assert_eq!(status, 200, "{answer}");
    let text = answer["choices"][0]["text"].as_str().expect("a text");
    assert!(!text.is_empty() && text.chars().all(|c| "- ABC\n()".contains(c)), "{text:?}");
    let lines = text.split_inclusive('\n').map(|line| line.trim_start_matches(['(', ')']));
    assert!(
        lines.filter(|line| line.ends_with('\n')).all(|line| line.starts_with("- ") && line.len() == 5),
        "{text:?}"
    );
    let (status, wrong) = client.post("/v1/completions", json!({ "prompt": "x", "grammar": "root ::= (" })).await;
    assert_eq!((status, &wrong["error"]["code"]), (400, &json!("invalid_constraint")), "{wrong}");
    assert!(wrong["error"]["message"].as_str().is_some_and(|text| text.contains("line 1, column 11")), "{wrong}");
}
