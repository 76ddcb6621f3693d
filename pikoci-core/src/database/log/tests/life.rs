//! The life of a log: what is taken and refused in each state, and what it costs.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::support::{World, entries, noise, read_all};
use crate::database::log::{
    Appended, GROWN_SIZE_BYTES, LogError, LogState, MAX_APPEND_SIZE_BYTES, MAX_ENTRY_SIZE_BYTES,
    ReadLimit,
};
use crate::database::{DatabaseError, Transaction};
use crate::name::BuildId;
use crate::store::limits::MAX_KEY_SIZE_BYTES;
use crate::store::{Key, Store, StoreErrorKind};

fn small(count: usize) -> Vec<Bytes> {
    (0..count).map(|number| format!("entry {number}").into()).collect()
}

#[tokio::test]
async fn what_was_sent_before_is_taken_silently_and_a_gap_is_not() {
    let log = World::new().log();
    let all = small(10);
    let appended = log.append(0, &all[..4]).await.unwrap();
    assert_eq!(appended, Appended { next: 4, added: 4 });
    assert_eq!(log.append(1, &all[1..3]).await.unwrap(), Appended { next: 4, added: 0 });
    assert_eq!(log.append(2, &all[2..]).await.unwrap(), Appended { next: 10, added: 6 });
    assert_eq!(log.append(10, &[]).await.unwrap(), Appended { next: 10, added: 0 });
    let error = log.append(11, &all).await.unwrap_err();
    assert_eq!(error.to_string(), "entry 11 cannot be appended to log `a`: its next one is 10");
    assert!(matches!(error, LogError::Gap { next: 10, .. }));
    assert!(matches!(log.append(11, &[]).await, Err(LogError::Gap { next: 10, .. })));
    assert_eq!(read_all(&log).await.unwrap(), all);
}

#[tokio::test]
async fn a_sealed_log_takes_what_it_has_and_nothing_new() {
    let world = World::new();
    let log = world.log();
    let all = small(5);
    log.append(0, &all).await.unwrap();
    assert!(matches!(log.archive().await, Err(LogError::Open { .. })));
    for archived in [false, true] {
        log.seal().await.unwrap();
        if archived {
            log.archive().await.unwrap();
        }
        assert_eq!(log.append(3, &all[3..]).await.unwrap(), Appended { next: 5, added: 0 });
        let error = log.append(4, &small(2)).await.unwrap_err();
        assert_eq!(error.to_string(), "log `a` was sealed after 5 entries and takes no more");
        assert_eq!(read_all(&log).await.unwrap(), all);
    }
    let LogState::Archived { blob, cleared: true } = log.info().await.unwrap().state else {
        panic!("it is not archived")
    };
    assert_eq!(log.archive().await.unwrap(), blob);
}

#[tokio::test]
async fn a_log_that_is_not_there_is_told_and_can_be_deleted() {
    let world = World::new();
    let log = world.log();
    let errors = [
        log.info().await.map(drop),
        log.seal().await,
        log.archive().await.map(drop),
        log.reader(0).read(ReadLimit::default()).await.map(drop),
    ];
    for error in errors {
        assert_eq!(error.unwrap_err().to_string(), "there is no log `a`");
    }
    log.delete().await.unwrap();
    assert_eq!(world.keys().await, []);
}

#[tokio::test]
async fn a_deleted_log_may_be_begun_anew() {
    let world = World::new();
    let log = world.log();
    log.append(0, &small(3)).await.unwrap();
    log.seal().await.unwrap();
    log.delete().await.unwrap();
    log.append(0, &small(2)).await.unwrap();
    assert_eq!(read_all(&log).await.unwrap(), small(2));
}

#[tokio::test]
async fn a_reader_of_a_log_that_is_deleted_meanwhile_is_told() {
    for archives in [false, true] {
        let world = World::new();
        let log = world.log();
        // Too much to be fetched at once, and too different to be packed.
        for number in 0..40 {
            log.append(number, &[noise(number)]).await.unwrap();
        }
        log.seal().await.unwrap();
        if archives {
            log.archive().await.unwrap();
        }
        let mut reader = log.reader(0);
        reader.read(ReadLimit { entries: 1, bytes: 1 }).await.unwrap();
        log.delete().await.unwrap();
        assert_eq!(world.blobs_left().await, 0);
        let outcome = loop {
            match reader.read(ReadLimit::default()).await {
                Ok(page) if !page.ended => {}
                outcome => break outcome,
            }
        };
        // What it holds already it may still return.
        match outcome {
            Err(LogError::NotFound { .. }) => {}
            outcome => assert!(outcome.unwrap().ended && archives),
        }
        assert!(log.reader(0).read(ReadLimit::default()).await.is_err());
    }
}

#[tokio::test]
async fn logs_are_told_apart_by_the_parts_of_their_names() {
    let world = World::new();
    let logs = world.logs();
    let build = BuildId(uuid::Uuid::from_u128(7));
    let names = [
        logs.log("a").unwrap(),
        logs.log(("a", 1_u64)).unwrap(),
        logs.log(build).unwrap(),
        logs.log(("ab", build)).unwrap(),
    ];
    for (at, log) in names.iter().enumerate() {
        log.append(0, &small(at + 1)).await.unwrap();
    }
    for (at, log) in names.iter().enumerate() {
        assert_eq!(read_all(log).await.unwrap(), small(at + 1));
    }
    let listed = logs.list(None, 10).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|(log, info)| (log.to_string(), info.next)).collect();
    let expected = ["a", "a/1", "ab/00000000-0000-0000-0000-000000000007"];
    for (name, at) in expected.iter().zip([1, 2, 4]) {
        assert!(listed.contains(&((*name).to_owned(), at)), "{listed:?}");
    }
    let after = logs.list(Some(&names[0]), 1).await.unwrap();
    assert_eq!(after[0].0.to_string(), "a/1");
    names[0].delete().await.unwrap();
    assert_eq!(read_all(&names[1]).await.unwrap(), small(2));
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_anything_is_written() {
    let world = World::new();
    let log = world.log();
    let large = Bytes::from(vec![0; MAX_ENTRY_SIZE_BYTES + 1]);
    let error = log.append(0, &["x".into(), large]).await.unwrap_err();
    assert!(matches!(error, LogError::EntryTooLarge { size_bytes: 65_511, .. }), "{error}");
    assert_eq!(world.keys().await, []);
    log.append(0, &[vec![0; MAX_ENTRY_SIZE_BYTES].into()]).await.unwrap();

    let name = vec![b'x'; MAX_KEY_SIZE_BYTES - 30];
    let Err(LogError::Database(DatabaseError::Store(error))) = world.logs().log(&name[..]) else {
        panic!("the name is taken")
    };
    assert_eq!(error.kind, StoreErrorKind::Invalid);
}

#[tokio::test]
async fn any_append_up_to_the_limit_is_one_transaction_with_room_for_more() {
    for size in [0, 1, 100, 8_000, 30_000, 33_000, 40_000, MAX_ENTRY_SIZE_BYTES] {
        let world = World::new();
        let (logs, store) = world.killed_after(u64::MAX - 1);
        let log = logs.log(&[b'x'; MAX_KEY_SIZE_BYTES - 100][..]).unwrap();
        log.append(0, &["a".into()]).await.unwrap();
        let batch = vec![Bytes::from(vec![7; size]); MAX_APPEND_SIZE_BYTES / (size + 4)];
        let database = log.database().clone();
        let appending = log.clone();
        let appended = database.transact(move |transaction: &mut Transaction| {
            let (log, batch) = (appending.clone(), batch.clone());
            Box::pin(async move {
                log.append_in(transaction, 1, &batch).await?;
                for at in 0..60_u8 {
                    transaction.put_raw(Key::new(vec![at]).unwrap(), vec![0; 1000]);
                }
                Ok::<_, LogError>(())
            })
        });
        appended.await.unwrap();
        assert_eq!(store.commits.load(Ordering::SeqCst), 2, "{size}");
    }
    let log = World::new().log();
    let batch = vec![Bytes::from(vec![7; 60_000]); 16];
    let one = log.clone();
    let outcome = log.database().transact(move |transaction| {
        let (log, batch) = (one.clone(), batch.clone());
        Box::pin(async move { log.append_in(transaction, 0, &batch).await })
    });
    let outcome: Result<Appended, LogError> = outcome.await;
    assert!(matches!(outcome, Err(LogError::AppendTooLarge { size_bytes: 960_064, .. })));
}

#[tokio::test]
async fn an_append_writes_a_bounded_number_of_bytes_beside_its_own() {
    let world = World::new();
    let (logs, store) = world.killed_after(u64::MAX - 1);
    let log = logs.log("a").unwrap();
    let mut written = 0;
    for number in 0..2000 {
        let entry = Bytes::from(vec![b'x'; number % 300]);
        log.append(number as u64, &[entry]).await.unwrap();
        let all = store.written_bytes.load(Ordering::SeqCst);
        let one = all - written;
        assert!(one <= GROWN_SIZE_BYTES as u64 + 300, "{one}");
        written = all;
    }
    let info = log.info().await.unwrap();
    // Chunks are more than half full, so that there are few.
    assert!(info.chunks <= info.size_bytes / 4096 + 1, "{info:?}");
    assert_eq!(read_all(&log).await.unwrap().len(), 2000);
}

#[tokio::test]
async fn a_read_with_nothing_new_costs_one_get_and_reads_cost_few_scans() {
    let world = World::new();
    let (logs, store) = world.killed_after(u64::MAX - 1);
    let log = logs.log("a").unwrap();
    log.append(0, &entries(500)).await.unwrap();
    let cost = || (store.gets.swap(0, Ordering::SeqCst), store.scans.swap(0, Ordering::SeqCst));
    let limit = ReadLimit { entries: 5, bytes: 1_000_000 };
    cost();
    let mut reader = log.reader(0);
    reader.read(limit).await.unwrap();
    assert_eq!(cost(), (1, 1), "from the beginning");
    log.reader(321).read(limit).await.unwrap();
    assert_eq!(cost(), (1, 1), "from the middle");
    let mut reader = log.reader(500);
    assert_eq!(reader.read(limit).await.unwrap().entries.len(), 0);
    assert_eq!(cost(), (1, 0), "nothing is there");
    reader.read(limit).await.unwrap();
    assert_eq!(cost(), (1, 0), "nothing is new");
    log.append(500, &small(3)).await.unwrap();
    cost();
    assert_eq!(reader.read(limit).await.unwrap().entries, small(3));
    assert_eq!(cost(), (2, 0), "a little is new");
    reader.read(limit).await.unwrap();
    assert_eq!(cost(), (1, 0), "nothing is new again");
}

#[tokio::test]
async fn sealing_makes_a_log_small() {
    let world = World::new();
    let log = world.log();
    let lines: Vec<Bytes> = (0..20_000)
        .map(|number| format!("{{\"number\":{number},\"text\":\"test ok\\n\"}}").into())
        .collect();
    for (at, part) in lines.chunks(40).enumerate() {
        log.append(at as u64 * 40, part).await.unwrap();
    }
    let before = log.info().await.unwrap();
    log.seal().await.unwrap();
    let after = log.info().await.unwrap();
    assert!(before.chunks > 80 && after.chunks <= 3, "{before:?} {after:?}");
    assert_eq!(after.state, LogState::Sealed { packed: true });
    assert_eq!(read_all(&log).await.unwrap(), lines);
}

#[tokio::test]
async fn a_lost_chunk_is_told_and_not_passed_over() {
    let world = World::new();
    let log = world.log();
    log.append(0, &vec![Bytes::from(vec![1; 60_000]); 3]).await.unwrap();
    let lost = crate::store::Txn::new(uuid::Uuid::nil()).delete(log.chunk_key(1).unwrap());
    world.store.commit(&lost).await.unwrap();
    let error = read_all(&log).await.unwrap_err();
    assert_eq!(error.to_string(), "log `a` is damaged: entry 1 is missing");
    let error = log.seal().await.unwrap_err();
    assert!(matches!(error, LogError::Missing { number: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_reader_whose_future_was_dropped_goes_on_where_it_was() {
    let world = World::new();
    let log = world.log();
    // More than is fetched at once, so that pages wait in their midst.
    let all: Vec<Bytes> = (0..60).map(noise).collect();
    log.append(0, &all).await.unwrap();
    let mut reader = log.reader(0);
    let mut seen = Vec::new();
    let (mut patience, mut drops) = (0, 0);
    while seen.len() < all.len() {
        // Polled a few times and dropped, then longer until a page is there.
        let reading = reader.read(ReadLimit { entries: 25, bytes: usize::MAX });
        let page = tokio::select! {
            biased;
            page = reading => Some(page),
            () = yield_times(patience) => None,
        };
        match page {
            Some(page) => {
                seen.extend(page.unwrap().entries);
                patience = 0;
            }
            None => {
                patience += 1;
                drops += 1;
            }
        }
    }
    assert_eq!(seen, all);
    assert!(drops > 2, "{drops}");
}

#[tokio::test]
async fn futures_can_be_moved_between_threads() {
    fn sent<T: Send>(_: &T) {}
    let log = World::new().log();
    let mut reader = log.reader(0);
    sent(&reader.read(ReadLimit::default()));
    sent(&log.archive());
    sent(&log.delete());
}

async fn yield_times(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
