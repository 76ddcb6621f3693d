//! The doorbell of a real server.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use pikoci_core::store::KeyRange;

use crate::server::{Member, available, key, open, txn};

async fn ring(bell: &mut BoxStream<'static, ()>) -> bool {
    let ring = tokio::time::timeout(Duration::from_secs(30), bell.next()).await;
    ring.expect("a ring or the end").is_some()
}

/// Takes what rings until it has been silent for a while.
async fn silence(bell: &mut BoxStream<'static, ()>) {
    while tokio::time::timeout(Duration::from_millis(300), bell.next()).await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_rings_again_after_a_restart_of_the_server() {
    if !available("a watch across a restart") {
        return;
    }
    let mut member = Member::single("http", &[]);
    let store = open(&member.fresh_url()).await;
    let mut bell = store.watch(&KeyRange::prefix("a/")).expect("a native watch");
    assert!(ring(&mut bell).await, "when it begins");
    silence(&mut bell).await;

    store.commit(&txn().put(key("b"), "outside")).await.expect("done");
    let rung = tokio::time::timeout(Duration::from_millis(300), bell.next()).await;
    assert!(rung.is_err(), "it rang for a key outside of its range");
    store.commit(&txn().put(key("a/1"), "inside")).await.expect("done");
    assert!(ring(&mut bell).await);

    silence(&mut bell).await;
    member.kill();
    member.start();
    assert!(ring(&mut bell).await, "when it is back");
    silence(&mut bell).await;
    store.commit(&txn().delete(key("a/1"))).await.expect("done");
    assert!(ring(&mut bell).await);

    silence(&mut bell).await;
    store.close().await.expect("closed");
    assert!(!ring(&mut bell).await, "it goes on after the close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_nobody_looks_at_holds_up_nobody() {
    if !available("a watch that nobody looks at") {
        return;
    }
    let store = open(&crate::server::shared().await.fresh_url()).await;
    let bells: Vec<_> = (0..4).map(|_| store.watch(&KeyRange::all())).collect();
    let value = vec![0; 64 * 1024];
    // Four watches of 24 MiB each, on the connection that the commits use.
    for round in 0..24 {
        let write =
            (0..15).fold(txn(), |txn, at| txn.put(key(&format!("{round}/{at}")), value.clone()));
        store.commit(&write).await.expect("done");
    }
    for mut bell in bells.into_iter().flatten() {
        assert!(ring(&mut bell).await);
    }
}
