//! Commitment before opening: an auditor who could see a fingerprint before it has promised its own could copy it.
//!
//! The promise reaches the provider by the DHT, which takes a moment: it is looked for a while. Looks cost calls of the conductor, so
//! only some are waited for at once, and of one auditor fewer.

use crate::node::lock;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_types::{
    limits, AgentPubKey, AuditCommit, AuditQuery, AuditSubject, Bytes32, Found, OpenRefusal, SignedReceipt,
};
use ainonymous_verify::receipt;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for a commitment. Whoever asks waits longer for the first leaves.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// First pause between two looks; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(250);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Commitments that are waited for at once.
const AWAITED_MAX: usize = 8;
/// Of these, of one auditor.
const PER_AUDITOR_MAX: usize = 2;
/// Commitments to audits of one answer that are read, and whatever else is linked from there.
const READ_MAX: usize = 4 * limits::AUDITS_PAGE_MAX;

/// Whose commitments are waited for.
#[derive(Debug, Default)]
pub(crate) struct Awaited(Mutex<Vec<AgentPubKey>>);

/// One that is waited for, until this is dropped.
#[derive(Debug)]
struct Place<'a> {
    awaited: &'a Awaited,
    auditor: AgentPubKey,
}

impl Awaited {
    fn take(&self, auditor: &AgentPubKey) -> Option<Place<'_>> {
        let mut waiting = lock(&self.0);
        let own = waiting.iter().filter(|other| *other == auditor).count();
        if waiting.len() >= AWAITED_MAX || own >= PER_AUDITOR_MAX {
            return None;
        }
        waiting.push(auditor.clone());
        Some(Place { awaited: self, auditor: auditor.clone() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.awaited.0);
        if let Some(at) = waiting.iter().position(|auditor| *auditor == self.auditor) {
            waiting.swap_remove(at);
        }
    }
}

/// Resolves as soon as this auditor's commitment to a replay of the answer is found.
pub(super) async fn wait(
    awaited: &Awaited,
    conductor: &Conductor,
    auditor: &AgentPubKey,
    signed: &SignedReceipt,
) -> Result<(), OpenRefusal> {
    let _place = awaited.take(auditor).ok_or(OpenRefusal::Busy)?;
    let leaf = receipt::leaf(signed);
    let (until, mut pause) = (Instant::now() + WAIT_MAX, PAUSE);
    loop {
        match tokio::time::timeout_at(until, audits_at(conductor, &leaf)).await {
            Ok(Ok(commits)) if commits.iter().any(|found| found.author == *auditor) => return Ok(()),
            Ok(Ok(_)) => {}
            Ok(Err(e)) => tracing::debug!(error = %e, "the promise of an auditor could not be looked for"),
            Err(_) => return Err(OpenRefusal::NotCommitted),
        }
        if Instant::now() + pause >= until {
            return Err(OpenRefusal::NotCommitted);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Commitments to audits of the answer with this receipt, newest first.
pub(crate) async fn audits_at(
    conductor: &Conductor,
    leaf: &Bytes32,
) -> Result<Vec<Found<AuditCommit>>, ConductorError> {
    let mut query = AuditQuery { subject: AuditSubject::Receipt(*leaf), before: None };
    let mut commits = Vec::new();
    for _ in 0..READ_MAX / limits::AUDITS_PAGE_MAX {
        let page = conductor.get_audit_commits(query.clone()).await?;
        commits.extend(page.found.into_iter().filter(|found| receipt::leaf(&found.entry.receipt) == *leaf));
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    Ok(commits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_auditors_who_have_promised_nothing_stays_bounded() {
        let (awaited, agent) = (Awaited::default(), |n: u8| AgentPubKey::from_raw_36(vec![n; 36]));
        let mut places: Vec<_> = (0..PER_AUDITOR_MAX).filter_map(|_| awaited.take(&agent(1))).collect();
        assert_eq!(places.len(), PER_AUDITOR_MAX);
        assert!(awaited.take(&agent(1)).is_none(), "one auditor has its places and no more");
        places.extend((2..100).filter_map(|n| awaited.take(&agent(n))));
        assert_eq!(places.len(), AWAITED_MAX);
        assert!(awaited.take(&agent(200)).is_none());
        places.remove(0);
        assert!(awaited.take(&agent(1)).is_some(), "who has stopped waiting makes room");
    }
}
