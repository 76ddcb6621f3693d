//! Versions in, builds out: the ways a version goes.

use pikoci_core::testkit::worker::Ended;
use pikoci_core::{EventKind, Status, Version};

use crate::support::{Ci, failed, ref_of};

const TWO_JOBS: &str = r#"
    resource "repo" "code" { check_interval = "never" }
    job "test" {
      get "repo" "code" { trigger = true }
      task "unit" { run "run" {} }
    }
    job "deploy" {
      get "repo" "code" { trigger = true passed = ["test"] }
      task "ship" { run "run" {} }
    }
"#;

#[tokio::test]
async fn a_job_without_inputs_runs_when_somebody_asks() {
    let ci = Ci::new().await;
    ci.set(r#"job "hello" { task "t" { run "run" {} } }"#).await;
    let worker = ci.worker(|_| Ended::well());
    let build = ci.trigger("hello").await;
    let build = ci.ended(build.id).await;
    assert_eq!(build.status(), Some(Status::Succeeded));
    assert_eq!(worker.names(), ["main/app/hello#1"]);
    let events = ci.engine.events(build.id, 0).await.expect("events");
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| match event.kind {
            EventKind::BuildCreated { .. } => "created",
            EventKind::InputsResolved { .. } => "resolved",
            EventKind::BuildStarted { epoch: 1, .. } => "started",
            EventKind::BuildFinished { .. } => "finished",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["created", "resolved", "started", "finished"]);
}

#[tokio::test]
async fn a_version_goes_through_one_job_to_the_next() {
    let ci = Ci::new().await;
    let pipeline = ci.set(TWO_JOBS).await;
    let _worker = ci.worker(|_| Ended::well());
    ci.push("repo.code", "a").await;
    ci.until("deploy", &["1 succeeded"]).await;
    let deploy = ci.engine.builds(pipeline.id, "deploy", 1, None).await.expect("builds");
    assert_eq!(ref_of(&deploy.items[0], "code"), "a");
    ci.push("repo.code", "b").await;
    ci.until("deploy", &["1 succeeded", "2 succeeded"]).await;
    ci.until("test", &["1 succeeded", "2 succeeded"]).await;
}

#[tokio::test]
async fn what_failed_upstream_goes_no_further() {
    let ci = Ci::new().await;
    ci.set(TWO_JOBS).await;
    let _worker = ci.worker(|claim| match claim.inputs["code"].flatten()["ref"].as_str() {
        "bad" => failed(),
        _ => Ended::well(),
    });
    ci.push("repo.code", "bad").await;
    ci.until("test", &["1 failed"]).await;
    ci.push("repo.code", "good").await;
    ci.until("deploy", &["1 succeeded"]).await;
    ci.until("test", &["1 failed", "2 succeeded"]).await;
}

#[tokio::test]
async fn a_put_makes_a_version_that_goes_on() {
    let ci = Ci::new().await;
    let pipeline = ci
        .set(
            r#"
            resource "repo" "image" { check_interval = "never" }
            job "build" { put "repo" "image" {} }
            job "deploy" { get "repo" "image" { trigger = true passed = ["build"] } }
            "#,
        )
        .await;
    let _worker = ci.worker(|claim| match claim.context.name.job.as_str() {
        "build" => Ended::well().made("repo.image", Version::from_pairs([("ref", "i1")])),
        _ => Ended::well(),
    });
    let build = ci.trigger("build").await;
    ci.ended(build.id).await;
    ci.until("deploy", &["1 succeeded"]).await;
    let deploy = ci.engine.builds(pipeline.id, "deploy", 1, None).await.expect("builds");
    assert_eq!(ref_of(&deploy.items[0], "image"), "i1");
}
