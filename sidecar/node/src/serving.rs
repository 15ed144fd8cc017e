//! Questions of peers: checked at the door, answered by an engine, signed, and kept until nobody can miss a part.

use crate::engines::{Announced, Found};
use crate::node::{lock, Node};
use crate::routing::micros;
use crate::store::Pending;
use ainonymous_conductor::Conductor;
use ainonymous_engine::{EngineError, Event, Generation};
use ainonymous_protocol::timing::{KEEP_ANSWER_US, RESEND_CHUNKS_MAX};
use ainonymous_protocol::{verify_ask, AnswerEnd, Answering};
use ainonymous_types::{
    ActionHash, AgentPubKey, Ask, Bytes32, Bytes64, ChatInput, EntryHash, PeerSignal, RefuseReason, RequestId,
    SendSignal, SignedReceipt,
};
use ainonymous_verify::{chat, commit};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};

/// Questions of one requester answered at once.
const PER_REQUESTER_MAX: usize = 8;
/// Questions of all requesters answered at once.
const RUNNING_MAX: usize = 256;
/// The same with finished answers, which are kept for a while.
const IN_HAND_MAX: usize = 1_024;
/// Orders that wait for one answer.
const ORDERS: usize = 64;

/// Questions of peers in hand.
#[derive(Debug)]
pub(crate) struct Serving {
    in_hand: Mutex<HashMap<RequestId, InHand>>,
    serials: AtomicU64,
    running: watch::Sender<usize>,
}

#[derive(Debug)]
struct InHand {
    serial: u64,
    requester: AgentPubKey,
    orders: mpsc::Sender<Order>,
    running: bool,
}

#[derive(Debug)]
enum Order {
    Cancel,
    Resend(u32),
}

impl Default for Serving {
    fn default() -> Self {
        Self { in_hand: Mutex::default(), serials: AtomicU64::new(0), running: watch::Sender::new(0) }
    }
}

impl Serving {
    /// Stops an answer, if it is for that requester.
    pub(crate) fn cancel(&self, from: &AgentPubKey, id: RequestId) {
        self.order(from, id, Order::Cancel);
    }

    /// Stops the answers to these requesters.
    pub(crate) fn cancel_all(&self, of: impl Fn(&AgentPubKey) -> bool) {
        for h in lock(&self.in_hand).values().filter(|h| of(&h.requester)) {
            let _ = h.orders.try_send(Order::Cancel);
        }
    }

    /// Resolves when no answer is in the making.
    pub(crate) async fn idle(&self) {
        let _ = self.running.subscribe().wait_for(|n| *n == 0).await;
    }

    fn order(&self, from: &AgentPubKey, id: RequestId, order: Order) -> bool {
        let in_hand = lock(&self.in_hand);
        match in_hand.get(&id).filter(|h| h.requester == *from) {
            Some(h) => {
                let _ = h.orders.try_send(order);
                true
            }
            None => false,
        }
    }

    /// Takes a question in hand; its serial number tells it from a later one with the same id.
    fn take(&self, id: RequestId, requester: &AgentPubKey) -> Result<(u64, mpsc::Receiver<Order>), RefuseReason> {
        let mut in_hand = lock(&self.in_hand);
        if in_hand.contains_key(&id) {
            return Err(RefuseReason::Malformed);
        }
        let running = in_hand.values().filter(|h| h.running).count();
        let of_requester = in_hand.values().filter(|h| h.running && h.requester == *requester).count();
        if of_requester >= PER_REQUESTER_MAX || running >= RUNNING_MAX {
            return Err(RefuseReason::Busy);
        }
        if in_hand.len() >= IN_HAND_MAX {
            // A finished answer gives way; dropping its orders ends its task.
            let finished = in_hand.iter().find(|(_, h)| !h.running).map(|(id, _)| *id);
            finished.and_then(|id| in_hand.remove(&id));
        }
        let (orders, receiver) = mpsc::channel(ORDERS);
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        in_hand.insert(id, InHand { serial, requester: requester.clone(), orders, running: true });
        self.running.send_modify(|n| *n += 1);
        Ok((serial, receiver))
    }

    fn finished(&self, id: RequestId, serial: u64) {
        if let Some(h) = lock(&self.in_hand).get_mut(&id).filter(|h| h.serial == serial) {
            if std::mem::replace(&mut h.running, false) {
                self.running.send_modify(|n| *n -= 1);
            }
        }
    }

    fn forget(&self, id: RequestId, serial: u64) {
        self.finished(id, serial);
        let mut in_hand = lock(&self.in_hand);
        if in_hand.get(&id).is_some_and(|h| h.serial == serial) {
            in_hand.remove(&id);
        }
    }
}

/// A question that was checked and can be answered.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: RequestId,
    pub(crate) requester: AgentPubKey,
    pub(crate) announced: Announced,
    pub(crate) capability: ActionHash,
    pub(crate) answering: Answering,
    pub(crate) generation: Generation,
    pub(crate) clock: Instant,
}

/// A question as it arrived, by signal or from the DHT.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) id: RequestId,
    pub(crate) spec: EntryHash,
    pub(crate) input: ChatInput,
    pub(crate) salt: Bytes32,
    pub(crate) session_key: Bytes32,
    pub(crate) signature: Bytes64,
}

/// A peer asks that may ask.
pub(crate) fn on_ask(node: &Node, conductor: Conductor, from: AgentPubKey, ask: Ask) {
    let Ask { id, spec, input, salt, session_key, signature } = ask;
    let arrived = Arrived { id, spec, input, salt, session_key, signature };
    let (serial, orders) = match node.inner.serving.take(id, &from) {
        Ok(taken) => taken,
        // A repeated id is a repeated signal: the first is being answered.
        Err(RefuseReason::Malformed) => return,
        Err(reason) => return refuse(node, conductor, from, id, reason, String::new()),
    };
    match accept(node, from.clone(), arrived) {
        Ok(taken) => node.spawn(answer(node.clone(), conductor, taken, serial, orders)),
        Err((reason, detail)) => {
            node.inner.serving.forget(id, serial);
            refuse(node, conductor, from, id, reason, detail);
        }
    }
}

/// A peer misses chunks, or wants to know where its receipt stands.
pub(crate) fn on_resend(node: &Node, conductor: Conductor, from: AgentPubKey, id: RequestId, from_chunk: u32) {
    let in_hand = node.inner.serving.order(&from, id, Order::Resend(from_chunk));
    if let Ok(Some(proof)) = node.inner.store.published(id) {
        tell(node, conductor, from, PeerSignal::ReceiptPublished { id, proof });
    } else if !in_hand {
        refuse(node, conductor, from, id, RefuseReason::UnknownRequest, String::new());
    }
}

/// Checks a question and hands it to the engine.
pub(crate) fn accept(node: &Node, requester: AgentPubKey, arrived: Arrived) -> Result<Taken, (RefuseReason, String)> {
    let Arrived { id, spec, input, salt, session_key, signature } = arrived;
    let no = |reason| (reason, String::new());
    if node.inner.draining.is_cancelled() {
        return Err(no(RefuseReason::Draining));
    }
    chat::bounds(&input).map_err(|b| (RefuseReason::Malformed, b.to_string()))?;
    let commitment = commit::input(&salt, &input);
    verify_ask(&id, &spec, &commitment, &session_key, &signature)
        .map_err(|e| (RefuseReason::Malformed, format!("the question's signature: {e}")))?;
    let (found, announced) = node.inner.engines.by_spec(&spec).ok_or(no(RefuseReason::UnknownModel))?;
    let loaded = match found {
        Found::Ready(loaded) => loaded,
        Found::Resting(slot) => {
            // Ready for the next who asks, or for this one in a moment.
            node.load(&slot);
            return Err(no(RefuseReason::Busy));
        }
        Found::Loading(_) | Found::Nothing => return Err(no(RefuseReason::Busy)),
    };
    let capability = announced.capability.clone().ok_or(no(RefuseReason::UnknownModel))?;
    let clock = Instant::now();
    let answering = Answering::new(id, spec, session_key, &salt, &input, 0);
    let generation = loaded.engine.generate(input.into()).map_err(|e| refusal(&e))?;
    Ok(Taken { id, requester, announced, capability, answering, generation, clock })
}

/// What a peer is told of an engine's error: enough to act, nothing about this machine.
pub(crate) fn refusal(e: &EngineError) -> (RefuseReason, String) {
    match e {
        EngineError::QueueFull { .. } => (RefuseReason::Busy, String::new()),
        EngineError::PromptTooLong { .. } => (RefuseReason::PromptTooLong, e.to_string()),
        EngineError::EmptyPrompt
        | EngineError::InputOutOfBounds { .. }
        | EngineError::NoChatTemplate
        | EngineError::TemplateFailed { .. } => (RefuseReason::Malformed, e.to_string()),
        EngineError::Draining => (RefuseReason::Draining, String::new()),
        other => (RefuseReason::EngineFailed, other.code().to_string()),
    }
}

/// Signs what was answered and keeps the receipt before anybody sees it.
pub(crate) async fn sign_and_keep(
    node: &Node,
    conductor: &Conductor,
    taken: &Taken,
    receipt: ainonymous_types::Receipt,
) -> Result<(SignedReceipt, Pending), RefuseReason> {
    let signed = conductor.sign_receipt(receipt).await.map_err(|e| {
        tracing::error!(error = %e, "a receipt could not be signed");
        RefuseReason::EngineFailed
    })?;
    let pending = Pending {
        id: taken.id,
        requester: taken.requester.clone(),
        receipt: signed.clone(),
        spec: taken.announced.spec.clone(),
        capability: taken.capability.clone(),
    };
    node.inner.store.put_pending(&pending).map_err(|e| {
        tracing::error!(error = %e, hint = e.hint(), "a receipt could not be kept");
        RefuseReason::EngineFailed
    })?;
    Ok((signed, pending))
}

pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Answers one question to its end, then keeps it for lost parts.
async fn answer(node: Node, conductor: Conductor, mut taken: Taken, serial: u64, mut orders: mpsc::Receiver<Order>) {
    let id = taken.id;
    let to = vec![taken.requester.clone()];
    let outcome = match generate(&conductor, &to, &mut taken, &mut orders).await {
        End::Engine(end) => finish(&node, &conductor, &to, &mut taken, end).await,
        End::Failed(reason, detail) => Err((reason, detail)),
        End::Cancelled => {
            // The generation goes with it: the engine stops at its next step.
            drop(taken);
            return node.inner.serving.forget(id, serial);
        }
    };
    match outcome {
        Ok(()) => {
            node.inner.counts.answered.fetch_add(1, Ordering::Relaxed);
            node.inner.serving.finished(id, serial);
            keep(&conductor, &to, &taken.answering, &mut orders).await;
        }
        Err((reason, detail)) => {
            node.inner.counts.refused.fetch_add(1, Ordering::Relaxed);
            send(&conductor, &to, PeerSignal::Refused { id, reason, detail }).await;
        }
    }
    node.inner.serving.forget(id, serial);
}

enum End {
    Engine(AnswerEnd),
    Cancelled,
    Failed(RefuseReason, String),
}

async fn generate(
    conductor: &Conductor,
    to: &[AgentPubKey],
    taken: &mut Taken,
    orders: &mut mpsc::Receiver<Order>,
) -> End {
    loop {
        let now = micros(taken.clock.elapsed());
        let tick = Duration::from_micros(taken.answering.next_tick_us().saturating_sub(now));
        let out = tokio::select! {
            event = taken.generation.events.recv() => match event {
                Some(Event::Queued { position }) => {
                    Some(taken.answering.on_queued(position, micros(taken.clock.elapsed())))
                }
                Some(Event::Started { .. }) => None,
                Some(Event::Token { id, text, more: _ }) => {
                    let out = taken.answering.on_token(id, &text, micros(taken.clock.elapsed()));
                    if taken.answering.is_full() {
                        return End::Failed(RefuseReason::EngineFailed, "the answer is too long".into());
                    }
                    out
                }
                Some(Event::Finished(f)) => {
                    return End::Engine(AnswerEnd {
                        finish: f.finish,
                        prompt_tokens: f.prompt_tokens,
                        finished_at: now_us(),
                    });
                }
                Some(Event::Failed(e)) => {
                    let (reason, detail) = refusal(&e);
                    return End::Failed(reason, detail);
                }
                None => return End::Failed(RefuseReason::EngineFailed, String::new()),
            },
            order = orders.recv() => match order {
                Some(Order::Resend(from_chunk)) => {
                    for chunk in taken.answering.resend(from_chunk) {
                        send(conductor, to, chunk).await;
                    }
                    None
                }
                Some(Order::Cancel) | None => return End::Cancelled,
            },
            () = tokio::time::sleep(tick) => taken.answering.on_tick(micros(taken.clock.elapsed())),
        };
        if let Some(signal) = out {
            send(conductor, to, signal).await;
        }
    }
}

async fn finish(
    node: &Node,
    conductor: &Conductor,
    to: &[AgentPubKey],
    taken: &mut Taken,
    end: AnswerEnd,
) -> Result<(), (RefuseReason, String)> {
    let (rest, receipt) = taken.answering.finish(conductor.agent(), end, micros(taken.clock.elapsed()));
    if let Some(rest) = rest {
        send(conductor, to, rest).await;
    }
    let (signed, _) = sign_and_keep(node, conductor, taken, receipt).await.map_err(|reason| (reason, String::new()))?;
    send(conductor, to, taken.answering.done(signed)).await;
    Ok(())
}

/// A finished answer stays for a while, in case a part was lost.
async fn keep(conductor: &Conductor, to: &[AgentPubKey], answering: &Answering, orders: &mut mpsc::Receiver<Order>) {
    let until = tokio::time::Instant::now() + Duration::from_micros(KEEP_ANSWER_US);
    while let Ok(Some(order)) = tokio::time::timeout_at(until, orders.recv()).await {
        match order {
            Order::Cancel => return,
            Order::Resend(from_chunk) => {
                let chunks = answering.resend(from_chunk);
                let all = chunks.len() < RESEND_CHUNKS_MAX;
                for chunk in chunks {
                    send(conductor, to, chunk).await;
                }
                if let Some(done) = answering.signed_done().filter(|_| all) {
                    send(conductor, to, done).await;
                }
            }
        }
    }
}

/// Tells a requester that its question is not answered.
pub(crate) fn refuse(
    node: &Node,
    conductor: Conductor,
    to: AgentPubKey,
    id: RequestId,
    reason: RefuseReason,
    detail: String,
) {
    node.inner.counts.refused.fetch_add(1, Ordering::Relaxed);
    tell(node, conductor, to, PeerSignal::Refused { id, reason, detail });
}

fn tell(node: &Node, conductor: Conductor, to: AgentPubKey, signal: PeerSignal) {
    node.spawn_signal_work(async move { send(&conductor, &[to], signal).await });
}

async fn send(conductor: &Conductor, to: &[AgentPubKey], signal: PeerSignal) {
    if let Err(e) = conductor.send_signal(SendSignal { to: to.to_vec(), signal }).await {
        tracing::debug!(error = %e, "a signal to a requester could not be sent");
    }
}
