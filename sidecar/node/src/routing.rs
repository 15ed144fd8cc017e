//! Questions of this node: choosing who answers, keeping the conversation going, and giving each arriving signal to
//! whoever waits for it.

use crate::directory::Candidate;
use crate::node::{lock, Node};
use crate::{
    local, members, posted, receipts, serving, AnswerDone, AnswerEvent, AnswerHead, AnswerStream, AskError, AskRequest,
    Route,
};
use ainonymous_conductor::Conductor;
use ainonymous_engine as engine;
use ainonymous_protocol::{sign_ask, Answered, Asked, Effect, Failure, Question};
use ainonymous_types::{AgentPubKey, Ask, Bytes32, ChatInput, LocalSignal, PeerSignal, RequestId, SendSignal};
use ainonymous_verify::{chat, commit};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Signals that wait for one question.
const INBOX: usize = 1_024;
/// Parts of an answer that wait for its reader; a slower reader slows the question, not the node.
const OUTBOX: usize = 256;
/// Providers tried before a question fails.
const CANDIDATES_MAX: usize = 3;
/// No further provider is tried after this: an asker hears within five seconds how it stands.
const SEARCH_MAX: Duration = Duration::from_secs(4);

/// Questions of this node that wait for signals.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    waiting: Mutex<HashMap<RequestId, mpsc::Sender<(AgentPubKey, PeerSignal)>>>,
}

/// Where one question receives its signals; leaving ends that.
#[derive(Debug)]
pub(crate) struct Inbox {
    node: Node,
    id: RequestId,
    pub(crate) signals: mpsc::Receiver<(AgentPubKey, PeerSignal)>,
}

impl Inbox {
    pub(crate) fn open(node: &Node, id: RequestId) -> Self {
        let (sender, signals) = mpsc::channel(INBOX);
        lock(&node.inner.routing.waiting).insert(id, sender);
        Self { node: node.clone(), id, signals }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        lock(&self.node.inner.routing.waiting).remove(&self.id);
    }
}

/// What a question consists of, besides who answers it.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) id: RequestId,
    pub(crate) salt: Bytes32,
    pub(crate) session_secret: [u8; 32],
    pub(crate) commitment: Bytes32,
    pub(crate) input: ChatInput,
    pub(crate) started: Instant,
}

impl Prepared {
    pub(crate) fn new(input: ChatInput) -> Self {
        let salt = Bytes32(rand::random());
        Self {
            id: RequestId(rand::random()),
            commitment: commit::input(&salt, &input),
            salt,
            session_secret: rand::random(),
            input,
            started: Instant::now(),
        }
    }

    pub(crate) fn ask(&self, candidate: &Candidate) -> (Ask, Asked) {
        let (session_key, signature) =
            sign_ask(&self.session_secret, &self.id, &candidate.spec.entry, &self.commitment);
        let ask = Ask {
            id: self.id,
            spec: candidate.spec.entry.clone(),
            input: self.input.clone(),
            salt: self.salt,
            session_key,
            signature,
        };
        let asked = Asked {
            id: self.id,
            provider: candidate.agent.clone(),
            spec: candidate.spec.entry.clone(),
            session_key,
            salt: self.salt,
            commitment: self.commitment,
            max_tokens: self.input.max_tokens,
        };
        (ask, asked)
    }
}

/// Asks by the way that the request names, or the best there is.
pub(crate) async fn ask(node: &Node, request: AskRequest) -> Result<AnswerStream, AskError> {
    if node.inner.draining.is_cancelled() {
        return Err(AskError::Draining);
    }
    let wanted = request.model.as_deref();
    let may_be_local = request.provider.is_none() && matches!(request.route, Route::Auto | Route::Local);
    if may_be_local {
        if let Some(loaded) = local::find(node, wanted).await? {
            return local::ask(node, &loaded, request.question);
        }
    }
    match request.route {
        Route::Local => Err(local::unknown_here(node, wanted)),
        Route::Posted => posted::ask(node, request).await,
        Route::Auto | Route::Signals => by_signals(node, request).await,
    }
}

/// Gives each signal to whoever waits for it, until the node stops.
pub(crate) async fn listen(node: Node, mut signals: broadcast::Receiver<LocalSignal>) {
    loop {
        let signal = match signals.recv().await {
            Ok(signal) => signal,
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "signals came faster than they could be handled; peers will send again");
                continue;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        match signal {
            LocalSignal::Rejected { from, reason } => {
                node.inner.counts.rejected_signals.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%from, reason, "a signal was dropped");
            }
            LocalSignal::Peer { from, signal } => dispatch(&node, from, signal),
        }
    }
}

fn dispatch(node: &Node, from: AgentPubKey, signal: PeerSignal) {
    let Some(conductor) = node.conductor() else { return };
    match signal {
        PeerSignal::Ask(ask) => members::on_ask(node, conductor, from, ask),
        PeerSignal::Cancel { id } => node.inner.serving.cancel(&from, id),
        PeerSignal::Resend { id, from_chunk } => serving::on_resend(node, conductor, from, id, from_chunk),
        PeerSignal::RequestPosted { request } => posted::on_posted(node, conductor, request),
        PeerSignal::ReceiptPublished { id, proof } => {
            node.spawn_signal_work(receipts::on_published(node.clone(), conductor, from, id, proof));
        }
        PeerSignal::AnswerPosted { ref request, .. } => {
            let waiting = posted::waiting_id(node, request);
            deliver(node, waiting, from, signal);
        }
        PeerSignal::Accepted { id, .. } | PeerSignal::Refused { id, .. } => deliver(node, Some(id), from, signal),
        PeerSignal::Tokens(ref chunk) => {
            let id = chunk.id;
            deliver(node, Some(id), from, signal);
        }
        PeerSignal::Done(ref done) => {
            let id = done.id;
            deliver(node, Some(id), from, signal);
        }
    }
}

/// A full inbox drops the signal: numbered chunks are asked for again, everything else is repeated by its sender.
fn deliver(node: &Node, id: Option<RequestId>, from: AgentPubKey, signal: PeerSignal) {
    let sender = id.and_then(|id| lock(&node.inner.routing.waiting).get(&id).cloned());
    if let Some(sender) = sender {
        let _ = sender.try_send((from, signal));
    }
}

/// A question in the form that peers can be asked, within its bounds.
pub(crate) fn to_travel(question: &engine::Question) -> Result<ChatInput, AskError> {
    let input = question.to_chat_input().map_err(|what| AskError::NotForPeers { what })?;
    chat::bounds(&input).map_err(|b| AskError::Invalid { problem: b.to_string(), code: b.code() })?;
    Ok(input)
}

async fn by_signals(node: &Node, request: AskRequest) -> Result<AnswerStream, AskError> {
    let input = to_travel(&request.question)?;
    let conductor = node.conductor().ok_or_else(|| node.not_ready())?;
    let candidates = node.inner.directory.candidates(node, request.model.as_deref(), request.provider.as_ref()).await?;
    let started = Instant::now();
    let mut last = None;
    for candidate in candidates.into_iter().take(CANDIDATES_MAX) {
        if started.elapsed() > SEARCH_MAX {
            break;
        }
        let prepared = Prepared { started, ..Prepared::new(input.clone()) };
        match try_candidate(node, &conductor, &candidate, prepared).await {
            Ok(stream) => return Ok(stream),
            Err(e) if another_may_help(&e) => {
                if matches!(e, AskError::ProviderSilent { .. }) {
                    node.inner.directory.was_silent(&candidate.agent);
                }
                last = Some(e);
            }
            Err(e) => return Err(e),
        }
    }
    Err(last.unwrap_or(AskError::NoProvider { model: request.model.unwrap_or_else(|| "any model".into()) }))
}

fn another_may_help(e: &AskError) -> bool {
    matches!(
        e.code(),
        "provider_silent"
            | "provider_busy"
            | "provider_draining"
            | "provider_lost_model"
            | "provider_engine_failed"
            | "provider_not_admitting"
    )
}

/// Asks one provider; returns when it has taken the question or has not.
async fn try_candidate(
    node: &Node,
    conductor: &Conductor,
    candidate: &Candidate,
    prepared: Prepared,
) -> Result<AnswerStream, AskError> {
    let inbox = Inbox::open(node, prepared.id);
    let (ask, asked) = prepared.ask(candidate);
    let head = AnswerHead {
        id: prepared.id,
        model: candidate.model_id.clone(),
        provider: Some(candidate.agent.to_string()),
        route: Route::Signals,
        request: None,
        spec: Some(candidate.spec.clone()),
    };
    conductor
        .send_signal(SendSignal { to: vec![candidate.agent.clone()], signal: PeerSignal::Ask(ask.clone()) })
        .await?;
    let (events, receiver) = mpsc::channel(OUTBOX);
    let (taken, was_taken) = oneshot::channel();
    let run = Run {
        node: node.clone(),
        conductor: conductor.clone(),
        provider: candidate.agent.clone(),
        ask,
        question: Question::new(asked, 0),
        clock: Instant::now(),
        started: prepared.started,
        first_text: None,
        inbox,
        events,
        taken: Some(taken),
        id: prepared.id,
    };
    node.spawn_answer(run.run());
    match was_taken.await {
        Ok(Ok(())) => Ok(AnswerStream { head, events: receiver }),
        Ok(Err(e)) => Err(e),
        Err(_) => Err(AskError::Draining),
    }
}

/// One question on its way.
#[derive(Debug)]
struct Run {
    node: Node,
    conductor: Conductor,
    provider: AgentPubKey,
    ask: Ask,
    question: Question,
    clock: Instant,
    started: Instant,
    first_text: Option<Duration>,
    inbox: Inbox,
    events: mpsc::Sender<Result<AnswerEvent, AskError>>,
    taken: Option<oneshot::Sender<Result<(), AskError>>>,
    id: RequestId,
}

impl Run {
    /// Carries the question to its end.
    async fn run(mut self) {
        while !self.question.ended() {
            let now = micros(self.clock.elapsed());
            let tick = Duration::from_micros(self.question.next_tick_us().saturating_sub(now));
            let effects = tokio::select! {
                arrived = self.inbox.signals.recv() => match arrived {
                    Some((from, signal)) => self.question.on_signal(&from, signal, micros(self.clock.elapsed())),
                    None => return,
                },
                () = tokio::time::sleep(tick) => self.question.on_tick(micros(self.clock.elapsed())),
                () = self.node.inner.cut.cancelled() => {
                    if let Some(cancel) = self.question.cancel() {
                        self.send(cancel).await;
                    }
                    self.emit(Err(AskError::Draining)).await;
                    return;
                }
                () = self.events.closed() => {
                    if let Some(cancel) = self.question.cancel() {
                        self.send(cancel).await;
                    }
                    return;
                }
            };
            for effect in effects {
                self.carry_out(effect).await;
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Resend(from_chunk) => self.send(PeerSignal::Resend { id: self.id, from_chunk }).await,
            Effect::AskAgain => self.send(PeerSignal::Ask(self.ask.clone())).await,
            Effect::Queued(position) => {
                self.was_taken();
                self.emit(Ok(AnswerEvent::Queued { position })).await;
            }
            Effect::Text(text, tokens) => {
                self.was_taken();
                self.first_text.get_or_insert(self.started.elapsed());
                self.emit(Ok(AnswerEvent::Text { text, tokens, more: None })).await;
            }
            Effect::Answered(answered) => {
                self.was_taken();
                let done = done(&answered, self.first_text.unwrap_or_else(|| self.started.elapsed()));
                self.node.inner.receipts.keep(self.id, answered.receipt);
                self.node.spawn(receipts::remind(self.node.clone(), self.conductor.clone(), self.id));
                self.emit(Ok(AnswerEvent::Done(Box::new(done)))).await;
            }
            Effect::Failed(failure) => {
                let error = ask_error(failure, &self.provider);
                match self.taken.take() {
                    Some(taken) => {
                        let _ = taken.send(Err(error));
                    }
                    None => self.emit(Err(error)).await,
                }
                self.send(PeerSignal::Cancel { id: self.id }).await;
            }
        }
    }

    fn was_taken(&mut self) {
        if let Some(taken) = self.taken.take() {
            let _ = taken.send(Ok(()));
        }
    }

    async fn emit(&self, event: Result<AnswerEvent, AskError>) {
        let _ = self.events.send(event).await;
    }

    async fn send(&self, signal: PeerSignal) {
        if let Err(e) = self.conductor.send_signal(SendSignal { to: vec![self.provider.clone()], signal }).await {
            tracing::debug!(error = %e, "a signal to a provider could not be sent");
        }
    }
}

pub(crate) fn done(answered: &Answered, first_text: Duration) -> AnswerDone {
    let receipt = &answered.receipt.receipt;
    AnswerDone {
        finish: receipt.finish,
        prompt_tokens: receipt.prompt_tokens,
        cached_tokens: 0,
        stopped_by: None,
        completion_tokens: receipt.completion_tokens,
        first_token_us: micros(first_text),
        decode_us: answered.decode_us,
        provider_first_token_us: answered.first_token_us,
        receipt: Some(answered.receipt.clone()),
    }
}

pub(crate) fn ask_error(failure: Failure, provider: &AgentPubKey) -> AskError {
    let provider = provider.to_string();
    match failure {
        Failure::Silent => AskError::ProviderSilent { provider },
        Failure::Gone(tokens) => AskError::ProviderGone { provider, tokens },
        Failure::Refused(reason, detail) => AskError::Refused { provider, reason, detail },
        Failure::Broken(problem) => AskError::ProviderBroken { provider, problem: problem.into() },
    }
}

pub(crate) fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}
