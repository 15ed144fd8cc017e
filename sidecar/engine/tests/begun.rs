//! Answers that somebody else has begun: a real worker goes on where they end, as if it had said the beginning itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use ainonymous_engine::request::{Chat, Constraint, Image, Message, Role, Tool, ToolChoice};
use ainonymous_engine::{
    Engine, EngineError, EngineOptions, Event, Finished, LlamaEngine, ProjectorOptions, Prompt, Question, WorkerCommand,
};
use ainonymous_types::{FinishReason, Sampling};
use serde_json::{json, Value};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MODEL: &str = "../../tests/models/tiny-gemma-q8_0.gguf";
const PROJECTOR: &str = "../../tests/models/images/mmproj-tiny-gemma-f32.gguf";

/// Without copies of beginnings, so that whatever is not in the one place is computed.
fn options() -> EngineOptions {
    EngineOptions {
        threads: Some(1),
        slots: 1,
        context_tokens: Some(1_024),
        prefix_cache_bytes: Some(0),
        projector: Some(ProjectorOptions { path: PROJECTOR.into(), found: false }),
        ..EngineOptions::new(MODEL)
    }
}

async fn load(options: EngineOptions) -> LlamaEngine {
    let worker = WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] };
    LlamaEngine::load(worker, options, CancellationToken::new()).await.unwrap()
}

fn ask(text: &str) -> Question {
    let chat = Chat { messages: vec![Message::new(Role::User, text)], ..Chat::default() };
    let sampling = Sampling { temperature_milli: 0, ..Sampling::default() };
    Question { sampling, ..Question::new(Prompt::Chat(chat)) }
}

fn hot(seed: u64) -> Sampling {
    Sampling { temperature_milli: 1_000, seed, ..Sampling::default() }
}

/// What each token brought: its text, thoughts, and calls as they are written.
struct Seen {
    ids: Vec<u32>,
    told: Vec<(String, String, String)>,
    end: Finished,
}

async fn try_answer(engine: &LlamaEngine, question: Question) -> Result<Seen, EngineError> {
    let mut events = engine.generate(question)?.events;
    let (mut ids, mut told) = (vec![], vec![]);
    loop {
        match tokio::time::timeout(Duration::from_secs(60), events.recv()).await.expect("in time").expect("an end") {
            Event::Token { id, text, more } => {
                let more = more.map(|more| *more).unwrap_or_default();
                let call = |part: &ainonymous_engine::ToolCallPart| {
                    let name = part.begins.as_ref().map_or("", |(_, name)| name.as_str());
                    format!("{}{name}{}", part.index, part.arguments)
                };
                ids.push(id);
                told.push((text, more.reasoning, more.tool_calls.iter().map(call).collect::<String>()));
            }
            Event::Finished(end) => return Ok(Seen { ids, told, end }),
            Event::Failed(error) => return Err(error),
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
}

async fn answer(engine: &LlamaEngine, question: Question) -> Seen {
    try_answer(engine, question).await.unwrap()
}

/// Asks whole, then behind each of these beginnings, by an engine that has seen the answer and by one that has not.
async fn goes_on(what: &str, engine: &LlamaEngine, other: &LlamaEngine, question: Question, cuts: &[usize]) -> Seen {
    let whole = answer(engine, question.clone()).await;
    assert!(whole.ids.len() > 3, "{what}: {:?}", whole.told);
    for (cut, forgetful) in cuts.iter().flat_map(|cut| [(*cut, false), (*cut, true)]) {
        let cut = cut.min(whole.ids.len() - 1);
        let engine = if forgetful { other } else { engine };
        if forgetful {
            // The only place is given to something else: nothing of this question is left.
            answer(engine, Question { max_tokens: 1, ..ask(&"Count to 100. ".repeat(20)) }).await;
        }
        let begun = whole.ids[..cut].to_vec();
        let rest = answer(engine, Question { begun, ..question.clone() }).await;
        let what = format!("{what}, cut at {cut} of {}, forgetful: {forgetful}", whole.ids.len());
        assert_eq!(rest.ids, whole.ids[cut..], "{what}");
        assert_eq!(rest.told, whole.told[cut..], "{what}");
        assert_eq!((rest.end.finish, rest.end.stopped_by), (whole.end.finish, whole.end.stopped_by), "{what}");
        assert_eq!(rest.end.completion_tokens as usize, whole.ids.len() - cut, "{what}: only what was chosen here");
        assert_eq!(rest.end.prompt_tokens, whole.end.prompt_tokens + cut as u32, "{what}: the beginning is input");
        let cached = rest.end.cached_tokens;
        if forgetful {
            assert_eq!(cached, 0, "{what}");
        } else if cut + 1 == whole.ids.len() && rest.end.prompt_tokens > 50 {
            // Further back than its window a cache cannot be taken.
            assert!(cached + 2 >= rest.end.prompt_tokens, "{what}: {cached} cached");
        }
    }
    whole
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_on_behind_any_beginning() {
    let (engine, other) = (load(options()).await, load(options()).await);
    let story = ask("Tell me a long story about Tom, his dog, the park and the friends that he met there on one day.");
    let story = Question { max_tokens: 120, ignore_end: true, ..story };
    let plain = goes_on("a story", &engine, &other, story.clone(), &[1, 2, 50, 119]).await;
    assert_eq!(plain.end.finish, FinishReason::Length);
    let sampled = Question { sampling: hot(7), ..story.clone() };
    goes_on("by dice", &engine, &other, sampled, &[1, 31, 100]).await;
    let mut penalised = Question { sampling: hot(3), ..story.clone() };
    penalised.adjust.frequency = 1.5;
    penalised.adjust.presence = 0.5;
    penalised.adjust.repetition = 1.2;
    penalised.adjust.last_tokens = 40;
    goes_on("with penalties", &engine, &other, penalised, &[1, 39, 41, 90]).await;
    let short = ask("What is the capital of France?");
    let paris = goes_on("a short answer", &engine, &other, short.clone(), &[1, 4, 6]).await;
    assert_eq!(paris.end.finish, FinishReason::Stop);
    // The stop text begins before the seam and ends behind it.
    let stop = Question { stop: vec!["nowhere".into(), "of France is Par".into()], ..short };
    let stopped = goes_on("a stop text", &engine, &other, stop, &[1, 2, 3, 4, 5]).await;
    assert_eq!((stopped.end.finish, stopped.end.stopped_by), (FinishReason::Stop, Some(1)));
    engine.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_calls_go_on_behind_any_beginning() {
    let (engine, other) = (load(options()).await, load(options()).await);
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["city", "size"],
        "properties": { "city": { "type": "string", "maxLength": 12 }, "size": { "enum": ["small", "large"] } } });
    let form = Constraint::JsonSchema(schema);
    let question = Question { sampling: hot(1), constraint: Some(form), ..ask("Which city?") };
    let seen = goes_on("a form", &engine, &other, question, &[1, 3, 5, 8, 200]).await;
    let text: String = seen.told.iter().map(|told| told.0.as_str()).collect();
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(value["city"].is_string(), "{value}");

    let tool = Tool {
        name: "weather".into(),
        description: Some("The weather in a city.".into()),
        parameters: json!({ "type": "object", "additionalProperties": false, "required": ["city"],
            "properties": { "city": { "type": "string", "maxLength": 10 } } }),
    };
    let mut question = Question { sampling: hot(5), ..ask("What is the weather in Paris?") };
    let Prompt::Chat(chat) = &mut question.prompt else { panic!("a chat") };
    chat.tools = vec![tool];
    chat.tool_choice = ToolChoice::Required;
    let seen = goes_on("a call", &engine, &other, question, &[1, 2, 5, 9, 200]).await;
    let called: String = seen.told.iter().map(|told| told.2.as_str()).collect();
    assert!(called.starts_with("0weather"), "{called}");
    engine.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_an_image_goes_on() {
    let (engine, other) = (load(options()).await, load(options()).await);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 32, 32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[7; 32 * 32 * 3]).unwrap();
    let mut question = Question { max_tokens: 12, ..ask("What is this?") };
    let Prompt::Chat(chat) = &mut question.prompt else { panic!("a chat") };
    chat.messages[0].images = vec![Image { at: 0, bytes: bytes.into() }];
    goes_on("an image", &engine, &other, question, &[1, 6, 11]).await;
    engine.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_complete_is_ended_without_computing_and_nothing_follows_an_end() {
    let engine = load(options()).await;
    let ended = |seen: &Seen| (seen.ids.len(), seen.end.finish, seen.end.completion_tokens, seen.end.prefill_us);
    let whole = answer(&engine, ask("What is the capital of France?")).await;
    let begun = |ids: Vec<u32>| Question { begun: ids, ..ask("What is the capital of France?") };
    // The end token was said: only the end itself was lost.
    let again = answer(&engine, begun(whole.ids.clone())).await;
    assert_eq!(ended(&again), (0, FinishReason::Stop, 0, 0));
    let count = whole.ids.len() as u32;
    assert_eq!(again.end.prompt_tokens, whole.end.prompt_tokens + count);
    // So were as many tokens as were asked for, or a stop text.
    let most = Question { max_tokens: 4, ..begun(whole.ids[..4].to_vec()) };
    assert_eq!(ended(&answer(&engine, most).await), (0, FinishReason::Length, 0, 0));
    let stop = || vec!["nowhere".into(), "Paris".into()];
    let stopped = answer(&engine, Question { stop: stop(), ..ask("What is the capital of France?") }).await;
    let known = answer(&engine, Question { stop: stop(), ..begun(stopped.ids.clone()) }).await;
    assert_eq!((ended(&known).1, known.end.stopped_by), (FinishReason::Stop, Some(1)));
    // Nobody can have said anything behind an end, more than was asked for, or what no token is.
    let mut past = whole.ids.clone();
    past.push(whole.ids[0]);
    for wrong in [
        begun(past),
        Question { stop: stop(), ..begun(whole.ids.clone()) },
        Question { max_tokens: 3, ..begun(whole.ids[..4].to_vec()) },
        begun(vec![u32::MAX]),
    ] {
        assert_eq!(try_answer(&engine, wrong).await.map(|_| ()).unwrap_err().code(), "input_out_of_bounds");
    }
    let off = Question { constraint: Some(Constraint::JsonObject), ..begun(whole.ids[..3].to_vec()) };
    assert_eq!(try_answer(&engine, off).await.map(|_| ()).unwrap_err().code(), "invalid_constraint");
    // A beginning that leaves no room is one token too long.
    let long = Question { begun: vec![whole.ids[0]; 1_100], ignore_end: true, ..ask("x") };
    let code = try_answer(&engine, long).await.map(|_| ()).unwrap_err().code();
    assert!(["prompt_too_long", "input_out_of_bounds"].contains(&code), "{code}");
    assert!(answer(&engine, ask("What is the capital of France?")).await.ids == whole.ids, "it still answers");
    engine.shutdown().await;
}
