//! The processor's code is chosen when the worker starts: whatever variant it is, the answers are the same.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use ainonymous_engine::{Engine, EngineError, EngineOptions, Event, LlamaEngine, WorkerCommand};
use ainonymous_types::{ChatInput, ChatMessage, ChatRole, Sampling};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

const WORKER: &str = env!("CARGO_BIN_EXE_engine-worker");

/// Where the build laid the libraries.
fn libraries() -> PathBuf {
    Path::new(WORKER).parent().unwrap().join("lib/ainonymous")
}

/// A worker that looks for them in a folder.
fn worker_with(folder: &Path) -> WorkerCommand {
    let variable = format!("AINONYMOUS_BACKENDS_DIR={}", folder.display());
    WorkerCommand { program: "env".into(), args: vec![variable, WORKER.into()] }
}

fn folder_with(library: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(libraries().join(library), folder.path().join(library)).unwrap();
    folder
}

async fn load(worker: WorkerCommand) -> Result<LlamaEngine, EngineError> {
    let options = EngineOptions {
        threads: Some(1),
        slots: 1,
        context_tokens: Some(256),
        ..EngineOptions::new("../../tests/models/tiny-gemma-q8_0.gguf")
    };
    LlamaEngine::load(worker, options, CancellationToken::new()).await
}

/// Which variant computed, and what the model said with it.
async fn greedy(worker: WorkerCommand) -> (String, String) {
    let engine = load(worker).await.unwrap();
    let content: String = "What is the capital of France?".into();
    let messages = vec![ChatMessage::new(ChatRole::User, content)];
    let sampling = Sampling { temperature_milli: 0, ..Sampling::default() };
    let input = ChatInput { messages, sampling, max_tokens: 0, stop: vec![], more: None };
    let (mut text, mut generation) = (String::new(), engine.generate(input.try_into().unwrap()).unwrap());
    while let Some(event) = generation.events.recv().await {
        match event {
            Event::Token { text: piece, .. } => text.push_str(&piece),
            Event::Failed(error) => panic!("{error}"),
            Event::Queued { .. } | Event::Started { .. } | Event::Finished(_) => {}
        }
    }
    (engine.info().backend_detail.clone(), text)
}

#[tokio::test]
async fn every_variant_that_runs_here_gives_the_same_answer() {
    let own = WorkerCommand { program: WORKER.into(), args: vec![] };
    let (best, answer) = greedy(own).await;
    assert!(answer.contains("Paris"), "{answer}");
    let (best, _) = best.split_once(", ").expect("a variant and a name");
    assert!(libraries().join(format!("libggml-cpu-{best}.so")).is_file(), "{best}");
    for variant in ["x64", "sse42", "haswell"] {
        let library = format!("libggml-cpu-{variant}.so");
        if variant == "haswell" && !std::arch::is_x86_feature_detected!("avx2") {
            continue;
        }
        let folder = folder_with(&library);
        let (chosen, other) = greedy(worker_with(folder.path())).await;
        assert!(chosen.starts_with(&format!("{variant}, ")), "{chosen}");
        assert_eq!(other, answer, "{variant}");
    }
}

#[tokio::test]
async fn without_a_variant_that_runs_here_the_error_says_where_it_looked() {
    let empty = tempfile::tempdir().unwrap();
    for folder in [empty.path(), &empty.path().join("not there")] {
        let error = load(worker_with(folder)).await.unwrap_err();
        assert_eq!(error.code(), "backends_missing");
        assert!(error.to_string().contains(&folder.display().to_string()), "{error}");
        assert!(error.hint().contains("AINONYMOUS_BACKENDS_DIR"), "{}", error.hint());
    }
}

/// An executable and its libraries can be copied anywhere: beside it in `lib/ainonymous`, as in `/usr`, or in one folder.
#[test]
fn copies_find_their_libraries() {
    for (program, folder) in [("worker", "lib/ainonymous"), ("bin/worker", "lib/ainonymous"), ("worker", "")] {
        let place = tempfile::tempdir().unwrap();
        let (program, folder) = (place.path().join(program), place.path().join(folder));
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(WORKER, &program).unwrap();
        for library in std::fs::read_dir(libraries()).unwrap().flatten() {
            std::fs::copy(library.path(), folder.join(library.file_name())).unwrap();
        }
        // Cargo tells tests where libraries are; users' machines do not.
        let output = std::process::Command::new("ldd").arg(&program).env_remove("LD_LIBRARY_PATH").output().unwrap();
        let found = String::from_utf8_lossy(&output.stdout);
        for library in ["libllama.so.0", "libggml.so.0", "libggml-base.so.0"] {
            let line =
                found.lines().find(|line| line.contains(library)).unwrap_or_else(|| panic!("{library}: {found}"));
            assert!(line.contains(&place.path().canonicalize().unwrap().display().to_string()), "{line}");
        }
        for gpu in ["cuda", "vulkan", "hip", "not found"] {
            assert!(!found.to_lowercase().contains(gpu), "the host needs no library of a GPU: {found}");
        }
    }
}
