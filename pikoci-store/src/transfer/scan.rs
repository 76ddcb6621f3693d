//! Reads that are tried again when they may work later.

use std::time::Duration;

use pikoci_core::Store;
use pikoci_core::store::{Entry, Key, KeyRange, Order, StoreError};
use tokio::time::{Instant, sleep};

use super::error::TransferError;

/// How long a call is tried that may work later.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The pauses between: growing, since many clients may have lost one server.
#[derive(Debug)]
pub(super) struct Pauses {
    started: Instant,
    next: Duration,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), next: Duration::from_millis(20) }
    }

    /// Waits, if a call that ended in `error` should be made again.
    pub(super) async fn again(&mut self, error: &StoreError) -> bool {
        if !error.is_retryable() || self.started.elapsed() > PATIENCE {
            return false;
        }
        tracing::debug!(%error, "a call is made again");
        sleep(self.next).await;
        self.next = (self.next * 2).min(Duration::from_secs(2));
        true
    }
}

/// The first `limit` entries of a range.
pub(super) async fn scan(
    store: &dyn Store,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<(Key, Entry)>, TransferError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let mut pauses = Pauses::new();
    loop {
        match store.scan(range, Order::Ascending, limit).await {
            Ok(entries) => return Ok(entries),
            Err(error) if pauses.again(&error).await => {}
            Err(source) => return Err(TransferError::Read { store: store.to_string(), source }),
        }
    }
}

/// The entries of some keys.
pub(super) async fn get(
    store: &dyn Store,
    keys: &[Key],
) -> Result<Vec<Option<Entry>>, TransferError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut pauses = Pauses::new();
    loop {
        match store.get(keys).await {
            Ok(entries) => return Ok(entries),
            Err(error) if pauses.again(&error).await => {}
            Err(source) => return Err(TransferError::Read { store: store.to_string(), source }),
        }
    }
}
