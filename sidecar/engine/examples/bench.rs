//! What the worker boundary, fingerprints and audits cost: `cargo run -p ainonymous-engine --example bench -- MODEL [TOKENS] [SLOTS]`. What the sandbox
//! costs: the same with `AINONYMOUS_SANDBOX=off`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use ainonymous_engine::{
    run_worker, Engine, EngineOptions, Event, Finished, LlamaEngine, Question, ReplayQuestion, WorkerCommand,
};
use ainonymous_types::{ChatInput, ChatMessage, ChatRole, Sampling};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Rounds in which fingerprints are recorded, and as many in which they are not.
const FINGERPRINT_ROUNDS: u64 = 15;
/// Answers that are given and computed again.
const REPLAY_ROUNDS: u64 = 5;

/// What one answer showed.
struct Seen {
    first: Duration,
    whole: Duration,
    tokens: u32,
    ids: Vec<u32>,
    end: Finished,
}

#[tokio::main]
async fn bench(model: &str, tokens: u32, slots: u32) {
    let worker = WorkerCommand { program: std::env::current_exe().unwrap(), args: vec!["worker".into()] };
    let threads = std::env::var("THREADS").ok().and_then(|t| t.parse().ok());
    let options = EngineOptions { threads, slots, context_tokens: Some(tokens + 768), ..EngineOptions::new(model) };
    let began = Instant::now();
    let engine = LlamaEngine::load(worker, options, CancellationToken::new()).await.unwrap();
    let (info, ready) = (engine.info(), began.elapsed().as_secs_f64() * 1e3);
    println!(
        "{} {} · {} threads · {} · loaded in {} ms, ready after {ready:.1} ms",
        info.name, info.quantization, info.threads, info.backend_detail, info.load_ms
    );
    println!("sandbox: {}", info.sandbox.detail);
    // Different words, so that nothing is in the cache of beginnings.
    let long: Vec<Finished> = {
        let mut ends = Vec::new();
        for run in 0..5u32 {
            let words: Vec<String> = (0..64).map(|word| ((word * 7_919 + run * 104_729) % 9_973).to_string()).collect();
            ends.push(one(&engine, asked(1, 0, &words.join(" "))).await.end);
        }
        ends
    };
    let prefill = |end: &Finished| f64::from(end.prompt_tokens - end.cached_tokens) / (end.prefill_us as f64 / 1e6);
    println!(
        "prefill: {} tokens, best of 5: {:.0} tok/s",
        long[0].prompt_tokens,
        long.iter().map(prefill).fold(0.0, f64::max)
    );
    for streams in [1, slots] {
        let mut seen = Vec::new();
        let began = Instant::now();
        let answers: Vec<_> =
            (0..streams).map(|seed| one(&engine, asked(tokens, u64::from(seed), "Tell me a story."))).collect();
        for answer in futures::future::join_all(answers).await {
            seen.push(answer);
        }
        let total: u32 = seen.iter().map(|s| s.tokens).sum();
        let rate = |n: u32, time: f64| f64::from(n) / time;
        let in_worker: f64 = seen.iter().map(|s| rate(s.tokens - 1, s.end.decode_us as f64 / 1e6)).sum();
        let through: f64 = seen.iter().map(|s| rate(s.tokens - 1, (s.whole - s.first).as_secs_f64())).sum();
        println!(
            "{streams} streams: {total} tokens in {:.0} ms · in worker {in_worker:.0} tok/s · through the boundary \
             {through:.0} tok/s · first token {:.2} ms ({:.2} in worker)",
            began.elapsed().as_secs_f64() * 1e3,
            seen[0].first.as_secs_f64() * 1e3,
            (seen[0].end.queue_us + seen[0].end.prefill_us) as f64 / 1e3,
        );
    }
    for streams in [1, slots] {
        fingerprints(&engine, tokens, streams).await;
    }
    replays(&engine, tokens).await;
    let mib = |bytes: Option<u64>| bytes.map_or(0, |b| b >> 20);
    println!("memory of the worker {} MiB", mib(engine.status().worker_rss_bytes));
    engine.shutdown().await;
}

/// What recording fingerprints costs, by processor time: the same answers with and without, in turns, so that whatever else
/// the machine does meets both alike. The median of the rounds' ratios counts.
async fn fingerprints(engine: &LlamaEngine, tokens: u32, streams: u32) {
    let Some(pid) = engine.status().worker_pid else { return };
    let (mut ratios, mut times) = (vec![], [0f64; 2]);
    for round in 0..FINGERPRINT_ROUNDS {
        let mut taken = [0f64; 2];
        // Which of them comes first takes turns as well.
        for with in [round % 2 == 0, round % 2 == 1] {
            let (before, mut said) = (processor_time(pid), 0);
            let question = |seed| Question {
                fingerprint: with,
                ..asked(tokens, round * u64::from(streams) + u64::from(seed), "Tell me a story.")
            };
            let answers = (0..streams).map(|seed| one(engine, question(seed)));
            for answer in futures::future::join_all(answers).await {
                said += answer.tokens;
            }
            let (Some(before), Some(after)) = (before, processor_time(pid)) else { return };
            taken[usize::from(with)] = (after - before).as_secs_f64() * 1e6 / f64::from(said);
        }
        ratios.push(taken[1] / taken[0]);
        times.iter_mut().zip(taken).for_each(|(sum, time)| *sum += time / FINGERPRINT_ROUNDS as f64);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    println!(
        "fingerprints, {streams} streams: {:.2} µs of processor time a token without, {:.2} with; median of {} ratios {:.4} \
         (quartiles {:.4} to {:.4})",
        times[0],
        times[1],
        ratios.len(),
        ratios[ratios.len() / 2],
        ratios[ratios.len() / 4],
        ratios[ratios.len() * 3 / 4],
    );
}

/// What computing an answer again costs beside giving it, by processor time: an audit ÷ an answer. One stream; an engine that serves many
/// at once gives answers cheaper, so the ratio is larger there by as much as batching gains.
async fn replays(engine: &LlamaEngine, tokens: u32) {
    let Some(pid) = engine.status().worker_pid else { return };
    let mut ratios = vec![];
    for round in 0..REPLAY_ROUNDS {
        let question = Question { fingerprint: true, ..asked(tokens, 1_000 + round, "Tell me a story.") };
        let before = processor_time(pid);
        let given = one(engine, question.clone()).await;
        let between = processor_time(pid);
        engine.replay(ReplayQuestion::beginning(question, given.ids, None)).await.unwrap();
        let (Some(before), Some(between), Some(after)) = (before, between, processor_time(pid)) else { return };
        ratios.push((after - between).as_secs_f64() / (between - before).as_secs_f64());
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let (least, middle, most) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    println!("computing answers of {tokens} tokens again, ÷ giving them: median {middle:.3} ({least:.3} to {most:.3})");
}

/// Processor time of all threads of a process, where the system tells.
fn processor_time(pid: u32) -> Option<Duration> {
    let mut nanoseconds = 0u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        nanoseconds += times.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanoseconds))
}

/// A question whose answer seldom ends by itself: the temperature is high.
fn asked(tokens: u32, seed: u64, content: &str) -> Question {
    let messages = vec![ChatMessage::new(ChatRole::User, content)];
    let sampling = Sampling { temperature_milli: 3_000, seed, ..Sampling::default() };
    ChatInput { messages, sampling, max_tokens: tokens, stop: vec![], more: None }.try_into().unwrap()
}

/// One answer.
async fn one(engine: &LlamaEngine, question: Question) -> Seen {
    let began = Instant::now();
    let mut generation = engine.generate(question).unwrap();
    let (mut first, mut ids) = (None, vec![]);
    loop {
        match generation.events.recv().await.unwrap() {
            Event::Token { id, .. } => {
                ids.push(id);
                first.get_or_insert(began.elapsed());
            }
            Event::Finished(end) => {
                let whole = began.elapsed();
                return Seen { first: first.unwrap_or(whole), whole, tokens: ids.len() as u32, ids, end };
            }
            Event::Failed(error) => panic!("{error}"),
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default| arguments.get(index).and_then(|a| a.parse().ok()).unwrap_or(default);
    match arguments.first().map(String::as_str) {
        Some("worker") => return run_worker(),
        Some(model) => bench(model, number(1, 1_000), number(2, 4)),
        None => println!("usage: bench MODEL [TOKENS] [SLOTS]"),
    }
    ExitCode::SUCCESS
}
