//! Blobs behind a bad network, on a disk that may be damaged.

use std::fmt;
use std::ops::RangeFrom;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt};

use super::plan::{Plan, moment};
use crate::blob::{Blob, BlobError, BlobStore, Content, Digest, StoredBlob};
use crate::testkit::random::Random;

/// A method of a blob store whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlobCall {
    /// [`BlobStore::put`].
    Put,
    /// [`BlobStore::get`].
    Get,
    /// [`BlobStore::head`].
    Head,
    /// [`BlobStore::delete`].
    Delete,
    /// [`BlobStore::list`].
    List,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobFault {
    /// It is not done, and answers that it is unavailable.
    Refuse,
    /// It is done so much later.
    Delay(Duration),
    /// What is read or listed breaks off after its first piece of at most so
    /// many bytes, or its first blob. A put is not done.
    Cut(usize),
    /// A byte of what is read is another one; whoever reads from the start
    /// hears of it at the end. Nothing where no content is read.
    Flip,
}

/// A [`BlobStore`] that refuses, breaks off and damages; still as its
/// contract asks.
#[derive(Debug)]
pub struct FaultyBlobs {
    inner: Arc<dyn BlobStore>,
    plan: Plan<BlobCall, BlobFault>,
    closed: AtomicBool,
}

impl FaultyBlobs {
    /// `inner` without faults.
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        Self { inner, plan: Plan::new(), closed: AtomicBool::new(false) }
    }

    /// The same with faults by this seed, which may work the next time: about
    /// one call in three has one. Nothing is damaged.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        self.plan.seed(seed);
        self
    }

    /// The same with this fault at the nth `call`, counted from 1.
    #[must_use]
    pub fn at(self, call: BlobCall, nth: u64, fault: BlobFault) -> Self {
        self.plan.script(call, nth, fault);
        self
    }

    /// Whether the call is refused or waits; what else becomes of it.
    async fn fault(&self, call: BlobCall) -> Result<Option<BlobFault>, BlobError> {
        if self.closed.load(Ordering::SeqCst) {
            // What is closed says so, every time.
            return Ok(None);
        }
        let fault = self.plan.next(call, draw);
        match fault {
            Some(BlobFault::Refuse) => {
                return Err(BlobError::unavailable("a fault: the call was refused"));
            }
            Some(BlobFault::Delay(late)) => tokio::time::sleep(late).await,
            _ => {}
        }
        Ok(fault)
    }
}

fn draw(random: &mut Random) -> Option<BlobFault> {
    Some(match random.below(24) {
        0..=1 => BlobFault::Refuse,
        2..=4 => BlobFault::Delay(moment(random)),
        5..=7 => BlobFault::Cut(random.below(300_000)),
        _ => return None,
    })
}

fn cut_off() -> BlobError {
    BlobError::unavailable("a fault: the connection was cut")
}

/// At most so many bytes of the first piece, then an error.
fn cut(content: Content, bytes: usize) -> Content {
    let first = content.take(1).map(move |piece| piece.map(|it| it.slice(..it.len().min(bytes))));
    first.chain(stream::iter([Err(cut_off())])).boxed()
}

/// The content with its first byte changed, and what a whole read ends with.
fn flip(content: Content, end: Option<BlobError>) -> Content {
    let mut flipped = false;
    let pieces = content.map(move |piece| {
        let mut piece = BytesMut::from(&piece?[..]);
        if let Some(byte) = piece.first_mut()
            && !flipped
        {
            *byte ^= 1;
            flipped = true;
        }
        Ok(Bytes::from(piece))
    });
    pieces.chain(stream::iter(end.map(Err))).boxed()
}

impl fmt::Display for FaultyBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} behind a bad network", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for FaultyBlobs {
    async fn put(&self, content: Content) -> Result<Blob, BlobError> {
        match self.fault(BlobCall::Put).await? {
            Some(BlobFault::Cut(bytes)) => {
                // The store within must drop what it has of it.
                match self.inner.put(cut(content, bytes)).await {
                    Ok(_) => Err(cut_off()),
                    Err(error) => Err(error),
                }
            }
            _ => self.inner.put(content).await,
        }
    }

    async fn get(&self, digest: &Digest, from: RangeFrom<u64>) -> Result<Content, BlobError> {
        let fault = self.fault(BlobCall::Get).await?;
        let whole = from.start == 0;
        let content = self.inner.get(digest, from).await?;
        Ok(match fault {
            Some(BlobFault::Cut(bytes)) => cut(content, bytes),
            Some(BlobFault::Flip) => flip(content, whole.then(|| BlobError::damaged(digest))),
            _ => content,
        })
    }

    async fn head(&self, digest: &Digest) -> Result<Option<StoredBlob>, BlobError> {
        self.fault(BlobCall::Head).await?;
        self.inner.head(digest).await
    }

    async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        self.fault(BlobCall::Delete).await?;
        self.inner.delete(digest).await
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<StoredBlob, BlobError>>, BlobError> {
        let fault = self.fault(BlobCall::List).await?;
        let listed = self.inner.list().await?;
        Ok(match fault {
            Some(BlobFault::Cut(_)) => listed.take(1).chain(stream::iter([Err(cut_off())])).boxed(),
            _ => listed,
        })
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.inner.close().await;
    }
}
