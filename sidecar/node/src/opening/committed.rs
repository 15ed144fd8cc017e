//! Commitment before opening: an auditor who could see a fingerprint before it has promised its own could copy it.
//!
//! The promise reaches the provider by the DHT, which takes a moment: it is looked for a while. Looks cost calls of the conductor, so
//! only some are waited for at once, of one auditor fewer and for one answer too. Whoever has promised needs no such place: one look is
//! taken first, so that those who wait for what never comes keep nobody out whose promise is there. An answer for which so many have been
//! waited for in vain is not waited for any more, only looked at: an auditor that means it asks again.

use crate::node::lock;
use ainonymous_conductor::{Conductor, ConductorError};
use ainonymous_types::{
    limits, AgentPubKey, AuditCommit, AuditQuery, AuditSubject, Bytes32, Found, OpenRefusal, SignedReceipt,
};
use ainonymous_verify::receipt;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for a commitment. Whoever asks waits longer for the first leaves.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest first look.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// First pause between two looks; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(250);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// First looks at once.
const LOOKS_MAX: usize = 8;
/// Commitments that are waited for at once.
const AWAITED_MAX: usize = 8;
/// Of either, of one auditor.
const PER_AUDITOR_MAX: usize = 2;
/// Of either, for one answer: as many auditors as may be shown it.
const PER_ANSWER_MAX: usize = limits::SHOWN_AUDITORS_MAX;
/// How often a commitment is waited for in vain for one answer.
const VAIN_PER_ANSWER_MAX: usize = 4;
/// Vain waits that are remembered; the oldest give way.
const VAIN_MAX: usize = 4_096;
/// Commitments to audits of one answer that are read, and whatever else is linked from there.
const READ_MAX: usize = 4 * limits::AUDITS_PAGE_MAX;

/// Whose commitments are looked at and waited for.
#[derive(Debug, Default)]
pub(crate) struct Awaited(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    looks: Vec<Wanted>,
    waits: Vec<Wanted>,
    /// Answers for which nothing came.
    vain: VecDeque<Bytes32>,
}

/// The commitment of an auditor to a replay of the answer with this receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    auditor: AgentPubKey,
    leaf: Bytes32,
}

/// One that is looked at, until this is dropped.
#[derive(Debug)]
struct Look<'a> {
    awaited: &'a Awaited,
    wanted: Wanted,
}

/// One that is waited for, until this is dropped: in vain, if it was not found by then.
#[derive(Debug)]
struct Wait<'a> {
    awaited: &'a Awaited,
    wanted: Wanted,
    found: bool,
}

/// Whether one more fits among these.
fn has_room(others: &[Wanted], wanted: &Wanted, most: usize) -> bool {
    others.len() < most
        && others.iter().filter(|other| other.auditor == wanted.auditor).count() < PER_AUDITOR_MAX
        && others.iter().filter(|other| other.leaf == wanted.leaf).count() < PER_ANSWER_MAX
}

fn remove(from: &mut Vec<Wanted>, wanted: &Wanted) {
    if let Some(at) = from.iter().position(|other| other == wanted) {
        from.swap_remove(at);
    }
}

impl Awaited {
    fn look(&self, wanted: &Wanted) -> Result<Look<'_>, OpenRefusal> {
        let mut state = lock(&self.0);
        if !has_room(&state.looks, wanted, LOOKS_MAX) {
            return Err(OpenRefusal::Busy);
        }
        state.looks.push(wanted.clone());
        drop(state);
        Ok(Look { awaited: self, wanted: wanted.clone() })
    }

    /// What a look did not find is waited for: not if nothing has come so often.
    fn wait(&self, wanted: &Wanted) -> Result<Wait<'_>, OpenRefusal> {
        let mut state = lock(&self.0);
        let vain = state.vain.iter().filter(|leaf| **leaf == wanted.leaf).count();
        if vain >= VAIN_PER_ANSWER_MAX {
            return Err(OpenRefusal::NotCommitted);
        }
        if !has_room(&state.waits, wanted, AWAITED_MAX) {
            return Err(OpenRefusal::Busy);
        }
        state.waits.push(wanted.clone());
        drop(state);
        Ok(Wait { awaited: self, wanted: wanted.clone(), found: false })
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        remove(&mut lock(&self.awaited.0).looks, &self.wanted);
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.awaited.0);
        remove(&mut state.waits, &self.wanted);
        if self.found {
            return;
        }
        state.vain.push_back(self.wanted.leaf);
        while state.vain.len() > VAIN_MAX {
            state.vain.pop_front();
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
    let wanted = Wanted { auditor: auditor.clone(), leaf: receipt::leaf(signed) };
    let look = || async {
        let commits = audits_at(conductor, &wanted.leaf).await?;
        Ok(commits.iter().any(|found| found.author == wanted.auditor))
    };
    find(awaited, &wanted, WAIT_MAX, look).await
}

/// The same with any way to look.
async fn find<L>(
    awaited: &Awaited,
    wanted: &Wanted,
    wait_max: Duration,
    look: impl Fn() -> L,
) -> Result<(), OpenRefusal>
where
    L: Future<Output = Result<bool, ConductorError>>,
{
    let looked = {
        let _look = awaited.look(wanted)?;
        tokio::time::timeout(LOOK_MAX, look()).await
    };
    match looked {
        Ok(Ok(true)) => return Ok(()),
        Ok(Ok(false)) | Err(_) => {}
        Ok(Err(e)) => tracing::debug!(error = %e, "the promise of an auditor could not be looked for"),
    }
    let mut place = awaited.wait(wanted)?;
    let (until, mut pause) = (Instant::now() + wait_max, PAUSE);
    while Instant::now() + pause < until {
        tokio::time::sleep(pause).await;
        match tokio::time::timeout_at(until, look()).await {
            Ok(Ok(true)) => {
                place.found = true;
                return Ok(());
            }
            Ok(Ok(false)) => {}
            Ok(Err(e)) => tracing::debug!(error = %e, "the promise of an auditor could not be looked for"),
            Err(_) => break,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Err(OpenRefusal::NotCommitted)
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

    fn wanted(auditor: u8, answer: u8) -> Wanted {
        Wanted { auditor: AgentPubKey::from_raw_36(vec![auditor; 36]), leaf: Bytes32([answer; 32]) }
    }

    #[test]
    fn a_flood_of_auditors_who_have_promised_nothing_stays_bounded() {
        let awaited = Awaited::default();
        let mut places: Vec<_> = (0..PER_AUDITOR_MAX as u8).filter_map(|n| awaited.wait(&wanted(1, n)).ok()).collect();
        assert_eq!(places.len(), PER_AUDITOR_MAX);
        assert!(awaited.wait(&wanted(1, 9)).is_err(), "one auditor has its places and no more");
        places.extend((2..100).filter_map(|n| awaited.wait(&wanted(n, n)).ok()));
        assert_eq!(places.len(), AWAITED_MAX);
        assert_eq!(awaited.wait(&wanted(200, 200)).err(), Some(OpenRefusal::Busy));
        places.remove(0);
        assert!(awaited.wait(&wanted(1, 9)).is_ok(), "who has stopped waiting makes room");
    }

    #[test]
    fn one_answer_cannot_take_all_the_places() {
        let awaited = Awaited::default();
        let waits: Vec<_> = (0..100).filter_map(|n| awaited.wait(&wanted(n, 1)).ok()).collect();
        let looks: Vec<_> = (0..100).filter_map(|n| awaited.look(&wanted(n, 1)).ok()).collect();
        assert_eq!((waits.len(), looks.len()), (PER_ANSWER_MAX, PER_ANSWER_MAX));
        assert!(awaited.wait(&wanted(1, 2)).is_ok() && awaited.look(&wanted(1, 2)).is_ok(), "others are waited for");
    }

    #[test]
    fn an_answer_for_which_nothing_comes_is_not_waited_for_again_and_again() {
        let awaited = Awaited::default();
        for n in 0..VAIN_PER_ANSWER_MAX as u8 {
            awaited.wait(&wanted(n, 2)).unwrap().found = true;
            drop(awaited.wait(&wanted(n, 1)).unwrap());
        }
        assert_eq!(awaited.wait(&wanted(100, 1)).err(), Some(OpenRefusal::NotCommitted));
        assert!(awaited.look(&wanted(100, 1)).is_ok(), "it is looked at all the same");
        assert!(awaited.wait(&wanted(100, 2)).is_ok(), "what was found was not in vain");
        for n in 0..2 * VAIN_MAX as u64 {
            let leaf = Bytes32([&n.to_le_bytes()[..], &[7; 24]].concat().try_into().unwrap());
            drop(awaited.wait(&Wanted { leaf, ..wanted(1, 1) }).unwrap());
        }
        assert_eq!(lock(&awaited.0).vain.len(), VAIN_MAX, "what is remembered is bounded");
    }

    /// What a look finds.
    async fn found(is_there: bool) -> Result<bool, ConductorError> {
        Ok(is_there)
    }

    #[tokio::test]
    async fn whose_promise_is_there_needs_no_place_and_is_found_though_all_are_taken() {
        let awaited = Awaited::default();
        let full: Vec<_> = (0..AWAITED_MAX as u8).map(|n| awaited.wait(&wanted(n, n)).unwrap()).collect();
        let last = wanted(100, 100);
        assert_eq!(find(&awaited, &last, WAIT_MAX, || found(true)).await, Ok(()));
        assert_eq!(find(&awaited, &last, WAIT_MAX, || found(false)).await, Err(OpenRefusal::Busy));
        drop(full);
        // Of an answer that is not waited for any more too.
        let awaited = Awaited::default();
        for _ in 0..VAIN_PER_ANSWER_MAX {
            let refused = find(&awaited, &wanted(1, 1), Duration::ZERO, || found(false)).await;
            assert_eq!(refused, Err(OpenRefusal::NotCommitted));
        }
        let begun = Instant::now();
        assert_eq!(find(&awaited, &wanted(1, 1), WAIT_MAX, || found(false)).await, Err(OpenRefusal::NotCommitted));
        assert!(begun.elapsed() < WAIT_MAX / 2, "nobody has waited");
        assert_eq!(find(&awaited, &wanted(2, 1), WAIT_MAX, || found(true)).await, Ok(()));
        let state = lock(&awaited.0);
        assert!(state.looks.is_empty() && state.waits.is_empty());
    }

    #[tokio::test]
    async fn a_promise_that_is_on_its_way_is_waited_for() {
        let (awaited, looks) = (Awaited::default(), std::cell::Cell::new(0));
        let arrives = || {
            looks.set(looks.get() + 1);
            found(looks.get() > 2)
        };
        assert_eq!(find(&awaited, &wanted(1, 1), WAIT_MAX, arrives).await, Ok(()));
        assert_eq!(looks.get(), 3);
        assert!(lock(&awaited.0).vain.is_empty());
    }
}
