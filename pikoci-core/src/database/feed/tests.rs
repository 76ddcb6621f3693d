//! What feeds must do, whoever else is at them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::clock::SystemClock;
use crate::store::{MemoryStore, StoreErrorKind};
use crate::testkit::ManualClock;
use crate::testkit::faulty::{FaultyStore, StoreCall, StoreFault};

type Done<T = ()> = Result<T, DatabaseError>;

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(MemoryStore::new()))
}

fn on(store: &FaultyStore) -> Database {
    Database::new(Arc::new(store.clone()), Arc::new(SystemClock::new()))
}

fn feed() -> Feed<u64> {
    Feed::new("numbers")
}

/// In transactions of ten, which are made again after a fault.
async fn append(database: &Database, feed: &Feed<u64>, entries: &[u64]) {
    for entries in entries.chunks(10) {
        loop {
            let done: Done = database
                .transact_with(&(feed, entries), |transaction, (feed, entries)| {
                    Box::pin(async move {
                        for entry in *entries {
                            feed.append(transaction, entry).await?;
                        }
                        Ok(())
                    })
                })
                .await;
            match done {
                Ok(()) => break,
                Err(DatabaseError::Store(error)) if error.kind != StoreErrorKind::Unknown => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn remove(database: &Database, feed: &Feed<u64>, at: FeedPlace) -> Done {
    database
        .transact_with(&(feed, at), |transaction, (feed, at)| {
            Box::pin(async move { feed.remove(transaction, *at) })
        })
        .await
}

async fn all(database: &Database, feed: &Feed<u64>) -> Vec<FeedEntry<u64>> {
    feed.read(database, &mut FeedCursor::default(), usize::MAX).await.unwrap()
}

fn sorted(entries: &[FeedEntry<u64>]) -> Vec<u64> {
    let mut sorted: Vec<u64> = entries.iter().map(|entry| entry.entry).collect();
    sorted.sort_unstable();
    sorted
}

async fn keys(database: &Database) -> usize {
    database.scan_raw(&KeyRange::all(), Order::Ascending, 1000).await.unwrap().len()
}

#[tokio::test]
async fn keys_and_values_stay_as_they_are() -> Done {
    let database = Database::new(Arc::new(MemoryStore::new()), Arc::new(ManualClock::new()));
    append(&database, &Feed::new(("a", 7_u64)), &[42]).await;
    let found = database.scan_raw(&KeyRange::all(), Order::Ascending, 10).await?;
    let found: Vec<_> =
        found.iter().map(|(key, entry)| (key.as_bytes(), &entry.value[..])).collect();
    let count = b"\x02f\0\x03\0\0\0\0\0\0\0\x02\x02a\0\x03\0\0\0\0\0\0\0\x07\x03\0\0\0\0\0\0\0\0";
    let entry = [&count[..], b"\x03\0\0\0\0\0\0\0\0"].concat();
    assert_eq!(found, [(&count[..], &b"\x01\x011"[..]), (&entry[..], b"\x01\x0142")]);

    let place = FeedPlace { cell: 1, number: 2 };
    assert_eq!(serde_json::to_string(&place).unwrap(), r#"{"cell":1,"number":2}"#);
    let mut cursor = FeedCursor::default();
    let feed = Feed::<u64>::new(("a", 7_u64));
    feed.read(&database, &mut cursor, 10).await?;
    let json = serde_json::to_string(&cursor).unwrap();
    assert_eq!(json, "[1,0,0,0,0,0,0,0]");
    assert_eq!(serde_json::from_str::<FeedCursor>(&json).unwrap(), cursor);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn eight_at_once_are_in_nobodys_way_and_a_ninth_takes_another_cell() {
    let slow = StoreFault::DelayAnswer(Duration::from_secs(1));
    let store = (1..=9).fold(store(), |store, nth| store.at(StoreCall::Get, nth, slow));
    let (database, feed) = (on(&store), feed());
    join_all((0..8).map(async |entry| append(&database, &feed, &[entry]).await)).await;
    assert_eq!(store.calls(StoreCall::Commit), 8);
    assert_eq!(sorted(&all(&database, &feed).await), Vec::from_iter(0..8));

    let slow = StoreFault::DelayAnswer(Duration::from_secs(1));
    let made = store.calls(StoreCall::Get);
    let store = (1..=9).fold(store, |store, nth| store.at(StoreCall::Get, made + nth, slow));
    join_all((8..17).map(async |entry| append(&database, &feed, &[entry]).await)).await;
    assert_eq!(store.calls(StoreCall::Commit), 8 + 10, "one of them twice");
    assert_eq!(sorted(&all(&database, &feed).await), Vec::from_iter(0..17));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_nothing_told_twice_behind_a_bad_network() {
    for seed in 0..20 {
        let (here, feed) = (on(&store().seeded(seed)), feed());
        // Another process, in the way of the first one.
        let there = Database::new(here.store().clone(), here.clock().clone());
        let mut told = Vec::new();
        let mut cursor = FeedCursor::default();
        let mut read = async |limit: usize| {
            // What fails is read again.
            if let Ok(entries) = feed.read(&here, &mut cursor, limit).await {
                let nothing_new = entries.is_empty();
                told.extend(entries);
                return nothing_new;
            }
            false
        };
        let one = |entry: u64| {
            let (feed, database) = (&feed, if entry.is_multiple_of(2) { &here } else { &there });
            async move { append(database, feed, &[entry]).await }
        };
        tokio::join!(join_all((0..60).map(one)), async {
            for limit in 1..30 {
                read(limit % 7).await;
            }
        });
        while !read(9).await {}
        assert_eq!(sorted(&told), Vec::from_iter(0..60), "seed {seed}");
        let places: BTreeSet<_> = told.iter().map(|entry| entry.place).collect();
        assert_eq!(places.len(), 60);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_while_it_is_read_is_told_once() -> Done {
    let slow = StoreFault::DelayAnswer(Duration::from_secs(2));
    let (store, feed) = (store(), feed());
    let database = on(&store);
    append(&database, &feed, &Vec::from_iter(0..16)).await;
    let made = store.calls(StoreCall::Get);
    let _ = store.clone().at(StoreCall::Get, made + 1, slow);
    let mut cursor = FeedCursor::default();
    let (first, ()) = tokio::join!(feed.read(&database, &mut cursor, 100), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        append(&database, &feed, &Vec::from_iter(16..24)).await;
    });
    assert_eq!(sorted(&first?), Vec::from_iter(0..16));
    let second = feed.read(&database, &mut cursor, 100).await?;
    assert_eq!(sorted(&second), Vec::from_iter(16..24));
    Ok(())
}

#[tokio::test]
async fn after_an_error_the_same_is_read_again() -> Done {
    let store = store().at(StoreCall::Scan, 5, StoreFault::Refuse);
    let (database, feed) = (on(&store), feed());
    append(&database, &feed, &Vec::from_iter(0..20)).await;
    let mut cursor = FeedCursor::default();
    assert!(feed.read(&database, &mut cursor, 100).await.is_err());
    assert_eq!(cursor, FeedCursor::default());
    assert_eq!(feed.read(&database, &mut cursor, 100).await?.len(), 20);
    let (gets, scans) = (store.calls(StoreCall::Get), store.calls(StoreCall::Scan));
    assert!(feed.read(&database, &mut cursor, 100).await?.is_empty());
    assert_eq!(store.calls(StoreCall::Get), gets + 1);
    assert_eq!(store.calls(StoreCall::Scan), scans, "there was nothing new");
    Ok(())
}

#[tokio::test]
async fn cleared_it_is_gone_and_others_are_not() -> Done {
    let store = store();
    let database = on(&store);
    let (feed, other) = (Feed::new("a"), Feed::new(("a", 0_u64)));
    append(&database, &feed, &Vec::from_iter(0..250)).await;
    append(&database, &other, &Vec::from_iter(0..20)).await;
    assert_eq!(keys(&database).await, 250 + 20 + 16);
    let made = store.calls(StoreCall::Commit);
    let _ = store.clone().at(StoreCall::Commit, made + 2, StoreFault::Refuse);
    assert!(feed.clear(&database).await.is_err());
    let left = all(&database, &feed).await.len();
    assert!(left > 0 && left < 250, "{left}");
    feed.clear(&database).await?;
    assert_eq!(keys(&database).await, 20 + 8);
    assert_eq!(all(&database, &other).await.len(), 20);
    feed.clear(&database).await?;
    append(&database, &feed, &[1]).await;
    assert_eq!(sorted(&all(&database, &feed).await), [1]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_while_it_is_cleared_goes_or_stays_as_a_whole() -> Done {
    for seed in 0..30 {
        let (store, feed) = (Arc::new(MemoryStore::new()), feed());
        let far = Database::new(
            Arc::new(FaultyStore::new(store.clone()).seeded(seed)),
            Arc::new(SystemClock::new()),
        );
        let near = Database::new(store, Arc::new(SystemClock::new()));
        append(&near, &feed, &Vec::from_iter(0..50)).await;
        tokio::join!(async { while feed.clear(&far).await.is_err() {} }, async {
            for entry in 50..60 {
                append(&far, &feed, &[entry]).await;
            }
        });
        let left = all(&near, &feed).await;
        let counts = near.get_raw(&feed.count_keys()?).await?.iter().flatten().count();
        assert_eq!(keys(&near).await, left.len() + counts, "each entry is found, seed {seed}");
        feed.clear(&near).await?;
        assert_eq!(keys(&near).await, 0);
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    /// Of those that are there, from this one on so many.
    Remove(usize, usize),
    Read {
        reader: usize,
        limit: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_usize..25).prop_map(Step::Append),
        2 => (any::<usize>(), 1_usize..12).prop_map(|(from, count)| Step::Remove(from, count)),
        4 => (0_usize..3, 0_usize..12).prop_map(|(reader, limit)| Step::Read { reader, limit }),
    ]
}

#[derive(Default)]
struct Model {
    appended: u64,
    there: BTreeMap<FeedPlace, u64>,
    readers: [(FeedCursor, BTreeSet<u64>); 3],
}

impl Model {
    /// Reads on, and checks what is told; how much that is.
    async fn read(&mut self, database: &Database, reader: usize, limit: usize) -> usize {
        let (cursor, told) = &mut self.readers[reader];
        let entries = feed().read(database, cursor, limit).await.unwrap();
        assert!(entries.len() <= limit.max(1));
        for entry in &entries {
            assert_eq!(self.there.get(&entry.place), Some(&entry.entry));
            assert!(told.insert(entry.entry), "told twice");
        }
        if entries.is_empty() {
            let missing = self.there.values().find(|entry| !told.contains(*entry));
            assert_eq!(missing, None, "said to be at its end");
        }
        entries.len()
    }

    async fn run(mut self, steps: Vec<Step>) {
        let (database, feed) = (on(&store()), feed());
        for step in steps {
            match step {
                Step::Append(count) => {
                    let new = Vec::from_iter(self.appended..self.appended + count as u64);
                    append(&database, &feed, &new).await;
                    self.appended += count as u64;
                    let all = all(&database, &feed).await;
                    assert_eq!(all.len(), self.there.len() + count);
                    self.there = all.into_iter().map(|it| (it.place, it.entry)).collect();
                }
                Step::Remove(from, count) => {
                    let from = from % self.there.len().max(1);
                    let gone: Vec<_> = self.there.keys().skip(from).take(count).copied().collect();
                    for place in gone {
                        remove(&database, &feed, place).await.unwrap();
                        self.there.remove(&place);
                    }
                }
                Step::Read { reader, limit } => {
                    self.read(&database, reader, limit).await;
                }
            }
        }
        for reader in 0..3 {
            while self.read(&database, reader, 5).await > 0 {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn readers_meet_what_is_there_once_whatever_was_removed(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(Model::default().run(steps));
    }
}
