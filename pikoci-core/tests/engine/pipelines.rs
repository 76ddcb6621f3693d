//! Pipelines that are set, changed, renamed and deleted.

use pikoci_core::engine::{EngineError, PipelineText};
use pikoci_core::resolve::ResourceRef;
use pikoci_core::testkit::worker::Ended;
use tokio_util::sync::CancellationToken;

use crate::support::Ci;

const HOOKED: &str = r#"
    resource "repo" "code" { check_interval = "never" webhook = true }
    job "test" { get "repo" "code" { trigger = true } }
"#;

#[tokio::test]
async fn every_revision_is_kept_and_one_that_changes_nothing_is_none() {
    let ci = Ci::new().await;
    let set = |text: &'static str| {
        let engine = ci.engine.clone();
        async move { engine.set_pipeline("main", "app", &PipelineText::new(text), "ann").await }
    };
    let one = r#"job "a" { task "t" { run "run" {} } }"#;
    let two = r#"job "b" { task "t" { run "run" {} } }"#;
    let first = set(one).await.expect("set");
    assert_eq!(first.plan.to_string(), "+ job a\n");
    let same = set(one).await.expect("set");
    assert!(same.plan.is_empty());
    assert_eq!(same.pipeline.revision, 1);
    let second = set(two).await.expect("set");
    assert_eq!(
        second.plan.to_string(),
        "+ job b\n- job a\n    its builds stay until they are purged; what waits is ended\n"
    );
    let id = first.pipeline.id;
    let revisions = ci.engine.revisions(id, None).await.expect("revisions");
    let numbers: Vec<u64> = revisions.items.iter().map(|it| it.revision).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(ci.engine.revision(id, 1).await.expect("a revision").files[0].1, one);
    let diff = ci.engine.diff_revisions(id, 2, 1).await.expect("a difference");
    assert!(diff.to_string().starts_with("+ job a\n- job b\n"), "{diff}");
}

#[tokio::test]
async fn who_sets_an_old_revision_is_told_so() {
    let ci = Ci::new().await;
    let text = |name: &str| {
        PipelineText::new(format!(r#"job "{name}" {{ task "t" {{ run "run" {{}} }} }}"#))
    };
    let set = |text: PipelineText| {
        let engine = ci.engine.clone();
        async move { engine.set_pipeline("main", "app", &text, "ann").await }
    };
    set(text("a").expecting(0)).await.expect("new");
    let stale = set(text("b").expecting(0)).await.expect_err("stale");
    assert!(matches!(stale, EngineError::Stale { expected: 0, found: 1, .. }), "{stale}");
    set(text("b").expecting(1)).await.expect("as expected");
    let nobody = ci.engine.set_pipeline("nobody", "app", &text("a"), "ann").await;
    assert_eq!(nobody.expect_err("no team").to_string(), "there is no team `nobody`");
    let bad = ci.engine.set_pipeline("main", "My App", &text("a"), "ann").await;
    assert_eq!(
        bad.expect_err("no slug").to_string(),
        "`My App` is no name for a pipeline: it takes a-z, 0-9 and single `-`, such as `my-app`"
    );
    let broken = set(PipelineText::new(r#"job "a" { get "repo" "nothing" {} }"#)).await;
    let mistake = broken.expect_err("it has a mistake");
    assert!(matches!(mistake, EngineError::Pipeline { .. }));
    let told = mistake.to_string();
    assert!(told.starts_with("pipeline.hcl:1:15: error"), "{told}");
}

#[tokio::test]
async fn a_webhook_keeps_its_token_and_starts_a_check() {
    let ci = Ci::new().await;
    let pipeline = ci.set(HOOKED).await;
    let _worker = ci.worker(|_| Ended::well());
    let code = ResourceRef("repo.code".into());
    let token = ci.engine.resource(pipeline.id, &code).await.expect("there").webhook_token;
    let token = token.expect("a token");
    ci.set(&format!("{HOOKED}\njob \"other\" {{ task \"t\" {{ run \"run\" {{}} }} }}")).await;
    let after = ci.engine.resource(pipeline.id, &code).await.expect("there").webhook_token;
    assert_eq!(after.as_ref(), Some(&token));
    ci.world.publish("repo.code", "pushed");
    ci.engine.webhook(&token).await.expect("a hook");
    ci.until("test", &["1 succeeded"]).await;
    assert!(ci.engine.webhook("nobody").await.is_err());
}

#[tokio::test]
async fn a_job_that_is_taken_out_keeps_its_builds_until_it_is_purged() {
    let ci = Ci::new().await;
    let one = r#"job "a" { concurrency = 1 task "t" { run "run" {} } }"#;
    let pipeline = ci.set(one).await;
    let gate = CancellationToken::new();
    let open = gate.clone();
    let _worker = ci.worker(move |_| Ended::well().when(open.clone()));
    ci.trigger("a").await;
    ci.until("a", &["1 running"]).await;
    ci.trigger("a").await;
    ci.until("a", &["1 running", "2 pending"]).await;
    let refused = ci.engine.purge_job(pipeline.id, "a").await.expect_err("it is there");
    assert_eq!(refused.to_string(), "job `a` is in its pipeline; take it out first");
    ci.set(r#"job "b" { task "t" { run "run" {} } }"#).await;
    // What waits can never run; what runs goes on.
    ci.until("a", &["1 running", "2 cancelled"]).await;
    gate.cancel();
    ci.until("a", &["1 succeeded", "2 cancelled"]).await;
    // The name brings the history back.
    ci.set(one).await;
    ci.trigger("a").await;
    ci.until("a", &["1 succeeded", "2 cancelled", "3 succeeded"]).await;
    ci.set(r#"job "b" { task "t" { run "run" {} } }"#).await;
    ci.engine.purge_job(pipeline.id, "a").await.expect("purged");
    assert!(ci.history("a").await.is_empty());
}

#[tokio::test]
async fn a_deleted_pipeline_is_gone_with_all_that_was_its() {
    let ci = Ci::new().await;
    let old = ci.set(HOOKED).await;
    let _worker = ci.worker(|_| Ended::well());
    ci.push("repo.code", "a").await;
    ci.until("test", &["1 succeeded"]).await;
    ci.engine.delete_pipeline("main", "app").await.expect("deleted");
    assert!(ci.engine.pipeline("main", "app").await.is_err());
    // The name is free at once, and nothing of the old one is in the new one.
    let new = ci.set(HOOKED).await;
    assert_ne!(new.id, old.id);
    ci.until_true("the old one is purged", || async {
        let database = ci.engine.database();
        let old = database.get::<pikoci_core::engine::PipelineRecord>(&old.id).await;
        old.expect("readable").is_none()
    })
    .await;
    let builds = ci.engine.builds(old.id, "test", 10, None).await.expect("builds");
    assert!(builds.items.is_empty());
}

#[tokio::test]
async fn a_renamed_pipeline_goes_on_under_its_new_name() {
    let ci = Ci::new().await;
    ci.set(r#"job "a" { task "t" { run "run" {} } }"#).await;
    let _worker = ci.worker(|_| Ended::well());
    let build = ci.trigger("a").await;
    ci.ended(build.id).await;
    ci.engine.rename_pipeline("main", "app", "shop").await.expect("renamed");
    assert!(ci.engine.pipeline("main", "app").await.is_err());
    let inputs = pikoci_core::engine::Inputs::latest();
    let next = ci.engine.trigger(("main", "shop", "a"), &inputs, "ann").await.expect("a build");
    assert_eq!(next.name().to_string(), "main/shop/a#2");
    ci.ended(next.id).await;
    ci.set(r#"job "a" { task "t" { run "run" {} } }"#).await;
    let taken = ci.engine.rename_pipeline("main", "shop", "app").await.expect_err("taken");
    assert_eq!(taken.to_string(), "there is a pipeline `app` already");
}
