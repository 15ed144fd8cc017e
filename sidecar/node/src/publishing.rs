//! Receipts that were handed out reach the DHT within a bounded time, in batches.

use crate::node::Node;
use crate::requester::Requester;
use crate::store::Pending;
use ainonymous_conductor::{Conductor, NetworkState};
use ainonymous_protocol::{plan_batches, PendingReceipt, PlannedBatch};
use ainonymous_types::{ActionHash, BatchProof, PeerSignal, ReceiptBatch, RequestId, SendSignal};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pause between two looks whether a peer holds a batch.
const HELD_PAUSE: Duration = Duration::from_millis(100);
/// Longest time that a node which leaves tries to write its last receipts.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// Longest time that it then waits for a peer to hold them.
const HELD_MAX: Duration = Duration::from_secs(10);
/// The same if no peer is to be seen.
const ALONE_MAX: Duration = Duration::from_secs(3);

/// Publishes what waits, again and again.
pub(crate) async fn run(node: Node, conductor: Conductor) {
    loop {
        tokio::time::sleep(node.inner.habits.receipt_interval).await;
        publish_pending(&node, &conductor).await;
    }
}

/// Publishes everything that waits and returns the batches. What cannot be published now waits on.
async fn publish_pending(node: &Node, conductor: &Conductor) -> Vec<ActionHash> {
    let _one_at_a_time = node.inner.publishing.lock().await;
    let pending = match node.inner.store.pending() {
        Ok(pending) => pending,
        Err(e) => {
            tracing::error!(error = %e, hint = e.hint(), "receipts cannot be read");
            return vec![];
        }
    };
    let plan: Vec<PendingReceipt> = pending.iter().map(Pending::to_plan).collect();
    let mut written = Vec::new();
    for batch in plan_batches(&plan) {
        written.extend(publish_batch(node, conductor, &pending, batch).await.map(|(action, _)| action));
    }
    written
}

/// Publishes what waits before the node leaves, and stays until a peer holds it: nobody else can hand it out.
pub(crate) async fn publish_last(node: &Node, conductor: &Conductor) {
    let Ok(written) = tokio::time::timeout(WRITE_MAX, publish_pending(node, conductor)).await else {
        tracing::warn!("the last receipts cannot be written now; they are published after the next start");
        return;
    };
    let held = async {
        for batch in written {
            while !conductor.is_held_by_peers(batch.clone()).await.unwrap_or(false) {
                tokio::time::sleep(HELD_PAUSE).await;
            }
        }
    };
    let given_up = async {
        tokio::time::sleep(ALONE_MAX).await;
        let alone =
            matches!(*conductor.state().borrow(), NetworkState::Offline { .. } | NetworkState::Ready { peers: 0 });
        if !alone {
            tokio::time::sleep(HELD_MAX.saturating_sub(ALONE_MAX)).await;
        }
    };
    tokio::select! {
        () = held => {}
        () = given_up => tracing::warn!("no peer says that it holds the last receipts; they are on this node"),
    }
}

/// Writes one batch and tells everybody whose receipt is in it. Returns its action and the proofs. The caller holds
/// `Inner::publishing` since before it read the receipts.
pub(crate) async fn publish_batch(
    node: &Node,
    conductor: &Conductor,
    pending: &[Pending],
    batch: PlannedBatch,
) -> Option<(ActionHash, Vec<(RequestId, BatchProof)>)> {
    let PlannedBatch { spec, root, count, prompt_tokens, completion_tokens, proofs } = batch;
    let of_batch = pending.iter().rev().find(|p| p.spec.entry == spec)?;
    let entry = ReceiptBatch {
        capability: of_batch.capability.clone(),
        spec: of_batch.spec.clone(),
        root,
        count,
        prompt_tokens,
        completion_tokens,
    };
    let action = match conductor.create_receipt_batch(entry).await {
        Ok(action) => action,
        Err(e) => {
            tracing::warn!(error = %e, receipts = count, "a batch of receipts could not be published; trying again");
            return None;
        }
    };
    let place = |index, path| BatchProof { batch: action.clone(), index, path };
    let placed: Vec<(RequestId, BatchProof)> = proofs.iter().map(|p| (p.id, place(p.index, p.path.clone()))).collect();
    if let Err(e) = node.inner.store.publish(&placed) {
        tracing::error!(error = %e, hint = e.hint(), "published receipts cannot be noted");
    }
    node.inner.batches.send_modify(|batches| *batches += 1);
    node.inner.counts.receipts_published.fetch_add(u64::from(count), Ordering::Relaxed);
    for (id, proof) in &placed {
        // Who asked over a link asks for it: nobody else knows where he is.
        let Some(Requester::Agent(requester)) = pending.iter().find(|p| p.id == *id).map(|p| p.requester.clone())
        else {
            continue;
        };
        let told = PeerSignal::ReceiptPublished { id: *id, proof: proof.clone() };
        if let Err(e) = conductor.send_signal(SendSignal { to: vec![requester], signal: told }).await {
            tracing::debug!(error = %e, "a requester could not be told of its receipt");
        }
    }
    Some((action, placed))
}
