//! Answers are computed again, in a real worker: honest ones are found as they were given, whoever else was answered beside
//! them, and others show in the numbers. The distances are printed: `cargo nextest run --no-capture -E 'binary(replay)'`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)]

use ainonymous_engine::request::{Adjust, Chat, Constraint, Image, Message, Role};
use ainonymous_engine::{
    DraftOptions, Engine, EngineError, EngineOptions, Event, Fingerprint, FlashAttention, LlamaEngine, Prompt,
    Question, Replay, ReplayQuestion, WorkerCommand, MARGIN_MILLI_MAX,
};
use ainonymous_types::{FinishReason, KvType, Sampling};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

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
const SEEDS: u64 = 8;
const TOKENS: u32 = 64;
/// Where distances are cut, in nats.
const CLIP: f64 = 2.0;

fn options(model: &str, slots: u32) -> EngineOptions {
    let path = Path::new("../../tests/models").join(model);
    EngineOptions { threads: Some(1), slots, context_tokens: Some(512), ..EngineOptions::new(path) }
}

async fn load(options: EngineOptions) -> LlamaEngine {
    let worker = WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] };
    LlamaEngine::load(worker, options, CancellationToken::new()).await.unwrap()
}

fn question(prompt: &str, sampling: Sampling) -> Question {
    let chat = Chat { messages: vec![Message::new(Role::User, prompt)], ..Chat::default() };
    Question { sampling, max_tokens: TOKENS, fingerprint: true, ..Question::new(Prompt::Chat(chat)) }
}

/// Sixty-four questions.
fn questions(temperature_milli: u32) -> Vec<Question> {
    let sampling = |seed| Sampling { temperature_milli, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed };
    let of = |prompt| (0..SEEDS).map(move |seed| question(prompt, sampling(seed + 100)));
    PROMPTS.into_iter().flat_map(of).collect()
}

struct Given {
    tokens: Vec<u32>,
    fingerprints: Vec<Fingerprint>,
}

async fn give(engine: &LlamaEngine, question: Question) -> Given {
    let mut events = engine.generate(question).unwrap().events;
    let mut given = Given { tokens: vec![], fingerprints: vec![] };
    loop {
        match tokio::time::timeout(Duration::from_secs(60), events.recv()).await.expect("in time").expect("an end") {
            Event::Token { id, more, .. } => {
                given.tokens.push(id);
                given.fingerprints.extend(more.and_then(|more| more.fingerprint));
            }
            Event::Finished(_) => return given,
            Event::Failed(error) => panic!("{error}"),
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
}

async fn replay(engine: &LlamaEngine, question: &Question, answer: &[u32]) -> Result<Replay, EngineError> {
    let question = ReplayQuestion::beginning(question.clone(), answer.to_vec(), None);
    tokio::time::timeout(Duration::from_secs(60), engine.replay(question)).await.expect("in time")
}

/// Mean difference of log-probabilities over the tokens that the provider found likely, in nats. Of one that the verifier
/// does not name it is only known that it is no likelier than the last that it names.
fn distance(provider: &Fingerprint, verifier: &Fingerprint) -> f64 {
    let last = verifier.top.last().unwrap().logprob_16;
    let of = |likely: &ainonymous_engine::Likely| {
        let found = verifier.top.iter().find(|own| own.id == likely.id).map(|own| own.logprob_16);
        let difference = (likely.logprob_16 - found.unwrap_or(last.min(likely.logprob_16))).abs();
        (f64::from(difference) / 16.0).min(CLIP)
    };
    provider.top.iter().map(of).sum::<f64>() / provider.top.len() as f64
}

/// What an audit of several answers sees.
#[derive(Debug, Default)]
struct Numbers {
    tokens: u32,
    /// Tokens that the verifier would have chosen as well.
    matched: u32,
    margin_sum: f64,
    margin_max: f64,
    distance_sum: f64,
    distance_max: f64,
}

impl Numbers {
    fn add(&mut self, given: &Given, replay: &Replay) {
        assert_eq!(replay.positions.len(), given.tokens.len());
        assert_eq!(given.fingerprints.len(), given.tokens.len());
        for ((position, fingerprint), token) in replay.positions.iter().zip(&given.fingerprints).zip(&given.tokens) {
            let margin = f64::from(position.margin_milli) / 1_000.0;
            let distance = distance(fingerprint, &position.fingerprint);
            self.tokens += 1;
            self.matched += u32::from(position.expected == *token);
            self.margin_sum += margin.min(CLIP);
            self.margin_max = self.margin_max.max(margin);
            self.distance_sum += distance;
            self.distance_max = self.distance_max.max(distance);
        }
    }

    fn distance(&self) -> f64 {
        self.distance_sum / f64::from(self.tokens)
    }

    fn margin(&self) -> f64 {
        self.margin_sum / f64::from(self.tokens)
    }

    fn print(&self, what: &str) {
        eprintln!(
            "{what:32} {:5} tokens, matched {:6.2} %, margin mean {:.5} max {:7.3}, distance mean {:.4} max {:.3} nats",
            self.tokens,
            f64::from(self.matched) * 100.0 / f64::from(self.tokens),
            self.margin(),
            self.margin_max,
            self.distance(),
            self.distance_max,
        );
    }
}

/// Honest within what one machine differs from itself by, where prompts were cut otherwise or more was computed at a time:
/// now and then a number is rounded to the other side.
fn is_honest(numbers: &Numbers) -> bool {
    numbers.matched + numbers.tokens / 400 >= numbers.tokens && numbers.margin_max < 0.01 && numbers.distance() < 0.003
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_answers_are_found_again_alone_and_among_sixteen() {
    let (one, many) = (load(options("tiny-gemma-q8_0.gguf", 1)).await, load(options("tiny-gemma-q8_0.gguf", 16)).await);
    let questions = questions(1_000);
    let (mut alone, mut among) = (Numbers::default(), Numbers::default());
    for question in &questions {
        let given = give(&one, question.clone()).await;
        assert!(!given.tokens.is_empty());
        alone.add(&given, &replay(&one, question, &given.tokens).await.unwrap());
    }
    let given = futures::future::join_all(questions.iter().map(|question| give(&many, question.clone()))).await;
    for (question, given) in questions.iter().zip(&given) {
        among.add(given, &replay(&one, question, &given.tokens).await.unwrap());
    }
    alone.print("alone");
    among.print("among sixteen");
    assert!(is_honest(&alone), "{alone:?}");
    assert!(is_honest(&among), "{among:?}");
    assert!(alone.tokens > 1_000, "{alone:?}");
}

/// What else decides about a token is replayed with it: penalties, biases, a grammar, a draft model's guesses, other bounds.
#[tokio::test(flavor = "multi_thread")]
async fn everything_that_decides_is_replayed() {
    let drafted = EngineOptions {
        draft: Some(DraftOptions { model_path: "../../tests/models/draft-gemma-q8_0.gguf".into(), tokens_max: 3 }),
        ..options("tiny-gemma-q8_0.gguf", 2)
    };
    let engine = load(drafted).await;
    let hot = |seed| Sampling { seed, ..Sampling::default() };
    let mut numbers = Numbers::default();
    for seed in 0..6 {
        let plain = question("Tell me a story.", hot(seed));
        let adjust = Adjust { repetition: 1.3, frequency: 0.4, bias: vec![(300, 2.0)], ..Adjust::default() };
        let constraint = Some(Constraint::Regex("[a-z ]{1,40}\\.".into()));
        let cold = Sampling { temperature_milli: 0, ..hot(seed) };
        for question in [
            Question { adjust, ..plain.clone() },
            Question { constraint, ..plain.clone() },
            Question { ignore_end: true, ..plain.clone() },
            Question { sampling: Sampling { min_p_milli: 50, top_k: 10, ..hot(seed) }, ..plain.clone() },
            Question { sampling: cold, ..plain.clone() },
            Question { prompt: Prompt::Text("Once upon a time".into()), ..plain.clone() },
            Question { prompt: Prompt::Tokens(vec![2, 300, 301]), ..plain.clone() },
            plain,
        ] {
            let given = give(&engine, question.clone()).await;
            numbers.add(&given, &replay(&engine, &question, &given.tokens).await.unwrap());
            // What somebody else has begun is part of the question, also in the middle of a word of a form or of a penalty's memory.
            let begun = given.tokens[..given.tokens.len() / 2].to_vec();
            let taken_over = Question { begun, ..question.clone() };
            let rest = give(&engine, taken_over.clone()).await;
            numbers.add(&rest, &replay(&engine, &taken_over, &rest.tokens).await.unwrap());
            // Without what was asked for besides, the numbers say so: nothing of it is taken for granted.
            if question.constraint.is_some() && given.tokens.len() > 8 {
                let other = Question { constraint: Some(Constraint::Regex("[0-9]+".into())), ..question };
                let replay = replay(&engine, &other, &given.tokens).await.unwrap();
                assert!(replay.positions.iter().all(|position| position.margin_milli == MARGIN_MILLI_MAX));
            }
        }
    }
    numbers.print("whatever is asked for");
    assert!(is_honest(&numbers), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cheats_show_in_the_numbers() {
    let honest = load(options("tiny-gemma-q8_0.gguf", 16)).await;
    let cheap = load(options("tiny-gemma-q4_0.gguf", 16)).await;
    let questions = questions(1_000);
    let ask_all = |engine, questions: Vec<Question>| async move {
        let given = questions.into_iter().map(|question| give(engine, question));
        futures::future::join_all(given).await
    };
    let good = ask_all(&honest, questions.clone()).await;
    let mut reference = Numbers::default();
    for (question, given) in questions.iter().zip(&good) {
        reference.add(given, &replay(&honest, question, &given.tokens).await.unwrap());
    }
    reference.print("honest");
    assert!(is_honest(&reference), "{reference:?}");

    let mut cheaper = Numbers::default();
    let mut laundered = Numbers::default();
    for (question, given) in questions.iter().zip(&ask_all(&cheap, questions.clone()).await) {
        let found = replay(&honest, question, &given.tokens).await.unwrap();
        cheaper.add(given, &found);
        // The tokens of the cheap model, but the fingerprint that the right one has for them.
        let forged = replay(&honest, question, &given.tokens).await.unwrap();
        let fingerprints = forged.positions.iter().map(|position| position.fingerprint).collect();
        laundered.add(&Given { tokens: given.tokens.clone(), fingerprints }, &found);
    }
    cheaper.print("q4_0 for q8_0");
    laundered.print("q4_0, fingerprint of q8_0");
    assert!(cheaper.distance() > 0.05 && cheaper.distance() > 20.0 * reference.distance(), "{cheaper:?}");
    assert!(laundered.distance() == 0.0, "the fingerprint alone does not catch it: {laundered:?}");
    assert!(laundered.matched < laundered.tokens && laundered.margin_max > 0.02, "but the margin does: {laundered:?}");

    let mut other_seed = Numbers::default();
    let mut other_temperature = Numbers::default();
    let hotter = ask_all(&honest, self::questions(1_300)).await;
    for ((question, given), hot) in questions.iter().zip(&good).zip(&hotter) {
        let sampling = Sampling { seed: question.sampling.seed + 1, ..question.sampling };
        let asked = Question { sampling, ..question.clone() };
        other_seed.add(given, &replay(&honest, &asked, &given.tokens).await.unwrap());
        other_temperature.add(hot, &replay(&honest, question, &hot.tokens).await.unwrap());
    }
    other_seed.print("other seed");
    other_temperature.print("temperature 1.3 for 1");
    assert!(other_seed.matched < other_seed.tokens * 9 / 10 && other_seed.margin() > 0.1, "{other_seed:?}");
    assert!(other_temperature.matched < other_temperature.tokens && other_temperature.margin() > 0.003);
    assert!(other_temperature.distance() < 0.003, "the same model: {other_temperature:?}");

    let mut edited = Numbers::default();
    let mut caught = 0;
    for (question, given) in questions.iter().zip(&good) {
        let at = given.tokens.len() / 2;
        let mut tokens = given.tokens.clone();
        tokens[at] = 500 + at as u32;
        let found = replay(&honest, question, &tokens).await.unwrap();
        caught += usize::from(found.positions[at].margin_milli > 500 || given.tokens[at] == tokens[at]);
        let before = found.positions[..at].iter().map(|position| position.margin_milli).max();
        assert_eq!(before.unwrap_or(0), 0, "what stands before it is as it was");
        edited.add(&Given { tokens, fingerprints: given.fingerprints.clone() }, &found);
    }
    edited.print("one token edited");
    assert_eq!(caught, questions.len());
    assert!(edited.margin_max > 2.0, "{edited:?}");
}

/// A replay is a matter of prompt and answer: whatever else goes on, its numbers are the same, and answers beside it as well.
#[tokio::test(flavor = "multi_thread")]
async fn replays_and_answers_do_not_disturb_each_other() {
    let engine = load(options("tiny-gemma-q8_0.gguf", 2)).await;
    let long = Question { ignore_end: true, max_tokens: 400, ..question("Tell me a story.", Sampling::default()) };
    let quiet = give(&engine, long.clone()).await;
    let alone = replay(&engine, &long, &quiet.tokens).await.unwrap();
    let replays = futures::future::join_all((0..6).map(|_| replay(&engine, &long, &quiet.tokens)));
    let answers = futures::future::join_all((0..2).map(|_| give(&engine, long.clone())));
    let (replays, answers) = tokio::join!(replays, answers);
    assert!(replays.into_iter().all(|found| found.unwrap() == alone));
    assert!(answers.into_iter().all(|given| given.tokens == quiet.tokens));
    assert_eq!(alone.class, engine.info().class);
    assert_eq!(alone.positions.len(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cache_is_another_class() {
    let quantised = EngineOptions { kv_type: KvType::Q8_0, ..options("tiny-gemma-q8_0.gguf", 1) };
    let (plain, quantised) = (load(options("tiny-gemma-q8_0.gguf", 1)).await, load(quantised).await);
    let question = question("Tell me a story.", Sampling::default());
    let given = give(&quantised, question.clone()).await;
    let asked = |kv_type| ReplayQuestion::beginning(question.clone(), given.tokens.clone(), kv_type);
    let same = plain.replay(asked(Some(KvType::Q8_0))).await.unwrap();
    assert_eq!(same.class, quantised.info().class);
    assert_eq!(same.class.flash_attention(), FlashAttention::On);
    assert_eq!(plain.info().class.flash_attention(), FlashAttention::Off);
    let (mut with, mut without) = (Numbers::default(), Numbers::default());
    with.add(&given, &same);
    without.add(&given, &plain.replay(asked(None)).await.unwrap());
    with.print("cache q8_0, replayed with q8_0");
    without.print("cache q8_0, replayed with f16");
    assert!(with.distance() < 0.05, "{with:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_is_refused() {
    let engine = load(options("tiny-gemma-q8_0.gguf", 1)).await;
    let story = question("Tell me a story.", Sampling::default());
    let (asked, of) = (&story, &engine);
    let refused = |answer: Vec<u32>| async move { replay(of, asked, &answer).await.map(|_| ()).unwrap_err().code() };
    // What is no token of the model is no answer of it: found, so that nobody escapes by it.
    let far = replay(&engine, &story, &[300, 1_000_000, u32::MAX, 301]).await.unwrap();
    let margins: Vec<u32> = far.positions.iter().map(|position| position.margin_milli).collect();
    assert_eq!(margins[1..3], [MARGIN_MILLI_MAX; 2], "{margins:?}");
    let unknown = ReplayQuestion::whole(story.clone(), vec![300, u32::MAX], FinishReason::Stop, None);
    assert!(engine.replay(unknown).await.unwrap().cut);
    assert_eq!(refused(vec![300; 600]).await, "prompt_too_long");
    assert!(replay(&engine, &story, &[]).await.unwrap().positions.is_empty());
    let Prompt::Chat(mut chat) = story.prompt.clone() else { panic!("a chat") };
    chat.messages[0].images.push(Image { at: 0, bytes: vec![1].into() });
    let shown = Question { prompt: Prompt::Chat(chat), ..story.clone() };
    assert_eq!(replay(&engine, &shown, &[300]).await.map(|_| ()).unwrap_err().code(), "unsupported_by_model");
    // What stands behind the end of an answer was not said by the model.
    let greedy = question("What is the capital of France?", Sampling { temperature_milli: 0, ..Sampling::default() });
    let mut given = give(&engine, greedy.clone()).await.tokens;
    let end = given.len();
    // An answer that ended by itself has the token that ends it; one that lacks it was cut off.
    for (kept, cut) in [(end, false), (end - 1, true), (end / 2, true)] {
        let whole = ReplayQuestion::whole(greedy.clone(), given[..kept].to_vec(), FinishReason::Stop, None);
        let found = engine.replay(whole).await.unwrap();
        let last = found.positions.last().unwrap().margin_milli;
        assert_eq!((found.cut, last == MARGIN_MILLI_MAX), (cut, cut), "{kept} of {end}");
        // That is seen without computing so far, and none of what is computed suffers for it.
        let whole = ReplayQuestion::whole(greedy.clone(), given[..kept].to_vec(), FinishReason::Stop, None);
        let some = engine.replay(whole.only(2)).await.unwrap();
        let margins: Vec<u32> = some.positions.iter().map(|position| position.margin_milli).collect();
        assert_eq!((some.cut, margins), (cut, vec![0, 0]), "{kept} of {end}");
    }
    given.extend([300, 301]);
    let found = replay(&engine, &greedy, &given).await.unwrap();
    let far: Vec<bool> = found.positions.iter().map(|position| position.margin_milli == MARGIN_MILLI_MAX).collect();
    assert!(far[..end].iter().all(|far| !far) && far[end..].iter().all(|far| *far), "{far:?}");
}

/// Some templates state the date: an answer of yesterday was given to yesterday's prompt.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_on_another_day_is_computed_with_that_days_prompt() {
    let mut bytes = std::fs::read("../../tests/models/tiny-gemma-q8_0.gguf").unwrap();
    // In place of the comment with which the template begins, and as long.
    let start = bytes.windows(11).position(|window| window == b"{#- Turns a").unwrap();
    let length = bytes[start..].windows(3).position(|window| window == b"-#}").unwrap() + 3;
    let dated = "{%- if strftime_now('%Y') == '2001' -%}{{ 'It is 2001.' }}{%- endif -%}";
    bytes[start..start + length].copy_from_slice(format!("{dated:<length$}").as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dated.gguf");
    std::fs::write(&path, bytes).unwrap();
    let engine = load(EngineOptions { model_path: path, ..options("tiny-gemma-q8_0.gguf", 1) }).await;
    let asked = || ReplayQuestion::beginning(question("Who are you?", Sampling::default()), vec![300, 301], None);
    let now = engine.replay(asked()).await.unwrap().prompt_tokens;
    // The ninth of September 2001, in microseconds.
    let then = engine.replay(asked().at(1_000_000_000_000_000)).await.unwrap().prompt_tokens;
    assert!(then > now, "{then} and {now} tokens");
    assert_eq!(engine.replay(asked().at(0)).await.unwrap().prompt_tokens, now, "in 1970 nothing is said");
    engine.shutdown().await;
}

/// Nobody waits for it any more: the engine turns to the next at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_nobody_waits_for_ends() {
    let engine = load(options("tiny-gemma-q8_0.gguf", 1)).await;
    let story = question("Tell me a story.", Sampling::default());
    let asked = ReplayQuestion::beginning(story.clone(), vec![300; 450], None);
    for _ in 0..20 {
        let gone = tokio::time::timeout(Duration::from_millis(2), engine.replay(asked.clone())).await;
        drop(gone);
    }
    let began = Instant::now();
    while engine.status().queued + engine.status().running > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", engine.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let given = give(&engine, story.clone()).await;
    assert_eq!(replay(&engine, &story, &given.tokens).await.unwrap().positions.len(), given.tokens.len());
}
