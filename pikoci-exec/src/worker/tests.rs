//! Tests of the worker, with a dispatcher that does what they say.

mod builds;
mod checks;
mod reports;
mod sessions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pikoci_core::context::BuildContext;
use pikoci_core::dispatch::{BuildClaim, Resume, RunningBuild};
use pikoci_core::event::{BuildView, EventKind};
use pikoci_core::name::{BuildId, BuildName};
use pikoci_core::testkit::dispatch::{ScriptedDispatcher, Told};
use pikoci_core::{Pipeline, Types};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::test_support::pipeline;

/// A worker, what it works for, and its directories.
struct Bench {
    dir: tempfile::TempDir,
    dispatcher: ScriptedDispatcher,
    options: WorkerOptions,
    types: Types,
    stop: CancellationToken,
}

type Running = JoinHandle<Result<WorkerEnd, WorkerError>>;

impl Bench {
    fn new() -> Self {
        Self::with_ttl(Duration::from_secs(30))
    }

    fn with_ttl(ttl: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = WorkerOptions {
            name: "w1".into(),
            build_slots: 2,
            check_slots: 1,
            grace: Duration::from_secs(5),
            workspaces: Some(dir.path().join("workspaces")),
            journal: Some(dir.path().join("journal")),
            cache: Some(dir.path().join("cache")),
            ..WorkerOptions::default()
        };
        let dispatcher = ScriptedDispatcher::new(ttl);
        let stop = CancellationToken::new();
        Self { dir, dispatcher, options, types: crate::defaults(), stop }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self) -> Running {
        let dispatcher = Arc::new(self.dispatcher.clone());
        let worker = Worker::new(dispatcher, self.types.clone(), self.options.clone());
        let stop = self.stop.clone();
        tokio::spawn(async move { worker.run(&stop).await })
    }

    /// Has the worker end in its own time; then it left nothing behind.
    async fn drain(&self, running: Running) -> WorkerEnd {
        self.stop.cancel();
        let end = ended(running).await.unwrap();
        assert_eq!(self.dispatcher.told().violations, [""; 0]);
        assert_eq!(self.left_over(), [""; 0]);
        end
    }

    /// The names of what is left in the workspaces and the journal.
    fn left_over(&self) -> Vec<String> {
        let names = |name: &str| -> Vec<String> {
            let entries = std::fs::read_dir(self.path(name)).into_iter().flatten().flatten();
            entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect()
        };
        let mut all = names("workspaces");
        all.extend(names("journal").into_iter().filter(|it| it != "worker.lock"));
        all
    }
}

async fn ended(running: Running) -> Result<WorkerEnd, WorkerError> {
    let ended = tokio::time::timeout(Duration::from_secs(30), running).await;
    ended.expect("the worker ends").expect("it does not panic")
}

/// A job of one shell script.
fn script(text: &str) -> Arc<Pipeline> {
    let cmd = serde_json::to_string(&text.replace("${", "$${")).unwrap();
    Arc::new(pipeline(&format!(r#"job "j" {{ task "t" {{ run "shell" {{ cmd = {cmd} }} }} }}"#)))
}

/// A claim of the job `j`, whose log has four events.
fn claim(pipeline: &Arc<Pipeline>) -> BuildClaim {
    BuildClaim {
        context: BuildContext {
            id: BuildId(Uuid::now_v7()),
            name: BuildName {
                team: "main".into(),
                pipeline: pipeline.name.clone(),
                job: "j".into(),
                number: "3".into(),
            },
            url: None,
        },
        epoch: 1,
        pipeline: Arc::clone(pipeline),
        inputs: BTreeMap::new(),
        input_values: BTreeMap::new(),
        attempt: 1,
        previous: None,
        next_event: 4,
        resume: None,
    }
}

fn running(claim: &BuildClaim) -> RunningBuild {
    RunningBuild { build: claim.context.id, epoch: claim.epoch }
}

/// What the steps of a build printed, as far as it was told.
fn printed(told: &Told, build: BuildId) -> String {
    let mut out = Vec::new();
    for event in told.logs.get(&build).into_iter().flatten() {
        if let EventKind::StepOutput { data, .. } = &event.kind {
            out.extend_from_slice(&data.0);
        }
    }
    String::from_utf8(out).unwrap()
}

/// The steps of a build and how they ended.
fn steps(told: &Told, build: BuildId) -> Vec<String> {
    let mut view = BuildView::default();
    told.logs.get(&build).into_iter().flatten().for_each(|event| view.apply(event));
    let status = |it: &pikoci_core::event::StepView| it.status.map_or("running", |it| it.as_str());
    view.steps.iter().map(|it| format!("{} {}", it.name, status(it))).collect()
}

/// Waits until something outside holds.
async fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < deadline, "it never came: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether the process lives whose number stands in a file.
fn lives(file: &Path) -> bool {
    let pid = std::fs::read_to_string(file).unwrap();
    Path::new(&format!("/proc/{}", pid.trim())).exists()
}

/// A script that says its number in a file and then sleeps for long.
fn sleeper(file: &Path) -> String {
    // Written whole before it has its name.
    format!("echo $$ > {0}.new && mv {0}.new {0} && exec sleep 300", file.display())
}

fn resumed(claim: &BuildClaim) -> BuildClaim {
    let mut next = self::claim(&claim.pipeline);
    next.context.name.number = "3.1".into();
    next.resume = Some(Resume { build: claim.context.id });
    next
}
