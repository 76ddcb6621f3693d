//! Things that end by themselves at some time: sessions, tokens, keys of
//! requests that were answered.
//!
//! Keys:
//!
//! | key | value |
//! |---|---|
//! | `x`, `due`, due time, key of the thing | nothing |
//! | `x`, `of`, key of the thing | the due time |
//!
//! The due time is in microseconds since 1970. The second row finds the first
//! when the time is changed.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::blobs::put;
use super::encoding::{Schema, decode};
use super::error::DatabaseError;
use super::handle::Database;
use super::key_path::{KeyPath, Part};
use super::transaction::Transaction;
use super::upkeep::Upkeep;
use crate::store::{Key, KeyRange, Order};

/// The things that are removed in one transaction: of its operations, each
/// takes 3, and 6 are left to what removes it.
const SWEPT_AT_ONCE: usize = 10;

/// When a thing ends.
#[derive(Debug, Serialize, Deserialize)]
struct Due {
    due_us: i64,
}

impl Schema for Due {
    const KIND: &'static str = "due time";
}

fn due_path() -> KeyPath {
    KeyPath::new("x").then("due")
}

fn due_key(due_us: i64, thing: &Key) -> Result<Key, DatabaseError> {
    Ok(due_path().then(due_us).then(thing.as_bytes()).key()?)
}

fn of_key(thing: &Key) -> Result<Key, DatabaseError> {
    Ok(KeyPath::new("x").then("of").then(thing.as_bytes()).key()?)
}

async fn due_in(transaction: &mut Transaction, of: &Key) -> Result<Option<i64>, DatabaseError> {
    match transaction.get_raw(of).await? {
        Some(value) => Ok(Some(decode::<Due>(of, &value)?.due_us)),
        None => Ok(None),
    }
}

impl Transaction {
    /// Lets [`Database::sweep`] remove the thing under `thing` once `due` is
    /// past, instead of any time set before. Whether a thing has ended in the
    /// meantime, its reader decides by a time of its own.
    ///
    /// # Errors
    /// When it cannot be read, or `thing` is so long that no key is left for it.
    pub async fn expire_at(&mut self, thing: &Key, due: Timestamp) -> Result<(), DatabaseError> {
        self.expire_never(thing).await?;
        let due_us = due.as_microsecond();
        put(self, of_key(thing)?, &Due { due_us })?;
        self.put_raw(due_key(due_us, thing)?, "");
        Ok(())
    }

    /// Forgets the time set for `thing`; who removes a thing calls it too.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn expire_never(&mut self, thing: &Key) -> Result<(), DatabaseError> {
        let of = of_key(thing)?;
        if let Some(due_us) = due_in(self, &of).await? {
            self.delete_raw(of);
            self.delete_raw(due_key(due_us, thing)?);
        }
        Ok(())
    }
}

/// Removes a thing, in the transaction in which its time is forgotten;
/// [`Transaction::delete_raw`] where there is nothing but the key.
pub type Remove = for<'t> fn(&'t mut Transaction, Key) -> BoxFuture<'t, Result<(), DatabaseError>>;

impl Database {
    /// Removes what was due before `now`, the oldest first, at most `limit`
    /// things and some. Things that cannot be removed are passed over and
    /// counted. Call it again while `limit` or more were removed. Several
    /// servers may sweep at once.
    ///
    /// # Errors
    /// When the store is away; what was removed before is.
    pub async fn sweep(
        &self,
        now: Timestamp,
        limit: usize,
        remove: Remove,
    ) -> Result<Upkeep<DatabaseError>, DatabaseError> {
        let end = due_path().then(now.as_microsecond()).key()?;
        let mut due = KeyRange::new(due_path().below().start().clone(), Some(end.to_bytes()));
        let mut upkeep = Upkeep::default();
        while upkeep.done < limit {
            let found = self.scan_raw(&due, Order::Ascending, SWEPT_AT_ONCE).await?;
            let keys: Vec<Key> = found.into_iter().map(|(key, _)| key).collect();
            let Some(last) = keys.last() else { break };
            due = due.after(last);
            let ends = keys.len() < SWEPT_AT_ONCE;
            match self.sweep_some(&keys, remove).await {
                Ok(()) => upkeep.done += keys.len(),
                Err(error) if error.store_is_away() => return Err(error),
                // One by one, so that one does not keep the others.
                Err(_) => {
                    for key in &keys {
                        match self.sweep_some(std::slice::from_ref(key), remove).await {
                            Ok(()) => upkeep.done += 1,
                            Err(error) if error.store_is_away() => return Err(error),
                            Err(error) => upkeep.fail(key, error),
                        }
                    }
                }
            }
            if ends {
                break;
            }
        }
        Ok(upkeep)
    }

    async fn sweep_some(&self, due: &[Key], remove: Remove) -> Result<(), DatabaseError> {
        self.transact_with(due, move |transaction, due| {
            Box::pin(sweep_in(transaction, due.to_vec(), remove))
        })
        .await
    }
}

async fn sweep_in(
    transaction: &mut Transaction,
    due: Vec<Key>,
    remove: Remove,
) -> Result<(), DatabaseError> {
    let mut things = Vec::new();
    for key in due {
        let parts = KeyPath::parts(&key).unwrap_or_default();
        if let [_, _, Part::Signed(due_us), Part::Bytes(thing)] = &parts[..] {
            let thing = Key::new(thing.clone())?;
            things.push((*due_us, of_key(&thing)?, thing));
        }
        transaction.delete_raw(key);
    }
    let of: Vec<Key> = things.iter().map(|(_, of, _)| of.clone()).collect();
    transaction.prefetch(&of).await?;
    for (due_us, of, thing) in things {
        // Not the one that was scanned: its time was changed meanwhile.
        if due_in(transaction, &of).await? == Some(due_us) {
            transaction.delete_raw(of);
            remove(transaction, thing).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::MemoryStore;

    fn key(name: &str) -> Key {
        Key::new(name.to_owned()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::new(second, 0).unwrap()
    }

    fn remove(transaction: &mut Transaction, key: Key) -> BoxFuture<'_, Result<(), DatabaseError>> {
        transaction.delete_raw(key);
        Box::pin(async { Ok(()) })
    }

    async fn put_until(database: &Database, name: &str, second: i64) {
        let thing = key(name);
        database
            .transact(move |transaction| {
                let thing = thing.clone();
                Box::pin(async move {
                    transaction.put_raw(thing.clone(), "x");
                    transaction.expire_at(&thing, at(second)).await
                })
            })
            .await
            .unwrap();
    }

    fn database() -> Database {
        Database::new(Arc::new(MemoryStore::new()), Arc::new(SystemClock::new()))
    }

    async fn left(database: &Database) -> usize {
        database.scan_raw(&KeyRange::all(), Order::Ascending, 1000).await.unwrap().len()
    }

    #[tokio::test]
    async fn what_is_due_goes_and_leaves_nothing_behind() {
        let database = database();
        for second in 0..25 {
            put_until(&database, &format!("thing {second}"), second).await;
        }
        assert_eq!(left(&database).await, 75);
        assert_eq!(database.sweep(at(0), 100, remove).await.unwrap().done, 0);
        assert_eq!(database.sweep(at(21), 100, remove).await.unwrap().done, 21);
        assert_eq!(left(&database).await, 12);
        let there = database.get_raw(&[key("thing 20"), key("thing 21")]).await.unwrap();
        assert!(there[0].is_none() && there[1].is_some());
        assert_eq!(database.sweep(at(100), 1, remove).await.unwrap().done, 4);
        assert_eq!(left(&database).await, 0);
    }

    #[tokio::test]
    async fn a_time_that_was_changed_counts_and_not_the_first_one() {
        let database = database();
        put_until(&database, "longer", 5).await;
        put_until(&database, "longer", 50).await;
        put_until(&database, "shorter", 50).await;
        put_until(&database, "shorter", 5).await;
        assert_eq!(left(&database).await, 6);
        assert_eq!(database.sweep(at(10), 100, remove).await.unwrap().done, 1);
        let there = database.get_raw(&[key("longer"), key("shorter")]).await.unwrap();
        assert!(there[0].is_some() && there[1].is_none());
    }

    #[tokio::test]
    async fn a_time_that_is_changed_while_it_is_swept_counts() {
        let database = database();
        put_until(&database, "longer", 50).await;
        // As it was scanned before the change.
        let scanned = due_key(at(5).as_microsecond(), &key("longer")).unwrap();
        database
            .transact(move |transaction| {
                let scanned = vec![scanned.clone()];
                Box::pin(async move { sweep_in(transaction, scanned, remove).await })
            })
            .await
            .unwrap();
        assert_eq!(left(&database).await, 3);
    }

    #[tokio::test]
    async fn a_time_that_was_forgotten_removes_nothing() {
        let database = database();
        put_until(&database, "kept", 5).await;
        database
            .transact(|transaction| {
                Box::pin(async move { transaction.expire_never(&key("kept")).await })
            })
            .await
            .unwrap();
        assert_eq!(database.sweep(at(10), 100, remove).await.unwrap().done, 0);
        assert_eq!(left(&database).await, 1);
    }
}
