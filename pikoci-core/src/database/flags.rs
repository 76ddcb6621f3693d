//! Flags: names that were raised and wait to be looked at.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::encoding::{Schema, decode, encode};
use super::error::DatabaseError;
use super::handle::Database;
use super::key_path::{KeyPart, KeyPath, Part};
use super::layout::{FLAG, named};
use super::transaction::Transaction;
use crate::store::{Key, Order};

/// What a flag holds: an id that each raise makes anew.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Raise(Uuid);

impl Schema for Raise {
    const KIND: &'static str = "flag";
}

/// Flags that are raised to be looked at, such as those of jobs for which
/// something may have changed.
///
/// A raise reads nothing, so no two of them and nothing else ever conflict
/// with one. Who looks does so *after* it saw the flag, and lowers that very
/// raise together with what it did: what was raised meanwhile stays, to be
/// looked at again. A flag raised many times is looked at once or more.
#[derive(Debug, Clone)]
pub struct Flags {
    base: KeyPath,
}

/// A flag that was raised, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    name: Vec<Part>,
    raise: Uuid,
}

impl Raised {
    /// The parts of the name of the flag.
    pub fn name(&self) -> &[Part] {
        &self.name
    }
}

impl Flags {
    /// The flags of this name.
    pub fn new(name: impl KeyPart) -> Self {
        Self { base: named(FLAG, &KeyPath::new(name)) }
    }

    fn key(&self, flag: impl KeyPart) -> Result<Key, DatabaseError> {
        Ok(self.base.clone().then(flag).key()?)
    }

    fn seen(&self, key: &Key, value: &Bytes) -> Result<Raised, DatabaseError> {
        let Raise(raise) = decode(key, value)?;
        let name = key.as_bytes().get(self.base.as_bytes().len()..).unwrap_or_default();
        Ok(Raised { name: KeyPath::parts_of(name).unwrap_or_default(), raise })
    }

    /// Raises a flag, or again. Never stands in anyone's way but of who is
    /// about to [lower](Self::lower) it.
    ///
    /// # Errors
    /// When the name is too long.
    pub fn raise(
        &self,
        transaction: &mut Transaction,
        flag: impl KeyPart,
    ) -> Result<(), DatabaseError> {
        let key = self.key(flag)?;
        let value = encode(&key, &Raise(transaction.database().clock().id()))?;
        transaction.put_raw(key, value);
        Ok(())
    }

    /// Those raised, in the order of their names and as of one instant: those
    /// after `after`, whether that is still there or not, at most `limit` of
    /// [`MAX_SCAN_ENTRIES`](crate::store::limits::MAX_SCAN_ENTRIES).
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn raised(
        &self,
        database: &Database,
        after: Option<&Raised>,
        limit: usize,
    ) -> Result<Vec<Raised>, DatabaseError> {
        let mut range = self.base.below();
        if let Some(after) = after {
            range = range.after(&self.key(&after.name)?);
        }
        let found = database.scan_raw(&range, Order::Ascending, limit).await?;
        found.iter().map(|(key, entry)| self.seen(key, &entry.value)).collect()
    }

    /// The flag of this name, if it is raised.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(
        &self,
        database: &Database,
        flag: impl KeyPart + Send,
    ) -> Result<Option<Raised>, DatabaseError> {
        let key = self.key(flag)?;
        let entry = database.get_raw(std::slice::from_ref(&key)).await?.pop().flatten();
        entry.map(|entry| self.seen(&key, &entry.value)).transpose()
    }

    /// Lowers a flag, unless it was raised again since it was seen: then it
    /// stays, `false` is returned, and the transaction can be committed all
    /// the same. Where another one lowered it meanwhile it is down: `true`.
    ///
    /// That it is so is checked at the commit, so a raise before that has the
    /// transaction tried again.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn lower(
        &self,
        transaction: &mut Transaction,
        raised: &Raised,
    ) -> Result<bool, DatabaseError> {
        let key = self.key(&raised.name)?;
        let Some(value) = transaction.get_raw(&key).await? else { return Ok(true) };
        let Raise(raise) = decode(&key, &value)?;
        if raise != raised.raise {
            return Ok(false);
        }
        transaction.delete_raw(key);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::{KeyRange, MemoryStore};
    use crate::testkit::ManualClock;
    use crate::testkit::faulty::{FaultyStore, StoreCall, StoreFault};

    type Done<T = ()> = Result<T, DatabaseError>;

    fn on(store: FaultyStore) -> (Database, FaultyStore) {
        (Database::new(Arc::new(store.clone()), Arc::new(SystemClock::new())), store)
    }

    fn database() -> (Database, FaultyStore) {
        on(FaultyStore::new(Arc::new(MemoryStore::new())))
    }

    async fn raise(database: &Database, flags: &Flags, flag: &str) -> Done {
        database
            .transact_with(&(flags, flag), |transaction, (flags, flag)| {
                Box::pin(async move { flags.raise(transaction, flag) })
            })
            .await
    }

    async fn lower(database: &Database, flags: &Flags, raised: &Raised) -> Done<bool> {
        database
            .transact_with(&(flags, raised), |transaction, (flags, raised)| {
                Box::pin(flags.lower(transaction, raised))
            })
            .await
    }

    fn text(name: &str) -> Vec<Part> {
        vec![Part::Text(name.into())]
    }

    #[tokio::test]
    async fn keys_and_values_stay_as_they_are() -> Done {
        let store = Arc::new(MemoryStore::new());
        let database = Database::new(store, Arc::new(ManualClock::new()));
        raise(&database, &Flags::new(("due", 7_u64)), "a\0b").await?;
        let all = database.scan_raw(&KeyRange::all(), Order::Ascending, 10).await?;
        let (key, entry) = &all[0];
        assert_eq!(
            key.as_bytes(),
            b"\x02d\0\x03\0\0\0\0\0\0\0\x02\x02due\0\x03\0\0\0\0\0\0\0\x07\x02a\0\xffb\0"
        );
        assert_eq!(&entry.value[..], b"\x01\x01\"00000000-0000-0000-0000-000000000001\"");
        Ok(())
    }

    #[tokio::test]
    async fn those_raised_are_in_the_order_of_their_names_and_of_no_others() -> Done {
        let (database, _) = database();
        let flags = Flags::new("jobs");
        for flag in ["c", "a", "b", "d", "a"] {
            raise(&database, &flags, flag).await?;
        }
        raise(&database, &Flags::new(("jobs", "a")), "x").await?;
        let first = flags.raised(&database, None, 3).await?;
        let names: Vec<_> = first.iter().map(Raised::name).collect();
        assert_eq!(names, [text("a"), text("b"), text("c")]);
        assert!(lower(&database, &flags, &first[2]).await?);
        let rest = flags.raised(&database, Some(&first[2]), 3).await?;
        assert_eq!(rest.iter().map(Raised::name).collect::<Vec<_>>(), [text("d")]);
        assert_eq!(flags.get(&database, "b").await?.as_ref(), Some(&first[1]));
        assert_eq!(flags.get(&database, "c").await?, None);
        assert!(lower(&database, &flags, &first[2]).await?, "it is down already");
        Ok(())
    }

    #[tokio::test]
    async fn one_raised_again_since_it_was_seen_stays() -> Done {
        let (database, _) = database();
        let flags = Flags::new("jobs");
        raise(&database, &flags, "a").await?;
        let seen = flags.get(&database, "a").await?.expect("it is raised");
        raise(&database, &flags, "a").await?;
        assert!(!lower(&database, &flags, &seen).await?);
        let again = flags.get(&database, "a").await?.expect("it is still raised");
        assert_ne!(again, seen);
        assert!(lower(&database, &flags, &again).await?);
        raise(&database, &flags, "a").await?;
        assert!(!lower(&database, &flags, &again).await?, "raised anew, not again");
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn one_raised_between_the_look_and_the_commit_stays() -> Done {
        let second = Duration::from_secs(1);
        let store = FaultyStore::new(Arc::new(MemoryStore::new())).at(
            StoreCall::Get,
            2,
            StoreFault::DelayAnswer(second * 2),
        );
        let (database, store) = on(store);
        let flags = Flags::new("jobs");
        raise(&database, &flags, "a").await?;
        let seen = flags.get(&database, "a").await?.expect("it is raised");
        let (lowered, again) = tokio::join!(lower(&database, &flags, &seen), async {
            tokio::time::sleep(second).await;
            raise(&database, &flags, "a").await
        });
        again?;
        assert!(!lowered?);
        assert!(flags.get(&database, "a").await?.is_some());
        assert_eq!(store.calls(StoreCall::Get), 4, "the look, two attempts, and this one");
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_raise_stands_in_nobodys_way() -> Done {
        let slow = StoreFault::DelayAnswer(Duration::from_secs(2));
        let store = FaultyStore::new(Arc::new(MemoryStore::new())).at(StoreCall::Get, 1, slow);
        let (database, store) = on(store);
        let flags = Flags::new("jobs");
        raise(&database, &flags, "a").await?;
        let long = async {
            database
                .transact_with(&flags, |transaction, flags| {
                    Box::pin(async move {
                        flags.raise(transaction, "a")?;
                        transaction.get_raw(&KeyPath::new("other").key()?).await?;
                        flags.raise(transaction, "b")
                    })
                })
                .await
        };
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for flag in ["a", "b", "a", "b"] {
                raise(&database, &flags, flag).await?;
            }
            Ok(())
        };
        let (long, meanwhile): (Done, Done) = tokio::join!(long, meanwhile);
        long.and(meanwhile)?;
        assert_eq!(store.calls(StoreCall::Commit), 6, "none of them was tried again");
        assert_eq!(flags.raised(&database, None, 10).await?.len(), 2);
        Ok(())
    }
}
