//! A store that lasts as long as the process.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::contract::{Entry, Order, Outcome, Revision, Store};
use super::error::StoreError;
use super::feed::ChangeFeed;
use super::key::{Key, KeyRange};
use super::txn::{Txn, Write};

/// A [`Store`] in memory. It is not durable and never answers
/// [`Unknown`](super::StoreErrorKind::Unknown).
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    feed: ChangeFeed,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Key, Entry>,
    revision: u64,
    closed: bool,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if state.closed { Err(StoreError::closed()) } else { Ok(state) }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory:")
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        let state = self.open()?;
        Ok(keys.iter().map(|key| state.entries.get(key).cloned()).collect())
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let state = self.open()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let start = Bound::Included(&range.start()[..]);
        let end = range.end().map_or(Bound::Unbounded, |end| Bound::Excluded(&end[..]));
        let found = state.entries.range::<[u8], _>((start, end));
        let owned = |(key, entry): (&Key, &Entry)| (key.clone(), entry.clone());
        Ok(match order {
            Order::Ascending => found.take(limit).map(owned).collect(),
            Order::Descending => found.rev().take(limit).map(owned).collect(),
        })
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let mut state = self.open()?;
        let holds = |check: &super::Check| {
            state.entries.get(&check.key).map(|entry| entry.revision) == check.revision
        };
        if !txn.checks.iter().all(holds) {
            return Ok(Outcome::Conflict);
        }
        state.revision += 1;
        let revision = Revision(state.revision);
        for write in &txn.writes {
            match write {
                Write::Put(key, value) => {
                    state.entries.insert(key.clone(), Entry { value: value.clone(), revision });
                }
                Write::Delete(key) => {
                    state.entries.remove(key);
                }
            }
        }
        drop(state);
        self.feed.committed(txn);
        Ok(Outcome::Committed(revision))
    }

    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        Some(self.feed.subscribe(range))
    }

    async fn close(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.closed = true;
        state.entries.clear();
        drop(state);
        self.feed.close();
        Ok(())
    }
}
