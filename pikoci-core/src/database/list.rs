//! Records page by page, by their ids and by their indexes.

use bytes::Bytes;

use super::encoding::{Envelope, describe};
use super::error::DatabaseError;
use super::handle::Database;
use super::index::Indexes;
use super::key_path::{KeyPart, KeyPath};
use super::layout::{INDEX, RECORD};
use super::query::{Cursor, Page, Query};
use super::reader::Reader;
use super::record::{Record, read_record};
use super::transaction::Transaction;
use crate::store::{Key, StoreError};

/// How often a page is read again because something in it had just changed.
const ATTEMPTS: u32 = 3;

/// How often a record is looked for while its unique values change hands.
const FIND_ATTEMPTS: u32 = 10;

/// A page of raw entries.
pub(super) async fn page_of_entries(
    reader: &mut impl Reader,
    base: &KeyPath,
    query: &Query,
) -> Result<Page<(Key, Bytes)>, DatabaseError> {
    let (range, limit) = (query.range(base)?, query.page_items());
    // One more tells whether there is a next page.
    let mut items = reader.entries(&range, query.direction(), limit + 1).await?;
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next = last.map(|(key, _)| Cursor::at(base, key));
    Ok(Page { items, next })
}

async fn page_by_id<R: Record>(
    reader: &mut impl Reader,
    query: &Query,
) -> Result<Page<R>, DatabaseError> {
    let page = page_of_entries(reader, &KeyPath::new((RECORD, R::KIND)), query).await?;
    let read = |(key, bytes): &(Key, Bytes)| read_record(key, bytes);
    Ok(Page { items: page.items.iter().map(read).collect::<Result<_, _>>()?, next: page.next })
}

/// A page by an index, and the entries in it whose record was found to be
/// elsewhere in the index, or gone.
async fn page_by_index<R: Record>(
    reader: &mut impl Reader,
    index: &str,
    query: &Query,
) -> Result<(Page<R>, Vec<Key>), DatabaseError> {
    let base = KeyPath::new((INDEX, R::KIND, index));
    let page = page_of_entries(reader, &base, query).await?;
    let owner = |(entry, value): &(Key, Bytes)| owner_of::<R>(entry, value);
    let keys = page.items.iter().map(owner).collect::<Result<Vec<Key>, _>>()?;
    let values = reader.values(&keys).await?;
    let (mut items, mut stale) = (Vec::new(), Vec::new());
    for (((entry, _), key), value) in page.items.into_iter().zip(keys).zip(values) {
        match found(&entry, &key, value)? {
            Some(record) => items.push(record),
            None => stale.push(entry),
        }
    }
    Ok((Page { items, next: page.next }, stale))
}

/// The key of the record that an entry of an index stands for.
pub(super) fn owner_of<R: Record>(entry: &Key, value: &Bytes) -> Result<Key, DatabaseError> {
    match Envelope::open(value) {
        Some(Envelope::Parts(id)) => Ok(KeyPath::new((RECORD, R::KIND)).then(id).key()?),
        _ => {
            let message = format!("the index entry `{}` cannot be read", describe(entry));
            Err(StoreError::damaged(message).into())
        }
    }
}

impl Database {
    /// Records in the order of their ids, page by page; each page as of one instant.
    ///
    /// # Errors
    /// When one cannot be read; [`Cursor`](DatabaseError::Cursor).
    pub async fn list<R: Record>(&self, query: &Query) -> Result<Page<R>, DatabaseError> {
        page_by_id(&mut &*self, query).await
    }

    /// Records in the order of an index, page by page.
    ///
    /// Each one had those values when it was read. One that moves within the
    /// index at the same time may be met at both places or at none.
    ///
    /// # Errors
    /// When one cannot be read; [`Cursor`](DatabaseError::Cursor).
    pub async fn list_by<R: Record>(
        &self,
        index: &str,
        query: &Query,
    ) -> Result<Page<R>, DatabaseError> {
        let mut before = Vec::new();
        let mut attempt = 1;
        loop {
            let (page, stale) = page_by_index(&mut &*self, index, query).await?;
            // A record that moved within the page would be missed; an entry
            // that is stale twice is one that nobody clears.
            if stale.is_empty() || stale == before || attempt == ATTEMPTS {
                return Ok(page);
            }
            (before, attempt) = (stale, attempt + 1);
        }
    }

    /// The record with these values in a unique index.
    ///
    /// # Errors
    /// When it cannot be read; [`Contended`](DatabaseError::Contended) when
    /// the values went from one record to another each time.
    pub async fn find_by<R: Record>(
        &self,
        index: &str,
        values: impl KeyPart + Send,
    ) -> Result<Option<R>, DatabaseError> {
        let entry = unique_key::<R>(index, values)?;
        let mut owner = self.get_raw(std::slice::from_ref(&entry)).await?.pop().flatten();
        for _ in 0..FIND_ATTEMPTS {
            let Some(known) = owner else { return Ok(None) };
            let key = owner_of::<R>(&entry, &known.value)?;
            // Both as of one instant.
            let mut now = self.get_raw(&[key.clone(), entry.clone()]).await?;
            owner = now.pop().flatten();
            if owner.as_ref() == Some(&known) {
                let record = now.pop().flatten();
                return found(&entry, &key, record.map(|record| record.value));
            }
        }
        Err(DatabaseError::Contended { attempts: FIND_ATTEMPTS })
    }
}

/// The key of an entry of a unique index.
fn unique_key<R: Record>(index: &str, values: impl KeyPart) -> Result<Key, DatabaseError> {
    Ok(KeyPath::new((INDEX, R::KIND, index)).then(values).key()?)
}

/// The record under `key`, if it is what `entry` says.
fn found<R: Record>(
    entry: &Key,
    key: &Key,
    value: Option<Bytes>,
) -> Result<Option<R>, DatabaseError> {
    let Some(bytes) = value else { return Ok(None) };
    let record: R = read_record(key, &bytes)?;
    let listed = Indexes::of(&record)?.iter().any(|own| own.key == *entry);
    Ok(listed.then_some(record))
}

/// Listings see what the transaction wrote. Which records there are is not
/// checked at the commit, since no store can check a range; what
/// [`list_by`](Self::list_by) and [`find_by`](Self::find_by) return is checked
/// like what [`get`](Self::get) returns, and so counts towards the
/// [operations](Self::operations).
impl Transaction {
    /// Records in the order of their ids, page by page.
    ///
    /// # Errors
    /// When one cannot be read; [`Cursor`](DatabaseError::Cursor).
    pub async fn list<R: Record>(&mut self, query: &Query) -> Result<Page<R>, DatabaseError> {
        page_by_id(self, query).await
    }

    /// Records in the order of an index, page by page.
    ///
    /// # Errors
    /// When one cannot be read; [`Cursor`](DatabaseError::Cursor).
    pub async fn list_by<R: Record>(
        &mut self,
        index: &str,
        query: &Query,
    ) -> Result<Page<R>, DatabaseError> {
        Ok(page_by_index(self, index, query).await?.0)
    }

    /// The record with these values in a unique index; that there is none, or
    /// another one, is checked at the commit.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn find_by<R: Record>(
        &mut self,
        index: &str,
        values: impl KeyPart + Send,
    ) -> Result<Option<R>, DatabaseError> {
        let entry = unique_key::<R>(index, values)?;
        let Some(owner) = self.get_raw(&entry).await? else { return Ok(None) };
        let key = owner_of::<R>(&entry, &owner)?;
        let value = self.get_raw(&key).await?;
        found(&entry, &key, value)
    }
}
