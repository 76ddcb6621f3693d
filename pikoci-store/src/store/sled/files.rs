//! The directory of a sled store: what it may hold, and who may read it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::codec::FORMAT;
use crate::error::{OpenError, OpenErrorKind};

/// Where the lock stands.
pub(super) const LOCK: &str = "lock";

/// The greatest revision that was durable when the store was last closed or opened.
const REVISION: &str = "revision";

/// Where a copy for a check stands while it runs; a killed check leaves it.
pub(super) const CHECK: &str = "check.new";

/// What to say where all is gone.
pub(super) const EMPTY: &str = "it is empty and was not";

/// Makes the directory, for its owner only, if it is not there.
pub(super) fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The name of something in the directory that neither sled nor this store put there.
pub(super) fn stranger(path: &Path) -> io::Result<Option<String>> {
    let mut strangers = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let ours = matches!(&*name, LOCK | REVISION | "db" | "conf" | "blobs")
            || ["snap.", "revision."].iter().any(|start| name.starts_with(start))
            || (name == CHECK && is_copy(&path.join(CHECK))?);
        if !ours {
            strangers.push(name);
        }
    }
    Ok(strangers.into_iter().min())
}

/// Whether a check made what is there.
fn is_copy(path: &Path) -> io::Result<bool> {
    match stranger(path) {
        Ok(stranger) => Ok(stranger.is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        // The check ended just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Removes the copy that a check made, if it is there.
pub(super) fn remove_copy(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path.join(CHECK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// What to say where there is a stranger.
pub(super) fn strange(path: &Path, stranger: &str) -> OpenError {
    let path = path.display();
    let message = format!(
        "`{path}` is not a directory of a store: it holds `{stranger}`; choose an empty one"
    );
    OpenError::new(OpenErrorKind::Format, message)
}

/// What to say of a format that this program does not read; 0 is something else.
pub(super) fn other_format(path: &Path, format: u32) -> OpenError {
    let path = path.display();
    let message = match format {
        0 => format!("`{path}` is a sled database of something else; choose another name"),
        newer => format!(
            "the store at `{path}` has format {newer}, this program reads {FORMAT}; \
             use a newer version of it"
        ),
    };
    OpenError::new(OpenErrorKind::Format, message)
}

/// Keeps others from reading what sled made.
pub(super) fn protect(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let mode = if entry.file_type()?.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// The revision that the store must have reached; `None` if it was never opened.
///
/// sled takes a damaged end of its log for one that was never written. This
/// tells the two apart, for a store that was closed in order.
pub(super) fn known_revision(path: &Path) -> io::Result<Option<u64>> {
    match fs::read_to_string(path.join(REVISION)) {
        // What is not a number tells no more than that there was a store.
        Ok(text) => Ok(Some(text.trim().parse().unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

/// Writes down that the store has reached a revision, durably.
pub(super) fn know_revision(path: &Path, revision: u64) -> io::Result<()> {
    let new = path.join("revision.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(format!("{revision}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path.join(REVISION))?;
    File::open(path)?.sync_all()
}
