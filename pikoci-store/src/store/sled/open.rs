//! Opens sled, and finds out whether what it holds is ours and whole.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::codec::{FORMAT, FORMAT_KEY, STATE_KEY};
use super::engine::{Syncer, damaged};
use super::files;
use super::survey::Survey;
use crate::error::{OpenError, OpenErrorKind};
use crate::store::lock::{HolderLock, io_kind};
use crate::store::panic::panic_text;

/// How sled cuts its file. A page that is larger than a quarter of it gets a
/// file of its own, which is not always given back: no page here is.
const SEGMENT_SIZE_BYTES: usize = 2 * 1024 * 1024;

/// What sled keeps in memory of what it read and wrote.
const CACHE_SIZE_BYTES: u64 = 16 * 1024 * 1024;

/// How long to wait for sled's own lock: after a close, a thread of its may
/// hold the file for a moment more.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A store that was opened.
pub(super) struct Opened {
    pub(super) db: sled::Db,
    pub(super) survey: Survey,
    pub(super) syncer: Syncer,
    pub(super) lock: HolderLock,
}

/// Opens the directory, which is made if it is not there. Blocks the thread.
pub(super) fn open(path: &Path) -> Result<Opened, OpenError> {
    let failed = |error| unopened(path, error);
    files::create(path).map_err(failed)?;
    if let Some(stranger) = files::stranger(path).map_err(failed)? {
        return Err(files::strange(path, &stranger));
    }
    let lock = HolderLock::take(&path.join(files::LOCK), path)?;
    files::remove_copy(path).map_err(failed)?;
    let (db, survey) = contain(path, || {
        let db = start(path)?;
        let survey = examine(path, &db)?;
        Ok((db, survey))
    })?;
    let syncer = Syncer::new(path).map_err(failed)?;
    syncer.sync_all().map_err(failed)?;
    files::protect(path).map_err(failed)?;
    files::know_revision(path, survey.head.revision).map_err(failed)?;
    Ok(Opened { db, survey, syncer, lock })
}

/// Starts sled on a directory.
pub(super) fn start(path: &Path) -> Result<sled::Db, OpenError> {
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        let config = sled::Config::new()
            .path(path)
            .segment_size(SEGMENT_SIZE_BYTES)
            .cache_capacity(CACHE_SIZE_BYTES)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(None);
        match config.open() {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && Instant::now() < patience =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.map_err(|error| sled_error(path, error)),
        }
    }
}

/// Reads all there is. A new store is made where there is none.
fn examine(path: &Path, db: &sled::Db) -> Result<Survey, OpenError> {
    let mut survey = Survey::head(db).map_err(|error| sled_error(path, error))?;
    let known = files::known_revision(path).map_err(|error| unopened(path, error))?;
    match survey.format {
        Some(FORMAT) => {}
        None if known.is_none() => {
            let mut batch = sled::Batch::default();
            batch.insert(FORMAT_KEY, &FORMAT.to_be_bytes());
            batch.insert(STATE_KEY, survey.head.encode(&[]));
            db.apply_batch(batch).map_err(|error| sled_error(path, error))?;
            db.flush().map_err(|error| sled_error(path, error))?;
            return Ok(survey);
        }
        None => survey.problems.push(files::EMPTY.to_owned()),
        Some(other) => return Err(files::other_format(path, other)),
    }
    survey.entries(db);
    survey.at_least(known);
    match survey.problems.first() {
        Some(problem) => {
            Err(OpenError::new(OpenErrorKind::Damaged, format!("{} ({problem})", damaged(path))))
        }
        None => Ok(survey),
    }
}

/// What `opening` returns; sled may panic where its files are damaged.
pub(super) fn contain<T>(
    path: &Path,
    opening: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(opening)).unwrap_or_else(|panic| {
        let source = format!("sled panicked: {}", panic_text(&*panic));
        Err(OpenError::new(OpenErrorKind::Damaged, damaged(path)).caused_by(source))
    })
}

pub(super) fn unopened(path: &Path, error: io::Error) -> OpenError {
    OpenError::new(io_kind(&error), format!("cannot open `{}`", path.display())).caused_by(error)
}

/// What sled's error means for who opens a store.
pub(super) fn sled_error(path: &Path, error: sled::Error) -> OpenError {
    match error {
        sled::Error::Io(error) if error.raw_os_error().is_some() => unopened(path, error),
        sled::Error::Unsupported(why) => {
            let message = format!("`{}` was not made by this version: {why}", path.display());
            OpenError::new(OpenErrorKind::Format, message)
        }
        error => OpenError::new(OpenErrorKind::Damaged, damaged(path)).caused_by(error),
    }
}
