//! The writer that appends in the background.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::support::{World, entries, read_all};
use crate::database::Transaction;
use crate::database::log::{Fence, LogError, MAX_ENTRY_SIZE_BYTES};
use crate::store::{Key, Store, Txn};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_was_flushed_is_there_in_its_order_and_in_few_commits() {
    let world = World::new();
    let (logs, store) = world.killed_after(u64::MAX - 1);
    let log = logs.log("a").unwrap();
    let all = entries(3000);
    let writer = log.writer(0, None);
    for (at, entry) in all.iter().enumerate() {
        writer.write(entry.clone()).await.unwrap();
        if at == 100 {
            assert_eq!(writer.flush().await.unwrap(), 101);
            assert_eq!(read_all(&log).await.unwrap(), all[..101]);
        }
    }
    assert_eq!(writer.flush().await.unwrap(), 3000);
    assert_eq!(writer.flush().await.unwrap(), 3000);
    assert_eq!(read_all(&log).await.unwrap(), all);
    let commits = store.commits.load(Ordering::SeqCst);
    assert!(commits < 60, "{commits}");
}

#[tokio::test]
async fn a_writer_that_begins_again_sends_what_is_there_and_goes_on() {
    let log = World::new().log();
    let all = entries(50);
    log.append(0, &all[..30]).await.unwrap();
    let writer = log.writer(10, None);
    for entry in &all[10..] {
        writer.write(entry.clone()).await.unwrap();
    }
    writer.flush().await.unwrap();
    assert_eq!(read_all(&log).await.unwrap(), all);
}

#[tokio::test]
async fn several_may_flush_and_each_waits_for_its_own() {
    let log = World::new().log();
    let writer = log.writer(0, None);
    let work = async |count: u64| {
        for _ in 0..count {
            writer.write("x".into()).await.unwrap();
        }
        assert!(writer.flush().await.unwrap() >= count);
    };
    tokio::join!(work(1), work(200), work(30), work(0));
    assert_eq!(log.info().await.unwrap().next, 231);
}

#[tokio::test]
async fn who_writes_faster_than_the_store_waits() {
    let world = World::new();
    // Nothing runs in between: what is not taken waits.
    let log = world.log();
    let writer = log.writer(0, None);
    let entry = Bytes::from(vec![0; 60_000]);
    let mut taken = 0;
    while let Some(outcome) = futures_util::FutureExt::now_or_never(writer.write(entry.clone())) {
        outcome.unwrap();
        taken += 1;
        assert!(taken < 40, "it takes more and more");
    }
    assert!(taken >= 28, "{taken}");
    timeout(LONG, writer.write(entry.clone())).await.unwrap().unwrap();
    timeout(LONG, writer.flush()).await.unwrap().unwrap();
    assert_eq!(log.info().await.unwrap().next, taken + 1);
}

#[tokio::test]
async fn after_an_error_every_call_answers_it() {
    let world = World::new();
    let (logs, _) = world.killed_after(1);
    let log = logs.log("a").unwrap();
    let writer = log.writer(0, None);
    writer.write("first".into()).await.unwrap();
    writer.flush().await.unwrap();
    writer.write("second".into()).await.unwrap();
    let error = timeout(LONG, writer.flush()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the process was killed");
    assert!(error.is_retryable());
    let entry = Bytes::from(vec![0; 60_000]);
    let again = timeout(LONG, async {
        loop {
            if let Err(error) = writer.write(entry.clone()).await {
                return error;
            }
        }
    });
    assert!(Arc::ptr_eq(&again.await.unwrap(), &error));
    assert_eq!(read_all(&world.log()).await.unwrap(), ["first"]);
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_refused_and_others_go_on() {
    let log = World::new().log();
    let writer = log.writer(0, None);
    let error = writer.write(vec![0; MAX_ENTRY_SIZE_BYTES + 1].into()).await.unwrap_err();
    assert!(matches!(*error, LogError::EntryTooLarge { .. }));
    writer.write("x".into()).await.unwrap();
    assert_eq!(writer.flush().await.unwrap(), 1);
}

#[tokio::test]
async fn a_writer_that_lost_its_lease_writes_nothing_more() {
    let world = World::new();
    let log = world.log();
    let lease = Key::new("lease").unwrap();
    let fence: Fence = {
        let lease = lease.clone();
        Arc::new(move |transaction: &mut Transaction| {
            let lease = lease.clone();
            Box::pin(async move {
                match transaction.get_raw(&lease).await? {
                    None => Ok(()),
                    Some(_) => Err(LogError::Fenced {
                        log: "a".into(),
                        source: "another one has the lease".into(),
                    }),
                }
            })
        })
    };
    let writer = log.writer(0, Some(fence));
    writer.write("mine".into()).await.unwrap();
    writer.flush().await.unwrap();
    let taken = Txn::new(uuid::Uuid::nil()).put(lease, "other");
    world.store.commit(&taken).await.unwrap();
    writer.write("late".into()).await.unwrap();
    let error = writer.flush().await.unwrap_err();
    assert_eq!(error.to_string(), "log `a` takes no entries from this writer");
    assert_eq!(read_all(&log).await.unwrap(), ["mine"]);
}
