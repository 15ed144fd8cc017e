//! Answers as neutral pieces: asked, counted, merged. Dialects only give them their shape.
//!
//! It must not know any dialect. Dropping [`Answers`] cancels every question behind it.

pub(crate) mod shapes;
pub(crate) mod stream;

use crate::health::Health;
use crate::metrics::{Ended, Metrics};
use crate::router::Api;
use crate::ApiError;
use ainonymous_node::request::ToolCall;
use ainonymous_node::{
    AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskError, AskRequest, More, TokenLogprobs, ToolCallPart,
};
use futures::stream::{select_all, unfold, BoxStream, SelectAll, StreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::wrappers::ReceiverStream;

/// Most answers to one request: `n` of chat completions.
pub(crate) const CHOICES_MAX: u32 = 8;
/// How long a streamed answer waits for its first event, so that what fails at once fails with a status.
const FIRST_EVENT_WAIT: Duration = Duration::from_secs(3);

/// A piece of one answer.
pub(crate) enum Piece {
    /// So many questions are before it.
    Queued(u32),
    /// What became clear with some tokens.
    Part(Part),
    /// The end of this answer.
    Done(Box<AnswerDone>),
}

/// What became clear with some tokens.
#[derive(Default)]
pub(crate) struct Part {
    /// The next piece of the answer.
    pub(crate) text: String,
    /// The next piece of what the model thinks before.
    pub(crate) reasoning: String,
    /// The next pieces of tool calls.
    pub(crate) tool_calls: Vec<ToolCallPart>,
    /// How likely the token was.
    pub(crate) logprobs: Option<TokenLogprobs>,
}

/// Answers on their way: one for each question.
pub(crate) struct Answers {
    /// What is known of each.
    pub(crate) heads: Vec<AnswerHead>,
    events: SelectAll<BoxStream<'static, (usize, Result<Piece, ApiError>)>>,
    first: Option<(usize, Result<Piece, ApiError>)>,
    done: Vec<bool>,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

/// An answer in one piece.
pub(crate) struct Whole {
    pub(crate) head: AnswerHead,
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) logprobs: Vec<TokenLogprobs>,
    pub(crate) done: AnswerDone,
}

impl Answers {
    /// Asks all of them at once; one refusal refuses all.
    pub(crate) async fn ask(api: &Api, questions: Vec<AskRequest>) -> Result<Self, ApiError> {
        let permit = api.admit(questions.len())?;
        let asked = questions.into_iter().map(|question| api.backend().ask(question));
        let answers = futures::future::try_join_all(asked).await.map_err(|error| explain(api, error))?;
        let metrics = Arc::clone(api.metrics());
        answers.iter().for_each(|_| metrics.answer_began());
        let heads: Vec<AnswerHead> = answers.iter().map(|answer| answer.head.clone()).collect();
        let done = vec![false; heads.len()];
        let events = select_all(answers.into_iter().enumerate().map(|(index, answer)| pieces(index, answer)));
        Ok(Self { heads, events, first: None, done, metrics, _permit: permit })
    }

    /// Waits a little for the first event: an error now still gets its status.
    pub(crate) async fn look_ahead(&mut self) -> Result<(), ApiError> {
        match tokio::time::timeout(FIRST_EVENT_WAIT, self.next()).await {
            Ok(Some((_, Err(error)))) => Err(error),
            Ok(first) => {
                self.first = first;
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// The next piece of any answer; none after the last answer's end. After an error nothing more is of use.
    pub(crate) async fn next(&mut self) -> Option<(usize, Result<Piece, ApiError>)> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let (index, piece) = self.events.next().await?;
        match &piece {
            Ok(Piece::Done(done)) => {
                self.done[index] = true;
                self.metrics.answer_done(done);
            }
            Ok(_) => {}
            Err(_) => {
                self.done[index] = true;
                self.metrics.answer_ended(Ended::Failed);
            }
        }
        Some((index, piece))
    }

    /// The whole answers, in the order of the questions. If the client hangs up, this future is dropped and with it
    /// the questions.
    pub(crate) async fn collect(mut self) -> Result<Vec<Whole>, ApiError> {
        let mut gathered: Vec<Gathered> = self.heads.iter().map(|_| Gathered::default()).collect();
        while let Some((index, piece)) = self.next().await {
            match piece? {
                Piece::Queued(_) => {}
                Piece::Part(part) => gathered[index].add(part),
                Piece::Done(done) => gathered[index].done = Some(*done),
            }
        }
        let heads = std::mem::take(&mut self.heads);
        let whole = |(head, gathered): (AnswerHead, Gathered)| {
            let Gathered { text, reasoning, calls, logprobs, done } = gathered;
            let done = done.ok_or(ApiError::AnswerBroke)?;
            Ok(Whole { head, text, reasoning, tool_calls: calls.0, logprobs, done })
        };
        heads.into_iter().zip(gathered).map(whole).collect()
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for _ in self.done.iter().filter(|done| !**done) {
            self.metrics.answer_ended(Ended::Cancelled);
        }
    }
}

/// One answer being put together.
#[derive(Default)]
struct Gathered {
    text: String,
    reasoning: String,
    calls: Calls,
    logprobs: Vec<TokenLogprobs>,
    done: Option<AnswerDone>,
}

impl Gathered {
    fn add(&mut self, part: Part) {
        let Part { text, reasoning, tool_calls, logprobs } = part;
        self.text.push_str(&text);
        self.reasoning.push_str(&reasoning);
        tool_calls.into_iter().for_each(|part| self.calls.add(part));
        self.logprobs.extend(logprobs);
    }
}

/// Tool calls being put together.
#[derive(Default)]
pub(crate) struct Calls(pub(crate) Vec<ToolCall>);

impl Calls {
    /// Appends to the call that the piece belongs to.
    pub(crate) fn add(&mut self, ToolCallPart { index, begins, arguments }: ToolCallPart) {
        if let Some((id, name)) = begins {
            self.0.push(ToolCall { id, name, arguments: String::new() });
        }
        if let Some(call) = self.0.get_mut(index as usize) {
            call.arguments.push_str(&arguments);
        }
    }
}

/// The events of one answer; what ends without its end broke.
fn pieces(index: usize, answer: AnswerStream) -> BoxStream<'static, (usize, Result<Piece, ApiError>)> {
    let events = ReceiverStream::new(answer.events);
    unfold((events, false), move |(mut events, ended)| async move {
        if ended {
            return None;
        }
        let piece = match events.next().await {
            Some(Ok(event)) => Ok(Piece::of(event)),
            Some(Err(error)) => Err(error.into()),
            None => Err(ApiError::AnswerBroke),
        };
        let ended = matches!(piece, Err(_) | Ok(Piece::Done(_)));
        Some(((index, piece), (events, ended)))
    })
    .boxed()
}

impl Piece {
    fn of(event: AnswerEvent) -> Self {
        match event {
            AnswerEvent::Queued { position } => Self::Queued(position),
            AnswerEvent::Text { text, tokens: _, more } => {
                let More { reasoning, tool_calls, logprobs, fingerprint: _ } =
                    more.map(|more| *more).unwrap_or_default();
                Self::Part(Part { text, reasoning, tool_calls, logprobs })
            }
            AnswerEvent::Done(done) => Self::Done(done),
        }
    }
}

/// A node that is still starting knows no models yet: then that is the reason, not the model.
pub(crate) fn explain(api: &Api, error: AskError) -> ApiError {
    let health = Health::of(&api.backend().status());
    match &error {
        AskError::UnknownModel { .. } | AskError::NoProvider { .. } if !health.is_ready() => {
            ApiError::not_ready(health)
        }
        _ => error.into(),
    }
}
