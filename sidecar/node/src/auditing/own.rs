//! Self-audit: an answer to an own question is computed again here, and compared with what its provider thought likely: because its
//! dice say so, or because a person wants it. Nobody else sees question or answer, and nothing is published.

use super::replay::{self, Computed};
use super::tables::Table;
use super::WAITING_MAX;
use crate::engines::{model_id, Loaded};
use crate::evidence::{Answered, Asked};
use crate::node::Node;
use crate::opening::{self, OpenError};
use crate::rounding;
use crate::{AnswerAudit, AuditMade, AuditState, AuditWhy};
use ainonymous_engine::{EngineError, LLAMA_BUILD};
use ainonymous_types::limits::FINGERPRINT_WINDOW_TOKENS;
use ainonymous_types::{
    ActionHash, AgentPubKey, Bytes32, Calibration, CalibrationScope, EntryHash, ModelSpec, OpenedLeaf, Outcome,
    ReplayLeaf, RequestId, SpecRef, Statistics, Verdict,
};
use ainonymous_verify::audit::{calibration, draw, leaf, scope, statistics};
use ainonymous_verify::{receipt, Breach};
use std::ops::Range;
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
    pub(crate) why: AuditWhy,
}

/// An answer to audit, and what computes it again.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) asked: Asked,
    pub(crate) answered: Answered,
    pub(crate) spec: ModelSpec,
    pub(crate) loaded: Loaded,
}

/// Why an answer is not computed again.
#[derive(Debug, thiserror::Error)]
pub enum AuditRefused {
    /// This node has asked no such question, has no answer yet, or does not have it any more.
    #[error("this node has no answer to question {0}")]
    Unknown(RequestId),
    /// The model that was asked is not loaded here.
    #[error("{model} is not loaded here: nothing on this machine computes the same")]
    ModelNotHere {
        /// `name:quantisation`, or that it is unknown.
        model: String,
    },
    /// It is of a kind that is not computed again.
    #[error("this answer cannot be checked: {what}")]
    NotReplayable {
        /// Which kind.
        what: &'static str,
    },
    /// Many answers wait to be computed again.
    #[error("{WAITING_MAX} answers wait to be checked")]
    Busy,
    /// The engine fails at it.
    #[error("the answer could not be computed again")]
    Engine(#[from] EngineError),
}

impl AuditRefused {
    /// Stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_answer",
            Self::ModelNotHere { .. } => "model_not_here",
            Self::NotReplayable { .. } => "not_replayable",
            Self::Busy => "too_many_audits",
            Self::Engine(e) => e.code(),
        }
    }

    /// What can be done.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown(_) => "answers of peers are kept for a week, within a bound".into(),
            Self::ModelNotHere { .. } => {
                "load the same file here, or save the receipt and check it where the model is: `ainonymous verify FILE`"
                    .into()
            }
            Self::NotReplayable { .. } => "signature and commitments are checked all the same".into(),
            Self::Busy => "try again in a moment".into(),
            Self::Engine(_) => "try again; the log of the node says more".into(),
        }
    }
}

impl Case {
    /// An answer to this node's question, and the model that computes the same.
    pub(crate) fn of(node: &Node, id: RequestId) -> Result<Self, AuditRefused> {
        let asked = node.inner.store.asked(id).ok().flatten().ok_or(AuditRefused::Unknown(id))?;
        let answered = asked.answer.clone().ok_or(AuditRefused::Unknown(id))?;
        let empty = answered.said.tokens.is_empty().then_some("it has no tokens");
        if let Some(what) = empty.or_else(|| replay::obstacle(&asked.input)) {
            return Err(AuditRefused::NotReplayable { what });
        }
        let spec = asked.model.clone().or_else(|| node.inner.directory.model(&asked.spec.entry));
        let spec = spec.ok_or_else(|| AuditRefused::ModelNotHere { model: "the model that was asked".into() })?;
        let loaded = replay::own_model(node, &spec);
        let loaded = loaded.ok_or_else(|| AuditRefused::ModelNotHere { model: model_id(&spec) })?;
        Ok(Self { asked, answered, spec, loaded })
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
pub(super) fn audit(node: &Node, id: RequestId) {
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
        let Ok(case) = Case::of(&node2, id) else { return };
        let statement = &case.answered.receipt.receipt;
        let beacon = draw::beacon(statement, &case.asked.secrets.audit);
        if draw::is_audited(&beacon, &statement.audit) {
            if let Err(e) = run(&node2, &case).await {
                tracing::debug!(code = e.code(), "an answer could not be computed again");
            }
        }
    });
}

/// A person wants to know, whatever the dice said. What has been decided already is not computed again.
pub(crate) async fn verify(node: &Node, id: RequestId) -> Result<AuditMade, AuditRefused> {
    let auditing = &node.inner.auditing;
    let _waits = Arc::clone(&auditing.waiting).try_acquire_owned().map_err(|_| AuditRefused::Busy)?;
    let case = Case::of(node, id)?;
    match auditing.found(&case.leaf()).filter(is_settled) {
        Some(made) => Ok(made),
        None => Ok(run(node, &case).await?),
    }
}

/// Whether this node has computed it itself, and something followed that another look would not change: of a long answer a stretch passes, and
/// another may fail.
fn is_settled(made: &AuditMade) -> bool {
    let whole = || made.statistics.is_none_or(|judged| judged.tokens >= made.tokens);
    let decided = match made.verdict {
        Verdict::Fail => true,
        Verdict::Pass => whole(),
        Verdict::Inconclusive => false,
    };
    made.auditor.is_none() && decided
}

/// Where an answer to a question of this node stands.
pub(crate) fn state(node: &Node, id: RequestId) -> AnswerAudit {
    let auditing = &node.inner.auditing;
    let leaf = node.asked(id).and_then(|asked| asked.answer).map(|answered| receipt::leaf(&answered.receipt));
    // What this node has decided itself stands, whoever else is still looking.
    match leaf.as_ref().map(|leaf| (auditing.is_running(leaf), auditing.found(leaf))) {
        Some((true, made)) if !made.as_ref().is_some_and(is_settled) => {
            AnswerAudit { state: AuditState::Running, why: None }
        }
        Some((_, Some(made))) => {
            let state = match made.verdict {
                Verdict::Pass => AuditState::Audited,
                Verdict::Fail => AuditState::Disputed,
                Verdict::Inconclusive => AuditState::Inconclusive,
            };
            AnswerAudit { state, why: Some(made.why) }
        }
        Some((_, None)) | None => AnswerAudit { state: AuditState::Unaudited, why: None },
    }
}

/// Computes an answer again, judges it, and remembers that for this node alone. Of a longer one than a table speaks of, a stretch, chosen here and
/// now: its provider cannot know which.
pub(super) async fn run(node: &Node, case: &Case) -> Result<AuditMade, EngineError> {
    let answer = case.leaf();
    let running = node.inner.auditing.begin(&answer);
    let measured = measured(node, case).await;
    let table = match &measured {
        Pair::Table(table) => Some(table.as_ref()),
        Pair::Silent | Pair::Unmeasured => None,
    };
    let tokens = &case.answered.said.tokens;
    let length = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    let windows = table.map_or(0..leaf::count(length) as usize, |table| table.stretch(length, rand::random()));
    // No further than to the end of what is judged.
    let until = windows.end.saturating_mul(FINGERPRINT_WINDOW_TOKENS);
    let computed = compute(node, case, until, &Bytes32(rand::random())).await?;
    let opening = open(node, case).await;
    let judged =
        judge(case.root(), &opening, computed.cut, table, |opened| stretch(opened, tokens, &computed.leaves, windows));
    let judged = match measured {
        Pair::Unmeasured => unmeasured(judged),
        Pair::Table(_) | Pair::Silent => judged,
    };
    let made = made(case, &judged, "own", None);
    node.inner.auditing.record(node, case.provider(), answer, made.clone());
    drop(running);
    Ok(made)
}

/// What follows where nobody has measured: who is further away than any rounding has not computed what was asked.
fn unmeasured(judged: Judged) -> Judged {
    let fails = judged.verdict == Verdict::Inconclusive && rounding::is_beyond(&judged.outcome);
    match fails {
        true => Judged { verdict: Verdict::Fail, why: AuditWhy::BeyondRounding, ..judged },
        false => judged,
    }
}

/// The replay of an answer's first tokens, or of all, when it is its turn. Whether it was cut off is seen either way.
pub(super) async fn compute(node: &Node, case: &Case, until: usize, salt: &Bytes32) -> Result<Computed, EngineError> {
    let _turn = node.inner.auditing.turn.lock().await;
    let Case { asked, answered, spec, loaded } = case;
    let tokens = &answered.said.tokens;
    replay::replay(loaded, &asked.input, (tokens, until), &answered.receipt.receipt, spec.kv_type, salt).await
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

/// What has been measured of this machine and a provider's.
enum Pair {
    /// How honest answers like this one differ.
    Table(Box<Table>),
    /// Something else than answers like this one.
    Silent,
    /// Nothing, or the provider does not say what it computes on.
    Unmeasured,
}

/// The table for the model of an answer, or of a stretch of it, and this pair of machines: read once, before anything is opened, for its provider
/// can say something else then.
async fn measured(node: &Node, case: &Case) -> Pair {
    let (tables, scope) = (&node.inner.auditing.tables, scope::of(&case.asked.input, 0));
    let Some(prover) = class_of(node, case.provider()).await else { return Pair::Unmeasured };
    let verifier = class_here(&case.loaded);
    match tables.of(&case.spec, &scope, LLAMA_BUILD, &prover, &verifier) {
        Some(table) => Pair::Table(Box::new(table.clone())),
        None if tables.know(&case.spec, LLAMA_BUILD, &prover, &verifier) => Pair::Silent,
        None => Pair::Unmeasured,
    }
}

/// The class of a provider, by what it offers now.
async fn class_of(node: &Node, provider: &AgentPubKey) -> Option<String> {
    let provider = node.conductor()?.get_provider(provider.clone()).await.ok().flatten()?;
    Some(calibration::class(&provider.capability))
}

/// The table for any provider.
pub(super) async fn table_of(
    node: &Node,
    provider: &AgentPubKey,
    spec: &ModelSpec,
    answer: &CalibrationScope,
    loaded: &Loaded,
) -> Option<Table> {
    let prover = class_of(node, provider).await?;
    node.inner.auditing.tables.of(spec, answer, LLAMA_BUILD, &prover, &class_here(loaded)).cloned()
}

/// Whether this node has a table for such an answer and this machine at all, whoever has given it.
pub(super) fn may_judge(node: &Node, spec: &ModelSpec, answer: &CalibrationScope, loaded: &Loaded) -> bool {
    node.inner.auditing.tables.speak_of(spec, answer, LLAMA_BUILD, &class_here(loaded))
}

/// The class of this machine, with this model.
fn class_here(loaded: &Loaded) -> String {
    let info = loaded.engine.info();
    calibration::class_of(info.backend, &info.backend_detail)
}

/// What follows from what was opened, or from the tokens alone; `root` is what the receipt names, and `compare` is told what was opened: nothing, maybe. A root that is not the signed one
/// fails here; where everybody must be able to check it, it counts as silence.
pub(super) fn judge(
    root: &Bytes32,
    opening: &Opening,
    cut: bool,
    table: Option<&Table>,
    compare: impl FnOnce(&[OpenedLeaf]) -> Result<Outcome, Breach>,
) -> Judged {
    let judged = |outcome, verdict, why| Judged { outcome, verdict, why };
    let opened = match opening {
        Opening::Opened(leaves) if *root != Bytes32([0; 32]) => leaves.as_slice(),
        Opening::Opened(_) | Opening::DoesNotFit | Opening::Silent => &[],
    };
    let Ok(outcome) = compare(opened) else {
        return judged(Outcome::NotOpened(Statistics::default()), Verdict::Inconclusive, AuditWhy::NotReplayed);
    };
    if matches!(opening, Opening::DoesNotFit) {
        return judged(outcome, Verdict::Fail, AuditWhy::OpenedOtherwise);
    }
    if cut {
        // Another build may know other ends: without a table for this one nothing follows.
        let verdict = table.map_or(Verdict::Inconclusive, |_| Verdict::Fail);
        return judged(outcome, verdict, AuditWhy::CutOff);
    }
    let entry: Option<Calibration> = table.map(|table| table.entry(nowhere()));
    let (verdict, _) = calibration::judge(entry.as_ref(), &outcome);
    judged(outcome, verdict, why(&outcome, verdict))
}

/// The outcome of these windows, where what was opened is of the whole answer, or nothing was; `computed` are the leaves of its beginning up to there, or further.
pub(super) fn stretch(
    opened: &[OpenedLeaf],
    tokens: &[u32],
    computed: &[ReplayLeaf],
    windows: Range<usize>,
) -> Result<Outcome, Breach> {
    if opened.is_empty() {
        return statistics::outcome(&[], computed.get(windows).unwrap_or_default());
    }
    let of_it = opened.iter().map(|leaf| leaf.tokens.as_slice()).eq(tokens.chunks(FINGERPRINT_WINDOW_TOKENS));
    match (opened.get(windows.clone()), computed.get(windows)) {
        (Some(opened), Some(computed)) if of_it => statistics::outcome(opened, computed),
        _ => Ok(Outcome::Mismatch),
    }
}

/// For a table that is not published: it judges alike, whatever it says that it is of.
pub(super) fn nowhere() -> SpecRef {
    let nowhere = || vec![0; 36];
    SpecRef { entry: EntryHash::from_raw_36(nowhere()), action: ActionHash::from_raw_36(nowhere()) }
}

/// What a verdict on a comparison follows from.
pub(super) fn why(outcome: &Outcome, verdict: Verdict) -> AuditWhy {
    match (outcome, verdict) {
        (Outcome::NotOpened(_), Verdict::Fail) => AuditWhy::OtherTokens,
        (Outcome::NotOpened(_), _) => AuditWhy::NotOpened,
        (Outcome::Mismatch, _) => AuditWhy::OtherAnswer,
        (_, Verdict::Pass) => AuditWhy::AsHonest,
        (_, Verdict::Fail) => AuditWhy::NotAsHonest,
        (_, Verdict::Inconclusive) => AuditWhy::Uncalibrated,
    }
}

/// The same for people.
pub(super) fn made(case: &Case, judged: &Judged, mode: &'static str, report: Option<&ActionHash>) -> AuditMade {
    AuditMade {
        provider: case.provider().to_string(),
        model: model_id(&case.spec),
        mode,
        auditor: None,
        verdict: judged.verdict,
        why: judged.why,
        tokens: case.answered.receipt.receipt.completion_tokens,
        statistics: judged.outcome.compared(),
        report: report.map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::Likely;
    use ainonymous_verify::audit::fingerprint;

    fn leaves(shift: u16) -> Vec<OpenedLeaf> {
        let likely = |i: u32| Likely { id: i, minus_sixteenths: shift + 16 * i as u16 };
        let position = fingerprint::position((0..8).map(likely).collect());
        leaf::leaves(&Bytes32([1; 32]), &(0..40).collect::<Vec<u32>>(), &vec![position; 40]).unwrap()
    }

    fn computed(cut: bool) -> Computed {
        computed_with(0, cut)
    }

    /// Each token so far from what the model draws, in 1024ths of a nat.
    fn computed_with(margin: u16, cut: bool) -> Computed {
        let of = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![margin; leaf.tokens.len()], impossible: 0, leaf };
        Computed { leaves: leaves(0).into_iter().map(of).collect(), cut }
    }

    fn judged(root: u8, opening: &Opening, cut: bool, table: Option<&Table>) -> Judged {
        judged_by(&computed(cut), root, opening, table)
    }

    fn judged_by(computed: &Computed, root: u8, opening: &Opening, table: Option<&Table>) -> Judged {
        let tokens: Vec<u32> = (0..40).collect();
        judge(&Bytes32([root; 32]), opening, computed.cut, table, |opened| {
            stretch(opened, &tokens, &computed.leaves, 0..2)
        })
    }

    fn verdict(opening: &Opening, cut: bool) -> (Verdict, bool) {
        let judged = judged(9, opening, cut, None);
        (judged.verdict, matches!(judged.outcome, Outcome::NotOpened(_)))
    }

    /// A long answer that is false from its 257th token on.
    #[test]
    fn of_a_long_answer_a_stretch_is_judged() {
        let of = |shifts: fn(u32) -> u16, tokens: &[u32]| {
            let likely = |shift: u16| move |i: u32| Likely { id: i, minus_sixteenths: shift + 16 * i as u16 };
            let position = |at: &u32| fingerprint::position((0..8).map(likely(shifts(*at))).collect());
            leaf::leaves(&Bytes32([1; 32]), tokens, &tokens.iter().map(position).collect::<Vec<_>>()).unwrap()
        };
        let tokens: Vec<u32> = (0..400).collect();
        let of_replay = |leaf: OpenedLeaf| ReplayLeaf { margins: vec![0; leaf.tokens.len()], impossible: 0, leaf };
        let table = Table::of_the_tests();
        let opened = of(|at| if at < 256 { 0 } else { 30 }, &tokens);
        let judged = |opened: &[OpenedLeaf], windows: Range<usize>| {
            let read = &tokens[..tokens.len().min(32 * windows.end)];
            let computed: Vec<_> = of(|_| 0, read).into_iter().map(of_replay).collect();
            judge(&Bytes32([9; 32]), &Opening::Opened(opened.to_vec()), false, Some(&table), |opened| {
                stretch(opened, &tokens, &computed, windows)
            })
        };
        let of_it = |windows| {
            let judged = judged(&opened, windows);
            match judged.outcome {
                Outcome::Measured(found) => (judged.verdict, found.tokens),
                Outcome::Mismatch | Outcome::NotOpened(_) => panic!("a measurement"),
            }
        };
        assert_eq!(of_it(0..8), (Verdict::Pass, 256));
        assert_eq!(of_it(1..9), (Verdict::Fail, 256));
        assert_eq!(of_it(5..13), (Verdict::Fail, 240), "the end is shorter");
        for windows in [0..8, 5..13] {
            let shorter = judged(&opened[..12], windows.clone());
            assert_eq!(shorter.outcome, Outcome::Mismatch, "what is shown is of the whole");
            let mut other = opened.clone();
            other[12].tokens[0] += 1;
            assert_eq!(judged(&other, windows).outcome, Outcome::Mismatch, "and of each of its tokens");
        }
    }

    /// Without a table nothing follows here from a measurement; what needs none is seen all the same.
    #[test]
    fn silence_is_no_evidence_and_a_lie_is() {
        use Verdict::{Fail, Inconclusive};
        assert_eq!(verdict(&Opening::Silent, false), (Inconclusive, true));
        assert_eq!(verdict(&Opening::Silent, true), (Inconclusive, true), "cut off, but not calibrated");
        assert_eq!(verdict(&Opening::DoesNotFit, false), (Fail, true));
        assert_eq!(verdict(&Opening::Opened(leaves(0)), false), (Inconclusive, false), "not calibrated");
        assert_eq!(verdict(&Opening::Opened(leaves(0)), true), (Inconclusive, false), "cut off, but not calibrated");
        let table = Table::of_the_tests();
        let cut = judged(9, &Opening::Opened(leaves(0)), true, Some(&table));
        assert_eq!(cut.verdict, Fail, "cut off");
        assert_eq!(verdict(&Opening::Opened(leaves(0)[..1].to_vec()), false), (Fail, false), "of a shorter answer");
        let unrecorded = judged(0, &Opening::Opened(vec![]), false, None);
        assert_eq!((unrecorded.verdict, unrecorded.why), (Inconclusive, AuditWhy::NotOpened));
    }

    /// To open nothing does not help whoever has answered otherwise than the model: the tokens are there.
    #[test]
    fn whoever_opens_nothing_is_judged_by_its_tokens() {
        let table = Table::of_the_tests();
        let silent = |margin, cut| {
            let judged = judged_by(&computed_with(margin, cut), 9, &Opening::Silent, Some(&table));
            (judged.verdict, judged.why)
        };
        assert_eq!(silent(0, false), (Verdict::Inconclusive, AuditWhy::NotOpened), "no pass either");
        assert_eq!(silent(400, false), (Verdict::Fail, AuditWhy::OtherTokens));
        assert_eq!(silent(0, true), (Verdict::Fail, AuditWhy::CutOff));
        let unrecorded = judged_by(&computed_with(400, false), 0, &Opening::Opened(vec![]), Some(&table));
        assert_eq!(unrecorded.verdict, Verdict::Fail, "nor does a receipt that names nothing");
    }

    /// Where nobody has measured, only what no rounding explains says something; where somebody has, the table alone.
    #[test]
    fn without_a_table_only_what_is_far_away_fails() {
        let found = |margin: u32| {
            Outcome::Measured(Statistics { tokens: 64, margin_sum: 64 * margin, ..Statistics::default() })
        };
        let judged = |outcome, verdict, why| Judged { outcome, verdict, why };
        let open = |margin| judged(found(margin), Verdict::Inconclusive, AuditWhy::Uncalibrated);
        let of = |judged: Judged| (judged.verdict, judged.why);
        assert_eq!(of(unmeasured(open(96))), (Verdict::Fail, AuditWhy::BeyondRounding));
        assert_eq!(of(unmeasured(open(95))), (Verdict::Inconclusive, AuditWhy::Uncalibrated));
        let mismatch = judged(found(512), Verdict::Fail, AuditWhy::OpenedOtherwise);
        assert_eq!(of(unmeasured(mismatch)), (Verdict::Fail, AuditWhy::OpenedOtherwise), "as it was");
        let silent = judged(
            Outcome::NotOpened(Statistics { tokens: 64, margin_sum: 64 * 200, ..Statistics::default() }),
            Verdict::Inconclusive,
            AuditWhy::NotOpened,
        );
        assert_eq!(of(unmeasured(silent)), (Verdict::Fail, AuditWhy::BeyondRounding));
    }
}
