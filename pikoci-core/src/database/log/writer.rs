//! Appending to one log from one place, many entries in each transaction.
//!
//! While a transaction is being committed, the entries that come wait, and
//! make up the next one together. So one writer is as quick as its store can
//! commit, and an entry is never later than the commit after the one under way.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::append::{Appended, fitting};
use super::chunk::{LENGTH_SIZE_BYTES, MAX_ENTRY_SIZE_BYTES};
use super::error::LogError;
use super::handle::{Log, MAX_APPEND_SIZE_BYTES};
use crate::database::Transaction;
use crate::store::Key;

/// What a [`LogWriter`] asks in each of its transactions: whether it still
/// may, for instance whether a lease has the epoch it had; if not, it answers
/// [`LogError::Fenced`]. What it reads is checked at the commit.
pub type Fence =
    Arc<dyn for<'t> Fn(&'t mut Transaction) -> BoxFuture<'t, Result<(), LogError>> + Send + Sync>;

/// What an entry counts beside its bytes: about what it takes in memory, so
/// that empty ones are bounded too.
const ENTRY_OVERHEAD_BYTES: usize = 64;
/// Entries that were taken and are not committed: one transaction under way
/// and one that fills up.
const BUFFERED_BYTES: usize = 2 * MAX_APPEND_SIZE_BYTES;

/// Appends to a log what it is given, in the background.
///
/// Holds up to two transactions' worth of entries (each
/// [`MAX_APPEND_SIZE_BYTES`], an entry counting 68 bytes more than it has);
/// who writes more waits. After an error it
/// writes nothing more, and each call answers that error. Dropping it
/// leaves what was not flushed appended or not, as a beginning of it.
///
/// It runs in the tokio runtime that it was made in.
pub struct LogWriter {
    log: Log,
    room: Arc<Semaphore>,
    sender: mpsc::UnboundedSender<Message>,
    failed: Arc<Mutex<Option<Arc<LogError>>>>,
    task: JoinHandle<()>,
}

enum Message {
    Entry(Bytes, OwnedSemaphorePermit),
    Flush(oneshot::Sender<u64>),
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Log {
    /// A writer whose first entry has the number `first`; those that the log
    /// has already are taken as sent again. `fence` is asked in each
    /// transaction. Must be called within a tokio runtime.
    pub fn writer(&self, first: u64, fence: Option<Fence>) -> LogWriter {
        let (sender, receiver) = mpsc::unbounded_channel();
        let failed = Arc::new(Mutex::new(None));
        let task = Task {
            log: self.clone(),
            fence,
            next: first,
            tail: None,
            receiver,
            entries: Vec::new(),
            permits: Vec::new(),
            flushes: Vec::new(),
        };
        LogWriter {
            log: self.clone(),
            room: Arc::new(Semaphore::new(BUFFERED_BYTES)),
            sender,
            failed: failed.clone(),
            task: tokio::spawn(task.run(failed)),
        }
    }
}

impl LogWriter {
    /// Takes an entry to be appended; waits while too many are. An entry whose
    /// future was dropped before it was ready was not taken.
    ///
    /// # Errors
    /// [`LogError::EntryTooLarge`], after which it goes on without that
    /// entry; otherwise why it cannot append.
    pub async fn write(&self, entry: Bytes) -> Result<(), Arc<LogError>> {
        let size_bytes = entry.len();
        if size_bytes > MAX_ENTRY_SIZE_BYTES {
            let log = self.log.to_string();
            return Err(Arc::new(LogError::EntryTooLarge { log, size_bytes }));
        }
        let size = (LENGTH_SIZE_BYTES + ENTRY_OVERHEAD_BYTES + size_bytes) as u32;
        let Ok(permit) = self.room.clone().acquire_many_owned(size).await else {
            return Err(self.error());
        };
        self.sender.send(Message::Entry(entry, permit)).map_err(|_| self.error())
    }

    /// Waits until all entries taken before are appended, durably; returns the
    /// number of the next one.
    ///
    /// # Errors
    /// Why they could not be.
    pub async fn flush(&self) -> Result<u64, Arc<LogError>> {
        let (done, flushed) = oneshot::channel();
        self.sender.send(Message::Flush(done)).map_err(|_| self.error())?;
        flushed.await.map_err(|_| self.error())
    }

    fn error(&self) -> Arc<LogError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        // Without one the runtime has ended, and the log with it.
        failed.clone().unwrap_or_else(|| Arc::new(self.log.not_found()))
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    log: Log,
    fence: Option<Fence>,
    next: u64,
    /// Where the last chunk is if it can be grown.
    tail: Option<Key>,
    receiver: mpsc::UnboundedReceiver<Message>,
    /// What waits to be appended.
    entries: Vec<Bytes>,
    permits: Vec<OwnedSemaphorePermit>,
    /// Who waits for it, and up to which of the entries that wait.
    flushes: Vec<(usize, oneshot::Sender<u64>)>,
}

impl Task {
    async fn run(mut self, failed: Arc<Mutex<Option<Arc<LogError>>>>) {
        while self.receive().await {
            if let Err(error) = self.append().await {
                tracing::debug!(log = %self.log, %error, "entries cannot be appended");
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(error));
                // Before the waiting ones are dropped with it: they look for the error then.
                return;
            }
        }
    }

    /// Takes all that came; waits for the first. `false` when no more will come.
    async fn receive(&mut self) -> bool {
        if self.entries.is_empty() {
            let Some(message) = self.receiver.recv().await else { return false };
            self.take(message);
        }
        while let Ok(message) = self.receiver.try_recv() {
            self.take(message);
        }
        true
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Entry(entry, permit) => {
                self.entries.push(entry);
                self.permits.push(permit);
            }
            Message::Flush(done) => self.flushes.push((self.entries.len(), done)),
        }
    }

    /// Appends as many as go into one transaction.
    async fn append(&mut self) -> Result<(), LogError> {
        let count = fitting(&self.entries);
        if count > 0 {
            self.commit(self.entries[..count].to_vec()).await?;
            self.next = self.next.saturating_add(count as u64);
            self.entries.drain(..count);
            self.permits.drain(..count);
        }
        let mut later = Vec::new();
        for (up_to, done) in self.flushes.drain(..) {
            match up_to.checked_sub(count) {
                // Whoever waited may have gone.
                None | Some(0) => drop(done.send(self.next)),
                Some(up_to) => later.push((up_to, done)),
            }
        }
        self.flushes = later;
        Ok(())
    }

    async fn commit(&mut self, entries: Vec<Bytes>) -> Result<(), LogError> {
        let entries: Arc<[Bytes]> = entries.into();
        let (log, fence, first) = (self.log.clone(), self.fence.clone(), self.next);
        let tail = self.tail.take();
        let (_, tail): (Appended, _) = self
            .log
            .database()
            .transact(move |transaction| {
                let (log, entries) = (log.clone(), entries.clone());
                let (fence, tail) = (fence.clone(), tail.clone());
                Box::pin(async move {
                    if let Some(fence) = fence {
                        fence(transaction).await?;
                    }
                    log.append_after(transaction, first, &entries, tail.as_ref()).await
                })
            })
            .await?;
        self.tail = tail;
        Ok(())
    }
}
