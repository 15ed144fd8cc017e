//! An engine without a model, for unit tests of what stands above: says what it is told to, one word a token.

use crate::fit::Fit;
use crate::request::{Chat, Role};
use crate::{
    EmbedInput, EmbedQuestion, Embeddings, Engine, EngineError, EngineState, EngineStatus, Event, Finished, Generation,
    Inspect, Inspected, ModelInfo, Prompt, Question, SandboxReport,
};
use ainonymous_types::{Backend, Bytes32, FinishReason};
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
            quantization: "f32".into(),
            tokenizer_hash: Bytes32([1; 32]),
            template_hash: Bytes32([2; 32]),
            images: true,
            fit: Fit::default(),
            load_ms: 0,
            sandbox: SandboxReport::default(),
        };
        let open = Arc::new(AtomicU32::new(0));
        Self { info, answer: None, delay: Duration::ZERO, capacity: u32::MAX, open, draining: AtomicBool::new(false) }
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
        let (prompt_tokens, last) = heard(&question.prompt);
        let mut answer = self.answer.clone().unwrap_or_else(|| words(last));
        let room = self.info.context_tokens as usize;
        let tokens_max = if question.max_tokens == 0 { room } else { room.min(question.max_tokens as usize) };
        let finish = if answer.len() > tokens_max { FinishReason::Length } else { FinishReason::Stop };
        answer.truncate(tokens_max);
        let begun = question.begun.len().min(answer.len());
        answer.drain(..begun);
        let prompt_tokens = prompt_tokens + begun as u32;
        let (sender, events) = mpsc::channel(room + 8);
        let (open, delay) = (self.open.clone(), self.delay);
        tokio::spawn(async move {
            say(&sender, (begun as u32, answer), delay, prompt_tokens, finish).await;
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
    delay: Duration,
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
        if events.send(Event::Token { id, text, more: None }).await.is_err() {
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
