//! The store in a sled database.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use pikoci_core::Store;
use pikoci_core::store::{ChangeFeed, Entry, Key, KeyRange, Order, Outcome, StoreError, Txn};

use super::engine::{Engine, Shared, damaged};
use super::open::{Opened, open};
use super::view::{ReadError, View};
use crate::error::{OpenError, OpenErrorKind};
use crate::store::group::GroupWriter;
use crate::store::panic::panic_text;

/// A [`Store`] in a directory, by the embedded database sled; for one process.
///
/// Commits that wait at the same time are made durable together, with one
/// sync of the file. What is read is always durable, and is read without
/// waiting for a commit.
///
/// All entries are read once when it is opened, which takes about three seconds
/// for a million of them: a damaged file is found then, not in the middle of a build.
///
/// After the disk failed, each commit is answered with an error until the
/// store is opened again. A store that is dropped without
/// [`close`](Store::close) does what it had accepted, and lets go of the
/// directory a moment later.
pub struct SledStore {
    path: PathBuf,
    shared: Shared,
    feed: Arc<ChangeFeed>,
    writer: GroupWriter,
}

impl SledStore {
    /// Opens the store in the directory `path`, which is made, for its owner
    /// only, if it is not there.
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
        let Opened { db, survey, syncer, lock } = open(&path)?;
        let view = View { db: db.clone(), before: Default::default() };
        let shared = Arc::new(RwLock::new(Some(view)));
        let feed = Arc::new(ChangeFeed::new());
        let engine = Engine {
            path: path.clone(),
            shared: shared.clone(),
            feed: feed.clone(),
            db: Some(db),
            head: survey.head,
            syncer,
            lock: Some(lock),
        };
        let writer = GroupWriter::start("pikoci-sled", engine, survey.recent).map_err(|error| {
            let message = "cannot start a thread for the store";
            OpenError::new(OpenErrorKind::Unavailable, message).caused_by(error)
        })?;
        Ok(Self { path, shared, feed, writer })
    }

    /// Lists what is wrong with the store in the directory `path`; nothing if it is
    /// whole. The last line tells how many entries can be read. Nothing that is
    /// stored is repaired or changed; meanwhile the lock of the store is held,
    /// and a copy of it stands in its directory.
    ///
    /// # Errors
    /// When it cannot be looked at: it is not there, in use, or no store, or
    /// the disk has no room for the copy.
    pub async fn verify(path: impl AsRef<Path>) -> Result<Vec<String>, OpenError> {
        super::verify(path.as_ref()).await
    }

    /// How many groups of commits were done since it was opened: each with one
    /// sync of the file, or none where nothing was to be written.
    pub fn groups(&self) -> u64 {
        self.writer.groups()
    }

    /// Reads in a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (shared, path) = (self.shared.clone(), self.path.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let view = shared.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            let Some(view) = &*view else { return Err(StoreError::closed()) };
            // sled may panic where its files are damaged.
            match catch_unwind(AssertUnwindSafe(|| read(view))) {
                Ok(read) => read.map_err(|error| unread(&path, error)),
                Err(panic) => {
                    let text = panic_text(&*panic);
                    Err(StoreError::damaged(format!("{} (sled: {text})", damaged(&path))))
                }
            }
        });
        reading.await.unwrap_or_else(|error| {
            let message = "the thread that reads the store ended early";
            Err(StoreError::unavailable(message).caused_by(error))
        })
    }
}

fn unread(path: &Path, error: ReadError) -> StoreError {
    let unread = match error {
        ReadError::Sled(sled::Error::Io(_)) => {
            StoreError::unavailable(format!("cannot read `{}`", path.display()))
        }
        _ => StoreError::damaged(damaged(path)),
    };
    unread.caused_by(error)
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Display for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sled:{}", self.path.display())
    }
}

#[async_trait]
impl Store for SledStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |view| keys.iter().map(|key| view.get(key)).collect()).await
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let range = range.clone();
        self.read(move |view| view.scan(&range, order, limit)).await
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
