//! Reading what others have published of the providers that this node deals with.
//!
//! What they say counts as far as this node has found them right (`protocol::reputation`). Two receipts for one question are a proof by
//! themselves. A conviction is not: who asks can choose the dice together with whoever audits, so strangers could make up all of it; it
//! counts if enough of its jurors are trusted here.

use super::appeal;
use super::jury::{self, Heard};
use crate::node::{lock, Node};
use crate::{AuditMade, AuditWhy};
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_protocol::reputation::Found;
use ainonymous_types::{limits, AgentPubKey, AuditMode, AuditQuery, AuditSubject, Conviction, Verdict};
use ainonymous_verify::receipt;
use ainonymous_verify::rules::CONFIRMATIONS_MIN;
use std::time::Duration;

/// How often it is looked what others say, on average.
const EVERY: Duration = Duration::from_secs(300);
/// The first look is sooner.
const FIRST: Duration = Duration::from_secs(20);
/// Most providers that are looked up each time: those of whom something was heard last.
const PROVIDERS_MAX: usize = 32;

/// Reads again and again. Not when a provider has just answered: whoever stores what is published could tell then who has asked it.
pub(crate) async fn run(node: Node, conductor: Conductor) {
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(wait).await;
        wait = super::jittered(EVERY);
        let mut providers = lock(&node.inner.auditing.reputations).providers();
        providers.reverse();
        providers.truncate(PROVIDERS_MAX);
        for provider in providers {
            if let Err(e) = read(&node, &conductor, &provider).await {
                tracing::debug!(error = %e, "what others say of a provider could not be read; later again");
            }
        }
        node.inner.auditing.save(&node.inner.store);
    }
}

async fn read(node: &Node, conductor: &Conductor, provider: &AgentPubKey) -> Result<(), ConductorError> {
    let auditing = &node.inner.auditing;
    let (me, now_us) = (conductor.agent(), super::micros_now());
    let about = AuditQuery { subject: AuditSubject::Provider(provider.clone()), before: None };
    let mut reports = conductor.get_audit_reports(about.clone()).await?.found;
    // Oldest first: each auditor's reports count once, and only those after the last that was counted.
    reports.reverse();
    for found in reports.into_iter().filter(|found| found.author != me) {
        let verdict = found.entry.report.verdict;
        let leaf = receipt::leaf(&found.entry.commit.receipt);
        let arranged = found.entry.commit.mode == AuditMode::Drawn;
        let counts = match verdict {
            // Whoever asks and whoever answers can choose the dice together: that earns nothing, unless this node was the one that asked.
            Verdict::Pass if arranged && !auditing.has_shown(&leaf) => Found::Inconclusive,
            Verdict::Pass => Found::Passed,
            Verdict::Fail => Found::Failed,
            Verdict::Inconclusive => Found::Inconclusive,
        };
        let is_new = lock(&auditing.reputations).on_report(provider, &found.author, counts, found.linked_at, now_us);
        // Of an answer that was audited here too it is known who was right.
        // What a jury has looked at was shown by whoever accused, who might cheat to be found right.
        // And what no rounding explains is no more than this node's own opinion.
        let by_table = |made: &AuditMade| made.mode != jury::MODE && made.why != AuditWhy::BeyondRounding;
        let own = auditing.found(&leaf).filter(|made| made.auditor.is_none() && by_table(made));
        let own = own.map(|made| made.verdict);
        let decided = |verdict| verdict != Verdict::Inconclusive;
        // Of a long answer each looks at a stretch of its own.
        let same = found.entry.commit.receipt.receipt.completion_tokens as usize <= limits::EVIDENCE_TOKENS_MAX;
        if same && own.is_some_and(|own| is_new && decided(own) && decided(verdict) && own != verdict) {
            // Being right earns nothing. Of an answer that this node has looked at too, others know what it has shown them: its canary, which
            // may be copied, or an answer shown by consent, which is honest more often than not. Being wrong counts.
            lock(&auditing.reputations).on_checked(&found.author, false, now_us);
        }
    }
    let equivocated = !conductor.get_equivocations(about.clone()).await?.found.is_empty();
    if equivocated {
        lock(&auditing.reputations).on_equivocated(provider);
    }
    let convictions = conductor.get_convictions(about).await?.found;
    let appeals = appeal::appeals(conductor, provider, &convictions).await?;
    let (mut believed, mut overturned) = (false, false);
    for found in convictions {
        let heard = jury::heard(conductor, &found.entry.accusation).await?;
        let otherwise = appeals.get(&found.entry.accusation);
        match otherwise.is_some_and(|appealed| appeal::is_overturned(&appealed.heard, |juror| trusts(node, &me, juror)))
        {
            true => overturned = true,
            false => believed |= is_trusted(node, &me, &found.entry, &heard),
        }
    }
    // What cannot be read now is no reason to ask it again: only a second jury is.
    if believed || overturned {
        lock(&auditing.reputations).on_judged(provider, believed);
    }
    Ok(())
}

/// Whether enough jurors of a conviction are believed here. `heard`: what the jury has said.
pub(super) fn is_trusted(node: &Node, me: &AgentPubKey, conviction: &Conviction, heard: &[Heard]) -> bool {
    let confirming = heard.iter().filter(|found| conviction.confirmations.contains(&found.action));
    confirming.filter(|found| trusts(node, me, &found.author)).count() >= CONFIRMATIONS_MIN
}

/// Whether a juror is believed here: one's own machines and friends are. Nobody else can earn it: whatever a node could hold a stranger's
/// verdict against, it has shown before, and a copy would agree.
pub(super) fn trusts(node: &Node, me: &AgentPubKey, juror: &AgentPubKey) -> bool {
    let peers = &node.inner.habits.peers;
    juror == me || peers.own.contains(juror) || peers.friends.contains(juror)
}
