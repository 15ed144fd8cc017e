//! Receipts for questions of this node: kept until their batch is on the DHT, then fetched and checked.

use crate::direct::{self, LinkAddress};
use crate::node::{lock, Node};
use crate::{opening, ReceiptState};
use ainonymous_conductor::Conductor;
use ainonymous_types::{
    limits, AgentPubKey, BatchProof, PeerSignal, ReceiptBatch, RequestId, SendSignal, SignedReceipt,
};
use ainonymous_verify::receipt;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::{watch, Semaphore};

/// Most receipts kept; the oldest give way.
const KEPT_MAX: usize = 4_096;
/// A batch that was announced must be readable within this.
const FETCH_MAX: Duration = Duration::from_secs(60);
/// How often a provider is asked for a receipt's place.
const REMINDERS_MAX: u32 = 5;
/// Time that a signal about a receipt gets before it counts as lost.
const SIGNAL_GRACE: Duration = Duration::from_secs(2);
/// How often a provider is waited with for a receipt.
const WAITS_MAX: u32 = 90;
/// Pause before it is waited with again; longer each time.
const WAIT_AGAIN: Duration = Duration::from_millis(500);
/// The longest of these pauses.
const WAIT_AGAIN_MAX: Duration = Duration::from_secs(60);
/// Receipts waited for over links at once.
const WAITING_MAX: usize = 16;
/// Pause between two attempts to read it.
const FETCH_PAUSE: Duration = Duration::from_millis(150);

/// Receipts for questions of this node.
#[derive(Debug)]
pub(crate) struct Receipts {
    kept: Mutex<Kept>,
    waits: Semaphore,
}

impl Default for Receipts {
    fn default() -> Self {
        Self { kept: Mutex::default(), waits: Semaphore::new(WAITING_MAX) }
    }
}

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<RequestId, Entry>,
    /// Questions by the ids that their askers were told first, where another provider went on under another one.
    told: HashMap<RequestId, RequestId>,
    order: VecDeque<RequestId>,
}

#[derive(Debug)]
struct Entry {
    receipt: SignedReceipt,
    state: watch::Sender<ReceiptState>,
    checking: bool,
    /// Where it stands, once that was checked.
    proof: Option<BatchProof>,
}

impl Receipts {
    /// Keeps a receipt that fits what was received. `told`: the id by which the asker knows the question.
    pub(crate) fn keep(&self, id: RequestId, told: RequestId, receipt: SignedReceipt) {
        let state = watch::Sender::new(ReceiptState { id, batch: None, checked: false, problem: None });
        let mut kept = lock(&self.kept);
        if kept.by_id.insert(id, Entry { receipt, state, checking: false, proof: None }).is_none() {
            kept.order.push_back(id);
        }
        if told != id {
            kept.told.insert(told, id);
        }
        while kept.order.len() > KEPT_MAX {
            if let Some(old) = kept.order.pop_front() {
                kept.by_id.remove(&old);
                kept.told.retain(|_, id| *id != old);
            }
        }
    }

    /// The id by which the asker knows the question.
    fn told(&self, id: RequestId) -> RequestId {
        lock(&self.kept).told.iter().find(|(_, under)| **under == id).map_or(id, |(told, _)| *told)
    }

    /// The state of a receipt, after it was checked or `wait` has passed.
    pub(crate) async fn wait_for(&self, id: RequestId, wait: Duration) -> Option<ReceiptState> {
        let mut state = {
            let kept = lock(&self.kept);
            kept.by_id.get(kept.told.get(&id).unwrap_or(&id))?.state.subscribe()
        };
        let settled = |s: &ReceiptState| s.checked || s.problem.is_some();
        let _ = tokio::time::timeout(wait, state.wait_for(settled)).await;
        let now = state.borrow().clone();
        Some(now)
    }

    /// Where a receipt stands, as soon as that was checked; none if it was not within `wait`.
    pub(crate) async fn proof(&self, id: RequestId, wait: Duration) -> Option<BatchProof> {
        self.wait_for(id, wait).await.filter(|state| state.checked)?;
        let kept = lock(&self.kept);
        kept.by_id.get(kept.told.get(&id).unwrap_or(&id))?.proof.clone()
    }

    /// Whether a receipt waits for its batch, and from whom.
    pub(crate) fn awaited(&self, id: RequestId) -> Option<AgentPubKey> {
        let kept = lock(&self.kept);
        let entry = kept.by_id.get(&id)?;
        let waiting = entry.state.borrow().batch.is_none();
        waiting.then(|| entry.receipt.receipt.provider.clone())
    }

    /// Marks a receipt as being checked; none if it is unknown, of somebody else, or already in hand.
    fn take_for_check(&self, from: &AgentPubKey, id: RequestId) -> Option<SignedReceipt> {
        let mut kept = lock(&self.kept);
        let entry = kept.by_id.get_mut(&id)?;
        let fresh = entry.receipt.receipt.provider == *from && !entry.checking;
        entry.checking |= fresh;
        fresh.then(|| entry.receipt.clone())
    }

    /// It could not be checked now: the next word of the provider is listened to again.
    fn release(&self, id: RequestId) {
        if let Some(entry) = lock(&self.kept).by_id.get_mut(&id) {
            entry.checking = false;
        }
    }

    fn settle(&self, state: ReceiptState, proof: BatchProof) {
        if let Some(entry) = lock(&self.kept).by_id.get_mut(&state.id) {
            entry.proof = state.checked.then_some(proof);
            entry.state.send_replace(state);
        }
    }
}

/// A provider says where a receipt stands: fetch the batch and see.
pub(crate) async fn on_published(
    node: Node,
    conductor: Conductor,
    from: AgentPubKey,
    id: RequestId,
    proof: BatchProof,
) {
    let Some(signed) = node.inner.receipts.take_for_check(&from, id) else { return };
    let problem = match check(&conductor, &signed, &proof, FETCH_MAX).await {
        Ok(batch) => {
            opening::note_batch(&node, node.inner.receipts.told(id), &proof, &batch);
            None
        }
        Err(Unchecked::DoesNotFit(problem)) => Some(problem),
        Err(Unchecked::NotReadable(problem)) => {
            tracing::debug!(problem, "a receipt could not be checked yet");
            return node.inner.receipts.release(id);
        }
    };
    if problem.is_none() {
        node.inner.counts.receipts_checked.fetch_add(1, Ordering::Relaxed);
    }
    let state = ReceiptState { id, batch: Some(proof.batch.clone()), checked: problem.is_none(), problem };
    node.inner.receipts.settle(state, proof);
}

/// How a provider tells where a receipt stands.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// By signal, unasked: it knows who asks.
    BySignal,
    /// When it is asked over this link: it does not know whom else to tell.
    ByLink(LinkAddress),
}

/// Asks the provider where a receipt stands: by signal if it has not said so in time, for its own may have been lost.
pub(crate) async fn remind(node: Node, conductor: Conductor, id: RequestId, told: Told) {
    if let Told::ByLink(link) = told {
        return wait_by_link(node, conductor, id, link).await;
    }
    for attempt in 1..=REMINDERS_MAX {
        tokio::time::sleep((node.inner.habits.receipt_interval + SIGNAL_GRACE) * attempt).await;
        let Some(provider) = node.inner.receipts.awaited(id) else { return };
        let ask = PeerSignal::Resend { id, from_chunk: limits::ANSWER_CHUNKS_MAX };
        if let Err(e) = conductor.send_signal(SendSignal { to: vec![provider], signal: ask }).await {
            tracing::debug!(error = %e, "a provider could not be reminded of a receipt");
        }
    }
}

/// Waits with the provider until it has published the receipt; comes back if it goes away meanwhile.
async fn wait_by_link(node: Node, conductor: Conductor, id: RequestId, link: LinkAddress) {
    for attempt in 1..=WAITS_MAX {
        let proof = {
            // Each wait takes one of the streams that questions need too.
            let Ok(_turn) = node.inner.receipts.waits.acquire().await else { return };
            direct::published(&node, &link, id).await
        };
        let Some(provider) = node.inner.receipts.awaited(id) else { return };
        if let Some(proof) = proof {
            return on_published(node, conductor, provider, id, proof).await;
        }
        tokio::time::sleep((WAIT_AGAIN * attempt).min(WAIT_AGAIN_MAX)).await;
    }
}

/// Why a receipt is not checked.
#[derive(Debug)]
pub(crate) enum Unchecked {
    /// The batch says something else.
    DoesNotFit(String),
    /// The batch is not there, or cannot be read now.
    NotReadable(String),
}

/// The batch in which the receipt stands; waits so long for it to be readable.
pub(crate) async fn check(
    conductor: &Conductor,
    signed: &SignedReceipt,
    proof: &BatchProof,
    wait: Duration,
) -> Result<ReceiptBatch, Unchecked> {
    let started = Instant::now();
    let record = loop {
        match conductor.get_receipt_batch(proof.batch.clone()).await {
            Ok(Some(record)) => break record,
            Ok(None) | Err(_) if started.elapsed() < wait => tokio::time::sleep(FETCH_PAUSE).await,
            Ok(None) => return Err(Unchecked::NotReadable("the batch is not on the DHT".into())),
            Err(e) => return Err(Unchecked::NotReadable(format!("the batch cannot be read: {e}"))),
        }
    };
    if record.author != signed.receipt.provider {
        return Err(Unchecked::DoesNotFit("the batch was written by somebody else".into()));
    }
    receipt::in_batch(signed, proof, &record.batch).map_err(|breach| Unchecked::DoesNotFit(breach.to_string()))?;
    Ok(record.batch)
}
