//! How often the store is asked: round trips are what a database costs.

use std::time::Duration;

use pikoci_core::database::{
    Contender, Counter, Database, DatabaseError, Query, Queue, SpreadCounter, record_key,
};

use crate::indexes::Indexed;
use crate::support::{Build, Calls, Done, TestStore, database};

fn took(store: &TestStore, get: u32, scan: u32, commit: u32, what: &str) {
    assert_eq!(store.take_calls(), Calls { get, scan, commit }, "{what}");
}

async fn with_builds(count: u64) -> (Database, std::sync::Arc<TestStore>) {
    let (database, store) = database();
    for number in 0..count {
        database.insert(&Build::new(number, "queued")).await.unwrap();
    }
    store.take_calls();
    (database, store)
}

#[tokio::test]
async fn a_write_of_a_record_is_one_read_and_one_commit() -> Done {
    let (database, store) = database();
    let build = Build::new(1, "queued").named("one");
    database.insert(&build).await?;
    took(&store, 1, 0, 1, "insert");
    database.put(&Build::new(1, "running").named("two")).await?;
    took(&store, 1, 0, 1, "put in place of another");
    database.update::<Build>(&1, |build| build.status = "passed".into()).await?;
    took(&store, 1, 0, 1, "update");
    database.update::<Build>(&1, |build| build.name = Some("three".into())).await?;
    took(&store, 2, 0, 1, "update of a unique value");
    database.delete::<Build>(&1).await?;
    took(&store, 1, 0, 1, "delete");
    database.delete::<Build>(&1).await?;
    took(&store, 1, 0, 0, "delete of nothing");
    Ok(())
}

#[tokio::test]
async fn what_a_transaction_knows_is_not_read_again() -> Done {
    let (database, store) = with_builds(20).await;
    let result: Done = database
        .transact(|transaction| {
            Box::pin(async move {
                let queued = Query::below("queued");
                for mut build in transaction.list_by::<Build>("by_status", &queued).await?.items {
                    build.status = "running".into();
                    transaction.put(&build).await?;
                }
                Ok(())
            })
        })
        .await;
    result?;
    took(&store, 1, 1, 1, "list by an index and change all");

    let result: Done = database
        .transact(|transaction| {
            Box::pin(async move {
                for build in transaction.list::<Build>(&Query::all()).await?.items {
                    transaction.delete::<Build>(&build.number).await?;
                }
                Ok(())
            })
        })
        .await;
    result?;
    took(&store, 0, 1, 1, "list and delete all");
    Ok(())
}

#[tokio::test]
async fn reads_are_in_bulk() -> Done {
    let (database, store) = with_builds(250).await;
    database.get::<Build>(&1).await?;
    took(&store, 1, 0, 0, "get");
    let numbers: Vec<u64> = (0..250).collect();
    assert_eq!(database.get_many::<Build>(&numbers).await?.iter().flatten().count(), 250);
    took(&store, 3, 0, 0, "get many");
    assert_eq!(database.list::<Build>(&Query::all().limit(250)).await?.items.len(), 250);
    took(&store, 0, 1, 0, "list");
    let all = Query::below("queued").limit(250);
    assert_eq!(database.list_by::<Build>("by_status", &all).await?.items.len(), 250);
    took(&store, 3, 1, 0, "list by an index");
    database.put(&Build::new(7, "queued").named("seven")).await?;
    store.take_calls();
    assert!(database.find_by::<Build>("by_name", "seven").await?.is_some());
    took(&store, 2, 0, 0, "find by a unique index");
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_only_reads_at_one_instant_commits_nothing() -> Done {
    let (database, store) = with_builds(2).await;
    let read: Done<_> = database.transact(|tx| Box::pin(tx.get_many::<Build>(&[0, 1]))).await;
    assert_eq!(read?.len(), 2);
    took(&store, 1, 0, 0, "one read");
    let read: Done<_> = database
        .transact(|transaction| {
            Box::pin(async move {
                transaction.get::<Build>(&0).await?;
                transaction.get::<Build>(&1).await
            })
        })
        .await;
    read?;
    took(&store, 2, 0, 1, "two reads that are to fit together");
    Ok(())
}

#[tokio::test]
async fn indexes_are_gone_through_in_bulk() -> Done {
    let (database, store) = with_builds(60).await;
    database.verify::<Build>().await?;
    took(&store, 2, 2, 0, "verify");
    assert_eq!(database.verify::<Indexed>().await?.wrong, 60);
    took(&store, 5, 2, 0, "verify with two batches of problems");
    assert_eq!(database.reindex::<Indexed>().await?.wrong, 60);
    took(&store, 5, 2, 2, "reindex in two batches");
    assert_eq!(database.verify::<Indexed>().await?.wrong, 0);
    Ok(())
}

#[tokio::test]
async fn counters_queues_and_leases_read_once() -> Done {
    let (database, store) = database();
    let _: u64 = database
        .transact(|tx| Box::pin(async move { Counter::new("n").next(tx).await }))
        .await
        .map_err(|error: DatabaseError| error)?;
    took(&store, 1, 0, 1, "counter");
    database
        .transact(|tx| Box::pin(async move { SpreadCounter::new("n").add(tx, 1).await }))
        .await
        .map_err(|error: DatabaseError| error)?;
    took(&store, 1, 0, 1, "spread counter");

    let queue = Queue::<u64>::new("builds");
    let done: Done = database
        .transact_with(&queue, |tx, queue| Box::pin(queue.push(tx, (0_u64, 2_u64), 3)))
        .await;
    done?;
    took(&store, 1, 0, 1, "push");
    let done: Done<_> =
        database.transact_with(&queue, |tx, queue| Box::pin(queue.push_back(tx, 4))).await;
    done?;
    took(&store, 1, 0, 1, "push at the end");
    let done: Done<_> = database
        .transact_with(&queue, |tx, queue| {
            Box::pin(async move {
                let first = queue.peek_in(tx, 1).await?.remove(0);
                queue.take(tx, first.position).await
            })
        })
        .await;
    assert_eq!(done?, Some(3));
    took(&store, 0, 1, 1, "take the first");

    let mut contender = Contender::new("scheduler", "a", Duration::from_secs(10));
    let mut lease = contender.try_acquire(&database).await?.expect("a free lease");
    took(&store, 1, 0, 1, "acquire");
    assert!(contender.try_acquire(&database).await?.is_none());
    took(&store, 1, 0, 0, "look");
    lease.renew().await?;
    took(&store, 1, 0, 1, "renew");
    let done: Done = database
        .transact_with(lease.token(), |tx, token| {
            Box::pin(async move {
                tx.prefetch(&[token.key()?, record_key::<Build>(&1)?]).await?;
                tx.fence(token).await?;
                tx.put(&Build::new(1, "running")).await
            })
        })
        .await;
    done?;
    took(&store, 1, 0, 1, "a fenced write");
    Ok(())
}
