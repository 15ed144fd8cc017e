//! What other auditors have promised of an answer that this node shall look at, and whether they keep it.
//!
//! Whether that is enough is judged by `verify::audit::order`. When a link was drawn its author says, and may draw another one: what matters
//! is since when a promise is known, so this node remembers what it has seen.

use crate::node::lock;
use crate::opening;
use crate::serving::now_us;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_types::{
    limits, ActionHash, AgentPubKey, AuditCommit, AuditQuery, AuditReport, AuditSubject, Audited, Bytes32, Found,
    TimestampUs, Verdict,
};
use ainonymous_verify::audit::order::{enough, Enough, Kept, Promise};
use ainonymous_verify::receipt;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

/// Promises that are remembered; the oldest give way.
const SEEN_MAX: usize = 1_024;
/// Reports about one answer that are read, and whatever else is linked from there.
const READ_MAX: usize = 4 * limits::AUDITS_PAGE_MAX;

/// Whether something follows from what was reported, by author and promise.
type Reports = HashMap<(AgentPubKey, ActionHash), bool>;

/// Promises without a report, and when this node has first seen them.
#[derive(Debug, Default)]
pub(super) struct Promises(Mutex<VecDeque<(ActionHash, TimestampUs)>>);

impl Promises {
    /// Whether other auditors have looked at the answer with this receipt often enough, or this node has promised to.
    pub(super) async fn enough(&self, conductor: &Conductor, leaf: &Bytes32) -> Result<Enough, ConductorError> {
        let (me, commits) = (conductor.agent(), opening::audits_at(conductor, leaf).await?);
        // Mostly too few have promised anything, or this node has: then nobody's reports need to be read.
        if judge(&commits, &me, |_| Kept::Decided) == Enough::No {
            return Ok(Enough::No);
        }
        let own = judge(&commits, &me, |_| Kept::Undecided);
        if own == Enough::Yes {
            return Ok(own);
        }
        let reports = reports_at(conductor, leaf).await?;
        Ok(self.judge(&commits, &reports, &me, now_us()))
    }

    fn judge(&self, commits: &[Found<AuditCommit>], reports: &Reports, me: &AgentPubKey, now: TimestampUs) -> Enough {
        judge(commits, me, |found| match reports.get(&(found.author.clone(), found.action.clone())) {
            Some(false) => Kept::Undecided,
            Some(true) => Kept::Decided,
            None => Kept::since(self.known_since(&found.action, now).min(found.linked_at), now),
        })
    }

    /// When this node has first seen it.
    fn known_since(&self, action: &ActionHash, now: TimestampUs) -> TimestampUs {
        let mut seen = lock(&self.0);
        if let Some((_, since)) = seen.iter().find(|(other, _)| other == action) {
            return *since;
        }
        seen.push_back((action.clone(), now));
        while seen.len() > SEEN_MAX {
            seen.pop_front();
        }
        now
    }
}

fn judge(commits: &[Found<AuditCommit>], me: &AgentPubKey, kept: impl Fn(&Found<AuditCommit>) -> Kept) -> Enough {
    enough(
        commits.iter().map(|found| Promise { author: &found.author, mode: &found.entry.mode, kept: kept(found) }),
        me,
    )
}

/// What was reported about the answer with this receipt.
async fn reports_at(conductor: &Conductor, leaf: &Bytes32) -> Result<Reports, ConductorError> {
    let mut query = AuditQuery { subject: AuditSubject::Receipt(*leaf), before: None };
    let mut reports = Reports::new();
    for _ in 0..READ_MAX / limits::AUDITS_PAGE_MAX {
        let page = conductor.get_audit_reports(query.clone()).await?;
        let of_it = page.found.into_iter().filter(|found| receipt::leaf(&found.entry.commit.receipt) == *leaf);
        reports.extend(of_it.map(|Found { author, entry: Audited { report, .. }, .. }| {
            let decides = decides(&report);
            ((author, report.commit), decides)
        }));
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    Ok(reports)
}

/// Whether a report says something, or at least weighs something, as that of good tokens does where nothing was opened: else one answer could
/// be weighed as often as there are auditors.
fn decides(report: &AuditReport) -> bool {
    report.verdict != Verdict::Inconclusive || report.llr != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{
        AuditMode, AuditTerms, BatchProof, Bytes64, EntryHash, FinishReason, Outcome, Receipt, SignedReceipt, Standing,
        Statistics,
    };
    use ainonymous_verify::audit::order::REPORT_WITHIN_US;

    const NOW: TimestampUs = 1_000 * REPORT_WITHIN_US;

    fn agent(n: u8) -> AgentPubKey {
        AgentPubKey::from_raw_36(vec![n; 36])
    }

    fn promised(author: u8, n: u8, linked_at: TimestampUs) -> Found<AuditCommit> {
        let (zeros, action) = (Bytes32([0; 32]), |n: u8| ActionHash::from_raw_36(vec![n; 36]));
        let receipt = Receipt {
            provider: agent(9),
            spec: EntryHash::from_raw_36(vec![7; 36]),
            session_key: zeros,
            input: zeros,
            output: zeros,
            fingerprint: zeros,
            prompt_tokens: 1,
            completion_tokens: 1,
            finish: FinishReason::Stop,
            finished_at: 1,
            audit: AuditTerms { challenge: zeros, rate_ppm: 1, auditors_ppm: 1 },
        };
        let entry = AuditCommit {
            capability: action(8),
            receipt: SignedReceipt { receipt, signature: Bytes64([0; 64]) },
            proof: BatchProof { batch: action(7), index: 0, path: vec![] },
            secret: zeros,
            mode: AuditMode::Drawn,
            previous: None,
            replay: zeros,
        };
        Found { action: action(n), author: agent(author), linked_at, entry }
    }

    #[test]
    fn a_promise_does_not_stay_young_because_its_author_draws_another_link() {
        let (promises, me) = (Promises::default(), agent(1));
        let at = |linked_at| [promised(2, 2, linked_at), promised(3, 3, linked_at)];
        let judged = |commits: &[_], now| promises.judge(commits, &Reports::new(), &me, now);
        assert_eq!(judged(&at(NOW), NOW), Enough::ForNow);
        let later = NOW + REPORT_WITHIN_US;
        assert_eq!(judged(&at(later), later - 1), Enough::ForNow);
        assert_eq!(judged(&at(later), later), Enough::No, "seen before, whatever its link says");
        assert_eq!(judged(&at(later + 3_600_000_000), later), Enough::No, "and whatever its author's clock says");
        // Others that come now do not have to be waited for as well.
        let more = [at(later), [promised(4, 4, later), promised(5, 5, later)]].concat();
        assert_eq!(judged(&more, later), Enough::No);
    }

    #[test]
    fn what_is_reported_and_decided_is_enough_and_what_says_nothing_is_not() {
        let (promises, me) = (Promises::default(), agent(1));
        let commits = [promised(2, 2, 0), promised(3, 3, 0)];
        let judged = |decides| {
            let reports = commits.iter().map(|found| ((found.author.clone(), found.action.clone()), decides));
            promises.judge(&commits, &reports.collect(), &me, NOW)
        };
        assert_eq!((judged(true), judged(false)), (Enough::Yes, Enough::No));
        // Nobody keeps the promise of another.
        let foreign = [((agent(4), commits[0].action.clone()), true)];
        assert_eq!(promises.judge(&commits, &foreign.into(), &me, NOW), Enough::No);
    }

    /// Whoever asks can make a provider look silent to each auditor in turn, so a weight without a verdict counts too.
    #[test]
    fn what_weighs_something_decides_whatever_its_verdict_is() {
        let report = |verdict, llr| AuditReport {
            commit: ActionHash::from_raw_36(vec![2; 36]),
            calibration: None,
            outcome: Outcome::NotOpened(Statistics::default()),
            verdict,
            llr,
            standing: Standing::default(),
            evidence: None,
        };
        use Verdict::{Fail, Inconclusive, Pass};
        let all = [(Pass, -128), (Fail, 700), (Inconclusive, -128), (Inconclusive, 0)];
        assert_eq!(all.map(|(verdict, llr)| decides(&report(verdict, llr))), [true, true, true, false]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let promises = Promises::default();
        for n in 0..2 * SEEN_MAX as u64 {
            let action = ActionHash::from_raw_36([&n.to_le_bytes()[..], &[0; 28]].concat());
            promises.known_since(&action, NOW);
        }
        assert_eq!(lock(&promises.0).len(), SEEN_MAX);
    }
}
