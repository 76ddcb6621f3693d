//! What the faulty wrapper of a store does at the call that a test names.

use std::sync::Arc;
use std::time::Duration;

use pikoci_core::store::{Key, MemoryStore, Outcome, Revision, Store, StoreErrorKind, Txn};
use pikoci_core::testkit::faulty::{FaultyStore, StoreCall, StoreFault};
use uuid::Uuid;

const LATE: Duration = Duration::from_millis(5);

fn key() -> Key {
    Key::new("key").expect("a key")
}

fn put(value: &'static str) -> Txn {
    Txn::new(Uuid::now_v7()).check_absent(key()).put(key(), value)
}

/// A store that counts its calls, and a network before it.
fn stores(call: StoreCall, fault: StoreFault) -> (FaultyStore, FaultyStore) {
    let inner = FaultyStore::new(Arc::new(MemoryStore::new()));
    (inner.clone(), FaultyStore::new(Arc::new(inner)).at(call, 1, fault))
}

async fn value(store: &FaultyStore) -> Option<String> {
    let entry = store.get(&[key()]).await.expect("what is there").remove(0)?;
    Some(String::from_utf8_lossy(&entry.value).into_owned())
}

async fn why(store: &FaultyStore, txn: &Txn) -> StoreErrorKind {
    store.commit(txn).await.expect_err("a fault").kind
}

#[tokio::test]
async fn a_refused_commit_is_not_done() {
    let (inner, store) = stores(StoreCall::Commit, StoreFault::Refuse);
    assert_eq!(why(&store, &put("it")).await, StoreErrorKind::Unavailable);
    assert_eq!(inner.calls(StoreCall::Commit), 0);
    assert_eq!(value(&inner).await, None);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_done_and_answers_later() {
    let (inner, store) = stores(StoreCall::Commit, StoreFault::LoseAnswer);
    let txn = put("it");
    assert_eq!(why(&store, &txn).await, StoreErrorKind::Unknown);
    assert_eq!(value(&inner).await.as_deref(), Some("it"));
    let settled = store.commit(&txn).await.expect("an answer");
    assert_eq!(settled, Outcome::Committed(Revision(1)));
    assert_eq!(inner.calls(StoreCall::Commit), 1, "it was done once");
}

#[tokio::test]
async fn a_commit_that_was_lost_is_done_when_it_is_made_again() {
    let (inner, store) = stores(StoreCall::Commit, StoreFault::LoseRequest);
    let txn = put("it");
    assert_eq!(why(&store, &txn).await, StoreErrorKind::Unknown);
    assert_eq!(value(&inner).await, None);
    assert!(matches!(store.commit(&txn).await, Ok(Outcome::Committed(_))));
    assert_eq!(value(&inner).await.as_deref(), Some("it"));
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_arrives_unless_it_was_settled() {
    let (inner, store) = stores(StoreCall::Commit, StoreFault::ArriveLate(LATE));
    assert_eq!(why(&store, &put("late")).await, StoreErrorKind::Unknown);
    assert_eq!(value(&inner).await, None);
    tokio::time::sleep(2 * LATE).await;
    assert_eq!(value(&inner).await.as_deref(), Some("late"));

    for remembers in [false, true] {
        let (inner, mut store) = stores(StoreCall::Commit, StoreFault::ArriveLate(LATE));
        if remembers {
            store = store.over_one_that_remembers();
        }
        let (late, other) = (put("late"), put("other"));
        assert_eq!(why(&store, &late).await, StoreErrorKind::Unknown);
        assert!(matches!(store.commit(&other).await, Ok(Outcome::Committed(_))));
        let settled = store.commit(&late).await.expect("an answer");
        assert_eq!(settled, Outcome::Conflict);
        // What its check would allow again must not be done: it was answered.
        let delete = Txn::new(Uuid::now_v7()).delete(key());
        store.commit(&delete).await.expect("a delete");
        tokio::time::sleep(2 * LATE).await;
        assert_eq!(value(&inner).await, None, "remembers: {remembers}");
    }
}

#[tokio::test]
async fn a_repeated_commit_arrives_twice_where_the_store_remembers() {
    let (inner, store) = stores(StoreCall::Commit, StoreFault::Repeat);
    assert!(matches!(store.commit(&put("it")).await, Ok(Outcome::Committed(_))));
    assert_eq!(inner.calls(StoreCall::Commit), 1, "it does not remember");

    let (inner, store) = stores(StoreCall::Commit, StoreFault::Repeat);
    let store = store.over_one_that_remembers();
    let answer = store.commit(&put("it")).await.expect("an answer");
    assert_eq!(answer, Outcome::Committed(Revision(1)));
    assert_eq!(inner.calls(StoreCall::Commit), 2);
}

#[tokio::test(start_paused = true)]
async fn delays_let_others_overtake() {
    for fault in [StoreFault::Delay(LATE), StoreFault::DelayAnswer(LATE)] {
        let (_, store) = stores(StoreCall::Commit, fault);
        let (slow, quick) = (put("slow"), put("quick"));
        let (slow, quick) = tokio::join!(store.commit(&slow), store.commit(&quick));
        let first = if fault == StoreFault::Delay(LATE) { "quick" } else { "slow" };
        assert_eq!(value(&store).await.as_deref(), Some(first), "{fault:?}");
        let (slow, quick) = (slow.expect("an answer"), quick.expect("an answer"));
        assert_ne!(slow == Outcome::Conflict, quick == Outcome::Conflict, "{fault:?}");
    }
}

#[tokio::test]
async fn a_read_that_is_lost_is_unavailable() {
    for fault in [StoreFault::Refuse, StoreFault::LoseAnswer, StoreFault::LoseRequest] {
        let (inner, store) = stores(StoreCall::Get, fault);
        let error = store.get(&[key()]).await.expect_err("a fault");
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        let read = u64::from(fault == StoreFault::LoseAnswer);
        assert_eq!(inner.calls(StoreCall::Get), read, "{fault:?}");
        assert!(store.get(&[key()]).await.is_ok());
    }
}

#[tokio::test]
async fn siblings_know_of_each_others_commits() {
    let inner = Arc::new(MemoryStore::new());
    let store = FaultyStore::new(inner.clone()).at(StoreCall::Commit, 1, StoreFault::LoseAnswer);
    let sibling = store.sibling(inner);
    let txn = put("it");
    assert_eq!(why(&store, &txn).await, StoreErrorKind::Unknown);
    let settled = sibling.commit(&txn).await.expect("an answer");
    assert_eq!(settled, Outcome::Committed(Revision(1)));
    assert_eq!(sibling.calls(StoreCall::Commit), 2);
}
