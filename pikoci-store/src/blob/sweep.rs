//! Removes what puts left behind that were killed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use object_store::ObjectStoreExt;
use tokio::task::JoinHandle;

use super::layout::{Place, is_upload};

/// How old what is removed must be: no put is that slow.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// A task that sweeps at once and then every day, until it is dropped.
#[derive(Debug)]
pub(super) struct Sweeper(JoinHandle<()>);

impl Sweeper {
    pub(super) fn start(place: Place) -> Self {
        Self(tokio::spawn(async move {
            loop {
                match sweep(&place).await {
                    Ok(0) => {}
                    Ok(count) => {
                        tracing::info!(store = %place.name, count, "removed uploads that never ended");
                    }
                    Err(error) => {
                        tracing::debug!(store = %place.name, %error, "could not look for old uploads");
                    }
                }
                tokio::time::sleep(OLD).await;
            }
        }))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Removes old uploads and tells how many there were.
async fn sweep(place: &Place) -> Result<usize, object_store::Error> {
    if let Some(directory) = place.directory.clone() {
        return Ok(tokio::task::spawn_blocking(move || sweep_directory(&directory)).await?);
    }
    let mut count = 0;
    let mut found = place.store.list(Some(&place.layout.uploads()));
    while let Some(object) = found.next().await {
        let object = object?;
        let written = SystemTime::from(object.last_modified);
        if place.layout.is_upload(&object.location) && is_old(written) {
            place.store.delete(&object.location).await?;
            count += 1;
        }
    }
    Ok(count)
}

fn is_old(written: SystemTime) -> bool {
    SystemTime::now().duration_since(written).is_ok_and(|age| age > OLD)
}

/// `object_store` writes a file as `NAME#1` (or a higher number) until it is
/// whole, and does not list such files.
fn sweep_directory(directory: &Path) -> usize {
    let ours = |name: &str| {
        let (name, number) = name.split_once('#').unwrap_or((name, "1"));
        number.parse::<u32>().is_ok() && is_upload(name)
    };
    let mut count = sweep_files(&directory.join("tmp"), ours).unwrap_or(0);
    let unfinished = |name: &str| {
        name.split_once('#').is_some_and(|(hex, number)| {
            number.parse::<u32>().is_ok() && pikoci_core::blob::Digest::from_hex(hex).is_ok()
        })
    };
    let groups = fs::read_dir(directory.join("sha256")).into_iter().flatten().flatten();
    for group in groups.filter(|group| group.file_name().len() == 2) {
        count += sweep_files(&group.path(), unfinished).unwrap_or(0);
    }
    count
}

/// Removes the old files of a directory whose names are `ours`.
fn sweep_files(directory: &Path, ours: impl Fn(&str) -> bool) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(directory)?.flatten() {
        if !entry.file_name().to_str().is_some_and(&ours) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file()
            && metadata.modified().is_ok_and(is_old)
            && fs::remove_file(entry.path()).is_ok()
        {
            count += 1;
        }
    }
    Ok(count)
}
