//! Questions that wait on the DHT: for peers that are not online at the same time. The requester writes a sealed
//! request for one provider; the provider finds it by polling or by signal, and writes the sealed answer.

use crate::auditing::{self, Consent};
use crate::choosing::{self, Chosen};
use crate::evidence::{self, Said};
use crate::node::{lock, Node};
use crate::requester::Requester;
use crate::routing::{ask_error, done, events as events_of, to_travel, Inbox, Prepared};
use crate::serving::{accept, ended_at_us, now_us, Arrived, Taken};
use crate::signing::{sign_and_keep_posted, Refusal};
use crate::store::{Finished, Pending, PostedRecord};
use crate::{
    opening, publishing, receipts, size, AnswerEvent, AnswerHead, AnswerStream, AskError, AskRequest, Hiding,
    NodeError, Route,
};
use ainonymous_conductor::Conductor;
use ainonymous_engine::Event;
use ainonymous_protocol::timing::SIGNALS;
use ainonymous_protocol::{plan_batches, AnswerEnd, Asked, Effect, Question};
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, AnswerInput, BatchProof, Done, EntryHash, OpenRequest, PeerSignal, PostedAnswer,
    PostedQuestion, RefuseReason, RequestId, RequestInput, SendSignal, TokenChunk,
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

/// Posted requests answered at once, so that interactive questions find room.
const ANSWERING_MAX: usize = 4;
/// The same for one requester.
const ANSWERING_PER_REQUESTER_MAX: usize = 2;
/// A request that fails this often is given up: it would fail for ever.
const ATTEMPTS_MAX: u32 = 3;
/// Failures remembered at once.
const ATTEMPTS_KEPT_MAX: usize = 4_096;
/// How often an announced request is looked for before polling takes over.
const OPEN_ATTEMPTS: u32 = 20;
/// Pause between two of these looks.
const OPEN_PAUSE: Duration = Duration::from_millis(250);

/// Posted questions in hand, on both sides.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    waiting: Mutex<HashMap<ActionHash, RequestId>>,
    opening: Mutex<HashSet<ActionHash>>,
    answering: Mutex<HashMap<ActionHash, AgentPubKey>>,
    attempts: Mutex<HashMap<ActionHash, u32>>,
}

/// The question that waits for the answer to this request.
pub(crate) fn waiting_id(node: &Node, request: &ActionHash) -> Option<RequestId> {
    lock(&node.inner.posted.waiting).get(request).copied()
}

/// Posts a question to one provider.
pub(crate) async fn ask(node: &Node, request: AskRequest) -> Result<AnswerStream, AskError> {
    let conductor = node.conductor().ok_or_else(|| node.not_ready())?;
    let found = node.inner.directory.candidates(node, request.model.as_deref(), request.provider.as_ref()).await?;
    let input = to_travel(&request.question)?;
    if input.more.as_deref().is_some_and(|more| more.logprobs.is_some()) {
        // The answer is one entry, which has no room for them.
        return Err(AskError::NotThisWay { what: "log-probabilities", way: "the DHT" });
    }
    if size::bytes(&input) > limits::SEALED_REQUEST_BYTES_MAX {
        return Err(AskError::NotThisWay { what: "a question of this size", way: "the DHT" });
    }
    let chosen = choosing::order(node, found, &input, &request.demands, false).await?;
    let Some(Chosen { candidate, reason, slow_us: _ }) = chosen.first() else {
        return Err(AskError::NoProvider { model: request.model.unwrap_or_else(|| "any model".into()) });
    };
    let prepared = Prepared::new(input, &node.inner.auditing.terms(node, &candidate.agent));
    let inbox = Inbox::open(node, prepared.id);
    let (ask, asked) = prepared.ask(candidate);
    let question = PostedQuestion {
        id: ask.id,
        input: ask.input,
        salt: ask.salt,
        session_key: ask.session_key,
        audit: ask.audit,
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
    keep_record(node, &action, &asked, candidate.spec.clone())?;
    let kept = prepared.keep(node, candidate, Hiding::No, true);
    opening::keep(node, &kept);
    lock(&node.inner.posted.waiting).insert(action.clone(), prepared.id);
    let head = AnswerHead {
        id: prepared.id,
        model: candidate.model_id.clone(),
        provider: Some(candidate.agent.to_string()),
        route: Route::Posted,
        reason: Some(*reason),
        request: Some(action.to_string()),
        spec: Some(candidate.spec.clone()),
    };
    let (events, receiver) = mpsc::channel(4);
    let waits = Waits { asked, kept, action, prepared, consent: Consent::of(node, &request) };
    node.spawn(wait_for_answer(node.clone(), conductor, inbox, waits, events));
    Ok(AnswerStream { head, events: receiver })
}

/// Fetches the answer to an earlier posted request of this node and checks it like any other.
pub(crate) async fn fetch(node: &Node, request: ActionHash) -> Result<Option<PostedAnswer>, AskError> {
    let conductor = node.conductor().ok_or_else(|| node.not_ready())?;
    let Some(answer) = conductor.get_answer(request.clone()).await? else { return Ok(None) };
    // Without the question's salt nothing can be checked, and what cannot be checked is not handed out.
    let record = node.inner.store.posted(&request)?;
    let Some(record) = record else { return Err(AskError::UnknownPosted { request: request.to_string() }) };
    let PostedRecord { id, provider, spec, session_key, salt, commitment, audit, max_tokens } = record;
    let asked = Asked {
        id,
        provider: provider.clone(),
        spec: spec.entry,
        session_key,
        salt,
        commitment,
        audit,
        max_tokens,
        begun_tokens: 0,
    };
    match judge(asked, answer.clone()).pop() {
        Some(Effect::Failed(failure)) => Err(ask_error(failure, &provider)),
        _ => {
            node.inner.receipts.keep(id, id, answer.receipt.clone());
            if let Some(kept) = node.asked(id).filter(|kept| kept.answer.is_none()) {
                // What was said with the question about auditors is not known any more.
                keep_answer(node, kept, &answer, Consent::NONE);
            }
            let proof = answer.proof.clone();
            node.spawn(receipts::on_published(node.clone(), conductor, provider, id, proof));
            Ok(Some(answer))
        }
    }
}

/// Looks for open requests again and again: a signal may have been lost, or the node was away.
pub(crate) async fn poll(node: Node, conductor: Conductor) {
    loop {
        if can_answer(&node) {
            match conductor.get_open_requests().await {
                Ok(open) => {
                    for request in open {
                        node.spawn_answer(answer(node.clone(), conductor.clone(), request));
                    }
                }
                Err(e) => tracing::debug!(error = %e, "open requests could not be read"),
            }
        }
        tokio::time::sleep(node.inner.habits.poll_interval).await;
    }
}

/// A node that has not announced its models yet would refuse what it can answer in a moment.
fn can_answer(node: &Node) -> bool {
    node.inner.habits.share && *node.inner.directory.announced().borrow() && !node.inner.engines.shared().is_empty()
}

/// A peer says that it has posted a request for us. The signal is faster than the DHT: the entry is looked for a while.
pub(crate) fn on_posted(node: &Node, conductor: Conductor, request: ActionHash) {
    if !can_answer(node) || !lock(&node.inner.posted.opening).insert(request.clone()) {
        return;
    }
    let (node2, named) = (node.clone(), request.clone());
    let taken = node.spawn_signal_work(async move {
        let opened = open(&conductor, &request).await;
        lock(&node2.inner.posted.opening).remove(&request);
        if let Some(open) = opened {
            node2.spawn_answer(answer(node2.clone(), conductor, open));
        }
    });
    if !taken {
        lock(&node.inner.posted.opening).remove(&named);
    }
}

async fn open(conductor: &Conductor, request: &ActionHash) -> Option<OpenRequest> {
    for _ in 0..OPEN_ATTEMPTS {
        match conductor.open_request(request.clone()).await {
            Ok(Some(open)) => return Some(open),
            Ok(None) => tokio::time::sleep(OPEN_PAUSE).await,
            Err(e) => {
                tracing::debug!(error = %e, "a posted request cannot be opened; it will be polled");
                return None;
            }
        }
    }
    tracing::debug!("a posted request was announced but is not on the DHT; it will be polled");
    None
}

fn keep_record(
    node: &Node,
    action: &ActionHash,
    asked: &Asked,
    spec: ainonymous_types::SpecRef,
) -> Result<(), NodeError> {
    let record = PostedRecord {
        id: asked.id,
        provider: asked.provider.clone(),
        spec,
        session_key: asked.session_key,
        salt: asked.salt,
        commitment: asked.commitment,
        audit: asked.audit,
        max_tokens: asked.max_tokens,
    };
    node.inner.store.put_posted(action, &record)
}

/// Keeps the answer with the question that was posted, when it is seen first.
fn keep_answer(node: &Node, mut asked: evidence::Asked, answer: &PostedAnswer, consent: Consent) {
    let PostedAnswer { text, tokens, more, receipt, proof: _ } = answer;
    let said = Said { tokens: tokens.clone(), text: text.clone(), more: more.clone() };
    asked.answer = Some(evidence::Answered::new(said, receipt.clone(), &[]));
    opening::keep(node, &asked);
    auditing::on_answered(node, &asked, consent);
}

/// Checks an answer exactly as one that came by signals, and hands it out.
fn judge(asked: Asked, answer: PostedAnswer) -> Vec<Effect> {
    let PostedAnswer { text, tokens, more, receipt, proof: _ } = answer;
    let (id, from) = (asked.id, asked.provider.clone());
    let mut question = Question::new(asked, SIGNALS, 0);
    let mut effects = question.on_signal(&from, PeerSignal::Tokens(TokenChunk { id, chunk: 0, text, tokens, more }), 0);
    let done = Done { id, chunks: 1, receipt, cached_tokens: 0, stopped_by: None, first_token_us: 0, decode_us: 0 };
    effects.extend(question.on_signal(&from, PeerSignal::Done(done), 0));
    effects
}

/// A posted question whose answer somebody waits for.
struct Waits {
    asked: Asked,
    kept: evidence::Asked,
    action: ActionHash,
    prepared: Prepared,
    consent: Consent,
}

async fn wait_for_answer(
    node: Node,
    conductor: Conductor,
    mut inbox: Inbox,
    waits: Waits,
    events: mpsc::Sender<Result<AnswerEvent, AskError>>,
) {
    let Waits { asked, kept, action, prepared, consent } = waits;
    let mut kept = Some(kept);
    let provider = asked.provider.clone();
    let outcome = tokio::select! {
        found = look(&conductor, &mut inbox, &action, &provider) => found,
        () = tokio::time::sleep(WAIT_MAX) => {
            Err(AskError::AnswerPending { request: action.to_string(), waited_s: WAIT_MAX.as_secs() })
        }
        () = events.closed() => Err(AskError::Draining),
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
    let whole = answer.clone();
    for effect in judge(asked, answer) {
        let told: Vec<Result<AnswerEvent, AskError>> = match effect {
            Effect::Part(chunk) => events_of(chunk).into_iter().map(Ok).collect(),
            Effect::Answered(answered) => {
                let done = done(&answered, Route::Posted, prepared.started.elapsed(), vec![], whole.tokens.clone());
                node.inner.receipts.keep(id, id, answered.receipt);
                if let Some(kept) = kept.take() {
                    keep_answer(&node, kept, &whole, consent);
                }
                node.spawn(receipts::on_published(
                    node.clone(),
                    conductor.clone(),
                    provider.clone(),
                    id,
                    proof.clone(),
                ));
                vec![Ok(AnswerEvent::Done(Box::new(done)))]
            }
            Effect::Failed(failure) => vec![Err(ask_error(failure, &provider))],
            Effect::Resend(_) | Effect::AskAgain | Effect::Queued(_) => continue,
        };
        for event in told {
            if events.send(event).await.is_err() {
                return;
            }
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
        let next_look = tokio::time::Instant::now() + LOOK_EVERY;
        while let Ok(Some((from, signal))) = tokio::time::timeout_at(next_look, inbox.signals.recv()).await {
            match signal {
                PeerSignal::Refused { reason, detail, .. } if from == *provider => {
                    return Err(AskError::Refused { provider: provider.to_string(), reason, detail });
                }
                PeerSignal::AnswerPosted { .. } if from == *provider => break,
                // What others say does not make us look.
                _ => {}
            }
        }
    }
}

/// Answers one posted request, once.
async fn answer(node: Node, conductor: Conductor, open: OpenRequest) {
    let action = open.action.clone();
    if open.expires_at <= now_us() || !begin(&node, &action, &open.requester) {
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
            Ok(())
        }
    };
    match outcome {
        Ok(()) => settle(&node, &action),
        Err((id, reason, detail)) => {
            node.inner.counts.refused.fetch_add(1, Ordering::Relaxed);
            if is_final(&node, &action, reason) {
                settle(&node, &action);
                let refused = PeerSignal::Refused { id, reason, detail };
                if let Err(e) = conductor.send_signal(SendSignal { to: vec![requester], signal: refused }).await {
                    tracing::debug!(error = %e, "a requester could not be told of a refusal");
                }
            }
        }
    }
    lock(&node.inner.posted.answering).remove(&action);
}

/// Takes a request in hand, unless it is in hand, settled, or too many are.
fn begin(node: &Node, action: &ActionHash, requester: &AgentPubKey) -> bool {
    let mut answering = lock(&node.inner.posted.answering);
    let of_requester = answering.values().filter(|r| *r == requester).count();
    if answering.len() >= ANSWERING_MAX || of_requester >= ANSWERING_PER_REQUESTER_MAX {
        return false;
    }
    // A store that cannot be read settles nothing: better no answer now than the same one again and again.
    let settled = node.inner.store.is_settled(action).unwrap_or(true);
    !settled && answering.insert(action.clone(), requester.clone()).is_none()
}

/// Whatever comes now, this request is done with.
fn settle(node: &Node, action: &ActionHash) {
    lock(&node.inner.posted.attempts).remove(action);
    if let Err(e) = node.inner.store.put_settled(action) {
        tracing::error!(error = %e, hint = e.hint(), "a posted request could not be noted as done");
    }
}

/// What can never change is final; what may be better next time is tried again, a few times. An answer that is signed is posted as long as
/// there is somebody to post it to.
fn is_final(node: &Node, action: &ActionHash, reason: RefuseReason) -> bool {
    if node.inner.store.finished(action).is_ok_and(|finished| finished.is_some()) {
        return false;
    }
    match reason {
        RefuseReason::Malformed | RefuseReason::PromptTooLong | RefuseReason::CannotSee => true,
        RefuseReason::Busy | RefuseReason::Draining => false,
        RefuseReason::UnknownModel
        | RefuseReason::EngineFailed
        | RefuseReason::UnknownRequest
        | RefuseReason::NotAdmitted
        | RefuseReason::MustBeKnown => {
            let mut attempts = lock(&node.inner.posted.attempts);
            if attempts.len() >= ATTEMPTS_KEPT_MAX {
                attempts.clear();
            }
            let count = attempts.entry(action.clone()).or_insert(0);
            *count += 1;
            *count >= ATTEMPTS_MAX
        }
    }
}

async fn answer_question(
    node: &Node,
    conductor: &Conductor,
    action: &ActionHash,
    requester: AgentPubKey,
    spec: EntryHash,
    question: PostedQuestion,
) -> Result<(), Refusal> {
    if !node.inner.members.admits(conductor, &requester).await {
        return Err((RefuseReason::NotAdmitted, String::new()));
    }
    let signed = node.inner.store.finished(action).map_err(|e| {
        tracing::error!(error = %e, hint = e.hint(), "it cannot be read whether a posted request is answered");
        failed("store")
    })?;
    // What was signed before, and could not be posted, is not computed again: nobody would sign for it.
    let finished = match signed {
        Some(finished) => finished,
        None => compute(node, conductor, action, requester, spec, question).await?,
    };
    let proof = place(node, conductor, &finished.pending).await?;
    let Finished { pending, text, tokens, more } = finished;
    let answer = PostedAnswer { text, tokens, more, receipt: pending.receipt, proof };
    let input = AnswerInput { request: action.clone(), answer };
    conductor.create_answer(input).await.map_err(|e| {
        tracing::warn!(error = %e, "an answer could not be posted; trying again at the next poll");
        failed("the answer could not be posted")
    })?;
    node.inner.counts.answered.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Answers a posted question and signs for it.
async fn compute(
    node: &Node,
    conductor: &Conductor,
    action: &ActionHash,
    requester: AgentPubKey,
    spec: EntryHash,
    question: PostedQuestion,
) -> Result<Finished, Refusal> {
    let PostedQuestion { id, input, salt, session_key, audit, signature } = question;
    let arrived = Arrived { id, spec, input, salt, session_key, audit, signature };
    let mut taken = accept(node, Requester::Agent(requester), arrived, SIGNALS)?;
    let end = run_to_end(&mut taken).await?;
    let (_, receipt) = taken.answering.finish(conductor.agent(), end, 0);
    sign_and_keep_posted(node, conductor, &mut taken, receipt, action).await
}

/// Where a receipt stands on the DHT; it is put there if it is not there yet.
async fn place(node: &Node, conductor: &Conductor, pending: &Pending) -> Result<BatchProof, Refusal> {
    let _one_at_a_time = node.inner.publishing.lock().await;
    let unreadable = |e: NodeError| {
        tracing::error!(error = %e, hint = e.hint(), "receipts cannot be read");
        failed("store")
    };
    if !node.inner.store.is_pending(pending.id).map_err(unreadable)? {
        return node.inner.store.published(pending.id).map_err(unreadable)?.ok_or_else(|| failed("proof"));
    }
    let batch = plan_batches(&[pending.to_plan()]).pop().ok_or_else(|| failed("batch"))?;
    let (_, proofs) = publishing::publish_batch(node, conductor, std::slice::from_ref(pending), batch)
        .await
        .ok_or_else(|| failed("the receipt could not be published"))?;
    proofs.into_iter().next().map(|(_, proof)| proof).ok_or_else(|| failed("proof"))
}

fn failed(what: &str) -> Refusal {
    (RefuseReason::EngineFailed, what.to_owned())
}

async fn run_to_end(taken: &mut Taken) -> Result<AnswerEnd, (RefuseReason, String)> {
    while let Some(event) = taken.generation.events.recv().await {
        match event {
            Event::Queued { .. } | Event::Started { .. } => {}
            Event::Token { id, text, more } => {
                let more = taken.record(id, more);
                let _ = taken.answering.on_token(id, &text, more, 0);
                if taken.answering.is_full() {
                    return Err((RefuseReason::EngineFailed, "the answer is too long".into()));
                }
            }
            Event::Finished(f) => {
                return Ok(AnswerEnd {
                    finish: f.finish,
                    prompt_tokens: f.prompt_tokens,
                    cached_tokens: f.cached_tokens,
                    stopped_by: f.stopped_by,
                    finished_at: ended_at_us(taken.clock.elapsed()),
                    fingerprint: taken.fingerprint(),
                    decode_us: f.decode_us,
                });
            }
            Event::Failed(e) => return Err(crate::serving::refusal(&e)),
        }
    }
    Err((RefuseReason::EngineFailed, String::new()))
}
