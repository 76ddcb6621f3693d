//! The handle on a store, and transactions tried until they are committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::error::DatabaseError;
use super::transaction::Transaction;
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::store::limits::{MAX_GET_KEYS, MAX_SCAN_ENTRIES};
use crate::store::{
    Entry, Key, KeyRange, Order, Outcome, Revision, Store, StoreError, StoreErrorKind, Txn,
};

/// How long a transaction is tried.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// The longest first pause.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// The time after which there is no further attempt.
    pub give_up_after: Duration,
}

impl Default for Retry {
    /// Pauses of 1 ms to 250 ms, for half a minute.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(250),
            give_up_after: Duration::from_secs(30),
        }
    }
}

/// A handle on a store; clones share it.
#[derive(Debug, Clone)]
pub struct Database {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retry: Retry,
    turns: Arc<AtomicU64>,
}

impl Database {
    /// A handle on `store`. `clock` gives ids, times and the jitter of pauses.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, retry: Retry::default(), turns: Arc::default() }
    }

    /// The same with transactions tried this long.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Numbers in turn, 0 at first, for those that are to go different ways;
    /// shared by clones and no others, so that the same happens in each run of
    /// a simulation.
    pub(super) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// The entries of `keys`, in their order; as of one instant for the first
    /// [`MAX_GET_KEYS`], the next and so on.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn get_raw(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, DatabaseError> {
        let mut entries = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_GET_KEYS) {
            let part = self.store.get(keys).await?;
            if part.len() != keys.len() {
                return Err(StoreError::damaged("the store answered for other keys").into());
            }
            entries.extend(part);
        }
        Ok(entries)
    }

    /// The first `limit` entries of `range`, at most [`MAX_SCAN_ENTRIES`], as of one instant.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn scan_raw(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, DatabaseError> {
        let limit = limit.min(MAX_SCAN_ENTRIES);
        if limit == 0 || range.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.scan(range, order, limit).await?)
    }

    /// Does `work` and commits what it wrote; again from its start when
    /// another transaction changed what it had read, with growing, jittered
    /// pauses. So `work` may run many times and must do nothing but read and
    /// write through its transaction; what it returns the last time counts.
    ///
    /// When `work` fails, nothing is written; where it failed because what it
    /// had read at different moments did not fit together, it is done again
    /// too. A commit whose outcome is unknown is committed again as it was
    /// until it is known. Dropping the future leaves the transaction done or
    /// not done.
    ///
    /// # Errors
    /// What `work` answers; [`DatabaseError::Contended`] when others were
    /// quicker for too long; what the store says, with
    /// [`Unknown`](StoreErrorKind::Unknown) where it could not be settled.
    pub async fn transact<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        F: for<'t> FnMut(&'t mut Transaction) -> BoxFuture<'t, Result<T, E>>,
        E: From<DatabaseError>,
    {
        self.transact_with(&(), |transaction, ()| work(transaction)).await
    }

    /// The same as [`Self::transact`] for a `work` that borrows: `context` is
    /// handed to it each time, and so nothing has to be cloned for each attempt.
    ///
    /// # Errors
    /// As for [`Self::transact`].
    pub async fn transact_with<C, T, E, F>(&self, context: &C, mut work: F) -> Result<T, E>
    where
        C: ?Sized,
        F: for<'t> FnMut(&'t mut Transaction, &'t C) -> BoxFuture<'t, Result<T, E>>,
        E: From<DatabaseError>,
    {
        let started = self.clock.monotonic();
        let mut backoff = Backoff::new(self.retry.first_pause, self.retry.longest_pause);
        let mut attempts = 0_u32;
        loop {
            attempts = attempts.saturating_add(1);
            let mut transaction = Transaction::new(self.clone());
            let done = match work(&mut transaction, context).await {
                Ok(done) if transaction.is_done() => return Ok(done),
                Ok(done) => Some(done),
                // What it read at different moments may not have fitted together.
                Err(error) if transaction.is_consistent().await.unwrap_or(true) => {
                    return Err(error);
                }
                Err(_) => None,
            };
            if let Some(done) = done
                && self.commit(&transaction.into_txn(self.clock.id())).await?.is_some()
            {
                return Ok(done);
            }
            if self.clock.monotonic().saturating_sub(started) > self.retry.give_up_after {
                return Err(DatabaseError::Contended { attempts }.into());
            }
            tokio::time::sleep(backoff.next(&*self.clock)).await;
        }
    }

    /// Commits `txn`, again while its outcome is unknown; `None` for a conflict.
    async fn commit(&self, txn: &Txn) -> Result<Option<Revision>, DatabaseError> {
        txn.validate()?;
        let started = self.clock.monotonic();
        let mut backoff = Backoff::new(self.retry.first_pause, self.retry.longest_pause);
        let mut in_doubt = false;
        loop {
            let error = match self.store.commit(txn).await {
                Ok(Outcome::Committed(revision)) => return Ok(Some(revision)),
                Ok(Outcome::Conflict) => return Ok(None),
                Err(error) => error,
            };
            in_doubt |= error.kind == StoreErrorKind::Unknown;
            let late = self.clock.monotonic().saturating_sub(started) > self.retry.give_up_after;
            // Once in doubt, "nothing was done" speaks of the last try only.
            if !in_doubt {
                return Err(error.into());
            }
            if late || !error.is_retryable() {
                let message = "it is not known whether the transaction was committed";
                return Err(StoreError::unknown(message).caused_by(error).into());
            }
            tracing::debug!(txn = %txn.id, %error, "the outcome of a commit is unknown");
            tokio::time::sleep(backoff.next(&*self.clock)).await;
        }
    }
}
