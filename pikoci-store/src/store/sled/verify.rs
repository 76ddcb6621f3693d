//! Tells what is wrong with a directory, and leaves what is stored as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::codec::FORMAT;
use super::engine::SPARE_BYTES;
use super::files;
use super::open::{contain, sled_error, start, unopened};
use super::survey::Survey;
use crate::error::{OpenError, OpenErrorKind};
use crate::store::lock::HolderLock;

/// Lists what is wrong with the store in the directory `path`; nothing if it
/// is whole. The last line tells how many entries can be read. What is there
/// is not repaired: sled, which would, gets a copy inside the directory, which
/// is removed at the end, or by the next to open or check it.
///
/// # Errors
/// When it cannot be looked at: it is not there, in use, or no store, or the
/// disk has no room for the copy.
pub(crate) async fn verify(path: &Path) -> Result<Vec<String>, OpenError> {
    let path = path.to_owned();
    let verifying = tokio::task::spawn_blocking(move || look(&path));
    verifying.await.unwrap_or_else(|error| {
        let message = "the thread that reads the store ended early";
        Err(OpenError::new(OpenErrorKind::Unavailable, message).caused_by(error))
    })
}

fn look(path: &Path) -> Result<Vec<String>, OpenError> {
    let failed = |error| unopened(path, error);
    let entries = fs::read_dir(path).map_err(failed)?;
    drop(entries);
    if let Some(stranger) = files::stranger(path).map_err(failed)? {
        return Err(files::strange(path, &stranger));
    }
    let _lock = HolderLock::take(&path.join(files::LOCK), path)?;
    let known = files::known_revision(path).map_err(failed)?;
    let copy = Copy::new(path)?;

    let mut survey = Survey::default();
    let looked = contain(path, || {
        let db = start(&copy.path)?;
        survey = Survey::head(&db).map_err(|error| sled_error(path, error))?;
        match survey.format {
            Some(FORMAT) => survey.entries(&db),
            None if known.is_none() => {}
            None => survey.problems.push(files::EMPTY.to_owned()),
            Some(other) => return Err(files::other_format(path, other)),
        }
        Ok(())
    });
    match looked {
        Ok(()) => survey.at_least(known),
        Err(error) if error.kind == OpenErrorKind::Damaged => {
            let source = error.source.map_or(error.message, |source| source.to_string());
            survey.problems.push(format!("it cannot be opened: {source}"));
        }
        Err(error) => return Err(error),
    }
    if !survey.problems.is_empty() {
        survey.problems.push(survey.tally.readable(&survey.head.tally));
    }
    Ok(survey.problems)
}

/// A copy of a store inside its directory, which goes away with this.
struct Copy<'a> {
    store: &'a Path,
    path: PathBuf,
}

impl<'a> Copy<'a> {
    fn new(store: &'a Path) -> Result<Self, OpenError> {
        let failed = |error| unopened(store, error);
        files::remove_copy(store).map_err(failed)?;
        room_for(store, size_bytes(store).map_err(failed)?)?;
        let copy = Self { store, path: store.join(files::CHECK) };
        copy.fill().map_err(failed)?;
        Ok(copy)
    }

    fn fill(&self) -> io::Result<()> {
        files::create(&self.path)?;
        for entry in fs::read_dir(self.store)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != files::CHECK && name != files::LOCK {
                copy_all(&entry.path(), &self.path.join(name))?;
            }
        }
        Ok(())
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        if let Err(error) = files::remove_copy(self.store) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove a copy");
        }
    }
}

/// Whether the disk has room for a copy of a store.
fn room_for(store: &Path, size_bytes: u64) -> Result<(), OpenError> {
    // A file system that does not tell is not asked.
    let Ok(room) = rustix::fs::statvfs(store) else { return Ok(()) };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let needed = size_bytes.saturating_add(SPARE_BYTES);
    if free < needed {
        let message = format!(
            "cannot check `{}`: that makes a copy in it, which needs {} MiB, and the disk has {} \
             MiB left; make room, or copy it to another disk and check it there",
            store.display(),
            needed >> 20,
            free >> 20,
        );
        return Err(OpenError::new(OpenErrorKind::Unavailable, message));
    }
    Ok(())
}

/// The bytes of all files below a directory.
fn size_bytes(path: &Path) -> io::Result<u64> {
    let mut size = 0_u64;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let data = entry.metadata()?;
        let more = if data.is_dir() { size_bytes(&entry.path())? } else { data.len() };
        size = size.saturating_add(more);
    }
    Ok(size)
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    files::create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
