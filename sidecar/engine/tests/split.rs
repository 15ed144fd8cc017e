//! Models that were split over several files, in a real worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use ainonymous_engine::{Engine, EngineError, EngineOptions, Event, LlamaEngine, WorkerCommand};
use ainonymous_types::{ChatInput, ChatMessage, ChatRole, Sampling};
use std::path::Path;
use tokio_util::sync::CancellationToken;

#[path = "../../../tests/models/split.rs"]
mod split;

const MODEL: &str = "../../tests/models/tiny-gemma-q8_0.gguf";

async fn load(path: &Path) -> Result<LlamaEngine, EngineError> {
    let worker = WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] };
    let options = EngineOptions { threads: Some(1), slots: 1, context_tokens: Some(512), ..EngineOptions::new(path) };
    LlamaEngine::load(worker, options, CancellationToken::new()).await
}

async fn said(engine: &LlamaEngine) -> String {
    let messages = vec![ChatMessage::new(ChatRole::User, "What is the capital of France?")];
    let sampling = Sampling { temperature_milli: 0, ..Sampling::default() };
    let mut events = engine
        .generate(ChatInput { messages, sampling, max_tokens: 0, stop: vec![], more: None }.try_into().unwrap())
        .unwrap()
        .events;
    let mut said = String::new();
    while let Some(event) = events.recv().await {
        if let Event::Token { text, .. } = event {
            said.push_str(&text);
        }
    }
    said
}

/// The confined worker reads all parts, answers as the whole does, and its plan counts all of them.
#[tokio::test]
async fn a_model_in_parts_answers_like_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let parts = split::split(Path::new(MODEL), folder.path(), "tiny", 3);
    let (whole, in_parts) = (load(Path::new(MODEL)).await.unwrap(), load(&parts[0]).await.unwrap());
    assert_eq!(said(&in_parts).await, "The capital of France is Paris.");
    let (a, b) = (whole.info(), in_parts.info());
    assert_eq!(
        (a.parameters, a.fit.weights_bytes, a.fit.kv_bytes),
        (b.parameters, b.fit.weights_bytes, b.fit.kv_bytes)
    );
    assert_eq!((a.tokenizer_hash, a.template_hash), (b.tokenizer_hash, b.template_hash));
    let bytes: u64 = parts.iter().map(|part| part.metadata().unwrap().len()).sum();
    assert_eq!(b.file_bytes, bytes);
}

#[tokio::test]
async fn a_missing_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let parts = split::split(Path::new(MODEL), folder.path(), "tiny", 3);
    std::fs::remove_file(&parts[1]).unwrap();
    match load(&parts[0]).await.unwrap_err() {
        EngineError::FileNotFound { path } => assert!(path.ends_with("tiny-00002-of-00003.gguf"), "{path}"),
        other => panic!("{other}"),
    }
}
