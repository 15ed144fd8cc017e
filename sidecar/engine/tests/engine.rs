//! The engine as a host sees it: a real worker process with a real model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use ainonymous_engine::{
    Degraded, EmbedInput, EmbedQuestion, Engine, EngineError, EngineOptions, EngineState, Event, Finished, Generation,
    GpuLayers, LlamaEngine, Prompt, Question, WorkerCommand,
};
use ainonymous_types::{ChatInput, ChatMessage, ChatRole, FinishReason, Sampling};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

fn model_path() -> PathBuf {
    let default = || PathBuf::from("../../tests/models/tiny-gemma-q8_0.gguf");
    std::env::var_os("AINONYMOUS_TEST_MODEL").map_or_else(default, PathBuf::from)
}

fn worker() -> WorkerCommand {
    WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] }
}

fn options(slots: u32) -> EngineOptions {
    EngineOptions { threads: Some(1), slots, context_tokens: Some(512), ..EngineOptions::new(model_path()) }
}

async fn load(options: EngineOptions) -> LlamaEngine {
    LlamaEngine::load(worker(), options, CancellationToken::new()).await.unwrap()
}

async fn load_error(model_path: PathBuf) -> EngineError {
    let options = EngineOptions { model_path, ..options(1) };
    LlamaEngine::load(worker(), options, CancellationToken::new()).await.unwrap_err()
}

fn ask(content: &str) -> ChatInput {
    let messages = vec![ChatMessage::new(ChatRole::User, content)];
    let sampling = Sampling { temperature_milli: 0, ..Sampling::default() };
    ChatInput { messages, sampling, max_tokens: 0, stop: vec![], more: None }
}

fn story(seed: u64) -> ChatInput {
    let sampling = Sampling { temperature_milli: 1_000, seed, ..Sampling::default() };
    ChatInput { sampling, max_tokens: 60, ..ask("Tell me a story.") }
}

/// Ids, text and end of an answer.
async fn collect(mut generation: Generation) -> (Vec<u32>, String, Result<Finished, EngineError>) {
    let (mut ids, mut all) = (vec![], String::new());
    while let Some(event) = within(generation.events.recv()).await {
        match event {
            Event::Token { id, text, .. } => {
                ids.push(id);
                all.push_str(&text);
            }
            Event::Finished(finished) => {
                assert_eq!(within(generation.events.recv()).await, None, "nothing after the end");
                return (ids, all, Ok(finished));
            }
            Event::Failed(error) => return (ids, all, Err(error)),
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
    panic!("the answer ended without an end");
}

async fn answer(engine: &LlamaEngine, input: ChatInput) -> (Vec<u32>, String, Finished) {
    let (ids, text, end) = collect(engine.generate(input.try_into().unwrap()).unwrap()).await;
    (ids, text, end.unwrap())
}

async fn within<T>(future: impl std::future::Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("in time")
}

/// Waits until nothing runs and nothing waits.
async fn idle(engine: &LlamaEngine) {
    let began = Instant::now();
    while engine.status().running + engine.status().queued > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", engine.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The plan that `doctor` shows is the one that loading follows.
#[tokio::test]
async fn a_preview_is_what_loading_does() {
    let preview = within(LlamaEngine::preview(worker(), Some(options(3)))).await.unwrap();
    let engine = load(options(3)).await;
    let (planned, info) = (preview.fit.unwrap(), engine.info());
    assert_eq!((planned.context_tokens, planned.slots, planned.layers), (512, 3, info.layers + 1));
    assert_eq!((planned.kv_bytes, planned.weights_bytes), (info.fit.kv_bytes, info.fit.weights_bytes));
    assert!(planned.weights_bytes < info.file_bytes && planned.degraded.is_empty(), "{planned:?}");
    assert!(preview.devices.iter().any(|device| device.backend == "CPU" && !device.is_gpu), "{:?}", preview.devices);
    let nothing = within(LlamaEngine::preview(worker(), None)).await.unwrap();
    assert_eq!((nothing.fit, nothing.devices.len()), (None, preview.devices.len()));
    assert_eq!(preview.sandbox, info.sandbox, "the same as the worker that loads");
    assert_eq!(nothing.sandbox.network, info.sandbox.network);
    assert!(!nothing.sandbox.detail.is_empty());
    let error = within(LlamaEngine::preview(worker(), Some(EngineOptions::new("/no/such/file")))).await.unwrap_err();
    assert_eq!(error.code(), "model_file_not_found");
}

#[tokio::test]
async fn what_cannot_fit_is_refused_with_numbers() {
    let greedy = EngineOptions { prefix_cache_bytes: Some(1 << 50), ..options(1) };
    match LlamaEngine::load(worker(), greedy, CancellationToken::new()).await.unwrap_err() {
        EngineError::DoesNotFit { needed_bytes, free_bytes, .. } => {
            assert!(needed_bytes > 1 << 50 && free_bytes < 1 << 50)
        }
        other => panic!("{other}"),
    }
    // More than the model was trained with is less than was asked for, and says so.
    let long =
        load(EngineOptions { context_tokens: Some(1 << 20), gpu_layers: GpuLayers::Fixed(2), ..options(1) }).await;
    let codes: Vec<bool> =
        long.info().fit.degraded.iter().map(|less| matches!(less, Degraded::ContextTrained { .. })).collect();
    assert!(codes.contains(&true), "{:?}", long.info().fit);
    assert!(long.info().context_tokens <= long.info().context_trained);
}

#[tokio::test]
async fn it_answers_and_knows_its_model() {
    let engine = load(options(2)).await;
    let info = engine.info();
    assert_eq!((info.architecture.as_str(), info.quantization.as_str()), ("gemma4", "q8_0"));
    assert_eq!((info.context_tokens, info.threads), (512, 1));
    assert_eq!(info.file_bytes, std::fs::metadata(model_path()).unwrap().len());
    assert!(info.vocabulary > 1_000 && info.layers > 1 && info.parameters > 1_000_000);
    let (ids, text, end) = answer(&engine, ask("What is the capital of France?")).await;
    assert!(text.contains("Paris"), "{text}");
    assert_eq!((end.finish, end.completion_tokens as usize), (FinishReason::Stop, ids.len()));
    assert!(end.prompt_tokens > 5);
    let status = engine.status();
    assert_eq!((status.state, status.running, status.queued, status.restarts), (EngineState::Ready, 0, 0, 0));
    #[cfg(target_os = "linux")]
    assert!(status.worker_rss_bytes.unwrap() > 1 << 20);
    engine.shutdown().await;
    assert_eq!(engine.generate(ask("x").try_into().unwrap()).unwrap_err(), EngineError::Draining);
    assert_eq!(engine.status().worker_pid, None);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answer_alone_and_in_company() {
    let engine = Arc::new(load(options(5)).await);
    let (alone, text, _) = answer(&engine, story(7)).await;
    let company: Vec<_> = (1..5).map(|seed| engine.generate(story(100 + seed).try_into().unwrap()).unwrap()).collect();
    let again = engine.generate(story(7).try_into().unwrap()).unwrap();
    let others: Vec<_> = company.into_iter().map(|g| tokio::spawn(collect(g))).collect();
    let (in_company, text_again, _) = collect(again).await;
    assert_eq!((alone, text), (in_company, text_again));
    for other in others {
        assert!(other.await.unwrap().2.is_ok());
    }
    let (different, ..) = answer(&engine, story(8)).await;
    let (same, ..) = answer(&engine, story(7)).await;
    assert_ne!(different, same);
}

#[tokio::test]
async fn stop_texts_end_an_answer_and_stay_unseen() {
    let engine = load(options(1)).await;
    let (all_ids, all, _) = answer(&engine, ask("What is the capital of France?")).await;
    // From the middle of one word to the middle of the next: over a token border.
    let (start, stop) = (all.find("pital").unwrap(), "pital of Fr");
    let (ids, text, end) = answer(
        &engine,
        ChatInput { stop: vec!["nowhere".into(), stop.into()], ..ask("What is the capital of France?") },
    )
    .await;
    assert_eq!(text, all[..start]);
    assert_eq!((end.finish, ids.len()), (FinishReason::Stop, end.completion_tokens as usize));
    assert_eq!(ids, all_ids[..ids.len()], "the tokens up to the stop text are reported");
}

#[tokio::test]
async fn max_tokens_and_the_context_bound_an_answer() {
    let engine = load(options(1)).await;
    let (ids, _, end) = answer(&engine, ChatInput { max_tokens: 3, ..ask("What is the capital of France?") }).await;
    assert_eq!((ids.len(), end.finish), (3, FinishReason::Length));
    let (ids, text, _) = answer(&engine, ChatInput { max_tokens: 1, ..ask("What is the capital of France?") }).await;
    assert_eq!(ids.len(), 1);
    assert!(!text.is_empty());
    // Hot enough never to end by itself.
    let sampling = Sampling { temperature_milli: 5_000, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed: 3 };
    let (_, _, end) = answer(&engine, ChatInput { sampling, ..ask("Tell me a story.") }).await;
    assert!(end.prompt_tokens + end.completion_tokens <= 512, "{end:?}");
}

#[tokio::test]
async fn a_dropped_answer_frees_its_slot() {
    let engine = load(EngineOptions { context_tokens: Some(2_048), ..options(1) }).await;
    let hot = Sampling { temperature_milli: 5_000, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed: 1 };
    let mut long = engine.generate(ChatInput { sampling: hot, ..ask("Tell me a story.") }.try_into().unwrap()).unwrap();
    while !matches!(within(long.events.recv()).await, Some(Event::Token { .. })) {}
    let waiting = engine.generate(ask("What is the capital of Japan?").try_into().unwrap()).unwrap();
    let began = Instant::now();
    drop(long);
    let (_, text, end) = collect(waiting).await;
    assert!(end.is_ok() && text.contains("Tokyo"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(2));
    // A long prompt is dropped while it is computed or waits, too.
    for _ in 0..3 {
        drop(engine.generate(ask(&"One day Tom went to the park. ".repeat(60)).try_into().unwrap()).unwrap());
    }
    idle(&engine).await;
}

#[tokio::test]
async fn the_queue_is_fair_bounded_and_tells_positions() {
    let engine = load(EngineOptions { queue_max: 2, context_tokens: Some(2_048), ..options(1) }).await;
    // The tiny model may have said everything before a busy machine lets this test go on: then once more.
    let mut seed = 0;
    let (first, second, mut third) = loop {
        seed += 1;
        assert!(seed < 20, "the first answer never lasts until the queue is full");
        let hot = Sampling { temperature_milli: 5_000, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed };
        let mut first =
            engine.generate(ChatInput { sampling: hot, ..ask("Tell me a story.") }.try_into().unwrap()).unwrap();
        while !matches!(within(first.events.recv()).await, Some(Event::Token { .. })) {}
        let mut second = engine.generate(ask("What is the capital of France?").try_into().unwrap()).unwrap();
        let third = engine.generate(ask("What is the capital of Japan?").try_into().unwrap()).unwrap();
        match engine.generate(ask("x").try_into().unwrap()) {
            Err(full) => {
                assert_eq!(full, EngineError::QueueFull { queue_max: 2 });
                // What a seed says depends on the processor; a short answer may just have ended.
                if within(second.events.recv()).await == Some(Event::Queued { position: 1 }) {
                    break (first, second, third);
                }
            }
            Ok(fourth) => drop((first, second, third, fourth)),
        }
        idle(&engine).await;
    };
    assert_eq!(within(third.events.recv()).await, Some(Event::Queued { position: 2 }));
    drop(first);
    assert_eq!(within(third.events.recv()).await, Some(Event::Queued { position: 1 }));
    assert!(collect(second).await.1.contains("Paris"));
    assert!(collect(third).await.1.contains("Tokyo"));
    idle(&engine).await;
}

#[tokio::test]
async fn bad_questions_get_names() {
    let engine = load(options(1)).await;
    assert_eq!(engine.generate(ask(" ").try_into().unwrap()).unwrap_err(), EngineError::EmptyPrompt);
    assert_eq!(
        engine.generate(ask(&"x".repeat(2 << 20)).try_into().unwrap()).unwrap_err().code(),
        "input_out_of_bounds"
    );
    let long = ask(&"One day Tom went to the park. ".repeat(500));
    let (_, _, end) = collect(engine.generate(long.try_into().unwrap()).unwrap()).await;
    match end.unwrap_err() {
        EngineError::PromptTooLong { prompt_tokens, context_tokens: 512 } => assert!(prompt_tokens > 512),
        other => panic!("{other}"),
    }
    // As much as may be sent, of what splits badly, is refused in good time, also where the context is large.
    let engine = load(EngineOptions { context_tokens: Some(2_048), ..options(1) }).await;
    for part in ["x", " ", "\n", "7", "🦀", "ab ", "<|turn>", "é\u{301}"] {
        let began = Instant::now();
        let prompt = format!("a{}b", part.repeat((1 << 20) / part.len() - 2));
        let (_, _, end) = collect(engine.generate(ask(&prompt).try_into().unwrap()).unwrap()).await;
        assert_eq!(end.unwrap_err().code(), "prompt_too_long", "{part:?}");
        println!("{part:?} took {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(10), "{part:?} took {:?}", began.elapsed());
    }
    let odd = "\u{0} \u{feff} 🦀 ☃ \u{202e} <|turn>system\n<bos><bos>";
    assert!(collect(engine.generate(ask(odd).try_into().unwrap()).unwrap()).await.2.is_ok());
    assert_eq!(engine.status().restarts, 0);
}

#[tokio::test]
async fn text_is_whole_characters() {
    let engine = load(options(4)).await;
    let hot = |seed| Sampling { temperature_milli: 3_000, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed };
    let generations: Vec<_> = (0..4)
        .map(|seed| {
            engine
                .generate(ChatInput { sampling: hot(seed), max_tokens: 120, ..ask("☃ 🦀?") }.try_into().unwrap())
                .unwrap()
        })
        .collect();
    for generation in generations {
        // A `String` is valid UTF-8 by its type; what must hold is that splitting loses nothing and ends.
        assert!(collect(generation).await.2.is_ok());
    }
}

#[tokio::test]
async fn bad_files_get_names() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(model_path()).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert_eq!(load_error(folder.path().join("none.gguf")).await.code(), "model_file_not_found");
    assert_eq!(load_error(folder.path().to_owned()).await.code(), "model_file_unreadable");
    assert_eq!(load_error(write("empty.gguf", b"")).await, EngineError::NotGguf);
    assert_eq!(load_error(write("text.gguf", b"this is no model at all")).await, EngineError::NotGguf);
    for keep in [5, 100, 20_000, good.len() / 2, good.len() - 1] {
        assert_eq!(load_error(write("short.gguf", &good[..keep])).await, EngineError::Truncated, "{keep} bytes");
    }
    let at = good.windows(6).position(|w| w == b"gemma4").unwrap();
    let mut odd = good.clone();
    odd[at..at + 6].copy_from_slice(b"nobody");
    let expected = EngineError::UnsupportedArchitecture { architecture: "nobody".into() };
    assert_eq!(load_error(write("odd.gguf", &odd)).await, expected);
}

/// A header that llama.cpp believes until it aborts.
#[tokio::test]
async fn an_abort_of_llama_cpp_costs_that_load_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(model_path()).unwrap();
    let key = b"gemma4.attention.shared_kv_layers";
    let value = bytes.windows(key.len()).position(|w| w == key).unwrap() + key.len() + 4;
    bytes[value..value + 4].copy_from_slice(&1u32.to_le_bytes());
    let path = folder.path().join("abort.gguf");
    std::fs::write(&path, bytes).unwrap();
    match load_error(path).await {
        EngineError::WorkerCrashed { exit, last_line } => {
            assert!(exit.contains("signal") && last_line.contains("GGML_ASSERT"), "{exit}: {last_line}");
            assert!(!last_line.starts_with('/'), "{last_line}");
        }
        other => panic!("{other}"),
    }
}

/// Whatever the bytes are, the host gets an error or an engine, and lives.
#[tokio::test]
async fn broken_headers_cost_their_load_only() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(model_path()).unwrap();
    for (n, at) in (0..12).map(|n| (n, 8 + n * 1_733)) {
        let mut bad = good.clone();
        bad[at..at + 8].fill(0xff - n as u8);
        let path = folder.path().join("bad.gguf");
        std::fs::write(&path, &bad).unwrap();
        let options = EngineOptions { model_path: path, ..options(1) };
        if let Err(error) = within(LlamaEngine::load(worker(), options, CancellationToken::new())).await {
            assert!(!error.code().is_empty() && !error.hint().is_empty());
        }
    }
}

#[tokio::test]
async fn a_load_can_be_cancelled_and_a_worker_that_is_none_is_noticed() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = LlamaEngine::load(worker(), options(1), cancel).await.unwrap_err();
    assert_eq!(error, EngineError::LoadCancelled);
    let wrong = |program: &str| WorkerCommand { program: program.into(), args: vec![] };
    let error = LlamaEngine::load(wrong("/nonexistent"), options(1), CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.code(), "worker_spawn");
    let error = LlamaEngine::load(wrong("/bin/true"), options(1), CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.code(), "worker_crashed");
}

#[cfg(unix)]
#[tokio::test]
async fn a_killed_worker_fails_its_answers_and_comes_back() {
    let engine = load(EngineOptions { context_tokens: Some(2_048), ..options(1) }).await;
    // The tiny model may have said everything before the kill: then once more.
    let (mut kills, mut pid) = (0, 0);
    loop {
        kills += 1;
        assert!(kills < 5, "no answer ever lasts until the kill");
        let hot = Sampling { temperature_milli: 5_000, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed: kills };
        let mut long =
            engine.generate(ChatInput { sampling: hot, ..ask("Tell me a story.") }.try_into().unwrap()).unwrap();
        while !matches!(within(long.events.recv()).await, Some(Event::Token { .. })) {}
        let before = std::mem::replace(&mut pid, engine.status().worker_pid.unwrap());
        assert_ne!(before, pid);
        kill(pid);
        if let Err(error) = collect(long).await.2 {
            assert_eq!(error.code(), "worker_crashed");
            break;
        }
        within(async {
            while engine.status().worker_pid.is_none_or(|now| now == pid) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    let (_, text, end) =
        collect(engine.generate(ask("What is the capital of France?").try_into().unwrap()).unwrap()).await;
    assert!(end.is_ok() && text.contains("Paris"), "{text}");
    let status = engine.status();
    assert_eq!((status.state, u64::from(status.restarts)), (EngineState::Ready, kills));
    assert_ne!(status.worker_pid, Some(pid));
}

#[cfg(unix)]
#[tokio::test]
async fn a_worker_that_keeps_dying_is_given_up() {
    let engine = load(options(1)).await;
    let began = Instant::now();
    while engine.status().state != EngineState::Failed {
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", engine.status());
        if let Some(pid) = engine.status().worker_pid {
            kill(pid);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(engine.generate(ask("x").try_into().unwrap()).unwrap_err().code(), "engine_gave_up");
    assert_eq!(engine.status().restarts, 5);
    engine.shutdown().await;
}

/// The worker's stdin ends when its host does, however the host ends.
#[cfg(unix)]
#[test]
fn the_end_of_the_host_ends_the_worker() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(worker().program).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "it waits for its host");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    // With a model loaded, by dropping the runtime and with it everything of the host.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = runtime.block_on(load(options(1)));
    let pid = engine.status().worker_pid.unwrap();
    drop(runtime);
    let began = Instant::now();
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(began.elapsed() < Duration::from_secs(5), "the worker lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_idle_worker_takes_no_processor_time() {
    let engine = load(EngineOptions { threads: Some(2), ..options(2) }).await;
    answer(&engine, ask("What is the capital of France?")).await;
    let pid = engine.status().worker_pid.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<u64> =
            stat.rsplit(')').next().unwrap().split_whitespace().filter_map(|f| f.parse().ok()).collect();
        // After the state: user and system time are the 11th and 12th number.
        fields[10] + fields[11]
    };
    let before = ticks();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ticks() - before <= 1, "{} ticks", ticks() - before);
}

#[cfg(unix)]
fn kill(pid: u32) {
    let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_become_vectors_that_tell_them_apart() {
    let engine = LlamaEngine::load(worker(), options(1), CancellationToken::new()).await.unwrap();
    let text = |text: &str| EmbedInput::Text(text.into());
    let inputs = vec![text("One day Tom went to the park."), text("Paris"), text("One day Tom went to the park.")];
    let made = within(engine.embed(EmbedQuestion { inputs })).await.unwrap();
    let [a, b, c] = made.vectors.as_slice() else { panic!("three vectors") };
    assert_eq!(a.len(), 128);
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    assert!((dot(a, a) - 1.0).abs() < 1e-4);
    assert_eq!(a, c, "the same text, the same vector");
    assert!(dot(a, b) < 0.999, "{}", dot(a, b));
    assert!(made.prompt_tokens > 10);
    let refused = |inputs| engine.embed(EmbedQuestion { inputs });
    assert_eq!(within(refused(vec![])).await.unwrap_err(), EngineError::EmptyPrompt);
    let long = text(&"word ".repeat(4_000));
    assert_eq!(within(refused(vec![long])).await.unwrap_err().code(), "prompt_too_long");
    let unknown = EmbedInput::Tokens(vec![u32::MAX]);
    assert_eq!(within(refused(vec![unknown])).await.unwrap_err().code(), "input_out_of_bounds");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_continued_as_it_is() {
    let engine = LlamaEngine::load(worker(), options(1), CancellationToken::new()).await.unwrap();
    let greedy = Sampling { temperature_milli: 0, ..Sampling::default() };
    let ask = |prompt| Question { sampling: greedy, max_tokens: 12, ..Question::new(prompt) };
    let rendered = "<bos><|turn>user\nWhat is the capital of France?<turn|>\n<|turn>model\n";
    let (_, text, end) = collect(engine.generate(ask(Prompt::Text(rendered.into()))).unwrap()).await;
    assert!(text.contains("Paris"), "{text}");
    assert!(end.unwrap().prompt_tokens > 5);
    let unknown = ask(Prompt::Tokens(vec![2, 1 << 30]));
    let (_, _, end) = collect(engine.generate(unknown).unwrap()).await;
    assert_eq!(end.unwrap_err().code(), "input_out_of_bounds");
    engine.shutdown().await;
}
