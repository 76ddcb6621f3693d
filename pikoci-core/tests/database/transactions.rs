//! Transactions of the database, over stores behind a bad network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use pikoci_core::clock::SystemClock;
use pikoci_core::database::{Database, DatabaseError, Retry, Transaction};
use pikoci_core::store::{
    Key, KeyRange, MemoryStore, Order, Store, StoreError, StoreErrorKind, Txn,
};
use pikoci_core::testkit::faulty::{FaultyStore, StoreCall, StoreFault};
use pikoci_core::testkit::random::Random;
use tokio::task::JoinSet;
use uuid::Uuid;

fn key(name: &str) -> Key {
    Key::new(name.to_owned()).expect("a key")
}

fn database(store: impl Store) -> Database {
    over(Arc::new(store))
}

fn over(store: Arc<dyn Store>) -> Database {
    Database::new(store, Arc::new(SystemClock::new()))
}

/// One that gives up soon.
fn impatient(store: impl Store) -> Database {
    database(store).with_retry(Retry {
        first_pause: Duration::from_micros(100),
        longest_pause: Duration::from_millis(1),
        give_up_after: Duration::from_millis(30),
    })
}

async fn number(transaction: &mut Transaction, key: &Key) -> Result<u64, DatabaseError> {
    let value = transaction.get_raw(key).await?;
    Ok(value.map_or(0, |value| String::from_utf8_lossy(&value).parse().expect("a number")))
}

async fn increment(database: &Database, key: &Key) -> Result<u64, DatabaseError> {
    database
        .transact(|transaction| {
            let key = key.clone();
            Box::pin(async move {
                let now = number(transaction, &key).await? + 1;
                transaction.put_raw(key, now.to_string());
                Ok(now)
            })
        })
        .await
}

async fn value(database: &Database, name: &str) -> Option<Bytes> {
    let found = database.get_raw(&[key(name)]).await.expect("what is there");
    found.into_iter().next().flatten().map(|entry| entry.value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_are_exact_though_commits_are_in_doubt() {
    const TASKS: u64 = 8;
    const EACH: u64 = 200;
    let inner = Arc::new(MemoryStore::new());
    let faulty = FaultyStore::new(inner.clone()).seeded(11);
    let shared = database(faulty.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let shared = shared.clone();
        tasks.spawn(async move {
            let counter = key("counter");
            let mut done = 0;
            while done < EACH {
                match increment(&shared, &counter).await {
                    Ok(_) => done += 1,
                    // Nothing was done: what was in doubt is settled within.
                    Err(DatabaseError::Store(error)) => {
                        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    let joined = tokio::time::timeout(Duration::from_secs(120), tasks.join_all());
    joined.await.expect("increments that end");
    let counted = value(&over(inner), "counter").await;
    assert_eq!(counted, Some(Bytes::from("1600")), "1600 increments");
    assert!(faulty.calls(StoreCall::Commit) > TASKS * EACH, "nothing went wrong");
}

#[tokio::test]
async fn each_way_to_lose_a_commit_counts_once() {
    let late = StoreFault::ArriveLate(Duration::from_millis(2));
    for fault in [StoreFault::LoseAnswer, StoreFault::LoseRequest, late] {
        // The answer to the settling commit is lost too.
        let store = FaultyStore::new(Arc::new(MemoryStore::new()))
            .at(StoreCall::Commit, 1, fault)
            .at(StoreCall::Commit, 2, StoreFault::LoseAnswer)
            .at(StoreCall::Commit, 3, StoreFault::Refuse)
            .at(StoreCall::Commit, 4, fault);
        let database = database(store);
        let counted = increment(&database, &key("counter")).await.expect("a count");
        assert_eq!(counted, 1, "{fault:?}");
        assert_eq!(value(&database, "counter").await, Some(Bytes::from("1")), "{fault:?}");
        let counted = increment(&database, &key("counter")).await.expect("a count");
        assert_eq!(counted, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn who_is_overtaken_for_too_long_is_told_how_often() {
    let database = impatient(MemoryStore::new());
    let tries = AtomicU32::new(0);
    let done: Result<(), DatabaseError> = database
        .transact(|transaction| {
            let round = tries.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                let contended = key("contended");
                transaction.get_raw(&contended).await?;
                // Another is quicker, each time.
                let other = Txn::new(Uuid::now_v7()).put(contended.clone(), format!("{round}"));
                transaction.database().store().commit(&other).await?;
                transaction.put_raw(contended, "mine");
                Ok(())
            })
        })
        .await;
    let tried = tries.load(Ordering::SeqCst);
    match done {
        Err(error @ DatabaseError::Contended { attempts }) => {
            assert_eq!(attempts, tried);
            assert!(attempts > 1 && error.is_retryable());
        }
        other => panic!("{other:?}"),
    }
    let last = Bytes::from((tried - 1).to_string());
    assert_eq!(value(&database, "contended").await, Some(last), "what the other wrote");
}

#[tokio::test]
async fn work_that_fails_writes_nothing() {
    let store = Arc::new(MemoryStore::new());
    let database = over(store.clone());
    let done: Result<(), DatabaseError> = database
        .transact(|transaction| {
            Box::pin(async move {
                transaction.put_raw(key("a"), "it");
                transaction.delete_raw(key("b"));
                Err(StoreError::invalid("the work failed").into())
            })
        })
        .await;
    assert_eq!(done.expect_err("an error").to_string(), "the work failed");
    assert_eq!(value(&database, "a").await, None);
    assert!(store.scan(&KeyRange::all(), Order::Ascending, 9).await.expect("all").is_empty());
}

#[tokio::test]
async fn a_refused_commit_is_an_error_at_once_and_writes_nothing() {
    let store =
        FaultyStore::new(Arc::new(MemoryStore::new())).at(StoreCall::Commit, 1, StoreFault::Refuse);
    let database = database(store.clone());
    let error = increment(&database, &key("n")).await.expect_err("refused");
    assert!(
        matches!(&error, DatabaseError::Store(it) if it.kind == StoreErrorKind::Unavailable),
        "{error}"
    );
    assert!(error.is_retryable());
    assert_eq!(store.calls(StoreCall::Commit), 1);
    assert_eq!(value(&database, "n").await, None);
}

#[tokio::test]
async fn a_commit_that_cannot_be_settled_stays_unknown() {
    let mut store = FaultyStore::new(Arc::new(MemoryStore::new()));
    // "Nothing was done" speaks of the last try only, once there was a doubt.
    store = store.at(StoreCall::Commit, 1, StoreFault::LoseAnswer);
    for nth in 2..10_000 {
        store = store.at(StoreCall::Commit, nth, StoreFault::Refuse);
    }
    let error = increment(&impatient(store.clone()), &key("n")).await.expect_err("in doubt");
    let DatabaseError::Store(error) = error else { panic!("{error}") };
    assert_eq!(error.kind, StoreErrorKind::Unknown, "{error}");
    assert!(store.calls(StoreCall::Commit) > 2, "it was tried again");
}

#[tokio::test]
async fn a_store_that_closes_while_a_commit_is_in_doubt_leaves_it_unknown() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new())).at(
        StoreCall::Commit,
        1,
        StoreFault::LoseRequest,
    );
    let database = database(store.clone());
    let counter = key("n");
    let started = increment(&database, &counter);
    let closing = async {
        while store.calls(StoreCall::Commit) == 0 {
            tokio::task::yield_now().await;
        }
        store.close().await.expect("a close");
    };
    let (done, ()) = tokio::join!(started, closing);
    let Err(DatabaseError::Store(error)) = done else { panic!("{done:?}") };
    assert_eq!(error.kind, StoreErrorKind::Unknown, "{error}");
}

#[tokio::test]
async fn what_was_read_is_checked_though_it_is_not_written() {
    let database = database(MemoryStore::new());
    let tries = AtomicU32::new(0);
    let seen: Result<Option<Bytes>, DatabaseError> = database
        .transact(|transaction| {
            let round = tries.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                let seen = transaction.get_raw(&key("read")).await?;
                if round == 0 {
                    let other = Txn::new(Uuid::now_v7()).put(key("read"), "changed");
                    transaction.database().store().commit(&other).await?;
                }
                transaction.put_raw(key("written"), "it");
                Ok(seen)
            })
        })
        .await;
    assert_eq!(seen.expect("a commit"), Some(Bytes::from("changed")));
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_transaction_scans_its_own_puts_and_deletes() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let database = database(MemoryStore::new());
        let mut expected: BTreeMap<Key, Bytes> = BTreeMap::new();
        let mut before = Txn::new(Uuid::now_v7());
        for number in 0..30 {
            if random.one_in(2) {
                let (key, value) = (key(&format!("k{number:02}")), Bytes::from("stored"));
                before = before.put(key.clone(), value.clone());
                expected.insert(key, value);
            }
        }
        before = before.put(key("j"), "outside").put(key("l"), "outside");
        database.store().commit(&before).await.expect("a commit");

        let mut own = Vec::new();
        for _ in 0..random.below(25) {
            let key = key(&format!("k{:02}", random.below(30)));
            let value = random.one_in(2).then(|| Bytes::from("own"));
            match &value {
                Some(value) => expected.insert(key.clone(), value.clone()),
                None => expected.remove(&key),
            };
            own.push((key, value));
        }
        let (own, expected) = (Arc::new(own), Arc::new(expected));
        let scanned: Result<(), DatabaseError> = database
            .transact(|transaction| {
                let (own, expected) = (own.clone(), expected.clone());
                Box::pin(async move {
                    for (key, value) in own.iter() {
                        match value {
                            Some(value) => transaction.put_raw(key.clone(), value.clone()),
                            None => transaction.delete_raw(key.clone()),
                        }
                    }
                    transaction.put_raw(key("m"), "outside too");
                    let range = KeyRange::prefix(&b"k"[..]);
                    for limit in 0..32 {
                        let owned = |(key, value): (&Key, &Bytes)| (key.clone(), value.clone());
                        let up: Vec<_> = expected.iter().take(limit).map(owned).collect();
                        let found = transaction.scan_raw(&range, Order::Ascending, limit).await?;
                        assert_eq!(found, up, "seed {seed}, the first {limit}");
                        let down: Vec<_> = expected.iter().rev().take(limit).map(owned).collect();
                        let found = transaction.scan_raw(&range, Order::Descending, limit).await?;
                        assert_eq!(found, down, "seed {seed}, the last {limit}");
                    }
                    for (name, value) in expected.iter() {
                        assert_eq!(transaction.get_raw(name).await?.as_ref(), Some(value));
                    }
                    Ok(())
                })
            })
            .await;
        scanned.expect("a commit");
        let range = KeyRange::prefix(&b"k"[..]);
        let after = database.scan_raw(&range, Order::Ascending, 99).await.expect("a scan");
        let after: BTreeMap<Key, Bytes> =
            after.into_iter().map(|(key, entry)| (key, entry.value)).collect();
        assert_eq!(after, *expected, "seed {seed}, what is stored");
    }
}
