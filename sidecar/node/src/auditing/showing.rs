//! How many answers are shown to auditors at once, and to one of them.
//!
//! An auditor that has been shown an answer may be silent for a quarter of an hour. To wait for it costs a link and some memory, so it holds
//! none of the few places in which answers are shown: those are for connecting, ordering and sending. Who waits is bounded by itself, and no
//! auditor has more answers of this node than an honest one would take.

use crate::node::lock;
use ainonymous_types::AgentPubKey;
use std::future::Future;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Auditors that are sent an order or an answer at once.
const SHOWING_MAX: usize = 16;
/// Answers that wait: for their receipts, for one of those places, or for what an auditor finds. What comes beyond is shown to nobody.
const PENDING_MAX: usize = 128;
/// Answers that one auditor has been sent and not reported on: an honest one has no more in hand.
const PER_AUDITOR_MAX: usize = 8;

/// Bounds what is shown.
#[derive(Debug)]
pub(super) struct Showing {
    pending: Arc<Semaphore>,
    places: Semaphore,
    with: Mutex<Vec<AgentPubKey>>,
}

/// An answer that an auditor has, until this is dropped.
#[derive(Debug)]
pub(super) struct With<'a> {
    showing: &'a Showing,
    auditor: AgentPubKey,
}

impl Default for Showing {
    fn default() -> Self {
        Self {
            pending: Arc::new(Semaphore::new(PENDING_MAX)),
            places: Semaphore::new(SHOWING_MAX),
            with: Mutex::default(),
        }
    }
}

impl Showing {
    /// An answer waits to be shown and for what comes of it; none if too many do.
    pub(super) fn begin(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.pending).try_acquire_owned().ok()
    }

    /// Sends something as soon as there is a place for it, and holds the place no longer than that takes.
    pub(super) async fn send<T>(&self, sending: impl Future<Output = T>) -> Option<T> {
        let _place = self.places.acquire().await.ok()?;
        Some(sending.await)
    }

    /// An auditor gets an answer; none if it has enough to do.
    pub(super) fn with(&self, auditor: &AgentPubKey) -> Option<With<'_>> {
        let mut with = lock(&self.with);
        if with.iter().filter(|other| *other == auditor).count() >= PER_AUDITOR_MAX {
            return None;
        }
        with.push(auditor.clone());
        drop(with);
        Some(With { showing: self, auditor: auditor.clone() })
    }
}

impl Drop for With<'_> {
    fn drop(&mut self) {
        let mut with = lock(&self.showing.with);
        if let Some(at) = with.iter().position(|auditor| *auditor == self.auditor) {
            with.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_silent_auditor_has_no_more_answers_than_an_honest_one() {
        let (showing, agent) = (Showing::default(), |n: u8| AgentPubKey::from_raw_36(vec![n; 36]));
        let mut silent: Vec<_> = (0..100).filter_map(|_| showing.with(&agent(1))).collect();
        assert_eq!(silent.len(), PER_AUDITOR_MAX);
        assert!(showing.with(&agent(2)).is_some(), "others are shown answers all the same");
        silent.pop();
        assert!(showing.with(&agent(1)).is_some(), "who has reported is shown the next");
    }

    /// As `consent` does: what is sent is short, what is waited for is not.
    #[tokio::test]
    async fn a_silent_auditor_holds_no_place_in_which_others_are_shown_answers() {
        let showing = Arc::new(Showing::default());
        let mut silent = tokio::task::JoinSet::new();
        for n in 0..2 * SHOWING_MAX as u8 {
            let (shown_by, auditor) = (showing.clone(), AgentPubKey::from_raw_36(vec![n / PER_AUDITOR_MAX as u8; 36]));
            silent.spawn(async move {
                let _with = shown_by.with(&auditor).unwrap();
                shown_by.send(async {}).await.unwrap();
                std::future::pending::<()>().await;
            });
        }
        tokio::task::yield_now().await;
        let next = tokio::time::timeout(Duration::from_secs(10), showing.send(async { 1 })).await;
        assert_eq!(next, Ok(Some(1)));
        // What is sent is bounded meanwhile.
        let mut slow: Vec<_> =
            (0..=SHOWING_MAX).map(|_| Box::pin(showing.send(std::future::pending::<()>()))).collect();
        for sending in &mut slow {
            assert!(tokio::time::timeout(Duration::ZERO, sending).await.is_err());
        }
        assert_eq!(showing.places.available_permits(), 0);
    }

    #[test]
    fn whoever_waits_is_bounded() {
        let showing = Showing::default();
        let mut pending: Vec<_> = (0..1_000).filter_map(|_| showing.begin()).collect();
        assert_eq!(pending.len(), PENDING_MAX);
        pending.pop();
        assert!(showing.begin().is_some());
    }
}
