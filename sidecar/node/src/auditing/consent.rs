//! Showing answers to auditors, where a person lets them be seen: question and answer go to a few whom the dice have drawn, each over a link of
//! its own and by a key that is shown nowhere else.
//!
//! The auditor does not learn who asks, and the demands of the question hold for it as they do for its provider. What it finds is read from
//! the DHT, where it has published it: its word alone counts for nothing here. That the dice are kept is judged by `verify::audit`.

use super::{own, replay};
use crate::direct::LinkAddress;
use crate::directory::Candidate;
use crate::engines::model_id;
use crate::evidence::Asked;
use crate::members::Verdict as Membership;
use crate::node::Node;
use crate::{choosing, direct, routers, AskRequest, AuditMade, Demands, Hiding, Kinship, Region, ShowAuditors};
use ainonymous_conductor::Conductor;
use ainonymous_transport::{Frame, Hide, Link, LinkError, Stream};
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, AuditOrder, AuditQuery, AuditRefusal, AuditShown, AuditSubject, Audited, Bytes32,
    EntryHash, Found, ProviderRecord, RefuseReason, Role,
};
use ainonymous_verify::audit::{draw, order as fits};
use ainonymous_verify::receipt;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::error::Elapsed;

/// Auditors that are asked about one answer.
const TRIED_MAX: usize = 6;
/// Authors of reports about a provider who are looked up as its auditors.
const AUTHORS_MAX: usize = 8;
/// Longest wait until the receipt of an answer stands on the DHT.
const PUBLISHED_MAX: Duration = Duration::from_secs(120);
/// Longest wait for an auditor to say whether it takes the order.
const TAKEN_MAX: Duration = Duration::from_secs(20);
/// Longest wait for what it finds.
const AUDITED_MAX: Duration = Duration::from_secs(900);
/// What it has published must be readable within this.
const READABLE_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks for it.
const READ_AGAIN: Duration = Duration::from_millis(500);
/// Who had too much to do, or waits for what others have promised, is asked again after these: the first is what a busy auditor needs, the
/// second is longer than a promise is waited for (`order::REPORT_WITHIN_US`).
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(190)];

/// What a person lets be shown, of one question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consent {
    /// To which auditors.
    pub(crate) show_auditors: ShowAuditors,
    /// What the question demands of whoever sees it.
    pub(crate) demands: Demands,
}

impl Consent {
    /// Nobody sees anything.
    pub(crate) const NONE: Self = Self { show_auditors: ShowAuditors::None, demands: Demands::NONE };

    /// What was said with the question, or else what this node is used to.
    pub(crate) fn of(node: &Node, request: &AskRequest) -> Self {
        let usual = node.inner.habits.audits_wished.show_auditors;
        Self { show_auditors: request.show_auditors.unwrap_or(usual), demands: request.demands }
    }

    /// Whether an auditor that is so close and says that it stands there may see it.
    fn lets(&self, kinship: Kinship, stands: Option<Region>) -> bool {
        let Self { show_auditors, demands } = self;
        let Demands { no_further_than, region, no_routers: _, price_max: _, answers: _ } = demands;
        let close = show_auditors.no_further_than().is_some_and(|most| kinship <= most.min(*no_further_than));
        close && region.is_none_or(|region| stands == Some(region))
    }
}

/// Why an auditor has published nothing.
#[derive(Debug)]
enum Turned {
    /// It may yet, a little later.
    Later,
    /// It will not.
    Away(&'static str),
}

/// An answer of a peer is complete: it is shown to auditors if its person lets it be and its dice say so.
pub(super) fn show(node: &Node, asked: &Asked, consent: Consent) {
    let Some(answered) = &asked.answer else { return };
    let statement = &answered.receipt.receipt;
    let beacon = draw::beacon(statement, &asked.secrets.audit);
    let shown = consent.show_auditors != ShowAuditors::None
        && draw::is_audited(&beacon, &statement.audit)
        && replay::obstacle(&asked.input).is_none();
    if !shown {
        return;
    }
    let Some(pending) = node.inner.auditing.showing.begin() else {
        tracing::debug!("too many answers wait for auditors; this one is not shown");
        return;
    };
    let (node2, asked, leaf) = (node.clone(), asked.clone(), receipt::leaf(&answered.receipt));
    node.spawn(async move {
        let _pending = pending;
        let running = node2.inner.auditing.begin(&leaf);
        if let Err(why) = show_to(&node2, &asked, &beacon, consent).await {
            tracing::debug!(why, "an answer was not shown to auditors");
        }
        drop(running);
    });
}

async fn show_to(node: &Node, asked: &Asked, beacon: &Bytes32, consent: Consent) -> Result<(), &'static str> {
    let conductor = node.conductor().ok_or("there is no network")?;
    let answered = asked.answer.as_ref().ok_or("there is no answer")?;
    let proof = node.inner.receipts.proof(asked.id, PUBLISHED_MAX).await.ok_or("its receipt has not been published")?;
    let order = AuditOrder { receipt: answered.receipt.clone(), proof, secret: asked.secrets.audit };
    let showing = |auditor: &AgentPubKey| {
        let shown = AuditShown {
            input: asked.input.clone(),
            salt: asked.salt,
            tokens: answered.said.tokens.clone(),
            text: answered.said.text.clone(),
            more: answered.said.more.clone(),
            grant: asked.grant(Some(auditor.clone()))?,
        };
        let frame = Frame::AuditShown(Box::new(shown));
        is_small(&frame).then_some(frame)
    };
    let mut waiting = whom(node, &conductor, asked, beacon, consent).await;
    let mut reports = 0;
    // Whoever has been shown it has seen it, whatever comes of that.
    let mut seen = 0;
    for pause in std::iter::once(Duration::ZERO).chain(AGAIN_AFTER) {
        if waiting.is_empty() || seen == limits::SHOWN_AUDITORS_MAX {
            break;
        }
        tokio::time::sleep(pause).await;
        for candidate in std::mem::take(&mut waiting) {
            if seen == limits::SHOWN_AUDITORS_MAX {
                break;
            }
            let shown = showing(&candidate.agent).ok_or("it is too large")?;
            match ask(node, &conductor, &candidate, order.clone(), &shown, &mut seen).await {
                Ok(found) => {
                    reports += 1;
                    hear(node, asked, &found);
                }
                Err(Turned::Later) => waiting.push(candidate),
                Err(Turned::Away(code)) => {
                    tracing::debug!(code, auditor = %candidate.agent, "an auditor did not audit")
                }
            }
        }
    }
    (reports > 0).then_some(()).ok_or("no auditor has looked at it")
}

/// Whether an auditor would read it at all.
fn is_small(frame: &Frame) -> bool {
    frame.encode().is_ok_and(|bytes| Frame::decode(bytes.get(4..).unwrap_or_default()).is_ok())
}

/// Auditors who are drawn and may see the answer, in the order in which they are asked.
async fn whom(node: &Node, conductor: &Conductor, asked: &Asked, beacon: &Bytes32, consent: Consent) -> Vec<Candidate> {
    let Some(answered) = &asked.answer else { return vec![] };
    let statement = &answered.receipt.receipt;
    let known = known(node, conductor, &statement.provider, &statement.spec).await;
    let mut known: HashMap<AgentPubKey, ProviderRecord> =
        known.into_iter().map(|record| (record.agent.clone(), record)).collect();
    let others: Vec<AgentPubKey> = known.keys().filter(|agent| **agent != conductor.agent()).cloned().collect();
    let drawn = fits::drawn(others, &statement.provider, beacon, &statement.audit);
    let mut found: Vec<Candidate> = drawn
        .iter()
        .filter_map(|agent| Some(candidate(node, asked, known.remove(agent)?)))
        .filter(|candidate| may_see(node, candidate, consent))
        .collect();
    let by_invitation = node.inner.members.by_invitation();
    found.iter_mut().filter_map(|c| c.link.as_mut()).for_each(|link| {
        link.known = by_invitation;
        if consent.demands.no_routers {
            link.hide = Hide::NoRouters;
        }
    });
    found.retain(|c| c.link.as_ref().is_some_and(|link| link.known || !link.must_be_known));
    found.truncate(TRIED_MAX);
    hidden(node, found, asked.hide, &statement.provider).await
}

/// Auditors that this node knows of: those who serve the model, its own people, and who has published about this provider.
async fn known(node: &Node, conductor: &Conductor, provider: &AgentPubKey, spec: &EntryHash) -> Vec<ProviderRecord> {
    let mut found = node.inner.directory.auditors(node, conductor, spec).await;
    let about = AuditQuery { subject: AuditSubject::Provider(provider.clone()), before: None };
    let reports = conductor.get_audit_reports(about).await.map(|page| page.found).unwrap_or_else(|e| {
        tracing::debug!(error = %e, "who has audited a provider could not be read");
        vec![]
    });
    let met: HashSet<AgentPubKey> = found.iter().map(|record| record.agent.clone()).collect();
    let authors: HashSet<AgentPubKey> =
        reports.into_iter().map(|found| found.author).filter(|author| !met.contains(author)).collect();
    for author in authors.into_iter().take(AUTHORS_MAX) {
        let record = conductor.get_provider(author).await.ok().flatten();
        found.extend(record.filter(|record| record.capability.roles.contains(&Role::Auditor)));
    }
    found
}

fn candidate(node: &Node, asked: &Asked, record: ProviderRecord) -> Candidate {
    let model = asked.model.clone().or_else(|| node.inner.directory.model(&asked.spec.entry));
    Candidate {
        agent: record.agent,
        capability: record.action,
        spec: asked.spec.clone(),
        model_id: model.as_ref().map(model_id).unwrap_or_default(),
        claimed_tokens_per_s: 0,
        region: record.capability.region.as_deref().and_then(Region::parse),
        link: LinkAddress::of(&record.capability),
    }
}

/// Whether the person lets this auditor see it, and the question's demands do.
fn may_see(node: &Node, candidate: &Candidate, consent: Consent) -> bool {
    let peers = &node.inner.habits.peers;
    consent.lets(choosing::kinship(peers, candidate), candidate.region)
        && !peers.blocked.contains(&candidate.agent)
        && !node.inner.auditing.is_convicted(&candidate.agent)
        && node.inner.members.verdict(&candidate.agent) != Membership::Refused
}

/// The ways that the question allows: through routers if it went through routers. One alone must belong neither to the auditor nor to the
/// provider, who could tell by it who has asked.
async fn hidden(node: &Node, found: Vec<Candidate>, hide: Hiding, provider: &AgentPubKey) -> Vec<Candidate> {
    let names: Vec<AgentPubKey> = found.iter().map(|candidate| candidate.agent.clone()).collect();
    let order = |found: Vec<Candidate>| {
        let mut found = found;
        found.sort_by_key(|candidate| names.iter().position(|name| *name == candidate.agent));
        found
    };
    let Ok(found) = routers::hide(node, found, hide).await else { return vec![] };
    if hide != Hiding::OneRouter {
        return order(found);
    }
    let mut left = Vec::new();
    for candidate in found {
        let auditor = candidate.agent.clone();
        let as_provider = Candidate { agent: provider.clone(), ..candidate };
        let found = routers::hide(node, vec![as_provider], hide).await.unwrap_or_default();
        left.extend(found.into_iter().map(|candidate| Candidate { agent: auditor.clone(), ..candidate }));
    }
    order(left)
}

/// Shows the answer to one auditor if it takes the order, and waits for what it publishes. `seen` counts those who were shown it.
async fn ask(
    node: &Node,
    conductor: &Conductor,
    candidate: &Candidate,
    order: AuditOrder,
    shown: &Frame,
    seen: &mut usize,
) -> Result<Found<Audited>, Turned> {
    let showing = &node.inner.auditing.showing;
    let answer = receipt::leaf(&order.receipt);
    let _with = showing.with(&candidate.agent).ok_or(Turned::Later)?;
    let sent = showing.send(send(node, candidate, order, shown, seen)).await;
    let (_link, mut stream) = sent.ok_or(Turned::Later)??;
    let report = match tokio::time::timeout(AUDITED_MAX, stream.receiver.recv()).await {
        Ok(Ok(Some(Frame::Audited { report }))) => report,
        word => return Err(not_audited(word)),
    };
    published(conductor, &candidate.agent, &answer, &report).await.ok_or(Turned::Away("report_not_found"))
}

/// Sends an auditor the order, and the answer if it takes it. The link is to be held as long as the stream.
async fn send(
    node: &Node,
    candidate: &Candidate,
    order: AuditOrder,
    shown: &Frame,
    seen: &mut usize,
) -> Result<(Link, Stream), Turned> {
    let link = candidate.link.as_ref().ok_or(Turned::Away("no_link"))?;
    let answer = receipt::leaf(&order.receipt);
    let begun = direct::begin_apart(node, link, &Frame::Audit(Box::new(order))).await;
    let (link, mut stream) = begun.map_err(|no_way| {
        tracing::debug!(problem = no_way.problem, "an auditor cannot be reached");
        Turned::Away("no_link")
    })?;
    match tokio::time::timeout(TAKEN_MAX, stream.receiver.recv()).await {
        Ok(Ok(Some(Frame::AuditTaken))) => {}
        word => return Err(not_audited(word)),
    }
    *seen += 1;
    node.inner.auditing.shows(answer);
    stream.sender.send(shown).await.map_err(|_| Turned::Away("auditor_silent"))?;
    Ok((link, stream))
}

/// What follows where an auditor does not say what was expected.
fn not_audited(word: Result<Result<Option<Frame>, LinkError>, Elapsed>) -> Turned {
    match word {
        Ok(Ok(Some(Frame::NotAudited(refusal)))) => turned(refusal),
        Ok(Ok(Some(Frame::Refused { reason: RefuseReason::Busy, detail: _ }))) => Turned::Later,
        Ok(Ok(Some(Frame::Refused { .. }))) => Turned::Away("auditor_not_admitting"),
        Ok(Ok(Some(_))) => Turned::Away("auditor_broken"),
        Ok(Ok(None)) | Ok(Err(_)) | Err(_) => Turned::Away("auditor_silent"),
    }
}

fn turned(refusal: AuditRefusal) -> Turned {
    if refusal.passes() {
        Turned::Later
    } else {
        Turned::Away(refusal.code())
    }
}

/// The report as everybody can read it: this auditor's, about this answer.
async fn published(
    conductor: &Conductor,
    auditor: &AgentPubKey,
    answer: &Bytes32,
    report: &ActionHash,
) -> Option<Found<Audited>> {
    let look = async {
        loop {
            let about = AuditQuery { subject: AuditSubject::Receipt(*answer), before: None };
            let found = conductor.get_audit_reports(about).await.map(|page| page.found).unwrap_or_default();
            let is_it = |found: &Found<Audited>| {
                found.action == *report
                    && found.author == *auditor
                    && receipt::leaf(&found.entry.commit.receipt) == *answer
            };
            match found.into_iter().find(is_it) {
                Some(found) => break found,
                None => tokio::time::sleep(READ_AGAIN).await,
            }
        }
    };
    tokio::time::timeout(READABLE_MAX, look).await.ok()
}

/// Remembers what an auditor has found.
fn hear(node: &Node, asked: &Asked, found: &Found<Audited>) {
    let (statement, report) = (&found.entry.commit.receipt.receipt, &found.entry.report);
    let made = AuditMade {
        provider: statement.provider.to_string(),
        model: asked.model.as_ref().map(model_id).unwrap_or_default(),
        mode: "drawn",
        auditor: Some(found.author.to_string()),
        verdict: report.verdict,
        why: own::why(&report.outcome, report.verdict),
        tokens: statement.completion_tokens,
        statistics: report.outcome.compared(),
        report: Some(found.action.to_string()),
    };
    let answer = receipt::leaf(&found.entry.commit.receipt);
    node.inner.auditing.hear(node, &statement.provider, answer, made);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_an_answer_who_was_not_let_and_the_demands_of_the_question_hold() {
        let consent = |show_auditors, demands| Consent { show_auditors, demands };
        let all = [Kinship::Own, Kinship::Friend, Kinship::Lan, Kinship::Public];
        let seen_by = |consent: Consent| all.into_iter().filter(|kinship| consent.lets(*kinship, None)).count();
        assert_eq!(seen_by(consent(ShowAuditors::None, Demands::NONE)), 0);
        assert_eq!(seen_by(consent(ShowAuditors::Friends, Demands::NONE)), 2);
        assert_eq!(seen_by(consent(ShowAuditors::All, Demands::NONE)), 4);
        let own = Demands { no_further_than: Kinship::Own, ..Demands::NONE };
        assert_eq!(seen_by(consent(ShowAuditors::All, own)), 1);
        let lan = Demands { no_further_than: Kinship::Lan, ..Demands::NONE };
        assert_eq!((seen_by(consent(ShowAuditors::All, lan)), seen_by(consent(ShowAuditors::Friends, lan))), (3, 2));
        let (eu, us) = (Region::parse("eu"), Region::parse("us"));
        let there = consent(ShowAuditors::All, Demands { region: eu, ..Demands::NONE });
        assert!(there.lets(Kinship::Public, eu) && !there.lets(Kinship::Public, us) && !there.lets(Kinship::Own, None));
        assert!(eu.is_some() && us.is_some());
    }

    #[test]
    fn whoever_waits_for_promises_of_others_is_asked_again_when_they_are_too_old() {
        let last: Duration = AGAIN_AFTER.iter().sum();
        assert!(last > Duration::from_micros(fits::REPORT_WITHIN_US.unsigned_abs()) + Duration::from_secs(10));
        assert!(matches!(turned(AuditRefusal::Busy), Turned::Later));
    }

    #[test]
    fn an_auditor_with_too_much_to_do_is_asked_again_and_others_are_not() {
        assert!(matches!(turned(AuditRefusal::Busy), Turned::Later));
        assert!(matches!(turned(AuditRefusal::NotPublished), Turned::Later));
        for refusal in
            [AuditRefusal::NoAuditor, AuditRefusal::NotDrawn, AuditRefusal::DoesNotFit, AuditRefusal::Repeated]
        {
            assert!(matches!(turned(refusal), Turned::Away(code) if code == refusal.code()));
        }
    }
}
