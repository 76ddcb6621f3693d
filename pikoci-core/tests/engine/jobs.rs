//! What starts a job, what holds it up, and what is told of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pikoci_core::Status;
use pikoci_core::engine::Inputs;
use pikoci_core::resolve::ResourceRef;
use pikoci_core::testkit::worker::Ended;
use tokio_util::sync::CancellationToken;

use crate::support::{Ci, failed, ref_of};

const PLAIN: &str = r#"job "hello" { concurrency = 1 task "t" { run "run" {} } }"#;

/// Counts how many builds run at once at most.
#[derive(Clone, Default)]
struct AtOnce(Arc<Mutex<(u32, u32)>>);

impl AtOnce {
    fn begin(&self) {
        let mut counts = self.0.lock().expect("whole");
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
    }

    fn most(&self) -> u32 {
        self.0.lock().expect("whole").1
    }

    fn end(&self) {
        self.0.lock().expect("whole").0 -= 1;
    }
}

#[tokio::test]
async fn a_job_with_a_limit_runs_one_build_at_a_time_in_order() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let running = AtOnce::default();
    let begun = running.clone();
    let worker = ci.worker(move |_| {
        begun.begin();
        let (begun, when) = (begun.clone(), CancellationToken::new());
        let token = when.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            begun.end();
            token.cancel();
        });
        Ended::well().when(when)
    });
    for _ in 0..5 {
        ci.trigger("hello").await;
    }
    let all = ["1 succeeded", "2 succeeded", "3 succeeded", "4 succeeded", "5 succeeded"];
    ci.until("hello", &all).await;
    assert_eq!(running.most(), 1);
    let expected: Vec<String> = (1..=5).map(|n| format!("main/app/hello#{n}")).collect();
    assert_eq!(worker.names(), expected);
}

#[tokio::test]
async fn a_waiting_build_says_what_it_waits_for_and_makes_no_copies_of_itself() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let gate = CancellationToken::new();
    let open = gate.clone();
    let _worker = ci.worker(move |_| Ended::well().when(open.clone()));
    ci.trigger("hello").await;
    ci.until("hello", &["1 running"]).await;
    let second = ci.trigger("hello").await;
    ci.quiet().await;
    ci.until("hello", &["1 running", "2 pending"]).await;
    let why = ci.engine.why_build(second.id).await.expect("why");
    assert_eq!(why.to_string(), "waits for the build of this job that runs; one may at a time");
    gate.cancel();
    ci.until("hello", &["1 succeeded", "2 succeeded"]).await;
}

#[tokio::test]
async fn jobs_of_a_serial_group_never_run_at_the_same_time_and_take_turns() {
    let ci = Ci::new().await;
    ci.set(
        r#"
        job "a" { serial_groups = ["db"] task "t" { run "run" {} } }
        job "b" { serial_groups = ["db"] task "t" { run "run" {} } }
        job "free" { task "t" { run "run" {} } }
        "#,
    )
    .await;
    let gates: Arc<Mutex<Vec<(String, CancellationToken)>>> = Arc::default();
    let made = Arc::clone(&gates);
    let worker = ci.worker(move |claim| {
        let gate = CancellationToken::new();
        made.lock().expect("whole").push((claim.context.name.job.clone(), gate.clone()));
        Ended::well().when(gate)
    });
    let let_go = |job: &str| {
        let mut gates = gates.lock().expect("whole");
        let at = gates.iter().position(|(name, _)| name == job).expect("it runs");
        gates.remove(at).1.cancel();
    };
    ci.trigger("a").await;
    ci.until("a", &["1 running"]).await;
    let b = ci.trigger("b").await;
    ci.until("b", &["1 pending"]).await;
    let why = ci.engine.why_build(b.id).await.expect("why").to_string();
    assert_eq!(why, "waits for job `a`, which runs in serial group `db`");
    // Another build of the job that runs would keep the other one waiting for ever.
    ci.trigger("a").await;
    ci.quiet().await;
    ci.until("a", &["1 running", "2 pending"]).await;
    ci.trigger("free").await;
    ci.until("free", &["1 running"]).await;
    let_go("a");
    ci.until("b", &["1 running"]).await;
    ci.until("a", &["1 succeeded", "2 pending"]).await;
    let_go("b");
    ci.until("a", &["1 succeeded", "2 running"]).await;
    let_go("a");
    ci.until("a", &["1 succeeded", "2 succeeded"]).await;
    assert_eq!(worker.names().len(), 4);
}

#[tokio::test]
async fn many_versions_while_a_build_runs_make_one_build_with_the_newest() {
    let ci = Ci::new().await;
    ci.set(
        r#"
        resource "repo" "code" { check_interval = "never" }
        job "test" { concurrency = 1 get "repo" "code" { trigger = true } }
        "#,
    )
    .await;
    let gate = CancellationToken::new();
    let open = gate.clone();
    let _worker = ci.worker(move |_| Ended::well().when(open.clone()));
    ci.push("repo.code", "v0").await;
    ci.until("test", &["1 running"]).await;
    for at in 1..=10 {
        ci.push("repo.code", &format!("v{at}")).await;
    }
    ci.quiet().await;
    ci.until("test", &["1 running", "2 pending"]).await;
    gate.cancel();
    ci.until("test", &["1 succeeded", "2 succeeded"]).await;
    assert_eq!(ref_of(&ci.newest("test").await, "code"), "v10");
    ci.quiet().await;
    ci.until("test", &["1 succeeded", "2 succeeded"]).await;
}

#[tokio::test]
async fn one_resource_for_two_jobs_runs_the_upstream_one_once() {
    let ci = Ci::new().await;
    ci.set(
        r#"
        resource "repo" "code" { check_interval = "never" }
        job "test" { get "repo" "code" { trigger = true } }
        job "deploy" { get "repo" "code" { trigger = true passed = ["test"] } }
        "#,
    )
    .await;
    let _worker = ci.worker(|_| Ended::well());
    ci.push("repo.code", "a").await;
    ci.until("deploy", &["1 succeeded"]).await;
    for _ in 0..3 {
        ci.check("repo.code").await;
    }
    ci.quiet().await;
    ci.until("test", &["1 succeeded"]).await;
    ci.until("deploy", &["1 succeeded"]).await;
}

#[tokio::test]
async fn a_new_job_begins_with_the_newest_version() {
    let ci = Ci::new().await;
    let resource = r#"resource "repo" "code" { check_interval = "never" }"#;
    let one = r#"job "one" { get "repo" "code" { trigger = true } }"#;
    let two = r#"job "two" { get "repo" "code" { trigger = true } }"#;
    ci.set(&format!("{resource}\n{one}")).await;
    let _worker = ci.worker(|_| Ended::well());
    for at in 0..5 {
        ci.push("repo.code", &format!("v{at}")).await;
        let history: Vec<String> = (0..=at).map(|n| format!("{} succeeded", n + 1)).collect();
        let history: Vec<&str> = history.iter().map(String::as_str).collect();
        ci.until("one", &history).await;
    }
    ci.set(&format!("{resource}\n{one}\n{two}")).await;
    ci.until("two", &["1 succeeded"]).await;
    assert_eq!(ref_of(&ci.newest("two").await, "code"), "v4");
    ci.quiet().await;
    ci.until("two", &["1 succeeded"]).await;
    assert_eq!(ci.history("one").await.len(), 5);
}

#[tokio::test]
async fn what_somebody_starts_takes_the_newest_version_there_is() {
    let ci = Ci::new().await;
    ci.set(
        r#"
        resource "repo" "code" { check_interval = "never" }
        job "test" { get "repo" "code" {} }
        "#,
    )
    .await;
    let _worker = ci.worker(|_| Ended::well());
    ci.push("repo.code", "old").await;
    // Nobody has checked since this one came.
    ci.world.publish("repo.code", "new");
    let build = ci.trigger("test").await;
    let build = ci.ended(build.id).await;
    assert_eq!(ref_of(&build, "code"), "new");
    let why = ci.engine.why_job(("main", "app", "test")).await.expect("why").to_string();
    assert_eq!(why, "none of its gets says `trigger = true`; start it by hand");
}

#[tokio::test]
async fn a_paused_pipeline_starts_nothing_until_it_goes_on() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let _worker = ci.worker(|_| Ended::well());
    ci.engine.pause_pipeline("main", "app", true).await.expect("paused");
    let build = ci.trigger("hello").await;
    ci.quiet().await;
    ci.until("hello", &["1 pending"]).await;
    let why = ci.engine.why_build(build.id).await.expect("why").to_string();
    assert_eq!(why, "the pipeline is paused; unpause it to go on");
    // Setting a pipeline lets nothing go on that was paused.
    ci.set(&PLAIN.replace("\"t\"", "\"u\"")).await;
    ci.quiet().await;
    ci.until("hello", &["1 pending"]).await;
    ci.engine.pause_pipeline("main", "app", false).await.expect("goes on");
    ci.until("hello", &["1 succeeded"]).await;
}

#[tokio::test]
async fn a_paused_job_stays_paused_over_a_new_revision() {
    let ci = Ci::new().await;
    ci.set(PLAIN).await;
    let _worker = ci.worker(|_| Ended::well());
    let job = ("main", "app", "hello");
    ci.engine.pause_job(job, true).await.expect("paused");
    ci.set(&PLAIN.replace("\"t\"", "\"u\"")).await;
    ci.trigger("hello").await;
    ci.quiet().await;
    ci.until("hello", &["1 pending"]).await;
    assert_eq!(
        ci.engine.why_job(job).await.expect("why").to_string(),
        "the job is paused; unpause it to go on"
    );
    ci.engine.pause_job(job, false).await.expect("goes on");
    ci.until("hello", &["1 succeeded"]).await;
}

const GUARDED: &str = r#"
    job "ship" {
      approve "production" { approvals = 2 timeout = "1h" }
      task "t" { run "run" {} }
    }
"#;

#[tokio::test]
async fn a_build_waits_for_its_approvals_and_keeps_no_worker_busy() {
    let ci = Ci::new().await;
    ci.set(GUARDED).await;
    let worker = ci.worker(|_| Ended::well());
    let build = ci.trigger("ship").await;
    ci.quiet().await;
    ci.until("ship", &["1 pending"]).await;
    let engine = &ci.engine;
    engine.approve(build.id, "production", "ann", None).await.expect("approved");
    let again = engine.approve(build.id, "production", "ann", None).await.expect_err("twice");
    assert_eq!(again.to_string(), "ann has decided about `production` already");
    let why = engine.why_build(build.id).await.expect("why").to_string();
    assert_eq!(why, "waits for approval of `production`: 1 of 2 have approved");
    assert!(worker.names().is_empty());
    engine.approve(build.id, "production", "bob", None).await.expect("approved");
    ci.until("ship", &["1 succeeded"]).await;
}

#[tokio::test]
async fn one_rejection_fails_a_build() {
    let ci = Ci::new().await;
    ci.set(GUARDED).await;
    let worker = ci.worker(|_| Ended::well());
    let build = ci.trigger("ship").await;
    ci.engine.approve(build.id, "production", "ann", None).await.expect("approved");
    let build = ci.engine.reject(build.id, "production", "bob", None).await.expect("rejected");
    assert_eq!(build.status(), Some(Status::Failed));
    assert_eq!(build.reason.as_deref(), Some("it was rejected by bob"));
    let late = ci.engine.approve(build.id, "production", "eve", None).await.expect_err("late");
    assert_eq!(late.to_string(), "build main/app/ship#1 does not wait for approval");
    assert!(worker.names().is_empty());
}

#[tokio::test]
async fn an_approval_that_comes_too_late_fails_a_build() {
    let ci = Ci::new().await;
    ci.set(&GUARDED.replace("1h", "1s")).await;
    let build = ci.trigger("ship").await;
    let build = ci.ended(build.id).await;
    assert_eq!(build.status(), Some(Status::Failed));
    assert_eq!(build.reason.as_deref(), Some("its approval did not come in time"));
}

#[tokio::test]
async fn a_newer_build_of_an_interruptible_job_cancels_the_older_ones() {
    let ci = Ci::new().await;
    ci.set(r#"job "lint" { interruptible = true task "t" { run "run" {} } }"#).await;
    let first = AtomicU32::new(0);
    let _worker = ci.worker(move |_| match first.fetch_add(1, Ordering::SeqCst) {
        0 => Ended::well().when(CancellationToken::new()),
        _ => Ended::well(),
    });
    let old = ci.trigger("lint").await;
    ci.until("lint", &["1 running"]).await;
    ci.trigger("lint").await;
    ci.until("lint", &["1 cancelled", "2 succeeded"]).await;
    let old = ci.engine.build(old.id).await.expect("a build");
    assert_eq!(old.cancel.map(|it| it.reason).as_deref(), Some("build 2 of this job is newer"));
}

#[tokio::test]
async fn a_build_by_itself_has_the_defaults_of_its_inputs() {
    let ci = Ci::new().await;
    ci.set(
        r#"
        resource "repo" "code" { check_interval = "never" }
        job "test" {
          input "level" { default = "info" options = ["info", "debug"] }
          get "repo" "code" { trigger = true }
        }
        "#,
    )
    .await;
    let _worker = ci.worker(|claim| match claim.input_values["level"].as_str() {
        "info" => Ended::well(),
        _ => failed(),
    });
    ci.push("repo.code", "a").await;
    ci.until("test", &["1 succeeded"]).await;
    let job = ("main", "app", "test");
    let debug = Inputs::latest().value("level", "debug");
    ci.engine.trigger(job, &debug, "ann").await.expect("a build");
    ci.until("test", &["1 succeeded", "2 failed"]).await;
    let wrong = ci.engine.trigger(job, &Inputs::latest().value("level", "loud"), "ann").await;
    assert_eq!(
        wrong.expect_err("refused").to_string(),
        "input `level` is `loud`, which is not one of its options: info, debug"
    );
    assert_eq!(ci.history("test").await.len(), 2);
}

#[tokio::test]
async fn a_pinned_resource_gives_one_version_and_is_not_checked() {
    let ci = Ci::new().await;
    let pipeline = ci
        .set(
            r#"
            resource "repo" "code" { check_interval = "never" }
            job "test" { get "repo" "code" {} }
            "#,
        )
        .await;
    let _worker = ci.worker(|_| Ended::well());
    ci.push("repo.code", "a").await;
    ci.push("repo.code", "b").await;
    let code = ResourceRef("repo.code".into());
    let a = pikoci_core::Version::from_pairs([("ref", "a")]);
    let none = pikoci_core::Version::from_pairs([("ref", "z")]);
    let engine = &ci.engine;
    assert!(engine.pin(pipeline.id, &code, &none, "ann", None).await.is_err());
    engine.pin(pipeline.id, &code, &a, "ann", None).await.expect("pinned");
    let build = ci.trigger("test").await;
    assert_eq!(ref_of(&ci.ended(build.id).await, "code"), "a");
    engine.unpin(pipeline.id, &code).await.expect("unpinned");
    let build = ci.trigger("test").await;
    assert_eq!(ref_of(&ci.ended(build.id).await, "code"), "b");
    let versions = engine.versions(pipeline.id, &code, 10, None).await.expect("versions");
    let newest = &versions.items[0];
    engine.disable_version(pipeline.id, &code, newest.digest, true).await.expect("disabled");
    let build = ci.trigger("test").await;
    assert_eq!(ref_of(&ci.ended(build.id).await, "code"), "a");
    engine.disable_version(pipeline.id, &code, newest.digest, false).await.expect("enabled");
    let chosen = Inputs::latest().version("code", a);
    let build = engine.trigger(("main", "app", "test"), &chosen, "ann").await.expect("a build");
    assert_eq!(ref_of(&ci.ended(build.id).await, "code"), "a");
}
