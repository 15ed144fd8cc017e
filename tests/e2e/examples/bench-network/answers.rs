//! Answers over a link on loopback, beside a real llama-server and beside the same engine without a network.

use crate::ask::{Question, Server};
use crate::figures::{Pair, Report};
use crate::machine;
use crate::measures::Bench;
use crate::nodes::Two;
use crate::peer::{self, Peer, Settings};
use crate::prompts::Prompts;
use crate::Options;
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;

/// What this part measures.
pub(crate) const FIGURES: [&str; 4] = ["decode_ratio_1", "decode_ratio_8", "ttft_delta_ms", "zome_calls_on_token_path"];

/// Clients at once and tokens of each answer.
const STREAMS: [(usize, u32); 2] = [(1, 256), (8, 64)];
const FIRST_TOKEN_PROMPT: u32 = 512;
const CONTEXT: u32 = 2_048;
/// Answers during which zome calls are counted.
const COUNTED: u64 = 20;
/// A short question whose answer goes on for a while.
pub(crate) const STORY: &str = "Tell me a long story.";

/// What nodes call whether or not anything is asked: reading the network, saying what they serve, publishing and checking
/// receipts in batches after answers.
const BACKGROUND: [&str; 15] = [
    "get_all_model_specs",
    "get_bucket",
    "get_providers",
    "get_my_places",
    "put_places",
    "get_open_requests",
    "get_my_capability",
    "put_capability",
    "create_receipt_batch",
    "get_receipt_batch",
    "is_held_by_peers",
    "get_audit_reports",
    "get_equivocations",
    "get_convictions",
    "get_appeals",
];
/// Called once an answer, after its last token.
const ONCE_AN_ANSWER: &str = "sign_receipt";

/// Measures all of it.
pub(crate) fn measure(report: &mut Report, options: &Options, lab: &Runtime) -> Result<(), String> {
    let path = options.model();
    let context = peer::context_trained(&path).min(CONTEXT);
    let settings = Settings { threads: options.threads, slots: options.slots, context, gpu: false };
    let mut two = Two::start(lab, &path, settings, &[]);
    let peer = if options.peer { Peer::start(&path, settings) } else { Err("not wanted".into()) };
    let no_peer = peer.as_ref().err().cloned().unwrap_or_default();
    let peer = peer.ok();
    report.note("model", path.file_name().map(|n| n.to_string_lossy().into_owned()));
    report.note("threads", settings.threads);
    report.note("slots", settings.slots);
    report.note("context", settings.context);
    report.note("peer_version", peer.as_ref().map(|p| p.version.clone()));
    report.note("peer_arguments", peer.as_ref().map(|p| p.arguments.clone()));
    let prompts = Prompts::new(&two.own)?;
    // Whatever makes answers end makes them end at all of them.
    two.remote.ignores_end = two.remote.honours_ignore_eos();
    two.own.ignores_end = two.remote.ignores_end;
    report.note("ignore_eos", two.remote.ignores_end);
    let theirs = peer.as_ref().map(|p| Server { ignores_end: two.remote.ignores_end, ..p.server.clone() });
    let (rounds, question) = (options.rounds, STORY.to_string());
    let mut bench = Bench { ours: two.remote.clone(), theirs, prompts, rounds, question };
    for (clients, tokens) in STREAMS.into_iter().filter(|(clients, _)| *clients <= options.slots as usize) {
        streams(report, &mut bench, &two, (clients, tokens), &no_peer)?;
    }
    let (times, _, _) = bench.first_token(FIRST_TOKEN_PROMPT)?;
    report.figure("ttft_delta_ms", times.difference(), &no_peer);
    report.samples("ttft_512_ms", &times);
    let mut pair = Pair::default();
    in_turns(options.rounds, &two.remote, Some(&two.own), |server, remote| {
        let user = bench.prompts.text(FIRST_TOKEN_PROMPT);
        let seen = server.ask(&Question { system: None, user, max_tokens: 2 })?;
        pair.of(remote).push(seen.first().as_secs_f64() * 1e3);
        Ok(())
    })?;
    report.figure("ttft_over_own_engine_ms", pair.difference(), "");
    report.samples("ttft_512_own_engine_ms", &pair);
    eprintln!("first token: {:?} ms to llama-server, {:?} ms to our engine", times.difference(), pair.difference());
    zome_calls(report, &mut two, &mut bench.prompts, lab)
}

/// Speed beside llama-server, then beside the same engine asked directly: what the way between the nodes takes.
fn streams(
    report: &mut Report,
    bench: &mut Bench,
    two: &Two,
    (clients, tokens): (usize, u32),
    no_peer: &str,
) -> Result<(), String> {
    let name = format!("decode_ratio_{clients}");
    let theirs = bench.theirs.clone();
    let beside = speeds(bench, two, theirs.as_ref(), (clients, tokens))?;
    report.figure(&name, beside.later.ratio(), no_peer);
    report.samples(&format!("decode_{clients}_tokens_per_s"), &beside.later);
    let own = speeds(bench, two, Some(&two.own), (clients, tokens))?;
    report.figure(&format!("{name}_own_engine"), own.later.ratio(), "");
    report.samples(&format!("decode_{clients}_own_engine_tokens_per_s"), &own.later);
    if clients == 1 {
        report.figure("whole_ratio_1", beside.whole.ratio(), no_peer);
        report.figure("whole_ratio_1_own_engine", own.whole.ratio(), "");
        report.samples("whole_1_tokens_per_s", &beside.whole);
        report.samples("whole_1_own_engine_tokens_per_s", &own.whole);
    }
    let all = own.cpu.iter().sum::<f64>().max(1e-9);
    let named =
        two.processes().into_iter().zip(own.cpu).map(|((name, _), s)| (name.to_string(), json!(share(s / all))));
    report.note(&format!("decode_{clients}_cpu_shares"), Value::Object(named.collect::<Map<_, _>>()));
    eprintln!("{name}: {:?}, to our own engine {:?}", beside.later.ratio(), own.later.ratio());
    Ok(())
}

/// Tokens a second of answers over the link and of another server, in turn.
#[derive(Default)]
struct Speeds {
    /// After the first text of one stream; of several together, from the first question to the last answer. A client
    /// that gets a late first text, and the rest in one go, sees a speed that nobody computes with.
    later: Pair,
    /// From asking to the end of all answers.
    whole: Pair,
    /// Processor time that each of our processes took for answers over the link, in seconds.
    cpu: [f64; 3],
}

fn speeds(
    bench: &mut Bench,
    two: &Two,
    other: Option<&Server>,
    (clients, tokens): (usize, u32),
) -> Result<Speeds, String> {
    let mut speeds = Speeds::default();
    in_turns(bench.rounds, &two.remote, other, |server, remote| {
        let mut question = || Question {
            system: None,
            user: format!("{} {}", bench.prompts.words(4), bench.question),
            max_tokens: tokens,
        };
        let questions: Vec<Question> = (0..clients).map(|_| question()).collect();
        let cpu = || two.processes().map(|(_, pid)| machine::cpu_s(pid).unwrap_or_default());
        let before = cpu();
        let (took, seen) = server.ask_all(&questions)?;
        if remote {
            let used = cpu().into_iter().zip(before).map(|(now, before)| now - before);
            speeds.cpu.iter_mut().zip(used).for_each(|(sum, used)| *sum += used);
        }
        let whole = f64::from(seen.iter().map(|s| s.tokens).sum::<u32>()) / took.as_secs_f64();
        speeds.whole.of(remote).push(whole);
        speeds.later.of(remote).push(match seen.as_slice() {
            [one] => one.tokens_per_s(),
            _ => whole,
        });
        Ok(())
    })?;
    Ok(speeds)
}

/// Both servers in turn; every round begins with the other.
pub(crate) fn in_turns(
    rounds: usize,
    remote: &Server,
    other: Option<&Server>,
    mut sample: impl FnMut(&Server, bool) -> Result<(), String>,
) -> Result<(), String> {
    for round in 0..rounds {
        for is_remote in [round % 2 == 0, round % 2 == 1] {
            if let Some(server) = if is_remote { Some(remote) } else { other } {
                sample(server, is_remote)?;
            }
        }
    }
    Ok(())
}

fn zome_calls(report: &mut Report, two: &mut Two, prompts: &mut Prompts, lab: &Runtime) -> Result<(), String> {
    let before = two.zome_calls(lab);
    for _ in 0..COUNTED {
        two.remote.ask(&Question { system: None, user: prompts.words(8), max_tokens: 32 })?;
    }
    let after = two.zome_calls(lab);
    let grown = [0, 1].map(|node: usize| -> BTreeMap<&String, u64> {
        let grown = |(name, now): (_, &u64)| (name, now - before[node].get(name).unwrap_or(&0));
        after[node].iter().map(grown).filter(|(_, calls)| *calls > 0).collect()
    });
    let on_path: u64 = grown
        .iter()
        .flatten()
        .filter(|(name, _)| !BACKGROUND.contains(&name.as_str()))
        .map(|(name, calls)| if *name == ONCE_AN_ANSWER { calls.saturating_sub(COUNTED) } else { *calls })
        .sum();
    report.figure("zome_calls_on_token_path", Some(on_path as f64), "");
    report.note("zome_calls_counted_answers", COUNTED);
    report.note("zome_calls_asker", json!(grown[0]));
    report.note("zome_calls_provider", json!(grown[1]));
    eprintln!("zome calls during {COUNTED} answers: asker {:?}, provider {:?}", grown[0], grown[1]);
    Ok(())
}

fn share(part: f64) -> f64 {
    (part * 1e3).round() / 1e3
}
