//! A process killed after each of its commits: nothing is lost, nothing is
//! there twice, whoever goes on completes it, and nothing is left over.

use futures_util::future::BoxFuture;

use super::support::{World, entries, read_all};
use crate::database::log::{Log, LogError, LogInfo, LogState};

type Work = fn(Log) -> BoxFuture<'static, Result<(), LogError>>;

const COUNT: usize = 600;

fn append(log: Log) -> BoxFuture<'static, Result<(), LogError>> {
    Box::pin(async move {
        let all = entries(COUNT);
        for (at, part) in all.chunks(7).enumerate() {
            log.append(at as u64 * 7, part).await?;
        }
        Ok(())
    })
}

fn append_at_once(log: Log) -> BoxFuture<'static, Result<(), LogError>> {
    Box::pin(async move { log.append(0, &entries(COUNT)).await.map(drop) })
}

fn seal(log: Log) -> BoxFuture<'static, Result<(), LogError>> {
    Box::pin(async move { log.seal().await })
}

fn archive(log: Log) -> BoxFuture<'static, Result<(), LogError>> {
    Box::pin(async move {
        log.seal().await?;
        log.archive().await.map(drop)
    })
}

fn delete(log: Log) -> BoxFuture<'static, Result<(), LogError>> {
    Box::pin(async move { log.delete().await })
}

/// Kills `work` after 0, 1, … commits, in a new world after `before` each
/// time, until it lives to its end. Returns how many commits it made.
async fn kill_after_each_commit(
    before: &[Work],
    work: Work,
    after_kill: impl AsyncFn(&World, bool),
) -> u64 {
    for commits in 0.. {
        let world = World::new();
        for step in before {
            step(world.log()).await.unwrap();
        }
        let (logs, _) = world.killed_after(commits);
        let lived = work(logs.log("a").unwrap()).await.is_ok();
        after_kill(&world, lived).await;
        if lived {
            return commits;
        }
    }
    unreachable!("it never ends")
}

/// Tidies up; what was begun is then complete.
async fn tidy(world: &World) {
    let tidied = world.logs().tidy(10).await.unwrap();
    assert!(tidied.done <= 1 && tidied.failed == 0, "{tidied:?}");
    let tidied = world.logs().tidy(10).await.unwrap();
    assert_eq!((tidied.done, tidied.failed), (0, 0), "{tidied:?}");
    match world.log().info().await {
        Ok(LogInfo { state: LogState::Sealed { packed }, .. }) => assert!(packed),
        Ok(LogInfo { state: LogState::Archived { cleared, .. }, .. }) => {
            assert!(cleared);
            assert_eq!(world.keys().await.len(), 3);
        }
        Ok(_) => {}
        Err(_) => assert_eq!(world.keys().await, []),
    }
}

#[tokio::test]
async fn appends_killed_after_any_commit_are_a_beginning_and_go_on() {
    for work in [append as Work, append_at_once] {
        let commits = kill_after_each_commit(&[], work, async |world, lived| {
            let there = read_all(&world.log()).await.unwrap_or_default();
            let all = entries(COUNT);
            assert_eq!(there, all[..there.len()]);
            assert!(!lived || there.len() == all.len());
            work(world.log()).await.unwrap();
            assert_eq!(read_all(&world.log()).await.unwrap(), all);
            assert_eq!(world.log().info().await.unwrap().next, COUNT as u64);
        })
        .await;
        assert!(commits > 1, "{commits}");
    }
}

#[tokio::test]
async fn sealing_killed_after_any_commit_keeps_every_entry_and_goes_on() {
    for tidies in [false, true] {
        let commits = kill_after_each_commit(&[append], seal, async |world, _| {
            assert_eq!(read_all(&world.log()).await.unwrap(), entries(COUNT));
            if tidies {
                tidy(world).await;
            }
            seal(world.log()).await.unwrap();
            assert_eq!(read_all(&world.log()).await.unwrap(), entries(COUNT));
            let chunks = world.log().info().await.unwrap().chunks as usize;
            let expected = [("log/chunk".to_owned(), chunks), ("log/head".to_owned(), 1)];
            assert_eq!(world.keys().await, expected);
        })
        .await;
        assert!(commits > 2, "{commits}");
    }
}

#[tokio::test]
async fn archiving_killed_after_any_commit_keeps_every_entry_and_goes_on() {
    for tidies in [false, true] {
        let commits = kill_after_each_commit(&[append], archive, async |world, lived| {
            assert_eq!(read_all(&world.log()).await.unwrap(), entries(COUNT), "{lived}");
            if tidies {
                tidy(world).await;
                assert_eq!(read_all(&world.log()).await.unwrap(), entries(COUNT));
            }
            archive(world.log()).await.unwrap();
            assert_eq!(read_all(&world.log()).await.unwrap(), entries(COUNT));
            let expected = [("b", 1), ("b/owner", 1), ("log/head", 1)];
            assert_eq!(world.keys().await, expected.map(|(kind, count)| (kind.to_owned(), count)));
            assert_eq!(world.blobs_left().await, 1);
            assert_eq!(read_all(&world.log()).await.unwrap(), entries(COUNT));
        })
        .await;
        assert!(commits > 4, "{commits}");
    }
}

#[tokio::test]
async fn an_archive_that_was_collected_before_it_was_referred_to_is_put_again() {
    let put = kill_after_each_commit(&[append], archive, async |world, lived| {
        if lived {
            return;
        }
        // Long after the kill: a blob nobody refers to is gone.
        world.blobs_left().await;
        archive(world.log()).await.unwrap();
        assert_eq!(read_all(&world.log()).await.unwrap(), entries(COUNT));
        assert_eq!(world.blobs_left().await, 1);
    });
    put.await;
}

#[tokio::test]
async fn deleting_killed_after_any_commit_shows_all_or_nothing_and_goes_on() {
    for before in [&[append as Work][..], &[append, seal], &[append, archive]] {
        for tidies in [false, true] {
            let commits = kill_after_each_commit(before, delete, async |world, lived| {
                match read_all(&world.log()).await {
                    Ok(all) => assert!(!lived && all == entries(COUNT)),
                    Err(LogError::NotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                if tidies {
                    tidy(world).await;
                }
                delete(world.log()).await.unwrap();
                assert_eq!(world.keys().await, []);
                assert_eq!(world.blobs_left().await, 0);
                assert_eq!(world.keys().await, []);
            })
            .await;
            assert!(commits > 1, "{commits}");
        }
    }
}
