//! Sealed rows with a budget: so many bytes in all, and none older than its time. The oldest give way.
//!
//! It must not know what is sealed.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

/// When a row came, and which: microseconds since the epoch, then its key.
const ORDER_BYTES: usize = 8 + KEY_BYTES;
/// Length of a key.
pub(super) const KEY_BYTES: usize = 32;

/// A shelf of sealed rows.
pub(super) struct Shelf {
    pub(super) rows: TableDefinition<'static, &'static [u8; KEY_BYTES], &'static [u8]>,
    order: TableDefinition<'static, u64, &'static [u8; ORDER_BYTES]>,
    /// One row: bytes of all rows.
    bytes: TableDefinition<'static, (), u64>,
    /// All rows together have at most so many bytes.
    bytes_max: u64,
    /// A row leaves when it is older, in microseconds.
    age_us_max: i64,
}

impl Shelf {
    pub(super) const fn new([rows, order, bytes]: [&'static str; 3], bytes_max: u64, age_us_max: i64) -> Self {
        Self {
            rows: TableDefinition::new(rows),
            order: TableDefinition::new(order),
            bytes: TableDefinition::new(bytes),
            bytes_max,
            age_us_max,
        }
    }

    pub(super) fn create(&self, write: &WriteTransaction) -> Result<(), redb::Error> {
        write.open_table(self.rows)?;
        write.open_table(self.order)?;
        write.open_table(self.bytes)?;
        Ok(())
    }

    /// Puts a row on the shelf, or another in its place, which does not make it younger.
    pub(super) fn put(
        &self,
        write: &WriteTransaction,
        key: &[u8; KEY_BYTES],
        sealed: &[u8],
        now_us: i64,
    ) -> Result<(), redb::Error> {
        let mut rows = write.open_table(self.rows)?;
        let before = rows.insert(key, sealed)?.map(|old| old.value().len() as u64);
        if before.is_none() {
            let mut order = write.open_table(self.order)?;
            let next = order.last()?.map_or(0, |(number, _)| number.value() + 1);
            let mut entry = [0; ORDER_BYTES];
            entry[..8].copy_from_slice(&now_us.to_le_bytes());
            entry[8..].copy_from_slice(key);
            order.insert(next, &entry)?;
        }
        drop(rows);
        let bytes = self.total(write)?.saturating_sub(before.unwrap_or(0)).saturating_add(sealed.len() as u64);
        write.open_table(self.bytes)?.insert((), bytes)?;
        self.make_room(write, now_us)
    }

    /// Leaves of a row, if it is there, only its place in the order.
    pub(super) fn empty(&self, write: &WriteTransaction, key: &[u8; KEY_BYTES]) -> Result<(), redb::Error> {
        let mut rows = write.open_table(self.rows)?;
        let Some(before) = rows.get(key)?.map(|row| row.value().len() as u64) else { return Ok(()) };
        let nothing: &[u8] = &[];
        rows.insert(key, nothing)?;
        drop(rows);
        let left = self.total(write)?.saturating_sub(before);
        write.open_table(self.bytes)?.insert((), left)?;
        Ok(())
    }

    /// Lets go of what is over the budget or too old.
    pub(super) fn make_room(&self, write: &WriteTransaction, now_us: i64) -> Result<(), redb::Error> {
        let mut total = self.total(write)?;
        let (mut rows, mut order) = (write.open_table(self.rows)?, write.open_table(self.order)?);
        loop {
            let Some((number, came_us, key)) = order.first()?.map(|(number, entry)| {
                let (came, key) = split(entry.value());
                (number.value(), came, key)
            }) else {
                break;
            };
            if total <= self.bytes_max && now_us.saturating_sub(came_us) < self.age_us_max {
                break;
            }
            order.remove(number)?;
            let gone = rows.remove(&key)?.map_or(0, |old| old.value().len() as u64);
            total = total.saturating_sub(gone);
        }
        write.open_table(self.bytes)?.insert((), total)?;
        Ok(())
    }

    fn total(&self, write: &WriteTransaction) -> Result<u64, redb::Error> {
        Ok(write.open_table(self.bytes)?.get(())?.map_or(0, |bytes| bytes.value()))
    }
}

fn split(entry: &[u8; ORDER_BYTES]) -> (i64, [u8; KEY_BYTES]) {
    let (mut came, mut key) = ([0; 8], [0; KEY_BYTES]);
    came.copy_from_slice(&entry[..8]);
    key.copy_from_slice(&entry[8..]);
    (i64::from_le_bytes(came), key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{Database, ReadableDatabase, ReadableTableMetadata};

    const SHELF: Shelf = Shelf::new(["r", "o", "b"], 100, 50);

    fn database(dir: &tempfile::TempDir) -> Database {
        let db = Database::create(dir.path().join("shelf.redb")).unwrap();
        change(&db, |write| SHELF.create(write).unwrap());
        db
    }

    fn change(db: &Database, work: impl FnOnce(&WriteTransaction)) {
        let write = db.begin_write().unwrap();
        work(&write);
        write.commit().unwrap();
    }

    fn put(db: &Database, n: u8, bytes: usize, now_us: i64) {
        change(db, |write| SHELF.put(write, &[n; KEY_BYTES], &vec![n; bytes], now_us).unwrap());
    }

    fn there(db: &Database) -> Vec<u8> {
        let read = db.begin_read().unwrap();
        let rows = read.open_table(SHELF.rows).unwrap();
        assert_eq!(rows.len().unwrap(), read.open_table(SHELF.order).unwrap().len().unwrap(), "no order without a row");
        let total: u64 = rows.iter().unwrap().map(|row| row.unwrap().1.value().len() as u64).sum();
        let stated = read.open_table(SHELF.bytes).unwrap().get(()).unwrap().map_or(0, |bytes| bytes.value());
        assert_eq!(total, stated);
        rows.iter().unwrap().map(|row| row.unwrap().0.value()[0]).collect()
    }

    #[test]
    fn the_oldest_give_way_to_what_does_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(&dir);
        // Keys fall while time goes on: neither the smallest nor the largest key is the oldest row.
        put(&db, 9, 40, 0);
        put(&db, 5, 40, 1);
        put(&db, 3, 20, 2);
        assert_eq!(there(&db), [3, 5, 9], "at the bound");
        put(&db, 1, 1, 3);
        assert_eq!(there(&db), [1, 3, 5], "one past it");
        put(&db, 5, 79, 4);
        assert_eq!(there(&db), [1, 3, 5], "another row in its place");
        put(&db, 5, 80, 5);
        assert_eq!(there(&db), [1, 3], "which does not make it younger");
        change(&db, |write| SHELF.empty(write, &[3; KEY_BYTES]).unwrap());
        change(&db, |write| SHELF.empty(write, &[8; KEY_BYTES]).unwrap());
        assert_eq!(there(&db), [1, 3], "an empty row has its place");
        put(&db, 9, 99, 5);
        assert_eq!(there(&db), [1, 3, 9], "and takes nothing");
        put(&db, 7, 101, 6);
        assert_eq!(there(&db), Vec::<u8>::new(), "what is larger than all may be finds no place");
    }

    #[test]
    fn what_is_too_old_leaves_with_or_without_something_new() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(&dir);
        put(&db, 1, 5, 0);
        put(&db, 2, 5, 10);
        put(&db, 3, 5, 49);
        assert_eq!(there(&db), [1, 2, 3]);
        put(&db, 4, 5, 50);
        assert_eq!(there(&db), [2, 3, 4]);
        change(&db, |write| SHELF.make_room(write, 98).unwrap());
        assert_eq!(there(&db), [3, 4]);
        change(&db, |write| SHELF.make_room(write, 1_000).unwrap());
        assert_eq!(there(&db), Vec::<u8>::new());
    }
}
