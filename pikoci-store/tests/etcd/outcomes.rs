//! What is answered of a commit, whatever happened on the way.

use std::sync::Arc;
use std::time::Duration;

use pikoci_core::Store;
use pikoci_core::store::{Outcome, Revision, Txn};

use crate::common::proxy::{Direction, Proxy};
use crate::server::{self, available, fresh_url, key, open, txn};

async fn revision(store: &Arc<dyn Store>, name: &str) -> Option<Revision> {
    let found = store.get(&[key(name)]).await.expect("an answer");
    found[0].as_ref().map(|entry| entry.revision)
}

async fn value(store: &Arc<dyn Store>, name: &str) -> Option<String> {
    let found = store.get(&[key(name)]).await.expect("an answer");
    found[0].as_ref().map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
}

async fn commit(store: &Arc<dyn Store>, txn: &Txn) -> Outcome {
    store.commit(txn).await.unwrap_or_else(|error| panic!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_cut_at_any_byte_of_its_answer_is_done_once_and_answered() {
    if !available("a cut commit") {
        return;
    }
    let member = server::shared().await;
    let proxy = Proxy::start(member.address.clone()).await;
    let store = open(&fresh_url(&[&proxy.address().to_string()])).await;
    let direct = Arc::clone(&store);
    commit(&store, &txn().put(key("it"), "0")).await;
    for bytes in (0..80).step_by(3) {
        for direction in [Direction::Request, Direction::Answer] {
            let before = revision(&direct, "it").await;
            let write = txn().check(key("it"), before).put(key("it"), format!("{bytes}"));
            proxy.cut_after(direction, bytes);
            // Done twice, it would find its own write in its way.
            let Outcome::Committed(told) = commit(&store, &write).await else {
                panic!("a conflict when cut after {bytes} bytes ({direction:?})");
            };
            assert_eq!(revision(&direct, "it").await, Some(told), "{bytes} ({direction:?})");
            assert!(!proxy.cut_is_due(), "nothing was cut after {bytes} bytes ({direction:?})");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_settled_by_another_process() {
    if !available("a commit settled elsewhere") {
        return;
    }
    let url = server::shared().await.fresh_url();
    let (one, other) = (open(&url).await, open(&url).await);
    let write = txn().check_absent(key("it")).put(key("it"), "first");
    let first = commit(&one, &write).await;
    assert!(matches!(first, Outcome::Committed(_)));
    one.close().await.expect("closed");
    commit(&other, &txn().put(key("it"), "later")).await;
    assert_eq!(commit(&other, &write).await, first, "after the first was closed");
    assert_eq!(value(&other, "it").await.as_deref(), Some("later"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_that_was_answered_stays_one_for_what_is_still_on_its_way() {
    if !available("a conflict that stays") {
        return;
    }
    let member = server::shared().await;
    let url = member.fresh_url();
    let path = url.rsplit_once("/test/").expect("a prefix").1;
    let proxy = Proxy::start(member.address.clone()).await;
    let slow = open(&format!("etcd://{}/test/{path}", proxy.address())).await;
    let store = open(&url).await;

    // The first try hangs on its way; the caller gives it up and tries again
    // elsewhere, finds the key in its way, and the key goes.
    let write = txn().check_absent(key("it")).put(key("it"), "late");
    proxy.hold(true);
    let sent = proxy.bytes(Direction::Request);
    let hanging = {
        let (slow, write) = (Arc::clone(&slow), write.clone());
        tokio::spawn(async move { slow.commit(&write).await })
    };
    commit(&store, &txn().put(key("it"), "in the way")).await;
    assert_eq!(commit(&store, &write).await, Outcome::Conflict);
    commit(&store, &txn().delete(key("it"))).await;

    // Now it arrives.
    proxy.hold(false);
    let said = tokio::time::timeout(Duration::from_secs(30), hanging).await.expect("an answer");
    assert_eq!(said.expect("no panic").expect("an outcome"), Outcome::Conflict);
    assert!(proxy.bytes(Direction::Request) > sent, "it was never sent");
    assert_eq!(value(&store, "it").await, None);
    assert_eq!(commit(&store, &write).await, Outcome::Conflict, "asked once more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_is_replaced_unseen() {
    if !available("a lost lease") {
        return;
    }
    // On its own: it revokes all leases.
    let member = server::Member::single("http", &[]);
    let store = open(&member.fresh_url()).await;
    let write = txn().put(key("it"), "1");
    let first = commit(&store, &write).await;
    assert_eq!(commit(&store, &write).await, first);
    let leases = member.control(&["lease", "list"]);
    let leases: Vec<&str> = leases.lines().skip(1).collect();
    assert_eq!(leases.len(), 1, "{leases:?}");
    let left = member.control(&["lease", "timetolive", leases[0]]);
    assert!(left.contains("granted with TTL(1200s)"), "{left}");
    member.control(&["lease", "revoke", leases[0]]);
    // What the lease held is forgotten; the next commit finds another lease.
    let next = txn().put(key("it"), "2");
    assert_ne!(commit(&store, &next).await, first);
    assert_eq!(value(&store, "it").await.as_deref(), Some("2"));
    assert_eq!(member.control(&["lease", "list"]).lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layout_of_a_newer_version_is_not_opened() {
    if !available("a newer layout") {
        return;
    }
    let member = server::shared().await;
    let url = member.fresh_url();
    open(&url).await.close().await.expect("closed");
    let prefix = url.split_once("/test/").expect("a prefix").1;
    assert_eq!(
        member.control(&["get", "--print-value-only", &format!("test/{prefix}/format")]),
        "1\n"
    );
    member.control(&["put", &format!("test/{prefix}/format"), "2"]);
    let error = pikoci_store::open_store(&url).await.expect_err("refused");
    assert_eq!(error.kind, pikoci_store::OpenErrorKind::Format);
    assert!(error.message.contains("version `2` of the layout"), "{error}");
}
