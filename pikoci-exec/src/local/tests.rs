//! Whole runs: a pipeline in, events and results out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use pikoci_core::event::{BuildView, Event, EventKind, StepType};

use super::*;
use crate::test_support::{git, pipeline};

/// Keeps the events of every build.
#[derive(Default)]
struct Events(Mutex<Vec<(String, Arc<Sink>)>>);

#[derive(Default)]
struct Sink(Mutex<Vec<Event>>);

#[async_trait]
impl EventSink for Sink {
    async fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    fn of(&self, job: &str) -> Vec<Event> {
        let builds = self.0.lock().unwrap();
        let (_, sink) = builds.iter().find(|it| it.0 == job).expect("the job ran");
        let events = sink.0.lock().unwrap().clone();
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.number, index as u64, "numbers have no gaps");
        }
        events
    }

    fn steps(&self, job: &str) -> Vec<String> {
        let mut view = BuildView::default();
        self.of(job).iter().for_each(|event| view.apply(event));
        let told = |status: Option<Status>| status.map_or("running", Status::as_str);
        view.steps.iter().map(|it| format!("{} {}", it.name, told(it.status))).collect()
    }

    fn output(&self, job: &str) -> String {
        let mut out = Vec::new();
        for event in self.of(job) {
            if let EventKind::StepOutput { data, .. } = event.kind {
                out.extend_from_slice(&data.0);
            }
        }
        String::from_utf8(out).unwrap()
    }
}

/// A place for everything a run writes.
struct Place {
    dir: tempfile::TempDir,
    events: Events,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), events: Events::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self, jobs: JobChoice) -> LocalOptions {
        LocalOptions {
            jobs,
            workspaces: Some(self.path("workspaces")),
            cache: Some(self.path("cache")),
            journal: Some(self.path("journal")),
            grace: Duration::from_secs(2),
            ..LocalOptions::default()
        }
    }

    async fn run(&self, text: &str, options: LocalOptions) -> LocalResult {
        self.run_until(text, options, &CancellationToken::new()).await
    }

    async fn run_until(
        &self,
        text: &str,
        options: LocalOptions,
        cancel: &CancellationToken,
    ) -> LocalResult {
        let run = LocalRun::new(pipeline(text), &crate::defaults(), options).unwrap();
        let sinks = |build: &BuildContext| {
            let sink = Arc::new(Sink::default());
            self.events.0.lock().unwrap().push((build.name.job.clone(), Arc::clone(&sink)));
            sink as Arc<dyn EventSink>
        };
        run.run(&sinks, cancel).await.unwrap()
    }

    fn is_tidy(&self) {
        for name in ["workspaces", "journal"] {
            let left: Vec<_> =
                fs::read_dir(self.path(name)).into_iter().flatten().flatten().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[tokio::test]
async fn every_step_of_a_build_is_in_one_trace() {
    let text = r#"
        job "a" {
          task "one" { run "shell" { cmd = "echo $TRACEPARENT $BUILD_ID" } }
          task "two" { run "shell" { cmd = "echo $TRACEPARENT $BUILD_ID" } }
        }
    "#;
    let place = Place::new();
    place.run(text, place.options(JobChoice::Only)).await;
    let output = place.events.output("a");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 2, "{output}");
    assert_eq!(lines[0], lines[1]);
    let (value, build) = lines[0].split_once(' ').unwrap();
    let trace = value.split('-').nth(1).unwrap();
    // Whoever runs the tests may have a trace, too.
    match std::env::var("TRACEPARENT") {
        Ok(caller) => assert!(caller.contains(trace), "{value}"),
        Err(_) => assert_eq!(trace, build.replace('-', "")),
    }

    let place = Place::new();
    let given = BTreeMap::from([("TRACEPARENT".to_owned(), "given".to_owned())]);
    place.run(text, LocalOptions { env: given, ..place.options(JobChoice::Only) }).await;
    assert!(place.events.output("a").starts_with("given "));
}

/// A repository with one commit; the commit.
fn repository(path: &Path) -> String {
    fs::create_dir(path).unwrap();
    git(path, &["init", "-q"]);
    fs::write(path.join("file"), "committed").unwrap();
    fs::write(path.join(".gitignore"), "ignored\n").unwrap();
    git(path, &["add", "."]);
    git(path, &["commit", "-q", "-m", "one"]);
    git(path, &["rev-parse", "HEAD"])
}

#[tokio::test]
async fn a_job_checks_and_fetches_what_it_gets_in_one_stream_of_events() {
    let place = Place::new();
    let commit = repository(&place.path("repo"));
    let text = format!(
        r#"
        resource "git" "app" {{ params {{ url = "{}" }} }}
        job "test" {{
          get "git" "app" {{ trigger = true }}
          task "show" {{ run "shell" {{ cmd = "cat app/file; echo \" $GET_APP_REF\"" }} }}
        }}
        "#,
        place.path("repo").display()
    );
    let result = place.run(&text, place.options(JobChoice::Only)).await;
    assert_eq!(
        place.events.steps("test"),
        ["check app succeeded", "get app succeeded", "task show succeeded"]
    );
    assert_eq!(result.status, Status::Succeeded);
    assert!(place.events.output("test").contains(&format!("committed {commit}\n")));
    let events = place.events.of("test");
    let index = |wanted: fn(&EventKind) -> bool| events.iter().position(|it| wanted(&it.kind));
    let resolved = index(|it| matches!(it, EventKind::InputsResolved { .. })).unwrap();
    let check = index(|it| matches!(it, EventKind::StepStarted { kind: StepType::Check, .. }));
    assert!(check.unwrap() < resolved);
    // A directory and its record.
    assert_eq!(fs::read_dir(place.path("cache")).unwrap().count(), 2, "`git` keeps a cache");
    place.is_tidy();
}

#[tokio::test]
async fn a_check_that_fails_ends_the_build_as_errored_before_its_first_step() {
    let place = Place::new();
    let text = r#"
        resource_type "broken" {
          check "shell" { cmd = "echo no network >&2; exit 3" }
          pull "shell" { cmd = "true" }
        }
        resource "broken" "app" {}
        job "test" {
          get "broken" "app" {}
          task "never" { run "shell" { cmd = "true" } }
        }
    "#;
    let result = place.run(text, place.options(JobChoice::Only)).await;
    assert_eq!(result.status, Status::Errored);
    assert_eq!(
        place.events.steps("test"),
        ["check app errored", "get app skipped", "task never skipped"]
    );
    let reason = result.jobs[0].result.as_ref().unwrap().reason.clone().unwrap();
    assert!(reason.contains("`check app`") && reason.contains("no network"), "{reason}");
    place.is_tidy();
}

const CHAIN: &str = r#"
    resource_type "log" {
      params = ["file"]
      check "shell" { cmd = "printf '[{\"line\":\"%s\"}]' \"$(wc -l < $param_file | tr -d ' ')\"" }
      pull "shell" { cmd = "printf %s \"$version_line\" > line" }
      push "shell" {
        cmd = "echo x >> $param_file; printf '{\"line\":\"%s\"}' \"$(wc -l < $param_file | tr -d ' ')\""
      }
    }
    resource "log" "made" { params { file = "FILE" } }
    job "use" {
      get "log" "made" { passed = ["make"] }
      task "show" { run "shell" { cmd = "echo used $(cat line)" } }
    }
    job "make" {
      task "check" { run "shell" { cmd = "exit EXIT" } }
      put "log" "made" {}
    }
    job "beside" {
      task "fine" { run "shell" { cmd = "true" } }
    }
    job "last" {
      get "log" "made" { passed = ["make", "use"] }
    }
"#;

fn outcomes(result: &LocalResult) -> Vec<String> {
    let told = |it: &JobOutcome| match (&it.result, &it.not_run) {
        (Some(result), _) => format!("{} {}", it.job, result.status),
        (None, reason) => format!("{}: {}", it.job, reason.as_deref().unwrap_or_default()),
    };
    result.jobs.iter().map(told).collect()
}

#[tokio::test]
async fn all_jobs_run_in_order_and_versions_flow_on() {
    let place = Place::new();
    let file = place.path("log");
    fs::write(&file, "1\n2\n").unwrap();
    let text = CHAIN.replace("FILE", file.to_str().unwrap()).replace("EXIT", "0");
    let result = place.run(&text, place.options(JobChoice::All)).await;
    assert_eq!(
        outcomes(&result),
        ["make succeeded", "use succeeded", "beside succeeded", "last succeeded"]
    );
    assert_eq!(place.events.output("use"), "used 3\n", "the version that the put made");
    assert!(!place.events.steps("use").iter().any(|it| it.starts_with("check")));
    place.is_tidy();
}

#[tokio::test]
async fn jobs_behind_a_failed_one_are_not_run_and_others_are() {
    let place = Place::new();
    let file = place.path("log");
    fs::write(&file, "").unwrap();
    let text = CHAIN.replace("FILE", file.to_str().unwrap()).replace("EXIT", "1");
    let result = place.run(&text, place.options(JobChoice::All)).await;
    assert_eq!(result.status, Status::Failed);
    assert_eq!(
        outcomes(&result),
        [
            "make failed",
            "use: job `make` before it failed",
            "beside succeeded",
            "last: job `make` before it failed"
        ]
    );
}

#[tokio::test]
async fn a_local_copy_stands_for_a_resource_with_its_changes() {
    let place = Place::new();
    let commit = repository(&place.path("repo"));
    fs::write(place.path("repo").join("file"), "changed").unwrap();
    fs::write(place.path("repo").join("ignored"), "x").unwrap();
    let text = r#"
        resource "git" "app" { params { url = "https://example.invalid/app" name = "src" } }
        job "test" {
          get "git" "app" {}
          task "show" { run "shell" { cmd = "cat src/file; echo \" $GET_APP_REF\"; ls src; git -C src status -s" } }
          put "git" "app" { params { repository = "src" } }
        }
    "#;
    let mut options = place.options(JobChoice::Only);
    options.overrides.insert("git.app".into(), place.path("repo"));
    let result = place.run(text, options).await;
    let output = place.events.output("test");
    assert_eq!(result.status, Status::Succeeded, "{output}");
    assert!(output.contains(&format!("changed {commit}\nfile\n M file\n")), "{output}");
    assert!(output.contains("not pushed"), "{output}");
}

#[tokio::test]
async fn an_override_of_nothing_is_refused_with_what_there_is() {
    let text = r#"
        resource "git" "app" { params { url = "x" } }
        job "test" { get "git" "app" {} }
    "#;
    let place = Place::new();
    let error = |name: &str, path: &Path| {
        let mut options = place.options(JobChoice::Only);
        options.overrides.insert(name.into(), path.into());
        LocalRun::new(pipeline(text), &crate::defaults(), options).unwrap_err().to_string()
    };
    assert_eq!(
        error("git.ap", place.dir.path()),
        "there is no resource `git.ap`; the pipeline has `git.app`"
    );
    let missing = error("git.app", Path::new("/nonexistent"));
    assert!(
        missing.starts_with("`/nonexistent` cannot stand for resource `git.app`: "),
        "{missing}"
    );
}

#[tokio::test]
async fn a_kept_workspace_stays_with_what_was_made_in_it() {
    let place = Place::new();
    let text = r#"job "test" { task "make" { run "shell" { cmd = "echo made > file" } } }"#;
    let options = LocalOptions { keep: true, ..place.options(JobChoice::One("test".into())) };
    let result = place.run(text, options).await;
    let kept = result.jobs[0].workspace.clone().unwrap();
    assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "made\n");
}

#[tokio::test]
async fn a_cancelled_run_stops_its_services_and_begins_no_other_job() {
    let place = Place::new();
    let (started, stopped) = (place.path("started"), place.path("stopped"));
    let text = format!(
        r#"
        service_type "fake" {{
          start "shell" {{ cmd = "sleep 600 >/dev/null 2>&1 &" }}
          stop "shell" {{ cmd = "echo stopped > {}" }}
        }}
        job "one" {{
          service "fake" {{}}
          task "wait" {{ run "shell" {{ cmd = "echo > {}; sleep 600" }} }}
        }}
        job "two" {{ task "never" {{ run "shell" {{ cmd = "true" }} }} }}
        "#,
        stopped.display(),
        started.display()
    );
    let cancel = CancellationToken::new();
    let when_started = async {
        while !started.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let run = place.run_until(&text, place.options(JobChoice::All), &cancel);
    let (result, ()) = tokio::join!(run, when_started);
    assert_eq!(result.status, Status::Cancelled);
    assert_eq!(outcomes(&result), ["one cancelled", "two: the run was cancelled"]);
    assert!(stopped.exists());
    place.is_tidy();
}

#[tokio::test]
async fn a_secret_of_the_environment_reaches_a_task_and_is_masked() {
    let place = Place::new();
    // `HOME` is set wherever tests run; its value stands for a token.
    let text = r#"
        variable "token" { secret "env" { key = "HOME" } }
        job "test" {
          task "use" {
            env = { TOKEN = var.token }
            run "shell" { cmd = "echo \"<$TOKEN>\"; test -n \"$TOKEN\"" }
          }
        }
    "#;
    let result = place.run(text, place.options(JobChoice::Only)).await;
    let output = place.events.output("test");
    assert_eq!(result.status, Status::Succeeded, "{output}");
    assert!(!output.contains(&std::env::var("HOME").unwrap()), "{output}");
}

#[tokio::test]
async fn a_version_with_a_secret_in_it_flows_on_whole() {
    let place = Place::new();
    // `HOME` is set wherever tests run; its value stands for a token.
    let text = r#"
        variable "token" { secret "env" { key = "HOME" } }
        resource_type "own" {
          check "shell" { cmd = "printf '[{\"at\":\"%s\"}]' \"$param_token\"" }
          pull "shell" { cmd = "echo \"fetching $version_at\"; test \"$version_at\" = \"$HOME\"" }
        }
        resource "own" "app" { params { token = var.token } }
        job "one" { get "own" "app" {} }
        job "two" { get "own" "app" { passed = ["one"] } }
    "#;
    let result = place.run(text, place.options(JobChoice::All)).await;
    assert_eq!(outcomes(&result), ["one succeeded", "two succeeded"]);
    assert!(!place.events.steps("two").iter().any(|it| it.starts_with("check")));
    assert_eq!(place.events.output("two"), "fetching ***\n");
}

#[tokio::test]
async fn a_runner_type_may_hold_a_secret_of_its_own() {
    let place = Place::new();
    let text = r#"
        variable "token" { secret "env" { key = "HOME" } }
        runner_type "own" {
          params = ["cmd"]
          run {
            path = "/bin/sh"
            args = ["-ec", "$cmd"]
            env  = { TOKEN = "<${var.token}>" }
          }
        }
        job "test" {
          task "use" { run "own" { cmd = "echo \"$TOKEN\"; test \"$TOKEN\" = \"<$HOME>\"" } }
        }
    "#;
    let result = place.run(text, place.options(JobChoice::Only)).await;
    let output = place.events.output("test");
    assert_eq!((result.status, output.as_str()), (Status::Succeeded, "<***>\n"));
}

#[tokio::test]
async fn a_run_that_used_a_cache_keeps_all_caches_within_their_bound() {
    let place = Place::new();
    let text = r#"
        resource_type "own" {
          cache = true
          check "shell" { cmd = "echo kept >> $CACHE_DIR/file; printf '[{\"n\":\"%s\"}]' $(wc -l < $CACHE_DIR/file)" }
          pull "shell" { cmd = "test -e $CACHE_DIR/file; echo $version_n" }
        }
        resource "own" "app" {}
        job "test" { get "own" "app" {} }
    "#;
    for (limit, seen) in [(1000, "1\n"), (0, "2\n"), (1000, "1\n")] {
        let events = Place { dir: tempfile::tempdir().unwrap(), events: Events::default() };
        let mut options = events.options(JobChoice::Only);
        options.cache = Some(place.path("cache"));
        options.cache_limit_bytes = limit;
        let result = events.run(text, options).await;
        assert_eq!(result.jobs[0].problems, [""; 0]);
        assert_eq!(events.events.output("test"), seen, "a limit of {limit}");
    }
}
