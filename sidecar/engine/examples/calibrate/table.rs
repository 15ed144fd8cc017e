//! A table for audits, out of thousands of honest answers and some of cheats: one machine that checks its like.
//!
//! It is judged by the rules that everybody's tables are judged by, and tried on answers that it was not made from.

use crate::give::{
    biases, compute_again, form, give, hash_of, hex, load, nonsense, options, penalties, plain, question, raw,
    repetition, replayed, Given, REPETITION_MILLI_TO, TEMPERATURES_MILLI_TO,
};
use crate::variants;
use ainonymous_engine::request::Constraint;
use ainonymous_engine::{Engine, LlamaEngine, Question, LLAMA_BUILD, SAMPLER_VERSION};
use ainonymous_types::limits::TEMPERATURE_MILLI_MAX;
use ainonymous_types::{
    ActionHash, Bytes32, Calibration, CalibrationRow, EntryHash, KvType, Outcome, Sampling, SpecRef, Statistics,
    Verdict,
};
use ainonymous_verify::audit::{calibration, measure, scope, statistics};
use futures::stream::{self, StreamExt};
use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Version of the file.
const VERSION: u32 = 4;
/// Lengths that are told apart: from, up to.
const LENGTHS: [(u32, u32); 3] = [(4, 31), (32, 96), (97, 256)];
/// Honest answers behind a row, a few more than the rules demand: some end too early to count.
const HONEST: u64 = 3_100;
/// Answers of each cheat behind each row.
const CHEATING: u64 = 64;
/// Honest answers that a row is tried on.
const HELD_OUT: u64 = 256;
/// Answers of each cheat that it is tried on.
const HELD_OUT_CHEATING: u64 = 128;
/// Answers that are under way at a time.
const AT_ONCE: usize = 32;

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cheat {
    Cheaper,
    Laundered,
    Hotter,
    OtherSeed,
}

const CHEATS: [(&str, Cheat); 4] = [
    ("cheaper model", Cheat::Cheaper),
    ("cheaper model, laundered", Cheat::Laundered),
    ("temperature 1.2 for 1", Cheat::Hotter),
    ("other seed", Cheat::OtherSeed),
];

/// What the answers are answers to.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Ordinary,
    /// Half of it what nobody asks.
    Anything,
}

/// Answers that are measured together.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Tokens of each: from, up to.
    lengths: (u32, u32),
    /// The highest temperature at which they are drawn, in thousandths.
    temperature_milli_to: u32,
}

struct Machines {
    honest: LlamaEngine,
    cheaper: LlamaEngine,
    checker: LlamaEngine,
}

/// By which of the processor's code is answered and checked: folders of it (`variants::all`); none takes the best.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    prover: Option<PathBuf>,
    verifier: Option<PathBuf>,
}

/// The code of most x86 machines of the last ten years: AVX2.
const MOST_COMMON: &str = "haswell";

/// This machine's instruction set and the most common one, either way round. None if it is that one, or cannot run it.
pub(crate) async fn unlike(model: &Path) -> Vec<Sides> {
    let variants = variants::all(model).await;
    let Some(common) = variants.into_iter().find(|folder| folder.ends_with(MOST_COMMON)) else { return vec![] };
    let best = load(None, options(model, 1)).await.unwrap();
    let is_best = best.info().backend_detail.starts_with(MOST_COMMON);
    best.shutdown().await;
    if is_best {
        return vec![];
    }
    vec![Sides { prover: Some(common.clone()), verifier: None }, Sides { prover: None, verifier: Some(common) }]
}

/// Measures the rows that are missing from the table in this folder, and writes it after each of them: thousands of answers take
/// minutes. A file of another model, build or machine is replaced. Tables between unlike machines stand in a folder of their own. Returns the
/// file's path.
pub(crate) async fn measure(model: &Path, cheaper: &Path, folder: &Path, sides: Sides) -> PathBuf {
    let (prover, verifier) = (sides.prover.as_deref(), sides.verifier.as_deref());
    let machines = Machines {
        honest: load(prover, options(model, 16)).await.unwrap(),
        cheaper: load(prover, options(cheaper, 16)).await.unwrap(),
        checker: load(verifier, options(model, 1)).await.unwrap(),
    };
    let class = |engine: &LlamaEngine| calibration::class_of(engine.info().backend, &engine.info().backend_detail);
    let (prover, verifier) = (class(&machines.honest), class(&machines.checker));
    let stem = model.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let path = if prover == verifier {
        folder.join(format!("{stem}.{verifier}.table.json"))
    } else {
        let unlike = folder.join("unlike");
        std::fs::create_dir_all(&unlike).unwrap();
        unlike.join(format!("{stem}.{prover}-by-{verifier}.table.json"))
    };
    let about = json!({
        "version": VERSION,
        "model": model.file_name().map(|name| name.to_string_lossy().into_owned()),
        "gguf_hash": hash_of(model),
        "kv_type": KvType::F16,
        "sampler_version": SAMPLER_VERSION,
        "build": LLAMA_BUILD,
        "prover": prover,
        "verifier": verifier,
    });
    let mut file = begun(&path, about);
    for temperature_milli_to in TEMPERATURES_MILLI_TO {
        let mut table = table_to(&file, temperature_milli_to);
        for lengths in LENGTHS {
            if table["rows"].as_array().into_iter().flatten().any(|row| row["tokens_from"] == lengths.0) {
                continue;
            }
            measure_row(&machines, Part { lengths, temperature_milli_to }, &mut table).await;
            add(&mut file, "by_temperature", table.clone(), "temperature_milli_to");
            std::fs::write(&path, serde_json::to_string_pretty(&file).unwrap() + "\n").unwrap();
        }
    }
    for engine in [machines.honest, machines.cheaper, machines.checker] {
        engine.shutdown().await;
    }
    path
}

/// Adds a row to a table.
async fn measure_row(machines: &Machines, part: Part, table: &mut Value) {
    let began = Instant::now();
    let (from, to) = part.lengths;
    let honest = honest(machines, 0, HONEST, part, Asked::Anything).await;
    let mut cheats = Vec::new();
    for (_, cheat) in CHEATS {
        cheats.extend(cheating(machines, cheat, 0, CHEATING, part).await);
    }
    let mut data = Sha256::new_with_prefix(table["data"].as_str().unwrap_or_default());
    data.update(serde_json::to_vec(&(from, &honest, &cheats)).unwrap());
    let row = measure::row(from, &honest, &cheats).expect("enough answers, and weights within the budget");
    eprintln!("answers from {from} tokens on: {} honest ones in {} s", honest.len(), began.elapsed().as_secs());
    let tried = try_out(machines, &row, part).await;
    table["data"] = hex(&data.finalize()).into();
    let measured_to = table["tokens_to"].as_u64().unwrap_or_default().max(to.into());
    table["tokens_to"] = measured_to.into();
    add(table, "rows", json!(row), "tokens_from");
    add(table, "tried", tried, "tokens_from");
}

/// What was measured already, if it is about the same.
fn begun(path: &Path, about: Value) -> Value {
    let found = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let same = |found: &Value| about.as_object().unwrap().iter().all(|(key, value)| found.get(key) == Some(value));
    found.filter(same).unwrap_or(about)
}

/// The table of a file for this highest temperature, as far as it was measured.
fn table_to(file: &Value, temperature_milli_to: u32) -> Value {
    let empty = json!({ "temperature_milli_to": temperature_milli_to, "repetition_milli_to": REPETITION_MILLI_TO });
    let same = |table: &&Value| empty.as_object().unwrap().iter().all(|(key, value)| table.get(key) == Some(value));
    let found = file["by_temperature"].as_array().into_iter().flatten().find(same).cloned();
    found.unwrap_or(empty)
}

/// Adds to a list in place of what has the same key, in the order of keys.
fn add(of: &mut Value, list: &str, item: Value, key: &str) {
    let mut items = of[list].as_array().cloned().unwrap_or_default();
    items.retain(|other| other[key] != item[key]);
    items.push(item);
    items.sort_by_key(|item| item[key].as_u64());
    of[list] = items.into();
}

/// How a row judges answers that it was not made from.
async fn try_out(machines: &Machines, row: &CalibrationRow, part: Part) -> Value {
    let nothing = || (EntryHash::from_raw_36(vec![0; 36]), ActionHash::from_raw_36(vec![0; 36]));
    let (entry, action) = nothing();
    let table = Calibration {
        spec: SpecRef { entry, action },
        prover: "here".into(),
        verifier: "here".into(),
        scope: scope::ALL,
        data: Bytes32([1; 32]),
        rows: vec![row.clone()],
    };
    calibration::rules(&table).expect("a table within the rules");
    let share = |found: &[Statistics]| {
        let judged = found.iter().map(|found| calibration::judge(Some(&table), &Outcome::Measured(*found)));
        let (mut failed, mut weight) = (0, 0i64);
        for (verdict, llr) in judged {
            failed += u64::from(verdict == Verdict::Fail);
            weight += i64::from(llr);
        }
        json!({
            "answers": found.len(),
            "failed": failed,
            "mean_weight_nats": weight as f64 / f64::from(calibration::NAT) / found.len().max(1) as f64,
        })
    };
    let mut tried = serde_json::Map::new();
    tried.insert("tokens_from".into(), row.tokens_from.into());
    for (name, asked) in [("honest", Asked::Ordinary), ("honest, odd questions among them", Asked::Anything)] {
        tried.insert(name.into(), share(&honest(machines, HONEST, HELD_OUT, part, asked).await));
    }
    for (name, cheat) in CHEATS {
        tried.insert(name.into(), share(&cheating(machines, cheat, CHEATING, HELD_OUT_CHEATING, part).await));
    }
    tried.into()
}

async fn honest(machines: &Machines, first: u64, count: u64, part: Part, what: Asked) -> Vec<Statistics> {
    let audited = (first..first + count).map(|n| async move {
        let given = give(&machines.honest, asked(n, part, what)).await;
        audited(&machines.checker, &given, part.lengths.0).await
    });
    stream::iter(audited).buffered(AT_ONCE).filter_map(|found| async move { found }).collect().await
}

async fn cheating(machines: &Machines, cheat: Cheat, first: u64, count: u64, part: Part) -> Vec<Statistics> {
    let audited = (first..first + count).map(|n| async move {
        let question = asked(n, part, Asked::Ordinary);
        let mut given = match cheat {
            Cheat::Cheaper | Cheat::Laundered => give(&machines.cheaper, question.clone()).await,
            Cheat::Hotter => {
                let mut other = question.clone();
                let asked = other.sampling.temperature_milli;
                // What may not be asked hotter is drawn as much cooler.
                let hotter = asked * 12 / 10;
                other.sampling.temperature_milli =
                    if hotter <= TEMPERATURE_MILLI_MAX { hotter } else { asked * 10 / 12 };
                give(&machines.honest, other).await
            }
            Cheat::OtherSeed => {
                let mut other = question.clone();
                other.sampling.seed += 1_000_000;
                give(&machines.honest, other).await
            }
        };
        given.question = question;
        if cheat == Cheat::Laundered {
            let forged = compute_again(&machines.honest, &given.question, &given.tokens, None).await;
            given.recorded = forged.positions.iter().map(|position| position.fingerprint).collect();
        }
        audited(&machines.checker, &given, part.lengths.0).await
    });
    stream::iter(audited).buffered(AT_ONCE).filter_map(|found| async move { found }).collect().await
}

/// Half of the short answers end by themselves; all others are exactly as long as is asked for.
fn asked(n: u64, part: Part, what: Asked) -> Question {
    let Part { lengths: (from, to), temperature_milli_to } = part;
    let length = from + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u32 % (to - from + 1);
    let ignore_end = from >= 32 || n.is_multiple_of(2);
    let ordinary = ordinary(n, length, ignore_end, temperature_milli_to);
    match what {
        Asked::Ordinary => ordinary,
        Asked::Anything => anything(n, ordinary, temperature_milli_to),
    }
}

/// As hot as people ask, or where that is measured elsewhere, at the temperature or halfway to it.
fn ordinary(n: u64, length: u32, ignore_end: bool, temperature_milli_to: u32) -> Question {
    let mut question = question(n, length, ignore_end);
    if let Some(cooler) = TEMPERATURES_MILLI_TO.into_iter().rfind(|cooler| *cooler < temperature_milli_to) {
        let halfway = u32::midpoint(cooler, temperature_milli_to);
        question.sampling.temperature_milli = if thrown(n, 2) == 0 { temperature_milli_to } else { halfway };
    }
    question
}

/// The n-th of questions of which half are ordinary ones and half are such as nobody asks, as hot as can be, greedy, or without any sense: whoever
/// audits for everybody chooses what is asked, and honest machines differ more where a model is at a loss.
fn anything(n: u64, ordinary: Question, temperature_milli_to: u32) -> Question {
    let hot = plain(n, ordinary.max_tokens, ordinary.ignore_end, temperature_milli_to).sampling;
    let sampling = match thrown(n, 4) {
        0 => hot,
        1 => Sampling { top_p_milli: 950, top_k: 64, ..hot },
        2 => ordinary.sampling,
        // The likeliest alone, where the coolest table judges it and where another does.
        _ if temperature_milli_to == TEMPERATURES_MILLI_TO[0] => Sampling { temperature_milli: 0, ..hot },
        _ => Sampling { top_k: 1, ..hot },
    };
    let odd = Question { sampling, ..ordinary.clone() };
    match thrown(n, 16) {
        0..=7 => ordinary,
        8 | 9 => odd,
        10 | 11 => Question { prompt: nonsense(n), ..odd },
        12 => Question { constraint: Some(form()), ..odd },
        13 => Question { constraint: Some(json_lines()), ..odd },
        14 => Question { prompt: raw(n), ..odd },
        _ => {
            let adjust = match thrown(n, 3) {
                0 => biases(n),
                1 => penalties(),
                _ => repetition(),
            };
            Question { adjust, ..odd }
        }
    }
}

/// A form that looks like what programs ask for, and as long as is wanted: objects of JSON, one a line.
fn json_lines() -> Constraint {
    let object = r#"\{"name": "[a-z]{1,9}", "age": [0-9]{1,3}, "likes": \["[a-z ]{1,12}"(, "[a-z ]{1,12}"){0,2}\]\}"#;
    Constraint::Regex(format!("({object}\n){{9,200}}"))
}

/// A number below `sides`, as if thrown: none says anything of those thrown with others, or of the n-th question's text.
fn thrown(n: u64, sides: u8) -> u8 {
    let mut hash = Sha256::new_with_prefix([sides]);
    hash.update(n.to_le_bytes());
    hash.finalize()[0] % sides
}

/// What an auditor measures; none if the answer is too short to count.
async fn audited(checker: &LlamaEngine, given: &Given, from: u32) -> Option<Statistics> {
    if given.tokens.len() < from as usize {
        return None;
    }
    let replay = compute_again(checker, &given.question, &given.tokens, None).await;
    match statistics::outcome(&given.opened(), &replayed(&given.tokens, &replay)) {
        Ok(Outcome::Measured(found)) => Some(found),
        _ => None,
    }
}
