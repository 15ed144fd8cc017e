//! One receipt for a question. It is claimed, signed and kept, in this order, before anybody sees it.
//!
//! Two receipts for one question shut their signer out of the network for good, and whoever asks chooses ids, keys and time: so the store
//! knows what was signed for (`store::claims`, docs/adr/0043), and what was claimed before is refused, whoever asks and by whichever way.

use crate::node::Node;
use crate::serving::{now_us, Taken};
use crate::store::{Claim, EncodedAnswer, Finished, Pending, Store};
use crate::NodeError;
use ainonymous_conductor::Conductor;
use ainonymous_types::{ActionHash, Bytes32, Receipt, RefuseReason, RequestId, SignedReceipt, TimestampUs};
use ainonymous_verify::receipt;
use std::sync::atomic::{AtomicI64, Ordering};

/// Why a question is refused, and what whoever asks is told.
pub(crate) type Refusal = (RefuseReason, String);

/// What whoever asks the same again is told.
const ASKED_BEFORE: &str = "this question was asked before: to ask it again, draw another salt and another challenge";

/// What whoever uses an id again is told.
const ID_IN_USE: &str =
    "a receipt for a question with this id is not published yet: each question needs an id of its own";

/// Pause between two warnings that questions are refused, in microseconds.
const SAID_EVERY_US: u64 = 60_000_000;

/// Says no at the door to what could not be signed for at the end; there it counts. And to an id under which a receipt waits to be
/// published: it would be lost, and whoever holds it could say that this node keeps it back.
pub(crate) fn check_unasked(
    store: &Store,
    id: RequestId,
    question: &Bytes32,
    now_us: TimestampUs,
) -> Result<(), Refusal> {
    granted(store.claimable(question, now_us))?;
    match store.is_pending(id) {
        Ok(false) => Ok(()),
        Ok(true) => Err((RefuseReason::Malformed, ID_IN_USE.into())),
        Err(e) => granted(Err(e)),
    }
}

/// Signs what was answered and keeps the receipt before anybody sees it.
pub(crate) async fn sign_and_keep(
    node: &Node,
    conductor: &Conductor,
    taken: &mut Taken,
    receipt: Receipt,
) -> Result<SignedReceipt, Refusal> {
    let (pending, opens) = sign(node, conductor, taken, receipt).await?;
    keep(node, &pending, opens, None)?;
    Ok(pending.receipt)
}

/// The same for a posted question. The answer is kept too, until it is posted: nothing else can be signed for it later.
pub(crate) async fn sign_and_keep_posted(
    node: &Node,
    conductor: &Conductor,
    taken: &mut Taken,
    receipt: Receipt,
    request: &ActionHash,
) -> Result<Finished, Refusal> {
    let (pending, opens) = sign(node, conductor, taken, receipt).await?;
    let (text, tokens) = (taken.answering.whole_text(), taken.answering.all_tokens());
    let finished = Finished { pending, text, tokens, more: taken.answering.whole_more() };
    keep(node, &finished.pending, opens, Some((request, &finished)))?;
    Ok(finished)
}

/// What opens a receipt, under its leaf.
type Opens = Option<(Bytes32, EncodedAnswer)>;

async fn sign(
    node: &Node,
    conductor: &Conductor,
    taken: &mut Taken,
    receipt: Receipt,
) -> Result<(Pending, Opens), Refusal> {
    let kept = taken.kept();
    // A fingerprint that will not be there is not promised.
    let fingerprint = if kept.is_some() { receipt.fingerprint } else { Bytes32([0; 32]) };
    let receipt = Receipt { fingerprint, ..receipt };
    let question = receipt::question(&receipt.session_key, &receipt.input, &receipt.audit.challenge);
    granted(node.inner.store.claim(&question, receipt.finished_at))?;
    let signed = match conductor.sign_receipt(receipt).await {
        Ok(signed) => signed,
        Err(e) => {
            tracing::error!(error = %e, "a receipt could not be signed");
            unclaim(node, &question);
            return Err((RefuseReason::EngineFailed, String::new()));
        }
    };
    let opens = kept.map(|kept| (receipt::leaf(&signed), kept));
    let pending = Pending {
        id: taken.id,
        requester: taken.requester.clone(),
        receipt: signed,
        spec: taken.announced.spec.clone(),
        capability: taken.capability.clone(),
    };
    Ok((pending, opens))
}

/// Nothing was signed: the question may be asked again. If that cannot be noted it may not.
fn unclaim(node: &Node, question: &Bytes32) {
    if let Err(e) = node.inner.store.unclaim(question) {
        tracing::error!(error = %e, hint = e.hint(), "a question stays refused");
    }
}

fn keep(node: &Node, pending: &Pending, opens: Opens, posted: Option<(&ActionHash, &Finished)>) -> Result<(), Refusal> {
    match node.inner.store.put_pending(pending, opens, posted, now_us()) {
        Ok(true) => Ok(()),
        // Nobody has seen what was signed.
        Ok(false) => Err((RefuseReason::Malformed, ID_IN_USE.into())),
        Err(e) => {
            tracing::error!(error = %e, hint = e.hint(), "a receipt could not be kept");
            Err((RefuseReason::EngineFailed, String::new()))
        }
    }
}

/// A store that cannot be read or written grants nothing.
fn granted(claim: Result<Claim, NodeError>) -> Result<(), Refusal> {
    match claim {
        Ok(Claim::Granted) => Ok(()),
        Ok(Claim::AskedBefore) => Err((RefuseReason::Malformed, ASKED_BEFORE.into())),
        Ok(Claim::Uncertain) => {
            warn_now_and_then();
            Err((RefuseReason::Busy, String::new()))
        }
        Err(e) => {
            tracing::error!(error = %e, hint = e.hint(), "a question could not be claimed");
            Err((RefuseReason::EngineFailed, String::new()))
        }
    }
}

/// Says why questions are refused, once a minute however many come.
fn warn_now_and_then() {
    static SAID_US: AtomicI64 = AtomicI64::new(i64::MIN);
    let (now_us, said_us) = (now_us(), SAID_US.load(Ordering::Relaxed));
    if now_us.abs_diff(said_us) >= SAID_EVERY_US {
        SAID_US.store(now_us, Ordering::Relaxed);
        tracing::warn!(
            hint = "within ten minutes of an upgrade this passes; else look whether the clock of this machine is right",
            "questions are refused as if this node were busy: it cannot be said whether they were signed for before"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::pending;
    use ainonymous_types::limits;

    const ID: RequestId = RequestId([9; 16]);

    #[test]
    fn an_id_is_not_taken_twice_while_its_receipt_waits() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("node.redb")).unwrap();
        let (waits, question) = (pending(1), Bytes32([7; 32]));
        store.put_pending(&waits, None, None, 0).unwrap();
        let (reason, detail) = check_unasked(&store, waits.id, &question, 1).unwrap_err();
        assert!(reason == RefuseReason::Malformed && detail.len() <= limits::DETAIL_BYTES_MAX, "{detail}");
        assert_eq!(check_unasked(&store, ID, &question, 1), Ok(()));
    }

    #[test]
    fn what_was_signed_for_is_refused_at_the_door_and_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("node.redb")).unwrap();
        let of = |session: u8, salted: u8, challenge: u8| {
            receipt::question(&Bytes32([session; 32]), &Bytes32([salted; 32]), &Bytes32([challenge; 32]))
        };
        let (question, now_us) = (of(1, 2, 3), 1_760_000_000_000_000);
        assert_eq!(check_unasked(&store, ID, &question, now_us), Ok(()));
        assert_eq!(granted(store.claim(&question, now_us)), Ok(()));
        let (reason, detail) = check_unasked(&store, ID, &question, now_us).unwrap_err();
        assert_eq!(reason, RefuseReason::Malformed);
        assert!(detail.contains("another salt") && detail.len() <= limits::DETAIL_BYTES_MAX, "{detail}");
        assert_eq!(granted(store.claim(&question, now_us)).unwrap_err().0, RefuseReason::Malformed);
        // A conversation keeps its key: what is said next in it is another question.
        assert_eq!(check_unasked(&store, ID, &of(1, 4, 5), now_us), Ok(()));
        // The same question with another challenge proves nothing against anybody.
        assert_eq!(granted(store.claim(&of(1, 2, 5), now_us)), Ok(()));
    }

    #[test]
    fn whoever_cannot_say_whether_it_has_signed_is_busy() {
        assert_eq!(granted(Ok(Claim::Uncertain)).unwrap_err().0, RefuseReason::Busy);
        let broken = NodeError::DatabaseStopped { path: "node.redb".into() };
        assert_eq!(granted(Err(broken)).unwrap_err().0, RefuseReason::EngineFailed);
    }
}
