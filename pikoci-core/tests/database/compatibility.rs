//! What a version wrote is read by every later one.
//!
//! Each file in `tests/data` named `database-*.jsonl` holds the entries of a
//! store as the version of its name wrote them, one a line, `key` and `value`
//! in hexadecimal digits. **A file is never changed, only joined by others.**

use std::sync::Arc;
use std::time::Duration;

use pikoci_core::database::{
    Contender, Counter, Database, FencingToken, LeaseView, Part, Query, Queue, SpreadCounter,
    record_key,
};
use pikoci_core::store::{Key, KeyRange, MemoryStore, Order, Store, Txn};
use pikoci_core::testkit::ManualClock;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::support::{Build, Done};

const V1: &str = include_str!("../data/database-v1.jsonl");

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    key: String,
    value: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn on(store: &Arc<MemoryStore>) -> Database {
    Database::new(store.clone(), Arc::new(ManualClock::new()))
}

/// A store with the entries of a file.
async fn load(file: &str) -> Database {
    let store = Arc::new(MemoryStore::new());
    for line in file.lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        let key = Key::new(bytes(&line.key)).unwrap();
        let txn = Txn::new(Uuid::now_v7()).put(key, bytes(&line.value));
        store.commit(&txn).await.unwrap();
    }
    on(&store)
}

#[tokio::test]
async fn what_version_1_wrote_is_read() -> Done {
    let database = load(V1).await;
    let builds = database.list::<Build>(&Query::all()).await?.items;
    assert_eq!(
        builds,
        [
            Build::new(1, "passed"),
            Build::new(2, "queued").named("nightly \"δ\"\0"),
            Build::new(u64::MAX, "running"),
        ]
    );
    let queued = database.list_by::<Build>("by_status", &Query::below("queued")).await?;
    assert_eq!(queued.items, builds[1..2]);
    let named = database.find_by::<Build>("by_name", "nightly \"δ\"\0").await?;
    assert_eq!(named.as_ref(), Some(&builds[1]));
    let report = database.verify::<Build>().await?;
    assert_eq!((report.records, report.entries, report.wrong), (3, 4, 0));

    assert_eq!(Counter::new(("numbers", Uuid::from_u128(5))).read(&database).await?, 300);
    assert_eq!(SpreadCounter::new("bytes").read(&database).await?, -7);

    let queue = Queue::<Vec<u64>>::new("builds");
    let items = queue.peek(&database, 10).await?;
    let positions: Vec<&[Part]> = items.iter().map(|item| &item.position[..]).collect();
    assert_eq!(
        positions,
        [
            &[Part::Number(1), Part::Text(String::new())][..],
            &[Part::Signed(-3), Part::Bytes(vec![0, 255])],
        ]
    );
    assert_eq!(items[0].payload, [1, 2]);
    assert!(items[1].payload.is_empty());

    let expected =
        LeaseView { holder: Some("host-a".into()), epoch: 2, ttl: Duration::from_secs(30) };
    assert_eq!(database.observe("scheduler").await?, Some(expected));
    let held = FencingToken::new("scheduler", 2);
    let done: Done = database.transact_with(&held, |tx, token| Box::pin(tx.fence(token))).await;
    done?;
    let released = database.observe(("build", 1_u64)).await?.expect("a lease");
    assert_eq!((released.holder, released.epoch), (None, 1));
    // Numbers go on where they were.
    let done: Done<_> =
        database.transact_with(&queue, |tx, queue| Box::pin(queue.push_back(tx, vec![]))).await;
    assert_eq!(done?[0], Part::Number(2));
    Ok(())
}

#[tokio::test]
async fn this_version_writes_just_what_version_1_wrote() -> Done {
    let store = Arc::new(MemoryStore::new());
    write(&on(&store)).await?;
    let entries = store.scan(&KeyRange::all(), Order::Ascending, 1000).await?;
    let written: Vec<Line> = entries
        .iter()
        .map(|(key, entry)| Line { key: hex(key.as_bytes()), value: hex(&entry.value) })
        .collect();
    let expected: Vec<Line> = V1.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(written, expected);
    Ok(())
}

/// Writes what is in the file of version 1.
async fn write(database: &Database) -> Done {
    database.insert(&Build::new(1, "queued")).await?;
    database.insert(&Build::new(2, "queued").named("nightly \"δ\"\0")).await?;
    database.insert(&Build::new(u64::MAX, "running")).await?;
    database.insert(&Build::new(3, "queued").named("gone")).await?;
    database.update::<Build>(&1, |build| build.status = "passed".into()).await?;
    database.delete::<Build>(&3).await?;
    assert_eq!(record_key::<Build>(&1)?.as_bytes(), b"\x02r\0\x02build\0\x03\0\0\0\0\0\0\0\x01");

    let done: Done = database
        .transact(|transaction| {
            Box::pin(async move {
                let counter = Counter::new(("numbers", Uuid::from_u128(5)));
                counter.next(transaction).await?;
                counter.add(transaction, 299).await?;
                let queue = Queue::<Vec<u64>>::new("builds");
                queue.push(transaction, (-3_i64, &[0_u8, 255][..]), vec![]).await?;
                queue.push_back(transaction, vec![1, 2]).await?;
                Ok(())
            })
        })
        .await;
    done?;

    // A clock of its own: its first id chooses the cell.
    let fresh = Database::new(database.store().clone(), Arc::new(ManualClock::new()));
    let done: Done = fresh
        .transact(|tx| Box::pin(async move { SpreadCounter::new("bytes").add(tx, -7).await }))
        .await;
    done?;

    for holder in ["host-b", "host-a"] {
        let mut contender = Contender::new("scheduler", holder, Duration::from_secs(30));
        let mut lease = contender.try_acquire(database).await?.expect("a free lease");
        lease.renew().await?;
        if holder == "host-b" {
            lease.release().await?;
        }
    }
    let mut contender = Contender::new(("build", 1_u64), "host-a", Duration::from_secs(30));
    contender.try_acquire(database).await?.expect("a free lease").release().await
}
