//! The suite for blobs finds what is broken: each of these breaks one promise,
//! and the behaviour that is about it panics. Also what the faulty wrapper does.

use std::fmt;
use std::ops::RangeFrom;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use pikoci_core::blob::{
    Blob, BlobError, BlobErrorKind, BlobStore, Content, Digest, MemoryBlobStore, StoredBlob,
    content,
};
use pikoci_core::testkit::conformance::blob::{self as suite, BlobFixture};
use pikoci_core::testkit::faulty::{BlobCall, BlobFault, FaultyBlobs};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    CutsLargeBlobs,
    RefusesEmptyBlobs,
    StopsAtEmptyPieces,
    IgnoresTheStart,
    FailsBeyondTheEnd,
    KeepsWhatFailed,
    HidesWhyItFailed,
    KeepsWhatWasDropped,
    ShowsParts,
    SaysNotFoundLate,
    KeepsDeletedBlobs,
    FailsToDeleteNothing,
    ListsTwice,
    ListsOtherSizes,
    KeepsTheFirstTime,
    NeverCloses,
    TellsItsPassword,
}

#[derive(Debug)]
struct Broken {
    wrong: Wrong,
    inner: Arc<MemoryBlobStore>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wrong {
            Wrong::TellsItsPassword => f.write_str("s3://key:secret@bucket"),
            _ => f.write_str("s3://bucket"),
        }
    }
}

#[async_trait]
impl BlobStore for Broken {
    async fn put(&self, mut pieces: Content) -> Result<Blob, BlobError> {
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) if piece.is_empty() && self.wrong == Wrong::StopsAtEmptyPieces => break,
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(error) if self.wrong == Wrong::KeepsWhatFailed => {
                    self.inner.put(content(bytes)).await?;
                    return Err(error);
                }
                Err(_) if self.wrong == Wrong::HidesWhyItFailed => {
                    return Err(BlobError::unavailable("it did not work"));
                }
                Err(error) => return Err(error),
            }
            if matches!(self.wrong, Wrong::ShowsParts | Wrong::KeepsWhatWasDropped) {
                self.inner.put(content(bytes.clone())).await?;
            }
        }
        if self.wrong == Wrong::RefusesEmptyBlobs && bytes.is_empty() {
            return Err(BlobError::new(BlobErrorKind::Invalid, "nothing to put"));
        }
        let digest = Digest::of(&bytes);
        if self.wrong == Wrong::KeepsTheFirstTime
            && let Some(stored) = self.inner.head(&digest).await?
        {
            return Ok(stored.blob);
        }
        self.inner.put(content(bytes)).await
    }

    async fn get(&self, digest: &Digest, mut from: RangeFrom<u64>) -> Result<Content, BlobError> {
        match (self.wrong, self.inner.head(digest).await?) {
            (Wrong::IgnoresTheStart, _) => from.start = 0,
            (Wrong::SaysNotFoundLate, None) => {
                return Ok(stream::iter([Err(BlobError::not_found(digest))]).boxed());
            }
            (Wrong::FailsBeyondTheEnd, Some(stored)) if from.start > stored.blob.size_bytes => {
                return Err(BlobError::new(BlobErrorKind::Invalid, "no such range"));
            }
            _ => {}
        }
        let whole = self.inner.get(digest, from).await?;
        Ok(match self.wrong {
            Wrong::CutsLargeBlobs => whole.map_ok(|it| it.slice(..it.len().min(1 << 20))).boxed(),
            _ => whole,
        })
    }

    async fn head(&self, digest: &Digest) -> Result<Option<StoredBlob>, BlobError> {
        self.inner.head(digest).await
    }

    async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        if self.wrong == Wrong::FailsToDeleteNothing && self.inner.head(digest).await?.is_none() {
            return Err(BlobError::not_found(digest));
        }
        match self.wrong {
            Wrong::KeepsDeletedBlobs => Ok(()),
            _ => self.inner.delete(digest).await,
        }
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<StoredBlob, BlobError>>, BlobError> {
        let listed = self.inner.list().await?;
        Ok(match self.wrong {
            Wrong::ListsTwice => listed.chain(self.inner.list().await?).boxed(),
            Wrong::ListsOtherSizes => listed
                .map_ok(|mut stored| {
                    stored.blob.size_bytes += 1;
                    stored
                })
                .boxed(),
            _ => listed,
        })
    }

    async fn close(&self) {
        if self.wrong != Wrong::NeverCloses {
            self.inner.close().await;
        }
    }
}

fn fixture(wrong: Wrong) -> BlobFixture {
    BlobFixture::new(Arc::new(Broken { wrong, inner: Arc::new(MemoryBlobStore::new()) }))
}

/// As the broken ones are run, so that it is not the run that breaks them.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn one_that_is_right_passes() {
    suite::run_all(|| async { Some(fixture(Wrong::Nothing)) }).await;
}

/// A test for each broken one: the behaviour that is about it panics.
macro_rules! found {
    ($($wrong:ident by $behaviour:ident)+) => {
        mod found {
            use super::*;
            $(
                #[tokio::test(flavor = "current_thread", start_paused = true)]
                #[allow(non_snake_case, reason = "named as the case is")]
                async fn $wrong() {
                    let run = tokio::spawn(async {
                        suite::$behaviour(&fixture(Wrong::$wrong)).await;
                    });
                    let panicked = run.await.is_err_and(|error| error.is_panic());
                    let name = stringify!($behaviour);
                    assert!(panicked, "{name} does not see what is wrong");
                }
            )+
        }
    };
}

found! {
    CutsLargeBlobs by what_was_put_is_read
    RefusesEmptyBlobs by an_empty_blob_is_a_blob
    StopsAtEmptyPieces by an_empty_blob_is_a_blob
    IgnoresTheStart by a_read_may_start_anywhere
    FailsBeyondTheEnd by a_read_may_start_anywhere
    KeepsWhatFailed by a_failing_content_leaves_nothing
    HidesWhyItFailed by a_failing_content_leaves_nothing
    KeepsWhatWasDropped by a_dropped_put_leaves_nothing
    ShowsParts by a_put_is_seen_when_it_is_complete
    SaysNotFoundLate by what_is_not_there_is_not_found
    KeepsDeletedBlobs by a_deleted_blob_is_gone
    FailsToDeleteNothing by what_is_not_there_is_not_found
    ListsTwice by the_same_content_is_one_blob
    ListsOtherSizes by all_blobs_are_listed
    KeepsTheFirstTime by a_blob_put_again_counts_as_put_then
    NeverCloses by a_closed_blob_store_answers_that_it_is
    TellsItsPassword by a_blob_store_names_itself
}

mod faulty {
    use super::*;

    #[tokio::test]
    async fn a_flipped_byte_is_told_at_the_end_of_a_whole_read() {
        let blobs = FaultyBlobs::new(Arc::new(MemoryBlobStore::new()))
            .at(BlobCall::Get, 1, BlobFault::Flip)
            .at(BlobCall::Get, 2, BlobFault::Flip);
        let blob = blobs.put(content("content")).await.expect("a put");
        let mut whole = blobs.get(&blob.digest, 0..).await.expect("a get");
        let first = whole.next().await.expect("a piece").expect("bytes");
        assert_ne!(first, "content");
        let last = whole.next().await.expect("an end").expect_err("damage");
        assert_eq!(last.kind, BlobErrorKind::Damaged);
        assert!(whole.next().await.is_none());
        let rest: Result<Vec<Bytes>, _> =
            blobs.get(&blob.digest, 3..).await.expect("a get").try_collect().await;
        assert_ne!(rest.expect("what nobody can check").concat(), b"tent");
        let fine: Result<Vec<Bytes>, _> =
            blobs.get(&blob.digest, 0..).await.expect("a get").try_collect().await;
        assert_eq!(fine.expect("content").concat(), b"content");
    }

    #[tokio::test]
    async fn a_stream_that_is_cut_ends_in_an_error() {
        let blobs = FaultyBlobs::new(Arc::new(MemoryBlobStore::new()))
            .at(BlobCall::Put, 1, BlobFault::Cut(3))
            .at(BlobCall::Get, 1, BlobFault::Cut(3));
        let error = blobs.put(content("content")).await.expect_err("a cut");
        assert_eq!(error.kind, BlobErrorKind::Unavailable);
        let blob = blobs.put(content("content")).await.expect("a put");
        let mut cut = blobs.get(&blob.digest, 0..).await.expect("a get");
        assert_eq!(cut.next().await.expect("a piece").expect("bytes"), "con");
        let error = cut.next().await.expect("an end").expect_err("a cut");
        assert_eq!(error.kind, BlobErrorKind::Unavailable);
        assert!(cut.next().await.is_none());
    }
}
