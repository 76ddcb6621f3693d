//! Counters: numbers with keys of their own.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::encoding::{Schema, decode, encode};
use super::error::DatabaseError;
use super::handle::Database;
use super::key_path::{KeyPart, KeyPath};
use super::layout::{COUNTER, SPREAD};
use super::transaction::Transaction;
use crate::store::{Key, StoreError};

/// What a counter holds: a number.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Count<N>(N);

impl<N: Serialize + DeserializeOwned + Send + Sync + 'static> Schema for Count<N> {
    const KIND: &'static str = "counter";
}

/// The count in the value of `key`, 0 at first.
pub(super) fn count<N>(key: &Key, value: Option<Bytes>) -> Result<N, DatabaseError>
where
    N: Serialize + DeserializeOwned + Default + Send + Sync + 'static,
{
    match value {
        Some(bytes) => Ok(decode::<Count<N>>(key, &bytes)?.0),
        None => Ok(N::default()),
    }
}

/// An exact count, 0 at first.
///
/// Every transaction that uses it is checked against every other one that
/// changes it: one after the other wins. So it is for what must be exact, such
/// as the number of a build, and not for what many change at once: see
/// [`SpreadCounter`].
#[derive(Debug, Clone)]
pub struct Counter {
    name: KeyPath,
}

impl Counter {
    /// The counter of this name.
    pub fn new(name: impl KeyPart) -> Self {
        Self { name: KeyPath::new(name) }
    }

    fn key(&self) -> Result<Key, DatabaseError> {
        Ok(KeyPath::new((COUNTER, &self.name)).key()?)
    }

    /// The count just now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, database: &Database) -> Result<u64, DatabaseError> {
        let key = self.key()?;
        let entry = database.get_raw(std::slice::from_ref(&key)).await?.pop().flatten();
        count(&key, entry.map(|entry| entry.value))
    }

    /// The count; that it is so is checked at the commit.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, transaction: &mut Transaction) -> Result<u64, DatabaseError> {
        read(transaction, &self.key()?).await
    }

    /// Counts one up, and returns the count then: 1 the first time, and no
    /// number twice among transactions that are committed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn next(&self, transaction: &mut Transaction) -> Result<u64, DatabaseError> {
        self.add(transaction, 1).await
    }

    /// Adds to the count, and returns it as it is then.
    ///
    /// # Errors
    /// [`CounterRange`](DatabaseError::CounterRange) when it would be below 0
    /// or above the largest `u64`; when it cannot be read.
    pub async fn add(
        &self,
        transaction: &mut Transaction,
        amount: i64,
    ) -> Result<u64, DatabaseError> {
        add(transaction, &self.key()?, &self.name, amount).await
    }
}

async fn read(transaction: &mut Transaction, key: &Key) -> Result<u64, DatabaseError> {
    let value = transaction.get_raw(key).await?;
    count(key, value)
}

/// Adds to the counter under `key`.
pub(super) async fn add(
    transaction: &mut Transaction,
    key: &Key,
    name: &KeyPath,
    amount: i64,
) -> Result<u64, DatabaseError> {
    let before = read(transaction, key).await?;
    let after = before.checked_add_signed(amount).ok_or_else(|| DatabaseError::CounterRange {
        counter: name.to_string(),
        count: before,
        amount,
    })?;
    transaction.put_raw(key.clone(), encode(key, &Count(after))?);
    Ok(after)
}

/// The cells of a spread counter, as many as one read takes with ease; never changed.
const CELLS: u64 = 32;

/// A count that many change at the same time: the sum of several cells, of
/// which each change takes one at random. May be below 0.
///
/// Exact when nobody changes it, but no transaction can rely on it.
#[derive(Debug, Clone)]
pub struct SpreadCounter {
    name: KeyPath,
}

impl SpreadCounter {
    /// The spread counter of this name.
    pub fn new(name: impl KeyPart) -> Self {
        Self { name: KeyPath::new(name) }
    }

    fn cell(&self, number: u64) -> Result<Key, DatabaseError> {
        Ok(KeyPath::new((SPREAD, &self.name, number)).key()?)
    }

    /// The sum of all that was added, as of one instant.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, database: &Database) -> Result<i64, DatabaseError> {
        let keys = (0..CELLS).map(|number| self.cell(number)).collect::<Result<Vec<Key>, _>>()?;
        let entries = database.get_raw(&keys).await?;
        let mut sum = 0_i64;
        for (key, entry) in keys.iter().zip(entries) {
            sum = sum.saturating_add(count(key, entry.map(|entry| entry.value))?);
        }
        Ok(sum)
    }

    /// Adds to the sum.
    ///
    /// # Errors
    /// When it cannot be read, or would leave the range of an `i64`.
    pub async fn add(
        &self,
        transaction: &mut Transaction,
        amount: i64,
    ) -> Result<(), DatabaseError> {
        let (_, random) = transaction.database().clock().id().as_u64_pair();
        let key = self.cell(random % CELLS)?;
        let value = transaction.get_raw(&key).await?;
        let before: i64 = count(&key, value)?;
        let after = before.checked_add(amount).ok_or_else(|| {
            StoreError::invalid(format!("spread counter `{}` is full", self.name))
        })?;
        transaction.put_raw(key.clone(), encode(&key, &Count(after))?);
        Ok(())
    }
}
