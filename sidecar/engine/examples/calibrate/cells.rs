//! What is measured: answers, and what others find in them.

use crate::give::{give, load, Given};
use crate::variants;
use ainonymous_engine::request::{Chat, Message, Role};
use ainonymous_engine::{Engine, EngineOptions, Fingerprint, GpuLayers, LlamaEngine, Prompt, Question, ReplayQuestion};
use ainonymous_types::{Backend, KvType, Sampling};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PROMPTS: [&str; 8] = [
    "Tell me a story.",
    "What is the capital of France?",
    "Who are you?",
    "Tell me about a dog.",
    "What does a cow say?",
    "Write about the sea.",
    "What comes after Friday?",
    "Tell me a story about a king.",
];
/// Answers to each of them.
const SEEDS: u64 = 8;
/// The same with a file of so many bytes or more: all are computed again by every instruction set.
const SEEDS_LARGE: (u64, u64) = (2, 4 << 20);
/// The same with a card: one made of software is slow.
const SEEDS_GPU: u64 = 2;
const ANSWER_TOKENS: u32 = 96;
/// Tokens whose means are plotted: the leaves of a fingerprint's tree.
pub(crate) const WINDOW_TOKENS: usize = 32;
/// Where the difference of one log-probability is cut, in sixteenths of a nat.
const CLIP_16: i16 = 32;
/// Most variants of the processor's code that are compared: all pairs of them are.
const VARIANTS_MAX: usize = 5;
/// Where a margin is cut, in thousandths of a nat.
const CLIP_MILLI: u32 = 2_000;

/// Everything that was measured.
pub(crate) struct Measured {
    model: String,
    answers: u64,
    cells: Vec<Cell>,
}

/// Answers of one kind, replayed by one engine.
pub(crate) struct Cell {
    /// How they were given.
    pub(crate) given: String,
    pub(crate) honest: bool,
    given_class: String,
    pub(crate) checked_class: String,
    /// For each answer, for each of its tokens: sum over the eight likeliest of the clipped differences of log-probabilities in
    /// sixteenths of a nat, and the margin in thousandths.
    pub(crate) answers: Vec<Vec<(u32, u32)>>,
    matched: u32,
}

impl Measured {
    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "model": self.model,
            "answers": self.answers,
            "distance": "sum over 8 tokens of min(|difference of log-probabilities|, 2 nats), in sixteenths of a nat",
            "margin": "in thousandths of a nat, at most 2000",
            "cells": self.cells.iter().map(Cell::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Cell {
    fn to_json(&self) -> Value {
        let tokens: usize = self.answers.iter().map(Vec::len).sum();
        let counts = |of: fn(&(u32, u32)) -> u32| {
            let mut counts = BTreeMap::<u32, u32>::new();
            self.answers.iter().flatten().for_each(|token| *counts.entry(of(token)).or_default() += 1);
            counts.into_iter().collect::<Vec<_>>()
        };
        json!({
            "given": self.given,
            "honest": self.honest,
            "given_class": self.given_class,
            "checked_class": self.checked_class,
            "tokens": tokens,
            "matched": self.matched,
            "distances": counts(|token| token.0),
            "margins": counts(|token| token.1),
        })
    }
}

/// A way to give answers.
struct Way {
    name: String,
    honest: bool,
    /// A folder with one variant of the processor's code; none takes the best.
    variant: Option<PathBuf>,
    options: EngineOptions,
    temperature_milli: u32,
    other_seed: bool,
    /// The fingerprint is another's: the checker's own, by a replay.
    laundered: bool,
}

/// Instruction sets, threads, batches, caches and cheats, on the processor.
pub(crate) async fn measure(model: &Path, cheaper: &Path) -> Measured {
    // Spread over all of them, from the plainest names to the newest.
    let variants = variants::all(model).await;
    let step = variants.len().div_ceil(VARIANTS_MAX).max(1);
    let variants: Vec<PathBuf> = variants.into_iter().step_by(step).collect();
    let mut checkers = vec![];
    for variant in std::iter::once(None).chain(variants.iter().cloned().map(Some)) {
        checkers.push(load(variant.as_deref(), options(model, 1)).await.unwrap());
    }
    let (few, large) = SEEDS_LARGE;
    let seeds = if std::fs::metadata(model).unwrap().len() < large { SEEDS } else { few };
    compared(model, ways(model, cheaper, &variants), checkers, seeds).await
}

/// The processor and a graphics card, each checking the other and itself. None if this build finds no card.
pub(crate) async fn measure_gpu(model: &Path, cheaper: &Path) -> Option<Measured> {
    let card = load(None, on_card(options(model, 1))).await.unwrap();
    if card.info().backend == Backend::Cpu {
        card.shutdown().await;
        return None;
    }
    let checkers = vec![load(None, options(model, 1)).await.unwrap(), card];
    Some(compared(model, ways_gpu(model, cheaper), checkers, SEEDS_GPU).await)
}

/// Gives answers in all ways, and has each checker compute them again.
async fn compared(model: &Path, ways: Vec<Way>, checkers: Vec<LlamaEngine>, seeds: u64) -> Measured {
    let mut cells = vec![];
    for way in ways {
        let giver = load(way.variant.as_deref(), way.options.clone()).await.unwrap();
        let questions = questions(way.temperature_milli, way.other_seed, seeds);
        // As many at a time as there are places.
        let given = questions.iter().map(|question| give(&giver, question.clone()));
        let given: Vec<Given> = futures::future::join_all(given).await;
        let asked = self::questions(1_000, false, seeds);
        for checker in &checkers {
            let mut cell = Cell {
                given: way.name.clone(),
                honest: way.honest,
                given_class: giver.info().class.to_string(),
                checked_class: checker.info().class.to_string(),
                answers: vec![],
                matched: 0,
            };
            for (question, Given { tokens, recorded: own, .. }) in asked.iter().zip(&given) {
                let replay = || {
                    let kv_type = Some(way.options.kv_type);
                    checker.replay(ReplayQuestion::beginning(question.clone(), tokens.clone(), kv_type))
                };
                let found = replay().await.unwrap();
                let forged: Option<Vec<Fingerprint>> = match way.laundered {
                    true => Some(
                        checkers[0]
                            .replay(ReplayQuestion::beginning(question.clone(), tokens.clone(), None))
                            .await
                            .unwrap()
                            .positions
                            .iter()
                            .map(|p| p.fingerprint)
                            .collect(),
                    ),
                    false => None,
                };
                let shown = forged.as_ref().unwrap_or(own);
                let mut answer = vec![];
                for ((position, fingerprint), token) in found.positions.iter().zip(shown).zip(tokens) {
                    answer.push((distance(fingerprint, &position.fingerprint), position.margin_milli.min(CLIP_MILLI)));
                    cell.matched += u32::from(position.expected == *token);
                }
                cell.answers.push(answer);
            }
            eprintln!("{:28} checked by {}", cell.given, cell.checked_class);
            cells.push(cell);
        }
        giver.shutdown().await;
    }
    let model = model.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Measured { model, answers: PROMPTS.len() as u64 * seeds, cells }
}

fn honest(name: &str, options: EngineOptions) -> Way {
    Way {
        name: name.into(),
        honest: true,
        variant: None,
        options,
        temperature_milli: 1_000,
        other_seed: false,
        laundered: false,
    }
}

/// What a card changes, the honest first.
fn ways_gpu(model: &Path, cheaper: &Path) -> Vec<Way> {
    let cheat = |name: &str, options: EngineOptions| Way { honest: false, ..honest(name, options) };
    vec![
        honest("processor", options(model, 1)),
        honest("card", on_card(options(model, 1))),
        honest("card, four at a time", on_card(options(model, 4))),
        cheat("processor, cheaper model", options(cheaper, 4)),
        cheat("card, cheaper model", on_card(options(cheaper, 4))),
        Way { other_seed: true, ..cheat("card, other seed", on_card(options(model, 4))) },
    ]
}

fn on_card(options: EngineOptions) -> EngineOptions {
    EngineOptions { gpu_layers: GpuLayers::Auto, ..options }
}

/// All ways on the processor, the honest first.
fn ways(model: &Path, cheaper: &Path, variants: &[PathBuf]) -> Vec<Way> {
    let mut all = vec![
        honest("one at a time", options(model, 1)),
        honest("two threads", EngineOptions { threads: Some(2), ..options(model, 1) }),
        honest("four at a time", options(model, 4)),
        honest("sixteen at a time", options(model, 16)),
        honest("cache bf16", EngineOptions { kv_type: KvType::Bf16, ..options(model, 1) }),
        honest("cache q8_0", EngineOptions { kv_type: KvType::Q8_0, ..options(model, 1) }),
    ];
    for folder in variants {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        all.push(Way { variant: Some(folder.clone()), ..honest(&name, options(model, 1)) });
    }
    let cheat = |name: &str, model: &Path| Way { honest: false, ..honest(name, options(model, 4)) };
    all.extend([
        cheat("cheaper model", cheaper),
        Way { laundered: true, ..cheat("cheaper model, laundered", cheaper) },
        Way { temperature_milli: 1_200, ..cheat("temperature 1.2 for 1", model) },
        Way { other_seed: true, ..cheat("other seed", model) },
    ]);
    all
}

fn options(model: &Path, slots: u32) -> EngineOptions {
    let queue_max = PROMPTS.len() as u32 * SEEDS as u32;
    let gpu_layers = GpuLayers::Fixed(0);
    let context_tokens = Some(512);
    EngineOptions { threads: Some(1), slots, queue_max, context_tokens, gpu_layers, ..EngineOptions::new(model) }
}

fn questions(temperature_milli: u32, other_seed: bool, seeds: u64) -> Vec<Question> {
    let of = |prompt: &'static str| {
        (0..seeds).map(move |seed| {
            let seed = seed + if other_seed { 1_000 } else { 0 };
            let sampling = Sampling { temperature_milli, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed };
            let chat = Chat { messages: vec![Message::new(Role::User, prompt)], ..Chat::default() };
            let question = Question::new(Prompt::Chat(chat));
            Question { sampling, max_tokens: ANSWER_TOKENS, fingerprint: true, ..question }
        })
    };
    PROMPTS.into_iter().flat_map(of).collect()
}

/// Sum over the tokens that the giver found likely. Of one that the checker does not name it is only known that it is no
/// likelier than the last that it names.
fn distance(given: &Fingerprint, found: &Fingerprint) -> u32 {
    let last = found.top.iter().map(|likely| likely.logprob_16).min().unwrap_or(0);
    let of = |likely: &ainonymous_engine::Likely| {
        let own = found.top.iter().find(|own| own.id == likely.id).map(|own| own.logprob_16);
        let difference = (likely.logprob_16 - own.unwrap_or(last.min(likely.logprob_16))).abs();
        u32::from(difference.min(CLIP_16).unsigned_abs())
    };
    given.top.iter().map(of).sum()
}
