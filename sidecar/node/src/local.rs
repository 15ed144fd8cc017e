//! Questions that the node's own engine answers: no network, no receipt.

use crate::engines::{model_id, Loaded};
use crate::node::Node;
use crate::routing::micros;
use crate::{AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskError, Route};
use ainonymous_engine::{Event, Generation};
use ainonymous_types::{ChatInput, RequestId};
use std::time::Instant;
use tokio::sync::mpsc;

/// Parts of an answer that wait for its reader.
const OUTBOX: usize = 256;

pub(crate) fn ask(node: &Node, loaded: &Loaded, input: ChatInput) -> Result<AnswerStream, AskError> {
    let generation = loaded.engine.generate(input)?;
    let head = AnswerHead {
        id: RequestId(rand::random()),
        model: model_id(&loaded.model),
        provider: node.conductor().map(|c| c.agent().to_string()),
        route: Route::Local,
        request: None,
        spec: None,
    };
    let (sender, events) = mpsc::channel(OUTBOX);
    node.spawn_answer(forward(generation, sender, Instant::now()));
    Ok(AnswerStream { head, events })
}

async fn forward(mut generation: Generation, sender: mpsc::Sender<Result<AnswerEvent, AskError>>, started: Instant) {
    let mut first_text_us = None;
    loop {
        let event = tokio::select! {
            event = generation.events.recv() => event,
            () = sender.closed() => return,
        };
        let sent = match event {
            None => return,
            Some(Event::Queued { position }) => sender.send(Ok(AnswerEvent::Queued { position })).await,
            Some(Event::Started { .. }) => Ok(()),
            Some(Event::Token { text, .. }) => {
                first_text_us.get_or_insert_with(|| micros(started.elapsed()));
                sender.send(Ok(AnswerEvent::Text { text, tokens: 1 })).await
            }
            Some(Event::Finished(f)) => {
                let engine_first_us = f.queue_us.saturating_add(f.prefill_us);
                let done = AnswerDone {
                    finish: f.finish,
                    prompt_tokens: f.prompt_tokens,
                    completion_tokens: f.completion_tokens,
                    first_token_us: first_text_us.unwrap_or_else(|| micros(started.elapsed())),
                    decode_us: f.decode_us,
                    provider_first_token_us: engine_first_us,
                    receipt: None,
                };
                sender.send(Ok(AnswerEvent::Done(Box::new(done)))).await
            }
            Some(Event::Failed(e)) => sender.send(Err(e.into())).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
