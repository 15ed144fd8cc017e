//! Answers as a stream of bytes in some dialect. If the client hangs up, the body is dropped and with it the questions.
//!
//! It must not know what the bytes mean: a [`Voice`] writes them.

use super::{Answers, Part, Piece};
use crate::ApiError;
use ainonymous_node::{AnswerDone, AnswerHead};
use axum::body::{Body, Bytes};
use axum::http::{header, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures::{stream, FutureExt as _};
use serde_json::Value;
use std::convert::Infallible;
use std::time::Duration;

/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Most pieces of answers that go as one write.
const GATHERED_MAX: usize = 64;

/// How a dialect writes a stream. Every method appends to `out`.
pub(crate) trait Voice: Send + 'static {
    /// Before the first piece.
    fn begin(&mut self, out: &mut String);
    /// So many questions are before this one.
    fn queued(&mut self, _position: u32, _out: &mut String) {}
    /// The next piece of an answer.
    fn part(&mut self, index: usize, part: Part, out: &mut String);
    /// The end of one answer.
    fn done(&mut self, index: usize, head: &AnswerHead, done: &AnswerDone, out: &mut String);
    /// After the end of all answers.
    fn end(&mut self, out: &mut String);
    /// Instead of the end: nothing follows.
    fn fail(&mut self, error: &ApiError, out: &mut String);
    /// Nothing happened for a while.
    fn idle(&mut self, _out: &mut String) {}
}

/// What the stream consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    /// Server-sent events.
    Events,
    /// One JSON object a line.
    Lines,
}

/// Streams answers: a first piece at once, then as they come.
pub(crate) fn respond(answers: Answers, voice: impl Voice, format: Format) -> Response {
    let rest = Rest { answers, voice, begun: false, ended: false };
    let bytes = stream::unfold(rest, |mut rest| async move {
        let out = rest.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(out)), rest))
    });
    let mut response = Body::from_stream(bytes).into_response();
    let headers = response.headers_mut();
    let content_type = match format {
        Format::Events => "text/event-stream",
        Format::Lines => "application/x-ndjson",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // For proxies that would collect the stream.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What is still to be sent.
struct Rest<V> {
    answers: Answers,
    voice: V,
    begun: bool,
    ended: bool,
}

impl<V: Voice> Rest<V> {
    /// The next bytes; none after the end. What is there already goes with them: each write costs more than a piece.
    async fn next(&mut self) -> Option<String> {
        let mut out = String::new();
        if !self.begun {
            self.begun = true;
            self.voice.begin(&mut out);
        }
        while out.is_empty() {
            if self.ended {
                return None;
            }
            match tokio::time::timeout(KEEP_ALIVE, self.answers.next()).await {
                Err(_) => self.voice.idle(&mut out),
                Ok(None) => {
                    self.ended = true;
                    self.voice.end(&mut out);
                }
                Ok(Some((index, piece))) => self.write(index, piece, &mut out),
            }
        }
        for _ in 1..GATHERED_MAX {
            if self.ended {
                break;
            }
            match self.answers.next().now_or_never() {
                Some(Some((index, piece))) => self.write(index, piece, &mut out),
                Some(None) => {
                    self.ended = true;
                    self.voice.end(&mut out);
                }
                None => break,
            }
        }
        Some(out)
    }

    fn write(&mut self, index: usize, piece: Result<Piece, ApiError>, out: &mut String) {
        match piece {
            Ok(Piece::Queued(position)) => self.voice.queued(position, out),
            Ok(Piece::Part(part)) => self.voice.part(index, part, out),
            Ok(Piece::Done(done)) => self.voice.done(index, &self.answers.heads[index], &done, out),
            Err(error) => {
                self.ended = true;
                tracing::debug!(code = error.code(), "an answer failed in the middle");
                self.voice.fail(&error, out);
            }
        }
    }
}

/// Appends an event without a name.
pub(crate) fn data(out: &mut String, data: &Value) {
    text_data(out, &[&data.to_string()]);
}

/// The same of the parts of a JSON text.
pub(crate) fn text_data(out: &mut String, parts: &[&str]) {
    // JSON has no line ends of its own, so an event stays one.
    out.push_str("data: ");
    parts.iter().for_each(|part| out.push_str(part));
    out.push_str("\n\n");
}

/// Appends an event with its name.
pub(crate) fn event(out: &mut String, name: &str, value: &Value) {
    out.push_str("event: ");
    out.push_str(name);
    out.push('\n');
    data(out, value);
}

/// Appends a comment, which clients skip.
pub(crate) fn comment(out: &mut String, text: &str) {
    out.push_str(": ");
    out.push_str(text);
    out.push_str("\n\n");
}
