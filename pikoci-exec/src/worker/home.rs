//! What a worker leaves for the next one at its place: `worker.lock`, which
//! only a live one holds and which says who it is, and `worker.session`, the
//! session that it works in.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use pikoci_core::dispatch::SessionId;
use rustix::fs::{FlockOperation, flock};

use super::WorkerError;
use crate::workspace::{at, private_dir};

/// The directory of a worker's journal, locked.
#[derive(Debug)]
pub(super) struct Home {
    lock: File,
    session: PathBuf,
}

impl Drop for Home {
    fn drop(&mut self) {
        // A process that is just being started may have a copy of the open
        // file for a moment; closing ours alone would not end the lock.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

impl Home {
    /// Takes the directory, which is made where there is none.
    pub(super) fn open(directory: &Path, name: &str) -> Result<Self, WorkerError> {
        let path = directory.join("worker.lock");
        let cannot = |error| WorkerError::Directory { error: at(&path, error) };
        private_dir(directory).map_err(|error| WorkerError::Directory { error })?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(&path).map_err(cannot)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Without its words there is still something to say.
                let _ = lock.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another worker".to_owned(),
                    holder => holder.to_owned(),
                };
                return Err(WorkerError::InUse { directory: directory.to_path_buf(), holder });
            }
            Err(error) => return Err(cannot(error.into())),
        }
        lock.set_len(0).map_err(cannot)?;
        writeln!(lock, "worker `{name}` (process {})", std::process::id()).map_err(cannot)?;
        Ok(Self { lock, session: directory.join("worker.session") })
    }

    /// The session of the worker before, if it did not end it itself.
    pub(super) fn last_session(&self) -> Option<SessionId> {
        let text = fs::read_to_string(&self.session).ok()?;
        text.trim().parse().ok().map(SessionId)
    }

    /// Says which session the worker works in now.
    pub(super) fn remember(&self, session: SessionId) -> io::Result<()> {
        let fresh = self.session.with_extension("fresh");
        fs::write(&fresh, format!("{session}\n")).map_err(|it| at(&fresh, it))?;
        fs::rename(&fresh, &self.session).map_err(|it| at(&self.session, it))
    }

    /// The session was ended; there is nothing to say of it.
    pub(super) fn forget(&self) {
        // One that is still named is ended twice, which does nothing.
        let _ = fs::remove_file(&self.session);
    }
}
