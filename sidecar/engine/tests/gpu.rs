//! Layers on a GPU. `AINONYMOUS_TEST_GPU` names the backend that is expected (`vulkan`, `cuda`); without it nothing is tested,
//! for most machines have none. `cargo xtask test --vulkan` builds and runs this with the software GPU that Mesa brings; it is no
//! part of the usual tests, for its shaders take a quarter of an hour of processor time to compile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)]

use ainonymous_engine::request::{Chat, Message, Role};
use ainonymous_engine::{
    Engine, EngineOptions, Event, GpuLayers, LlamaEngine, Prompt, Question, ReplayQuestion, WorkerCommand,
};
use ainonymous_types::{Backend, Sampling};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A software GPU is slow, and the machine may have much else to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// The backend that is tested, if one is.
fn tested() -> Option<Backend> {
    let name = std::env::var("AINONYMOUS_TEST_GPU").ok()?;
    match name.as_str() {
        "vulkan" => Some(Backend::Vulkan),
        "cuda" => Some(Backend::Cuda),
        "rocm" => Some(Backend::Rocm),
        "metal" => Some(Backend::Metal),
        other => panic!("AINONYMOUS_TEST_GPU is vulkan, cuda, rocm or metal, not {other}"),
    }
}

async fn load(gpu_layers: GpuLayers, slots: u32) -> LlamaEngine {
    let worker = WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] };
    let options = EngineOptions {
        threads: Some(1),
        gpu_layers,
        slots,
        context_tokens: Some(256),
        ..EngineOptions::new("../../tests/models/tiny-gemma-q8_0.gguf")
    };
    LlamaEngine::load(worker, options, CancellationToken::new()).await.unwrap()
}

fn ask(text: &str, sampling: Sampling) -> Question {
    let chat = Chat { messages: vec![Message::new(Role::User, text)], ..Chat::default() };
    Question { sampling, max_tokens: 24, ..Question::new(Prompt::Chat(chat)) }
}

fn greedy() -> Sampling {
    Sampling { temperature_milli: 0, ..Sampling::default() }
}

async fn answer(engine: &LlamaEngine, question: Question) -> (Vec<u32>, String) {
    let (mut ids, mut said, mut events) = (vec![], String::new(), engine.generate(question).unwrap().events);
    loop {
        match tokio::time::timeout(PATIENCE, events.recv()).await.expect("in time").expect("an end") {
            Event::Token { id, text, .. } => {
                ids.push(id);
                said.push_str(&text);
            }
            Event::Finished(_) => return (ids, said),
            Event::Failed(error) => panic!("{error}"),
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_layers_go_to_the_gpu_and_answer() {
    let Some(backend) = tested() else { return eprintln!("no GPU is tested") };
    let engine = load(GpuLayers::Auto, 1).await;
    let info = engine.info();
    eprintln!("{}: {}", info.class, info.backend_detail);
    assert_eq!(info.backend, backend, "{}", info.backend_detail);
    assert_eq!(info.gpu_layers, info.layers + 1, "all, and the output");
    assert!(!info.class.to_string().starts_with("cpu/"), "{}", info.class);
    let (_, said) = answer(&engine, ask("What is the capital of France?", greedy())).await;
    assert!(said.contains("Paris"), "{said}");
}

/// A driver is let in, the network is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_a_gpu_is_confined() {
    let Some(_) = tested() else { return eprintln!("no GPU is tested") };
    let engine = load(GpuLayers::Fixed(99), 1).await;
    let sandbox = &engine.info().sandbox;
    eprintln!("sandbox: {}", sandbox.detail);
    assert!(sandbox.network && sandbox.privileges, "{sandbox:?}");
    let (_, said) = answer(&engine, ask("What is the capital of Japan?", greedy())).await;
    assert!(said.contains("Tokyo"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_answers_at_a_time() {
    let Some(_) = tested() else { return eprintln!("no GPU is tested") };
    let engine = load(GpuLayers::Auto, 4).await;
    let asked = [("France", "Paris"), ("Japan", "Tokyo"), ("Italy", "Rome"), ("Spain", "Madrid")];
    let questions = asked.map(|(land, _)| ask(&format!("What is the capital of {land}?"), greedy()));
    let given = futures::future::join_all(questions.map(|question| answer(&engine, question))).await;
    let right = given.iter().zip(asked).filter(|((_, said), (_, city))| said.contains(city)).count();
    assert!(given[0].1.contains("Paris") && right >= 2, "{right} right");
}

/// What the processor finds in an answer of the GPU: the same model, in other digits.
#[tokio::test(flavor = "multi_thread")]
async fn the_processor_finds_its_answers_honest() {
    let Some(_) = tested() else { return eprintln!("no GPU is tested") };
    let (gpu, cpu) = (load(GpuLayers::Auto, 4).await, load(GpuLayers::Fixed(0), 1).await);
    let questions: Vec<Question> = (0..6)
        .map(|seed| Question { fingerprint: true, ..ask("Tell me a story.", Sampling { seed, ..Sampling::default() }) })
        .collect();
    let given = futures::future::join_all(questions.iter().map(|question| answer(&gpu, question.clone()))).await;
    let (mut tokens, mut margin, mut matched) = (0u32, 0f64, 0u32);
    for (question, (ids, _)) in questions.iter().zip(&given) {
        let asked = ReplayQuestion::beginning(question.clone(), ids.clone(), None);
        let found = tokio::time::timeout(PATIENCE, cpu.replay(asked)).await.expect("in time").unwrap();
        for (position, id) in found.positions.iter().zip(ids) {
            tokens += 1;
            matched += u32::from(position.expected == *id);
            margin += f64::from(position.margin_milli.min(2_000)) / 1_000.0;
        }
    }
    eprintln!(
        "{} replays {}: {matched} of {tokens} matched, margin sum {margin:.3}",
        cpu.info().class,
        gpu.info().class
    );
    assert!(tokens > 60 && matched * 10 >= tokens * 9 && margin / f64::from(tokens) < 0.02);
    assert_ne!(gpu.info().class, cpu.info().class);
}
