//! Logs against a plain list of entries.

use bytes::Bytes;
use proptest::prelude::*;

use super::support::{World, entries, read_all, read_from};
use crate::database::log::{LogError, ReadLimit};

#[derive(Debug, Clone)]
enum Step {
    /// Entries of these sizes, so many of which were sent before.
    Append {
        again: usize,
        sizes: Vec<usize>,
    },
    /// One further than the log is long.
    Skip,
    Read {
        from: usize,
        entries: usize,
        bytes: usize,
    },
    Poll,
    Seal,
    Archive,
    Tidy,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0_usize..200, 2 => 0_usize..9000, 1 => 0_usize..65_000];
    prop_oneof![
        12 => (0_usize..4, prop::collection::vec(size, 0..30))
            .prop_map(|(again, sizes)| Step::Append { again, sizes }),
        1 => Just(Step::Skip),
        6 => (0_usize..200, 1_usize..50, 0_usize..100_000)
            .prop_map(|(from, entries, bytes)| Step::Read { from, entries, bytes }),
        6 => Just(Step::Poll),
        1 => Just(Step::Seal),
        1 => Just(Step::Archive),
        1 => Just(Step::Tidy),
    ]
}

fn entry(number: usize, size: usize) -> Bytes {
    let mut entry = format!("{number:08}").into_bytes();
    entry.resize(size, (number % 251) as u8);
    entry.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_log_reads_as_the_list_of_what_was_appended(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}

async fn run(steps: Vec<Step>) {
    let world = World::new();
    let log = world.log();
    let mut model: Vec<Bytes> = Vec::new();
    let mut sealed = false;
    // Goes on all the while.
    let mut follower = log.reader(0);
    let mut followed = Vec::new();
    for step in steps {
        match step {
            Step::Append { again, sizes } => {
                let first = model.len().saturating_sub(again);
                let again = model[first..].to_vec();
                let sizes = sizes.into_iter().enumerate();
                let new: Vec<Bytes> =
                    sizes.map(|(at, size)| entry(model.len() + at, size)).collect();
                let batch: Vec<Bytes> = again.iter().chain(&new).cloned().collect();
                let outcome = log.append(first as u64, &batch).await;
                if sealed && !new.is_empty() {
                    assert!(matches!(outcome, Err(LogError::Sealed { .. })), "{outcome:?}");
                } else {
                    model.extend(new.iter().cloned());
                    let appended = outcome.unwrap();
                    assert_eq!(appended.added, new.len() as u64);
                    assert_eq!(appended.next, model.len() as u64);
                }
            }
            Step::Skip => {
                let further = model.len() as u64 + 1;
                let outcome = log.append(further, &[Bytes::new()]).await;
                let gap = matches!(outcome, Err(LogError::Gap { next, .. }) if next == further - 1);
                assert!(gap, "{outcome:?}");
            }
            Step::Read { from, entries, bytes } if !model.is_empty() => {
                let limit = ReadLimit { entries, bytes };
                let expected = model.get(from..).unwrap_or_default();
                assert_eq!(read_from(&log, from as u64, limit).await.unwrap(), expected);
            }
            Step::Poll if !model.is_empty() => {
                let page = follower.read(ReadLimit { entries: 40, bytes: 50_000 }).await.unwrap();
                assert_eq!(page.first, followed.len() as u64);
                let none = page.entries.is_empty();
                followed.extend(page.entries);
                assert_eq!(followed, model[..followed.len()]);
                assert!(!none || followed.len() == model.len());
                // Whether more may come is told with the last entries or after them.
                assert!(!page.ended || sealed && followed.len() == model.len());
                assert!(!none || page.ended == sealed);
            }
            Step::Seal if !model.is_empty() => {
                log.seal().await.unwrap();
                sealed = true;
            }
            Step::Archive if sealed => drop(log.archive().await.unwrap()),
            Step::Tidy => assert_eq!(world.logs().tidy(10).await.unwrap().failed, 0),
            _ => {}
        }
        if !model.is_empty() {
            assert_eq!(log.info().await.unwrap().next, model.len() as u64);
        }
    }
    if !model.is_empty() {
        let info = log.info().await.unwrap();
        assert_eq!(info.size_bytes, model.iter().map(|it| it.len() as u64).sum::<u64>());
        assert_eq!(read_all(&log).await.unwrap(), model);
    }
    log.delete().await.unwrap();
    assert_eq!(world.keys().await, []);
}

#[tokio::test]
async fn readers_see_every_entry_once_while_a_log_is_written_sealed_and_archived() {
    let world = World::new();
    let all = entries(900);
    let write = async {
        let log = world.log();
        for (at, part) in all.chunks(13).enumerate() {
            log.append(at as u64 * 13, part).await.unwrap();
        }
        log.seal().await.unwrap();
        log.archive().await.unwrap();
    };
    let read = async |from: u64, limit: ReadLimit| {
        let log = world.log();
        let mut reader = log.reader(from);
        let mut seen = Vec::new();
        loop {
            match reader.read(limit).await {
                Ok(page) => {
                    assert_eq!(page.first, from + seen.len() as u64);
                    seen.extend(page.entries);
                    if page.ended {
                        break;
                    }
                }
                Err(LogError::NotFound { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(seen, all[from as usize..]);
    };
    let small = ReadLimit { entries: 3, bytes: 1000 };
    let limits = [ReadLimit::default(), small, ReadLimit { entries: 20, bytes: 100_000 }];
    let readers = (0..12).map(|at| read(at * 70, limits[at as usize % 3]));
    tokio::join!(write, futures_util::future::join_all(readers));
}

#[tokio::test]
async fn two_who_seal_and_archive_at_once_do_it_once() {
    let world = World::new();
    let all = entries(600);
    for (at, part) in all.chunks(9).enumerate() {
        world.log().append(at as u64 * 9, part).await.unwrap();
    }
    let work = async || {
        world.log().seal().await.unwrap();
        world.log().archive().await.unwrap()
    };
    let (first, second, third) = tokio::join!(work(), work(), work());
    assert!(first == second && second == third);
    assert_eq!(read_all(&world.log()).await.unwrap(), all);
    assert_eq!(world.blobs_left().await, 1);
    assert_eq!(world.keys().await.len(), 3);
}
