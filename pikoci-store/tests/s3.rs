//! Blobs in S3, spoken to a server of this process.
#![cfg(feature = "s3")]

#[path = "common/blobs.rs"]
mod common;
#[path = "common/s3.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use pikoci_core::blob::{BlobError, BlobErrorKind, Digest, content};
use pikoci_core::testkit::conformance::blob::BlobFixture;
use pikoci_store::{OpenErrorKind, open_blobs};

use common::{bytes, child, list, pieces, read, until};
use server::{BUCKET, KEY, SECRET, Server};

const MIB: usize = 1024 * 1024;

mod suite {
    use super::*;

    pub(crate) async fn fixture() -> Option<BlobFixture> {
        let server = Server::start().await;
        let (blobs, other) = (server.blobs("a"), server.blobs("a"));
        Some(BlobFixture { blobs, other: Some(other), keep: Box::new(server) })
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

/// Waits without holding up the server of this process.
async fn eventually(what: &'static str, condition: impl FnMut() -> bool + Send + 'static) {
    tokio::task::spawn_blocking(move || until(what, condition)).await.expect("it comes to be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_of_any_size_is_read_back_whole_and_from_any_byte_on() {
    let server = Server::start().await;
    let blobs = server.blobs("a/b");
    for (seed, size) in [0, 1, 5 * MIB, 5 * MIB + 1, 11 * MIB].into_iter().enumerate() {
        let what = bytes(seed as u64, size);
        let blob = blobs.put(pieces(what.clone(), 300_001)).await.expect("it is put");
        assert_eq!(blob.digest, Digest::of(&what));
        for from in [0, 1, size / 2, size, size + 10] {
            let read = read(&*blobs, &blob.digest, from as u64).await.expect("it is read");
            assert!(read == what.slice(from.min(size)..), "{size} bytes from {from}");
        }
    }
    assert_eq!(list(&*blobs).await.len(), 5);
    assert_eq!(server.objects("a/b/tmp"), Vec::<String>::new(), "nothing is left on the way");
    // Another prefix is another store.
    assert!(list(&*server.blobs("a")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_failed_or_was_dropped_leaves_nothing() {
    let server = Server::start().await;
    let blobs = server.blobs("");
    let error = BlobError::new(BlobErrorKind::Content, "the source broke");
    let torn = pieces(bytes(1, 12 * MIB), MIB).chain(stream::iter([Err(error)])).boxed();
    assert_eq!(blobs.put(torn).await.expect_err("it fails").kind, BlobErrorKind::Content);
    assert_eq!(server.everything(), Vec::<String>::new());

    let endless = pieces(bytes(2, 12 * MIB), MIB).chain(stream::pending()).boxed();
    let put = tokio::spawn(async move { blobs.put(endless).await });
    let watched = server.watch();
    let part_taken = move || watched().iter().any(|name| name.contains(".part-"));
    eventually("it is on its way", part_taken).await;
    put.abort();
    let watched = server.watch();
    eventually("it is cleared up", move || watched().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_was_dropped_while_it_was_completed_leaves_nothing() {
    let server = Server::start().await;
    let blobs = server.blobs("");
    server.hold_ends(true);
    let put = tokio::spawn(async move { blobs.put(pieces(bytes(5, 12 * MIB), MIB)).await });
    let held = server.held();
    eventually("it is being completed", move || held() > 0).await;
    let watched = server.watch();
    assert!(watched().iter().any(|name| name.contains(".part-")));
    put.abort();
    eventually("it is cleared up", move || watched().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_nobody_tells_of_for_a_moment_is_a_put() {
    let server = Server::start().await;
    let blobs = server.blobs("");
    // The client itself asks three times.
    server.mute_heads(7);
    let blob = blobs.put(pieces(bytes(6, 12 * MIB), MIB)).await.expect("it is put");
    assert_eq!(list(&*blobs).await.len(), 1);
    assert_eq!(server.objects("tmp"), Vec::<String>::new(), "nothing is left on the way");
    assert!(blobs.head(&blob.digest).await.expect("a head").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_not_what_was_put_is_told_at_its_end() {
    let server = Server::start().await;
    let blobs = server.blobs("");
    let what = bytes(3, 100_000);
    let blob = blobs.put(content(what.clone())).await.expect("it is put");
    let hex = blob.digest.to_hex();
    let mut damaged = what.to_vec();
    damaged[50_000] ^= 1;
    server.overwrite(&format!("sha256/{}/{hex}", &hex[..2]), &damaged);
    let items: Vec<_> = blobs.get(&blob.digest, 0..).await.expect("it opens").collect().await;
    let (last, before) = items.split_last().expect("an error at least");
    assert_eq!(last.as_ref().expect_err("told").kind, BlobErrorKind::Damaged);
    assert!(!before.is_empty() && before.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_slows_the_source_and_memory_stays_small() {
    let server = Server::start().await;
    let blobs = server.blobs("");
    server.hold_parts(true);
    let taken = Arc::new(AtomicU64::new(0));
    let counted = taken.clone();
    let source = pieces(bytes(4, 40 * MIB), MIB).inspect(move |piece| {
        let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        counted.fetch_add(length, Ordering::SeqCst);
    });
    let put = tokio::spawn(async move { blobs.put(source.boxed()).await });
    let held = server.held();
    eventually("a part is held up", move || held() > 0).await;
    let seen = taken.clone();
    eventually("the next is full", move || seen.load(Ordering::SeqCst) > 10 * MIB as u64).await;
    // The server is as slow as can be; a while later nothing more was taken.
    tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>())
        .await
        .expect_err("time passes");
    let most = 11 * MIB as u64;
    assert!(taken.load(Ordering::SeqCst) <= most, "{}", taken.load(Ordering::SeqCst));
    server.hold_parts(false);
    let blob = put.await.expect("it ends").expect("it is put");
    assert_eq!(blob.size_bytes, 40 * MIB as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_told_as_such_and_may_come_back() {
    let server = Server::start().await;
    let blobs = server.blobs("");
    let blob = blobs.put(content("here")).await.expect("it is put");
    server.refuse(true);
    let error = blobs.get(&blob.digest, 0..).await.map(drop).expect_err("it is away");
    assert_eq!(error.kind, BlobErrorKind::Unavailable, "{error:?}");
    let error = blobs.put(content("there")).await.expect_err("it is away");
    assert_eq!(error.kind, BlobErrorKind::Unavailable, "{error:?}");
    server.refuse(false);
    assert_eq!(&read(&*blobs, &blob.digest, 0).await.expect("it is back")[..], b"here");
}

const CHILD_URL: &str = "PIKOCI_TEST_CHILD_URL";

/// Opens what it is told to, by the keys of its environment, and says how that went.
#[tokio::test]
#[ignore = "run by others as a process of its own"]
async fn child_that_opens() {
    use std::io::Write as _;
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let said = match open_blobs(&url).await {
        Ok(blobs) => match blobs.put(content("from the child")).await {
            Ok(blob) => format!("put {} in {blobs}", blob.digest),
            Err(error) => format!("not put: {error:?}"),
        },
        Err(error) => format!("{:?}: {error}: {:?}", error.kind, error.source),
    };
    writeln!(std::io::stdout(), "{said}").expect("it is read");
}

/// What a process says that opens this URL with these keys.
async fn opened_by_child(url: String, key: &str, secret: &str) -> String {
    let mut command = child("child_that_opens");
    command.env(CHILD_URL, url);
    command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("it is waited for").expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_and_the_keys_of_the_environment_open_it() {
    let server = Server::start().await;
    let url = format!("s3://{BUCKET}/ci?region=eu-1&endpoint={}", server.endpoint());
    let said = opened_by_child(url, KEY, SECRET).await;
    let digest = Digest::of(b"from the child");
    assert!(said.contains(&format!("put {digest} in s3://{BUCKET}/ci\n")), "{said}");
    assert!(server.blobs("ci").head(&digest).await.expect("a head").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_and_a_bucket_that_is_not_there_are_told_clearly() {
    let server = Server::start().await;
    let endpoint = server.endpoint();
    let url = |bucket: &str| format!("s3://{bucket}/ci?endpoint={endpoint}");
    for (key, secret) in [(KEY, "wrong-secret-value"), ("WRONGKEY", SECRET)] {
        let said = opened_by_child(url(BUCKET), key, secret).await;
        let expected = format!("{:?}: `s3://{BUCKET}/ci` said no", OpenErrorKind::Refused);
        assert!(said.contains(&expected), "{said}");
        assert!(!said.contains(secret), "{said}");
    }
    let said = opened_by_child(url("nosuch"), KEY, SECRET).await;
    let expected = format!("{:?}: `s3://nosuch/ci` is not there", OpenErrorKind::Refused);
    assert!(said.contains(&expected), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_told_in_bounded_time() {
    let server = Server::start().await;
    let endpoint = server.endpoint();
    server.stop().await;
    let said = opened_by_child(format!("s3://{BUCKET}?endpoint={endpoint}"), KEY, SECRET).await;
    assert!(said.contains(&format!("{:?}: `s3://{BUCKET}`", OpenErrorKind::Unavailable)), "{said}");
}
