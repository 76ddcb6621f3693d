//! What many clients at once see of each other.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::super::{LIMIT, within};
use super::StoreFixture;
use super::client::{Client, key, txn};
use crate::store::{Entry, Key, KeyRange, Order, Outcome, Revision};

/// How many work at once.
const CLIENTS: usize = 8;

/// What all of `tasks` come to; the first that panics ends it.
pub(super) async fn all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut done = Vec::new();
    while let Some(joined) = within(LIMIT, "concurrent work", tasks.join_next()).await {
        match joined {
            Ok(result) => done.push(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => panic!("a task of the suite was ended: {error}"),
            },
        }
    }
    done
}

/// What was committed is found by every call that begins after its answer, by
/// whomever.
///
/// # Panics
/// When it is not.
pub async fn an_acknowledged_commit_is_seen_at_once(fixture: &StoreFixture) {
    let mut tasks = JoinSet::new();
    for number in 0..4 {
        let (writer, others) = (fixture.client(), fixture.clients(2));
        // In every second task the roles are changed.
        let (writer, others) = match number % 2 {
            0 => (writer, others),
            _ => (fixture.elsewhere(), others.into_iter().rev().collect()),
        };
        tasks.spawn(async move {
            let key = key(format!("task-{number}"));
            let range = KeyRange::prefix(key.to_bytes());
            for round in 0..15 {
                let value = format!("round {round}");
                let revision = writer.put(&key, value.clone()).await;
                for reader in &others {
                    let entry = Entry { value: value.clone().into(), revision };
                    let found = reader.entry(&key).await;
                    assert_eq!(found.as_ref(), Some(&entry), "a get after the answer to a put");
                    let found = reader.scan(&range, Order::Descending, 5).await;
                    let expected = [(key.clone(), entry)];
                    assert_eq!(found, expected, "a scan after the answer to a put");
                    // What it found must do as a check.
                    let check = txn().check(key.clone(), Some(revision));
                    reader.committed(&check).await;
                }
                writer.delete(&key).await;
                for reader in &others {
                    assert_eq!(reader.entry(&key).await, None, "a get after a delete");
                    let found = reader.scan(&range, Order::Ascending, 5).await;
                    assert_eq!(found, [], "a scan after a delete");
                }
            }
        });
    }
    all(tasks).await;
}

/// Every get and every scan sees all that a commit wrote or nothing of it,
/// also while others commit.
///
/// # Panics
/// When one sees a part.
pub async fn a_commit_is_seen_whole_or_not_at_all(fixture: &StoreFixture) {
    let keys: Arc<[Key]> = ["a", "m", "z"].map(key).into();
    // Something to go through between them.
    let mut between = txn();
    for number in 0..60 {
        between = between.put(key(format!("{}-{number}", ["b", "n"][number % 2])), "between");
    }
    fixture.client().committed(&between).await;

    let writing = Arc::new(AtomicUsize::new(2));
    let mut tasks = JoinSet::new();
    for (number, client) in fixture.clients(2).into_iter().enumerate() {
        let (keys, writing) = (keys.clone(), writing.clone());
        tasks.spawn(async move {
            for round in 0..40 {
                let writes = keys.iter().fold(txn(), |txn, key| match round % 4 {
                    3 => txn.delete(key.clone()),
                    _ => txn.put(key.clone(), format!("{number} in round {round}")),
                });
                client.committed(&writes).await;
            }
            writing.fetch_sub(1, Ordering::SeqCst);
        });
    }
    for (number, client) in fixture.clients(CLIENTS).into_iter().enumerate() {
        let (keys, writing) = (keys.clone(), writing.clone());
        tasks.spawn(async move {
            while writing.load(Ordering::SeqCst) > 0 {
                let seen: Vec<Option<Entry>> = if number % 4 < 2 {
                    client.get(&keys).await
                } else {
                    let order = [Order::Ascending, Order::Descending][number % 2];
                    let found = client.scan(&KeyRange::all(), order, 1000).await;
                    let entry = |key| found.iter().find(|(it, _)| it == key);
                    keys.iter().map(|key| entry(key).map(|(_, entry)| entry.clone())).collect()
                };
                let how = ["a get", "a scan"][usize::from(number % 4 >= 2)];
                let whole = seen.windows(2).all(|pair| pair[0] == pair[1]);
                assert!(whole, "{how} saw a part of a commit: {seen:?} for {keys:?}");
            }
        });
    }
    all(tasks).await;
}

/// Of many clients that read a counter and put one more, checking what they
/// read, none overwrites what another counted; and the revisions tell in which
/// order it went.
///
/// # Panics
/// When an increment is lost.
pub async fn concurrent_increments_are_not_lost(fixture: &StoreFixture) {
    const EACH: usize = 12;
    let mut tasks = JoinSet::new();
    for client in fixture.clients(CLIENTS) {
        tasks.spawn(async move {
            let counter = key("counter");
            let mut counted = Vec::new();
            while counted.len() < EACH {
                let entry = client.entry(&counter).await;
                let now = entry.as_ref().map_or(0, |entry| number(&entry.value));
                let more = txn()
                    .check(counter.clone(), entry.map(|entry| entry.revision))
                    .put(counter.clone(), (now + 1).to_string());
                if let Outcome::Committed(revision) = client.commit(&more).await {
                    counted.push((now + 1, revision));
                }
            }
            counted
        });
    }
    let mut counted: Vec<(usize, Revision)> = all(tasks).await.concat();
    counted.sort_unstable();
    let values: Vec<usize> = counted.iter().map(|(value, _)| *value).collect();
    let expected: Vec<usize> = (1..=CLIENTS * EACH).collect();
    assert_eq!(values, expected, "the numbers that {CLIENTS} clients counted to");
    for pair in counted.windows(2) {
        assert!(pair[0].1 < pair[1].1, "the revisions do not grow with the counter: {pair:?}");
    }
    let last = fixture.elsewhere().entry(&key("counter")).await;
    let last = last.map(|entry| (number(&entry.value), entry.revision));
    assert_eq!(last.as_ref(), counted.last(), "what the counter holds in the end");
}

fn number(value: &[u8]) -> usize {
    let text = String::from_utf8_lossy(value);
    match text.parse() {
        Ok(number) => number,
        Err(_) => panic!("a counter holds `{text}`, which nobody put there"),
    }
}

/// Of many clients that try at once to create the same key, one succeeds.
///
/// # Panics
/// When none does or several do.
pub async fn an_absent_key_is_created_by_one_alone(fixture: &StoreFixture) {
    for round in 0..10 {
        let key = key(format!("lock-{round}"));
        let start = Arc::new(Barrier::new(CLIENTS));
        let mut tasks = JoinSet::new();
        for (number, client) in fixture.clients(CLIENTS).into_iter().enumerate() {
            let (key, start) = (key.clone(), start.clone());
            tasks.spawn(async move {
                let value = format!("client {number}");
                let create = txn().check_absent(key.clone()).put(key, value.clone());
                start.wait().await;
                match client.commit(&create).await {
                    Outcome::Committed(revision) => Some(Entry { value: value.into(), revision }),
                    Outcome::Conflict => None,
                }
            });
        }
        let created: Vec<Entry> = all(tasks).await.into_iter().flatten().collect();
        assert_eq!(created.len(), 1, "how many of {CLIENTS} clients created the same key");
        let found = fixture.client().entry(&key).await;
        assert_eq!(found.as_ref(), created.first(), "the entry of a key that was created");
    }
}

/// Of many clients that read the same keys and each write another one, one is
/// committed: what is checked and not written counts (no write skew).
///
/// # Panics
/// When two are.
pub async fn what_was_read_cannot_change_unseen(fixture: &StoreFixture) {
    let doctors: Arc<[Key]> = (0..CLIENTS).map(|number| key(format!("doctor-{number}"))).collect();
    for round in 0..10 {
        let on_call = doctors.iter().fold(txn(), |txn, key| txn.put(key.clone(), "on call"));
        fixture.client().committed(&on_call).await;
        let everyone_has_read = Arc::new(Barrier::new(CLIENTS));
        let mut tasks = JoinSet::new();
        for (number, client) in fixture.clients(CLIENTS).into_iter().enumerate() {
            let (doctors, read) = (doctors.clone(), everyone_has_read.clone());
            tasks.spawn(async move {
                let seen = client.get(&doctors).await;
                let mut leave = txn();
                for (key, entry) in doctors.iter().zip(seen) {
                    leave = leave.check(key.clone(), entry.map(|entry| entry.revision));
                }
                leave = match round % 2 {
                    0 => leave.put(doctors[number].clone(), "away"),
                    _ => leave.delete(doctors[number].clone()),
                };
                read.wait().await;
                usize::from(client.commit(&leave).await != Outcome::Conflict)
            });
        }
        let left: usize = all(tasks).await.into_iter().sum();
        assert_eq!(left, 1, "how many of {CLIENTS} clients wrote by what they all had read");
    }
}

/// A commit whose future is dropped, at whatever moment, is done as a whole or
/// not at all, and is in nobody's way.
///
/// # Panics
/// When a part of it is done, or the store does not work any more.
pub async fn a_dropped_commit_is_done_or_not(fixture: &StoreFixture) {
    let keys: Arc<[Key]> = ["a", "m", "z"].map(key).into();
    let dropping = Arc::new(AtomicBool::new(true));
    let mut readers = JoinSet::new();
    for client in fixture.clients(2) {
        let (keys, dropping) = (keys.clone(), dropping.clone());
        readers.spawn(async move {
            while dropping.load(Ordering::SeqCst) {
                assert_whole(&client, &keys).await;
                // Those who drop shall have the store to themselves for a while.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    let mut tasks = JoinSet::new();
    for (number, client) in fixture.clients(CLIENTS).into_iter().enumerate() {
        let keys = keys.clone();
        tasks.spawn(async move {
            for round in 0..20 {
                let writes = keys.iter().fold(txn(), |txn, key| match round % 4 {
                    3 => txn.delete(key.clone()),
                    _ => txn.put(key.clone(), format!("{number} in round {round}")),
                });
                let patience = Duration::from_micros(1 << (round % 14));
                let commit = polled_at_most(1 + round % 5, client.commit(&writes));
                // Whether it was done is left open.
                let _ = tokio::time::timeout(patience, commit).await;
                assert_whole(&client, &keys).await;
            }
        });
    }
    all(tasks).await;
    dropping.store(false, Ordering::SeqCst);
    all(readers).await;
    for client in fixture.clients(2) {
        client.put(&key("b"), "still works").await;
        assert_whole(&client, &keys).await;
    }
}

async fn assert_whole(client: &Client, keys: &[Key]) {
    let seen = client.get(keys).await;
    let whole = seen.windows(2).all(|pair| pair[0] == pair[1]);
    assert!(whole, "a part of a dropped commit is there: {seen:?} for {keys:?}");
}

/// Polls `work` so many times and then drops it.
pub(super) async fn polled_at_most<T>(times: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = times;
    std::future::poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}
