//! Feeds: many append to them at once, and readers go on where they were.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::counter;
use super::encoding::{Schema, decode, encode_as};
use super::error::DatabaseError;
use super::handle::Database;
use super::key_path::{KeyPart, KeyPath, Part};
use super::layout::{FEED, named};
use super::transaction::Transaction;
use crate::store::limits::{MAX_SCAN_ENTRIES, MAX_TXN_OPERATIONS};
use crate::store::{Key, KeyRange, Order, StoreError};

/// The cells of a feed: what is appended to different ones is not in each
/// other's way, and a reader asks for the counts of all. Never changed.
const CELLS: usize = 8;

/// The entries that are removed in one transaction.
const CLEARED_AT_ONCE: usize = MAX_TXN_OPERATIONS;

/// What an entry of a feed holds.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Payload<T>(T);

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Schema for Payload<T> {
    const KIND: &'static str = "feed entry";
}

/// Where an entry of a feed is; no other one ever is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FeedPlace {
    /// The cell.
    pub cell: u64,
    /// How many were appended to the cell before.
    pub number: u64,
}

/// An entry of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry<T> {
    /// Where it is; can be given to [`Feed::remove`].
    pub place: FeedPlace,
    /// What was appended.
    pub entry: T,
}

/// How far a reader of a feed is; at its beginning by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeedCursor([u64; CELLS]);

/// Entries of type `T` that are appended and read, each once by each reader,
/// but in no order between those appended at about the same time.
///
/// An entry goes to one of 8 cells, taken in turn by all clones of a
/// [`Database`]: up to 8 appends under way at once in a process are never in
/// each other's way, and an append of another process meets one in 8. Who was
/// in another one's way takes the next cell. An entry is small and does not
/// change its form, as the payload of a [`Queue`](super::Queue).
pub struct Feed<T> {
    name: KeyPath,
    payload: PhantomData<fn() -> T>,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), payload: PhantomData }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Feed").field(&self.name).finish()
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Feed<T> {
    /// The feed of this name.
    pub fn new(name: impl KeyPart) -> Self {
        Self { name: KeyPath::new(name), payload: PhantomData }
    }

    fn base(&self) -> KeyPath {
        named(FEED, &self.name)
    }

    fn count_key(&self, cell: u64) -> Result<Key, DatabaseError> {
        Ok(self.base().then(cell).key()?)
    }

    fn count_keys(&self) -> Result<Vec<Key>, DatabaseError> {
        (0..CELLS as u64).map(|cell| self.count_key(cell)).collect()
    }

    fn entry_key(&self, place: FeedPlace) -> Result<Key, DatabaseError> {
        Ok(self.base().then((place.cell, place.number)).key()?)
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn append(
        &self,
        transaction: &mut Transaction,
        entry: &T,
    ) -> Result<(), DatabaseError> {
        let cell = transaction.database().turn() % CELLS as u64;
        let count = counter::add(transaction, &self.count_key(cell)?, &self.name, 1).await?;
        let key = self.entry_key(FeedPlace { cell, number: count - 1 })?;
        let bytes = encode_as::<Payload<T>>(&key, entry)?;
        transaction.put_raw(key, bytes);
        Ok(())
    }

    /// What was appended since `cursor`, about `limit` entries at most but one
    /// at least; none when there is nothing new, which takes one `get`. Moves
    /// the cursor behind them once it has them all: after an error, and when
    /// its future was dropped, the same are read again.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn read(
        &self,
        database: &Database,
        cursor: &mut FeedCursor,
        limit: usize,
    ) -> Result<Vec<FeedEntry<T>>, DatabaseError> {
        let limit = limit.max(1);
        let keys = self.count_keys()?;
        // All as of one instant: an entry below its count is there or removed.
        let counts = database.get_raw(&keys).await?;
        let (mut entries, mut moved) = (Vec::new(), cursor.clone());
        for ((cell, next), (key, count)) in (0..).zip(&mut moved.0).zip(keys.iter().zip(counts)) {
            let count: u64 = counter::count(key, count.map(|entry| entry.value))?;
            while *next < count && entries.len() < limit {
                let range = self.entries_of(cell, *next, count)?;
                let most = (limit - entries.len()).min(MAX_SCAN_ENTRIES);
                let found = database.scan_raw(&range, Order::Ascending, most).await?;
                for (key, entry) in &found {
                    entries.push(self.entry(key, &entry.value)?);
                }
                // Behind the last one, or behind the holes at the end.
                *next = match entries.last() {
                    Some(last) if found.len() == most => last.place.number + 1,
                    _ => count,
                };
            }
        }
        *cursor = moved;
        Ok(entries)
    }

    /// The entries of a cell from number `from` to before `end`.
    fn entries_of(&self, cell: u64, from: u64, end: u64) -> Result<KeyRange, DatabaseError> {
        let key = |number| self.entry_key(FeedPlace { cell, number });
        Ok(KeyRange::new(key(from)?.to_bytes(), Some(key(end)?.to_bytes())))
    }

    /// Where the entry under `key` is; `None` for the count of a cell.
    fn place(&self, key: &Key) -> Option<FeedPlace> {
        let place = key.as_bytes().get(self.base().as_bytes().len()..)?;
        match KeyPath::parts_of(place)?[..] {
            [Part::Number(cell), Part::Number(number)] => Some(FeedPlace { cell, number }),
            _ => None,
        }
    }

    fn entry(&self, key: &Key, bytes: &Bytes) -> Result<FeedEntry<T>, DatabaseError> {
        let Payload(entry) = decode(key, bytes)?;
        let place = self.place(key);
        let place = place.ok_or_else(|| StoreError::damaged(format!("`{key}` is no entry")))?;
        Ok(FeedEntry { place, entry })
    }

    /// Removes an entry, if it is there; readers that come later do not meet it.
    ///
    /// # Errors
    /// When the name of the feed is too long.
    pub fn remove(
        &self,
        transaction: &mut Transaction,
        at: FeedPlace,
    ) -> Result<(), DatabaseError> {
        transaction.delete_raw(self.entry_key(at)?);
        Ok(())
    }

    /// Removes everything, in as many transactions as that takes: for a feed
    /// that nobody needs any more. May be called again where it was cut short.
    /// What is appended meanwhile goes too, or stays as a whole. Cursors of
    /// before are good for nothing afterwards.
    ///
    /// # Errors
    /// When the store fails; what was removed before is.
    pub async fn clear(&self, database: &Database) -> Result<(), DatabaseError> {
        loop {
            // The counts go last: without them numbers would be given again.
            let removed = database
                .transact_with(self, |transaction, feed| Box::pin(feed.clear_some(transaction)))
                .await;
            if removed? == 0 {
                let ended = database
                    .transact_with(self, |transaction, feed| Box::pin(feed.clear_end(transaction)))
                    .await;
                let ended: bool = ended?;
                if ended {
                    return Ok(());
                }
            }
        }
    }

    /// Removes some entries, and returns how many.
    async fn clear_some(&self, transaction: &mut Transaction) -> Result<usize, DatabaseError> {
        let entries = self.some_entries(transaction).await?;
        let removed = entries.len();
        for key in entries {
            transaction.delete_raw(key);
        }
        Ok(removed)
    }

    /// Removes the counts, unless there is an entry.
    async fn clear_end(&self, transaction: &mut Transaction) -> Result<bool, DatabaseError> {
        let counts = self.count_keys()?;
        // Checked, and each append writes one: none is made unseen.
        transaction.prefetch(&counts).await?;
        if !self.some_entries(transaction).await?.is_empty() {
            return Ok(false);
        }
        for key in counts {
            if transaction.get_raw(&key).await?.is_some() {
                transaction.delete_raw(key);
            }
        }
        Ok(true)
    }

    /// The keys of some entries; none only where there is none.
    async fn some_entries(&self, transaction: &mut Transaction) -> Result<Vec<Key>, DatabaseError> {
        const { assert!(CLEARED_AT_ONCE > CELLS, "there is an entry besides the counts") };
        let range = self.base().below();
        let found = transaction.scan_raw(&range, Order::Ascending, CLEARED_AT_ONCE).await?;
        let entries = found.into_iter().map(|(key, _)| key);
        Ok(entries.filter(|key| self.place(key).is_some()).collect())
    }
}

#[cfg(test)]
mod tests;
