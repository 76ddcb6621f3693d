//! What is known of blobs, how they go, and how a blob store ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{LIMIT, within};
use super::BlobFixture;
use super::fixture::bytes;
use crate::blob::{BlobErrorKind, Digest, content};

/// A blob that nobody put is not found, by a get before its stream, and its
/// delete is no error.
///
/// # Panics
/// When it is not so.
pub async fn what_is_not_there_is_not_found(fixture: &BlobFixture) {
    let client = fixture.client();
    assert!(client.list().await.is_empty(), "a fresh blob store is not empty");
    client.put(&bytes(1, 100), 100).await;
    let nobody = Digest::of(b"nobody put this");
    assert_eq!(client.head(&nobody).await, None, "the head of a blob that nobody put");
    for from in [0, 1, u64::MAX] {
        let said = client.why_not(&nobody, from).await;
        assert_eq!(said, Some(BlobErrorKind::NotFound), "a get of a blob that nobody put");
    }
    client.delete(&nobody).await;
    assert_eq!(client.list().await.len(), 1, "how many blobs are listed");
}

/// A blob that was deleted is gone for everyone, and may be put again.
///
/// # Panics
/// When it is not so.
pub async fn a_deleted_blob_is_gone(fixture: &BlobFixture) {
    let (here, there) = (fixture.client(), fixture.elsewhere());
    let (gone, kept) = (bytes(1, 100_000), bytes(2, 100_000));
    let kept = here.put(&kept, 4096).await;
    for _ in 0..2 {
        let blob = there.put(&gone, 4096).await;
        here.delete(&blob.digest).await;
        here.delete(&blob.digest).await;
        for client in [&here, &there] {
            assert_eq!(client.head(&blob.digest).await, None, "the head of a deleted blob");
            let said = client.why_not(&blob.digest, 0).await;
            assert_eq!(said, Some(BlobErrorKind::NotFound), "a get of a deleted blob");
            let listed: Vec<_> = client.list().await.into_keys().collect();
            assert_eq!(listed, [kept.digest], "the list after a delete");
        }
    }
    let blob = here.put(&gone, 4096).await;
    assert!(there.read(&blob.digest, 0).await == gone, "a deleted blob that was put again");
}

/// All blobs are listed, once each, as a head tells of them.
///
/// # Panics
/// When they are not.
pub async fn all_blobs_are_listed(fixture: &BlobFixture) {
    let (here, there) = (fixture.client(), fixture.elsewhere());
    let mut expected = BTreeMap::new();
    for number in 0..40 {
        let blob = here.put(&bytes(number, number as usize * 10), 100).await;
        expected.insert(blob.digest, here.head(&blob.digest).await);
    }
    for client in [&here, &there] {
        let listed = client.list().await;
        let keys: Vec<_> = listed.keys().collect();
        assert_eq!(keys, expected.keys().collect::<Vec<_>>(), "the digests of all blobs");
        for (digest, stored) in listed {
            assert_eq!(Some(stored), expected[&digest], "a blob in the list and its head");
        }
    }
}

/// A blob that is put again counts as put then, and never as put earlier.
///
/// # Panics
/// When it does not.
pub async fn a_blob_put_again_counts_as_put_then(fixture: &BlobFixture) {
    let client = fixture.client();
    let content = bytes(1, 1000);
    let last_put = async || {
        let blob = client.put(&content, 1000).await;
        match fixture.elsewhere().head(&blob.digest).await {
            Some(stored) => stored.last_put,
            None => panic!("a blob that was put has no head"),
        }
    };
    let (first, started) = (last_put().await, tokio::time::Instant::now());
    loop {
        let again = last_put().await;
        assert!(again >= first, "put again, a blob counts as put earlier: {again}, not {first}");
        if again > first {
            break;
        }
        assert!(started.elapsed() < LIMIT, "put again, a blob still counts as put at {first}");
        // Clocks of files and servers tick as slowly as once a second.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let digest = Digest::of(&content);
    let (head, listed) = (client.head(&digest).await, client.list().await);
    assert_eq!(head.as_ref(), listed.get(&digest), "the head and the list after a second put");
}

/// It is named for people, in one line and without a password.
///
/// # Panics
/// When it is not.
pub async fn a_blob_store_names_itself(fixture: &BlobFixture) {
    let name = fixture.blobs.to_string();
    assert!(!name.trim().is_empty(), "the blob store has no name");
    assert!(!name.contains('\n'), "the name of the blob store has several lines: {name}");
    for text in [name, format!("{:?}", fixture.blobs)] {
        super::super::assert_tells_no_password(&text);
    }
}

/// A blob store that was closed answers so, and may be closed again.
///
/// # Panics
/// When it does something else.
pub async fn a_closed_blob_store_answers_that_it_is(fixture: &BlobFixture) {
    let blobs = &fixture.blobs;
    let digest = fixture.client().put(&bytes(1, 10), 10).await.digest;
    for _ in 0..2 {
        within(LIMIT, "the close", blobs.close()).await;
        let calls = async {
            [
                ("a put", blobs.put(content("late")).await.map(drop)),
                ("a get", blobs.get(&digest, 0..).await.map(drop)),
                ("a head", blobs.head(&digest).await.map(drop)),
                ("a delete", blobs.delete(&digest).await),
                ("a list", blobs.list().await.map(drop)),
            ]
        };
        for (what, said) in within(LIMIT, "calls after the close", calls).await {
            let Err(error) = said else { panic!("{what} works after the close") };
            let kind = error.kind;
            assert_eq!(kind, BlobErrorKind::Closed, "{what} after the close said: {error}");
        }
    }
}
