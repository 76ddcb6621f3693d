//! An engine and a worker in one process, with real commands.

use std::path::Path;
use std::time::Duration;

use pikoci_core::engine::records::BuildRecord;
use pikoci_core::engine::{Engine, Inputs, PipelineText};
use pikoci_core::event::EventKind;
use pikoci_core::name::BuildId;
use pikoci_core::testkit::{Calls, ScriptedResource};
use pikoci_core::{Status, Version};
use pikoci_exec::worker::{Worker, WorkerOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(30);

struct Ci {
    engine: Engine,
    stop: CancellationToken,
    work: JoinHandle<()>,
    dir: TempDir,
}

impl Ci {
    async fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut found = ScriptedResource::new(&Calls::new());
        found.versions = vec![Version::from_pairs([("ref", "abc")])];
        let types = pikoci_exec::defaults().resource_type("repo", found);
        let engine =
            Engine::builder().register(types).catalog(pikoci_exec::catalog()).build().await;
        let engine = engine.expect("an engine");
        engine.create_team("main").await.expect("a team");
        let text = PipelineText::new(text.replace("DIR", &dir.path().display().to_string()));
        engine.set_pipeline("main", "app", &text, "test").await.expect("a pipeline");
        let options = WorkerOptions {
            workspaces: Some(dir.path().join("builds")),
            journal: Some(dir.path().join("journal")),
            cache: None,
            grace: Duration::from_millis(500),
            ..WorkerOptions::default()
        };
        let worker = Worker::new(engine.dispatcher(), engine.types().clone(), options);
        let stop = CancellationToken::new();
        let token = stop.clone();
        let work = tokio::spawn(async move {
            worker.run(&token).await.expect("it works");
        });
        Self { engine, stop, work, dir }
    }

    async fn trigger(&self) -> BuildRecord {
        let job = ("main", "app", "test");
        self.engine.trigger(job, &Inputs::latest(), "ann").await.expect("a build")
    }

    async fn ended(&self, build: BuildId) -> BuildRecord {
        let wait = tokio::time::timeout(DEADLINE, self.engine.wait(build));
        wait.await.expect("it ends in time").expect("a build")
    }

    /// What a build printed.
    async fn output(&self, build: BuildId) -> String {
        let events = self.engine.events(build, 0).await.expect("events");
        events
            .into_iter()
            .filter_map(|event| match event.kind {
                EventKind::StepOutput { data, .. } => {
                    Some(String::from_utf8_lossy(&data.0).into_owned())
                }
                _ => None,
            })
            .collect()
    }

    async fn close(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.work).await;
        ended.expect("the worker ends").expect("well");
        self.engine.close().await.expect("closed");
    }
}

async fn until(path: &Path) {
    let appears = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, appears).await.expect("it appears");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_found_starts_a_command() {
    let ci = Ci::new(
        r#"
        resource "repo" "code" { check_interval = "@every 1h" }
        job "test" {
          get "repo" "code" { trigger = true }
          task "say" { run "shell" { cmd = "echo version $GET_CODE_REF of build $BUILD_NUMBER" } }
        }
        "#,
    )
    .await;
    let pipeline = ci.engine.pipeline("main", "app").await.expect("a pipeline");
    let made = async {
        loop {
            let page = ci.engine.builds(pipeline.id, "test", 1, None).await.expect("builds");
            match page.items.into_iter().next() {
                Some(build) => return build.id,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let build = tokio::time::timeout(DEADLINE, made).await.expect("it starts by itself");
    assert_eq!(ci.ended(build).await.status(), Some(Status::Succeeded));
    assert_eq!(ci.output(build).await, "version abc of build 1\n");
    let why = ci.engine.why_job(("main", "app", "test")).await.expect("why").to_string();
    assert_eq!(
        why,
        "it has used what there is; a new version of `repo.code` (now ref:abc) would start it"
    );
    ci.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_leaves_no_process() {
    let ci = Ci::new(
        r#"job "test" { task "wait" { run "shell" { cmd = "echo $$ > DIR/pid.new; mv DIR/pid.new DIR/pid; sleep 600" } } }"#,
    )
    .await;
    let build = ci.trigger().await;
    let pid = ci.dir.path().join("pid");
    until(&pid).await;
    let pid = std::fs::read_to_string(pid).expect("a process");
    let asked = std::time::Instant::now();
    ci.engine.cancel(build.id, "ann").await.expect("asked");
    let build = ci.ended(build.id).await;
    assert_eq!(build.status(), Some(Status::Cancelled));
    assert_eq!(build.reason.as_deref(), Some("cancelled by ann"));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the process is there");
    ci.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_on_at_the_step_that_failed() {
    let ci = Ci::new(
        r#"
        job "test" {
          task "build" { run "shell" { cmd = "echo built >> DIR/built; echo made > artifact; echo NAME=artifact > $PIKOCI_OUTPUT" } }
          task "test" { run "shell" { cmd = "test -e DIR/fixed; cat $TASK_BUILD_NAME" } }
        }
        "#,
    )
    .await;
    let first = ci.trigger().await;
    assert_eq!(ci.ended(first.id).await.status(), Some(Status::Failed));
    std::fs::write(ci.dir.path().join("fixed"), "").expect("a file");
    let again = ci.engine.rerun_from_failed(first.id, "ann").await.expect("a build");
    let again = ci.ended(again.id).await;
    assert_eq!(again.status(), Some(Status::Succeeded), "{:?}", again.reason);
    assert_eq!(ci.output(again.id).await, "made\n");
    let built = std::fs::read_to_string(ci.dir.path().join("built")).expect("a file");
    assert_eq!(built, "built\n", "the first step ran once");
    let twice = ci.engine.rerun_from_failed(first.id, "ann").await.expect_err("it is gone");
    assert_eq!(
        twice.to_string(),
        "build main/app/test#1 left no workspace to go on in; retry it instead"
    );
    ci.close().await;
}
