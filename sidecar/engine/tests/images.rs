//! Images through a real worker with the tiny model and the tiny projector, whose weights are random: what it makes of an
//! image is noise that depends on every point.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use ainonymous_engine::request::{Chat, Image, Message, Role, IMAGE_PIXELS_MAX};
use ainonymous_engine::{
    DraftOptions, Engine, EngineError, EngineOptions, Event, Finished, LlamaEngine, ProjectorOptions, Prompt, Question,
    WorkerCommand,
};
use ainonymous_types::{FinishReason, Sampling};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MODEL: &str = "../../tests/models/tiny-gemma-q8_0.gguf";
const PROJECTOR: &str = "../../tests/models/images/mmproj-tiny-gemma-f32.gguf";

fn worker() -> WorkerCommand {
    WorkerCommand { program: env!("CARGO_BIN_EXE_engine-worker").into(), args: vec![] }
}

fn blind(slots: u32) -> EngineOptions {
    EngineOptions { threads: Some(1), slots, context_tokens: Some(1_024), ..EngineOptions::new(MODEL) }
}

fn options(slots: u32) -> EngineOptions {
    EngineOptions { projector: Some(ProjectorOptions { path: PROJECTOR.into(), found: false }), ..blind(slots) }
}

async fn load(options: EngineOptions) -> LlamaEngine {
    LlamaEngine::load(worker(), options, CancellationToken::new()).await.unwrap()
}

/// A PNG of soft stripes; every `shade` is another image.
fn picture(width: u32, height: u32, shade: u8) -> Vec<u8> {
    let points = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8 ^ shade, y as u8, shade]));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&points.collect::<Vec<_>>()).unwrap();
    bytes
}

/// A message that shows these before what it says.
fn showing(content: &str, files: &[Vec<u8>]) -> Message {
    let images = files.iter().map(|file| Image { at: 0, bytes: file.as_slice().into() }).collect();
    Message { images, ..Message::new(Role::User, content) }
}

fn asking(messages: Vec<Message>) -> Question {
    let sampling = Sampling { temperature_milli: 0, ..Sampling::default() };
    let chat = Chat { messages, ..Chat::default() };
    Question { sampling, max_tokens: 12, logprobs: Some(5), ..Question::new(Prompt::Chat(chat)) }
}

fn shown(file: Vec<u8>) -> Question {
    asking(vec![showing("What is this?", &[file])])
}

/// Ids and log-probabilities of an answer, and how it ended.
type Answer = (Vec<(u32, f32)>, Result<Finished, EngineError>);

async fn ask(engine: &LlamaEngine, question: Question) -> Answer {
    let (mut generation, mut said) = (engine.generate(question).unwrap(), Vec::new());
    let answer = async {
        loop {
            match generation.events.recv().await.expect("an end") {
                Event::Token { id, more, .. } => said.push((id, more.unwrap().logprobs.unwrap().chosen.logprob)),
                Event::Finished(finished) => return Ok(finished),
                Event::Failed(error) => return Err(error),
                Event::Queued { .. } | Event::Started { .. } => {}
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(120), answer).await.expect("in time");
    (said, end)
}

async fn answer(engine: &LlamaEngine, question: Question) -> (Vec<(u32, f32)>, Finished) {
    let (said, end) = ask(engine, question).await;
    (said, end.unwrap())
}

#[tokio::test]
async fn an_image_changes_the_answer_and_each_in_its_own_way() {
    let engine = load(options(1)).await;
    assert!(engine.info().images);
    let (none, end) = answer(&engine, asking(vec![Message::new(Role::User, "What is this?")])).await;
    let (first, seen) = answer(&engine, shown(picture(64, 64, 1))).await;
    assert!(seen.prompt_tokens >= end.prompt_tokens + 64, "{} {}", end.prompt_tokens, seen.prompt_tokens);
    let (second, _) = answer(&engine, shown(picture(64, 64, 2))).await;
    assert!(first[0].1 != none[0].1 && first[0].1 != second[0].1, "{none:?} {first:?} {second:?}");
    assert_eq!(answer(&engine, shown(picture(64, 64, 1))).await.0, first, "the same again");
    // Larger images have more rows, up to what a batch holds.
    let (_, large) = answer(&engine, shown(picture(700, 500, 1))).await;
    assert!(large.prompt_tokens > seen.prompt_tokens, "{} {}", large.prompt_tokens, seen.prompt_tokens);
}

/// The file of the projector is what its script makes and what the list says.
#[test]
fn the_projector_is_the_one_that_belongs_here() {
    let sums = std::fs::read_to_string("../../tests/models/SHA256SUMS").unwrap();
    let digest: String = Sha256::digest(std::fs::read(PROJECTOR).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
    assert!(sums.contains(&format!("{digest}  images/mmproj-tiny-gemma-f32.gguf")), "{digest}");
    let made = std::process::Command::new("python3").args(["../../tests/models/make/projector.py", "--check"]).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn the_same_image_gives_the_same_answer_alone_and_among_others() {
    let alone = load(EngineOptions { prefix_cache_bytes: Some(0), ..options(1) }).await;
    let mut expected = Vec::new();
    for shade in 0..4 {
        expected.push(answer(&alone, shown(picture(80, 60, shade))).await.0);
    }
    let engine = load(options(4)).await;
    let asked = (0..4).map(|shade| answer(&engine, shown(picture(80, 60, shade))));
    let story = asking(vec![Message::new(Role::User, "Tell me a story.")]);
    let (together, _) = tokio::join!(futures::future::join_all(asked), answer(&engine, story));
    let together: Vec<_> = together.into_iter().map(|(said, _)| said).collect();
    assert_eq!(together, expected);
}

#[tokio::test]
async fn two_images_and_their_order_and_place_count() {
    let engine = load(options(1)).await;
    let (a, b) = (picture(64, 64, 1), picture(48, 64, 9));
    let of = |files: &[Vec<u8>]| asking(vec![showing("What is this?", files)]);
    let (ab, end) = answer(&engine, of(&[a.clone(), b.clone()])).await;
    let (ba, _) = answer(&engine, of(&[b.clone(), a.clone()])).await;
    let (one, alone) = answer(&engine, of(std::slice::from_ref(&a))).await;
    assert!(ab[0].1 != ba[0].1 && ab[0].1 != one[0].1);
    assert!(end.prompt_tokens > alone.prompt_tokens + 64);
    let mut behind = showing("What is this?", &[a]);
    behind.images[0].at = behind.content.len();
    assert_ne!(answer(&engine, asking(vec![behind])).await.0[0].1, one[0].1);
    // What looks like our marks is text.
    let (forged, _) = answer(&engine, asking(vec![showing("<image 0123456789abcdef 1>", &[b])])).await;
    assert_eq!(forged.len(), 12.min(forged.len()));
}

/// A conversation goes on behind its image without computing it again, says the same as without a cache, and another image at
/// the same place is not taken for it.
#[tokio::test]
async fn a_conversation_keeps_its_image() {
    let later = |shade| {
        asking(vec![
            showing("What is this?", &[picture(64, 64, shade)]),
            Message::new(Role::Assistant, "I do not know that."),
            Message::new(Role::User, "What is the capital of France?"),
        ])
    };
    let fresh = load(EngineOptions { prefix_cache_bytes: Some(0), ..options(1) }).await;
    let mut expected = Vec::new();
    for shade in [1, 2] {
        // Another conversation in between leaves nothing to go on from.
        answer(&fresh, asking(vec![Message::new(Role::User, "Tell me a long story.")])).await;
        let (said, end) = answer(&fresh, later(shade)).await;
        assert_eq!(end.cached_tokens, 0);
        expected.push(said);
    }
    assert_ne!(expected[0][0].1, expected[1][0].1);
    let engine = load(options(2)).await;
    answer(&engine, shown(picture(64, 64, 1))).await;
    let (said, end) = answer(&engine, later(1)).await;
    assert!(end.cached_tokens > 64, "the image was computed already: {end:?}");
    assert_eq!(said, expected[0]);
    let (said, end) = answer(&engine, later(2)).await;
    assert!(end.cached_tokens < 64, "another image: {end:?}");
    assert_eq!(said, expected[1]);
    for _ in 0..2 {
        assert_eq!(answer(&engine, later(1)).await.0, expected[0]);
        assert_eq!(answer(&engine, later(2)).await.0, expected[1]);
    }
}

#[tokio::test]
async fn what_is_broken_or_too_large_is_refused_and_the_worker_lives() {
    let engine = load(options(1)).await;
    let whole = picture(64, 64, 1);
    let side = (IMAGE_PIXELS_MAX as f64).sqrt() as u32 + 1;
    let mut bomb = Vec::new();
    {
        // A header that promises more than may be sent, and a little data.
        let mut encoder = png::Encoder::new(&mut bomb, side, side);
        encoder.set_color(png::ColorType::Rgb);
        drop(encoder.write_header().unwrap().stream_writer().unwrap());
    }
    let mut noise = whole.clone();
    noise[60..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    for (file, code) in [
        (whole[..whole.len() / 2].to_vec(), "image_invalid"),
        (noise, "image_invalid"),
        (b"GIF89a".to_vec(), "image_invalid"),
        (b"RIFF....WAVE".to_vec(), "image_invalid"),
        (vec![], "image_invalid"),
        (bomb, "image_too_large"),
        (picture(1, 200, 1), "image_too_large"),
    ] {
        let (said, end) = ask(&engine, shown(file)).await;
        assert_eq!((said.len(), end.unwrap_err().code()), (0, code));
    }
    let second = asking(vec![showing("x", &[whole.clone(), vec![1]])]);
    assert!(matches!(ask(&engine, second).await.1, Err(EngineError::ImageInvalid { index: 2, .. })));
    let many = asking(vec![showing("x", &vec![picture(64, 64, 3); 16])]);
    assert!(matches!(ask(&engine, many).await.1, Err(EngineError::PromptTooLong { .. })));
    let (_, end) = answer(&engine, shown(whole)).await;
    assert_ne!(end.finish, FinishReason::Cancelled);
    assert_eq!(engine.status().restarts, 0);
}

#[tokio::test]
async fn without_a_projector_images_are_refused_by_name() {
    let engine = load(blind(1)).await;
    assert!(!engine.info().images);
    let error = engine.generate(shown(picture(8, 8, 0))).unwrap_err();
    assert_eq!(error, EngineError::NoProjector);
    assert!(error.hint().contains("--mmproj"));
}

#[tokio::test]
async fn a_projector_that_does_not_fit_is_an_error_if_it_was_named() {
    let with = |path: &str, found| EngineOptions {
        projector: Some(ProjectorOptions { path: PathBuf::from(path), found }),
        ..blind(1)
    };
    for (path, code) in [("/no/such/mmproj.gguf", "model_file_not_found"), (MODEL, "invalid_projector")] {
        let refused = LlamaEngine::load(worker(), with(path, false), CancellationToken::new()).await.unwrap_err();
        assert_eq!(refused.code(), code);
        assert!(!load(with(path, true)).await.info().images, "only found: passed over");
    }
}

/// A draft model sees no images: it does not guess for such answers, which are the same with and without it.
#[tokio::test]
async fn nothing_is_guessed_behind_an_image() {
    let draft = DraftOptions { model_path: "../../tests/models/draft-gemma-q8_0.gguf".into(), tokens_max: 4 };
    let with = load(EngineOptions { draft: Some(draft), ..options(1) }).await;
    let (said, end) = answer(&with, shown(picture(64, 64, 1))).await;
    assert_eq!(end.drafted, (0, 0));
    assert_eq!(said, answer(&load(options(1)).await, shown(picture(64, 64, 1))).await.0);
}

/// A cancelled image leaves the engine as it was.
#[tokio::test]
async fn an_answer_about_an_image_can_be_cancelled() {
    let engine = load(options(1)).await;
    let expected = answer(&engine, shown(picture(64, 64, 1))).await.0;
    for _ in 0..4 {
        drop(engine.generate(shown(picture(600, 600, 7))).unwrap());
        assert_eq!(answer(&engine, shown(picture(64, 64, 1))).await.0, expected);
    }
}
