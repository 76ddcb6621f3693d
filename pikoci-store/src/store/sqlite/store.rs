//! The store in a file of SQLite.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use pikoci_core::Store;
use pikoci_core::store::{ChangeFeed, Entry, Key, KeyRange, Order, Outcome, StoreError, Txn};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::engine::{Engine, damaged};
use super::open::{Opened, open, options};
use super::rows::{self, ReadError};
use crate::error::{OpenError, OpenErrorKind};
use crate::store::group::GroupWriter;

/// How many read at the same time.
const READERS: u32 = 4;

/// How long a read waits for its turn.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// A [`Store`] in a file of SQLite; for one process.
///
/// SQLite would let several processes in. This store does not, by a lock on
/// `PATH.lock`: it tells those who watch of its own commits only, and one
/// writer makes all commits that wait durable with one sync. Other programs
/// may read the file at any time; they must not write to it.
///
/// All entries are read once when it is opened, with their check sums: a
/// damaged file is found then, not in the middle of a build.
///
/// A store that is dropped without [`close`](Store::close) does what it had
/// accepted, and lets go of the file a moment later.
pub struct SqliteStore {
    path: PathBuf,
    readers: SqlitePool,
    feed: Arc<ChangeFeed>,
    writer: GroupWriter,
}

impl SqliteStore {
    /// Opens the store in the file `path`, which is made, for its owner only,
    /// if it is not there, with its directories.
    ///
    /// # Errors
    /// When another process has it open, it is damaged, or is none.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(path));
        opening.await.unwrap_or_else(|error| {
            let message = "the thread that opens the store ended early";
            Err(OpenError::new(OpenErrorKind::Unavailable, message).caused_by(error))
        })
    }

    fn open_blocking(path: PathBuf) -> Result<Self, OpenError> {
        let Opened { runtime, connection, survey, lock } = open(&path)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READ_PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options(&path).read_only(true));
        let feed = Arc::new(ChangeFeed::new());
        let engine = Engine {
            path: path.clone(),
            feed: feed.clone(),
            runtime,
            connection: Some(connection),
            readers: readers.clone(),
            head: survey.head,
            lock: Some(lock),
            groups: 0,
        };
        let writer = GroupWriter::start("pikoci-sqlite", engine, survey.recent);
        let writer = writer.map_err(|error| {
            let message = "cannot start a thread for the store";
            OpenError::new(OpenErrorKind::Unavailable, message).caused_by(error)
        })?;
        Ok(Self { path, readers, feed, writer })
    }

    /// Lists what is wrong with the store in the file `path`; nothing if it is
    /// whole. The last line tells how many entries can be read. Nothing that is
    /// stored is repaired or changed; meanwhile the lock of the store is held.
    ///
    /// # Errors
    /// When it cannot be looked at: it is not there, in use, or no store.
    pub async fn verify(path: impl AsRef<Path>) -> Result<Vec<String>, OpenError> {
        super::verify(path.as_ref()).await
    }

    /// How many groups of commits were done since it was opened: each with one
    /// sync of the file, or none where nothing was to be written.
    pub fn groups(&self) -> u64 {
        self.writer.groups()
    }

    fn unread(&self, error: ReadError) -> StoreError {
        let unread = match &error {
            ReadError::Sql(sqlx::Error::PoolClosed) => return StoreError::closed(),
            error if error.is_damage() => StoreError::damaged(damaged(&self.path)),
            _ => StoreError::unavailable(format!("cannot read `{}`", self.path.display())),
        };
        unread.caused_by(error)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Display for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        // One statement sees one instant.
        let places = vec!["?"; keys.len()].join(", ");
        let statement =
            format!("SELECT key, revision, value, sum FROM entries WHERE key IN ({places})");
        // Nothing but question marks was put in.
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for key in keys {
            query = query.bind(key.as_bytes());
        }
        let found = query.fetch_all(&self.readers).await;
        let found = found.map_err(|error| self.unread(error.into()))?;
        let found: Result<HashMap<Key, Entry>, ReadError> = found.iter().map(rows::entry).collect();
        let found = found.map_err(|error| self.unread(error))?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let statement = match (range.end().is_some(), order) {
            (true, Order::Ascending) => {
                "SELECT key, revision, value, sum FROM entries \
                 WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
            }
            (true, Order::Descending) => {
                "SELECT key, revision, value, sum FROM entries \
                 WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT ?"
            }
            (false, Order::Ascending) => {
                "SELECT key, revision, value, sum FROM entries \
                 WHERE key >= ? ORDER BY key LIMIT ?"
            }
            (false, Order::Descending) => {
                "SELECT key, revision, value, sum FROM entries \
                 WHERE key >= ? ORDER BY key DESC LIMIT ?"
            }
        };
        let mut query = sqlx::query(statement).bind(&range.start()[..]);
        if let Some(end) = range.end() {
            query = query.bind(&end[..]);
        }
        query = query.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let found = query.fetch_all(&self.readers).await;
        let found = found.map_err(|error| self.unread(error.into()))?;
        let found: Result<_, ReadError> = found.iter().map(rows::entry).collect();
        found.map_err(|error| self.unread(error))
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        self.writer.commit(txn).await
    }

    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        Some(self.feed.subscribe(range))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.writer.close().await
    }
}
