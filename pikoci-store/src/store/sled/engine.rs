//! The one thread that writes to sled.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::{fs, io};

use pikoci_core::store::{ChangeFeed, Entry, Key, Outcome, StoreError, Txn};

use super::files;
use super::step::{Held, Step};
use super::view::{ReadError, View};
use crate::store::group::{Fate, GroupBackend, GroupError};
use crate::store::head::Head;
use crate::store::lock::HolderLock;
use crate::store::plan::Plan;
use crate::store::recent::Recent;

/// What a group leaves free on the disk: sled cannot go on after it met a full one.
pub(super) const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// What readers share with the writer; `None` once the store is closed.
pub(super) type Shared = Arc<RwLock<Option<View>>>;

/// Writes groups of commits to sled and makes them durable.
pub(super) struct Engine {
    pub(super) path: PathBuf,
    pub(super) shared: Shared,
    pub(super) feed: Arc<ChangeFeed>,
    pub(super) db: Option<sled::Db>,
    pub(super) head: Head,
    pub(super) syncer: Syncer,
    pub(super) lock: Option<HolderLock>,
}

impl GroupBackend for Engine {
    fn apply(&mut self, txns: &[Txn], recent: &Recent) -> Result<Vec<Outcome>, GroupError> {
        let Some(db) = &self.db else {
            return Err(GroupError::new(Fate::NotDone, "the store is closed"));
        };
        let mut plan = Plan::new(self.head);
        let outcomes: Result<Vec<Outcome>, ReadError> =
            txns.iter().map(|txn| plan.add(txn, |key| Held::read(db, key))).collect();
        let outcomes = outcomes.map_err(|error| self.unread(error))?;
        if plan.is_empty() {
            return Ok(outcomes);
        }
        let recent = recent.encode(txns, &outcomes);
        self.write(Step::new(plan, &recent))?;
        for (txn, outcome) in txns.iter().zip(&outcomes) {
            if matches!(outcome, Outcome::Committed(_)) {
                self.feed.committed(txn);
            }
        }
        Ok(outcomes)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.feed.close();
        let view = self.shared.write().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        // The last handles: sled lets go of its file before the lock goes.
        drop(view);
        self.db = None;
        let known = files::know_revision(&self.path, self.head.revision);
        self.lock = None;
        known.map_err(|error| {
            let message = format!("cannot close `{}` in order", self.path.display());
            StoreError::unavailable(message).caused_by(error)
        })
    }
}

impl Engine {
    /// Writes a step so that readers see all of it or nothing, and only once
    /// it is durable. They do not wait for the disk meanwhile: what the keys
    /// held before hides what they hold now.
    fn write(&mut self, step: Step) -> Result<(), GroupError> {
        self.room_for(step.size_bytes)?;
        let Some(db) = &self.db else { return Ok(()) };
        self.hide(step.before);
        // From here on an error leaves the step hidden, for good: it may or
        // may not be on the disk.
        db.apply_batch(step.batch).map_err(|error| self.unwritten(error))?;
        db.flush().map_err(|error| self.unwritten(error))?;
        self.syncer.sync().map_err(|error| self.unwritten(error))?;
        self.head = step.head;
        self.hide(BTreeMap::new());
        Ok(())
    }

    /// Has readers see what `before` holds where it says something.
    fn hide(&self, before: BTreeMap<Key, Option<Entry>>) {
        let mut view = self.shared.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(view) = &mut *view {
            view.before = before;
        }
    }

    /// Whether the disk has room for a step.
    fn room_for(&self, size_bytes: usize) -> Result<(), GroupError> {
        // A file system that does not tell is not asked.
        let Ok(room) = rustix::fs::statvfs(&self.path) else { return Ok(()) };
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if free < SPARE_BYTES + 2 * size_bytes as u64 {
            let message = format!(
                "the disk of `{}` is full: it has {} MiB left, {} are kept free",
                self.path.display(),
                free >> 20,
                SPARE_BYTES >> 20,
            );
            return Err(GroupError::new(Fate::NotDone, message));
        }
        Ok(())
    }

    fn unread(&self, error: ReadError) -> GroupError {
        let (fate, message) = match &error {
            ReadError::Sled(sled::Error::Io(_)) => {
                (Fate::NotDone, format!("cannot read `{}`", self.path.display()))
            }
            _ => (Fate::Damaged, damaged(&self.path)),
        };
        GroupError::new(fate, message).caused_by(error)
    }

    fn unwritten(&self, error: impl std::error::Error + Send + Sync + 'static) -> GroupError {
        let message = format!("cannot write to `{}`", self.path.display());
        GroupError::new(Fate::Unknown, message).caused_by(error)
    }
}

/// What to say where sled reads something that makes no sense.
pub(super) fn damaged(path: &Path) -> String {
    let path = path.display();
    format!(
        "the store at `{path}` is damaged; `pikoci store check sled:{path}` tells what can be read"
    )
}

/// Makes durable what sled has written.
///
/// sled itself asks the system to write ranges of the file, which on Linux
/// neither empties the cache of the disk nor keeps the length of the file.
#[derive(Debug)]
pub(super) struct Syncer {
    data: File,
    blobs: PathBuf,
    directory: PathBuf,
}

impl Syncer {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let data = File::options().read(true).write(true).open(path.join("db"))?;
        Ok(Self { data, blobs: path.join("blobs"), directory: path.to_owned() })
    }

    /// After a flush.
    pub(super) fn sync(&self) -> io::Result<()> {
        // Pages so large that sled gives them a file of their own should not
        // arise here; if they do, they are synced too.
        let mut any = false;
        for blob in fs::read_dir(&self.blobs)? {
            match File::open(blob?.path()) {
                Ok(blob) => blob.sync_data()?,
                // sled has no use for it any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            any = true;
        }
        if any {
            File::open(&self.blobs)?.sync_all()?;
        }
        self.data.sync_data()
    }

    /// After the store was opened: its directories and the length of its files.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.data.sync_all()?;
        File::open(&self.blobs)?.sync_all()?;
        File::open(self.directory.join("conf"))?.sync_all()?;
        File::open(&self.directory)?.sync_all()?;
        match self.directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }
}
