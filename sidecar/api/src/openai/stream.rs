//! An answer as server-sent events. If the client hangs up, the body is dropped and with it the question.

use super::response::{finish_reason, Chunk, Delta, DeltaText, Extension, Frame, Moment, Timings, Usage};
use crate::ApiError;
use ainonymous_node::{AnswerDone, AnswerEvent, AnswerStream};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt as _};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What is still to be sent.
struct Rest {
    answer: AnswerStream,
    frame: Frame,
    include_usage: bool,
    first: Option<AnswerEvent>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// Streams an answer: the role, the text, why it ended, perhaps the usage, `[DONE]`; after an error nothing more.
pub(crate) fn respond(
    answer: AnswerStream,
    first: Option<AnswerEvent>,
    created: Moment,
    include_usage: bool,
    permit: OwnedSemaphorePermit,
) -> Response {
    let frame = Frame::of_chunk(&answer.head, created);
    let rest = Rest { answer, frame, include_usage, first, ended: false, _permit: permit };
    let role = rest.text_chunk(DeltaText { role: Some("assistant"), content: Some("") });
    let events = stream::unfold(rest, |mut rest| async move {
        let events = rest.next().await?;
        Some((stream::iter(events), rest))
    });
    let all = stream::iter([role]).chain(events.flatten()).map(Ok::<_, Infallible>);
    let mut response = Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // For proxies that would collect the stream.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

impl Rest {
    /// What the next event of the answer becomes; none after the end.
    async fn next(&mut self) -> Option<Vec<Event>> {
        if self.ended {
            return None;
        }
        let event = match self.first.take() {
            Some(event) => Some(Ok(event)),
            None => self.answer.events.recv().await,
        };
        Some(match event {
            Some(Ok(AnswerEvent::Queued { position })) => vec![Event::default().comment(format!("queued {position}"))],
            Some(Ok(AnswerEvent::Text { text, .. })) => {
                vec![self.text_chunk(DeltaText { role: None, content: Some(&text) })]
            }
            Some(Ok(AnswerEvent::Done(done))) => self.end(&done),
            Some(Err(error)) => self.fail(error.into()),
            None => self.fail(ApiError::AnswerBroke),
        })
    }

    fn text_chunk(&self, delta: DeltaText<'_>) -> Event {
        let usage = self.include_usage.then_some(None);
        let choices = vec![Delta { index: 0, delta, logprobs: (), finish_reason: None }];
        to_event(&Chunk { frame: &self.frame, choices, usage, timings: None, ainonymous: None })
    }

    fn end(&mut self, done: &AnswerDone) -> Vec<Event> {
        self.ended = true;
        let reason = Some(finish_reason(done.finish));
        let last = Chunk {
            frame: &self.frame,
            choices: vec![Delta { index: 0, delta: DeltaText::default(), logprobs: (), finish_reason: reason }],
            usage: self.include_usage.then_some(None),
            timings: Some(Timings::new(done)),
            ainonymous: Some(Extension::new(&self.answer.head, done)),
        };
        let mut events = vec![to_event(&last)];
        if self.include_usage {
            let usage = Some(Some(Usage::new(done)));
            let counts = Chunk { frame: &self.frame, choices: vec![], usage, timings: None, ainonymous: None };
            events.push(to_event(&counts));
        }
        events.push(Event::default().data("[DONE]"));
        events
    }

    fn fail(&mut self, error: ApiError) -> Vec<Event> {
        self.ended = true;
        tracing::debug!(code = error.code(), "an answer failed in the middle");
        vec![Event::default().data(error.to_json().to_string())]
    }
}

fn to_event(chunk: &Chunk<'_>) -> Event {
    // Strings and numbers in fixed shapes always encode; if one ever did not, the client hears of it.
    match serde_json::to_string(chunk) {
        Ok(json) => Event::default().data(json),
        Err(_) => Event::default().data(ApiError::AnswerBroke.to_json().to_string()),
    }
}
