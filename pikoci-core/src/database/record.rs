//! Records: typed values that are found by their id.

use bytes::Bytes;

use super::encoding::{Schema, decode, encode, encode_over};
use super::error::DatabaseError;
use super::handle::Database;
use super::index::Indexes;
use super::key_path::{KeyPart, KeyPath};
use super::layout::RECORD;
use super::reader::Reader;
use super::transaction::Transaction;
use crate::store::{Key, StoreError};

/// A typed value that is found by its id, and by its indexes.
///
/// [`Schema::KIND`] names its keys, so no two types may share one. What serde
/// writes for it should be the same each time: maps that have an order, and
/// no set or map that has none.
pub trait Record: Schema {
    /// What it is found by: at least one part of a key.
    type Id: KeyPart + Send + Sync;

    /// Its id; never changes.
    fn id(&self) -> Self::Id;

    /// What it is found by besides; nothing unless told otherwise.
    fn indexes(&self, indexes: &mut Indexes) {
        let _ = indexes;
    }
}

/// The key of the record with this id; for [`Transaction::prefetch`].
///
/// # Errors
/// When the id is too long.
pub fn record_key<R: Record>(id: &R::Id) -> Result<Key, DatabaseError> {
    Ok(KeyPath::new((RECORD, R::KIND)).then(id).key()?)
}

/// The record in `bytes`, which stand under `key`.
pub(super) fn read_record<R: Record>(key: &Key, bytes: &Bytes) -> Result<R, DatabaseError> {
    let record: R = decode(key, bytes)?;
    if record_key::<R>(&record.id())? == *key {
        Ok(record)
    } else {
        let message = format!("what is stored under `{key}` is a {} with another id", R::KIND);
        Err(StoreError::damaged(message).into())
    }
}

fn for_people<R: Record>(id: &R::Id) -> String {
    KeyPath::new(id).to_string()
}

fn not_found<R: Record>(id: &R::Id) -> DatabaseError {
    DatabaseError::NotFound { kind: R::KIND, id: for_people::<R>(id) }
}

async fn many<R: Record>(
    reader: &mut impl Reader,
    ids: &[R::Id],
) -> Result<Vec<Option<R>>, DatabaseError> {
    let keys = ids.iter().map(record_key::<R>).collect::<Result<Vec<Key>, _>>()?;
    let values = reader.values(&keys).await?;
    let read = |(key, value): (&Key, Option<Bytes>)| match value {
        Some(bytes) => read_record(key, &bytes).map(Some),
        None => Ok(None),
    };
    keys.iter().zip(values).map(read).collect()
}

impl Database {
    /// The record with this id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get<R: Record>(&self, id: &R::Id) -> Result<Option<R>, DatabaseError> {
        Ok(many(&mut &*self, std::slice::from_ref(id)).await?.pop().flatten())
    }

    /// The records with these ids, in their order; as of one instant for each
    /// hundred of them.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub async fn get_many<R: Record>(
        &self,
        ids: &[R::Id],
    ) -> Result<Vec<Option<R>>, DatabaseError> {
        many(&mut &*self, ids).await
    }

    /// The record with this id.
    ///
    /// # Errors
    /// [`NotFound`](DatabaseError::NotFound), or when it cannot be read.
    pub async fn require<R: Record>(&self, id: &R::Id) -> Result<R, DatabaseError> {
        self.get(id).await?.ok_or_else(|| not_found::<R>(id))
    }

    /// Writes a record that must not be there yet, in a transaction of its own.
    ///
    /// # Errors
    /// As for [`Transaction::insert`] and [`transact`](Self::transact).
    pub async fn insert<R: Record>(&self, record: &R) -> Result<(), DatabaseError> {
        self.transact_with(record, |transaction, record| Box::pin(transaction.insert(record))).await
    }

    /// Writes a record, in place of the one with its id if there is one, in a
    /// transaction of its own.
    ///
    /// # Errors
    /// As for [`Transaction::put`] and [`transact`](Self::transact).
    pub async fn put<R: Record>(&self, record: &R) -> Result<(), DatabaseError> {
        self.transact_with(record, |transaction, record| Box::pin(transaction.put(record))).await
    }

    /// Changes a record in a transaction of its own, and returns it as it is
    /// then. `change` may run several times, each time on the record as it was.
    ///
    /// # Errors
    /// As for [`Transaction::update`] and [`transact`](Self::transact).
    pub async fn update<R: Record>(
        &self,
        id: &R::Id,
        change: impl Fn(&mut R) + Send + Sync,
    ) -> Result<R, DatabaseError> {
        self.transact_with(&(id, change), |transaction, (id, change)| {
            Box::pin(transaction.update::<R>(id, change))
        })
        .await
    }

    /// Removes a record in a transaction of its own; whether it was there.
    ///
    /// # Errors
    /// As for [`Transaction::delete`] and [`transact`](Self::transact).
    pub async fn delete<R: Record>(&self, id: &R::Id) -> Result<bool, DatabaseError> {
        self.transact_with(id, |transaction, id| Box::pin(transaction.delete::<R>(id))).await
    }
}

/// Records in a transaction: every record that is read or written by its id is
/// checked at the commit, so one check a record counts towards the
/// [operations](Transaction::operations), and one a unique index.
impl Transaction {
    /// The record with this id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get<R: Record>(&mut self, id: &R::Id) -> Result<Option<R>, DatabaseError> {
        Ok(many(self, std::slice::from_ref(id)).await?.pop().flatten())
    }

    /// The records with these ids, in their order.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub async fn get_many<R: Record>(
        &mut self,
        ids: &[R::Id],
    ) -> Result<Vec<Option<R>>, DatabaseError> {
        many(self, ids).await
    }

    /// The record with this id.
    ///
    /// # Errors
    /// [`NotFound`](DatabaseError::NotFound), or when it cannot be read.
    pub async fn require<R: Record>(&mut self, id: &R::Id) -> Result<R, DatabaseError> {
        self.get(id).await?.ok_or_else(|| not_found::<R>(id))
    }

    /// Writes a record that must not be there yet. One round trip, unless the
    /// transaction knows already what it needs.
    ///
    /// # Errors
    /// [`Exists`](DatabaseError::Exists), [`Taken`](DatabaseError::Taken), or
    /// when it cannot be written.
    pub async fn insert<R: Record>(&mut self, record: &R) -> Result<(), DatabaseError> {
        let id = record.id();
        let key = record_key::<R>(&id)?;
        self.prefetch_for(&key, record).await?;
        if self.get_raw(&key).await?.is_some() {
            return Err(DatabaseError::Exists { kind: R::KIND, id: for_people::<R>(&id) });
        }
        self.replace(&key, None, record).await
    }

    /// Writes a record, in place of the one with its id if there is one. One
    /// round trip, unless the transaction knows already what it needs.
    ///
    /// # Errors
    /// [`Taken`](DatabaseError::Taken); when it cannot be written, or the one
    /// in its place cannot be read: what newer code wrote is not written over.
    pub async fn put<R: Record>(&mut self, record: &R) -> Result<(), DatabaseError> {
        let key = record_key::<R>(&record.id())?;
        self.prefetch_for(&key, record).await?;
        let old = self.get_raw(&key).await?;
        self.replace(&key, old, record).await
    }

    /// Changes a record with `change`, and returns it as it is then.
    ///
    /// # Errors
    /// [`NotFound`](DatabaseError::NotFound), [`Taken`](DatabaseError::Taken);
    /// when it cannot be read or written, or `change` changes its id.
    pub async fn update<R: Record>(
        &mut self,
        id: &R::Id,
        change: impl FnOnce(&mut R) + Send,
    ) -> Result<R, DatabaseError> {
        let key = record_key::<R>(id)?;
        let old = self.get_raw(&key).await?.ok_or_else(|| not_found::<R>(id))?;
        let mut record: R = read_record(&key, &old)?;
        change(&mut record);
        if record_key::<R>(&record.id())? != key {
            let message = format!("the id of {} `{}` was changed", R::KIND, for_people::<R>(id));
            return Err(StoreError::invalid(message).into());
        }
        self.replace(&key, Some(old), &record).await?;
        Ok(record)
    }

    /// Removes a record and its index entries; whether it was there. One that
    /// cannot be read goes with [`Self::delete_raw`] and
    /// [`reindex`](Database::reindex).
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn delete<R: Record>(&mut self, id: &R::Id) -> Result<bool, DatabaseError> {
        let key = record_key::<R>(id)?;
        let Some(old) = self.get_raw(&key).await? else { return Ok(false) };
        for entry in Indexes::of(&read_record::<R>(&key, &old)?)? {
            self.delete_raw(entry.key);
        }
        self.delete_raw(key);
        Ok(true)
    }

    /// Reads the place of a record and of its unique values at once, unless the
    /// place is known: then most of the values have not changed.
    async fn prefetch_for<R: Record>(
        &mut self,
        key: &Key,
        record: &R,
    ) -> Result<(), DatabaseError> {
        if self.has_read(key) {
            return Ok(());
        }
        let unique = Indexes::of(record)?.into_iter().filter(|entry| entry.unique);
        let keys: Vec<Key> = unique.map(|entry| entry.key).chain([key.clone()]).collect();
        self.prefetch(&keys).await
    }

    /// Writes a record where `old` stands, and what that changes in the indexes.
    async fn replace<R: Record>(
        &mut self,
        key: &Key,
        old: Option<Bytes>,
        record: &R,
    ) -> Result<(), DatabaseError> {
        let entries = Indexes::of(record)?;
        let (bytes, before) = match &old {
            Some(stored) => {
                let old: R = read_record(key, stored)?;
                (encode_over(key, record, (stored, &old))?, Indexes::of(&old)?)
            }
            None => (encode(key, record)?, Vec::new()),
        };
        let added: Vec<_> = entries.iter().filter(|entry| !before.contains(entry)).collect();
        let unique = added.iter().filter(|entry| entry.unique);
        self.prefetch(&unique.map(|entry| entry.key.clone()).collect::<Vec<_>>()).await?;
        // Nothing is written before everything is known to be right: the
        // caller may go on after an error.
        for entry in added.iter().filter(|entry| entry.unique) {
            let owner = self.get_raw(&entry.key).await?;
            if owner.is_some_and(|owner| owner != entry.value) {
                return Err(entry.taken::<R>());
            }
        }
        for entry in before.iter().filter(|entry| !entries.contains(entry)) {
            self.delete_raw(entry.key.clone());
        }
        for entry in added {
            self.put_raw(entry.key.clone(), entry.value.clone());
        }
        self.put_raw(key.clone(), bytes);
        Ok(())
    }
}
