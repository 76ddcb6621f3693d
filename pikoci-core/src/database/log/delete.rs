//! Deleting: a log that nobody sees any more from the first transaction on.

use bytes::Bytes;

use super::error::LogError;
use super::handle::Log;
use super::head::{Head, State};
use crate::database::Transaction;
use crate::store::{Order, Revision};

/// The chunks that are removed in one transaction; the store hands out their
/// values too.
const REMOVED_AT_ONCE: usize = 32;

impl Log {
    /// Deletes the log in whatever state it is. One that is not there is deleted.
    ///
    /// # Errors
    /// When it cannot be written. Then, and when the future is dropped, the
    /// log is there or it is deleted, and [`Logs::tidy`](super::Logs::tidy)
    /// removes what is left of it.
    pub async fn delete(&self) -> Result<(), LogError> {
        let log = self.clone();
        self.database()
            .transact(move |transaction| {
                let log = log.clone();
                Box::pin(async move { log.delete_in(transaction).await })
            })
            .await?;
        self.remove().await
    }

    /// The same in a transaction of the caller's; what is left of the log is
    /// removed by [`Self::delete`] or [`Logs::tidy`](super::Logs::tidy) later.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn delete_in(&self, transaction: &mut Transaction) -> Result<(), LogError> {
        let Some(mut head) = self.load_in(transaction).await? else { return Ok(()) };
        if head.state == State::Deleted {
            return Ok(());
        }
        self.release_in(transaction, &head).await?;
        head.state = State::Deleted;
        self.store_in(transaction, &head)?;
        transaction.put_raw(self.unfinished.clone(), Bytes::new());
        Ok(())
    }

    /// Removes what is left of a deleted log, its head last.
    pub(super) async fn remove(&self) -> Result<(), LogError> {
        while self.remove_chunks(|state, _| *state == State::Deleted).await? {}
        let log = self.clone();
        self.database()
            .transact(move |transaction| {
                let log = log.clone();
                Box::pin(async move {
                    let head = log.load_in(transaction).await?;
                    if matches!(head, Some(Head { state: State::Deleted, .. })) {
                        transaction.delete_raw(log.head.clone());
                        transaction.delete_raw(log.unfinished.clone());
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Removes some chunks while the log's state and the revision of its head
    /// are such; whether there may be more. They are checked with each, since
    /// a log of the same name may be there again.
    pub(super) async fn remove_chunks(
        &self,
        state: impl Fn(&State, Option<Revision>) -> bool + Copy + Send + Sync + 'static,
    ) -> Result<bool, LogError> {
        let log = self.clone();
        self.database()
            .transact(move |transaction| {
                let log = log.clone();
                Box::pin(async move {
                    let Some(head) = log.load_in(transaction).await? else { return Ok(false) };
                    if !state(&head.state, transaction.revision(&log.head)) {
                        return Ok(false);
                    }
                    let range = log.chunk_range();
                    let found = transaction.scan_raw(&range, Order::Ascending, REMOVED_AT_ONCE);
                    let found = found.await?;
                    let more = found.len() == REMOVED_AT_ONCE;
                    for (key, _) in found {
                        transaction.delete_raw(key);
                    }
                    Ok(more)
                })
            })
            .await
    }
}
