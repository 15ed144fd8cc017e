//! Receipts that were handed out reach the DHT within a bounded time, in batches.

use crate::node::Node;
use crate::store::Pending;
use ainonymous_conductor::Conductor;
use ainonymous_protocol::{plan_batches, PendingReceipt, PlannedBatch};
use ainonymous_types::{ActionHash, BatchProof, PeerSignal, ReceiptBatch, RequestId, SendSignal};
use std::sync::atomic::Ordering;

/// Publishes what waits, again and again.
pub(crate) async fn run(node: Node, conductor: Conductor) {
    loop {
        tokio::time::sleep(node.inner.receipt_interval).await;
        publish_pending(&node, &conductor).await;
    }
}

/// Publishes everything that waits. What cannot be published now waits on.
pub(crate) async fn publish_pending(node: &Node, conductor: &Conductor) {
    let _one_at_a_time = node.inner.publishing.lock().await;
    let pending = match node.inner.store.pending() {
        Ok(pending) => pending,
        Err(e) => {
            tracing::error!(error = %e, hint = e.hint(), "receipts cannot be read");
            return;
        }
    };
    let plan: Vec<PendingReceipt> = pending.iter().map(Pending::to_plan).collect();
    for batch in plan_batches(&plan) {
        publish_batch(node, conductor, &pending, batch).await;
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
    node.inner.counts.receipts_published.fetch_add(u64::from(count), Ordering::Relaxed);
    for (planned, (id, proof)) in proofs.iter().zip(&placed) {
        let told = PeerSignal::ReceiptPublished { id: *id, proof: proof.clone() };
        if let Err(e) = conductor.send_signal(SendSignal { to: vec![planned.requester.clone()], signal: told }).await {
            tracing::debug!(error = %e, "a requester could not be told of its receipt");
        }
    }
    Some((action, placed))
}
