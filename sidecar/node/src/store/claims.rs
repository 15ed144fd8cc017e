//! Questions that were claimed for a receipt. Two receipts for one question are a proof against whoever signed them, and whoever asks can
//! ask the same as often as it likes: so a question is claimed before its receipt is signed, and never twice within the time in
//! which two would prove something (`limits::EQUIVOCATION_APART_US_MAX`).
//!
//! Of what is forgotten only the latest moment stays, and nothing is claimed that ends too soon after it. So the promise rests on no
//! clock: one that is put back makes this node refuse, not sign twice. It must not know what was asked.

use super::Store;
use crate::NodeError;
use ainonymous_types::{limits, Bytes32, TimestampUs};
use redb::{Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle};

/// When the answers to claimed questions ended, by question (`verify::receipt::question`).
const ENDS: TableDefinition<'_, &[u8; QUESTION_BYTES], i64> = TableDefinition::new("claimed_questions");
/// The same by time.
const ORDER: TableDefinition<'_, &[u8; ORDER_BYTES], ()> = TableDefinition::new("claimed_questions_order");
/// The latest end among those that were forgotten; one row.
const FORGOTTEN: TableDefinition<'_, (), i64> = TableDefinition::new("claimed_questions_forgotten");

const QUESTION_BYTES: usize = 32;
/// A time, the highest byte first, and a question.
const ORDER_BYTES: usize = 8 + QUESTION_BYTES;
/// A question stays claimed for so long: a day, in microseconds. That is 144 times as long as two receipts prove anything.
const CLAIM_US: u64 = 24 * 3600 * 1_000_000;
/// Most questions that are claimed, of 80 bytes each and what the trees need: a day of twelve answers a second. Beyond it the oldest give
/// way, but for those whose time is not over yet: 1,747 answers a second.
const CLAIMS_MAX: u64 = 1 << 20;

/// Most old claims that are let go of with each new one, where there is room.
const FORGOTTEN_AT_ONCE_MAX: usize = 64;

/// What comes of claiming a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is claimed now: one receipt may be signed for it.
    Granted,
    /// It was claimed before.
    AskedBefore,
    /// It cannot be said whether it was: too much was claimed of late, or the clock was put back.
    Uncertain,
}

impl Store {
    /// Claims a question whose answer ended at `ended_us`, as its receipt will say. It is on disk as soon as anything is that is written later:
    /// the receipt, at the latest.
    pub(crate) fn claim(&self, question: &Bytes32, ended_us: TimestampUs) -> Result<Claim, NodeError> {
        self.claim_within(question, ended_us, CLAIMS_MAX)
    }

    /// What would come of claiming it now. Others may be quicker.
    pub(crate) fn claimable(&self, question: &Bytes32, now_us: TimestampUs) -> Result<Claim, NodeError> {
        self.with(|db| {
            let read = db.begin_read()?;
            if read.open_table(ENDS)?.get(&question.0)?.is_some() {
                return Ok(Claim::AskedBefore);
            }
            let order = read.open_table(ORDER)?;
            let full = order.len()? >= CLAIMS_MAX;
            let stuck = full && order.first()?.is_some_and(|(first, _)| !is_over(split(first.value()).0, now_us));
            let forgotten = read.open_table(FORGOTTEN)?.get(())?.map(|end| end.value());
            let early = forgotten.is_some_and(|end_us| !is_over(end_us, now_us));
            Ok(if stuck || early { Claim::Uncertain } else { Claim::Granted })
        })
    }

    /// Gives a claim back. Only for whoever has claimed the question and has signed nothing for it.
    pub(crate) fn unclaim(&self, question: &Bytes32) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            let ended_us = write.open_table(ENDS)?.remove(&question.0)?.map(|end| end.value());
            if let Some(ended_us) = ended_us {
                write.open_table(ORDER)?.remove(&join(ended_us, question))?;
            }
            write.commit()?;
            Ok(())
        })
    }

    fn claim_within(&self, question: &Bytes32, ended_us: TimestampUs, most: u64) -> Result<Claim, NodeError> {
        self.with(|db| {
            let mut write = db.begin_write()?;
            // The receipt is kept before anybody sees it, and that write takes this one to the disk: none is waited for twice. A crash before
            // loses both, and nothing was signed.
            write.set_durability(Durability::None)?;
            // Whatever is refused changes nothing: what was not committed is undone.
            {
                let (mut ends, mut order) = (write.open_table(ENDS)?, write.open_table(ORDER)?);
                let mut forgotten = write.open_table(FORGOTTEN)?;
                if ends.get(&question.0)?.is_some() {
                    return Ok(Claim::AskedBefore);
                }
                let mut latest = forgotten.get(())?.map(|end| end.value());
                for gone in 0.. {
                    let Some((end_us, oldest)) = order.first()?.map(|(first, _)| split(first.value())) else { break };
                    let is_old = ended_us > end_us && ended_us.abs_diff(end_us) > CLAIM_US;
                    let has_room = order.len()? < most;
                    if has_room && (!is_old || gone == FORGOTTEN_AT_ONCE_MAX) {
                        break;
                    }
                    if !is_over(end_us, ended_us) {
                        return Ok(Claim::Uncertain);
                    }
                    order.remove(&join(end_us, &oldest))?;
                    ends.remove(&oldest.0)?;
                    latest = latest.max(Some(end_us));
                }
                if latest.is_some_and(|end_us| !is_over(end_us, ended_us)) {
                    return Ok(Claim::Uncertain);
                }
                if let Some(latest) = latest {
                    forgotten.insert((), latest)?;
                }
                ends.insert(&question.0, ended_us)?;
                order.insert(&join(ended_us, question), ())?;
            }
            write.commit()?;
            Ok(Claim::Granted)
        })
    }
}

/// The tables. Where the store is older than they are, nobody knows what was signed until now: as if all of it had been forgotten.
pub(super) fn create(write: &redb::WriteTransaction, has_signed: bool, now_us: TimestampUs) -> Result<(), redb::Error> {
    let is_new = !write.list_tables()?.any(|table| table.name() == ENDS.name());
    write.open_table(ENDS)?;
    write.open_table(ORDER)?;
    let mut forgotten = write.open_table(FORGOTTEN)?;
    if is_new && has_signed {
        forgotten.insert((), now_us)?;
    }
    Ok(())
}

/// Whether a receipt that ends at `now_us` is too late to prove anything together with one that ended at `end_us`.
fn is_over(end_us: TimestampUs, now_us: TimestampUs) -> bool {
    now_us > end_us && now_us.abs_diff(end_us) > limits::EQUIVOCATION_APART_US_MAX
}

/// As the order has it: times before the epoch come first, as they should.
fn join(end_us: TimestampUs, question: &Bytes32) -> [u8; ORDER_BYTES] {
    let mut key = [0; ORDER_BYTES];
    key[..8].copy_from_slice(&(end_us ^ i64::MIN).to_be_bytes());
    key[8..].copy_from_slice(&question.0);
    key
}

fn split(key: &[u8; ORDER_BYTES]) -> (TimestampUs, Bytes32) {
    let (mut end, mut question) = ([0; 8], [0; QUESTION_BYTES]);
    end.copy_from_slice(&key[..8]);
    question.copy_from_slice(&key[8..]);
    (i64::from_be_bytes(end) ^ i64::MIN, Bytes32(question))
}

#[cfg(test)]
mod tests {
    use super::super::tests::pending;
    use super::*;
    use std::sync::Barrier;

    const APART_US: i64 = limits::EQUIVOCATION_APART_US_MAX as i64;
    const DAY_US: i64 = CLAIM_US as i64;
    /// Some day.
    const NOW_US: i64 = 1_760_000_000_000_000;

    fn question(n: u8) -> Bytes32 {
        Bytes32([n; 32])
    }

    fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(&dir.path().join("node.redb")).unwrap()
    }

    fn claim(store: &Store, n: u8, ended_us: i64) -> Claim {
        let before = store.claimable(&question(n), ended_us).unwrap();
        let claim = store.claim(&question(n), ended_us).unwrap();
        assert_eq!(before, claim, "what is said early is what comes of it");
        claim
    }

    #[test]
    fn a_question_is_claimed_once_and_stays_claimed_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = store(&dir);
            assert_eq!(claim(&store, 1, NOW_US), Claim::Granted);
            assert_eq!(claim(&store, 1, NOW_US), Claim::AskedBefore);
            assert_eq!(claim(&store, 2, NOW_US), Claim::Granted, "another question at the same moment");
            store.put_pending(&pending(1), None, None, NOW_US).unwrap();
        }
        let store = store(&dir);
        for later_us in [0, 1, APART_US, APART_US + 1, DAY_US, -1, -DAY_US] {
            assert_eq!(claim(&store, 1, NOW_US + later_us), Claim::AskedBefore, "{later_us}");
        }
        assert_eq!(claim(&store, 3, NOW_US), Claim::Granted);
    }

    #[test]
    fn of_many_who_claim_at_once_one_may_sign() {
        let dir = tempfile::tempdir().unwrap();
        let (store, start) = (store(&dir), Barrier::new(8));
        let claims: Vec<Claim> = std::thread::scope(|scope| {
            let one = || {
                start.wait();
                store.claim(&question(1), NOW_US).unwrap()
            };
            let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|claim| claim.join().unwrap()).collect()
        });
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::Granted).count(), 1);
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::AskedBefore).count(), 7);
    }

    #[test]
    fn what_was_claimed_long_ago_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        // Questions fall while time goes on: neither the smallest nor the largest is the oldest.
        for (n, at_us) in [(9, 0), (5, 1), (7, DAY_US)] {
            assert_eq!(claim(&store, n, NOW_US + at_us), Claim::Granted);
        }
        assert_eq!(claim(&store, 9, NOW_US + DAY_US), Claim::AskedBefore);
        assert_eq!(claim(&store, 3, NOW_US + DAY_US + 1), Claim::Granted);
        assert_eq!(claim(&store, 9, NOW_US + DAY_US + 1), Claim::Granted, "a day and a microsecond later");
        assert_eq!(claim(&store, 5, NOW_US + DAY_US + 1), Claim::AskedBefore);
        assert_eq!(claim(&store, 7, NOW_US + DAY_US + 1), Claim::AskedBefore);
    }

    #[test]
    fn where_the_oldest_may_not_be_forgotten_yet_nothing_is_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let claim = |n: u8, at_us: i64| store.claim_within(&question(n), NOW_US + at_us, 3).unwrap();
        for n in 0..3 {
            assert_eq!(claim(n, n.into()), Claim::Granted);
        }
        assert_eq!(claim(3, APART_US), Claim::Uncertain);
        assert_eq!(claim(0, APART_US), Claim::AskedBefore, "it is still known");
        assert_eq!(claim(3, APART_US + 1), Claim::Granted, "the oldest is past its time");
        assert_eq!(claim(4, APART_US + 1), Claim::Uncertain, "the next is not");
        // What was asked first is not known any more; and it ended too long ago to prove anything.
        assert_eq!(claim(0, APART_US + 2), Claim::Granted);
    }

    #[test]
    fn a_clock_that_is_put_back_makes_nobody_sign_twice() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        assert_eq!(claim(&store, 1, NOW_US), Claim::Granted);
        // It runs ahead for a moment, and the question is forgotten.
        assert_eq!(claim(&store, 2, NOW_US + 3 * DAY_US), Claim::Granted);
        for later_us in [-DAY_US, 0, 1, APART_US] {
            assert_eq!(claim(&store, 1, NOW_US + later_us), Claim::Uncertain, "{later_us}");
        }
        assert_eq!(claim(&store, 1, NOW_US + APART_US + 1), Claim::Granted);
        assert_eq!(claim(&store, 2, NOW_US + APART_US + 1), Claim::AskedBefore);
    }

    #[test]
    fn a_store_of_before_does_not_know_what_was_signed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let of_before = |now_us| {
            store.with(|db| {
                let write = db.begin_write()?;
                write.delete_table(ENDS)?;
                write.delete_table(ORDER)?;
                create(&write, true, now_us)?;
                write.commit()?;
                Ok(())
            })
        };
        of_before(NOW_US).unwrap();
        assert_eq!(claim(&store, 1, NOW_US + APART_US), Claim::Uncertain);
        assert_eq!(claim(&store, 1, NOW_US + APART_US + 1), Claim::Granted);
        // Opened again it is none of before.
        store
            .with(|db| {
                let write = db.begin_write()?;
                create(&write, true, NOW_US + DAY_US)?;
                write.commit()?;
                Ok(())
            })
            .unwrap();
        assert_eq!(claim(&store, 2, NOW_US + APART_US + 1), Claim::Granted);
    }

    #[test]
    fn much_that_is_old_goes_little_by_little() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        for n in 0..100 {
            assert_eq!(claim(&store, n, NOW_US + i64::from(n)), Claim::Granted);
        }
        assert_eq!(claim(&store, 200, NOW_US + 2 * DAY_US), Claim::Granted);
        assert_eq!(claim(&store, 99, NOW_US + 2 * DAY_US), Claim::AskedBefore, "it is still known");
        assert_eq!(claim(&store, 201, NOW_US + 2 * DAY_US), Claim::Granted);
        assert_eq!(claim(&store, 99, NOW_US + 2 * DAY_US), Claim::Granted);
    }

    #[test]
    fn who_has_signed_nothing_gives_its_claim_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        assert_eq!(claim(&store, 1, NOW_US), Claim::Granted);
        assert_eq!(claim(&store, 2, NOW_US), Claim::Granted);
        store.unclaim(&question(1)).unwrap();
        store.unclaim(&question(7)).unwrap();
        assert_eq!(claim(&store, 1, NOW_US), Claim::Granted);
        assert_eq!(claim(&store, 2, NOW_US), Claim::AskedBefore);
    }

    #[test]
    fn hostile_times_are_kept_in_order() {
        let mut keys: Vec<_> = [i64::MAX, 0, -1, i64::MIN, 1].into_iter().map(|end| join(end, &question(1))).collect();
        keys.sort_unstable();
        let ends: Vec<i64> = keys.iter().map(|key| split(key).0).collect();
        assert_eq!(ends, [i64::MIN, -1, 0, 1, i64::MAX]);
        assert!(is_over(i64::MIN, i64::MAX) && !is_over(i64::MAX, i64::MIN) && !is_over(0, 0));
    }
}
