//! The way of an answer from the node's own engine to whoever reads it.
//!
//! Every piece of text costs each later stage a wake-up, a frame and a write. So pieces that are there already when the reader
//! comes for the next one go as one; nothing is ever held back for that.

use crate::routing::micros;
use crate::{AnswerDone, AnswerEvent, AskError, Route};
use ainonymous_engine::{Event, Finished, Generation};
use std::time::Instant;
use tokio::sync::mpsc;

/// Most events of an engine that are taken at once.
const GATHERED_MAX: usize = 64;

/// Passes an answer on until it ends or nobody reads it.
pub(crate) async fn forward(
    mut generation: Generation,
    sender: mpsc::Sender<Result<AnswerEvent, AskError>>,
    started: Instant,
) {
    let mut first_text_us = None;
    let mut events = Vec::new();
    loop {
        let received = tokio::select! {
            received = generation.events.recv_many(&mut events, GATHERED_MAX) => received,
            () = sender.closed() => return,
        };
        if received == 0 {
            return;
        }
        let mut events = events.drain(..).peekable();
        while let Some(event) = events.next() {
            let told = match event {
                Event::Queued { position } => Ok(AnswerEvent::Queued { position }),
                Event::Started { .. } => continue,
                Event::Token { text, more, .. } => {
                    first_text_us.get_or_insert_with(|| micros(started.elapsed()));
                    let mut piece = (text, 1);
                    while more.is_none() && events.peek().is_some_and(is_plain_text) {
                        join(&mut piece, events.next());
                    }
                    Ok(AnswerEvent::Text { text: piece.0, tokens: piece.1, more })
                }
                Event::Finished(finished) => {
                    let first_text_us = first_text_us.unwrap_or_else(|| micros(started.elapsed()));
                    Ok(AnswerEvent::Done(Box::new(done(finished, first_text_us))))
                }
                Event::Failed(error) => Err(error.into()),
            };
            if sender.send(told).await.is_err() {
                return;
            }
        }
    }
}

/// What comes with a token belongs to that token alone.
fn is_plain_text(event: &Event) -> bool {
    matches!(event, Event::Token { more: None, .. })
}

fn join(piece: &mut (String, u32), event: Option<Event>) {
    if let Some(Event::Token { text, .. }) = event {
        piece.0.push_str(&text);
        piece.1 += 1;
    }
}

fn done(finished: Finished, first_token_us: u64) -> AnswerDone {
    AnswerDone {
        finish: finished.finish,
        prompt_tokens: finished.prompt_tokens,
        cached_tokens: finished.cached_tokens,
        stopped_by: finished.stopped_by,
        completion_tokens: finished.completion_tokens,
        begun_by: vec![],
        first_token_us,
        decode_us: finished.decode_us,
        provider_first_token_us: finished.queue_us.saturating_add(finished.prefill_us),
        route: Route::Local,
        receipt: None,
        tokens: vec![],
        agreement: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_engine::More;

    fn token(text: &str, more: Option<More>) -> Event {
        Event::Token { id: 1, text: text.into(), more: more.map(Box::new) }
    }

    /// What a reader gets who comes when everything is there.
    async fn told(events: Vec<Event>) -> Vec<(String, u32)> {
        let (engine, receiver) = mpsc::channel(events.len());
        for event in events {
            engine.try_send(event).unwrap();
        }
        drop(engine);
        let (sender, mut answer) = mpsc::channel(100);
        forward(Generation { events: receiver }, sender, Instant::now()).await;
        let mut told = Vec::new();
        while let Some(event) = answer.recv().await {
            told.push(match event {
                Ok(AnswerEvent::Text { text, tokens, .. }) => (text, tokens),
                Ok(AnswerEvent::Queued { .. }) => ("queued".into(), 0),
                Ok(AnswerEvent::Done(_)) => ("done".into(), 0),
                Err(_) => ("failed".into(), 0),
            });
        }
        told
    }

    #[tokio::test]
    async fn pieces_that_wait_go_as_one_and_keep_their_order() {
        let failed = Event::Failed(ainonymous_engine::EngineError::Draining);
        let events = vec![Event::Queued { position: 1 }, token("a", None), token("", None), token("b", None), failed];
        let expected = [("queued".to_string(), 0), ("ab".into(), 3), ("failed".into(), 0)];
        assert_eq!(told(events).await, expected);
    }

    #[tokio::test]
    async fn what_comes_with_a_token_stays_with_it() {
        let more = || Some(More::default());
        let events = vec![token("a", None), token("b", more()), token("c", None), token("d", None), token("e", more())];
        let expected = [("a".to_string(), 1), ("b".into(), 1), ("cd".into(), 2), ("e".into(), 1)];
        assert_eq!(told(events).await, expected);
    }
}
