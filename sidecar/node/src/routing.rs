//! Questions of this node: which way they go, and giving each arriving signal to whoever waits for it.

use crate::directory::Candidate;
use crate::evidence::{Asked as Kept, Secrets};
use crate::node::{lock, Node};
use crate::requester::{Reply, Requester};
use crate::{
    asking, critical, local, members, posted, receipts, serving, AnswerDone, AnswerEvent, AnswerStream, AskError,
    AskRequest, Audits, Hiding, Route,
};
use ainonymous_engine as engine;
use ainonymous_protocol::{sign_ask, Answered, Asked, Failure, HandedPart};
use ainonymous_types::{
    AgentPubKey, Ask, AuditTerms, Bytes32, ChatInput, LocalSignal, PeerSignal, RequestId, TokenChunk,
};
use ainonymous_verify::audit::draw;
use ainonymous_verify::{chat, commit};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};

/// Signals that wait for one question.
const INBOX: usize = 1_024;
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
    pub(crate) secrets: Secrets,
    pub(crate) audit: AuditTerms,
    pub(crate) commitment: Bytes32,
    pub(crate) input: ChatInput,
    pub(crate) started: Instant,
}

impl Prepared {
    pub(crate) fn new(input: ChatInput, audits: &Audits) -> Self {
        let salt = Bytes32(rand::random());
        let secrets = Secrets { session: Bytes32(rand::random()), audit: Bytes32(rand::random()) };
        let Audits { rate_ppm, auditors_ppm, keep: _, show_auditors: _ } = *audits;
        Self {
            id: RequestId(rand::random()),
            commitment: commit::input(&salt, &input),
            salt,
            audit: AuditTerms { challenge: draw::challenge(&secrets.audit), rate_ppm, auditors_ppm },
            secrets,
            input,
            started: Instant::now(),
        }
    }

    pub(crate) fn ask(&self, candidate: &Candidate) -> (Ask, Asked) {
        let (session_key, signature) =
            sign_ask(&self.secrets.session.0, &self.id, &candidate.spec.entry, &self.commitment, &self.audit);
        let ask = Ask {
            id: self.id,
            spec: candidate.spec.entry.clone(),
            input: self.input.clone(),
            salt: self.salt,
            session_key,
            audit: self.audit,
            signature,
        };
        let asked = Asked {
            id: self.id,
            provider: candidate.agent.clone(),
            spec: candidate.spec.entry.clone(),
            session_key,
            salt: self.salt,
            commitment: self.commitment,
            audit: self.audit,
            max_tokens: self.input.max_tokens,
            begun_tokens: begun_tokens(&self.input),
        };
        (ask, asked)
    }

    /// What is kept of it, without an answer yet.
    pub(crate) fn keep(&self, node: &Node, candidate: &Candidate, hide: Hiding, known: bool) -> Kept {
        Kept {
            id: self.id,
            request: self.id,
            input: self.input.clone(),
            salt: self.salt,
            secrets: self.secrets,
            spec: candidate.spec.clone(),
            model: node.inner.directory.model(&candidate.spec.entry),
            hide,
            known,
            answer: None,
        }
    }
}

/// Asks by the way that the request names, or the best there is.
pub(crate) async fn ask(node: &Node, request: AskRequest) -> Result<AnswerStream, AskError> {
    if node.inner.draining.is_cancelled() {
        return Err(AskError::Draining);
    }
    let wanted = request.model.as_deref();
    // Own machines are where this node says that it stands, if it says so.
    let elsewhere = request.demands.region.filter(|region| node.inner.habits.region != Some(*region));
    if let (Some(region), Route::Local) = (elsewhere, request.route) {
        return Err(AskError::DemandsUnmet { problem: format!("this node does not say that it stands in {region}") });
    }
    if request.demands.answers > 1 {
        return match request.route {
            Route::Local => {
                let problem = "several providers shall answer, and this node is one".into();
                Err(AskError::DemandsUnmet { problem })
            }
            Route::Auto | Route::Direct | Route::Routed | Route::Signals | Route::Posted => {
                critical::ask(node, request).await
            }
        };
    }
    let may_be_local = request.hide == Hiding::No
        && request.provider.is_none()
        && elsewhere.is_none()
        && matches!(request.route, Route::Auto | Route::Local);
    if may_be_local {
        if let Some(loaded) = local::find(node, wanted).await? {
            return local::ask(node, &loaded, request.question);
        }
    }
    match request.route {
        Route::Local => Err(local::unknown_here(node, wanted)),
        Route::Posted => posted::ask(node, request).await,
        Route::Auto | Route::Direct | Route::Routed | Route::Signals => asking::ask(node, request).await,
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
        PeerSignal::Cancel { id } => node.inner.serving.cancel(&Requester::Agent(from), id),
        PeerSignal::Resend { id, from_chunk } => {
            let reply = Reply::signals(conductor, from.clone());
            serving::on_resend(node, &Requester::Agent(from), id, from_chunk, reply);
        }
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
    let input = ChatInput::from(question);
    chat::bounds(&input).map_err(|b| AskError::Invalid { problem: b.to_string(), code: b.code() })?;
    Ok(input)
}

/// How an answer ended, after what others had begun of it.
pub(crate) fn done(
    answered: &Answered,
    route: Route,
    first_text: Duration,
    begun_by: Vec<HandedPart>,
    tokens: Vec<u32>,
) -> AnswerDone {
    let receipt = &answered.receipt.receipt;
    let begun: u32 = begun_by.iter().map(|part| part.tokens).fold(0, u32::saturating_add);
    // To the provider the beginning is input; to whoever asks it is a part of the answer.
    let prompt_tokens = receipt.prompt_tokens.saturating_sub(begun);
    AnswerDone {
        finish: receipt.finish,
        prompt_tokens,
        cached_tokens: answered.cached_tokens.min(prompt_tokens),
        stopped_by: answered.stopped_by,
        completion_tokens: receipt.completion_tokens.saturating_add(begun),
        begun_by,
        first_token_us: micros(first_text),
        decode_us: answered.decode_us,
        provider_first_token_us: answered.first_token_us,
        route,
        receipt: Some(answered.receipt.clone()),
        tokens,
        agreement: None,
    }
}

/// Tokens that an answer to this question begins with and that nobody sends again.
pub(crate) fn begun_tokens(input: &ChatInput) -> u32 {
    input.more.as_deref().map_or(0, |more| u32::try_from(more.begun.len()).unwrap_or(u32::MAX))
}

/// What a part of an answer says, event by event: with log-probabilities one for each token.
pub(crate) fn events(chunk: TokenChunk) -> Vec<AnswerEvent> {
    let TokenChunk { id: _, chunk: _, text, tokens, more } = chunk;
    let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    let Some(more) = more else { return vec![AnswerEvent::Text { text, tokens: count, more: None }] };
    let likely = !more.logprobs.is_empty();
    let each = engine::more_of_each(*more);
    let mut text = Some(text);
    let event = |more| {
        let (text, more) = (text.take().unwrap_or_default(), Some(Box::new(more)));
        AnswerEvent::Text { text, tokens: if likely { 1 } else { count }, more }
    };
    each.into_iter().map(event).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{ChunkMore, TokenLogprob, TokenLogprobs};

    fn told(tokens: usize, more: Option<ChunkMore>) -> Vec<(String, u32, bool)> {
        let more = more.map(Box::new);
        let chunk = TokenChunk { id: RequestId([0; 16]), chunk: 0, text: "ab".into(), tokens: vec![1; tokens], more };
        let one = |event| match event {
            AnswerEvent::Text { text, tokens, more } => {
                (text, tokens, more.is_some_and(|more| more.logprobs.is_some()))
            }
            other => panic!("{other:?}"),
        };
        events(chunk).into_iter().map(one).collect()
    }

    #[test]
    fn a_part_with_log_probabilities_is_told_token_by_token() {
        assert_eq!(told(3, None), [("ab".to_string(), 3, false)]);
        let thought = ChunkMore { reasoning: "Hm.".into(), ..ChunkMore::default() };
        assert_eq!(told(3, Some(thought)), [("ab".to_string(), 3, false)]);
        let one = || TokenLogprob { token: 1, text: vec![], logprob_micro: 0 };
        let logprobs = (0..2).map(|_| TokenLogprobs { chosen: one(), top: vec![] }).collect();
        let likely = ChunkMore { logprobs, ..ChunkMore::default() };
        assert_eq!(told(2, Some(likely)), [("ab".to_string(), 1, true), (String::new(), 1, true)]);
    }
}
