//! The [`BlobStore`] trait and the values it speaks of.

use std::error::Error;
use std::fmt;
use std::ops::RangeFrom;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use thiserror::Error;

use super::digest::Digest;

/// The largest blob, in bytes: 5 GiB, the most that S3 copies in one piece.
pub const MAX_BLOB_SIZE_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Content on its way, in pieces of any size.
pub type Content = BoxStream<'static, Result<Bytes, BlobError>>;

/// Content that is in memory already.
pub fn content(bytes: impl Into<Bytes>) -> Content {
    let bytes = bytes.into();
    stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed()
}

/// A blob as its putter knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
}

/// A blob as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its name and length.
    pub blob: Blob,
    /// When it was last put, by the clock of where it is stored.
    pub last_put: Timestamp,
}

/// A blob could not be put, read or removed.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct BlobError {
    /// What that means for the caller.
    pub kind: BlobErrorKind,
    /// What failed and where; never a password.
    pub message: String,
    /// What the backend said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What an error of a blob store means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlobErrorKind {
    /// There is no such blob.
    NotFound,
    /// The same may work later: the server is away, the disk is full.
    Unavailable,
    /// What is stored is not what was put.
    Damaged,
    /// Those who put the content could not give it: the error of a [`Content`].
    Content,
    /// The caller broke a rule, such as a limit.
    Invalid,
    /// It was closed.
    Closed,
}

impl BlobError {
    /// An error without a cause.
    pub fn new(kind: BlobErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// There is no such blob.
    pub fn not_found(digest: &Digest) -> Self {
        Self::new(BlobErrorKind::NotFound, format!("there is no blob {digest}"))
    }

    /// The same may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(BlobErrorKind::Unavailable, message)
    }

    /// What is stored under `digest` is not what was put.
    pub fn damaged(digest: &Digest) -> Self {
        Self::new(BlobErrorKind::Damaged, format!("blob {digest} is damaged"))
    }

    /// It was closed.
    pub fn closed() -> Self {
        Self::new(BlobErrorKind::Closed, "the blob store is closed")
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Stores content under its digest.
///
/// # Contract
/// An implementation MUST:
/// - **keep what it answered for**: after `put` the blob survives a kill of
///   the process and a loss of power (a store in memory says that it does not);
/// - **show all or nothing**: a blob can be read once its `put` is complete. A
///   `put` that failed for its content leaves nothing that can be read or
///   listed; one that was dropped or killed, or failed because the server gave
///   no answer, nothing or the whole blob; and none leaves garbage for ever;
/// - **stream**: neither `put` nor `get` holds more of a blob in memory than a
///   few MiB; a slow taker slows the source;
/// - **verify**: what `get` yields from the blob's start to its end is checked
///   against the digest, and if it differs the last item is an error of kind
///   [`Damaged`](BlobErrorKind::Damaged). A read that starts further on cannot
///   be checked; its reader must;
/// - allow any number of calls at the same time, also for the same content,
///   also from several processes;
/// - be drop-safe: dropping any of its futures or streams harms nothing.
///
/// A blob that is put again counts as put at that time; those who clean up
/// rely on it.
///
/// `Display` names it for people, without a password.
#[async_trait]
pub trait BlobStore: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Stores what `content` yields; at most [`MAX_BLOB_SIZE_BYTES`].
    ///
    /// # Errors
    /// When it could not be stored, and the error of `content` if that has one.
    async fn put(&self, content: Content) -> Result<Blob, BlobError>;

    /// The content of a blob from byte `from.start` on, to its end; empty
    /// when it has no more bytes.
    ///
    /// # Errors
    /// [`NotFound`](BlobErrorKind::NotFound), here and not in the stream.
    async fn get(&self, digest: &Digest, from: RangeFrom<u64>) -> Result<Content, BlobError>;

    /// What is known of a blob; `None` when it is not there.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn head(&self, digest: &Digest) -> Result<Option<StoredBlob>, BlobError>;

    /// Removes a blob, if it is there.
    ///
    /// # Errors
    /// When it could not be removed.
    async fn delete(&self, digest: &Digest) -> Result<(), BlobError>;

    /// All blobs, in no order. Those put or removed meanwhile may be missing or listed.
    ///
    /// # Errors
    /// When they cannot be listed, here or as an item, after which there are no more.
    async fn list(&self) -> Result<BoxStream<'static, Result<StoredBlob, BlobError>>, BlobError>;

    /// Lets go of connections. Calls made afterwards answer
    /// [`Closed`](BlobErrorKind::Closed). May be called again.
    async fn close(&self);
}
