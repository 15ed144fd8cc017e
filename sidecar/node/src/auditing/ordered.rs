//! Answers that others show to this node as an auditor whom the dice have drawn: it computes them again and publishes what it finds.
//!
//! Everything is checked before anything is computed: what follows from what is sent by `verify::audit::order`, the rest against the DHT.
//! Question and answer come only after the order was taken; they are dropped with it, and stand nowhere: not in a report, nor in a log. Who asked is not known here, and
//! requester and provider may be one: so a pass earns the provider nothing, and no more than so much is done for anybody ([`super::desk`]).

use super::desk::Place;
use super::own::{self, Opening};
use super::{replay, reporting};
use crate::engines::{model_id, Loaded};
use crate::node::Node;
use crate::opening::{self, OpenError};
use crate::receipts::{self, Unchecked};
use crate::requester::Requester;
use crate::serving::now_us;
use crate::{AuditMade, Hiding};
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_transport::{Frame, FrameReceiver, FrameSender, Stream};
use ainonymous_types::{
    ActionHash, AuditOrder, AuditRefusal, AuditShown, Bytes32, EntryHash, ModelSpec, OpenGrant, OpenRefusal, Outcome,
    Role, SignedReceipt, SpecRef,
};
use ainonymous_verify::audit::{leaf, order as fits};
use ainonymous_verify::receipt;
use std::time::{Duration, Instant};

/// Longest wait for the batch with the receipt: whoever asked has seen it.
const BATCH_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the answer, once the order is taken.
const SHOWN_MAX: Duration = Duration::from_secs(20);
/// How often a provider is asked to open that is busy, or does not see the commitment yet.
const OPENS_MAX: u32 = 3;
/// Pause before it is asked again.
const OPEN_AGAIN: Duration = Duration::from_secs(3);

/// An order that is taken.
struct Taken<'a> {
    conductor: Conductor,
    /// This node's, as auditor.
    capability: ActionHash,
    model: ModelSpec,
    loaded: Loaded,
    /// As the provider's batch names it.
    spec: SpecRef,
    place: Place<'a>,
}

/// A peer shows an answer, and wants to know whether it is the promised model's.
pub(crate) async fn on_order(node: &Node, from: Requester, order: AuditOrder, stream: Stream) {
    let Stream { mut sender, mut receiver } = stream;
    let audited = async {
        let taken = take(node, &from, &order).await?;
        let shown = see(&taken, &order, &mut sender, &mut receiver).await?;
        audit(node, taken, order, shown).await.map_err(|e| {
            tracing::warn!(error = %e, "an audit that was ordered here came to nothing");
            AuditRefusal::Failed
        })
    };
    let word = match audited.await {
        Ok(report) => Frame::Audited { report },
        Err(refusal) => {
            tracing::debug!(code = refusal.code(), "an order to audit was refused");
            Frame::NotAudited(refusal)
        }
    };
    // An error means that nobody waits for it any more.
    if sender.send(&word).await.is_ok() {
        sender.finish();
    }
}

/// Says that the order is taken, and waits for the answer: it is not sent to whoever takes no order.
async fn see(
    taken: &Taken<'_>,
    order: &AuditOrder,
    sender: &mut FrameSender,
    receiver: &mut FrameReceiver,
) -> Result<AuditShown, AuditRefusal> {
    sender.send(&Frame::AuditTaken).await.map_err(|_| AuditRefusal::Failed)?;
    let shown = match tokio::time::timeout(SHOWN_MAX, receiver.recv()).await {
        Ok(Ok(Some(Frame::AuditShown(shown)))) => *shown,
        _ => return Err(AuditRefusal::Failed),
    };
    fits::fits(order, &shown, &taken.conductor.agent(), now_us())?;
    match replay::obstacle(&shown.input) {
        Some(_) => Err(AuditRefusal::NotReplayable),
        None => Ok(shown),
    }
}

/// Whether this node audits the answer: what costs nothing is looked at first.
async fn take<'a>(node: &'a Node, from: &Requester, order: &AuditOrder) -> Result<Taken<'a>, AuditRefusal> {
    if !node.inner.auditing.has_role() {
        return Err(AuditRefusal::NoAuditor);
    }
    let conductor = node.conductor().filter(|_| !node.refuses_peers()).ok_or(AuditRefusal::Busy)?;
    let me = conductor.agent();
    fits::judge(order, &me, now_us())?;
    let (statement, answer) = (&order.receipt.receipt, receipt::leaf(&order.receipt));
    let place = node.inner.auditing.desk.take(from, &statement.provider, answer, Instant::now())?;
    let (model, loaded) = model(node, &statement.spec).await.ok_or(AuditRefusal::NoModel)?;
    let failed = |e: ConductorError| {
        tracing::debug!(error = %e, "what an order rests on could not be looked up");
        AuditRefusal::Failed
    };
    let offer = conductor.get_my_capability().await.map_err(failed)?;
    let offer = offer.filter(|offer| offer.capability.roles.contains(&Role::Auditor)).ok_or(AuditRefusal::NoAuditor)?;
    let batch = receipts::check(&conductor, &order.receipt, &order.proof, BATCH_MAX).await;
    let batch = batch.map_err(|unchecked| match unchecked {
        Unchecked::DoesNotFit(_) => AuditRefusal::DoesNotFit,
        Unchecked::NotReadable(_) => AuditRefusal::NotPublished,
    })?;
    let commits = opening::audits_at(&conductor, &answer).await.map_err(failed)?;
    if fits::is_enough(commits.iter().map(|found| (&found.author, &found.entry.mode)), &me) {
        return Err(AuditRefusal::Repeated);
    }
    Ok(Taken { conductor, capability: offer.action, model, loaded, spec: batch.spec, place })
}

/// What computes the same as a model spec promises.
async fn model(node: &Node, spec: &EntryHash) -> Option<(ModelSpec, Loaded)> {
    if node.inner.directory.model(spec).is_none() {
        node.inner.directory.refresh_listing(node).await;
    }
    let model = node.inner.directory.model(spec)?;
    let loaded = replay::own_model(node, &model)?;
    Some((model, loaded))
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
enum NoReport {
    #[error("the answer cannot be computed again: {0}")]
    Engine(#[from] ainonymous_engine::EngineError),
    #[error("the network did not take it: {0}")]
    Conductor(#[from] ConductorError),
}

/// Replays, promises, has the provider open, and reports.
async fn audit(node: &Node, taken: Taken<'_>, order: AuditOrder, shown: AuditShown) -> Result<ActionHash, NoReport> {
    let Taken { conductor, capability, model, loaded, spec, place } = taken;
    let auditing = &node.inner.auditing;
    let statement = order.receipt.receipt.clone();
    let salt = Bytes32(rand::random());
    let turn = auditing.turn.lock().await;
    place.begins(&statement.provider, Instant::now());
    let finish = statement.finish;
    let AuditShown { input, tokens, grant, .. } = shown;
    let computed = replay::replay(&loaded, &input, &tokens, finish, model.kv_type, &salt).await?;
    drop((turn, input));

    let promise = |previous| fits::commitment(&order, &capability, previous, leaf::replay(&computed.leaves));
    let promised = reporting::promise(&conductor, &statement.provider, promise).await?;
    let opening = open(node, &order.receipt, &grant).await;
    let table = own::table_of(node, &statement.provider, &model, statement.completion_tokens, &loaded).await;
    let judged = own::judge(&statement.fingerprint, &computed, &opening, table.as_ref());
    let table = reporting::calibration(&conductor, &spec, table).await?;
    let reported = reporting::report(&conductor, promised, table, judged.outcome, None).await?;
    let action = reported.action.clone();
    let made = AuditMade {
        provider: statement.provider.to_string(),
        model: model_id(&model),
        mode: "drawn",
        auditor: None,
        // What everybody can check: not that an answer was cut off.
        verdict: reported.verdict,
        why: own::why(&judged.outcome, reported.verdict),
        tokens: statement.completion_tokens,
        statistics: match judged.outcome {
            Outcome::Measured(found) => Some(found),
            Outcome::Mismatch | Outcome::NotOpened => None,
        },
        report: Some(action.to_string()),
    };
    auditing.record_ordered(node, &statement.provider, made);
    if let Err(e) = reported.accuse(&conductor, &statement.provider).await {
        tracing::warn!(error = %e, hint = e.hint(), "an accusation could not be written down");
    }
    Ok(action)
}

/// What the provider opens, now that the replay is promised.
async fn open(node: &Node, signed: &SignedReceipt, grant: &OpenGrant) -> Opening {
    for attempt in 0..OPENS_MAX {
        if attempt > 0 {
            tokio::time::sleep(OPEN_AGAIN).await;
        }
        match opening::ask(node, signed, grant, Hiding::No, true).await {
            Ok(opened) => return Opening::Opened(opened.leaves),
            Err(OpenError::DoesNotFit) => return Opening::DoesNotFit,
            Err(e) => {
                tracing::debug!(code = e.code(), error = %e, "a provider did not open its fingerprint to an auditor");
                let passes = |refusal| matches!(refusal, OpenRefusal::Busy | OpenRefusal::NotCommitted);
                if matches!(e, OpenError::Refused(refusal) if !passes(refusal)) {
                    return Opening::Silent;
                }
            }
        }
    }
    Opening::Silent
}
