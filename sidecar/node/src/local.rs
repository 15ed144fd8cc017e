//! Questions that the node's own engine answers: no network, no receipt.

use crate::engines::{model_id, Loaded};
use crate::node::Node;
use crate::routing::micros;
use crate::{AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskError, Route};
use ainonymous_engine::{EmbedQuestion, Embeddings, Event, Generation, Question};
use ainonymous_types::RequestId;
use std::time::Instant;
use tokio::sync::mpsc;

/// Parts of an answer that wait for its reader.
const OUTBOX: usize = 256;

pub(crate) fn ask(node: &Node, loaded: &Loaded, question: Question) -> Result<AnswerStream, AskError> {
    let generation = loaded.engine.generate(question)?;
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

/// Vectors are made by this node alone: what is embedded travels nowhere.
pub(crate) async fn embed(
    node: &Node,
    wanted: Option<&str>,
    question: EmbedQuestion,
) -> Result<(String, Embeddings), AskError> {
    match node.inner.engines.named(wanted) {
        Ok(Some(loaded)) => Ok((model_id(&loaded.model), loaded.engine.embed(question).await?)),
        Err(loading) => Err(AskError::ModelLoading { model: loading }),
        Ok(None) => Err(unknown_here(node, wanted)),
    }
}

/// None of this node's models has that name.
pub(crate) fn unknown_here(node: &Node, wanted: Option<&str>) -> AskError {
    AskError::UnknownModel {
        model: wanted.unwrap_or("any model").into(),
        known: node.inner.engines.loaded().iter().map(|(_, l)| model_id(&l.model)).collect(),
    }
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
            Some(Event::Token { text, more, .. }) => {
                first_text_us.get_or_insert_with(|| micros(started.elapsed()));
                sender.send(Ok(AnswerEvent::Text { text, tokens: 1, more })).await
            }
            Some(Event::Finished(f)) => {
                let engine_first_us = f.queue_us.saturating_add(f.prefill_us);
                let done = AnswerDone {
                    finish: f.finish,
                    prompt_tokens: f.prompt_tokens,
                    cached_tokens: f.cached_tokens,
                    stopped_by: f.stopped_by,
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
