//! Blobs in a local directory: `file:PATH`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;

use super::object::ObjectBlobStore;
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// How much is written at a time: memory holds two of these for each put.
const PART_BYTES: usize = 1024 * 1024;

/// Opens the blobs in the directory that `url` names; makes it if there is none.
pub(crate) async fn open(url: &BackendUrl) -> Result<ObjectBlobStore, OpenError> {
    let path = url.path()?.to_owned();
    let shown = url.to_string();
    let made = tokio::task::spawn_blocking(move || prepare(&path)).await;
    let directory = made.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenErrorKind::Refused
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => OpenErrorKind::Url,
            _ => OpenErrorKind::Unavailable,
        };
        OpenError::new(kind, format!("`{shown}` cannot be used as a directory of blobs"))
            .caused_by(error)
    })?;
    let store = LocalFileSystem::new_with_prefix(&directory).map_err(|error| {
        OpenError::new(OpenErrorKind::Unavailable, format!("`{shown}` cannot be opened"))
            .caused_by(error)
    })?;
    let name = format!("file:{}", directory.display());
    Ok(ObjectBlobStore::in_directory(name, Arc::new(store.with_fsync(true)), directory, PART_BYTES))
}

/// Makes every directory that is needed, for the owner alone, and makes them
/// last. They are all made here, since two puts that make one at the same
/// time cannot tell which of them has to sync the directory above.
fn prepare(path: &Path) -> io::Result<PathBuf> {
    let is_new = !path.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let root = fs::canonicalize(path)?;
    let blobs = root.join("sha256");
    let groups = (0..=u8::MAX).map(|group| blobs.join(format!("{group:02x}")));
    for directory in [root.join("tmp"), blobs.clone()].into_iter().chain(groups) {
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
            made => made?,
        }
    }
    // Also when they were there: who made them may not have come to this line.
    sync(&blobs)?;
    sync(&root)?;
    if is_new {
        root.ancestors().skip(1).try_for_each(|directory| match sync(directory) {
            // What lies above may be for others to read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        })?;
    }
    Ok(root)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
