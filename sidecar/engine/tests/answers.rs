//! What a question can ask for besides words, in a real worker: kept beginnings, guesses, penalties, probabilities.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use ainonymous_engine::request::{Chat, Constraint, Message, Role, Tool, ToolChoice};
use ainonymous_engine::{
    DraftOptions, Engine, EngineOptions, Event, Finished, Inspect, Inspected, LlamaEngine, More, Prompt, Question,
    WorkerCommand,
};
use ainonymous_types::{FinishReason, Sampling};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn model(name: &str) -> PathBuf {
    Path::new("../../tests/models").join(name)
}

fn options(slots: u32, context_tokens: u32) -> EngineOptions {
    let path = model("tiny-gemma-q8_0.gguf");
    EngineOptions { threads: Some(1), slots, context_tokens: Some(context_tokens), ..EngineOptions::new(path) }
}

async fn load(options: EngineOptions) -> LlamaEngine {
    let worker = WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] };
    LlamaEngine::load(worker, options, CancellationToken::new()).await.unwrap()
}

fn chat(messages: &[(Role, &str)]) -> Question {
    let messages = messages.iter().map(|(role, text)| Message::new(*role, *text)).collect();
    let greedy = Sampling { temperature_milli: 0, ..Sampling::default() };
    Question { sampling: greedy, ..Question::new(Prompt::Chat(Chat { messages, ..Chat::default() })) }
}

fn ask(text: &str) -> Question {
    chat(&[(Role::User, text)])
}

fn story(seed: u64) -> Question {
    let sampling = Sampling { temperature_milli: 1_000, seed, ..Sampling::default() };
    Question { sampling, max_tokens: 80, ..ask("Tell me a story.") }
}

struct Seen {
    ids: Vec<u32>,
    text: String,
    more: Vec<More>,
    end: Finished,
}

async fn answer(engine: &LlamaEngine, question: Question) -> Seen {
    let mut events = engine.generate(question).unwrap().events;
    let (mut ids, mut all, mut rest) = (vec![], String::new(), vec![]);
    loop {
        match tokio::time::timeout(Duration::from_secs(60), events.recv()).await.expect("in time").expect("an end") {
            Event::Token { id, text, more } => {
                ids.push(id);
                all.push_str(&text);
                rest.extend(more.map(|more| *more));
            }
            Event::Finished(end) => return Seen { ids, text: all, more: rest, end },
            Event::Failed(error) => panic!("{error}"),
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
}

/// About 2,000 tokens.
fn long_system() -> String {
    "One day Tom went to the park with his dog and met a friend. ".repeat(110)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_turn_computes_only_what_is_new() {
    let engine = load(options(1, 2_048)).await;
    let first = answer(&engine, chat(&[(Role::User, &"Tom went to the park. ".repeat(40))])).await;
    assert_eq!(first.end.cached_tokens, 0);
    let long = "Tom went to the park. ".repeat(40);
    let turns =
        [(Role::User, long.as_str()), (Role::Assistant, &first.text), (Role::User, "What is the capital of France?")];
    let second = answer(&engine, chat(&turns)).await;
    assert!(second.end.cached_tokens >= first.end.prompt_tokens - 5, "{:?} after {:?}", second.end, first.end);
    // The answer is that of an engine that has never seen any of it.
    let fresh = load(EngineOptions { prefix_cache_bytes: Some(0), ..options(1, 2_048) }).await;
    assert_eq!(answer(&fresh, chat(&turns)).await.ids, second.ids);
    fresh.shutdown().await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_prompt_is_computed_once_for_everybody() {
    let engine = load(options(2, 4_096)).await;
    let system = long_system();
    let ask = |question| chat(&[(Role::System, &system), (Role::User, question)]);
    let first = answer(&engine, ask("What is the capital of France?")).await;
    assert!(first.end.prompt_tokens > 1_000 && first.end.cached_tokens == 0, "{:?}", first.end);
    let second = answer(&engine, ask("What is the capital of Japan?")).await;
    assert!(second.end.prompt_tokens - second.end.cached_tokens < 60, "{:?}", second.end);
    let fresh = load(EngineOptions { prefix_cache_bytes: Some(0), ..options(2, 4_096) }).await;
    assert_eq!(answer(&fresh, ask("What is the capital of Japan?")).await.ids, second.ids);
    // Without a budget the window has moved on and nothing can be taken up again: never a wrong answer instead.
    let again = answer(&fresh, ask("What is the capital of France?")).await;
    assert_eq!(again.ids, first.ids);
    fresh.shutdown().await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_that_take_turns_in_one_slot_are_remembered() {
    let engine = load(options(1, 2_048)).await;
    let long = |name: &str| format!("{name} went to the park. ").repeat(60);
    let (tom, anna) = (long("Tom"), long("Anna"));
    let first = answer(&engine, ask(&tom)).await;
    answer(&engine, ask(&anna)).await;
    let turns = [(Role::User, tom.as_str()), (Role::Assistant, first.text.as_str()), (Role::User, "Why?")];
    let second = answer(&engine, chat(&turns)).await;
    assert!(second.end.cached_tokens > 200, "{:?}", second.end);
    let fresh = load(EngineOptions { prefix_cache_bytes: Some(0), ..options(1, 2_048) }).await;
    assert_eq!(answer(&fresh, chat(&turns)).await.ids, second.ids);
    fresh.shutdown().await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_the_same_alone_and_among_sixteen_others() {
    let engine = load(options(17, 512)).await;
    let alone = answer(&engine, story(7)).await.ids;
    let company: Vec<_> = (100..116).map(|seed| engine.generate(story(seed)).unwrap()).collect();
    assert_eq!(answer(&engine, story(7)).await.ids, alone);
    drop(company);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_change_no_answer() {
    let draft = DraftOptions { model_path: model("draft-gemma-q8_0.gguf"), tokens_max: 3 };
    let with = load(EngineOptions { draft: Some(draft), ..options(4, 1_024) }).await;
    let without = load(options(4, 1_024)).await;
    let mut accepted = (0, 0);
    for seed in 0..6 {
        let question = Question { max_tokens: 160, ..story(seed) };
        let (one, other) = (answer(&with, question.clone()).await, answer(&without, question).await);
        assert_eq!(one.ids, other.ids, "seed {seed}");
        assert_eq!(one.text, other.text);
        assert_eq!(other.end.drafted, (0, 0));
        accepted = (accepted.0 + one.end.drafted.0, accepted.1 + one.end.drafted.1);
    }
    println!("of {} guesses {} were right", accepted.0, accepted.1);
    assert!(accepted.1 > 0 && accepted.1 <= accepted.0, "{accepted:?}");
    // Several at once, one of them with a penalty, which cannot be guessed for.
    let mut odd = story(3);
    odd.adjust.presence = 1.0;
    let wanted = answer(&without, odd.clone()).await.ids;
    let company: Vec<_> = (10..13).map(|seed| with.generate(story(seed)).unwrap()).collect();
    assert_eq!(answer(&with, odd).await.ids, wanted);
    drop(company);
    let other = DraftOptions { model_path: "/nowhere.gguf".into(), tokens_max: 3 };
    let worker = WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] };
    let refused = EngineOptions { draft: Some(other), ..options(1, 512) };
    let error = LlamaEngine::load(worker, refused, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.code(), "model_file_not_found");
    with.shutdown().await;
    without.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn penalties_biases_and_ends() {
    let engine = load(options(1, 512)).await;
    let plain = answer(&engine, ask("What is the capital of France?")).await;
    assert!(plain.text.contains("Paris"));
    let mut question = ask("What is the capital of France?");
    question.adjust.bias = vec![(plain.ids[0], -100.0)];
    assert_ne!(answer(&engine, question).await.ids[0], plain.ids[0]);
    let mut forced = Question { max_tokens: 5, ..ask("x") };
    forced.adjust.bias = vec![(300, 100.0)];
    assert_eq!(answer(&engine, forced).await.ids, [300; 5]);
    let mut rare = Question { max_tokens: 60, ..ask("Count to 100.") };
    rare.adjust.frequency = 2.0;
    let distinct = |ids: &[u32]| ids.iter().collect::<std::collections::BTreeSet<_>>().len() * 100 / ids.len();
    let usual = answer(&engine, Question { max_tokens: 60, ..ask("Count to 100.") }).await;
    assert!(distinct(&answer(&engine, rare).await.ids) > distinct(&usual.ids));
    let endless = Question { ignore_end: true, max_tokens: 50, ..ask("What is the capital of France?") };
    let end = answer(&engine, endless).await.end;
    assert_eq!((end.finish, end.completion_tokens), (FinishReason::Length, 50));
    let stopped = Question { stop: vec!["nowhere".into(), "Paris".into()], ..ask("What is the capital of France?") };
    let end = answer(&engine, stopped).await.end;
    assert_eq!((end.finish, end.stopped_by), (FinishReason::Stop, Some(1)));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probabilities_are_told_with_each_token() {
    let engine = load(options(1, 512)).await;
    let seen = answer(&engine, Question { logprobs: Some(5), ..ask("What is the capital of France?") }).await;
    assert_eq!(seen.more.len(), seen.ids.len());
    for (more, id) in seen.more.iter().zip(&seen.ids) {
        let found = more.logprobs.as_ref().unwrap();
        assert_eq!(found.chosen.id, *id);
        assert_eq!(found.top.len(), 5);
        assert_eq!(found.top[0].id, *id, "greedy takes the most likely");
        assert!(found.top.windows(2).all(|pair| pair[0].logprob >= pair[1].logprob));
        assert!((-20.0..=0.0).contains(&found.chosen.logprob));
    }
    let spelt: Vec<u8> = seen.more.iter().flat_map(|m| m.logprobs.as_ref().unwrap().chosen.bytes.clone()).collect();
    assert!(String::from_utf8_lossy(&spelt).starts_with(&seen.text), "{}", seen.text);
    engine.shutdown().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_a_word_of_answer_survives_the_worker() {
    let engine = load(options(1, 2_048)).await;
    let pid = engine.status().worker_pid.unwrap().to_string();
    let signal = |name: &str| drop(std::process::Command::new("kill").args([name, &pid]).status());
    let mut first = engine.generate(Question { ignore_end: true, ..ask("Tell me a story.") }).unwrap().events;
    while !matches!(first.recv().await, Some(Event::Token { .. })) {}
    // It cannot go on between the first word and the end.
    signal("-STOP");
    let mut second = engine.generate(ask("What is the capital of France?")).unwrap().events;
    tokio::time::sleep(Duration::from_millis(100)).await;
    signal("-KILL");
    let (mut text, mut failed) = (String::new(), None);
    while let Some(event) = tokio::time::timeout(Duration::from_secs(30), first.recv()).await.expect("in time") {
        if let Event::Failed(error) = event {
            failed = Some(error.code());
        }
    }
    while let Some(event) = tokio::time::timeout(Duration::from_secs(30), second.recv()).await.expect("in time") {
        match event {
            Event::Token { text: more, .. } => text.push_str(&more),
            Event::Failed(error) => panic!("{error}"),
            Event::Queued { .. } | Event::Started { .. } | Event::Finished(_) => {}
        }
    }
    assert_eq!(failed, Some("worker_crashed"), "half an answer is no answer");
    assert!(text.contains("Paris"), "{text}");
    assert_eq!((engine.status().restarts, engine.status().running, engine.status().queued), (1, 0, 0));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_fit_a_schema_or_a_tool() {
    let engine = load(options(2, 1_024)).await;
    let hot = Sampling { temperature_milli: 1_500, seed: 5, ..Sampling::default() };
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["city", "size"],
        "properties": { "city": { "type": "string", "maxLength": 12 }, "size": { "enum": ["small", "large"] } } });
    for seed in 0..3 {
        let sampling = Sampling { seed, ..hot };
        let constraint = Some(Constraint::JsonSchema(schema.clone()));
        let seen = answer(&engine, Question { sampling, constraint, ..ask("Which city?") }).await;
        let value: Value = serde_json::from_str(&seen.text).unwrap_or_else(|e| panic!("{e}: {}", seen.text));
        assert!(value["city"].is_string() && ["small", "large"].contains(&value["size"].as_str().unwrap()), "{value}");
        assert_eq!(seen.end.finish, FinishReason::Stop);
    }
    let constraint = Some(Constraint::Choice(vec!["yes".into(), "no".into()]));
    let said = answer(&engine, Question { constraint, sampling: hot, ..ask("Is it?") }).await.text;
    assert!(["yes", "no"].contains(&said.as_str()), "{said}");
    let bad = Question { constraint: Some(Constraint::Regex("(".into())), ..ask("x") };
    let mut events = engine.generate(bad).unwrap().events;
    let failed = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
    assert!(matches!(&failed, Event::Failed(e) if e.code() == "invalid_constraint"), "{failed:?}");

    let tool = Tool {
        name: "weather".into(),
        description: Some("The weather in a city.".into()),
        parameters: json!({ "type": "object", "additionalProperties": false, "required": ["city"],
            "properties": { "city": { "type": "string", "maxLength": 10 } } }),
    };
    let mut question = ask("What is the weather in Paris?");
    let Prompt::Chat(chat) = &mut question.prompt else { panic!("a chat") };
    chat.tools = vec![tool];
    chat.tool_choice = ToolChoice::Required;
    let seen = answer(&engine, Question { sampling: hot, ..question }).await;
    let calls: Vec<_> = seen.more.iter().flat_map(|more| &more.tool_calls).collect();
    let (id, name) = calls[0].begins.clone().expect("the first piece begins a call");
    assert!(id.starts_with("call_") && name == "weather");
    let arguments: String = calls.iter().map(|call| call.arguments.as_str()).collect();
    let arguments: Value = serde_json::from_str(&arguments).unwrap_or_else(|e| panic!("{e}: {arguments}"));
    assert!(arguments["city"].is_string(), "{arguments}");
    assert_eq!(seen.text, "", "a call is not said");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokeniser_and_template_can_be_asked_without_an_answer() {
    let engine = load(options(1, 128)).await;
    let inspect = |question| async { engine.inspect(question).await };
    let asked = ask("What is the capital of France?");
    let counted = inspect(Inspect::Count(asked.prompt.clone())).await.unwrap();
    let end = answer(&engine, asked.clone()).await.end;
    assert!(counted == Inspected::Count(end.prompt_tokens), "as many as an answer counts: {}", end.prompt_tokens);
    let Prompt::Chat(chat) = asked.prompt.clone() else { panic!("a chat") };
    let Inspected::Text(rendered) = inspect(Inspect::Render(Box::new(chat))).await.unwrap() else { panic!("a text") };
    assert!(rendered.contains("What is the capital of France?"), "the prompt as the template has it");
    let tokenize = |text: &str, add_special, parse_special| {
        inspect(Inspect::Tokenize { text: text.into(), add_special, parse_special })
    };
    let Inspected::Tokens(tokens) = tokenize(&rendered, false, true).await.unwrap() else { panic!("tokens") };
    assert_eq!(tokens.len() as u32, end.prompt_tokens);
    let ids: Vec<u32> = tokens.iter().map(|(id, _)| *id).collect();
    let bytes: Vec<u8> = tokens.into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert!(bytes == rendered.as_bytes(), "the pieces make the text");
    assert!(inspect(Inspect::Detokenize(ids)).await.unwrap() == Inspected::Text(rendered));
    let count = |tokens: Inspected| match tokens {
        Inspected::Tokens(tokens) => tokens.len(),
        Inspected::Count(_) | Inspected::Text(_) => panic!("tokens"),
    };
    assert_eq!(count(tokenize("<eos>", false, true).await.unwrap()), 1);
    assert!(count(tokenize("<eos>", false, false).await.unwrap()) > 1, "a word");
    assert_eq!(count(tokenize("", true, true).await.unwrap()), 1, "the begin token");
    let long = ask(&"word ".repeat(1_000));
    let many = inspect(Inspect::Count(long.prompt)).await.unwrap();
    assert!(matches!(many, Inspected::Count(1_000..)), "more than fit into the context");
    let unknown = inspect(Inspect::Detokenize(vec![u32::MAX])).await.unwrap_err();
    assert_eq!(unknown.code(), "input_out_of_bounds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_fits_a_grammar_in_gbnf() {
    let engine = load(options(1, 512)).await;
    let gbnf = "root ::= \"(\" root \")\" | [0-9]+ (\"+\" [0-9]+)* \"=\"";
    let question = |constraint| Question { constraint: Some(constraint), max_tokens: 60, ..story(5) };
    let seen = answer(&engine, question(Constraint::grammar(gbnf.into()))).await;
    let text = seen.text.trim_start_matches('(');
    let digits = text.trim_end_matches(')').trim_end_matches('=');
    assert!(digits.chars().all(|c| c.is_ascii_digit() || c == '+'), "{}", seen.text);
    assert!(
        digits.starts_with(|c: char| c.is_ascii_digit()) || seen.end.finish == FinishReason::Length,
        "{}",
        seen.text
    );
    let mut events = engine.generate(question(Constraint::grammar("root ::= other".into()))).unwrap().events;
    let failed = loop {
        match events.recv().await.expect("an end") {
            Event::Failed(error) => break error,
            Event::Finished(_) => panic!("an error"),
            _ => {}
        }
    };
    assert_eq!(failed.code(), "invalid_constraint");
    assert!(failed.to_string().contains("GBNF, line 1, column 10: the rule 'other' is not defined"), "{failed}");
}
