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
use ainonymous_types::limits::FINGERPRINT_WINDOW_TOKENS;
use ainonymous_types::{
    ActionHash, AuditOrder, AuditRefusal, AuditShown, Bytes32, ModelSpec, OpenGrant, OpenRefusal, OpenedLeaf, Role,
    SignedReceipt, SpecRef,
};
use ainonymous_verify::audit::order::{self as fits, Enough};
use ainonymous_verify::audit::{draw, leaf, scope};
use ainonymous_verify::receipt;
use std::time::{Duration, Instant};

/// Longest wait for the batch with the receipt: whoever asked has seen it, and comes again if it is not here yet.
const BATCH_MAX: Duration = Duration::from_secs(3);
/// What an order rests on must be looked up within this.
const LOOKED_UP_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the answer, once the order is taken.
const SHOWN_MAX: Duration = Duration::from_secs(20);
/// A provider is asked again for so long that is busy, or does not see the commitment yet: others may keep it busy so that nothing is opened.
/// The report must follow within `order::REPORT_WITHIN_US`.
const OPENS_WITHIN: Duration = Duration::from_secs(120);
/// How often it is asked if it is silent, or cannot be reached.
const OPENS_MAX: u32 = 3;
/// First pause before it is asked again; doubles up to [`OPEN_AGAIN_MAX`] where it is busy.
const OPEN_AGAIN: Duration = Duration::from_secs(3);
/// Longest of these pauses.
const OPEN_AGAIN_MAX: Duration = Duration::from_secs(15);

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
    let check = node.inner.auditing.desk.check(from, &statement.provider, answer, Instant::now())?;
    let looked_up = tokio::time::timeout(LOOKED_UP_MAX, look_up(node, conductor, order)).await;
    let found = looked_up.unwrap_or(Err(AuditRefusal::Busy))?;
    let LookedUp { conductor, capability, model, loaded, spec } = found;
    let place = check.take(Instant::now())?;
    Ok(Taken { conductor, capability, model, loaded, spec, place })
}

/// What an order rests on.
struct LookedUp {
    conductor: Conductor,
    capability: ActionHash,
    model: ModelSpec,
    loaded: Loaded,
    spec: SpecRef,
}

/// Whether what an order says of the network is so: until then whoever sent it may have made up all of it.
async fn look_up(node: &Node, conductor: Conductor, order: &AuditOrder) -> Result<LookedUp, AuditRefusal> {
    let model = node.inner.directory.find_model(node, &order.receipt.receipt.spec).await;
    let model = model.ok_or(AuditRefusal::NoModel)?;
    let loaded = replay::own_model(node, &model).ok_or(AuditRefusal::NoModel)?;
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
    let answer = receipt::leaf(&order.receipt);
    match node.inner.auditing.promises.enough(&conductor, &answer).await.map_err(failed)? {
        Enough::No => Ok(LookedUp { conductor, capability: offer.action, model, loaded, spec: batch.spec }),
        Enough::ForNow => Err(AuditRefusal::Busy),
        Enough::Yes => Err(AuditRefusal::Repeated),
    }
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
    place.begins(Instant::now());
    let AuditShown { input, tokens, grant, .. } = shown;
    let windows =
        draw::stretch(&draw::beacon(&statement, &order.secret), &conductor.agent(), statement.completion_tokens);
    // To the end of the stretch that fell to this node: of what stands behind it a report says nothing.
    let until = windows.end.saturating_mul(FINGERPRINT_WINDOW_TOKENS);
    let computed = replay::replay(&loaded, &input, (&tokens, until), &statement, model.kv_type, &salt).await?;
    let cut = computed.cut && until >= tokens.len();
    let scope = scope::of(&input, leaf::tokens_in(&windows, statement.completion_tokens));
    drop((turn, input));

    let promise = |previous| fits::commitment(&order, &capability, previous, leaf::replay(&computed.leaves));
    let promised = reporting::promise(&conductor, &statement.provider, promise).await?;
    let opening = open(node, &order.receipt, &grant).await;
    let table = own::table_of(node, &statement.provider, &model, &scope, &loaded).await;
    let compare = |opened: &[OpenedLeaf]| own::stretch(opened, &tokens, &computed.leaves, windows);
    let judged = own::judge(&statement.fingerprint, &opening, cut, table.as_ref(), compare);
    let table = reporting::calibration(&conductor, &spec, table).await?;
    let reported = reporting::report(&conductor, promised, table, judged.outcome, None).await?;
    let action = reported.action.clone();
    let made = AuditMade {
        provider: statement.provider.to_string(),
        model: model_id(&model),
        mode: "drawn",
        auditor: None,
        // What follows by the table, as everybody can check.
        verdict: reported.verdict,
        why: own::why(&judged.outcome, reported.verdict),
        tokens: statement.completion_tokens,
        statistics: judged.outcome.compared(),
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
    let begun = Instant::now();
    for attempt in 1.. {
        match opening::ask(node, signed, grant, Hiding::No, true).await {
            Ok(opened) => return Opening::Opened(opened.leaves),
            Err(OpenError::DoesNotFit) => return Opening::DoesNotFit,
            Err(e) => {
                tracing::debug!(code = e.code(), error = %e, "a provider did not open its fingerprint to an auditor");
                let Some(pause) = again(&e, attempt, begun.elapsed()) else { break };
                // Not at the same moments as others who were told the same.
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.75..1.25))).await;
            }
        }
    }
    Opening::Silent
}

/// The pause before a provider is asked again that has not opened at this attempt, the first or a later one; none if it is not asked again.
fn again(why: &OpenError, attempt: u32, asked_for: Duration) -> Option<Duration> {
    let doublings = attempt.saturating_sub(1).min(8);
    match why {
        OpenError::Refused(OpenRefusal::Busy | OpenRefusal::NotCommitted) => {
            let pause = (OPEN_AGAIN * 2u32.pow(doublings)).min(OPEN_AGAIN_MAX);
            (asked_for + pause < OPENS_WITHIN).then_some(pause)
        }
        OpenError::Refused(_) => None,
        _ => (attempt < OPENS_MAX).then_some(OPEN_AGAIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_verify::audit::order::REPORT_WITHIN_US;

    /// How often a provider is asked that always says this at once, and for how long.
    fn asks(why: &OpenError) -> (u32, Duration) {
        let (mut attempt, mut asked_for) = (1, Duration::ZERO);
        while let Some(pause) = again(why, attempt, asked_for) {
            (attempt, asked_for) = (attempt + 1, asked_for + pause);
        }
        (attempt, asked_for)
    }

    #[test]
    fn a_provider_that_others_keep_busy_is_asked_until_they_are_gone() {
        for refusal in [OpenRefusal::Busy, OpenRefusal::NotCommitted] {
            let (attempts, asked_for) = asks(&OpenError::Refused(refusal));
            assert!((8..=16).contains(&attempts), "{attempts}");
            assert!(asked_for > Duration::from_secs(90) && asked_for < OPENS_WITHIN, "{asked_for:?}");
        }
        assert_eq!(asks(&OpenError::Silent).0, OPENS_MAX);
        assert_eq!(asks(&OpenError::Refused(OpenRefusal::NotKept)).0, 1, "it does not open");
        assert!(again(&OpenError::Refused(OpenRefusal::Busy), u32::MAX, Duration::ZERO).is_some());
    }

    #[test]
    fn a_promise_is_waited_for_longer_than_a_provider_is_asked() {
        let within = Duration::from_micros(REPORT_WITHIN_US.unsigned_abs());
        assert!(within >= OPENS_WITHIN + Duration::from_secs(30));
    }
}
