//! What is published about a provider: reports, accusations, convictions and what they rest on, for people to look at.
//!
//! It is read from the DHT when somebody asks; this node's own opinion stands beside a conviction, and decides nothing here.

use super::jury::{self, Heard};
use super::reading::{is_trusted, trusts};
use super::{appeal, own};
use crate::node::Node;
use crate::{AuditWhy, NodeError};
use ainonymous_types::{
    ActionHash, AgentPubKey, AuditMode, AuditPage, AuditQuery, AuditSubject, Found, Statistics, TimestampUs, Verdict,
};
use serde::Serialize;
use std::collections::hash_map::{Entry, HashMap};

/// What is published about a provider: of each kind the newest, at most `limits::AUDITS_PAGE_MAX`. Hashes and keys are text.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// Whom it is about, as `uhCAk…`.
    pub provider: String,
    /// What single audits have found.
    pub reports: Vec<ReportFound>,
    /// That the evidence was enough for a jury.
    pub accusations: Vec<AccusationFound>,
    /// That a jury has confirmed an accusation.
    pub convictions: Vec<ConvictionFound>,
    /// Two receipts for one question: a proof by itself.
    pub equivocations: Vec<Published>,
    /// There are older ones.
    pub more: bool,
}

/// Where something stands, who says it, and when.
#[derive(Clone, Debug, Serialize)]
pub struct Published {
    /// As `uhCkk…`.
    pub action: String,
    /// As `uhCAk…`.
    pub author: String,
    /// Seconds since the epoch, by its author's clock.
    pub at_s: i64,
}

/// What an audit has found.
#[derive(Clone, Debug, Serialize)]
pub struct ReportFound {
    /// Where and by whom.
    #[serde(flatten)]
    pub published: Published,
    /// The author had asked the question itself in order to audit: the report shows everything that it compared.
    pub canary: bool,
    /// What follows.
    pub verdict: Verdict,
    /// What it follows from.
    pub why: AuditWhy,
    /// Evidence against the provider with this report, in 256ths of a nat.
    pub score: u32,
    /// How far the fingerprints are apart, if they could be compared.
    pub statistics: Option<Statistics>,
}

/// An accusation.
#[derive(Clone, Debug, Serialize)]
pub struct AccusationFound {
    /// Where and by whom.
    #[serde(flatten)]
    pub published: Published,
    /// The reports that it rests on, as `uhCkk…`.
    pub reports: Vec<String>,
}

/// A conviction.
#[derive(Clone, Debug, Serialize)]
pub struct ConvictionFound {
    /// Where and by whom.
    #[serde(flatten)]
    pub published: Published,
    /// What was confirmed, as `uhCkk…`.
    pub accusation: String,
    /// The failing reports of its jury, as `uhCkk…`.
    pub confirmations: Vec<String>,
    /// What became of the provider's appeal; none if it did not ask for a second jury.
    pub appeal: Option<AppealFound>,
    /// Whether this node trusts enough of the jurors to believe it, and no second jury has found otherwise.
    pub believed: bool,
}

/// What a second jury has said so far.
#[derive(Clone, Debug, Serialize)]
pub struct AppealFound {
    /// Where the appeal stands, and when it was made: by the convicted.
    #[serde(flatten)]
    pub published: Published,
    /// Reports that found the answer to be the promised model's, as `uhCkk…`.
    pub passed: Vec<String>,
    /// Reports that found what the first jury found, as `uhCkk…`.
    pub failed: Vec<String>,
    /// Whether enough jurors that this node trusts have found otherwise than the first jury.
    pub overturned: bool,
}

/// Reads what is published about `provider`.
pub(crate) async fn findings(node: &Node, provider: AgentPubKey) -> Result<Findings, NodeError> {
    let conductor = node.conductor().ok_or(NodeError::NotReady)?;
    let about = || AuditQuery { subject: AuditSubject::Provider(provider.clone()), before: None };
    let reports = conductor.get_audit_reports(about()).await?;
    let accusations = conductor.get_accusations(about()).await?;
    let convictions = conductor.get_convictions(about()).await?;
    let equivocations = conductor.get_equivocations(about()).await?;
    let ends = [reports.next, accusations.next, convictions.next, equivocations.next];
    let mut findings =
        Findings { provider: provider.to_string(), more: ends.iter().any(Option::is_some), ..Findings::default() };
    findings.reports = each(reports, |published, audited| ReportFound {
        published,
        canary: audited.commit.mode == AuditMode::Canary,
        verdict: audited.report.verdict,
        why: own::why(&audited.report.outcome, audited.report.verdict),
        score: audited.report.standing.score,
        statistics: audited.report.outcome.compared(),
    });
    findings.accusations =
        each(accusations, |published, accusation| AccusationFound { published, reports: texts(&accusation.reports) });
    let me = conductor.agent();
    let appeals = appeal::appeals(&conductor, &provider, &convictions.found).await?;
    // Of one accusation several may have written a conviction, from the same reports.
    let mut juries: HashMap<ActionHash, Vec<Heard>> = HashMap::new();
    for found in convictions.found {
        let jury = match juries.entry(found.entry.accusation.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(jury::heard(&conductor, &found.entry.accusation).await?),
        };
        let appeal = appeals.get(&found.entry.accusation).map(|appealed| AppealFound {
            published: published(&appealed.action, &provider, appealed.linked_at),
            passed: reports_with(&appealed.heard, Verdict::Pass),
            failed: reports_with(&appealed.heard, Verdict::Fail),
            overturned: appeal::is_overturned(&appealed.heard, |juror| trusts(node, &me, juror)),
        });
        let overturned = appeal.as_ref().is_some_and(|appeal| appeal.overturned);
        let believed = !overturned && is_trusted(node, &me, &found.entry, jury);
        let published = published(&found.action, &found.author, found.linked_at);
        let confirmations = texts(&found.entry.confirmations);
        let accusation = found.entry.accusation.to_string();
        findings.convictions.push(ConvictionFound { published, accusation, confirmations, appeal, believed });
    }
    findings.equivocations = each(equivocations, |published, _| published);
    Ok(findings)
}

fn each<T, U>(page: AuditPage<T>, show: impl Fn(Published, T) -> U) -> Vec<U> {
    let shown = |found: Found<T>| show(published(&found.action, &found.author, found.linked_at), found.entry);
    page.found.into_iter().map(shown).collect()
}

fn published(action: &ActionHash, author: &AgentPubKey, linked_at: TimestampUs) -> Published {
    Published { action: action.to_string(), author: author.to_string(), at_s: linked_at / 1_000_000 }
}

fn reports_with(heard: &[Heard], verdict: Verdict) -> Vec<String> {
    heard.iter().filter(|found| found.entry.report.verdict == verdict).map(|found| found.action.to_string()).collect()
}

fn texts(actions: &[ActionHash]) -> Vec<String> {
    actions.iter().map(ActionHash::to_string).collect()
}
