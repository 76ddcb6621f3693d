//! What the typed reads need, of the database as well as of a transaction.

use bytes::Bytes;

use super::error::DatabaseError;
use super::handle::Database;
use super::transaction::Transaction;
use crate::store::{Key, KeyRange, Order};

/// Reads values and ranges.
pub(super) trait Reader: Send {
    /// The values of `keys`, in their order.
    fn values(
        &mut self,
        keys: &[Key],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, DatabaseError>> + Send;

    /// The first `limit` keys of `range` with their values.
    fn entries(
        &mut self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Key, Bytes)>, DatabaseError>> + Send;
}

impl Reader for &Database {
    async fn values(&mut self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, DatabaseError> {
        let entries = self.get_raw(keys).await?;
        Ok(entries.into_iter().map(|entry| Some(entry?.value)).collect())
    }

    async fn entries(
        &mut self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, DatabaseError> {
        let entries = self.scan_raw(range, order, limit).await?;
        Ok(entries.into_iter().map(|(key, entry)| (key, entry.value)).collect())
    }
}

impl Reader for Transaction {
    async fn values(&mut self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, DatabaseError> {
        self.prefetch(keys).await?;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get_raw(key).await?);
        }
        Ok(values)
    }

    async fn entries(
        &mut self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes)>, DatabaseError> {
        self.scan_raw(range, order, limit).await
    }
}
