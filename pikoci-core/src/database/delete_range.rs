//! Deleting many keys in transactions of bounded size.

use super::error::DatabaseError;
use super::handle::Database;
use super::key_path::KeyPath;
use crate::store::{KeyRange, Order};

/// The keys that are removed in one transaction. Stores hand out their values
/// too, 64 KiB each at most, so this bounds the memory that is needed.
const REMOVED_AT_ONCE: usize = 32;

impl Database {
    /// Removes all keys that begin with the parts of `path` and have more;
    /// returns how many there were. Not done at once: in between, others see
    /// a part of them gone, and what they add meanwhile is removed or not.
    ///
    /// # Errors
    /// When they cannot be removed; then, and when the future is dropped, some
    /// of the first ones are gone. It may be called again.
    pub async fn delete_below(&self, path: &KeyPath) -> Result<u64, DatabaseError> {
        self.delete_range(&path.below()).await
    }

    /// The same for the keys of a range.
    ///
    /// # Errors
    /// As [`Self::delete_below`].
    pub async fn delete_range(&self, range: &KeyRange) -> Result<u64, DatabaseError> {
        let mut removed = 0;
        loop {
            let some = range.clone();
            let count = self
                .transact(move |transaction| {
                    let some = some.clone();
                    Box::pin(async move {
                        let found =
                            transaction.scan_raw(&some, Order::Ascending, REMOVED_AT_ONCE).await?;
                        let count = found.len();
                        for (key, _) in found {
                            transaction.delete_raw(key);
                        }
                        Ok::<_, DatabaseError>(count)
                    })
                })
                .await?;
            removed += count as u64;
            if count < REMOVED_AT_ONCE {
                return Ok(removed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::clock::SystemClock;
    use crate::store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn what_is_below_goes_and_its_neighbours_stay() {
        let store = Arc::new(MemoryStore::new());
        let database = Database::new(store, Arc::new(SystemClock::new()));
        let stays = [KeyPath::new("a"), KeyPath::new("a\0").then(1_u64), KeyPath::new("b")];
        for count in [0_u64, 1, 31, 32, 33, 100] {
            for at in 0..count {
                let key = KeyPath::new("a").then(at).key().unwrap();
                put(&database, key).await;
            }
            for path in &stays {
                put(&database, path.key().unwrap()).await;
            }
            assert_eq!(database.delete_below(&KeyPath::new("a")).await.unwrap(), count);
            let left = database.scan_raw(&KeyRange::all(), Order::Ascending, 1000).await.unwrap();
            let left: Vec<_> = left.into_iter().map(|(key, _)| key).collect();
            assert_eq!(left, stays.clone().map(|path| path.key().unwrap()));
        }
    }

    async fn put(database: &Database, key: crate::store::Key) {
        database
            .transact(move |transaction| {
                transaction.put_raw(key.clone(), "x");
                Box::pin(async { Ok::<_, DatabaseError>(()) })
            })
            .await
            .unwrap();
    }
}
