//! Measures our engine through our own HTTP API against a real llama-server: the same run, model, threads and client.
//! Prints one JSON object on the last line. `cargo xtask bench engine` runs it.
//!
//! What it knows of either server is its address: everything is asked over HTTP, as users ask.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::print_stderr)] // A benchmark prints, and may fail by panicking.
#![allow(clippy::disallowed_methods)] // It measures from plain threads, which may sleep.

mod ask;
mod figures;
mod machine;
mod measures;
mod peer;
mod prompts;
#[allow(dead_code, reason = "one of its models is for audits")]
#[path = "../../../models/random/mod.rs"]
mod random_model;

use ainonymous_e2e::{tiny_model, vanish, Client, Node, NodeSpec};
use ask::Server;
use figures::{median, Report};
use measures::{Bench, LongPrompt};
use peer::{Peer, Settings};
use prompts::Prompts;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Tokens of each answer with 1, 8 and 32 clients.
const ANSWER_TOKENS: [u32; 3] = [128, 64, 48];
const FIRST_TOKEN_PROMPT: u32 = 512;
const PREFIX: u32 = 2_000;
const LONG_PROMPT: u32 = 4_000;
/// Streams beside a long prompt.
const OTHERS: usize = 4;
const IDLE: Duration = Duration::from_secs(5);
const VANISHING: usize = 1_000;
/// Answers come from a cache of this size where they can, in MiB.
const PREFIX_CACHE_MIB: &str = "512";

/// 4.5 thousand million weights in the shape of a Gemma 3 of 4B, 4.8 GB as q8_0: for GPUs. A step reads 4.1 GB of them.
const LARGE: random_model::Shape = random_model::Shape {
    label: "4b",
    vocabulary: 262_144,
    width: 2_560,
    layers: 34,
    heads: 8,
    key_value_heads: 4,
    head_width: 256,
    hidden: 10_240,
    window: 1_024,
    context: 8_192,
    weights: random_model::Weights::Bytes { repeat: Some(1_048_573) },
    temper: random_model::Temper::FLAT,
};

/// The figures that every report has.
const FIGURES: [&str; 10] = [
    "decode_ratio_1",
    "decode_ratio_8",
    "decode_ratio_32",
    "ttft_delta_ms",
    "prefill_ratio",
    "prefix_ttft_ratio",
    "long_prefill_slowdown",
    "worst_stall_ms",
    "idle_cpu_percent",
    "worker_rss_mb",
];
const FLAGS: &str = "--model FILE, --tiny, --large, --gpu, --threads N, --rounds N, --slots N, --no-peer, \
                     --parts idle,answers,prompts,long,vanish";

/// What to measure with.
struct Options {
    model: Option<PathBuf>,
    tiny: bool,
    /// Random weights in the shape of a Gemma of 4B.
    large: bool,
    /// Both compute on the GPU, the other server with what it does there by itself.
    gpu: bool,
    threads: u32,
    rounds: usize,
    slots: u32,
    peer: bool,
    /// What is measured; everything if empty.
    parts: String,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.split(',').any(|wanted| wanted == part)
    }
}

fn main() {
    let options = options();
    let report = measure(&options);
    println!("{}", report.into_json());
}

fn options() -> Options {
    let mut options = Options {
        model: None,
        tiny: false,
        large: false,
        gpu: false,
        threads: 1,
        rounds: 5,
        slots: 32,
        peer: true,
        parts: String::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--model" => options.model = Some(value().into()),
            "--tiny" => options.tiny = true,
            "--large" => options.large = true,
            "--gpu" => options.gpu = true,
            "--threads" => options.threads = value().parse().expect("a number of threads"),
            "--rounds" => options.rounds = value().parse().expect("a number of rounds"),
            "--slots" => options.slots = value().parse().expect("a number of slots"),
            "--no-peer" => options.peer = false,
            "--parts" => options.parts = value(),
            "--json" => {}
            other => panic!("unknown flag {other}; there are {FLAGS}"),
        }
    }
    options
}

/// The file that was named, the tiny Gemma, or one of random weights that is made once.
fn model(options: &Options) -> PathBuf {
    if let Some(model) = &options.model {
        return model.clone();
    }
    if options.tiny {
        return tiny_model();
    }
    let shape = if options.large { &LARGE } else { &random_model::MEDIUM };
    random_model::cached(&tiny_model(), shape).expect("a model")
}

/// Our node, and what is asked of it besides answers.
struct Ours {
    node: Node,
    server: Server,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Ours {
    fn start(model: &Path, settings: Settings) -> Self {
        let text = |number: u32| number.to_string();
        let (threads, slots, context) = (text(settings.threads), text(settings.slots), text(settings.context));
        let mut spec = NodeSpec::default().serving(model);
        for (flag, value) in [("--threads", threads.as_str()), ("--slots", &slots), ("--context", &context)] {
            spec = spec.with(&[flag, value]);
        }
        let mut node = Node::ready(spec.with(&["--prefix-cache-mib", PREFIX_CACHE_MIB, "--no-share"]));
        let client = node.client();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let models = runtime.block_on(client.get("/v1/models")).1;
        let name = models["data"][0]["id"].as_str().expect("a model").to_string();
        let address = client.base().trim_start_matches("http://").trim_end_matches('/').to_string();
        let server = Server {
            name: "our node",
            processes: vec![node.pid()],
            address,
            model: name,
            ignores_end: false,
            route: None,
        };
        let mut ours = Self { node, server, client, runtime };
        ours.server.processes.push(ours.worker());
        ours
    }

    fn status(&self) -> Value {
        self.runtime.block_on(self.client.get("/ainonymous/v1/status")).1
    }

    fn worker(&self) -> u32 {
        self.status()["models"][0]["engine"]["worker_pid"].as_u64().expect("a worker") as u32
    }
}

fn measure(options: &Options) -> Report {
    let mut report = Report::default();
    let path = model(options);
    let context_trained = peer::context_trained(&path);
    let settings = Settings {
        threads: options.threads,
        slots: options.slots,
        context: context_trained.min(LONG_PROMPT + 2_048),
        gpu: options.gpu,
    };
    let mut ours = Ours::start(&path, settings);
    let peer = if options.peer { Peer::start(&path, settings) } else { Err("not wanted".into()) };
    let no_peer = peer.as_ref().err().cloned().unwrap_or_default();
    let peer = peer.ok();
    describe(&mut report, &path, settings, options, peer.as_ref());
    let question = "Tell me a long story.".to_string();
    ours.server.ignores_end = ours.server.honours_ignore_eos();
    report.note("ignore_eos", ours.server.ignores_end);
    let prompts = Prompts::new(&ours.server).expect("an answer");
    let theirs = peer.as_ref().map(|p| p.server.clone());
    let mut bench = Bench { ours: ours.server.clone(), theirs, prompts, rounds: options.rounds, question };
    if options.wants("idle") {
        idle_and_memory(&mut report, &ours, &path, peer.as_ref(), &no_peer);
    }
    if options.wants("answers") {
        answers(&mut report, &mut bench, options, &no_peer);
    }
    if options.wants("prompts") {
        prompts_measured(&mut report, &mut bench, settings, &no_peer);
    }
    if options.wants("long") {
        long_prompt(&mut report, &mut bench, settings, options.rounds);
    }
    if options.wants("vanish") {
        vanishing(&mut report, &ours, &path);
    }
    report.complete(&FIGURES, "not measured this time");
    report.note("load_average_after", machine::load());
    report
}

fn describe(report: &mut Report, path: &Path, settings: Settings, options: &Options, peer: Option<&Peer>) {
    report.note("model", path.file_name().map(|n| n.to_string_lossy().into_owned()));
    report.note("threads", settings.threads);
    report.note("slots", settings.slots);
    report.note("context", settings.context);
    report.note("rounds", options.rounds);
    report.note("load_average_before", machine::load());
    report.note("peer_version", peer.map(|p| p.version.clone()));
    report.note("peer_arguments", peer.map(|p| p.arguments.clone()));
    report.note("peer_backend", peer.and_then(Peer::backend));
}

fn idle_and_memory(report: &mut Report, ours: &Ours, path: &Path, peer: Option<&Peer>, no_peer: &str) {
    std::thread::sleep(Duration::from_secs(1));
    let worker = ours.worker();
    let before = machine::cpu_s(worker);
    std::thread::sleep(IDLE);
    let idle = before.zip(machine::cpu_s(worker)).map(|(from, to)| (to - from) / IDLE.as_secs_f64() * 100.0);
    report.figure("idle_cpu_percent", idle, "this system does not tell processor times");
    let resident = machine::resident(worker, path);
    let cache = peer.and_then(Peer::cache_bytes);
    let beside = resident.zip(cache).map(|((all, file), cache)| mb(all - file - cache));
    report.figure(
        "worker_rss_mb",
        beside,
        &format!("the size of the cache is read from llama-server's log: {no_peer}"),
    );
    report.note("worker_rss_whole_mb", resident.map(|r| mb(r.0)));
    report.note("worker_rss_model_file_mb", resident.map(|r| mb(r.1)));
    report.note("key_value_cache_mb", cache.map(mb));
    let peers = peer.and_then(|p| machine::resident(p.pid(), path));
    report.note("peer_rss_whole_mb", peers.map(|r| mb(r.0)));
}

fn answers(report: &mut Report, bench: &mut Bench, options: &Options, no_peer: &str) {
    for (clients, tokens) in [1, 8, 32].into_iter().zip(ANSWER_TOKENS) {
        let name = format!("decode_ratio_{clients}");
        if clients > options.slots as usize {
            report.figure(&name, None, "more clients than slots");
            continue;
        }
        let (pair, cost) = bench.streams(clients, tokens).expect("answers");
        report.figure(&name, pair.ratio(), no_peer);
        report.samples(&format!("decode_{clients}_tokens_per_s"), &pair);
        // The other way round: less is better.
        report.figure(&format!("{name}_by_cpu"), cost.ratio().map(|ratio| 1.0 / ratio), no_peer);
        report.samples(&format!("decode_{clients}_cpu_ms_per_token"), &cost);
        eprintln!("{name}: {:?}", pair.ratio());
    }
}

fn prompts_measured(report: &mut Report, bench: &mut Bench, settings: Settings, no_peer: &str) {
    let (times, _, _) = bench.first_token(FIRST_TOKEN_PROMPT).expect("answers");
    report.figure("ttft_delta_ms", times.difference(), no_peer);
    report.samples("ttft_512_ms", &times);
    eprintln!("ttft_delta_ms: {:?}", times.difference());
    let room = settings.context.saturating_sub(256);
    let (_, speeds, cost) = bench.first_token(PREFIX.min(room)).expect("answers");
    report.figure("prefill_ratio", speeds.ratio(), no_peer);
    report.figure("prefill_ratio_by_cpu", cost.ratio().map(|ratio| 1.0 / ratio), no_peer);
    report.samples("prefill_cpu_ms_per_token", &cost);
    report.note("prefill_prompt_tokens", PREFIX.min(room));
    report.samples("prefill_tokens_per_s", &speeds);
    eprintln!("prefill_ratio: {:?}", speeds.ratio());
    if room < PREFIX {
        report.figure("prefix_ttft_ratio", None, "the model's context is too short");
        return;
    }
    let (cold, warm) = bench.prefix(PREFIX).expect("answers");
    let ratio = |cold: &[f64], warm: &[f64]| Some(median(cold)? / median(warm)?);
    report.figure("prefix_ttft_ratio", ratio(&cold.ours, &warm.ours), "");
    report.figure("prefix_ttft_ratio_peer", ratio(&cold.theirs, &warm.theirs), no_peer);
    report.samples("prefix_cold_ms", &cold);
    report.samples("prefix_warm_ms", &warm);
    eprintln!("prefix_ttft_ratio: {:?}", ratio(&cold.ours, &warm.ours));
}

fn long_prompt(report: &mut Report, bench: &mut Bench, settings: Settings, rounds: usize) {
    if settings.context < LONG_PROMPT + 1_024 {
        for name in ["long_prefill_slowdown", "worst_stall_ms"] {
            report.figure(name, None, "the model's context is too short");
        }
        return;
    }
    let runs = rounds.div_ceil(2).min(2);
    for (suffix, server) in [("", Some(bench.ours.clone())), ("_peer", bench.theirs.clone())] {
        let Some(server) = server else { continue };
        let all: Result<Vec<LongPrompt>, String> =
            (0..runs).map(|_| bench.long_prompt(&server, LONG_PROMPT, OTHERS)).collect();
        let (found, reason) = match all {
            Ok(found) => (found, String::new()),
            Err(reason) => (Vec::new(), reason),
        };
        let of = |value: fn(&LongPrompt) -> f64| found.iter().map(value).collect::<Vec<f64>>();
        let worst = of(|l| l.stall_ms).into_iter().reduce(f64::max);
        report.figure(&format!("long_prefill_slowdown{suffix}"), median(&of(|l| l.slowdown)), &reason);
        report.figure(&format!("worst_stall_ms{suffix}"), worst, &reason);
        let before = median(&of(|l| l.slowdown_before));
        report.figure(&format!("long_prefill_slowdown_before{suffix}"), before, &reason);
        let alone = of(|l| l.stall_alone_ms).into_iter().reduce(f64::max);
        report.figure(&format!("worst_stall_alone_ms{suffix}"), alone, &reason);
        report.figure(&format!("long_prefill_first_s{suffix}"), median(&of(|l| l.first_s)), &reason);
        eprintln!("long prompt{suffix}: {found:?} {reason}");
    }
}

fn vanishing(report: &mut Report, ours: &Ours, path: &Path) {
    let question = ask::Question { system: None, user: "Tell me a long story.".into(), max_tokens: 64 };
    let request = ours.server.request(&question);
    let memory = || machine::resident(ours.worker(), path).map(|r| r.0);
    // What the first of them leave behind is kept by design: compare after that.
    vanish(&ours.server.address, &request, VANISHING / 10);
    settled(ours);
    let before = memory();
    vanish(&ours.server.address, &request, VANISHING);
    let stuck = settled(ours);
    report.note("vanished_clients", VANISHING);
    report.note("vanished_stuck", stuck);
    report.note("vanished_worker_growth_mb", before.zip(memory()).map(|(from, to)| mb(to - from)));
    report.note("vanished_node_mb", machine::resident(ours.node.pid(), path).map(|r| mb(r.0)));
    eprintln!("vanished: {stuck} stuck");
}

/// Waits until nothing is computed any more; how many questions never ended.
fn settled(ours: &Ours) -> u64 {
    let mut open = u64::MAX;
    for _ in 0..100 {
        let engine = ours.status()["models"][0]["engine"].clone();
        open = engine["running"].as_u64().unwrap_or(0) + engine["queued"].as_u64().unwrap_or(0);
        if open == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    open
}

fn mb(bytes: f64) -> f64 {
    (bytes / 1e5).round() / 10.0
}
