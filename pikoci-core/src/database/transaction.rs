//! Reads and writes that are done together or not at all.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use super::error::DatabaseError;
use super::handle::Database;
use crate::store::limits::{MAX_GET_KEYS, MAX_SCAN_ENTRIES, MAX_TXN_OPERATIONS};
use crate::store::{Check, Entry, Key, KeyRange, Order, Revision, Txn, Write};

/// A transaction that is being put together.
///
/// It sees its own writes. Every key that it read by name is checked when it
/// is committed, so what it decided by them still holds then; the entries of
/// a range are not, since no store can check a range. Reads made at different
/// moments may not fit together; the transaction is then not committed.
#[derive(Debug)]
pub struct Transaction {
    database: Database,
    reads: BTreeMap<Key, Option<Entry>>,
    writes: BTreeMap<Key, Option<Bytes>>,
    /// Entries of ranges; unlike `reads` not checked.
    scanned: BTreeMap<Key, Entry>,
    /// The scans and what they found, to see whether it is so still.
    scans: Vec<Scan>,
    /// At how many instants the reads by name were made, at most.
    instants: usize,
}

/// A range that was read, and what was there.
#[derive(Debug)]
struct Scan {
    range: KeyRange,
    order: Order,
    limit: usize,
    found: Vec<(Key, Revision)>,
}

impl Scan {
    fn found(entries: &[(Key, Entry)]) -> Vec<(Key, Revision)> {
        entries.iter().map(|(key, entry)| (key.clone(), entry.revision)).collect()
    }

    async fn is_so_still(&self, database: &Database) -> Result<bool, DatabaseError> {
        let now = database.scan_raw(&self.range, self.order, self.limit).await?;
        Ok(Self::found(&now) == self.found)
    }
}

impl Transaction {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            reads: BTreeMap::new(),
            writes: BTreeMap::new(),
            scanned: BTreeMap::new(),
            scans: Vec::new(),
            instants: 0,
        }
    }

    /// The database it reads from.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The value of `key`; that it is so is checked at the commit.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get_raw(&mut self, key: &Key) -> Result<Option<Bytes>, DatabaseError> {
        self.prefetch(std::slice::from_ref(key)).await?;
        Ok(self.seen(key))
    }

    /// Reads `keys` in as few round trips as possible; [`Self::get_raw`] finds
    /// them without a further one. What was in a range that was read is not
    /// read again. That they are so is checked at the commit.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn prefetch(&mut self, keys: &[Key]) -> Result<(), DatabaseError> {
        let mut unknown = Vec::new();
        for key in keys {
            if self.reads.contains_key(key) {
                continue;
            }
            match self.scanned.remove(key) {
                Some(entry) => {
                    self.instants += 1;
                    self.reads.insert(key.clone(), Some(entry));
                }
                None => unknown.push(key.clone()),
            }
        }
        self.instants += unknown.len().div_ceil(MAX_GET_KEYS);
        let entries = self.database.get_raw(&unknown).await?;
        self.reads.extend(unknown.into_iter().zip(entries));
        Ok(())
    }

    /// The revision of `key` as it was read by name, whatever was written
    /// since; `None` where nothing is.
    pub(super) fn revision(&self, key: &Key) -> Option<Revision> {
        Some(self.reads.get(key)?.as_ref()?.revision)
    }

    /// Whether it knows this key without a further round trip.
    pub(super) fn has_read(&self, key: &Key) -> bool {
        self.reads.contains_key(key) || self.scanned.contains_key(key)
    }

    /// What this transaction knows of a key that it has read.
    fn seen(&self, key: &Key) -> Option<Bytes> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.reads.get(key)?.as_ref().map(|entry| entry.value.clone()),
        }
    }

    /// The first `limit` keys of `range` with their values, this
    /// transaction's own writes included; at most [`MAX_SCAN_ENTRIES`] less
    /// [`MAX_TXN_OPERATIONS`]. Not checked at the commit: others may add and
    /// remove entries meanwhile. What must not change is read by its key too.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn scan_raw(
        &mut self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, DatabaseError> {
        let limit = limit.min(MAX_SCAN_ENTRIES - MAX_TXN_OPERATIONS);
        let own = || self.writes.iter().filter(|(key, _)| range.contains(key));
        // As many more as may turn out to be overwritten.
        let more = limit + own().count();
        let found = self.database.scan_raw(range, order, more).await?;
        let mut merged: BTreeMap<Key, Bytes> =
            found.iter().map(|(key, entry)| (key.clone(), entry.value.clone())).collect();
        for (key, value) in own() {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        let (range, revisions) = (range.clone(), Scan::found(&found));
        self.scans.push(Scan { range, order, limit: more, found: revisions });
        self.scanned.extend(found);
        Ok(match order {
            Order::Ascending => merged.into_iter().take(limit).collect(),
            Order::Descending => merged.into_iter().rev().take(limit).collect(),
        })
    }

    /// Sets the value of `key`.
    pub fn put_raw(&mut self, key: Key, value: impl Into<Bytes>) {
        self.writes.insert(key, Some(value.into()));
    }

    /// Removes `key`, if it is there.
    pub fn delete_raw(&mut self, key: Key) {
        self.writes.insert(key, None);
    }

    /// The number of checks and writes so far, of
    /// [`MAX_TXN_OPERATIONS`].
    pub fn operations(&self) -> usize {
        self.reads.len() + self.writes.len()
    }

    /// Whether all that it read, by name and in ranges, was so at one instant,
    /// or else is so still.
    pub(super) async fn is_consistent(&self) -> Result<bool, DatabaseError> {
        if self.instants + self.scans.len() <= 1 {
            return Ok(true);
        }
        for scan in &self.scans {
            if !scan.is_so_still(&self.database).await? {
                return Ok(false);
            }
        }
        let keys: Vec<Key> = self.reads.keys().cloned().collect();
        let now = self.database.get_raw(&keys).await?;
        Ok(now.iter().eq(self.reads.values()))
    }

    /// Whether there is nothing to write, and nothing that a commit would have to check.
    pub(super) fn is_done(&self) -> bool {
        self.writes.is_empty() && self.instants <= 1
    }

    pub(super) fn into_txn(self, id: Uuid) -> Txn {
        let revision = |entry: Option<Entry>| -> Option<Revision> { Some(entry?.revision) };
        let checks = self
            .reads
            .into_iter()
            .map(|(key, entry)| Check { key, revision: revision(entry) })
            .collect();
        let writes = self
            .writes
            .into_iter()
            .map(|(key, value)| match value {
                Some(value) => Write::Put(key, value),
                None => Write::Delete(key),
            })
            .collect();
        Txn { id, checks, writes }
    }
}
