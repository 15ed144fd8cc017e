//! Models that load at the same moment share the memory that there is. Alone in its file: other tests of the process would see
//! little memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use ainonymous_engine::{Engine, EngineError, EngineOptions, LlamaEngine, WorkerCommand};
use tokio_util::sync::CancellationToken;

fn worker() -> WorkerCommand {
    WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_was_promised_another_cannot_have() {
    let small = EngineOptions {
        threads: Some(1),
        slots: 1,
        context_tokens: Some(512),
        ..EngineOptions::new("../../tests/models/tiny-gemma-q8_0.gguf")
    };
    let plan = LlamaEngine::preview(worker(), Some(small.clone())).await.unwrap().fit.unwrap();
    let free = plan.system_free_bytes.expect("this system tells");
    // Nothing is taken of it as long as no prompt is kept, so the system goes on calling it free.
    let greedy = EngineOptions { prefix_cache_bytes: Some(free / 10 * 6), ..small };
    let load = || LlamaEngine::load(worker(), greedy.clone(), CancellationToken::new());
    let (one, two) = tokio::join!(load(), load());
    let (kept, refused) = match (one, two) {
        (Ok(kept), Err(refused)) | (Err(refused), Ok(kept)) => (kept, refused),
        (Ok(_), Ok(_)) => panic!("both got what is there once"),
        (Err(one), Err(two)) => panic!("{one}; {two}"),
    };
    assert!(matches!(refused, EngineError::DoesNotFit { .. }), "{refused}");
    assert_eq!(load().await.unwrap_err().code(), "does_not_fit", "as long as the other runs");
    kept.shutdown().await;
    load().await.expect("its memory is free again").shutdown().await;
}
