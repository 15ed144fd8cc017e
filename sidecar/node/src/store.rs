//! What must survive a crash: which questions were signed for, receipts that were handed out but stand in no batch yet, where published
//! ones stand, and posted questions that wait for an answer. One file, one process at a time.

mod claims;
mod kept;
mod sealing;
mod shelf;

pub(crate) use claims::Claim;
pub(crate) use kept::{EncodedAnswer, Finished};

use crate::requester::Requester;
use crate::serving::now_us;
use crate::NodeError;
use ainonymous_protocol::history::HistoryRow;
use ainonymous_protocol::reputation::ReputationRow;
use ainonymous_protocol::PendingReceipt;
use ainonymous_types::{ActionHash, AgentPubKey, AuditTerms, BatchProof, Bytes32, RequestId, SignedReceipt, SpecRef};
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle, WriteTransaction,
};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Receipts that stand in no batch yet, by question.
const PENDING: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("pending_receipts");
/// Where published receipts stand, by question.
const PUBLISHED: Helpful = Helpful::new("published_receipts", "published_receipts_order");
/// Own posted questions, by the action of their request.
const POSTED: Helpful = Helpful::new("posted_questions", "posted_questions_order");
/// Posted requests of others that are answered or never will be, by action.
const SETTLED: Helpful = Helpful::new("settled_requests", "settled_requests_order");
/// What this node is on the data plane; one row.
const TRANSPORT: TableDefinition<'_, (), &[u8]> = TableDefinition::new("transport");
/// Proves the router that this node runs; one row.
const ROUTER: TableDefinition<'_, (), &[u8; 32]> = TableDefinition::new("router");
/// What was seen of peers; one row.
const HISTORY: TableDefinition<'_, (), &[u8]> = TableDefinition::new("history");
/// What audits have found; one row.
const REPUTATIONS: TableDefinition<'_, (), &[u8]> = TableDefinition::new("reputations");
/// The key that seals what is kept of questions and answers; it lies beside the database.
const KEY_FILE: &str = "evidence.key";
/// Most rows in a table that only helps: the oldest give way.
const HELPFUL_ROWS_MAX: u64 = 8_192;

/// A table that may forget: it keeps its newest rows, so it needs to know the order in which they came.
struct Helpful {
    rows: TableDefinition<'static, &'static [u8], &'static [u8]>,
    order: TableDefinition<'static, u64, &'static [u8]>,
}

impl Helpful {
    const fn new(rows: &'static str, order: &'static str) -> Self {
        Self { rows: TableDefinition::new(rows), order: TableDefinition::new(order) }
    }

    fn create(&self, write: &WriteTransaction) -> Result<(), redb::Error> {
        write.open_table(self.rows)?;
        write.open_table(self.order)?;
        Ok(())
    }

    fn insert(&self, write: &WriteTransaction, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
        let mut rows = write.open_table(self.rows)?;
        if rows.insert(key, value)?.is_some() {
            return Ok(());
        }
        let mut order = write.open_table(self.order)?;
        let next = order.last()?.map_or(0, |(number, _)| number.value() + 1);
        order.insert(next, key)?;
        while order.len()? > HELPFUL_ROWS_MAX {
            let Some((_, oldest)) = order.pop_first()? else { break };
            rows.remove(oldest.value())?;
        }
        Ok(())
    }

    fn get(&self, db: &Database, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        let read = db.begin_read()?;
        let table = read.open_table(self.rows)?;
        let row = table.get(key)?;
        Ok(row.map(|bytes| bytes.value().to_vec()))
    }
}

/// A receipt that waits for its batch, with what the batch needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) id: RequestId,
    pub(crate) requester: Requester,
    pub(crate) receipt: SignedReceipt,
    pub(crate) spec: SpecRef,
    pub(crate) capability: ActionHash,
}

impl Pending {
    pub(crate) fn to_plan(&self) -> PendingReceipt {
        PendingReceipt { id: self.id, receipt: self.receipt.clone() }
    }
}

/// A question of ours that was posted: what its answer will be checked against.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PostedRecord {
    pub(crate) id: RequestId,
    pub(crate) provider: AgentPubKey,
    pub(crate) spec: SpecRef,
    pub(crate) session_key: Bytes32,
    pub(crate) salt: Bytes32,
    pub(crate) commitment: Bytes32,
    #[serde(default)]
    pub(crate) audit: AuditTerms,
    pub(crate) max_tokens: u32,
}

/// What this node is on the data plane.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TransportRecord {
    /// Proves it.
    pub(crate) secret: [u8; 32],
    /// Where it listened last.
    pub(crate) port: u16,
}

/// The node's database.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    path: PathBuf,
    sealer: sealing::Sealer,
}

impl Store {
    /// Opens or creates the file; fails if another process has it.
    pub(crate) fn open(path: &Path) -> Result<Self, NodeError> {
        let path = path.to_path_buf();
        let database = Database::create(&path).map_err(|e| match e {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                NodeError::DataDirInUse { path: path.parent().unwrap_or(&path).to_path_buf() }
            }
            redb::DatabaseError::Storage(redb::StorageError::Io(source)) => {
                NodeError::Storage { path: path.clone(), source }
            }
            other => NodeError::Database { path: path.clone(), problem: other.to_string() },
        })?;
        let sealer = sealing::Sealer::open(&path.with_file_name(KEY_FILE))?;
        let store = Self { database, path, sealer };
        store.create_tables()?;
        Ok(store)
    }

    /// All receipts without a batch.
    pub(crate) fn pending(&self) -> Result<Vec<Pending>, NodeError> {
        self.with(|db| {
            let read = db.begin_read()?;
            let table = read.open_table(PENDING)?;
            let mut rows = Vec::new();
            for row in table.iter()? {
                rows.extend(decode(row?.1.value()));
            }
            Ok(rows)
        })
    }

    /// Whether a receipt waits for its batch.
    pub(crate) fn is_pending(&self, id: RequestId) -> Result<bool, NodeError> {
        self.with(|db| Ok(db.begin_read()?.open_table(PENDING)?.get(&id.0)?.is_some()))
    }

    /// Moves receipts from waiting to published.
    pub(crate) fn publish(&self, proofs: &[(RequestId, BatchProof)]) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            for (id, proof) in proofs {
                write.open_table(PENDING)?.remove(&id.0)?;
                PUBLISHED.insert(&write, &id.0, &encode(proof))?;
            }
            write.commit()?;
            Ok(())
        })
    }

    /// Where a receipt stands.
    pub(crate) fn published(&self, id: RequestId) -> Result<Option<BatchProof>, NodeError> {
        self.with(|db| Ok(PUBLISHED.get(db, &id.0)?.and_then(|bytes| decode(&bytes))))
    }

    /// Keeps what the answer to a posted question will be checked against.
    pub(crate) fn put_posted(&self, request: &ActionHash, record: &PostedRecord) -> Result<(), NodeError> {
        self.put_helpful(&POSTED, request.get_raw_39(), &encode(record))
    }

    /// What the answer to a posted question is checked against.
    pub(crate) fn posted(&self, request: &ActionHash) -> Result<Option<PostedRecord>, NodeError> {
        self.with(|db| Ok(POSTED.get(db, request.get_raw_39())?.and_then(|bytes| decode(&bytes))))
    }

    /// Remembers that a posted request of somebody else is answered, or never will be. What was kept to be posted goes.
    pub(crate) fn put_settled(&self, request: &ActionHash) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            SETTLED.insert(&write, request.get_raw_39(), &[])?;
            kept::forget_finished(&write, request)?;
            write.commit()?;
            Ok(())
        })
    }

    /// Whether a posted request of somebody else is done with.
    pub(crate) fn is_settled(&self, request: &ActionHash) -> Result<bool, NodeError> {
        self.with(|db| Ok(SETTLED.get(db, request.get_raw_39())?.is_some()))
    }

    /// What this node was on the data plane last time.
    pub(crate) fn transport(&self) -> Result<Option<TransportRecord>, NodeError> {
        self.with(|db| {
            let read = db.begin_read()?;
            let row = read.open_table(TRANSPORT)?.get(())?;
            Ok(row.and_then(|bytes| decode(bytes.value())))
        })
    }

    /// Remembers what this node is on the data plane.
    pub(crate) fn put_transport(&self, record: &TransportRecord) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            write.open_table(TRANSPORT)?.insert((), encode(record).as_slice())?;
            write.commit()?;
            Ok(())
        })
    }

    /// What the router of this node proved last time.
    pub(crate) fn router_secret(&self) -> Result<Option<[u8; 32]>, NodeError> {
        self.with(|db| Ok(db.begin_read()?.open_table(ROUTER)?.get(())?.map(|row| *row.value())))
    }

    /// Remembers what the router of this node proves.
    pub(crate) fn put_router_secret(&self, secret: &[u8; 32]) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            write.open_table(ROUTER)?.insert((), secret)?;
            write.commit()?;
            Ok(())
        })
    }

    /// What was seen of peers.
    pub(crate) fn history(&self) -> Result<Vec<HistoryRow>, NodeError> {
        self.with(|db| {
            let read = db.begin_read()?;
            let row = read.open_table(HISTORY)?.get(())?;
            Ok(row.and_then(|bytes| decode(bytes.value())).unwrap_or_default())
        })
    }

    /// Writes down what was seen of peers.
    pub(crate) fn put_history(&self, rows: &[HistoryRow]) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            write.open_table(HISTORY)?.insert((), encode(&rows).as_slice())?;
            write.commit()?;
            Ok(())
        })
    }

    /// What audits have found.
    pub(crate) fn reputations(&self) -> Result<Vec<ReputationRow>, NodeError> {
        self.with(|db| {
            let read = db.begin_read()?;
            let row = read.open_table(REPUTATIONS)?.get(())?;
            Ok(row.and_then(|bytes| decode(bytes.value())).unwrap_or_default())
        })
    }

    /// Writes down what audits have found.
    pub(crate) fn put_reputations(&self, rows: &[ReputationRow]) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            write.open_table(REPUTATIONS)?.insert((), encode(&rows).as_slice())?;
            write.commit()?;
            Ok(())
        })
    }

    fn put_helpful(&self, table: &Helpful, key: &[u8], value: &[u8]) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            table.insert(&write, key, value)?;
            write.commit()?;
            Ok(())
        })
    }

    fn create_tables(&self) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            let has_signed = write.list_tables()?.any(|table| table.name() == PENDING.name());
            write.open_table(PENDING)?;
            write.open_table(TRANSPORT)?;
            write.open_table(HISTORY)?;
            write.open_table(REPUTATIONS)?;
            write.open_table(ROUTER)?;
            for table in [PUBLISHED, POSTED, SETTLED] {
                table.create(&write)?;
            }
            claims::create(&write, has_signed, now_us())?;
            kept::create(&write)?;
            write.commit()?;
            Ok(())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, NodeError> {
        work(&self.database).map_err(|e| match e {
            redb::Error::Io(source) => NodeError::Storage { path: self.path.clone(), source },
            redb::Error::PreviousIo => NodeError::DatabaseStopped { path: self.path.clone() },
            other => NodeError::Database { path: self.path.clone(), problem: other.to_string() },
        })
    }
}

/// Plain structs of ours always encode: the result is empty only if memory is gone.
fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap_or_default()
}

/// A row of an older version that does not decode any more is as good as none.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    rmp_serde::from_slice(bytes).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ainonymous_types::{Bytes64, EntryHash, FinishReason, Receipt};

    pub(crate) fn pending(n: u8) -> Pending {
        let hash = |t: u8| vec![t.wrapping_add(n); 36];
        Pending {
            id: RequestId([n; 16]),
            requester: Requester::Agent(AgentPubKey::from_raw_36(hash(1))),
            receipt: SignedReceipt {
                receipt: Receipt {
                    provider: AgentPubKey::from_raw_36(hash(2)),
                    spec: EntryHash::from_raw_36(hash(3)),
                    session_key: Bytes32([n; 32]),
                    input: Bytes32([n; 32]),
                    output: Bytes32([n; 32]),
                    fingerprint: Bytes32([0; 32]),
                    prompt_tokens: 3,
                    completion_tokens: 5,
                    finish: FinishReason::Stop,
                    finished_at: 7,
                    audit: AuditTerms::default(),
                },
                signature: Bytes64([n; 64]),
            },
            spec: SpecRef { entry: EntryHash::from_raw_36(hash(3)), action: ActionHash::from_raw_36(hash(4)) },
            capability: ActionHash::from_raw_36(hash(5)),
        }
    }

    #[test]
    fn a_receipt_that_was_handed_out_survives_and_leaves_when_published() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.redb");
        {
            let store = Store::open(&path).unwrap();
            store.put_pending(&pending(1), None, None, 0).unwrap();
            store.put_pending(&pending(2), None, None, 0).unwrap();
        }
        let store = Store::open(&path).unwrap();
        assert_eq!(store.pending().unwrap().len(), 2);
        let proof = BatchProof { batch: ActionHash::from_raw_36(vec![9; 36]), index: 0, path: vec![] };
        store.publish(&[(RequestId([1; 16]), proof.clone())]).unwrap();
        assert_eq!(store.pending().unwrap().len(), 1);
        assert_eq!(store.published(RequestId([1; 16])).unwrap(), Some(proof));
        assert_eq!(store.published(RequestId([2; 16])).unwrap(), None);
    }

    #[test]
    fn a_table_that_may_forget_forgets_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("node.redb")).unwrap();
        // Keys fall while time goes on: neither the smallest nor the largest key is the oldest row.
        let key = |n: u64| ((HELPFUL_ROWS_MAX * 2 - n) * 7_919).to_be_bytes();
        store
            .with(|db| {
                let write = db.begin_write()?;
                for n in 0..HELPFUL_ROWS_MAX + 3 {
                    PUBLISHED.insert(&write, &key(n), b"row")?;
                    PUBLISHED.insert(&write, &key(n), b"row again")?;
                }
                write.commit()?;
                Ok(())
            })
            .unwrap();
        let there = |n: u64| store.with(|db| PUBLISHED.get(db, &key(n))).unwrap().is_some();
        assert!(!there(0) && !there(2) && there(3) && there(HELPFUL_ROWS_MAX + 2));
    }

    #[test]
    fn a_second_process_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.redb");
        let _first = Store::open(&path).unwrap();
        assert_eq!(Store::open(&path).unwrap_err().code(), "data_dir_in_use");
    }

    #[test]
    fn garbage_in_place_of_the_database_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.redb");
        std::fs::write(&path, vec![7u8; 8192]).unwrap();
        let code = Store::open(&path).unwrap_err().code();
        assert!(code == "database" || code == "storage", "{code}");
    }
}
