//! Workers that come, go, die and come back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pikoci_core::dispatch::{
    Claim, DispatchErrorKind, Dispatcher, Registration, Report, RunningBuild, Want,
};
use pikoci_core::engine::EngineOptions;
use pikoci_core::plan::BuildResult;
use pikoci_core::store::MemoryStore;
use pikoci_core::testkit::worker::{Ended, registration};
use pikoci_core::{Event, EventKind, Status};
use tokio_util::sync::CancellationToken;

use crate::support::{Ci, DEADLINE};

const PLAIN: &str = r#"job "hello" { task "t" { run "run" {} } }"#;
const BUILD: Want = Want { build: true, check: false };

fn quick() -> EngineOptions {
    EngineOptions { session_ttl: Duration::from_millis(400), ..EngineOptions::default() }
}

async fn ci_that_gives_up_soon() -> Ci {
    Ci::on(Arc::new(MemoryStore::new()), |builder| builder.options(quick())).await
}

fn end(claim: &pikoci_core::dispatch::BuildClaim, status: Status) -> Report {
    let kind = EventKind::BuildFinished { status, reason: None, duration: Duration::ZERO };
    let event = Event { number: claim.next_event, time: Timestamp::UNIX_EPOCH, kind };
    Report {
        build: claim.context.id,
        epoch: claim.epoch,
        events: vec![event],
        result: Some(BuildResult {
            name: claim.context.name.clone(),
            status,
            reason: None,
            inputs: Default::default(),
            outputs: Vec::new(),
            failed_at: None,
        }),
        workspace_kept: false,
    }
}

async fn claim(
    dispatcher: &dyn Dispatcher,
    session: pikoci_core::dispatch::SessionId,
) -> Box<pikoci_core::dispatch::BuildClaim> {
    let claim = tokio::time::timeout(DEADLINE, dispatcher.claim(session, BUILD)).await;
    match claim.expect("in time").expect("a claim") {
        Claim::Build(claim) => claim,
        Claim::Check(_) => panic!("a check"),
    }
}

#[tokio::test]
async fn a_report_that_comes_twice_changes_nothing_the_second_time() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let dispatcher = ci.engine.dispatcher();
    let session = dispatcher.register(registration("w", 1)).await.expect("a session");
    ci.trigger("hello").await;
    let claim = claim(&*dispatcher, session.id).await;
    let report = end(&claim, Status::Succeeded);
    let once = dispatcher.report(session.id, report.clone()).await.expect("taken");
    let twice = dispatcher.report(session.id, report.clone()).await.expect("taken already");
    assert_eq!(once, twice);
    let mut more = report;
    more.events[0].number += 1;
    let refused = dispatcher.report(session.id, more).await.expect_err("it has ended");
    assert_eq!(refused.kind, DispatchErrorKind::BuildLost);
    ci.until("hello", &["1 succeeded"]).await;
    let events = ci.engine.events(claim.context.id, 0).await.expect("events");
    assert_eq!(events.len(), 4);
}

#[tokio::test]
async fn events_with_a_gap_are_refused_and_change_nothing() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let dispatcher = ci.engine.dispatcher();
    let session = dispatcher.register(registration("w", 1)).await.expect("a session");
    ci.trigger("hello").await;
    let claim = claim(&*dispatcher, session.id).await;
    for wrong in [claim.next_event + 1, claim.next_event - 1] {
        let mut report = end(&claim, Status::Succeeded);
        report.events[0].number = wrong;
        let refused = dispatcher.report(session.id, report).await.expect_err("a gap");
        assert_eq!(refused.kind, DispatchErrorKind::Invalid, "{refused}");
    }
    ci.until("hello", &["1 running"]).await;
    dispatcher.report(session.id, end(&claim, Status::Failed)).await.expect("taken");
    ci.until("hello", &["1 failed"]).await;
}

#[tokio::test]
async fn a_worker_that_is_not_heard_of_loses_its_build_and_can_report_nothing_more() {
    let ci = ci_that_gives_up_soon().await;
    ci.set(PLAIN).await;
    let dispatcher = ci.engine.dispatcher();
    let session = dispatcher.register(registration("silent", 1)).await.expect("a session");
    let build = ci.trigger("hello").await;
    let claim = claim(&*dispatcher, session.id).await;
    let build = ci.ended(build.id).await;
    assert_eq!(build.status(), Some(Status::Errored));
    assert_eq!(build.reason.as_deref(), Some("its worker `silent` was lost"));
    let late = dispatcher.report(session.id, end(&claim, Status::Succeeded)).await;
    assert_eq!(late.expect_err("too late").kind, DispatchErrorKind::SessionLost);
    let renewed = dispatcher.renew(session.id, &[]).await;
    assert_eq!(renewed.expect_err("too late").kind, DispatchErrorKind::SessionLost);
    assert!(ci.engine.workers().await.expect("workers").is_empty());
}

#[tokio::test]
async fn a_build_starts_again_where_its_job_says_so() {
    let ci = ci_that_gives_up_soon().await;
    ci.set(r#"job "hello" { retry_on_worker_loss = true task "t" { run "run" {} } }"#).await;
    let dispatcher = ci.engine.dispatcher();
    let session = dispatcher.register(registration("silent", 1)).await.expect("a session");
    let build = ci.trigger("hello").await;
    let first = claim(&*dispatcher, session.id).await;
    let some = Report {
        events: vec![Event {
            number: first.next_event,
            time: Timestamp::UNIX_EPOCH,
            kind: EventKind::BuildQueued { reason: "half way".into() },
        }],
        result: None,
        ..end(&first, Status::Succeeded)
    };
    dispatcher.report(session.id, some).await.expect("taken");
    let worker = ci.worker(|_| Ended::well());
    let ended = ci.ended(build.id).await;
    assert_eq!((ended.status(), ended.attempt, ended.epoch), (Some(Status::Succeeded), 2, 2));
    let given = worker.given.lock().expect("whole")[0].clone();
    assert_eq!((given.attempt, given.epoch), (2, 2));
    let events = ci.engine.events(build.id, 0).await.expect("events");
    let numbers: Vec<u64> = events.iter().map(|it| it.number).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_worker_that_comes_back_says_that_it_had_died() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let dispatcher = ci.engine.dispatcher();
    let dead = dispatcher.register(registration("w", 1)).await.expect("a session");
    let build = ci.trigger("hello").await;
    claim(&*dispatcher, dead.id).await;
    let again = Registration { replaces: Some(dead.id), ..registration("w", 1) };
    dispatcher.register(again).await.expect("a session");
    // Long before the old session's time is over.
    let build = ci.ended(build.id).await;
    assert_eq!(build.status(), Some(Status::Errored));
}

#[tokio::test]
async fn what_a_worker_was_given_and_does_not_have_is_given_to_another() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let dispatcher = ci.engine.dispatcher();
    let session = dispatcher.register(registration("w", 1)).await.expect("a session");
    ci.trigger("hello").await;
    let given = claim(&*dispatcher, session.id).await;
    let named = RunningBuild { build: given.context.id, epoch: given.epoch };
    for _ in 0..3 {
        assert!(dispatcher.renew(session.id, &[named]).await.expect("renewed").is_empty());
    }
    for _ in 0..2 {
        dispatcher.renew(session.id, &[]).await.expect("renewed");
    }
    ci.until("hello", &["1 queued"]).await;
    let lost = dispatcher.renew(session.id, &[named]).await.expect("renewed");
    assert_eq!(lost, [named]);
    let again = claim(&*dispatcher, session.id).await;
    assert_eq!((again.epoch, again.attempt), (2, 1));
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_takes_nothing() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let dispatcher = ci.engine.dispatcher();
    let session = dispatcher.register(registration("w", 1)).await.expect("a session");
    for _ in 0..20 {
        let waits = dispatcher.claim(session.id, BUILD);
        assert!(tokio::time::timeout(Duration::from_millis(1), waits).await.is_err());
    }
    ci.trigger("hello").await;
    let claim = claim(&*dispatcher, session.id).await;
    assert_eq!(claim.context.name.to_string(), "main/app/hello#1");
}

fn tagged(name: &str, tags: &[&str], exclusive: bool) -> Registration {
    Registration {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect::<BTreeSet<_>>(),
        exclusive_tags: exclusive,
        ..registration(name, 1)
    }
}

#[tokio::test]
async fn builds_go_to_workers_that_have_all_their_tags() {
    let ci = Ci::new().await;
    ci.set(
        r#"
        job "plain" { task "t" { run "run" {} } }
        job "train" { tags = ["gpu", "big"] task "t" { run "run" {} } }
        "#,
    )
    .await;
    let plain = ci.worker_as(tagged("plain", &[], false), |_| Ended::well());
    let half = ci.worker_as(tagged("half", &["gpu"], true), |_| Ended::well());
    let train = ci.trigger("train").await;
    ci.trigger("plain").await;
    ci.until("plain", &["1 succeeded"]).await;
    ci.until("train", &["1 queued"]).await;
    let why = ci.engine.why_build(train.id).await.expect("why").to_string();
    assert_eq!(why, "waits for a worker with tags big, gpu, and there is none");
    let big = ci.worker_as(tagged("big", &["big", "gpu", "vpn"], true), |_| Ended::well());
    ci.until("train", &["1 succeeded"]).await;
    assert_eq!(plain.names(), ["main/app/plain#1"]);
    assert!(half.names().is_empty());
    assert_eq!(big.names(), ["main/app/train#1"]);
}

#[tokio::test]
async fn a_workers_team_is_the_only_one_it_serves() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let other = Registration { team: Some("other".into()), ..registration("other", 1) };
    let other = ci.worker_as(other, |_| Ended::well());
    ci.trigger("hello").await;
    ci.quiet().await;
    ci.until("hello", &["1 queued"]).await;
    let own = Registration { team: Some("main".into()), ..registration("own", 1) };
    let own = ci.worker_as(own, |_| Ended::well());
    ci.until("hello", &["1 succeeded"]).await;
    assert!(other.names().is_empty());
    assert_eq!(own.names().len(), 1);
}

#[tokio::test]
async fn pipelines_take_turns() {
    let ci = Ci::new().await;
    for name in ["app", "shop"] {
        let text = pikoci_core::engine::PipelineText::new(PLAIN);
        ci.engine.set_pipeline("main", name, &text, "ann").await.expect("set");
    }
    let inputs = pikoci_core::engine::Inputs::latest();
    for _ in 0..4 {
        ci.trigger("hello").await;
    }
    for _ in 0..2 {
        ci.engine.trigger(("main", "shop", "hello"), &inputs, "ann").await.expect("a build");
    }
    let worker = ci.worker_as(registration("w", 1), |_| Ended::well());
    ci.until("hello", &["1 succeeded", "2 succeeded", "3 succeeded", "4 succeeded"]).await;
    let order: Vec<String> = worker
        .names()
        .iter()
        .map(|name| name.split('/').nth(1).unwrap_or_default().to_owned())
        .collect();
    let expected = if order[0] == "app" {
        ["app", "shop", "app", "shop", "app", "app"]
    } else {
        ["shop", "app", "shop", "app", "app", "app"]
    };
    assert_eq!(order, expected);
}

#[tokio::test]
async fn a_draining_engine_hands_out_nothing_and_lets_what_runs_end() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let gate = CancellationToken::new();
    let open = gate.clone();
    let _worker = ci.worker(move |_| Ended::well().when(open.clone()));
    ci.trigger("hello").await;
    ci.until("hello", &["1 running"]).await;
    ci.engine.drain();
    ci.trigger("hello").await;
    gate.cancel();
    ci.until("hello", &["1 succeeded", "2 queued"]).await;
}

#[tokio::test]
async fn a_restarted_engine_goes_on_where_it_stopped() {
    let store: Arc<MemoryStore> = Arc::new(MemoryStore::new());
    let ci = Ci::on(store.clone(), |builder| builder).await;
    ci.set(r#"job "hello" { concurrency = 2 task "t" { run "run" {} } }"#).await;
    let dispatcher = ci.engine.dispatcher();
    let session = dispatcher.register(registration("w", 1)).await.expect("a session");
    for _ in 0..3 {
        ci.trigger("hello").await;
    }
    let claim = claim(&*dispatcher, session.id).await;
    ci.until("hello", &["1 running", "2 queued", "3 pending"]).await;
    // It goes away without a word, as after a kill; the store is still there.
    drop((dispatcher, ci));
    let ci = Ci::on(store, |builder| builder).await;
    let dispatcher = ci.engine.dispatcher();
    // The worker did not notice.
    let named = RunningBuild { build: claim.context.id, epoch: claim.epoch };
    assert!(dispatcher.renew(session.id, &[named]).await.expect("renewed").is_empty());
    ci.engine.cancel(claim.context.id, "ann").await.expect("asked");
    dispatcher.report(session.id, end(&claim, Status::Cancelled)).await.expect("taken");
    let _worker = ci.worker(|_| Ended::well());
    ci.until("hello", &["1 cancelled", "2 succeeded", "3 succeeded"]).await;
}
