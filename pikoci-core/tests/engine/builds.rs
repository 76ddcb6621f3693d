//! Builds that are run again, cancelled, marked and followed.

use futures_util::StreamExt as _;
use pikoci_core::engine::TeamEventKind;
use pikoci_core::testkit::worker::{Ended, registration};
use pikoci_core::{EventKind, Status};
use tokio_util::sync::CancellationToken;

use crate::support::{Ci, DEADLINE, failed, ref_of};

const GETS: &str = r#"
    resource "repo" "code" { check_interval = "never" }
    job "test" { get "repo" "code" { trigger = true } }
    job "deploy" { get "repo" "code" { trigger = true passed = ["test"] } }
"#;

#[tokio::test]
async fn a_retry_takes_the_versions_that_the_build_had() {
    let ci = Ci::new().await;
    ci.set(GETS).await;
    let _worker = ci.worker(|_| failed());
    ci.push("repo.code", "a").await;
    ci.until("test", &["1 failed"]).await;
    let first = ci.newest("test").await;
    ci.push("repo.code", "b").await;
    ci.until("test", &["1 failed", "2 failed"]).await;
    let again = ci.engine.retry(first.id, "ann").await.expect("a build");
    assert_eq!(again.name().to_string(), "main/app/test#1.1");
    let again = ci.ended(again.id).await;
    assert_eq!(ref_of(&again, "code"), "a");
    // It stands beside the one it runs again, so the newest is still the newest.
    ci.until("test", &["1 failed", "1.1 failed", "2 failed"]).await;
    let twice = ci.engine.retry(again.id, "ann").await.expect("a build");
    assert_eq!(twice.name().number, "1.2");
}

#[tokio::test]
async fn a_retry_that_succeeds_lets_what_comes_after_go_on() {
    let ci = Ci::new().await;
    ci.set(GETS).await;
    let worker = ci.worker(|_| failed());
    ci.push("repo.code", "a").await;
    ci.until("test", &["1 failed"]).await;
    worker.drain().await;
    let _worker = ci.worker(|_| Ended::well());
    let first = ci.newest("test").await;
    ci.engine.retry(first.id, "ann").await.expect("a build");
    ci.until("deploy", &["1 succeeded"]).await;
}

#[tokio::test]
async fn a_failure_marked_as_a_warning_counts_as_passed() {
    let ci = Ci::new().await;
    ci.set(GETS).await;
    let _worker = ci.worker(|claim| match claim.context.name.job.as_str() {
        "test" => failed(),
        _ => Ended::well(),
    });
    ci.push("repo.code", "a").await;
    ci.until("test", &["1 failed"]).await;
    assert!(ci.history("deploy").await.is_empty());
    let build = ci.newest("test").await;
    let build = ci.engine.mark_as_warning(build.id, "ann", None).await.expect("marked");
    assert_eq!(build.status(), Some(Status::Warning));
    ci.until("deploy", &["1 succeeded"]).await;
    let deploy = ci.newest("deploy").await;
    assert!(ci.engine.mark_as_warning(deploy.id, "ann", None).await.is_err());
}

#[tokio::test]
async fn a_build_is_cancelled_wherever_it_stands_and_only_once() {
    let ci = Ci::new().await;
    ci.set(r#"job "hello" { concurrency = 1 task "t" { run "run" {} } }"#).await;
    let queued = ci.trigger("hello").await;
    let pending = ci.trigger("hello").await;
    ci.until("hello", &["1 queued", "2 pending"]).await;
    let build = ci.engine.cancel(queued.id, "ann").await.expect("cancelled");
    assert_eq!(build.status(), Some(Status::Cancelled));
    assert_eq!(build.reason.as_deref(), Some("cancelled by ann"));
    // It held the only slot.
    ci.until("hello", &["1 cancelled", "2 queued"]).await;
    let worker = ci.worker(|_| Ended::well().when(CancellationToken::new()));
    ci.until("hello", &["1 cancelled", "2 running"]).await;
    ci.engine.cancel(pending.id, "bob").await.expect("asked");
    ci.until("hello", &["1 cancelled", "2 cancelled"]).await;
    let twice = ci.engine.cancel(pending.id, "bob").await.expect_err("it has ended");
    assert_eq!(twice.to_string(), "build main/app/hello#2 has ended already: cancelled");
    assert_eq!(worker.names(), ["main/app/hello#2"]);
    for build in [queued, pending] {
        let events = ci.engine.events(build.id, 0).await.expect("events");
        let ends = events.iter().filter(|it| matches!(it.kind, EventKind::BuildFinished { .. }));
        assert_eq!(ends.count(), 1);
    }
}

#[tokio::test]
async fn a_build_is_followed_from_any_number_to_its_end() {
    let ci = Ci::new().await;
    ci.set(r#"job "hello" { task "t" { run "run" {} } }"#).await;
    let build = ci.trigger("hello").await;
    let follow = |from| {
        let events = ci.engine.follow(build.id, from);
        async move {
            let events: Vec<u64> = events.map(|it| it.expect("an event").number).collect().await;
            events
        }
    };
    let (all, some) = (follow(0), follow(2));
    let _worker = ci.worker(|_| Ended::well());
    let followed = tokio::time::timeout(DEADLINE, async { (all.await, some.await) }).await;
    assert_eq!(followed.expect("they end"), (vec![0, 1, 2, 3], vec![2, 3]));
    assert_eq!(follow(3).await, [3]);
    let none = pikoci_core::name::BuildId(uuid::Uuid::nil());
    let mut events = ci.engine.follow(none, 0);
    let error = events.next().await.expect("an answer").expect_err("no build");
    assert!(error.to_string().starts_with("there is no build"));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn what_a_team_does_is_one_stream_without_gaps() {
    let ci = Ci::new().await;
    let mut events = ci.engine.follow_team("main", 0);
    ci.set(r#"job "hello" { task "t" { run "run" {} } }"#).await;
    let _worker = ci.worker_as(registration("w", 1), |_| Ended::well());
    for _ in 0..5 {
        ci.trigger("hello").await;
    }
    let all = ["1 succeeded", "2 succeeded", "3 succeeded", "4 succeeded", "5 succeeded"];
    ci.until("hello", &all).await;
    let (mut numbers, mut ended) = (Vec::new(), 0);
    while ended < 5 {
        let event = tokio::time::timeout(DEADLINE, events.next()).await.expect("an event");
        let event = event.expect("more").expect("an event");
        numbers.push(event.number);
        if let TeamEventKind::Build { state, .. } = event.kind {
            ended += u32::from(state == "succeeded");
        }
    }
    let expected: Vec<u64> = (0..numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
    // Set, and for each build that it was queued, that it ran, that it ended.
    assert_eq!(numbers.len(), 1 + 5 * 3);
}

#[tokio::test]
async fn what_a_job_does_not_keep_goes_and_its_last_success_stays() {
    let ci = Ci::new().await;
    ci.set(r#"job "hello" { retention { builds = 2 } task "t" { run "run" {} } }"#).await;
    let worker = ci.worker(|claim| match claim.context.name.number.as_str() {
        "1" | "2" => Ended::well(),
        _ => failed(),
    });
    let all = ["1 succeeded", "2 succeeded", "3 failed", "4 failed", "5 failed"];
    for at in 0..all.len() {
        ci.trigger("hello").await;
        ci.until("hello", &all[..=at]).await;
    }
    drop(worker);
    let gone = ci.newest("hello").await;
    let retained = ci.engine.apply_retention().await.expect("done");
    assert_eq!((retained.removed, retained.archived), (2, 0));
    assert_eq!(ci.history("hello").await, ["2 succeeded", "4 failed", "5 failed"]);
    assert!(ci.engine.events(gone.id, 0).await.is_ok());
    // Numbers are never given twice.
    assert_eq!(ci.trigger("hello").await.name().number, "6");
}

#[tokio::test]
async fn old_logs_are_archived_and_read_as_before() {
    let policy = pikoci_core::database::retention::Policy {
        archive_from_bytes: Some(1),
        ..Default::default()
    };
    let options = pikoci_core::engine::EngineOptions { retention: policy, ..Default::default() };
    let store = std::sync::Arc::new(pikoci_core::store::MemoryStore::new());
    let ci = Ci::on(store, |builder| builder.options(options)).await;
    ci.set(r#"job "hello" { task "t" { run "run" {} } }"#).await;
    let _worker = ci.worker(|_| Ended::well());
    let build = ci.trigger("hello").await;
    ci.ended(build.id).await;
    let before = ci.engine.events(build.id, 0).await.expect("events");
    let retained = ci.engine.apply_retention().await.expect("done");
    assert_eq!((retained.removed, retained.archived), (0, 1));
    assert_eq!(ci.engine.apply_retention().await.expect("done").archived, 0);
    assert_eq!(ci.engine.events(build.id, 0).await.expect("events"), before);
}
