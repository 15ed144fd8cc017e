//! Questions of peers: checked at the door and taken in hand, whichever way they come.

use crate::answering;
use crate::engines::{Announced, Found};
use crate::evidence::AnswerKept;
use crate::node::{lock, Node};
use crate::requester::{Reply, Requester};
use crate::signing::check_unasked;
use crate::store::EncodedAnswer;
use ainonymous_conductor::Conductor;
use ainonymous_engine::evidence as engine_evidence;
use ainonymous_engine::{EngineError, Generation, More, Question};
use ainonymous_protocol::timing::{Timing, DIRECT, SIGNALS};
use ainonymous_protocol::{verify_ask, Answering, AskedOf, Recorded, Recording};
use ainonymous_transport::FrameSender;
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, Ask, AuditTerms, BatchProof, Bytes32, Bytes64, ChatInput, ChunkMore, EntryHash,
    PeerSignal, RefuseReason, RequestId,
};
use ainonymous_verify::{chat, commit, receipt, signal, Breach};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};

/// Questions of one requester answered at once.
const PER_REQUESTER_MAX: usize = 8;
/// Questions of all requesters answered at once.
const RUNNING_MAX: usize = 256;
/// Of these, so many are for machines of one's own, however many others ask.
const OWN_PLACES: usize = 32;
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
    requester: Requester,
    orders: mpsc::Sender<Order>,
    running: bool,
}

/// What the requester wants of an answer in hand.
#[derive(Debug)]
pub(crate) enum Order {
    /// No more of it.
    Cancel,
    /// The parts from this chunk on, again.
    Resend(u32),
    /// The same over another stream: the one before broke.
    TakeUp(FrameSender, u32),
}

impl Default for Serving {
    fn default() -> Self {
        Self { in_hand: Mutex::default(), serials: AtomicU64::new(0), running: watch::Sender::new(0) }
    }
}

impl Serving {
    /// Stops an answer, if it is for that requester.
    pub(crate) fn cancel(&self, from: &Requester, id: RequestId) {
        self.order(from, id, Order::Cancel);
    }

    /// Stops the answers to these requesters.
    pub(crate) fn cancel_all(&self, of: impl Fn(&AgentPubKey) -> bool) {
        let is_one = |requester: &Requester| requester.agent().is_some_and(&of);
        for h in lock(&self.in_hand).values().filter(|h| is_one(&h.requester)) {
            let _ = h.orders.try_send(Order::Cancel);
        }
    }

    /// Resolves when no answer is in the making.
    pub(crate) async fn idle(&self) {
        let _ = self.running.subscribe().wait_for(|n| *n == 0).await;
    }

    /// Passes an order on; false if no such answer is in hand for that requester.
    pub(crate) fn order(&self, from: &Requester, id: RequestId, order: Order) -> bool {
        let in_hand = lock(&self.in_hand);
        match in_hand.get(&id).filter(|h| h.requester == *from) {
            Some(h) => {
                let _ = h.orders.try_send(order);
                true
            }
            None => false,
        }
    }

    /// Takes a question in hand; its serial number tells it from a later one with the same id. `is_own` says that it comes from
    /// a machine of one's own.
    fn take(
        &self,
        id: RequestId,
        requester: &Requester,
        is_own: bool,
    ) -> Result<(u64, mpsc::Receiver<Order>), RefuseReason> {
        let mut in_hand = lock(&self.in_hand);
        if in_hand.contains_key(&id) {
            return Err(RefuseReason::Malformed);
        }
        let running = in_hand.values().filter(|h| h.running).count();
        let of_requester = in_hand.values().filter(|h| h.running && h.requester.counts_with(requester)).count();
        let places = if is_own { RUNNING_MAX } else { RUNNING_MAX - OWN_PLACES };
        if of_requester >= PER_REQUESTER_MAX || running >= places {
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

    pub(crate) fn finished(&self, id: RequestId, serial: u64) {
        if let Some(h) = lock(&self.in_hand).get_mut(&id).filter(|h| h.serial == serial) {
            if std::mem::replace(&mut h.running, false) {
                self.running.send_modify(|n| *n -= 1);
            }
        }
    }

    pub(crate) fn forget(&self, id: RequestId, serial: u64) {
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
    pub(crate) requester: Requester,
    pub(crate) announced: Announced,
    pub(crate) capability: ActionHash,
    pub(crate) answering: Answering,
    pub(crate) generation: Generation,
    pub(crate) clock: Instant,
    /// The fingerprint so far, then all of it.
    evidence: Evidence,
}

/// What will open the receipt of a question.
struct Evidence {
    input: ChatInput,
    salt: Bytes32,
    recording: Option<Recording>,
    recorded: Option<Recorded>,
}

impl fmt::Debug for Evidence {
    /// Leaves out what was asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input: _, salt: _, recording, recorded } = self;
        f.debug_struct("Evidence").field("recording", recording).field("recorded", recorded).finish_non_exhaustive()
    }
}

impl Taken {
    /// Takes down what comes with a token; returns what of it the requester is sent.
    pub(crate) fn record(&mut self, token: u32, more: Option<Box<More>>) -> Option<ChunkMore> {
        let mut more = more;
        let found = more.as_deref_mut().and_then(|more| more.fingerprint.take());
        if let Some(recording) = &mut self.evidence.recording {
            recording.push(token, found.as_ref().map(engine_evidence::position));
        }
        more.filter(|more| **more != More::default()).map(|more| (*more).into())
    }

    /// The answer is whole: what its receipt names.
    pub(crate) fn fingerprint(&mut self) -> Bytes32 {
        if let Some(recording) = self.evidence.recording.take() {
            self.evidence.recorded = recording.finish();
        }
        self.evidence.recorded.as_ref().map_or(Bytes32([0; 32]), |recorded| recorded.root)
    }

    /// What opens the receipt, as it is kept; none if there is no fingerprint, or it is too large.
    pub(crate) fn kept(&mut self) -> Option<EncodedAnswer> {
        let Recorded { root: _, leaves } = self.evidence.recorded.take()?;
        EncodedAnswer::of(&AnswerKept {
            input: std::mem::take(&mut self.evidence.input),
            salt: self.evidence.salt,
            leaves,
        })
    }
}

/// A question as it arrived, by signal or from the DHT.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) id: RequestId,
    pub(crate) spec: EntryHash,
    pub(crate) input: ChatInput,
    pub(crate) salt: Bytes32,
    pub(crate) session_key: Bytes32,
    pub(crate) audit: AuditTerms,
    pub(crate) signature: Bytes64,
}

/// A peer asks that may ask.
pub(crate) fn on_ask(node: &Node, conductor: Conductor, from: Requester, ask: Ask, reply: Reply) {
    let Ask { id, spec, input, salt, session_key, audit, signature } = ask;
    let arrived = Arrived { id, spec, input, salt, session_key, audit, signature };
    let is_own = from.agent().is_some_and(|agent| node.inner.habits.peers.own.contains(agent));
    let (serial, orders) = match node.inner.serving.take(id, &from, is_own) {
        Ok(taken) => taken,
        // A repeated id is a repeated signal: the first is being answered.
        Err(RefuseReason::Malformed) => return,
        Err(reason) => return refuse(node, reply, id, reason, String::new()),
    };
    let timing = match from {
        Requester::Agent(_) => SIGNALS,
        Requester::Link(_) | Requester::Known { .. } => DIRECT,
    };
    match accept(node, from, arrived, timing) {
        Ok(taken) => node.spawn(answering::run(node.clone(), conductor, taken, reply, serial, orders)),
        Err((reason, detail)) => {
            node.inner.serving.forget(id, serial);
            refuse(node, reply, id, reason, detail);
        }
    }
}

/// A peer misses chunks, or wants to know where its receipt stands.
pub(crate) fn on_resend(node: &Node, from: &Requester, id: RequestId, from_chunk: u32, reply: Reply) {
    let in_hand = node.inner.serving.order(from, id, Order::Resend(from_chunk));
    if let Some(proof) = published(node, id) {
        tell(node, reply, PeerSignal::ReceiptPublished { id, proof });
    } else if !in_hand {
        refuse(node, reply, id, RefuseReason::UnknownRequest, String::new());
    }
}

/// Where a receipt of this node stands, if it is on the DHT.
pub(crate) fn published(node: &Node, id: RequestId) -> Option<BatchProof> {
    node.inner.store.published(id).ok().flatten()
}

/// Resolves when a receipt of this node is on the DHT; with none at once if no such receipt waits.
pub(crate) async fn when_published(node: &Node, id: RequestId) -> Option<BatchProof> {
    let mut batches = node.inner.batches.subscribe();
    loop {
        batches.borrow_and_update();
        if let Some(proof) = published(node, id) {
            return Some(proof);
        }
        if !node.inner.store.is_pending(id).unwrap_or(false) || batches.changed().await.is_err() {
            return None;
        }
    }
}

/// Checks a question and hands it to the engine.
pub(crate) fn accept(
    node: &Node,
    requester: Requester,
    arrived: Arrived,
    timing: Timing,
) -> Result<Taken, (RefuseReason, String)> {
    let Arrived { id, spec, input, salt, session_key, audit, signature } = arrived;
    let no = |reason| (reason, String::new());
    if node.refuses_peers() {
        return Err(no(RefuseReason::Draining));
    }
    match requester.agent() {
        Some(agent) if !node.inner.habits.peers.serves(agent) => return Err(no(RefuseReason::NotAdmitted)),
        None if node.must_know() => return Err(no(RefuseReason::MustBeKnown)),
        Some(_) | None => {}
    }
    let malformed = |breach: Breach| (RefuseReason::Malformed, breach.to_string());
    chat::bounds(&input).map_err(malformed)?;
    signal::audit_terms(&audit).map_err(malformed)?;
    let commitment = commit::input(&salt, &input);
    verify_ask(&id, &spec, &commitment, &session_key, &audit, &signature)
        .map_err(|e| (RefuseReason::Malformed, format!("the question's signature: {e}")))?;
    let asked = receipt::question(&session_key, &commitment, &audit.challenge);
    check_unasked(&node.inner.store, id, &asked, now_us())?;
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
    let answering = Answering::new(AskedOf { id, spec, session_key, salt, commitment, audit }, timing, 0);
    let recording = Some(Recording::new(Bytes32(rand::random())));
    let evidence = Evidence { input: input.clone(), salt, recording, recorded: None };
    let question = Question::try_from(input).map_err(|e| refusal(&e))?;
    let question = Question { fingerprint: true, ..question };
    if question.has_images() && !loaded.engine.info().images {
        return Err(no(RefuseReason::CannotSee));
    }
    let generation = loaded.engine.generate(question).map_err(|e| refusal(&e))?;
    Ok(Taken { id, requester, announced, capability, answering, generation, clock, evidence })
}

/// What a peer is told of an engine's error: enough to act, nothing about this machine.
pub(crate) fn refusal(e: &EngineError) -> (RefuseReason, String) {
    match e {
        EngineError::QueueFull { .. } => (RefuseReason::Busy, String::new()),
        EngineError::PromptTooLong { .. } => (RefuseReason::PromptTooLong, e.to_string()),
        EngineError::EmptyPrompt
        | EngineError::InputOutOfBounds { .. }
        | EngineError::InvalidConstraint { .. }
        | EngineError::ImageInvalid { .. }
        | EngineError::ImageTooLarge { .. }
        | EngineError::NoChatTemplate
        | EngineError::TemplateFailed { .. } => (RefuseReason::Malformed, clip(&e.to_string())),
        EngineError::NoProjector => (RefuseReason::CannotSee, String::new()),
        EngineError::Draining => (RefuseReason::Draining, String::new()),
        other => (RefuseReason::EngineFailed, other.code().to_string()),
    }
}

/// A detail no longer than may be sent.
fn clip(detail: &str) -> String {
    let mut end = detail.len().min(limits::DETAIL_BYTES_MAX);
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    detail[..end].to_owned()
}

pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// When an answer is said to have ended that took so long: now, but no later than the day (UTC) on which it began. Its prompt may state that day, and
/// whoever computes it again takes the day from here.
pub(crate) fn ended_at_us(took: Duration) -> i64 {
    within_the_day(now_us(), took)
}

fn within_the_day(now_us: i64, took: Duration) -> i64 {
    const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
    let began_us = now_us.saturating_sub(i64::try_from(took.as_micros()).unwrap_or(i64::MAX)).max(0);
    now_us.min((began_us / DAY_US + 1) * DAY_US - 1)
}

/// Says no.
pub(crate) fn refuse(node: &Node, reply: Reply, id: RequestId, reason: RefuseReason, detail: String) {
    node.inner.counts.refused.fetch_add(1, Ordering::Relaxed);
    tell(node, reply, PeerSignal::Refused { id, reason, detail });
}

fn tell(node: &Node, mut reply: Reply, signal: PeerSignal) {
    node.spawn_signal_work(async move {
        reply.send(signal).await;
        reply.finish();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_on_the_day_on_which_it_began() {
        let day = 86_400_000_000;
        let at = |now_us, seconds| within_the_day(now_us, Duration::from_secs(seconds));
        assert_eq!(at(20 * day + 5_000_000, 4), 20 * day + 5_000_000, "as it was");
        assert_eq!(at(20 * day + 5_000_000, 6), 20 * day - 1, "begun before midnight");
        assert_eq!(at(20 * day, 0), 20 * day);
        assert_eq!(at(5_000_000, 60), 5_000_000, "a clock that stands at its beginning");
    }

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn known(n: u8, link: u8) -> Requester {
        Requester::Known { agent: agent(n), link: Bytes32([link; 32]) }
    }

    fn take(serving: &Serving, n: usize, requester: &Requester, is_own: bool) -> Result<(), RefuseReason> {
        let mut id = RequestId([0; 16]);
        id.0[..8].copy_from_slice(&(n as u64).to_le_bytes());
        serving.take(id, requester, is_own).map(drop)
    }

    #[test]
    fn an_agent_has_its_places_once_by_whichever_way_it_comes() {
        let serving = Serving::default();
        for n in 0..PER_REQUESTER_MAX {
            let requester = [known(1, 8), known(1, 9), Requester::Agent(agent(1))][n % 3].clone();
            assert_eq!(take(&serving, n, &requester, false), Ok(()));
        }
        for requester in [known(1, 7), Requester::Agent(agent(1))] {
            assert_eq!(take(&serving, 100, &requester, false), Err(RefuseReason::Busy), "{requester:?}");
        }
        assert_eq!(take(&serving, 101, &known(2, 7), false), Ok(()));
        // An id that is in hand is the same question again.
        assert_eq!(take(&serving, 101, &known(2, 7), false), Err(RefuseReason::Malformed));
    }

    #[test]
    fn others_leave_room_for_machines_of_ones_own() {
        let serving = Serving::default();
        let stranger = |n: usize| Requester::Link(Bytes32([n as u8; 32]));
        for n in 0..RUNNING_MAX - OWN_PLACES {
            assert_eq!(take(&serving, n, &stranger(n), false), Ok(()));
        }
        assert_eq!(take(&serving, 999, &stranger(250), false), Err(RefuseReason::Busy));
        for n in 0..OWN_PLACES {
            assert_eq!(take(&serving, 1_000 + n, &Requester::Agent(agent(n as u8)), true), Ok(()));
        }
        assert_eq!(take(&serving, 2_000, &Requester::Agent(agent(200)), true), Err(RefuseReason::Busy));
    }

    #[test]
    fn whoever_was_shut_out_is_stopped_by_signals_and_on_links_alike() {
        let serving = Serving::default();
        let mut orders = Vec::new();
        for (n, requester) in
            [Requester::Agent(agent(1)), known(1, 8), known(2, 9), Requester::Link(Bytes32([7; 32]))].iter().enumerate()
        {
            orders.push(serving.take(RequestId([n as u8; 16]), requester, false).unwrap().1);
        }
        serving.cancel_all(|shut_out| *shut_out == agent(1));
        let stopped: Vec<bool> = orders.iter_mut().map(|o| matches!(o.try_recv(), Ok(Order::Cancel))).collect();
        assert_eq!(stopped, [true, true, false, false]);
    }
}
