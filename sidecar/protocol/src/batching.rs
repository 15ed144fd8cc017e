//! Receipts become batches: one action on the DHT for many answers, and for each receipt the path that proves it.

use ainonymous_types::{limits, Bytes32, EntryHash, RequestId, SignedReceipt};
use ainonymous_verify::{merkle, receipt};

/// A signed receipt that no batch contains yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingReceipt {
    /// The question.
    pub id: RequestId,
    /// The statement.
    pub receipt: SignedReceipt,
}

/// A batch ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedBatch {
    /// The spec that every receipt names.
    pub spec: EntryHash,
    /// Root over the receipts.
    pub root: Bytes32,
    /// Number of receipts.
    pub count: u32,
    /// Sum over the receipts.
    pub prompt_tokens: u64,
    /// Sum over the receipts.
    pub completion_tokens: u64,
    /// One for each receipt, in order.
    pub proofs: Vec<PlannedProof>,
}

/// Where one receipt stands in a planned batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedProof {
    /// The question.
    pub id: RequestId,
    /// Position of the leaf.
    pub index: u32,
    /// Sibling hashes from leaf to root.
    pub path: Vec<Bytes32>,
}

/// Groups receipts by model spec, in the order of their arrival, none larger than the bound.
pub fn plan_batches(pending: &[PendingReceipt]) -> Vec<PlannedBatch> {
    let mut specs: Vec<&EntryHash> = Vec::new();
    for p in pending {
        if !specs.contains(&&p.receipt.receipt.spec) {
            specs.push(&p.receipt.receipt.spec);
        }
    }
    let of_spec = |spec: &EntryHash| pending.iter().filter(|p| p.receipt.receipt.spec == *spec).collect::<Vec<_>>();
    let size = limits::BATCH_RECEIPTS_MAX as usize;
    specs.into_iter().flat_map(|spec| of_spec(spec).chunks(size).filter_map(plan_one).collect::<Vec<_>>()).collect()
}

/// None only for no receipts at all.
fn plan_one(receipts: &[&PendingReceipt]) -> Option<PlannedBatch> {
    let leaves: Vec<Bytes32> = receipts.iter().map(|p| receipt::leaf(&p.receipt)).collect();
    let proof = |(index, p): (usize, &&PendingReceipt)| PlannedProof {
        id: p.id,
        index: u32::try_from(index).unwrap_or(u32::MAX),
        path: merkle::path(&leaves, index).unwrap_or_default(),
    };
    Some(PlannedBatch {
        spec: receipts.first()?.receipt.receipt.spec.clone(),
        root: merkle::root(&leaves)?,
        count: u32::try_from(receipts.len()).unwrap_or(u32::MAX),
        prompt_tokens: receipts.iter().map(|p| u64::from(p.receipt.receipt.prompt_tokens)).sum(),
        completion_tokens: receipts.iter().map(|p| u64::from(p.receipt.receipt.completion_tokens)).sum(),
        proofs: receipts.iter().enumerate().map(proof).collect(),
    })
}
