//! What must survive a crash: receipts that were handed out but stand in no batch yet, where published ones stand, and
//! posted questions that wait for an answer. One file, one process at a time.

use crate::NodeError;
use ainonymous_protocol::PendingReceipt;
use ainonymous_types::{ActionHash, AgentPubKey, BatchProof, Bytes32, RequestId, SignedReceipt, SpecRef};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{de::DeserializeOwned, Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Receipts that stand in no batch yet, by question.
const PENDING: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("pending_receipts");
/// Where published receipts stand, by question.
const PUBLISHED: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("published_receipts");
/// Own posted questions, by the action of their request.
const POSTED: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("posted_questions");
/// Posted requests of others that were refused, by action: not to be tried again.
const REFUSED: TableDefinition<'_, &[u8], ()> = TableDefinition::new("refused_requests");
/// Most rows in the tables that only help: the oldest keys give way.
const HELPFUL_ROWS_MAX: u64 = 8_192;

/// A receipt that waits for its batch, with what the batch needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) id: RequestId,
    pub(crate) requester: AgentPubKey,
    pub(crate) receipt: SignedReceipt,
    pub(crate) spec: SpecRef,
    pub(crate) capability: ActionHash,
}

impl Pending {
    pub(crate) fn to_plan(&self) -> PendingReceipt {
        PendingReceipt { id: self.id, requester: self.requester.clone(), receipt: self.receipt.clone() }
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
    pub(crate) max_tokens: u32,
}

/// The node's database.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    path: PathBuf,
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
        let store = Self { database, path };
        store.create_tables()?;
        Ok(store)
    }

    /// Keeps a receipt before it is handed out.
    pub(crate) fn put_pending(&self, pending: &Pending) -> Result<(), NodeError> {
        self.put(PENDING, &pending.id.0, pending)
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

    /// Moves receipts from waiting to published.
    pub(crate) fn publish(&self, proofs: &[(RequestId, BatchProof)]) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            {
                let mut pending = write.open_table(PENDING)?;
                let mut published = write.open_table(PUBLISHED)?;
                for (id, proof) in proofs {
                    pending.remove(&id.0)?;
                    published.insert(&id.0, encode(proof).as_slice())?;
                }
                while published.len()? > HELPFUL_ROWS_MAX {
                    published.pop_first()?;
                }
            }
            write.commit()?;
            Ok(())
        })
    }

    /// Where a receipt stands.
    pub(crate) fn published(&self, id: RequestId) -> Result<Option<BatchProof>, NodeError> {
        self.with(|db| {
            let read = db.begin_read()?;
            let table = read.open_table(PUBLISHED)?;
            let row = table.get(&id.0)?;
            Ok(row.and_then(|bytes| decode(bytes.value())))
        })
    }

    /// Keeps what the answer to a posted question will be checked against.
    pub(crate) fn put_posted(&self, request: &ActionHash, record: &PostedRecord) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            {
                let mut table = write.open_table(POSTED)?;
                table.insert(request.get_raw_39(), encode(record).as_slice())?;
                while table.len()? > HELPFUL_ROWS_MAX {
                    table.pop_first()?;
                }
            }
            write.commit()?;
            Ok(())
        })
    }

    /// What the answer to a posted question is checked against.
    pub(crate) fn posted(&self, request: &ActionHash) -> Result<Option<PostedRecord>, NodeError> {
        self.with(|db| {
            let read = db.begin_read()?;
            let table = read.open_table(POSTED)?;
            let row = table.get(request.get_raw_39())?;
            Ok(row.and_then(|bytes| decode(bytes.value())))
        })
    }

    /// Remembers that a posted request of somebody else cannot be answered.
    pub(crate) fn put_refused(&self, request: &ActionHash) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            {
                let mut table = write.open_table(REFUSED)?;
                table.insert(request.get_raw_39(), ())?;
                while table.len()? > HELPFUL_ROWS_MAX {
                    table.pop_first()?;
                }
            }
            write.commit()?;
            Ok(())
        })
    }

    /// Whether a posted request was refused before.
    pub(crate) fn is_refused(&self, request: &ActionHash) -> Result<bool, NodeError> {
        self.with(|db| {
            let read = db.begin_read()?;
            Ok(read.open_table(REFUSED)?.get(request.get_raw_39())?.is_some())
        })
    }

    fn put<T: Serialize>(
        &self,
        table: TableDefinition<'static, &'static [u8; 16], &'static [u8]>,
        key: &[u8; 16],
        value: &T,
    ) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            write.open_table(table)?.insert(key, encode(value).as_slice())?;
            write.commit()?;
            Ok(())
        })
    }

    fn create_tables(&self) -> Result<(), NodeError> {
        self.with(|db| {
            let write = db.begin_write()?;
            write.open_table(PENDING)?;
            write.open_table(PUBLISHED)?;
            write.open_table(POSTED)?;
            write.open_table(REFUSED)?;
            write.commit()?;
            Ok(())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, NodeError> {
        work(&self.database).map_err(|e| match e {
            redb::Error::Io(source) => NodeError::Storage { path: self.path.clone(), source },
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
mod tests {
    use super::*;
    use ainonymous_types::{Bytes64, EntryHash, FinishReason, Receipt};

    fn pending(n: u8) -> Pending {
        let hash = |t: u8| vec![t.wrapping_add(n); 36];
        Pending {
            id: RequestId([n; 16]),
            requester: AgentPubKey::from_raw_36(hash(1)),
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
            store.put_pending(&pending(1)).unwrap();
            store.put_pending(&pending(2)).unwrap();
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
