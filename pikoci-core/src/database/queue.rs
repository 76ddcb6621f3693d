//! Queues: items in the order of their positions, each taken by one taker.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::counter;
use super::encoding::{Schema, decode, encode};
use super::error::DatabaseError;
use super::handle::Database;
use super::key_path::{KeyPart, KeyPath, Part};
use super::layout::{QUEUE, QUEUE_NUMBER};
use super::list::page_of_entries;
use super::query::{MAX_PAGE_ITEMS, Page, Query};
use super::reader::Reader;
use super::transaction::Transaction;
use crate::store::limits::MAX_SCAN_ENTRIES;
use crate::store::{Key, Order};

/// What an item of a queue holds.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Payload<T>(T);

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Schema for Payload<T> {
    const KIND: &'static str = "queue item";
}

/// An item of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueItem<T> {
    /// Its position; can be given to [`Queue::take`] as it is.
    pub position: Vec<Part>,
    /// What it holds.
    pub payload: T,
}

/// Items of type `T` in the order of their positions.
///
/// A position is a few parts of a key, such as a priority and a number, and
/// names one item. Items that are pushed to positions of the caller's choice,
/// and taken from different ones, never stand in each other's way; those of
/// [`push_back`](Self::push_back) wait for each other. The payload is small
/// and does not change its form: an id; what may change is in a record.
pub struct Queue<T> {
    name: String,
    payload: PhantomData<fn() -> T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), payload: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.name).finish()
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Queue<T> {
    /// The queue of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), payload: PhantomData }
    }

    fn base(&self) -> KeyPath {
        KeyPath::new((QUEUE, &self.name))
    }

    fn place(&self, position: impl KeyPart) -> Result<Key, DatabaseError> {
        Ok(self.base().then(position).key()?)
    }

    async fn free(
        &self,
        transaction: &mut Transaction,
        place: &Key,
        position: &(impl KeyPart + Sync),
    ) -> Result<(), DatabaseError> {
        if transaction.get_raw(place).await?.is_none() {
            return Ok(());
        }
        let position = KeyPath::new(position).to_string();
        Err(DatabaseError::PlaceTaken { queue: self.name.clone(), position })
    }

    /// Puts an item at `position`.
    ///
    /// # Errors
    /// [`PlaceTaken`](DatabaseError::PlaceTaken); when it cannot be written.
    pub async fn push(
        &self,
        transaction: &mut Transaction,
        position: impl KeyPart + Send + Sync,
        payload: T,
    ) -> Result<(), DatabaseError> {
        let key = self.place(&position)?;
        self.free(transaction, &key, &position).await?;
        let bytes = encode(&key, &Payload(payload))?;
        transaction.put_raw(key, bytes);
        Ok(())
    }

    /// Puts an item at `position`, over one that is there. Reads nothing, so it
    /// stands in nobody's way; for positions that nobody else can have.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(
        &self,
        transaction: &mut Transaction,
        position: impl KeyPart,
        payload: T,
    ) -> Result<(), DatabaseError> {
        let key = self.place(position)?;
        let bytes = encode(&key, &Payload(payload))?;
        transaction.put_raw(key, bytes);
        Ok(())
    }

    /// Removes the item at `position`, whether it is there or not. Reads nothing.
    ///
    /// # Errors
    /// When the position is too long.
    pub fn remove(
        &self,
        transaction: &mut Transaction,
        position: impl KeyPart,
    ) -> Result<(), DatabaseError> {
        transaction.delete_raw(self.place(position)?);
        Ok(())
    }

    /// Puts an item after those that were put here before, and returns its
    /// position: a number and an empty text, so it meets none that is pushed
    /// to a number. One transaction after the other can do that.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn push_back(
        &self,
        transaction: &mut Transaction,
        payload: T,
    ) -> Result<Vec<Part>, DatabaseError> {
        let name = KeyPath::new(&self.name);
        let key = KeyPath::new((QUEUE_NUMBER, &name)).key()?;
        let number = counter::add(transaction, &key, &name, 1).await?;
        let position = vec![Part::Number(number), Part::Text(String::new())];
        let place = self.place(&position)?;
        let bytes = encode(&place, &Payload(payload))?;
        transaction.put_raw(place, bytes);
        Ok(position)
    }

    /// Takes the item at `position` out, if it is there. Of all transactions
    /// that take it one is committed; the others find it gone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn take(
        &self,
        transaction: &mut Transaction,
        position: impl KeyPart + Send + Sync,
    ) -> Result<Option<T>, DatabaseError> {
        let key = self.place(position)?;
        let Some(bytes) = transaction.get_raw(&key).await? else { return Ok(None) };
        let Payload(payload) = decode(&key, &bytes)?;
        transaction.delete_raw(key);
        Ok(Some(payload))
    }

    /// Moves the item at `from` to `to`; whether it was there.
    ///
    /// # Errors
    /// [`PlaceTaken`](DatabaseError::PlaceTaken); when it cannot be read or written.
    pub async fn shift(
        &self,
        transaction: &mut Transaction,
        from: impl KeyPart + Send + Sync,
        to: impl KeyPart + Send + Sync,
    ) -> Result<bool, DatabaseError> {
        let (old, new) = (self.place(&from)?, self.place(&to)?);
        transaction.prefetch(&[old.clone(), new.clone()]).await?;
        let Some(bytes) = transaction.get_raw(&old).await? else { return Ok(false) };
        if old != new {
            self.free(transaction, &new, &to).await?;
            transaction.delete_raw(old);
            transaction.put_raw(new, bytes);
        }
        Ok(true)
    }

    /// The first items, at most `limit` of [`MAX_PAGE_ITEMS`], as of one instant.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn peek(
        &self,
        database: &Database,
        limit: usize,
    ) -> Result<Vec<QueueItem<T>>, DatabaseError> {
        self.items(&mut &*database, limit).await
    }

    /// The items that `query` asks for by leading parts of their positions, as
    /// of one instant.
    ///
    /// # Errors
    /// When one cannot be read; [`Cursor`](DatabaseError::Cursor).
    pub async fn list(
        &self,
        database: &Database,
        query: &Query,
    ) -> Result<Page<QueueItem<T>>, DatabaseError> {
        let page = page_of_entries(&mut &*database, &self.base(), query).await?;
        let item = |(key, bytes): &(Key, Bytes)| self.item(key, bytes);
        Ok(Page { items: page.items.iter().map(item).collect::<Result<_, _>>()?, next: page.next })
    }

    /// The first items as this transaction sees them. That they are the first
    /// is not checked at the commit, but [`take`](Self::take) of one of them is.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn peek_in(
        &self,
        transaction: &mut Transaction,
        limit: usize,
    ) -> Result<Vec<QueueItem<T>>, DatabaseError> {
        self.items(transaction, limit).await
    }

    async fn items(
        &self,
        reader: &mut impl Reader,
        limit: usize,
    ) -> Result<Vec<QueueItem<T>>, DatabaseError> {
        let query = Query::all().limit(limit.min(MAX_PAGE_ITEMS));
        let page = page_of_entries(reader, &self.base(), &query).await?;
        page.items.iter().take(limit).map(|(key, bytes)| self.item(key, bytes)).collect()
    }

    fn item(&self, key: &Key, bytes: &Bytes) -> Result<QueueItem<T>, DatabaseError> {
        let Payload(payload) = decode(key, bytes)?;
        // What has the queue's prefix has its two parts.
        let parts = KeyPath::parts(key).unwrap_or_default();
        Ok(QueueItem { position: parts.into_iter().skip(2).collect(), payload })
    }

    /// How many items there are, counted one by one: a thousand a round trip,
    /// so not as of one instant where there are more.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn len(&self, database: &Database) -> Result<u64, DatabaseError> {
        let mut range = self.base().within();
        let mut length = 0;
        loop {
            let entries = database.scan_raw(&range, Order::Ascending, MAX_SCAN_ENTRIES).await?;
            length += entries.len() as u64;
            match entries.last() {
                Some((last, _)) if entries.len() == MAX_SCAN_ENTRIES => range = range.after(last),
                _ => return Ok(length),
            }
        }
    }
}
