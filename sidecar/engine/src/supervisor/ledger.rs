//! Memory that was promised to workers and that they do not have yet.
//!
//! A worker plans by the memory that is free when it looks. Several that load at the same moment would all plan with the same
//! bytes, and weights that are mapped from a file count as free for as long as they are used. So plans are made one after the
//! other, and each is told what earlier ones may still take.

use crate::fit::Reserved;
use crate::os;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// What all workers of this process were promised. Cloning gives another handle.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    entries: Arc<Mutex<Entries>>,
    planning: Arc<tokio::sync::Mutex<()>>,
    /// Memory that a process has and that does not count as free any more, where the system tells.
    has: fn(u32) -> Option<u64>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    all: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    pid: u32,
    planned: Reserved,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { entries: Arc::default(), planning: Arc::default(), has: os::anonymous_bytes }
    }
}

/// The right to plan, which one worker has at a time.
#[derive(Debug)]
pub(super) struct Turn {
    ledger: Ledger,
    _planning: OwnedMutexGuard<()>,
}

/// A worker's promise. It ends with the worker.
#[derive(Debug)]
pub(super) struct Reservation {
    ledger: Ledger,
    number: u64,
}

impl Ledger {
    /// The one of this process.
    pub(super) fn here() -> Self {
        static HERE: std::sync::OnceLock<Ledger> = std::sync::OnceLock::new();
        HERE.get_or_init(Self::default).clone()
    }

    /// Waits until nobody else plans.
    pub(super) async fn turn(&self) -> Turn {
        Turn { ledger: self.clone(), _planning: self.planning.clone().lock_owned().await }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        change(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Turn {
    /// What others may still take of the memory that is free.
    pub(super) fn reserved(&self) -> Reserved {
        let Ledger { has, .. } = self.ledger;
        let open = |entry: &Entry| {
            let had = has(entry.pid).unwrap_or(0);
            Reserved { system_bytes: entry.planned.system_bytes.saturating_sub(had), ..entry.planned }
        };
        self.ledger.change(|entries| entries.all.iter().map(open).fold(Reserved::default(), Reserved::and))
    }

    /// A plan was made; it is the next one's turn.
    pub(super) fn reserve(self, pid: u32, planned: Reserved) -> Reservation {
        let number = self.ledger.change(|entries| {
            entries.next += 1;
            entries.all.push(Entry { number: entries.next, pid, planned });
            entries.next
        });
        Reservation { ledger: self.ledger, number }
    }
}

impl Reservation {
    /// The plan was changed.
    pub(super) fn set(&self, planned: Reserved) {
        self.entry(|entry| entry.planned = planned);
    }

    /// The worker has everything. Of GPUs the drivers say so; of the machine's memory the system does not say everything.
    pub(super) fn loaded(&self) {
        let tells = |pid| (self.ledger.has)(pid).is_some();
        self.entry(|entry| {
            entry.planned.gpu_bytes = 0;
            if !tells(entry.pid) {
                entry.planned.system_bytes = 0;
            }
        });
    }

    fn entry(&self, change: impl FnOnce(&mut Entry)) {
        self.ledger.change(|entries| entries.all.iter_mut().find(|entry| entry.number == self.number).map(change));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.change(|entries| entries.all.retain(|entry| entry.number != self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(system_bytes: u64, gpu_bytes: u64) -> Reserved {
        Reserved { system_bytes, gpu_bytes }
    }

    #[tokio::test]
    async fn a_plan_knows_what_others_may_still_take() {
        // The first worker has 30 bytes already, the second does not tell.
        let has = |pid| (pid == 1).then_some(30);
        let ledger = Ledger { has, ..Ledger::default() };
        let turn = ledger.turn().await;
        assert_eq!(turn.reserved(), bytes(0, 0));
        let first = turn.reserve(1, bytes(100, 50));
        let second = ledger.turn().await.reserve(2, bytes(10, 5));
        assert_eq!(ledger.turn().await.reserved(), bytes(80, 55));
        first.set(bytes(20, 40));
        assert_eq!(ledger.turn().await.reserved(), bytes(10, 45), "it has more than was planned");
        first.set(bytes(100, 0));
        second.loaded();
        assert_eq!(ledger.turn().await.reserved(), bytes(70, 0), "mapped weights count as free all the time");
        first.loaded();
        assert_eq!(ledger.turn().await.reserved(), bytes(70, 0));
        drop(first);
        assert_eq!(ledger.turn().await.reserved(), bytes(0, 0));
    }

    #[tokio::test]
    async fn plans_are_made_one_after_the_other() {
        let ledger = Ledger::default();
        let turn = ledger.turn().await;
        let (other, mut waits) = (ledger.clone(), Box::pin(async { ledger.turn().await.reserved() }));
        let now = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(now, waits.as_mut()).await.is_err());
        let _kept = turn.reserve(u32::MAX, bytes(7, 0));
        assert_eq!(waits.await, bytes(7, 0));
        drop(other.turn().await);
        assert_eq!(other.turn().await.reserved(), bytes(7, 0), "a turn without a plan promises nothing");
    }
}
