//! What is kept of questions and answers so that they can be checked later: by a provider of what it has answered, by a requester of
//! what it was answered. And answers to posted questions until they are posted: a question has one receipt, so its answer cannot be
//! computed again. Sealed, bounded in bytes and in time.

use super::sealing::Sealer;
use super::shelf::{Shelf, KEY_BYTES};
use super::{decode, encode, Pending, Store};
use crate::evidence::{AnswerKept, Asked};
use crate::NodeError;
use ainonymous_types::{limits, ActionHash, Bytes32, ChunkMore, RequestId};
use redb::{Database, ReadableDatabase, WriteTransaction};
use serde::{Deserialize, Serialize};

/// All that a provider keeps of answers, in bytes on disk.
const ANSWERED_BYTES_MAX: u64 = 256 << 20;
/// All that a requester keeps of answers, in bytes on disk.
const ASKED_BYTES_MAX: u64 = 128 << 20;
/// A requester keeps an answer for so long: a week, in microseconds.
const ASKED_US_MAX: i64 = 7 * 24 * 3600 * 1_000_000;
/// All answers that are signed and not posted yet, in bytes on disk.
const FINISHED_BYTES_MAX: u64 = 64 << 20;
/// The largest that is kept of one answer: the largest question, and a fingerprint of some hundred thousand tokens.
pub(crate) const KEPT_BYTES_MAX: usize = 2 * limits::QUESTION_BYTES_MAX;

const ANSWERED: Shelf = Shelf::new(
    ["answers_kept", "answers_kept_order", "answers_kept_bytes"],
    ANSWERED_BYTES_MAX,
    limits::AUDIT_WINDOW_US,
);
const ASKED: Shelf = Shelf::new(["asked_kept", "asked_kept_order", "asked_kept_bytes"], ASKED_BYTES_MAX, ASKED_US_MAX);
const FINISHED: Shelf = Shelf::new(
    ["finished_kept", "finished_kept_order", "finished_kept_bytes"],
    FINISHED_BYTES_MAX,
    limits::REQUEST_TTL_US_MAX,
);

/// The answer to a posted question, signed and perhaps not posted yet.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) pending: Pending,
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
    pub(crate) more: Option<Box<ChunkMore>>,
}

/// What a provider keeps of one answer, encoded: so that its size is known before the receipt is signed.
pub(crate) struct EncodedAnswer(Vec<u8>);

impl EncodedAnswer {
    /// None if it is larger than what is kept.
    pub(crate) fn of(kept: &AnswerKept) -> Option<Self> {
        Some(encode(kept)).filter(|bytes| bytes.len() <= KEPT_BYTES_MAX).map(Self)
    }
}

impl Store {
    /// Keeps a receipt before it is handed out and, in the same step, what opens its fingerprint; `leaf` is the receipt's. With it, where
    /// the question was posted, the answer to this request. False, and nothing is kept, if another receipt waits under its id: whoever asks
    /// chooses ids, and that one would be lost.
    pub(crate) fn put_pending(
        &self,
        pending: &Pending,
        answer: Option<(Bytes32, EncodedAnswer)>,
        posted: Option<(&ActionHash, &Finished)>,
        now_us: i64,
    ) -> Result<bool, NodeError> {
        let sealed = answer.and_then(|(leaf, EncodedAnswer(bytes))| Some((leaf, self.seal(b"answer", &leaf, bytes)?)));
        let finished = posted.and_then(|(request, finished)| {
            let key = key_of_action(request);
            Some((key, self.seal(b"finished", &Bytes32(key), encode(finished))?))
        });
        self.with(|db| {
            let (write, row) = (db.begin_write()?, encode(pending));
            let before =
                write.open_table(super::PENDING)?.insert(&pending.id.0, row.as_slice())?.map(|old| old.value() != row);
            if before == Some(true) {
                return Ok(false);
            }
            if let Some((leaf, sealed)) = &sealed {
                ANSWERED.put(&write, &leaf.0, sealed, now_us)?;
            }
            if let Some((key, sealed)) = &finished {
                FINISHED.put(&write, key, sealed, now_us)?;
            }
            write.commit()?;
            Ok(true)
        })
    }

    /// What opens the fingerprint of a receipt with this leaf, if it is (still) here.
    pub(crate) fn answer(&self, leaf: &Bytes32) -> Result<Option<AnswerKept>, NodeError> {
        let sealed = self.with(|db| get(db, &ANSWERED, &leaf.0))?;
        Ok(sealed.and_then(|sealed| decode(&self.sealer().open_row(&about(b"answer", &leaf.0), &sealed)?)))
    }

    /// The answer to a posted request that is signed already, if it is (still) here.
    pub(crate) fn finished(&self, request: &ActionHash) -> Result<Option<Finished>, NodeError> {
        let key = key_of_action(request);
        let sealed = self.with(|db| get(db, &FINISHED, &key))?;
        Ok(sealed.and_then(|sealed| decode(&self.sealer().open_row(&about(b"finished", &key), &sealed)?)))
    }

    /// Keeps what this node has asked and was answered, or that in place of what it kept of the same question.
    pub(crate) fn put_asked(&self, asked: &Asked, now_us: i64) -> Result<(), NodeError> {
        let (key, bytes) = (key_of(asked.id), encode(asked));
        if bytes.len() > KEPT_BYTES_MAX {
            return Ok(());
        }
        let Some(sealed) = self.seal(b"asked", &Bytes32(key), bytes) else { return Ok(()) };
        self.with(|db| {
            let write = db.begin_write()?;
            ASKED.put(&write, &key, &sealed, now_us)?;
            write.commit()?;
            Ok(())
        })
    }

    /// What this node has asked and was answered, if it is (still) here.
    pub(crate) fn asked(&self, id: RequestId) -> Result<Option<Asked>, NodeError> {
        let key = key_of(id);
        let sealed = self.with(|db| get(db, &ASKED, &key))?;
        Ok(sealed.and_then(|sealed| decode(&self.sealer().open_row(&about(b"asked", &key), &sealed)?)))
    }

    /// Lets go of what has been kept long enough.
    pub(crate) fn forget_old(&self, now_us: i64) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            ANSWERED.make_room(&write, now_us)?;
            ASKED.make_room(&write, now_us)?;
            FINISHED.make_room(&write, now_us)?;
            write.commit()?;
            Ok(())
        })
    }

    fn seal(&self, what: &[u8], key: &Bytes32, plain: Vec<u8>) -> Option<Vec<u8>> {
        self.sealer().seal(&about(what, &key.0), plain)
    }

    fn sealer(&self) -> &Sealer {
        &self.sealer
    }
}

/// The tables.
pub(super) fn create(write: &WriteTransaction) -> Result<(), redb::Error> {
    ANSWERED.create(write)?;
    ASKED.create(write)?;
    FINISHED.create(write)
}

/// Lets go of the answer to a posted request.
pub(super) fn forget_finished(write: &WriteTransaction, request: &ActionHash) -> Result<(), redb::Error> {
    FINISHED.empty(write, &key_of_action(request))
}

fn get(db: &Database, shelf: &Shelf, key: &[u8; KEY_BYTES]) -> Result<Option<Vec<u8>>, redb::Error> {
    let read = db.begin_read()?;
    let row = read.open_table(shelf.rows)?.get(key)?;
    Ok(row.map(|bytes| bytes.value().to_vec()))
}

/// A row is sealed together with its name: it cannot stand for another.
fn about(what: &[u8], key: &[u8; KEY_BYTES]) -> Vec<u8> {
    [what, key.as_slice()].concat()
}

fn key_of(id: RequestId) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..id.0.len()].copy_from_slice(&id.0);
    key
}

fn key_of_action(action: &ActionHash) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key.iter_mut().zip(action.get_raw_32()).for_each(|(to, from)| *to = *from);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::pending;
    use ainonymous_types::{ChatInput, ChatMessage, ChatRole, OpenedLeaf};

    const PROMPT: &str = "the words of the question";

    fn kept() -> AnswerKept {
        AnswerKept {
            input: ChatInput { messages: vec![ChatMessage::new(ChatRole::User, PROMPT)], ..ChatInput::default() },
            salt: Bytes32([1; 32]),
            leaves: vec![OpenedLeaf { salt: Bytes32([2; 32]), tokens: vec![1, 2, 3], body: vec![7; 60] }],
        }
    }

    fn put(store: &Store, n: u8, now_us: i64) {
        let answer = EncodedAnswer::of(&kept()).unwrap();
        store.put_pending(&pending(n), Some((Bytes32([n; 32]), answer)), None, now_us).unwrap();
    }

    #[test]
    fn what_opens_a_receipt_survives_unread_and_leaves_when_its_window_closes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.redb");
        {
            let store = Store::open(&path).unwrap();
            put(&store, 1, 0);
            put(&store, 2, 1);
        }
        let disk = std::fs::read(&path).unwrap();
        let words = PROMPT.as_bytes();
        assert!(!disk.windows(words.len()).any(|some| some == words), "the question stands in the file");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.answer(&Bytes32([1; 32])).unwrap(), Some(kept()));
        assert_eq!(store.answer(&Bytes32([9; 32])).unwrap(), None);
        assert_eq!(store.pending().unwrap().len(), 2);
        store.forget_old(limits::AUDIT_WINDOW_US).unwrap();
        assert_eq!(store.answer(&Bytes32([1; 32])).unwrap(), None);
        assert_eq!(store.answer(&Bytes32([2; 32])).unwrap(), Some(kept()));
        drop(store);
        // Without the key it is noise.
        std::fs::remove_file(dir.path().join("evidence.key")).unwrap();
        assert_eq!(Store::open(&path).unwrap().answer(&Bytes32([2; 32])).unwrap(), None);
    }

    #[test]
    fn a_posted_question_is_answered_after_a_restart_with_what_was_signed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.redb");
        let (one, other) = (ActionHash::from_raw_36(vec![1; 36]), ActionHash::from_raw_36(vec![2; 36]));
        let finished = Finished { pending: pending(1), text: PROMPT.into(), tokens: vec![1, 2], more: None };
        Store::open(&path).unwrap().put_pending(&pending(1), None, Some((&one, &finished)), 0).unwrap();
        let disk = std::fs::read(&path).unwrap();
        assert!(!disk.windows(PROMPT.len()).any(|some| some == PROMPT.as_bytes()), "the answer stands in the file");
        let store = Store::open(&path).unwrap();
        let kept = store.finished(&one).unwrap().unwrap();
        assert_eq!(
            (kept.text, kept.tokens, kept.pending.receipt),
            (PROMPT.to_string(), vec![1, 2], pending(1).receipt)
        );
        assert!(store.finished(&other).unwrap().is_none());
        store.put_settled(&other).unwrap();
        assert!(store.finished(&one).unwrap().is_some());
        store.put_settled(&one).unwrap();
        assert!(store.finished(&one).unwrap().is_none());
        assert!(store.is_settled(&one).unwrap());
    }

    #[test]
    fn a_receipt_that_waits_does_not_give_way_to_another_under_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("node.redb")).unwrap();
        let (first, other) = (pending(1), Pending { id: pending(1).id, ..pending(2) });
        assert!(store.put_pending(&first, None, None, 0).unwrap());
        assert!(!store.put_pending(&other, None, None, 0).unwrap());
        assert!(store.put_pending(&first, None, None, 0).unwrap(), "the same again is the same");
        let all = store.pending().unwrap();
        assert!(all.len() == 1 && all[0].receipt == first.receipt);
    }

    #[test]
    fn an_answer_that_is_too_large_is_not_kept() {
        let leaf = OpenedLeaf { salt: Bytes32([2; 32]), tokens: vec![], body: vec![7; KEPT_BYTES_MAX] };
        assert!(EncodedAnswer::of(&AnswerKept { leaves: vec![leaf], ..kept() }).is_none());
    }
}
