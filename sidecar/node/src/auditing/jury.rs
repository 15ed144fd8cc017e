//! Juries: who has enough evidence accuses, who is drawn looks for itself, and where enough jurors found the same the provider is convicted.
//!
//! Who is drawn and which answer falls to whom follows from hashes; validation judges both by the rule that is used here. Jurors look at
//! what canaries have shown: no other question is ever seen by them. A verdict of one's own model is all that a juror adds.

use super::{appeal, canary, jittered, own, replay, reporting};
use crate::directory::Candidate;
use crate::engines::model_id;
use crate::node::{lock, Node};
use crate::serving::now_us;
use crate::AuditMade;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_types::{
    limits, Accusation, ActionHash, AgentPubKey, AuditCommit, AuditMode, AuditQuery, AuditReport, AuditSubject,
    Audited, Bytes32, Calibration, Conviction, Evidence, Found, Outcome, ProviderRecord, Role, Standing, TimestampUs,
    Verdict,
};
use ainonymous_verify::audit::{calibration, doubt, leaf, scope, statistics};
use ainonymous_verify::{receipt, rules};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How often accusations are looked for, unless canaries are asked more often.
const EVERY: Duration = Duration::from_secs(60);
/// Whoever has accused a provider does not do it again for so long.
const AGAIN_AFTER: Duration = Duration::from_secs(3_600);
/// Most providers about whom accusations are looked up each time.
const PROVIDERS_MAX: usize = 32;
/// Answers that are computed again for juries each time: accusations can be made up, and the engine has other work.
const JUDGED_MAX: usize = 4;
/// An accusation that this node could not judge so often is let be.
const TRIES_MAX: u32 = 16;
/// Reports about a provider that are read to find those of an accusation.
const REPORTS_READ_MAX: usize = 4 * limits::ACCUSATION_REPORTS_MAX;
/// Reports of a jury that are read.
const JURY_READ_MAX: usize = 8 * limits::AUDITS_PAGE_MAX;
/// Accusations that are remembered.
const KNOWN_MAX: usize = 1_024;
/// How people are told that an audit was a juror's.
pub(super) const MODE: &str = "jury";

/// What this node remembers of its duty; what it has said stands on the DHT besides.
#[derive(Debug, Default)]
struct Duty {
    /// Accusations that led to a conviction.
    done: HashSet<ActionHash>,
    /// Those, and convictions that were appealed, on which this node has said its word, or has none to say. It still reads what others say: whoever sees that it is enough
    /// convicts.
    said: HashSet<ActionHash>,
    /// How often it could not.
    tries: HashMap<ActionHash, u32>,
    /// Answers that may still be computed again this time.
    left: usize,
}

/// Looks for accusations again and again.
pub(crate) async fn run(node: Node) {
    let Some(conductor) = node.conductor_when_running().await else { return };
    let mut duty = Duty::default();
    loop {
        tokio::time::sleep(jittered(canary::every(&node).min(EVERY))).await;
        if duty.done.len().max(duty.said.len()).max(duty.tries.len()) > KNOWN_MAX {
            duty = Duty::default();
        }
        duty.left = JUDGED_MAX;
        let providers: HashSet<AgentPubKey> = served(&node, &conductor.agent()).map(|one| one.agent).collect();
        for provider in providers.into_iter().take(PROVIDERS_MAX) {
            if let Err(e) = look(&node, &conductor, &mut duty, &provider).await {
                tracing::warn!(error = %e, hint = e.hint(), "accusations could not be looked up; later again");
            }
        }
    }
}

/// Those who serve a model that this node has.
fn served(node: &Node, me: &AgentPubKey) -> impl Iterator<Item = Candidate> {
    let (peers, _) = node.inner.directory.served_by_peers(node, me);
    let node = node.clone();
    peers.into_iter().flat_map(|(_, candidates)| candidates).filter(move |candidate| {
        let spec = node.inner.directory.model(&candidate.spec.entry);
        spec.is_some_and(|spec| replay::own_model(&node, &spec).is_some())
    })
}

/// Looks into what a provider was accused of. Appeals first: somebody stands convicted meanwhile, and there are fewer of them.
async fn look(
    node: &Node,
    conductor: &Conductor,
    duty: &mut Duty,
    provider: &AgentPubKey,
) -> Result<(), ConductorError> {
    let about = || AuditQuery { subject: AuditSubject::Provider(provider.clone()), before: None };
    let accusations = conductor.get_accusations(about()).await?.found;
    if accusations.is_empty() {
        return Ok(());
    }
    let convictions = conductor.get_convictions(about()).await?.found;
    duty.done.extend(convictions.iter().map(|found| found.entry.accusation.clone()));
    let appeals = appeal::appeals(conductor, provider, &convictions).await;
    let appeals = appeals.inspect_err(|e| tracing::debug!(error = %e, "appeals could not be looked up; later again"));
    for (accusation, appealed) in appeals.unwrap_or_default() {
        let Some(accused) = accusations.iter().find(|accused| accused.action == accusation) else { continue };
        let convictions = || convictions.iter().filter(|found| found.entry.accusation == accusation);
        if !is_open(appealed.linked_at) || convictions().any(|found| duty.said.contains(&found.action)) {
            continue;
        }
        let Some(convicted) = convictions().find(|found| found.action == appealed.conviction) else { continue };
        let said = appealed.heard.iter().any(|found| found.author == conductor.agent());
        if let Err(e) = look_again(node, conductor, duty, accused, convicted, said).await {
            tracing::debug!(error = %e, hint = e.hint(), "an appeal could not be looked into; later again");
        }
    }
    for accused in accusations.iter().filter(|accused| is_open(accused.linked_at)) {
        if duty.done.contains(&accused.action) {
            continue;
        }
        if let Err(e) = look_into(node, conductor, duty, accused).await {
            tracing::debug!(error = %e, hint = e.hint(), "an accusation could not be looked into; later again");
        }
    }
    Ok(())
}

/// Convicts if enough jurors have spoken; says this node's own word if it has not.
async fn look_into(
    node: &Node,
    conductor: &Conductor,
    duty: &mut Duty,
    accused: &Found<Accusation>,
) -> Result<(), ConductorError> {
    let accusation = &accused.action;
    let heard = heard(conductor, accusation).await?;
    if heard.iter().any(|found| found.author == conductor.agent()) {
        duty.said.insert(accusation.clone());
    }
    let confirmations = confirmations(heard);
    if confirmations.len() >= rules::CONFIRMATIONS_MIN {
        conductor.create_conviction(Conviction { accusation: accusation.clone(), confirmations }).await?;
        duty.done.insert(accusation.clone());
        return Ok(());
    }
    speak(node, conductor, duty, &Sitting { mode: AuditMode::Jury(accusation.clone()), accused, convicted_by: &[] })
        .await
}

/// Says this node's own word in a second jury, if it has not (`said`).
async fn look_again(
    node: &Node,
    conductor: &Conductor,
    duty: &mut Duty,
    accused: &Found<Accusation>,
    convicted: &Found<Conviction>,
    said: bool,
) -> Result<(), ConductorError> {
    if said {
        duty.said.insert(convicted.action.clone());
        return Ok(());
    }
    let mut confirming = heard(conductor, &accused.action).await?;
    confirming.retain(|found| convicted.entry.confirmations.contains(&found.action));
    if confirming.len() < convicted.entry.confirmations.len() {
        return Ok(());
    }
    let mode = AuditMode::Appeal(convicted.action.clone());
    speak(node, conductor, duty, &Sitting { mode, accused, convicted_by: &confirming }).await
}

/// What a jury sits over.
struct Sitting<'a> {
    /// As its jurors commit.
    mode: AuditMode,
    accused: &'a Found<Accusation>,
    /// What those have said who convicted, where it is the second.
    convicted_by: &'a [Heard],
}

/// Says this node's own word, unless it has, or cannot.
async fn speak(
    node: &Node,
    conductor: &Conductor,
    duty: &mut Duty,
    sitting: &Sitting<'_>,
) -> Result<(), ConductorError> {
    let Some(case) = sitting.mode.case().filter(|case| !duty.said.contains(*case) && duty.left > 0) else {
        return Ok(());
    };
    let tries = duty.tries.entry(case.clone()).or_default();
    *tries += 1;
    if *tries > TRIES_MAX {
        duty.said.insert(case.clone());
        return Ok(());
    }
    match judge(node, conductor, sitting, &mut duty.left).await? {
        Word::Said | Word::None => drop(duty.said.insert(case.clone())),
        Word::Later(why) => tracing::debug!(why, "a jury has to wait for this node"),
    }
    Ok(())
}

/// What a juror has said.
pub(super) type Heard = Found<Audited>;

/// What jurors have said about an accusation, newest first.
pub(super) async fn heard(conductor: &Conductor, accusation: &ActionHash) -> Result<Vec<Heard>, ConductorError> {
    reports(conductor, AuditSubject::Accusation(accusation.clone()), JURY_READ_MAX).await
}

/// What jurors have said about a conviction, newest first.
pub(super) async fn heard_again(conductor: &Conductor, conviction: &ActionHash) -> Result<Vec<Heard>, ConductorError> {
    reports(conductor, AuditSubject::Conviction(conviction.clone()), JURY_READ_MAX).await
}

/// Nobody sits in a jury over what is older than fingerprints are kept.
fn is_open(linked_at: TimestampUs) -> bool {
    linked_at.saturating_add(limits::AUDIT_WINDOW_US) > now_us()
}

/// What a node says in a jury.
enum Word {
    /// A report.
    Said,
    /// It is not drawn, or there is nothing that it could look at.
    None,
    /// Something is missing that may still come.
    Later(&'static str),
}

/// The answer that falls to this node.
struct Fallen {
    commit: AuditCommit,
    report: ActionHash,
    /// Who has audited it, and what that one found.
    auditor: AgentPubKey,
    found: Verdict,
}

/// `left` falls by one if the answer is computed again.
async fn judge(
    node: &Node,
    conductor: &Conductor,
    sitting: &Sitting<'_>,
    left: &mut usize,
) -> Result<Word, ConductorError> {
    let Sitting { mode: _, accused, convicted_by } = sitting;
    let offer = conductor.get_my_capability().await?;
    let is_auditor = |offer: &ProviderRecord| offer.capability.roles.contains(&Role::Auditor);
    let Some(offer) = offer.filter(is_auditor) else {
        return Ok(Word::Later("the network does not know yet that it audits"));
    };
    let known = reports_about(conductor, &accused.entry.provider).await?;
    let listed = accused.entry.reports.iter().map(|action| known.iter().find(|found| found.action == *action));
    let Some(listed) = listed.collect::<Option<Vec<_>>>() else {
        return Ok(Word::Later("not all reports of the accusation are here"));
    };
    let Some(Fallen { mut commit, report, auditor, found }) =
        fallen(&conductor.agent(), &offer.action, sitting, &listed)
    else {
        return Ok(Word::None);
    };
    let Some(evidence) = conductor.get_audit_evidence(report).await? else { return Ok(Word::None) };
    let statement = commit.receipt.receipt.clone();
    let Some(spec) = node.inner.directory.model(&statement.spec) else {
        return Ok(Word::Later("the model is not known here"));
    };
    let Some(loaded) = replay::own_model(node, &spec) else { return Ok(Word::Later("the model is not loaded here")) };
    let Evidence { input, tokens, opened, .. } = evidence;
    if replay::obstacle(&input).is_some() {
        return Ok(Word::None);
    }
    // A class that no table fits may be a class that the accused has changed since: then nothing is said rather than nothing found.
    let scope = scope::of(&input, statement.completion_tokens);
    if !own::may_judge(node, &spec, &scope, &loaded) {
        return Ok(Word::None);
    }
    let Some(table) = own::table_of(node, &statement.provider, &spec, &scope, &loaded).await else {
        return Ok(Word::Later("no calibration fits the answer, this machine and the accused's"));
    };
    let Some(batch) = conductor.get_receipt_batch(commit.proof.batch.clone()).await? else {
        return Ok(Word::Later("the batch of the receipt is not here"));
    };
    *left = left.saturating_sub(1);
    let turn = node.inner.auditing.turn.lock().await;
    let salt = Bytes32(rand::random());
    let computed = replay::replay(&loaded, &input, (&tokens, tokens.len()), &statement, spec.kv_type, &salt).await;
    drop(turn);
    let Ok(computed) = computed else { return Ok(Word::Later("the answer cannot be computed again now")) };

    let Ok(outcome) = statistics::outcome(&opened, &computed.leaves) else {
        return Ok(Word::Later("what was computed again is out of form"));
    };
    if !computed.cut && is_in_doubt(&table.entry(own::nowhere()), &outcome) {
        // Too far for most honest machines, too near to be sure of: questions can be chosen so that one such answer in thousands comes out.
        tracing::info!(provider = %statement.provider, "this node was drawn into a jury, and is in doubt: it says nothing");
        return Ok(Word::None);
    }

    let (calibration, table) = reporting::published(conductor, &batch.batch.spec, &table).await?;
    commit.replay = leaf::replay(&computed.leaves);
    let answer = receipt::leaf(&commit.receipt);
    let mut contradicted = vec![(auditor, found)];
    let same_answer = convicted_by.iter().filter(|juror| juror.entry.commit.receipt == commit.receipt);
    contradicted.extend(same_answer.map(|juror| (juror.author.clone(), juror.entry.report.verdict)));
    let commit = conductor.create_audit_commit(commit).await?;
    let (verdict, llr) = calibration::judge_in_jury(Some(&table), &outcome);
    let report = AuditReport {
        commit,
        calibration: Some(calibration),
        outcome,
        verdict,
        llr,
        standing: Standing::default(),
        evidence: None,
    };
    let action = conductor.create_audit_report(report).await?;
    let (for_itself, _) = calibration::judge(Some(&table), &outcome);
    tracing::info!(provider = %statement.provider, ?verdict, "this node was drawn into a jury, and has said what it found");
    let made = AuditMade {
        provider: statement.provider.to_string(),
        model: model_id(&spec),
        mode: MODE,
        auditor: None,
        // What acquits whoever is said to have opened nothing earns it no trust here.
        verdict: for_itself,
        why: own::why(&outcome, for_itself),
        tokens: statement.completion_tokens,
        statistics: outcome.compared(),
        report: Some(action.to_string()),
    };
    // Whoever accused or convicted wrongly loses standing here. Whoever was right gains none: a cheat of one's own is easily reported.
    for (auditor, found) in contradicted {
        if ![verdict, found].contains(&Verdict::Inconclusive) && verdict != found {
            lock(&node.inner.auditing.reputations).on_checked(&auditor, false, super::micros_now());
        }
    }
    node.inner.auditing.record(node, &statement.provider, answer, made);
    Ok(Word::Said)
}

/// Whether a juror has to hold its tongue: the answer would be judged otherwise if it were nearer to what this node's model says.
fn is_in_doubt(table: &Calibration, outcome: &Outcome) -> bool {
    calibration::judge(Some(table), outcome).0 == Verdict::Fail && !doubt::is_beyond(Some(table), outcome)
}

/// Which of the answers behind an accusation falls to this node, if one does: the one with which validation takes its commitment.
fn fallen(
    me: &AgentPubKey,
    capability: &ActionHash,
    sitting: &Sitting<'_>,
    listed: &[&Found<Audited>],
) -> Option<Fallen> {
    let Sitting { mode, accused, convicted_by } = sitting;
    let audits: Vec<_> =
        listed.iter().map(|found| (found.author.clone(), found.entry.report.llr, found.entry.commit.clone())).collect();
    let convicted_by: Vec<_> = convicted_by.iter().map(|juror| juror.author.clone()).collect();
    let case = rules::Case {
        accuser: &accused.author,
        accusation: &accused.entry,
        audits: &audits,
        convicted_by: &convicted_by,
    };
    listed.iter().find_map(|found| {
        let AuditCommit { receipt, proof, secret, .. } = found.entry.commit.clone();
        let commit = AuditCommit {
            capability: capability.clone(),
            receipt,
            proof,
            secret,
            mode: mode.clone(),
            previous: None,
            replay: Bytes32([0; 32]),
        };
        rules::audit_commit_jury(&commit, me, &case).ok()?;
        let (report, auditor) = (found.action.clone(), found.author.clone());
        Some(Fallen { commit, report, auditor, found: found.entry.report.verdict })
    })
}

/// Failing reports, one of each juror.
fn confirmations(reports: Vec<Found<Audited>>) -> Vec<ActionHash> {
    let mut jurors = HashSet::new();
    let failing = reports.into_iter().filter(|found| found.entry.report.verdict == Verdict::Fail);
    let one_each = failing.filter(|found| jurors.insert(found.author.clone()));
    one_each.map(|found| found.action).take(limits::CONVICTION_REPORTS_MAX).collect()
}

/// The newest reports about a provider, without those of juries.
pub(super) async fn reports_about(
    conductor: &Conductor,
    provider: &AgentPubKey,
) -> Result<Vec<Found<Audited>>, ConductorError> {
    reports(conductor, AuditSubject::Provider(provider.clone()), REPORTS_READ_MAX).await
}

/// Reports page by page, newest first.
async fn reports(
    conductor: &Conductor,
    subject: AuditSubject,
    max: usize,
) -> Result<Vec<Found<Audited>>, ConductorError> {
    let mut query = AuditQuery { subject, before: None };
    let mut known = Vec::new();
    while known.len() < max {
        let page = conductor.get_audit_reports(query.clone()).await?;
        known.extend(page.found);
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    Ok(known)
}

/// The evidence is enough: a jury is called, unless this node has just called one. The list goes back to where the score was nothing.
pub(super) async fn accuse(
    conductor: &Conductor,
    provider: &AgentPubKey,
    newest: ActionHash,
) -> Result<(), ConductorError> {
    let about = AuditQuery { subject: AuditSubject::Provider(provider.clone()), before: None };
    let known = conductor.get_accusations(about).await?.found;
    let latest = known.into_iter().find(|found| found.author == conductor.agent());
    let again_after = i64::try_from(AGAIN_AFTER.as_micros()).unwrap_or(i64::MAX);
    if latest.is_some_and(|latest| latest.linked_at.saturating_add(again_after) > now_us()) {
        return Ok(());
    }
    let known = reports_about(conductor, provider).await?;
    let (mut reports, mut at) = (Vec::new(), Some(newest));
    while let Some(action) = at.filter(|_| reports.len() < limits::ACCUSATION_REPORTS_MAX) {
        let Some(found) = known.iter().find(|found| found.action == action) else { break };
        reports.push(action);
        let previous = found.entry.commit.previous.clone();
        let before = previous.as_ref().and_then(|p| known.iter().find(|found| found.action == *p));
        at = previous.filter(|_| before.is_none_or(|before| before.entry.report.standing.score > 0));
    }
    conductor.create_accusation(Accusation { provider: provider.clone(), reports }).await?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ainonymous_types::{
        AuditTerms, BatchProof, Bytes64, EntryHash, FinishReason, Receipt, SignedReceipt, Statistics,
    };

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn action(n: u8) -> ActionHash {
        ActionHash::from_raw_36(vec![n; 36])
    }

    /// Whoever asks for everybody can choose an answer that an honest machine fails by a little; none fails by far.
    #[test]
    fn a_juror_is_in_doubt_about_what_is_a_little_too_far_and_about_nothing_else() {
        let table = super::super::Table::of_the_tests().entry(own::nowhere());
        let found = |delta: u32| {
            Outcome::Measured(Statistics { tokens: 32, delta_sum: delta, delta_window: delta, ..Statistics::default() })
        };
        let fails = |delta| calibration::judge(Some(&table), &found(delta)).0 == Verdict::Fail;
        let threshold = (0..10_000).find(|delta| fails(*delta)).expect("somewhere");
        let in_doubt = |delta| is_in_doubt(&table, &found(delta));
        assert!(!in_doubt(0) && !in_doubt(threshold - 1), "what passes");
        assert!(in_doubt(threshold) && in_doubt(2 * threshold));
        assert!(!in_doubt(4 * threshold), "what is far");
        assert!(!is_in_doubt(&table, &Outcome::Mismatch), "what no machine does by accident");
    }

    /// What this auditor found in an answer of provider 9, which is told from others by `n`.
    pub(crate) fn audited(auditor: u8, n: u8, llr: i16, verdict: Verdict, auditors_ppm: u32) -> Found<Audited> {
        let receipt = Receipt {
            provider: agent(9),
            spec: EntryHash::from_raw_36(vec![1; 36]),
            session_key: Bytes32([n; 32]),
            audit: AuditTerms { challenge: Bytes32([0; 32]), rate_ppm: 0, auditors_ppm },
            input: Bytes32([n; 32]),
            output: Bytes32([n; 32]),
            fingerprint: Bytes32([n; 32]),
            prompt_tokens: 8,
            completion_tokens: 64,
            finish: FinishReason::Stop,
            finished_at: 0,
        };
        let commit = AuditCommit {
            capability: action(0),
            receipt: SignedReceipt { receipt, signature: Bytes64([0; 64]) },
            proof: BatchProof { batch: action(0), index: 0, path: vec![] },
            secret: Bytes32([n; 32]),
            mode: AuditMode::Canary,
            previous: None,
            replay: Bytes32([0; 32]),
        };
        let outcome = Outcome::NotOpened(Statistics { tokens: 64, ..Statistics::default() });
        let standing = Standing::default();
        let report =
            AuditReport { commit: action(n), calibration: None, outcome, verdict, llr, standing, evidence: None };
        let entry = Audited { commit, report, shows: true };
        Found { action: action(n), author: agent(auditor), linked_at: 0, entry }
    }

    fn drawn(juror: u8, auditors_ppm: u32) -> Option<u8> {
        sits(juror, auditors_ppm, AuditMode::Jury(action(8)), &[])
    }

    fn sits(juror: u8, auditors_ppm: u32, mode: AuditMode, convicted_by: &[Heard]) -> Option<u8> {
        let audits = [
            audited(1, 1, 700, Verdict::Fail, auditors_ppm),
            audited(2, 2, -9, Verdict::Pass, auditors_ppm),
            audited(3, 3, 700, Verdict::Fail, auditors_ppm),
        ];
        let accusation = Accusation { provider: agent(9), reports: vec![action(1), action(2), action(3)] };
        let accused = Found { action: action(8), author: agent(4), linked_at: 0, entry: accusation };
        let sitting = Sitting { mode, accused: &accused, convicted_by };
        let fallen = fallen(&agent(juror), &action(0), &sitting, &audits.iter().collect::<Vec<_>>())?;
        assert_eq!(fallen.commit.mode, sitting.mode);
        let n = (1..=3).find(|n| action(*n) == fallen.report)?;
        assert_eq!(fallen.commit.receipt.receipt.input, Bytes32([n; 32]), "of that answer");
        Some(n)
    }

    #[test]
    fn answers_that_spoke_against_the_provider_fall_to_jurors_who_are_no_party() {
        let fell: HashSet<u8> = (10..60).filter_map(|juror| drawn(juror, limits::PPM_MAX)).collect();
        assert_eq!(fell, HashSet::from([1, 3]), "never the one that it passed");
        assert!((10..60).all(|juror| drawn(juror, limits::PPM_MAX).is_some()));
        assert!((1..=4).all(|party| drawn(party, limits::PPM_MAX).is_none()), "auditors and accuser");
        assert!((10..60).all(|juror| drawn(juror, 0).is_none()));
        let some = (10..60).filter(|juror| drawn(*juror, limits::PPM_MAX / 5).is_some()).count();
        assert!((10..40).contains(&some), "{some} of 50, where half are drawn");
    }

    #[test]
    fn a_second_jury_is_dealt_anew_and_leaves_out_who_convicted() {
        let convicted_by = [audited(10, 1, 700, Verdict::Fail, 0), audited(11, 3, 700, Verdict::Fail, 0)];
        let again = |juror| sits(juror, limits::PPM_MAX, AuditMode::Appeal(action(7)), &convicted_by);
        assert!((1..=4).chain([10, 11]).all(|party| again(party).is_none()), "auditors, accuser and first jurors");
        assert!((12..60).all(|juror| again(juror).is_some()));
        assert!((12..60).any(|juror| again(juror) != drawn(juror, limits::PPM_MAX)), "the dice are thrown again");
    }

    #[test]
    fn nobody_sits_over_what_is_long_past() {
        assert!(is_open(now_us()));
        assert!(!is_open(now_us() - limits::AUDIT_WINDOW_US - 1_000_000));
    }

    #[test]
    fn each_juror_confirms_once_and_only_by_what_fails() {
        let said = [
            audited(1, 1, 700, Verdict::Fail, 0),
            audited(1, 2, 700, Verdict::Fail, 0),
            audited(2, 3, -9, Verdict::Pass, 0),
            audited(3, 4, 0, Verdict::Inconclusive, 0),
            audited(4, 5, 700, Verdict::Fail, 0),
        ];
        assert_eq!(confirmations(said.into()), [action(1), action(5)]);
        let many = (0..64).map(|n| audited(n, n, 700, Verdict::Fail, 0)).collect();
        assert_eq!(confirmations(many).len(), limits::CONVICTION_REPORTS_MAX);
    }
}
