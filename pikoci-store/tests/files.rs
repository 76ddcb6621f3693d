//! Blobs in a local directory.
#![cfg(feature = "files")]

#[path = "common/blobs.rs"]
mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use pikoci_core::BlobStore;
use pikoci_core::blob::{BlobError, BlobErrorKind, Digest, content};
use pikoci_core::testkit::conformance::blob::BlobFixture;
use pikoci_store::{OpenErrorKind, open_blobs};
use tempfile::TempDir;

use common::{bytes, child, list, pieces, read, until};

const MIB: usize = 1024 * 1024;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn open(directory: &Path) -> Arc<dyn BlobStore> {
    open_blobs(&format!("file:{}", directory.display())).await.expect("it opens")
}

fn file_of(directory: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.to_hex();
    directory.join("sha256").join(&hex[..2]).join(hex)
}

mod suite {
    use super::*;

    pub(crate) async fn fixture() -> Option<BlobFixture> {
        let dir = directory();
        let (blobs, other) = (open(dir.path()).await, open(dir.path()).await);
        Some(BlobFixture { blobs, other: Some(other), keep: Box::new(dir) })
    }

    pikoci_core::blob_conformance!(fixture);
}

mod faulty {
    use super::*;

    async fn fixture() -> Option<BlobFixture> {
        Some(suite::fixture().await?.faulty(4))
    }

    pikoci_core::blob_conformance!(fixture);
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it can be read").flatten();
    entries
        .flat_map(|entry| match entry.file_type().expect("a type").is_dir() {
            true => files(&entry.path()),
            false => vec![entry.path()],
        })
        .collect()
}

fn days_ago(path: &Path, days: u64) -> SystemTime {
    let time = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    let file = fs::File::options().write(true).open(path).expect("it can be opened");
    file.set_modified(time).expect("it takes a time");
    time
}

#[tokio::test]
async fn a_blob_of_any_size_is_read_back_whole_and_from_any_byte_on() {
    let dir = directory();
    let blobs = open(dir.path()).await;
    for (seed, size) in [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7].into_iter().enumerate() {
        let what = bytes(seed as u64, size);
        let blob = blobs.put(pieces(what.clone(), 300_001)).await.expect("it is put");
        assert_eq!(blob.digest, Digest::of(&what));
        assert_eq!(blob.size_bytes, size as u64);
        for from in [0, 1, size / 2, size.saturating_sub(1), size, size + 10] {
            let read = read(&*blobs, &blob.digest, from as u64).await.expect("it is read");
            assert!(read == what.slice(from.min(size)..), "{size} bytes from {from}");
        }
        assert!(fs::read(file_of(dir.path(), &blob.digest)).expect("a file") == what);
    }
    assert_eq!(list(&*blobs).await.len(), 6);
    assert_eq!(files(dir.path()).len(), 6, "there is nothing but the blobs");
}

#[tokio::test]
async fn nobody_but_the_owner_can_look_into_it() {
    let dir = directory();
    let path = dir.path().join("new/blobs");
    let blobs = open(&path).await;
    blobs.put(content("secret")).await.expect("it is put");
    for directory in ["", "tmp", "sha256", "sha256/00", "sha256/ff"] {
        let mode = fs::metadata(path.join(directory)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{directory}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_directory_is_refused_with_its_reason() {
    let dir = directory();
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("it is written");
    for path in [&file, &file.join("below")] {
        let error =
            open_blobs(&format!("file:{}", path.display())).await.expect_err("no directory");
        assert_eq!(error.kind, OpenErrorKind::Url, "{error:?}");
        assert!(error.message.contains("cannot be used as a directory of blobs"), "{error}");
    }
    assert_eq!(open_blobs("file:").await.expect_err("no path").kind, OpenErrorKind::Url);
}

#[tokio::test]
async fn putting_a_blob_again_counts_as_put_now() {
    let dir = directory();
    let blobs = open(dir.path()).await;
    for size in [10, 2 * MIB] {
        let what = bytes(1, size);
        let blob = blobs.put(content(what.clone())).await.expect("it is put");
        let old = days_ago(&file_of(dir.path(), &blob.digest), 40);
        let before = blobs.head(&blob.digest).await.expect("a head").expect("it is there");
        assert!(SystemTime::from(before.last_put) <= old + Duration::from_secs(1));
        blobs.put(content(what)).await.expect("it is put again");
        let after = blobs.head(&blob.digest).await.expect("a head").expect("it is there");
        let age = SystemTime::now().duration_since(after.last_put.into()).unwrap_or_default();
        assert!(age < Duration::from_secs(3600), "{age:?}");
    }
}

#[tokio::test]
async fn a_put_that_failed_or_was_dropped_leaves_nothing() {
    let dir = directory();
    let blobs = open(dir.path()).await;
    let torn = || {
        let whole = pieces(bytes(7, 3 * MIB), MIB / 2);
        let error = BlobError::new(BlobErrorKind::Content, "the source broke");
        whole.chain(stream::iter([Err(error)])).boxed()
    };
    let error = blobs.put(torn()).await.expect_err("it fails");
    assert_eq!(error.kind, BlobErrorKind::Content);
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());

    let endless = pieces(bytes(8, 3 * MIB), MIB / 2).chain(stream::pending()).boxed();
    let put = tokio::spawn({
        let blobs = blobs.clone();
        async move { blobs.put(endless).await }
    });
    let uploads = dir.path().join("tmp");
    let path = uploads.clone();
    tokio::task::spawn_blocking(move || until("it is on its way", || !files(&path).is_empty()))
        .await
        .expect("it began");
    put.abort();
    tokio::task::spawn_blocking(move || until("it is gone", || files(&uploads).is_empty()))
        .await
        .expect("it is cleared up");
    assert!(list(&*blobs).await.is_empty());
}

#[tokio::test]
async fn a_file_that_is_not_what_was_put_is_told_at_its_end() {
    let dir = directory();
    let blobs = open(dir.path()).await;
    let what = bytes(3, 700_000);
    let blob = blobs.put(content(what.clone())).await.expect("it is put");
    let file = file_of(dir.path(), &blob.digest);
    let mut flipped = what.to_vec();
    flipped[350_000] ^= 1;
    for damaged in [&flipped[..], &what[..what.len() - 1], &[&what[..], b"x"].concat(), b""] {
        fs::write(&file, damaged).expect("it is written");
        let items: Vec<_> = blobs.get(&blob.digest, 0..).await.expect("it opens").collect().await;
        let (last, before) = items.split_last().expect("an error at least");
        assert_eq!(last.as_ref().expect_err("told").kind, BlobErrorKind::Damaged);
        assert!(before.iter().all(Result::is_ok));
    }
    blobs.put(content(what.clone())).await.expect("it is put again");
    assert!(read(&*blobs, &blob.digest, 0).await.expect("it is whole again") == what);
}

#[tokio::test]
async fn old_uploads_are_swept_and_nothing_else() {
    let dir = directory();
    let blobs = open(dir.path()).await;
    let blob = blobs.put(content("kept")).await.expect("it is put");
    blobs.close().await;
    let digest = Digest::of(b"killed").to_hex();
    let old = [
        "tmp/0199f0a4-3b5e-7cc1-a1de-6a1d5f3b2c11".to_owned(),
        "tmp/0199f0a4-3b5e-7cc1-a1de-6a1d5f3b2c11#1".to_owned(),
        format!("sha256/{}/{digest}#2", &digest[..2]),
    ];
    let others = ["tmp/notes", "tmp/notes#1", "sha256/00/readme", "other"];
    let young = "tmp/0199f0a4-3b5e-7cc1-a1de-6a1d5f3b2c12#1";
    for name in old.iter().map(String::as_str).chain(others).chain([young]) {
        fs::write(dir.path().join(name), "x").expect("it is written");
        if name != young {
            days_ago(&dir.path().join(name), 2);
        }
    }
    days_ago(&file_of(dir.path(), &blob.digest), 2);

    let blobs = open(dir.path()).await;
    let path = dir.path().to_owned();
    let gone = move || old.iter().all(|name| !path.join(name).exists());
    tokio::task::spawn_blocking(|| until("old uploads are gone", gone)).await.expect("they are");
    assert_eq!(list(&*blobs).await.len(), 1);
    for name in others.into_iter().chain([young]) {
        assert!(dir.path().join(name).exists(), "{name}");
    }
}

const CHILD_DIRECTORY: &str = "PIKOCI_TEST_CHILD_DIRECTORY";
const CHILD_SEED: &str = "PIKOCI_TEST_CHILD_SEED";

/// Puts one blob after the other and writes the digest of each that was answered for.
#[tokio::test]
#[ignore = "run by others as a process of its own"]
async fn child_that_puts() {
    let Ok(directory) = std::env::var(CHILD_DIRECTORY) else { return };
    let seed: u64 = std::env::var(CHILD_SEED).expect("a seed").parse().expect("a number");
    let blobs = open(Path::new(&directory)).await;
    for number in 0..2000 {
        let size = if number % 3 == 0 { 2 * MIB + number } else { 1000 + number };
        let what = bytes(seed * 10_000 + number as u64, size);
        let blob = blobs.put(pieces(what, 65_536)).await.expect("it is put");
        let mut out = std::io::stdout().lock();
        writeln!(out, "put {}", blob.digest).expect("it is read");
    }
}

/// A process that puts into `directory`.
fn putter(directory: &Path, seed: u64) -> Child {
    let mut command = child("child_that_puts");
    command.env(CHILD_DIRECTORY, directory).env(CHILD_SEED, seed.to_string());
    command.stdout(Stdio::piped()).spawn().expect("it starts")
}

/// Kills it after it answered for `count` blobs, and tells all that it answered for.
fn kill_after(mut putter: Child, count: usize) -> Vec<Digest> {
    let lines = BufReader::new(putter.stdout.take().expect("piped")).lines();
    let mut put = Vec::new();
    for line in lines {
        let line = line.expect("text");
        // The last line may be cut off.
        if let Some(Ok(digest)) = line.split_once("put ").map(|(_, text)| text.parse()) {
            put.push(digest);
        }
        if put.len() == count {
            putter.kill().expect("it lives");
        }
    }
    putter.wait().expect("it ended");
    assert!(put.len() >= count, "{} of {count}", put.len());
    put
}

#[tokio::test]
async fn after_a_kill_what_was_answered_for_is_there_and_nothing_is_half_there() {
    let dir = directory();
    for round in 0..12 {
        let put = kill_after(putter(dir.path(), round), 1 + round as usize * 5 % 7);
        let blobs = open(dir.path()).await;
        for digest in put {
            let what: Bytes = read(&*blobs, &digest, 0).await.expect("it is there and whole");
            assert!(!what.is_empty());
        }
        for stored in list(&*blobs).await {
            let what = read(&*blobs, &stored.blob.digest, 0).await.expect("it is whole");
            assert_eq!(what.len() as u64, stored.blob.size_bytes);
        }
    }
    // A day later nothing of the unfinished puts is left.
    let blobs = open(dir.path()).await;
    let listed = list(&*blobs).await.len();
    blobs.close().await;
    for file in files(dir.path()) {
        days_ago(&file, 2);
    }
    let _blobs = open(dir.path()).await;
    let path = dir.path().to_owned();
    let swept = move || files(&path).len() == listed;
    tokio::task::spawn_blocking(|| until("only the blobs are left", swept)).await.expect("swept");
}

#[tokio::test]
async fn processes_that_put_the_same_do_not_harm_each_other() {
    let dir = directory();
    let putters: Vec<Child> = (0..3).map(|_| putter(dir.path(), 1)).collect();
    let killers: Vec<_> = putters
        .into_iter()
        .map(|putter| tokio::task::spawn_blocking(move || kill_after(putter, 12)))
        .collect();
    let blobs = open(dir.path()).await;
    for killer in killers {
        for digest in killer.await.expect("it ends") {
            read(&*blobs, &digest, 0).await.expect("it is there and whole");
        }
    }
    for stored in list(&*blobs).await {
        read(&*blobs, &stored.blob.digest, 0).await.expect("it is whole");
    }
}
