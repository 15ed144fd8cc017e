//! Giving answers and computing them again, with real workers: what calibration and attacks have in common.

use ainonymous_engine::request::{Adjust, Chat, Constraint, Message, Role};
use ainonymous_engine::{
    evidence, Engine, EngineOptions, Event, Fingerprint, LlamaEngine, Prompt, Question, Replay, ReplayQuestion,
    WorkerCommand,
};
use ainonymous_types::limits::TEMPERATURE_MILLI_MAX;
use ainonymous_types::{Bytes32, FinishReason, KvType, OpenedLeaf, ReplayLeaf, Sampling};
use sha2::{Digest, Sha256};
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Salts of leaves: nothing here is secret.
const SALT: Bytes32 = Bytes32([7; 32]);

const PROMPTS: [&str; 16] = [
    "Tell me a story.",
    "What is the capital of France?",
    "Who are you?",
    "Tell me about a dog.",
    "What does a cow say?",
    "Write about the sea.",
    "What comes after Friday?",
    "Tell me a story about a king.",
    "What is the capital of Italy?",
    "Count to ten.",
    "Write a poem.",
    "What is two plus two?",
    "Tell me about the moon and the sun.",
    "How are you today?",
    "What colour is the sky?",
    "Write a letter to a friend.",
];

/// An answer as whoever asked has it, and what its provider would open.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) question: Question,
    pub(crate) tokens: Vec<u32>,
    pub(crate) recorded: Vec<Fingerprint>,
    pub(crate) finish: FinishReason,
}

impl Given {
    /// What the provider opens.
    pub(crate) fn opened(&self) -> Vec<OpenedLeaf> {
        opened(&self.tokens, &self.recorded)
    }
}

/// What a provider opens who has recorded this of these tokens.
pub(crate) fn opened(tokens: &[u32], recorded: &[Fingerprint]) -> Vec<OpenedLeaf> {
    evidence::opened(&SALT, tokens, recorded).unwrap()
}

/// The n-th question: prompts and ways of drawing in turn, another seed each time. At most `tokens_max` tokens, and exactly so many
/// where the end is ignored.
pub(crate) fn question(n: u64, tokens_max: u32, ignore_end: bool) -> Question {
    let plain = Sampling { temperature_milli: 1_000, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed: n };
    let sampling = match n / PROMPTS.len() as u64 % 4 {
        0 => plain,
        1 => Sampling { seed: n, ..Sampling::default() },
        2 => Sampling { temperature_milli: 700, min_p_milli: 50, ..plain },
        _ => Sampling { temperature_milli: 1_000, top_k: 40, ..plain },
    };
    drawn(n, tokens_max, ignore_end, sampling)
}

/// Up to which temperature honest answers are measured together, in thousandths: they differ otherwise where it is hotter. What people and
/// programs ask is seldom hotter than the first, OpenAI's API takes no more than the second, and nobody may ask for more than the last.
pub(crate) const TEMPERATURES_MILLI_TO: [u32; 3] = [1_000, 2_000, TEMPERATURE_MILLI_MAX];
/// Ids of ordinary tokens in any of the tests' models: from, up to.
const IDS: (u64, u64) = (300, 900);

/// Words that are none: 20 to 260 letters.
pub(crate) fn nonsense(n: u64) -> Prompt {
    let letter = |at: u64| if dice(n, at) % 7 == 6 { ' ' } else { char::from(b'a' + (dice(n, at) % 26) as u8) };
    let text: String = (0..20 + dice(n, 999) % 241).map(letter).collect();
    Prompt::Chat(Chat { messages: vec![Message::new(Role::User, text)], ..Chat::default() })
}

/// A form that an answer has to keep: words of small letters, whatever the model would rather say.
pub(crate) fn form() -> Constraint {
    Constraint::Regex("([a-z]{1,9} ){9,400}".into())
}

/// Tokens at random, without the words around a question that the model was trained with.
pub(crate) fn raw(n: u64) -> Prompt {
    Prompt::Tokens((0..8 + dice(n, 0) % 200).map(|at| token(n, at)).collect())
}

/// Ten nats up and down for 32 tokens at random.
pub(crate) fn biases(n: u64) -> Adjust {
    let bias = (0..32).map(|at| (token(n, at), (dice(n, at + 32) % 201) as f32 / 10.0 - 10.0));
    Adjust { bias: bias.collect(), ..Adjust::default() }
}

/// Up to what a penalty on repetition may multiply logits, or divide them, where honest answers are measured; in thousandths. What chats are asked with is
/// seldom above 1.2.
pub(crate) const REPETITION_MILLI_TO: u32 = 1_300;

/// A penalty on repetition of that size.
pub(crate) fn repetition() -> Adjust {
    Adjust { repetition: REPETITION_MILLI_TO as f32 / 1_000.0, ..Adjust::default() }
}

/// Two nats less for what was said, and as much for each time.
pub(crate) fn penalties() -> Adjust {
    Adjust { presence: 2.0, frequency: 2.0, last_tokens: 0, ..Adjust::default() }
}

/// Numbers that look thrown.
fn dice(n: u64, at: u64) -> u64 {
    n.wrapping_mul(977).wrapping_add(at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

fn token(n: u64, at: u64) -> u32 {
    let (from, to) = IDS;
    (from + dice(n, at) % (to - from)) as u32
}

/// The n-th question at a temperature (in thousandths), drawn from all tokens.
pub(crate) fn plain(n: u64, tokens_max: u32, ignore_end: bool, temperature_milli: u32) -> Question {
    let sampling = Sampling { temperature_milli, top_p_milli: 1_000, top_k: 0, min_p_milli: 0, seed: n };
    drawn(n, tokens_max, ignore_end, sampling)
}

fn drawn(n: u64, tokens_max: u32, ignore_end: bool, sampling: Sampling) -> Question {
    let prompt = PROMPTS[n as usize % PROMPTS.len()];
    let chat = Chat { messages: vec![Message::new(Role::User, prompt)], ..Chat::default() };
    Question { sampling, max_tokens: tokens_max, fingerprint: true, ignore_end, ..Question::new(Prompt::Chat(chat)) }
}

pub(crate) fn options(model: &Path, slots: u32) -> EngineOptions {
    EngineOptions { threads: Some(1), slots, queue_max: 4_096, context_tokens: Some(512), ..EngineOptions::new(model) }
}

/// A worker of this very program; with one variant of the processor's code if a folder of it is named.
pub(crate) async fn load(
    variant: Option<&Path>,
    options: EngineOptions,
) -> Result<LlamaEngine, ainonymous_engine::EngineError> {
    let program = std::env::current_exe().unwrap();
    let worker = match variant {
        None => WorkerCommand { program, args: vec!["worker".into()] },
        Some(folder) => {
            let variable = format!("AINONYMOUS_BACKENDS_DIR={}", folder.display());
            let args = vec![variable, program.display().to_string(), "worker".into()];
            WorkerCommand { program: "env".into(), args }
        }
    };
    LlamaEngine::load(worker, options, CancellationToken::new()).await
}

pub(crate) async fn give(engine: &LlamaEngine, question: Question) -> Given {
    let finish = FinishReason::Length;
    let mut given = Given { question: question.clone(), tokens: vec![], recorded: vec![], finish };
    let mut events = engine.generate(question).unwrap().events;
    while let Some(event) = events.recv().await {
        match event {
            Event::Token { id, more, .. } => {
                given.tokens.push(id);
                given.recorded.extend(more.and_then(|more| more.fingerprint));
            }
            Event::Failed(error) => panic!("{error}"),
            Event::Finished(finished) => given.finish = finished.finish,
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
    given
}

pub(crate) async fn compute_again(
    engine: &LlamaEngine,
    question: &Question,
    tokens: &[u32],
    kv_type: Option<KvType>,
) -> Replay {
    engine.replay(ReplayQuestion::beginning(question.clone(), tokens.to_vec(), kv_type)).await.unwrap()
}

/// What an auditor commits to.
pub(crate) fn replayed(tokens: &[u32], replay: &Replay) -> Vec<ReplayLeaf> {
    evidence::replayed(&SALT, tokens, replay).unwrap()
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn hash_of(path: &Path) -> String {
    hex(&Sha256::digest(std::fs::read(path).unwrap()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
