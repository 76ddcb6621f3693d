//! Blobs that last as long as the process.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeFrom;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::contract::{
    Blob, BlobError, BlobErrorKind, BlobStore, Content, MAX_BLOB_SIZE_BYTES, StoredBlob, content,
};
use super::digest::Digest;
use crate::clock::{Clock, SystemClock};

/// A [`BlobStore`] in memory. It is not durable, and holds all blobs in memory.
pub struct MemoryBlobStore {
    /// `None` once it is closed.
    blobs: Mutex<Option<Blobs>>,
    clock: Arc<dyn Clock>,
}

type Blobs = BTreeMap<Digest, (Bytes, Timestamp)>;

impl MemoryBlobStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::new()))
    }

    /// An empty one that takes the times of its blobs from `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { blobs: Mutex::new(Some(Blobs::new())), clock }
    }

    fn blobs(&self) -> MutexGuard<'_, Option<Blobs>> {
        self.blobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Blobs) -> T) -> Result<T, BlobError> {
        self.blobs().as_mut().map(work).ok_or_else(BlobError::closed)
    }
}

impl Default for MemoryBlobStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBlobStore").finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryBlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory:")
    }
}

fn stored(digest: Digest, bytes: &Bytes, last_put: Timestamp) -> StoredBlob {
    StoredBlob { blob: Blob { digest, size_bytes: bytes.len() as u64 }, last_put }
}

#[async_trait]
impl BlobStore for MemoryBlobStore {
    async fn put(&self, mut pieces: Content) -> Result<Blob, BlobError> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() as u64 > MAX_BLOB_SIZE_BYTES {
                return Err(BlobError::new(
                    BlobErrorKind::Invalid,
                    format!("a blob takes {MAX_BLOB_SIZE_BYTES} bytes at most"),
                ));
            }
        }
        let bytes = bytes.freeze();
        let digest = Digest::of(&bytes);
        let blob = Blob { digest, size_bytes: bytes.len() as u64 };
        self.with(|blobs| blobs.insert(digest, (bytes, self.clock.now())))?;
        Ok(blob)
    }

    async fn get(&self, digest: &Digest, from: RangeFrom<u64>) -> Result<Content, BlobError> {
        let found = self.with(|blobs| blobs.get(digest).map(|(bytes, _)| bytes.clone()))?;
        let bytes = found.ok_or_else(|| BlobError::not_found(digest))?;
        let start = usize::try_from(from.start).unwrap_or(usize::MAX).min(bytes.len());
        Ok(content(bytes.slice(start..)))
    }

    async fn head(&self, digest: &Digest) -> Result<Option<StoredBlob>, BlobError> {
        self.with(|blobs| {
            blobs.get(digest).map(|(bytes, last_put)| stored(*digest, bytes, *last_put))
        })
    }

    async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        self.with(|blobs| blobs.remove(digest)).map(drop)
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<StoredBlob, BlobError>>, BlobError> {
        let all: Vec<_> = self.with(|blobs| {
            blobs
                .iter()
                .map(|(digest, (bytes, last_put))| Ok(stored(*digest, bytes, *last_put)))
                .collect()
        })?;
        Ok(stream::iter(all).boxed())
    }

    async fn close(&self) {
        self.blobs().take();
    }
}
