//! What the behaviours run over, and who puts and reads there.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};

use super::super::{LIMIT, within};
use crate::blob::{Blob, BlobError, BlobErrorKind, BlobStore, Content, Digest, StoredBlob};
use crate::testkit::faulty::FaultyBlobs;

/// One MiB.
pub(super) const MIB: usize = 1024 * 1024;

/// A blob store to check. What is in it is lost.
pub struct BlobFixture {
    /// Fresh and empty.
    pub blobs: Arc<dyn BlobStore>,
    /// A second handle on the same blobs, as another process would have;
    /// `None` where only one process can have it.
    pub other: Option<Arc<dyn BlobStore>>,
    /// Lives as long as the test: a temporary directory, a server.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl BlobFixture {
    /// Blobs that one process has.
    pub fn new(blobs: Arc<dyn BlobStore>) -> Self {
        Self { blobs, other: None, keep: Box::new(()) }
    }

    /// The same behind a bad network, with faults by this seed.
    #[must_use]
    pub fn faulty(self, seed: u64) -> Self {
        let wrap = |blobs| Arc::new(FaultyBlobs::new(blobs).seeded(seed)) as Arc<dyn BlobStore>;
        Self { blobs: wrap(self.blobs), other: self.other.map(wrap), keep: self.keep }
    }

    /// Closes what is open.
    pub async fn end(self) {
        self.blobs.close().await;
        if let Some(other) = &self.other {
            other.close().await;
        }
    }

    /// Who uses the blobs.
    pub(super) fn client(&self) -> Client {
        Client(self.blobs.clone())
    }

    /// Who uses them elsewhere, if that is possible.
    pub(super) fn elsewhere(&self) -> Client {
        Client(self.other.as_ref().unwrap_or(&self.blobs).clone())
    }
}

impl fmt::Debug for BlobFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobFixture")
            .field("blobs", &self.blobs)
            .field("other", &self.other)
            .finish_non_exhaustive()
    }
}

/// So many bytes that do not repeat soon, each seed others.
pub(super) fn bytes(seed: u64, size: usize) -> Bytes {
    let mut state = seed;
    let mut all = BytesMut::with_capacity(size + 8);
    while all.len() < size {
        // SplitMix64's increment and a cheap mix: enough that no piece is like another.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        all.extend_from_slice(
            &(state ^ (state >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes(),
        );
    }
    all.truncate(size);
    all.freeze()
}

/// `bytes` in pieces of this size.
pub(super) fn pieces(bytes: &Bytes, size: usize) -> Content {
    let bytes = bytes.clone();
    let starts = (0..bytes.len()).step_by(size);
    stream::iter(starts.map(move |at| Ok(bytes.slice(at..bytes.len().min(at + size))))).boxed()
}

/// A handle on a blob store that tries again what may work later.
#[derive(Clone)]
pub(super) struct Client(pub(super) Arc<dyn BlobStore>);

impl Client {
    /// Puts `bytes` in pieces of this size.
    pub(super) async fn put(&self, bytes: &Bytes, piece: usize) -> Blob {
        let blob = settled("a put", || self.0.put(pieces(bytes, piece))).await;
        assert_eq!(blob.digest, Digest::of(bytes), "the digest of what was put");
        assert_eq!(blob.size_bytes, bytes.len() as u64, "the size of what was put");
        blob
    }

    /// All of a blob from byte `from` on. A stream that breaks is taken up
    /// where it broke.
    pub(super) async fn read(&self, digest: &Digest, from: u64) -> Bytes {
        let started = tokio::time::Instant::now();
        let mut read = BytesMut::new();
        loop {
            let from = from.saturating_add(read.len() as u64);
            let mut content = settled("a get", || self.0.get(digest, from..)).await;
            let error = loop {
                match within(LIMIT, "the next piece of a blob", content.next()).await {
                    Some(Ok(piece)) => read.extend_from_slice(&piece),
                    Some(Err(error)) => break error,
                    None => return read.freeze(),
                }
            };
            let later = error.kind == BlobErrorKind::Unavailable;
            assert!(later, "a blob could not be read ({:?}): {error}", error.kind);
            assert!(started.elapsed() < LIMIT, "a blob could not be read for {LIMIT:?}: {error}");
        }
    }

    /// What is known of a blob.
    pub(super) async fn head(&self, digest: &Digest) -> Option<StoredBlob> {
        settled("a head", || self.0.head(digest)).await
    }

    /// Removes a blob.
    pub(super) async fn delete(&self, digest: &Digest) {
        settled("a delete", || self.0.delete(digest)).await;
    }

    /// The kind of error that a get answers, if it does.
    pub(super) async fn why_not(&self, digest: &Digest, from: u64) -> Option<BlobErrorKind> {
        let get = || async {
            match self.0.get(digest, from..).await {
                Ok(_) => Ok(None),
                Err(error) if error.kind == BlobErrorKind::Unavailable => Err(error),
                Err(error) => Ok(Some(error.kind)),
            }
        };
        settled("a get", get).await
    }

    /// All blobs by their digest; each must be listed once.
    pub(super) async fn list(&self) -> BTreeMap<Digest, StoredBlob> {
        let list = || async {
            let mut all = BTreeMap::new();
            let mut listed = self.0.list().await?;
            while let Some(stored) = listed.next().await {
                let stored = stored?;
                let digest = stored.blob.digest;
                assert!(all.insert(digest, stored).is_none(), "{digest} is listed twice");
            }
            Ok(all)
        };
        settled("a list", list).await
    }
}

/// What `call` comes to once it works.
async fn settled<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, BlobError>>,
{
    let started = tokio::time::Instant::now();
    loop {
        let error = match within(LIMIT, what, call()).await {
            Ok(done) => return done,
            Err(error) => error,
        };
        assert!(!error.message.trim().is_empty(), "{what} is an error that says nothing");
        let later = error.kind == BlobErrorKind::Unavailable;
        assert!(later, "{what} did not work ({:?}): {error}", error.kind);
        assert!(started.elapsed() < LIMIT, "{what} did not work for {LIMIT:?}: {error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
