//! What the tests of blob stores share.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use pikoci_core::blob::{BlobError, BlobStore, Content, Digest, StoredBlob};

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Bytes that do not repeat, the same for the same seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// The same bytes in pieces of this length.
pub(crate) fn pieces(bytes: Bytes, length: usize) -> Content {
    stream::iter((0..bytes.len()).step_by(length))
        .map(move |at| Ok(bytes.slice(at..(at + length).min(bytes.len()))))
        .boxed()
}

/// What is read of a blob from a byte on.
pub(crate) async fn read(
    blobs: &dyn BlobStore,
    digest: &Digest,
    from: u64,
) -> Result<Bytes, BlobError> {
    let pieces: Vec<Bytes> = blobs.get(digest, from..).await?.try_collect().await?;
    Ok(pieces.concat().into())
}

/// All that is listed.
pub(crate) async fn list(blobs: &dyn BlobStore) -> Vec<StoredBlob> {
    let listed = blobs.list().await.expect("it can be listed");
    listed.try_collect().await.expect("it can be listed to the end")
}

/// This test program again, to run nothing but the ignored test of this name.
pub(crate) fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test knows where it is"));
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
