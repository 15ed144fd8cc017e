//! Questions that wait on the DHT: for peers that are not online at the same time. The requester writes a sealed
//! request for one provider; the provider finds it by polling or by signal, and writes the sealed answer.

use crate::node::{lock, Node};
use crate::routing::{ask_error, done, Inbox, Prepared};
use crate::serving::{accept, now_us, sign_and_keep, Arrived, Taken};
use crate::store::PostedRecord;
use crate::{publishing, receipts, AnswerEvent, AnswerHead, AnswerStream, AskError, AskRequest, Route};
use ainonymous_conductor::Conductor;
use ainonymous_engine::Event;
use ainonymous_protocol::{plan_batches, AnswerEnd, Asked, Effect, Question};
use ainonymous_types::{
    ActionHash, AgentPubKey, AnswerInput, Done, EntryHash, OpenRequest, PeerSignal, PostedAnswer, PostedQuestion,
    RefuseReason, RequestId, RequestInput, SendSignal, TokenChunk,
};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a posted request stays open: one day, in microseconds.
const OPEN_FOR_US: i64 = 24 * 3600 * 1_000_000;
/// How long an asker waits for the answer before it is told to come back.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Pause between two looks for an answer.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often an announced request is looked for before polling takes over.
const OPEN_ATTEMPTS: u32 = 20;
/// Pause between two of these looks.
const OPEN_PAUSE: Duration = Duration::from_millis(250);

/// Posted questions in hand, on both sides.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    waiting: Mutex<HashMap<ActionHash, RequestId>>,
    answering: Mutex<HashSet<ActionHash>>,
}

/// The question that waits for the answer to this request.
pub(crate) fn waiting_id(node: &Node, request: &ActionHash) -> Option<RequestId> {
    lock(&node.inner.posted.waiting).get(request).copied()
}

/// Posts a question to one provider.
pub(crate) async fn ask(node: &Node, request: AskRequest) -> Result<AnswerStream, AskError> {
    let conductor = node.conductor().ok_or_else(|| node.not_ready())?;
    let candidates = node.inner.directory.candidates(node, request.model.as_deref(), request.provider.as_ref()).await?;
    let candidate = &candidates[0];
    let prepared = Prepared::new(request.input);
    let inbox = Inbox::open(node, prepared.id);
    let (ask, asked) = prepared.ask(candidate);
    let question = PostedQuestion {
        id: ask.id,
        input: ask.input,
        salt: ask.salt,
        session_key: ask.session_key,
        signature: ask.signature,
    };
    let action = conductor
        .create_request(RequestInput {
            capability: candidate.capability.clone(),
            spec: candidate.spec.clone(),
            question,
            expires_at: now_us().saturating_add(OPEN_FOR_US),
        })
        .await?;
    keep_record(node, &action, &asked, candidate.spec.clone());
    lock(&node.inner.posted.waiting).insert(action.clone(), prepared.id);
    let head = AnswerHead {
        id: prepared.id,
        model: candidate.model_id.clone(),
        provider: Some(candidate.agent.to_string()),
        route: Route::Posted,
        spec: Some(candidate.spec.clone()),
    };
    let (events, receiver) = mpsc::channel(4);
    node.spawn(wait_for_answer(node.clone(), conductor, inbox, asked, action, prepared, events));
    Ok(AnswerStream { head, events: receiver })
}

/// Fetches the answer to an earlier posted request of this node and checks it like any other.
pub(crate) async fn fetch(node: &Node, request: ActionHash) -> Result<Option<PostedAnswer>, AskError> {
    let conductor = node.conductor().ok_or_else(|| node.not_ready())?;
    let Some(answer) = conductor.get_answer(request.clone()).await? else { return Ok(None) };
    let Ok(Some(record)) = node.inner.store.posted(&request) else { return Ok(Some(answer)) };
    let PostedRecord { id, provider, spec, session_key, salt, commitment, max_tokens } = record;
    let asked = Asked { id, provider: provider.clone(), spec: spec.entry, session_key, salt, commitment, max_tokens };
    match judge(asked, answer.clone()).pop() {
        Some(Effect::Failed(failure)) => Err(ask_error(failure, &provider)),
        _ => {
            node.inner.receipts.keep(id, answer.receipt.clone());
            let proof = answer.proof.clone();
            node.spawn(receipts::on_published(node.clone(), conductor, provider, id, proof));
            Ok(Some(answer))
        }
    }
}

/// Looks for open requests again and again: a signal may have been lost, or the node was away.
pub(crate) async fn poll(node: Node, conductor: Conductor) {
    loop {
        if node.inner.share && !node.inner.engines.loaded().is_empty() {
            match conductor.get_open_requests().await {
                Ok(open) => {
                    for request in open {
                        node.spawn(answer(node.clone(), conductor.clone(), request));
                    }
                }
                Err(e) => tracing::debug!(error = %e, "open requests could not be read"),
            }
        }
        tokio::time::sleep(node.inner.poll_interval).await;
    }
}

/// A peer says that it has posted a request for us. The signal is faster than the DHT: the entry is looked for a while.
pub(crate) fn on_posted(node: &Node, conductor: Conductor, request: ActionHash) {
    let node2 = node.clone();
    node.spawn(async move {
        for _ in 0..OPEN_ATTEMPTS {
            match conductor.open_request(request.clone()).await {
                Ok(Some(open)) => return answer(node2, conductor, open).await,
                Ok(None) => {}
                Err(e) => tracing::debug!(error = %e, "a posted request cannot be opened yet"),
            }
            tokio::time::sleep(OPEN_PAUSE).await;
        }
        tracing::debug!("a posted request was announced but is not on the DHT; it will be polled");
    });
}

fn keep_record(node: &Node, action: &ActionHash, asked: &Asked, spec: ainonymous_types::SpecRef) {
    let record = PostedRecord {
        id: asked.id,
        provider: asked.provider.clone(),
        spec,
        session_key: asked.session_key,
        salt: asked.salt,
        commitment: asked.commitment,
        max_tokens: asked.max_tokens,
    };
    if let Err(e) = node.inner.store.put_posted(action, &record) {
        tracing::warn!(error = %e, hint = e.hint(), "a posted question could not be noted");
    }
}

/// Checks an answer exactly as one that came by signals, and hands it out.
fn judge(asked: Asked, answer: PostedAnswer) -> Vec<Effect> {
    let PostedAnswer { text, tokens, receipt, proof: _ } = answer;
    let (id, from) = (asked.id, asked.provider.clone());
    let mut question = Question::new(asked, 0);
    let mut effects = question.on_signal(&from, PeerSignal::Tokens(TokenChunk { id, chunk: 0, text, tokens }), 0);
    let done = Done { id, chunks: 1, receipt, first_token_us: 0, decode_us: 0 };
    effects.extend(question.on_signal(&from, PeerSignal::Done(done), 0));
    effects
}

async fn wait_for_answer(
    node: Node,
    conductor: Conductor,
    mut inbox: Inbox,
    asked: Asked,
    action: ActionHash,
    prepared: Prepared,
    events: mpsc::Sender<Result<AnswerEvent, AskError>>,
) {
    let provider = asked.provider.clone();
    let outcome = tokio::select! {
        found = look(&conductor, &mut inbox, &action, &provider) => found,
        () = tokio::time::sleep(WAIT_MAX) => {
            Err(AskError::AnswerPending { request: action.to_string(), waited_s: WAIT_MAX.as_secs() })
        }
        () = events.closed() => return,
    };
    lock(&node.inner.posted.waiting).remove(&action);
    let answer = match outcome {
        Ok(answer) => answer,
        Err(e) => {
            let _ = events.send(Err(e)).await;
            return;
        }
    };
    let (id, proof) = (asked.id, answer.proof.clone());
    for effect in judge(asked, answer) {
        let event = match effect {
            Effect::Text(text, tokens) => Ok(AnswerEvent::Text { text, tokens }),
            Effect::Answered(answered) => {
                let done = done(&answered, prepared.started.elapsed());
                node.inner.receipts.keep(id, answered.receipt);
                node.spawn(receipts::on_published(
                    node.clone(),
                    conductor.clone(),
                    provider.clone(),
                    id,
                    proof.clone(),
                ));
                Ok(AnswerEvent::Done(Box::new(done)))
            }
            Effect::Failed(failure) => Err(ask_error(failure, &provider)),
            Effect::Resend(_) | Effect::AskAgain | Effect::Queued(_) => continue,
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// Resolves when the answer is there, or the provider refuses.
async fn look(
    conductor: &Conductor,
    inbox: &mut Inbox,
    action: &ActionHash,
    provider: &AgentPubKey,
) -> Result<PostedAnswer, AskError> {
    loop {
        match conductor.get_answer(action.clone()).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(e) => tracing::debug!(error = %e, "an answer could not be looked for"),
        }
        if let Ok(Some((from, signal))) = tokio::time::timeout(LOOK_EVERY, inbox.signals.recv()).await {
            match signal {
                PeerSignal::Refused { reason, detail, .. } if from == *provider => {
                    return Err(AskError::Refused { provider: provider.to_string(), reason, detail });
                }
                _ => {}
            }
        }
    }
}

/// Answers one posted request, once.
async fn answer(node: Node, conductor: Conductor, open: OpenRequest) {
    let action = open.action.clone();
    let refused = node.inner.store.is_refused(&action).unwrap_or(false);
    if refused || open.expires_at <= now_us() || !lock(&node.inner.posted.answering).insert(action.clone()) {
        return;
    }
    let OpenRequest { requester, spec, question, .. } = open;
    let outcome = match question {
        Ok(question) => {
            let id = question.id;
            answer_question(&node, &conductor, &action, requester.clone(), spec, question)
                .await
                .map_err(|(reason, detail)| (id, reason, detail))
        }
        Err(problem) => {
            tracing::debug!(problem, "a posted request cannot be opened");
            let _ = node.inner.store.put_refused(&action);
            Ok(())
        }
    };
    if let Err((id, reason, detail)) = outcome {
        node.inner.counts.refused.fetch_add(1, Ordering::Relaxed);
        if !matches!(reason, RefuseReason::Busy | RefuseReason::Draining | RefuseReason::EngineFailed) {
            let _ = node.inner.store.put_refused(&action);
            let refused = PeerSignal::Refused { id, reason, detail };
            if let Err(e) = conductor.send_signal(SendSignal { to: vec![requester], signal: refused }).await {
                tracing::debug!(error = %e, "a requester could not be told of a refusal");
            }
        }
    }
    lock(&node.inner.posted.answering).remove(&action);
}

async fn answer_question(
    node: &Node,
    conductor: &Conductor,
    action: &ActionHash,
    requester: AgentPubKey,
    spec: EntryHash,
    question: PostedQuestion,
) -> Result<(), (RefuseReason, String)> {
    let PostedQuestion { id, input, salt, session_key, signature } = question;
    let arrived = Arrived { id, spec, input, salt, session_key, signature };
    let mut taken = accept(node, requester, arrived)?;
    let end = run_to_end(&mut taken).await?;
    let (_, receipt) = taken.answering.finish(conductor.agent(), end, 0);
    let (signed, pending) =
        sign_and_keep(node, conductor, &taken, receipt).await.map_err(|reason| (reason, String::new()))?;
    let failed = |what: &str| (RefuseReason::EngineFailed, what.to_string());
    let batch = plan_batches(&[pending.to_plan()]).pop().ok_or_else(|| failed("batch"))?;
    let (_, proofs) = publishing::publish_batch(node, conductor, &[pending], batch)
        .await
        .ok_or_else(|| failed("the receipt could not be published"))?;
    let proof = proofs.into_iter().next().map(|(_, proof)| proof).ok_or_else(|| failed("proof"))?;
    let answer = PostedAnswer {
        text: taken.answering.whole_text(),
        tokens: taken.answering.all_tokens(),
        receipt: signed,
        proof,
    };
    let input = AnswerInput { request: action.clone(), answer };
    conductor.create_answer(input).await.map_err(|e| {
        tracing::warn!(error = %e, "an answer could not be posted; trying again at the next poll");
        failed("the answer could not be posted")
    })?;
    node.inner.counts.answered.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

async fn run_to_end(taken: &mut Taken) -> Result<AnswerEnd, (RefuseReason, String)> {
    while let Some(event) = taken.generation.events.recv().await {
        match event {
            Event::Queued { .. } | Event::Started { .. } => {}
            Event::Token { id, text } => {
                let _ = taken.answering.on_token(id, &text, 0);
                if taken.answering.is_full() {
                    return Err((RefuseReason::EngineFailed, "the answer is too long".into()));
                }
            }
            Event::Finished(f) => {
                let (finish, prompt_tokens) = (f.finish, f.prompt_tokens);
                return Ok(AnswerEnd { finish, prompt_tokens, finished_at: now_us() });
            }
            Event::Failed(e) => return Err(crate::serving::refusal(&e)),
        }
    }
    Err((RefuseReason::EngineFailed, String::new()))
}
