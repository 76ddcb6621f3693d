//! A [`Store`] of one's own: a file that only grows, and all of it in memory.
//!
//! Every commit is a line of the file: the digest of what follows, a space,
//! and JSON. A line counts once it is synced; one that is not whole was never
//! answered for, and is cut off when the file is opened. A store for work would
//! write the file anew now and then, and not look at every key in each scan.
//!
//! `tests/log_store.rs` runs the public suite over it: so you know it is right.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use pikoci_core::blob::Digest;
use pikoci_core::store::{
    Entry, Key, KeyRange, Order, Outcome, Revision, Store, StoreError, StoreErrorKind, Txn, Write,
};
use serde::{Deserialize, Serialize};

/// A store in one file.
#[derive(Debug)]
pub struct LogStore {
    path: PathBuf,
    log: Arc<Mutex<Option<Log>>>,
}

#[derive(Debug)]
struct Log {
    file: File,
    /// How much of the file counts.
    length: u64,
    entries: BTreeMap<Key, Entry>,
    revision: u64,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    revision: u64,
    /// Keys and their values; none for a delete.
    writes: Vec<(Bytes, Option<Bytes>)>,
}

impl LogStore {
    /// Opens the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be read, or another process has it open.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file =
            File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        file.try_lock()?;
        let mut log = Log { file, length: 0, entries: BTreeMap::new(), revision: 0 };
        let mut lines = BufReader::new(log.file.try_clone()?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 && log.replay(&line).is_some() {
            log.length += line.len() as u64;
            line.clear();
        }
        log.file.set_len(log.length)?;
        log.file.sync_all()?;
        // The file itself may be new in its directory.
        File::open(path.canonicalize()?.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        Ok(Self { path: path.to_owned(), log: Arc::new(Mutex::new(Some(log))) })
    }

    /// Does `work`, which may wait for the disk, in a thread for that. It runs
    /// to its end also when this future is dropped: a commit is never half done.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Log) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let log = self.log.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let done = work(log.as_mut().ok_or_else(StoreError::closed)?);
            if done.as_ref().is_err_and(|error| error.kind == StoreErrorKind::Unknown) {
                // Only the next opening can tell what is in the file.
                log.take();
            }
            done
        });
        done.await.unwrap_or_else(|error| {
            Err(StoreError::unknown("the work was cut off").caused_by(error))
        })
    }
}

impl Log {
    /// Applies a line of the file; `None` when it is not whole.
    fn replay(&mut self, line: &[u8]) -> Option<()> {
        let (digest, json) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.split_once(' ')?;
        if digest != Digest::of(json.as_bytes()).to_hex() {
            return None;
        }
        let line: Line = serde_json::from_str(json).ok()?;
        self.apply(line).ok()
    }

    fn apply(&mut self, line: Line) -> Result<(), StoreError> {
        self.revision = line.revision;
        let revision = Revision(line.revision);
        for (key, value) in line.writes {
            let key = Key::new(key)?;
            match value {
                Some(value) => self.entries.insert(key, Entry { value, revision }),
                None => self.entries.remove(&key),
            };
        }
        Ok(())
    }

    /// Adds a line to the file, durably.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.seek(io::SeekFrom::Start(self.length))?;
        self.file.write_all(line)?;
        self.file.sync_data()?;
        self.length += line.len() as u64;
        Ok(())
    }

    fn commit(&mut self, txn: &Txn) -> Result<Outcome, StoreError> {
        let revision_of = |key: &Key| self.entries.get(key).map(|entry| entry.revision);
        if txn.checks.iter().any(|check| revision_of(&check.key) != check.revision) {
            return Ok(Outcome::Conflict);
        }
        let of = |write: &Write| (write.key().to_bytes(), write.value().cloned());
        let line =
            Line { revision: self.revision + 1, writes: txn.writes.iter().map(of).collect() };
        let json = serde_json::to_string(&line)
            .map_err(|error| StoreError::invalid("it cannot be written").caused_by(error))?;
        let text = format!("{} {json}\n", Digest::of(json.as_bytes()).to_hex());
        if let Err(error) = self.append(text.as_bytes()) {
            // What may be there of the line must not count after all.
            let undone = self.file.set_len(self.length).and_then(|()| self.file.sync_all());
            return Err(match undone {
                Ok(()) => StoreError::unavailable("cannot write the log").caused_by(error),
                Err(_) => StoreError::unknown("cannot write the log").caused_by(error),
            });
        }
        self.apply(line)?;
        Ok(Outcome::Committed(Revision(self.revision)))
    }
}

#[async_trait]
impl Store for LogStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        let keys = keys.to_vec();
        self.with(move |log| Ok(keys.iter().map(|key| log.entries.get(key).cloned()).collect()))
            .await
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let range = range.clone();
        self.with(move |log| {
            let inside = log.entries.iter().filter(|(key, _)| range.contains(key));
            let owned = inside.map(|(key, entry)| (key.clone(), entry.clone()));
            Ok(match order {
                Order::Ascending => owned.take(limit).collect(),
                Order::Descending => owned.rev().take(limit).collect(),
            })
        })
        .await
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let txn = txn.clone();
        self.with(move |log| log.commit(&txn)).await
    }

    /// It could: see [`ChangeFeed`](pikoci_core::store::ChangeFeed).
    fn watch(&self, _range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        None
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }
}

impl fmt::Display for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log:{}", self.path.display())
    }
}
