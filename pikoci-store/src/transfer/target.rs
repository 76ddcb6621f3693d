//! The store that something is moved to.

use std::sync::Arc;

use bytes::Bytes;
use pikoci_core::Store;
use pikoci_core::store::limits::{MAX_SCAN_ENTRIES, MAX_TXN_OPERATIONS, MAX_TXN_SIZE_BYTES};
use pikoci_core::store::{Key, KeyRange, StoreError, Txn, Write};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::error::TransferError;
use super::scan::{Pauses, scan};

/// How many transactions are under way at the same time.
const IN_FLIGHT: usize = 8;

/// What is done about entries that a target has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is written if there are any.
    Empty,
    /// Those that the source does not have are removed, so that the target
    /// holds the same as the source. What is right already is not written
    /// again, so what was cut off goes on where it ended.
    Replace,
}

/// A store that is being made to hold what another one does.
#[derive(Debug)]
pub(super) struct Target {
    store: Arc<dyn Store>,
    mode: Mode,
    writes: Vec<Write>,
    /// The bytes of `writes`.
    bytes: usize,
    in_flight: JoinSet<Result<(), StoreError>>,
}

impl Target {
    pub(super) async fn new(store: Arc<dyn Store>, mode: Mode) -> Result<Self, TransferError> {
        let target = Self { store, mode, writes: Vec::new(), bytes: 0, in_flight: JoinSet::new() };
        if mode == Mode::Empty && !scan(&*target.store, &KeyRange::all(), 1).await?.is_empty() {
            return Err(TransferError::NotEmpty { store: target.store.to_string() });
        }
        Ok(target)
    }

    /// Makes a range hold these entries and no others. They ascend. `again`
    /// when it was made to hold something before.
    pub(super) async fn make(
        &mut self,
        range: &KeyRange,
        entries: Vec<(Key, Bytes)>,
        again: bool,
    ) -> Result<(), TransferError> {
        if again {
            self.settle().await?;
        }
        if self.mode == Mode::Empty && !again {
            for (key, value) in entries {
                self.write(Write::Put(key, value)).await?;
            }
            return Ok(());
        }
        let mut wanted = entries.into_iter().peekable();
        let mut rest = range.clone();
        loop {
            let found = scan(&*self.store, &rest, MAX_SCAN_ENTRIES).await?;
            let full = found.len() == MAX_SCAN_ENTRIES;
            for (key, entry) in found {
                while let Some(put) = wanted.next_if(|(wanted, _)| *wanted < key) {
                    self.write(Write::Put(put.0, put.1)).await?;
                }
                rest = rest.after(&key);
                match wanted.next_if(|(wanted, _)| *wanted == key) {
                    Some((_, value)) if value == entry.value => {}
                    Some((_, value)) => self.write(Write::Put(key, value)).await?,
                    None => self.write(Write::Delete(key)).await?,
                }
            }
            if !full {
                break;
            }
        }
        for (key, value) in wanted {
            self.write(Write::Put(key, value)).await?;
        }
        Ok(())
    }

    /// Waits until everything is committed.
    pub(super) async fn settle(&mut self) -> Result<(), TransferError> {
        self.send().await?;
        while let Some(done) = self.in_flight.join_next().await {
            self.committed(done)?;
        }
        Ok(())
    }

    async fn write(&mut self, write: Write) -> Result<(), TransferError> {
        let bytes = write.key().as_bytes().len() + write.value().map_or(0, Bytes::len);
        if self.writes.len() == MAX_TXN_OPERATIONS || self.bytes + bytes > MAX_TXN_SIZE_BYTES {
            self.send().await?;
        }
        self.bytes += bytes;
        self.writes.push(write);
        Ok(())
    }

    async fn send(&mut self) -> Result<(), TransferError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        while self.in_flight.len() >= IN_FLIGHT {
            if let Some(done) = self.in_flight.join_next().await {
                self.committed(done)?;
            }
        }
        let mut txn = Txn::new(Uuid::now_v7());
        txn.writes = std::mem::take(&mut self.writes);
        self.bytes = 0;
        self.in_flight.spawn(commit(self.store.clone(), txn));
        Ok(())
    }

    fn committed(
        &self,
        done: Result<Result<(), StoreError>, tokio::task::JoinError>,
    ) -> Result<(), TransferError> {
        let lost = |error| StoreError::unknown("a commit was cut off").caused_by(error);
        done.unwrap_or_else(|error| Err(lost(error)))
            .map_err(|source| TransferError::Write { store: self.store.to_string(), source })
    }
}

/// Commits what needs no check, until it is known to be done.
async fn commit(store: Arc<dyn Store>, txn: Txn) -> Result<(), StoreError> {
    let mut pauses = Pauses::new();
    loop {
        match store.commit(&txn).await {
            Ok(_) => return Ok(()),
            Err(error) if pauses.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}
