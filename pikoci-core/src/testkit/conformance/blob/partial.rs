//! What is not complete is not there.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;

use super::super::{LIMIT, within};
use super::BlobFixture;
use super::fixture::{Client, MIB, bytes, pieces};
use crate::blob::{BlobError, BlobErrorKind, Content, Digest};

/// How much of a content comes before it breaks off; more than the parts that
/// an upload is sent in.
const BEFORE: usize = 6 * MIB;

async fn assert_nothing(clients: [&Client; 2], digests: &[Digest], when: &str) {
    for client in clients {
        for digest in digests {
            assert_eq!(client.head(digest).await, None, "the head of a blob {when}");
            let said = client.why_not(digest, 0).await;
            assert_eq!(said, Some(BlobErrorKind::NotFound), "a get of a blob {when}");
        }
        let listed: Vec<_> = client.list().await.into_keys().collect();
        assert_eq!(listed, [], "the list of all blobs {when}");
    }
}

/// A content that is sent piece by piece.
fn sent() -> (mpsc::Sender<Result<Bytes, BlobError>>, Content) {
    let (sender, receiver) = mpsc::channel(1);
    let content = stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    (sender, content.boxed())
}

/// When the content ends in an error, the put answers that error, and nothing
/// of it can be read or is listed.
///
/// # Panics
/// When it is not so.
pub async fn a_failing_content_leaves_nothing(fixture: &BlobFixture) {
    let (here, there) = (fixture.client(), fixture.elsewhere());
    for size in [0, 10, BEFORE] {
        let before = bytes(size as u64, size);
        let digests = [Digest::of(&before)];
        // A faulty store may answer an error of its own.
        let mut told = false;
        for _ in 0..100 {
            let broken = BlobError::new(BlobErrorKind::Content, "the source broke off");
            let content = pieces(&before, 100_000).chain(stream::iter([Err(broken)])).boxed();
            let put = within(LIMIT, "a put that cannot be completed", fixture.blobs.put(content));
            let Err(error) = put.await else { panic!("a put without its end was taken") };
            if error.kind == BlobErrorKind::Content {
                let message = &error.message;
                assert!(message.contains("broke off"), "not the error of the content: {message}");
                told = true;
                break;
            }
            let kind = error.kind;
            assert_eq!(kind, BlobErrorKind::Unavailable, "a content that failed: {error}");
        }
        assert!(told, "a put whose content fails did not answer the error of the content");
        assert_nothing([&here, &there], &digests, "whose content failed").await;
    }
}

/// A put that is dropped midway leaves nothing that can be read or is listed,
/// and the same content can be put afterwards.
///
/// # Panics
/// When it is not so.
pub async fn a_dropped_put_leaves_nothing(fixture: &BlobFixture) {
    let (here, there) = (fixture.client(), fixture.elsewhere());
    let before = bytes(1, BEFORE);
    let digests = [Digest::of(&before)];
    for size in [1, BEFORE] {
        let (sender, content) = sent();
        let mut put = fixture.blobs.put(content);
        let sending = async {
            for piece in before.slice(..size).chunks(100_000) {
                // A faulty store may have given up already.
                if sender.send(Ok(Bytes::copy_from_slice(piece))).await.is_err() {
                    break;
                }
            }
            // As long as the last piece lies in the channel it was not taken.
            while sender.capacity() == 0 && !sender.is_closed() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let sending = within(LIMIT, "to send a part of a blob", sending);
        tokio::select! {
            biased;
            _ = &mut put => {}
            () = sending => {}
        }
        drop(put);
        assert_nothing([&here, &there], &digests, "whose put was dropped").await;
    }
    let blob = here.put(&before, MIB).await;
    assert!(there.read(&blob.digest, 0).await == before, "a blob put after a put was dropped");
}

/// Before its put is complete a blob is not there, and then all of it is.
///
/// # Panics
/// When it is not so.
pub async fn a_put_is_seen_when_it_is_complete(fixture: &BlobFixture) {
    let (here, there) = (fixture.client(), fixture.elsewhere());
    let all = bytes(9, BEFORE + 100);
    let digests = [Digest::of(&all), Digest::of(&all[..BEFORE])];
    let started = tokio::time::Instant::now();
    loop {
        let (sender, content) = sent();
        let sending = async {
            for piece in all[..BEFORE].chunks(100_000) {
                if sender.send(Ok(Bytes::copy_from_slice(piece))).await.is_err() {
                    return;
                }
            }
            assert_nothing([&here, &there], &digests, "whose put goes on").await;
            let _ = sender.send(Ok(all.slice(BEFORE..))).await;
            drop(sender);
        };
        let both = futures_util::future::join(fixture.blobs.put(content), sending);
        let (put, ()) = within(LIMIT, "a put in two parts", both).await;
        match put {
            Ok(blob) => {
                assert_eq!(blob.digest, digests[0], "the digest of a put in two parts");
                break;
            }
            Err(error) => {
                let kind = error.kind;
                assert_eq!(kind, BlobErrorKind::Unavailable, "a put in two parts: {error}");
                assert!(started.elapsed() < LIMIT, "a put did not work for {LIMIT:?}: {error}");
            }
        }
    }
    assert!(there.read(&digests[0], 0).await == all, "a blob is not read as it was put");
    assert_eq!(there.head(&digests[1]).await, None, "the head of a part of a blob");
}

/// A read that is dropped midway is in nobody's way.
///
/// # Panics
/// When it is.
pub async fn a_read_may_be_dropped(fixture: &BlobFixture) {
    let client = fixture.client();
    let content = bytes(5, 8 * MIB);
    let blob = client.put(&content, MIB).await;
    for round in 0..20_u32 {
        let patience = Duration::from_micros(1 << (round % 12));
        let read = async {
            let Ok(mut content) = fixture.blobs.get(&blob.digest, 0..).await else { return };
            for _ in 0..round % 4 {
                content.next().await;
            }
        };
        // How far it came does not matter.
        let _ = tokio::time::timeout(patience, read).await;
    }
    assert!(client.read(&blob.digest, 0).await == content, "a read after others were dropped");
}
