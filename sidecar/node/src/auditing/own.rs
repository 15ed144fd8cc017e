//! Self-audit: an answer to an own question is computed again here, and compared with what its provider thought likely. Nobody else
//! sees question or answer, and nothing is published.

use super::replay::{self, Computed};
use super::tables::Table;
use crate::engines::{model_id, Loaded};
use crate::evidence::{Answered, Asked};
use crate::node::Node;
use crate::opening::{self, OpenError};
use crate::AuditMade;
use ainonymous_engine::LLAMA_BUILD;
use ainonymous_types::{
    ActionHash, AgentPubKey, Bytes32, Calibration, EntryHash, ModelSpec, OpenedLeaf, Outcome, RequestId, SpecRef,
    Verdict,
};
use ainonymous_verify::audit::{calibration, draw, statistics};
use ainonymous_verify::receipt;
use std::sync::Arc;

/// What came of asking a provider to open its fingerprint.
#[derive(Debug)]
pub(crate) enum Opening {
    /// It fits the receipt.
    Opened(Vec<OpenedLeaf>),
    /// It shows something that its receipt does not name.
    DoesNotFit,
    /// It shows nothing.
    Silent,
}

/// What follows from an audit.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    pub(crate) verdict: Verdict,
    /// In a few words.
    pub(crate) why: &'static str,
}

/// An answer to audit, and what computes it again.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) asked: Asked,
    pub(crate) answered: Answered,
    pub(crate) spec: ModelSpec,
    pub(crate) loaded: Loaded,
}

impl Case {
    /// None if there is no such answer, or nothing of this node computes the same.
    pub(crate) fn of(node: &Node, id: RequestId) -> Option<Self> {
        let asked = node.inner.store.asked(id).ok().flatten()?;
        let answered = asked.answer.clone()?;
        let spec = asked.model.clone().or_else(|| node.inner.directory.model(&asked.spec.entry))?;
        let loaded = replay::own_model(node, &spec)?;
        let begun = !answered.begun_by.is_empty();
        let can = !begun && !answered.said.tokens.is_empty() && replay::obstacle(&asked.input).is_none();
        can.then_some(Self { asked, answered, spec, loaded })
    }

    /// Who answered.
    pub(crate) fn provider(&self) -> &AgentPubKey {
        &self.answered.receipt.receipt.provider
    }

    /// Root over the fingerprint that the receipt names.
    pub(crate) fn root(&self) -> &Bytes32 {
        &self.answered.receipt.receipt.fingerprint
    }

    /// The receipt's leaf.
    pub(crate) fn leaf(&self) -> Bytes32 {
        receipt::leaf(&self.answered.receipt)
    }
}

/// An answer of a peer to a question of this node's people is complete and kept: it is audited if its dice say so and this node can.
pub(crate) fn on_answered(node: &Node, id: RequestId) {
    let auditing = &node.inner.auditing;
    if auditing.habits.not_own {
        return;
    }
    let Ok(waits) = Arc::clone(&auditing.waiting).try_acquire_owned() else {
        tracing::debug!("too many answers wait to be audited; this one is not");
        return;
    };
    let node2 = node.clone();
    node.spawn(async move {
        let _waits = waits;
        let Some(case) = Case::of(&node2, id) else { return };
        let statement = &case.answered.receipt.receipt;
        let beacon = draw::beacon(statement, &case.asked.secrets.audit);
        if draw::is_audited(&beacon, &statement.audit) {
            run(&node2, &case).await;
        }
    });
}

async fn run(node: &Node, case: &Case) {
    let Some(computed) = compute(node, case, &Bytes32(rand::random())).await else { return };
    let opening = open(node, case).await;
    let table = table(node, case).await;
    let judged = judge(case.root(), &computed, &opening, table.as_ref());
    let made = made(case, &judged, "own", None);
    node.inner.auditing.record(node, case.provider(), case.leaf(), made);
}

/// The replay, when it is its turn.
pub(super) async fn compute(node: &Node, case: &Case, salt: &Bytes32) -> Option<Computed> {
    let _turn = node.inner.auditing.turn.lock().await;
    let finish = case.answered.receipt.receipt.finish;
    let Case { asked, answered, spec, loaded } = case;
    match replay::replay(loaded, &asked.input, &answered.said.tokens, finish, spec.kv_type, salt).await {
        Ok(computed) => Some(computed),
        Err(e) => {
            tracing::debug!(code = e.code(), "an answer could not be computed again");
            None
        }
    }
}

/// What the provider opens, now that the replay is done.
pub(super) async fn open(node: &Node, case: &Case) -> Opening {
    let Case { asked, answered, .. } = case;
    let Some(grant) = asked.grant(None) else { return Opening::Silent };
    match opening::ask(node, &answered.receipt, &grant, asked.hide, asked.known).await {
        Ok(opened) => Opening::Opened(opened.leaves),
        Err(OpenError::DoesNotFit) => Opening::DoesNotFit,
        Err(e) => {
            tracing::debug!(code = e.code(), error = %e, "a provider did not open its fingerprint");
            Opening::Silent
        }
    }
}

/// The table for this model and this pair of machines: the provider's by what it offers now.
pub(super) async fn table(node: &Node, case: &Case) -> Option<Table> {
    let provider = node.conductor()?.get_provider(case.provider().clone()).await.ok().flatten()?;
    let info = case.loaded.engine.info();
    let (prover, verifier) =
        (calibration::class(&provider.capability), calibration::class_of(info.backend, &info.backend_detail));
    node.inner.auditing.tables.of(&case.spec, LLAMA_BUILD, &prover, &verifier).cloned()
}

/// What follows from what was opened; `root` is what the receipt names. A root that is not the signed one, and an answer that was cut off, fail here; where everybody must
/// be able to check it, the first counts as silence and the second is not said (`canary`).
pub(super) fn judge(root: &Bytes32, computed: &Computed, opening: &Opening, table: Option<&Table>) -> Judged {
    let judged = |outcome, verdict, why| Judged { outcome, verdict, why };
    let unrecorded = *root == Bytes32([0; 32]);
    let opened = match opening {
        Opening::Opened(leaves) if !unrecorded => leaves,
        Opening::DoesNotFit => {
            return judged(Outcome::NotOpened, Verdict::Fail, "what it opened is not what it signed");
        }
        Opening::Opened(_) | Opening::Silent => {
            return judged(Outcome::NotOpened, Verdict::Inconclusive, "the provider did not open its fingerprint");
        }
    };
    let Ok(outcome) = statistics::outcome(opened, &computed.leaves) else {
        return judged(Outcome::NotOpened, Verdict::Inconclusive, "the answer could not be computed again");
    };
    if computed.cut {
        // On another kind of machine an honest answer may end a token earlier: what is not calibrated is never a fail.
        let verdict = table.map_or(Verdict::Inconclusive, |_| Verdict::Fail);
        return judged(outcome, verdict, "the model would not have ended there");
    }
    let somewhere = || vec![0; 36];
    let spec = SpecRef { entry: EntryHash::from_raw_36(somewhere()), action: ActionHash::from_raw_36(somewhere()) };
    let entry: Option<Calibration> = table.map(|table| table.entry(spec));
    let (verdict, _) = calibration::judge(entry.as_ref(), &outcome);
    let why = match (&outcome, verdict) {
        (Outcome::Mismatch, _) => "its fingerprint is of another answer",
        (_, Verdict::Pass) => "as honest answers are",
        (_, Verdict::Fail) => "not as honest answers are",
        (_, Verdict::Inconclusive) => "this pair of machines, or so short an answer, is not calibrated",
    };
    judged(outcome, verdict, why)
}

/// The same for people.
pub(super) fn made(case: &Case, judged: &Judged, mode: &'static str, report: Option<&ActionHash>) -> AuditMade {
    AuditMade {
        provider: case.provider().to_string(),
        model: model_id(&case.spec),
        mode,
        verdict: judged.verdict,
        why: judged.why,
        tokens: case.answered.receipt.receipt.completion_tokens,
        statistics: match judged.outcome {
            Outcome::Measured(found) => Some(found),
            Outcome::Mismatch | Outcome::NotOpened => None,
        },
        report: report.map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{Likely, ReplayLeaf};
    use ainonymous_verify::audit::{fingerprint, leaf};

    fn leaves(shift: u16) -> Vec<OpenedLeaf> {
        let likely = |i: u32| Likely { id: i, minus_sixteenths: shift + 16 * i as u16 };
        let position = fingerprint::position((0..8).map(likely).collect());
        leaf::leaves(&Bytes32([1; 32]), &(0..40).collect::<Vec<u32>>(), &vec![position; 40]).unwrap()
    }

    fn computed(cut: bool) -> Computed {
        let of = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![0; leaf.tokens.len()], impossible: 0, leaf };
        Computed { leaves: leaves(0).into_iter().map(of).collect(), cut }
    }

    fn verdict(opening: &Opening, cut: bool) -> (Verdict, bool) {
        let judged = judge(&Bytes32([9; 32]), &computed(cut), opening, None);
        (judged.verdict, judged.outcome == Outcome::NotOpened)
    }

    /// Without a table nothing follows from a measurement; what needs none is seen all the same.
    #[test]
    fn silence_is_no_evidence_and_a_lie_is() {
        use Verdict::{Fail, Inconclusive};
        assert_eq!(verdict(&Opening::Silent, false), (Inconclusive, true));
        assert_eq!(verdict(&Opening::Silent, true), (Inconclusive, true), "nobody knows what it would have shown");
        assert_eq!(verdict(&Opening::DoesNotFit, false), (Fail, true));
        assert_eq!(verdict(&Opening::Opened(leaves(0)), false), (Inconclusive, false), "not calibrated");
        assert_eq!(verdict(&Opening::Opened(leaves(0)), true), (Inconclusive, false), "cut off, but not calibrated");
        let table = Table::of_the_tests();
        let cut = judge(&Bytes32([9; 32]), &computed(true), &Opening::Opened(leaves(0)), Some(&table));
        assert_eq!(cut.verdict, Fail, "cut off");
        assert_eq!(verdict(&Opening::Opened(leaves(0)[..1].to_vec()), false), (Fail, false), "of a shorter answer");
        let unrecorded = judge(&Bytes32([0; 32]), &computed(false), &Opening::Opened(vec![]), None);
        assert_eq!((unrecorded.verdict, unrecorded.outcome), (Inconclusive, Outcome::NotOpened));
    }
}
