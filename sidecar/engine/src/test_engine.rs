//! An engine without a model, for unit tests of what stands above: says what it is told to, one word a token.

use crate::fit::Fit;
use crate::request::{Chat, Role};
use crate::{
    EmbedInput, EmbedQuestion, Embeddings, Engine, EngineClass, EngineError, EngineState, EngineStatus, Event,
    Fingerprint, Finished, Generation, Inspect, Inspected, Likely, ModelInfo, More, Prompt, Question, Replay,
    ReplayQuestion, Replayed, SandboxReport, MARGIN_MILLI_MAX, STEPS_PER_NAT,
};
use ainonymous_types::{Backend, Bytes32, FinishReason, KvType};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A deterministic engine. Without a fixed answer it repeats the last message of the user.
#[derive(Debug)]
pub struct TestEngine {
    info: ModelInfo,
    answer: Option<Vec<String>>,
    delay: Duration,
    capacity: u32,
    /// Sixteenths of a nat that its fingerprints are off by.
    off_by: i16,
    open: Arc<AtomicU32>,
    draining: AtomicBool,
}

impl Default for TestEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl TestEngine {
    /// Answers at once, to any number of questions.
    pub fn new() -> Self {
        let info = ModelInfo {
            architecture: "test".into(),
            name: "test".into(),
            parameters: 1,
            context_tokens: 1_024,
            context_trained: 1_024,
            file_bytes: 1,
            vocabulary: 1_024,
            layers: 1,
            gpu_layers: 0,
            threads: 1,
            backend: Backend::Cpu,
            backend_detail: "test".into(),
            class: EngineClass::new(Backend::Cpu, "test", KvType::F16),
            quantization: "f32".into(),
            tokenizer_hash: Bytes32([1; 32]),
            template_hash: Bytes32([2; 32]),
            images: true,
            fit: Fit::default(),
            load_ms: 0,
            sandbox: SandboxReport::default(),
        };
        let open = Arc::new(AtomicU32::new(0));
        let (answer, delay, draining) = (None, Duration::ZERO, AtomicBool::new(false));
        Self { info, answer, delay, capacity: u32::MAX, off_by: 0, open, draining }
    }

    /// Always says this.
    #[must_use]
    pub fn saying(mut self, answer: &str) -> Self {
        self.answer = Some(words(answer));
        self
    }

    /// Takes so long for each token.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Refuses more questions at a time than this.
    #[must_use]
    pub fn with_capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        self
    }

    /// Finds everything less likely by so many sixteenths of a nat, as if it were another model.
    #[must_use]
    pub fn off_by(mut self, sixteenths: u8) -> Self {
        self.off_by = sixteenths.into();
        self
    }

    /// What it would say.
    fn answer_to(&self, question: &Question) -> Vec<String> {
        self.answer.clone().unwrap_or_else(|| words(heard(&question.prompt).1))
    }
}

#[async_trait::async_trait]
impl Engine for TestEngine {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn generate(&self, question: Question) -> Result<Generation, EngineError> {
        question.check()?;
        if self.draining.load(Ordering::Acquire) {
            return Err(EngineError::Draining);
        }
        if self.open.fetch_add(1, Ordering::AcqRel) >= self.capacity {
            self.open.fetch_sub(1, Ordering::AcqRel);
            return Err(EngineError::QueueFull { queue_max: self.capacity });
        }
        let prompt_tokens = heard(&question.prompt).0;
        let mut answer = self.answer_to(&question);
        let room = self.info.context_tokens as usize;
        let tokens_max = if question.max_tokens == 0 { room } else { room.min(question.max_tokens as usize) };
        let finish = if answer.len() > tokens_max { FinishReason::Length } else { FinishReason::Stop };
        answer.truncate(tokens_max);
        let begun = question.begun.len().min(answer.len());
        answer.drain(..begun);
        let prompt_tokens = prompt_tokens + begun as u32;
        let (sender, events) = mpsc::channel(room + 8);
        let (open, delay) = (self.open.clone(), self.delay);
        let off_by = question.fingerprint.then_some(self.off_by);
        tokio::spawn(async move {
            say(&sender, (begun as u32, answer), (delay, off_by), prompt_tokens, finish).await;
            open.fetch_sub(1, Ordering::AcqRel);
        });
        Ok(Generation { events })
    }

    /// Vectors of four numbers that depend on the texts' lengths alone.
    async fn embed(&self, question: EmbedQuestion) -> Result<Embeddings, EngineError> {
        question.check()?;
        let length = |input: &EmbedInput| match input {
            EmbedInput::Text(text) => words(text).len(),
            EmbedInput::Tokens(tokens) => tokens.len(),
        };
        let lengths: Vec<usize> = question.inputs.iter().map(length).collect();
        let vector = |n: &usize| {
            let angle = *n as f32;
            vec![angle.cos(), angle.sin(), 0.0, 0.0]
        };
        Ok(Embeddings {
            vectors: lengths.iter().map(vector).collect(),
            prompt_tokens: lengths.iter().sum::<usize>() as u32,
        })
    }

    /// Finds exactly what it would say itself.
    async fn replay(&self, question: ReplayQuestion) -> Result<Replay, EngineError> {
        question.check()?;
        let ReplayQuestion { question, answer, until, ended, at_s: _, kv_type: _ } = question;
        let own = self.answer_to(&question).len() as u32;
        let position = |(at, &claimed): (u32, &u32)| {
            let right = at < own && claimed == at;
            Replayed {
                fingerprint: fingerprint(at, claimed, self.off_by),
                expected: if at < own { at } else { u32::MAX },
                margin_milli: if right { 0 } else { MARGIN_MILLI_MAX },
                rank: claimed.abs_diff(at),
                outside_16: 0,
            }
        };
        let positions = (0..).zip(answer.iter().take(until)).map(position).collect();
        let cut = ended && (answer.len() as u32) < own;
        Ok(Replay { positions, cut, prompt_tokens: heard(&question.prompt).0, class: self.info.class.clone() })
    }

    /// Words for tokens; a conversation is rendered as its last message.
    async fn inspect(&self, question: Inspect) -> Result<Inspected, EngineError> {
        question.check()?;
        Ok(match question {
            Inspect::Count(prompt) => Inspected::Count(heard(&prompt).0),
            Inspect::Tokenize { text, .. } => {
                Inspected::Tokens((0..).zip(words(&text)).map(|(id, word)| (id, word.into_bytes())).collect())
            }
            Inspect::Detokenize(tokens) => Inspected::Text("word ".repeat(tokens.len())),
            Inspect::Render(chat) => Inspected::Text(heard(&Prompt::Chat(*chat)).1.to_owned()),
        })
    }

    fn status(&self) -> EngineStatus {
        let draining = self.draining.load(Ordering::Acquire);
        EngineStatus {
            state: if draining { EngineState::Failed } else { EngineState::Ready },
            running: self.open.load(Ordering::Acquire),
            queued: 0,
            restarts: 0,
            worker_pid: None,
            worker_rss_bytes: None,
        }
    }

    async fn shutdown(&self) {
        self.draining.store(true, Ordering::Release);
    }
}

async fn say(
    events: &mpsc::Sender<Event>,
    (begun, answer): (u32, Vec<String>),
    (delay, off_by): (Duration, Option<i16>),
    prompt_tokens: u32,
    finish: FinishReason,
) {
    let began = Instant::now();
    let completion_tokens = answer.len() as u32;
    let _ = events.send(Event::Started { prompt_tokens }).await;
    for (id, text) in (begun..).zip(answer) {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let found = off_by.map(|off_by| fingerprint(id, id, off_by));
        let more = found.map(|fingerprint| Box::new(More { fingerprint: Some(fingerprint), ..More::default() }));
        if events.send(Event::Token { id, text, more }).await.is_err() {
            return;
        }
    }
    let decode_us = began.elapsed().as_micros() as u64;
    let times = Finished {
        finish,
        prompt_tokens,
        cached_tokens: 0,
        completion_tokens,
        stopped_by: None,
        drafted: (0, 0),
        queue_us: 0,
        prefill_us: 0,
        decode_us,
    };
    let _ = events.send(Event::Finished(times)).await;
}

/// It finds the token of each place most likely, and each further one a nat less likely.
fn fingerprint(at: u32, chosen: u32, off_by: i16) -> Fingerprint {
    let logprob_16 = |id: u32| -off_by - STEPS_PER_NAT * i16::try_from(id.abs_diff(at).min(100)).unwrap_or(0);
    let likely = |index: usize| {
        let id = at + index as u32;
        Likely { id, logprob_16: logprob_16(id) }
    };
    Fingerprint { top: std::array::from_fn(likely), chosen_16: logprob_16(chosen) }
}

/// How many words a prompt has, and the last message of the user.
fn heard(prompt: &Prompt) -> (u32, &str) {
    match prompt {
        Prompt::Chat(Chat { messages, .. }) => (
            messages.iter().map(|m| words(&m.content).len() as u32).sum(),
            messages.iter().rev().find(|m| m.role == Role::User).map_or("", |m| m.content.as_str()),
        ),
        Prompt::Text(text) => (words(text).len() as u32, text.as_str()),
        Prompt::Tokens(tokens) => (tokens.len() as u32, ""),
    }
}

/// Words with the space behind them.
fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{ChatInput, ChatMessage, ChatRole, Sampling};

    fn asked(content: &str) -> Question {
        let messages = vec![ChatMessage::new(ChatRole::User, content)];
        ChatInput { messages, sampling: Sampling::default(), max_tokens: 0, stop: vec![], more: None }
            .try_into()
            .unwrap()
    }

    #[tokio::test]
    async fn its_answers_are_found_again_and_others_are_not() {
        let question = Question { fingerprint: true, ..asked("one two three") };
        let mut events = TestEngine::new().generate(question.clone()).unwrap().events;
        let mut recorded = vec![];
        while let Some(event) = events.recv().await {
            if let Event::Token { more, .. } = event {
                recorded.extend(more.and_then(|more| more.fingerprint));
            }
        }
        let replay = |engine: TestEngine, answer: Vec<u32>| {
            let question = ReplayQuestion::beginning(question.clone(), answer, None);
            async move { engine.replay(question).await.unwrap().positions }
        };
        let same = replay(TestEngine::new(), vec![0, 1, 2]).await;
        let found: Vec<Fingerprint> = same.iter().map(|position| position.fingerprint).collect();
        assert!(found == recorded && same.iter().all(|position| position.margin_milli == 0));
        let edited = replay(TestEngine::new(), vec![0, 7, 2, 3]).await;
        assert_eq!(edited.iter().map(|p| p.margin_milli > 0).collect::<Vec<_>>(), [false, true, false, true]);
        let other = replay(TestEngine::new().off_by(3), vec![0, 1, 2]).await;
        assert!(other.iter().zip(&recorded).all(|(a, b)| a.fingerprint.chosen_16 == b.chosen_16 - 3));
    }

    #[tokio::test]
    async fn it_says_what_it_is_told() {
        let messages = vec![ChatMessage::new(ChatRole::User, "x")];
        let input = ChatInput { messages, sampling: Sampling::default(), max_tokens: 2, stop: vec![], more: None };
        let mut generation = TestEngine::new().saying("one two three").generate(input.try_into().unwrap()).unwrap();
        let (mut text, mut last) = (String::new(), None);
        while let Some(event) = generation.events.recv().await {
            if let Event::Token { text: t, .. } = &event {
                text.push_str(t);
            }
            last = Some(event);
        }
        assert_eq!(text, "one two ");
        assert!(
            matches!(last, Some(Event::Finished(f)) if f.finish == FinishReason::Length && f.completion_tokens == 2)
        );
    }
}
