//! What is put is what is read.

use tokio::task::JoinSet;

use super::super::{LIMIT, within};
use super::BlobFixture;
use super::fixture::{MIB, bytes};
use crate::blob::{BlobErrorKind, Digest};

/// What was put is read, byte by byte, by whomever, whatever its size and
/// that of its pieces.
///
/// # Panics
/// When it is not.
pub async fn what_was_put_is_read(fixture: &BlobFixture) {
    let (here, there) = (fixture.client(), fixture.elsewhere());
    let sizes = [
        (1, 1),
        (100, 7),
        (64 * 1024, 64 * 1024),
        (MIB + 1, 1000),
        // More than the parts that an upload is sent in.
        (11 * MIB + 5, 300_001),
        (12 * MIB, 12 * MIB),
    ];
    for (seed, (size, piece)) in sizes.into_iter().enumerate() {
        let content = bytes(seed as u64, size);
        let blob = here.put(&content, piece).await;
        for reader in [&here, &there] {
            let same = reader.read(&blob.digest, 0).await == content;
            assert!(same, "a blob of {size} bytes is not read as it was put");
            let stored = reader.head(&blob.digest).await.map(|stored| stored.blob);
            assert_eq!(stored, Some(blob), "the head of a blob of {size} bytes");
        }
    }
}

/// A blob of no bytes is a blob like any other.
///
/// # Panics
/// When it is not.
pub async fn an_empty_blob_is_a_blob(fixture: &BlobFixture) {
    let client = fixture.client();
    let digest = Digest::of(b"");
    assert_eq!(client.head(&digest).await, None, "the empty blob before it was put");
    let blob = client.put(&bytes(0, 0), 1).await;
    assert_eq!(client.head(&digest).await.map(|stored| stored.blob), Some(blob), "its head");
    for from in [0, 1] {
        assert_eq!(client.read(&digest, from).await, "", "the empty blob from byte {from} on");
    }
    assert!(client.list().await.contains_key(&digest), "the empty blob is not listed");
    client.delete(&digest).await;
    assert_eq!(client.head(&digest).await, None, "the empty blob after its delete");
    // A piece of no bytes is not the end.
    let halves = [&b"one"[..], b"", b" two"].map(|piece| Ok(bytes::Bytes::from_static(piece)));
    let content = futures_util::StreamExt::boxed(futures_util::stream::iter(halves));
    match within(LIMIT, "a put", fixture.blobs.put(content)).await {
        Ok(blob) => assert_eq!(blob.digest, Digest::of(b"one two"), "with an empty piece"),
        Err(error) => assert_eq!(error.kind, BlobErrorKind::Unavailable, "a put said: {error}"),
    }
}

/// A read from some byte on yields the rest, and nothing from the end on.
///
/// # Panics
/// When it does not.
pub async fn a_read_may_start_anywhere(fixture: &BlobFixture) {
    let client = fixture.client();
    let content = bytes(7, 6 * MIB + 77);
    let blob = client.put(&content, 100_000).await;
    let size = content.len();
    for from in [0, 1, 1023, 64 * 1024, MIB, 5 * MIB - 1, 5 * MIB, size - 1, size, size + 1] {
        let read = client.read(&blob.digest, from as u64).await;
        let same = read == content.slice(from.min(size)..);
        assert!(same, "a blob of {size} bytes, read from byte {from} on, has {}", read.len());
    }
    assert_eq!(client.read(&blob.digest, u64::MAX).await, "", "a blob from beyond its end");
}

/// The same content is one blob, however often, in whatever pieces and by how
/// many at once it is put.
///
/// # Panics
/// When it is not.
pub async fn the_same_content_is_one_blob(fixture: &BlobFixture) {
    let content = bytes(3, 2 * MIB + 3);
    let mut tasks = JoinSet::new();
    for number in 0..8_usize {
        let client = if number % 2 == 0 { fixture.client() } else { fixture.elsewhere() };
        let content = content.clone();
        tasks.spawn(async move { client.put(&content, 50_000 * (number + 1)).await });
    }
    let blobs = within(LIMIT, "puts of the same content", tasks.join_all()).await;
    let client = fixture.client();
    client.put(&content, MIB).await;
    let listed: Vec<_> = client.list().await.into_values().map(|stored| stored.blob).collect();
    assert_eq!(listed, blobs[..1], "all blobs after the same content was put many times");
    let same = client.read(&blobs[0].digest, 0).await == content;
    assert!(same, "what was put many times at once is not read as it was put");
}

/// Many may put and read different blobs at once.
///
/// # Panics
/// When they get into each other's way.
pub async fn many_put_and_read_at_once(fixture: &BlobFixture) {
    let mut tasks = JoinSet::new();
    for number in 0..8_u64 {
        let (writer, reader) = (fixture.client(), fixture.elsewhere());
        tasks.spawn(async move {
            for round in 0..4 {
                let content = bytes(100 * number + round, 300_000 + 1000 * number as usize);
                let blob = writer.put(&content, 65_536).await;
                let same = reader.read(&blob.digest, 0).await == content;
                assert!(same, "a blob that was put beside others is not read as it was put");
            }
        });
    }
    within(LIMIT, "many puts and reads at once", tasks.join_all()).await;
    assert_eq!(fixture.client().list().await.len(), 32, "how many blobs are listed");
}
