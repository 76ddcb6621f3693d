//! The journal in files, and recovery from real deaths.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pikoci_core::{Types, Value};

use super::*;
use crate::test_support::{build_name, pipeline};

/// Tells [`a_child_that_dies`] where to work; without it that test does nothing.
const CHILD: &str = "PIKOCI_TEST_JOURNAL_CHILD";

fn with_service(base: &Path) -> Pipeline {
    pipeline(&format!(
        r#"
        service_type "fake" {{
          params = ["mark"]
          start "shell" {{ cmd = "true" }}
          stop "shell" {{ cmd = "echo $param_mark >> '{}/stopped'" }}
        }}
        job "test" {{
          service "fake" {{ mark = "m" }}
        }}
        "#,
        base.display()
    ))
}

fn record(build: BuildId, base: &Path, step: &str, mark: &str) -> ServiceRecord {
    ServiceRecord {
        build,
        name: build_name(),
        step: StepId::new(step),
        service_type: "fake".into(),
        params: [("mark".to_owned(), Value::from(mark))].into(),
        env: [("BUILD_ID".to_owned(), build.to_string())].into(),
        workdir: base.join("workspaces").join(build.to_string()).join("work"),
    }
}

fn journal(base: &Path) -> FileJournal {
    FileJournal::new(base.join("journal"), Some(base.join("workspaces")))
}

fn id() -> BuildId {
    BuildId(uuid::Uuid::now_v7())
}

fn stopped(base: &Path) -> String {
    fs::read_to_string(base.join("stopped")).unwrap_or_default()
}

async fn recover_in(base: &Path, types: &Types) -> Vec<Recovered> {
    recover(&base.join("journal"), types, Duration::from_secs(2)).await
}

#[tokio::test]
async fn a_build_that_lives_or_has_ended_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, build) = (journal(dir.path()), id());
    let types = crate::defaults();
    assert_eq!(recover_in(dir.path(), &types).await, [], "there is no directory yet");
    journal.build_started(build, &with_service(dir.path())).unwrap();
    journal.service_starting(&record(build, dir.path(), "0", "a")).unwrap();
    assert_eq!(recover_in(dir.path(), &types).await, []);
    journal.service_stopped(build, &StepId::new("0")).unwrap();
    journal.build_finished(build).unwrap();
    assert_eq!(recover_in(dir.path(), &types).await, []);
    assert_eq!(fs::read_dir(dir.path().join("journal")).unwrap().count(), 0);
    assert_eq!(stopped(dir.path()), "");
    assert!(journal.service_stopped(build, &StepId::new("0")).is_err());
}

#[tokio::test]
async fn services_still_named_are_stopped_last_one_first_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let build = id();
    let workspace = DirWorkspace::create(&dir.path().join("workspaces"), build, None)
        .unwrap()
        .path()
        .to_owned();
    let journal = journal(dir.path());
    journal.build_started(build, &with_service(dir.path())).unwrap();
    for (step, mark) in [("0", "a"), ("1", "b"), ("2", "c")] {
        journal.service_starting(&record(build, dir.path(), step, mark)).unwrap();
    }
    journal.service_stopped(build, &StepId::new("1")).unwrap();
    // Its lock goes with the file, as at a process's death.
    drop(journal);
    let types = crate::defaults();
    // Two at once: one of them does it.
    let (one, two) = tokio::join!(recover_in(dir.path(), &types), recover_in(dir.path(), &types));
    let recovered: Vec<_> = one.into_iter().chain(two).collect();
    assert_eq!(recovered.len(), 1, "{recovered:?}");
    assert_eq!(recovered[0].build, build);
    assert_eq!(recovered[0].problems, [""; 0]);
    let steps: Vec<_> = recovered[0].services.iter().map(|it| it.step.as_str()).collect();
    assert_eq!(steps, ["2", "0"]);
    assert!(recovered[0].services.iter().all(|it| it.error.is_none()), "{recovered:?}");
    assert_eq!(stopped(dir.path()), "c\na\n");
    assert!(!workspace.exists());
    assert_eq!(recover_in(dir.path(), &types).await, []);
    assert_eq!(stopped(dir.path()), "c\na\n");
}

#[tokio::test]
async fn half_a_line_and_rubbish_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let build = id();
    let it = journal(dir.path());
    it.build_started(build, &with_service(dir.path())).unwrap();
    it.service_starting(&record(build, dir.path(), "0", "a")).unwrap();
    drop(it);
    let path = dir.path().join("journal").join(format!("{build}.jsonl"));
    let text = fs::read_to_string(&path).unwrap();
    let second =
        serde_json::to_string(&Line::Starting(Box::new(record(build, dir.path(), "1", "b"))))
            .unwrap();
    for cut in [1, second.len() / 2, second.len()] {
        let dead = recover::read(&format!("{text}{}", &second[..cut])).unwrap();
        assert_eq!(dead.services.len(), 1, "{cut}");
    }
    for rubbish in ["", "{", "null\n", "{\"build\":{\"version\":99,\"build\":\"x\"}}\n"] {
        assert!(recover::read(rubbish).is_none(), "{rubbish}");
    }
    fs::write(dir.path().join("journal/x.jsonl"), "rubbish").unwrap();
    assert_eq!(recover_in(dir.path(), &crate::defaults()).await.len(), 1);
}

#[tokio::test]
async fn a_stop_that_fails_is_told_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let build = id();
    let it = journal(dir.path());
    it.build_started(build, &with_service(dir.path())).unwrap();
    it.service_starting(&record(build, dir.path(), "0", "a")).unwrap();
    let unknown =
        ServiceRecord { service_type: "gone".into(), ..record(build, dir.path(), "1", "b") };
    it.service_starting(&unknown).unwrap();
    drop(it);
    let recovered = recover_in(dir.path(), &crate::defaults()).await;
    let errors: Vec<_> = recovered[0].services.iter().map(|it| it.error.as_deref()).collect();
    assert_eq!(errors, [Some("there is no service type `gone`"), None]);
    assert_eq!(stopped(dir.path()), "a\n");
}

#[tokio::test]
async fn a_stop_with_a_secret_in_its_command_gets_it_anew() {
    let dir = tempfile::tempdir().unwrap();
    let stopped = dir.path().join("stopped");
    // `HOME` is set wherever tests run; its value stands for a token.
    let with = |key: &str| {
        pipeline(&format!(
            r#"
            variable "token" {{ secret "env" {{ key = "{key}" }} }}
            service_type "fake" {{
              params = ["mark"]
              start "shell" {{ cmd = "true" }}
              stop "shell" {{ cmd = "printf %s '${{var.token}}' > '{}'" }}
            }}
            job "test" {{ service "fake" {{ mark = "m" }} }}
            "#,
            stopped.display()
        ))
    };
    let home = std::env::var("HOME").unwrap();
    for (key, expected) in [("HOME", None), ("PIKOCI_NO_SUCH_SECRET", Some("variable `token`"))] {
        let build = id();
        let it = journal(dir.path());
        it.build_started(build, &with(key)).unwrap();
        it.service_starting(&record(build, dir.path(), "0", "a")).unwrap();
        let path = dir.path().join("journal").join(format!("{build}.jsonl"));
        assert!(!fs::read_to_string(path).unwrap().contains(&format!("'{home}'")));
        drop(it);
        let recovered = recover_in(dir.path(), &crate::defaults()).await;
        let error = recovered[0].services[0].error.as_deref();
        match expected {
            None => assert_eq!(error, None),
            Some(expected) => assert!(error.unwrap().contains(expected), "{error:?}"),
        }
        assert_eq!(fs::read_to_string(&stopped).unwrap(), home);
    }
}

#[tokio::test]
async fn a_journal_that_was_never_whole_is_swept_unless_its_build_lives() {
    let dir = tempfile::tempdir().unwrap();
    let journals = dir.path().join("journal");
    fs::create_dir(&journals).unwrap();
    let file = |build: BuildId| journals.join(format!("{build}.new"));
    let first = |build: BuildId, directory: &Path| {
        let directory = Some(directory.to_path_buf());
        let mut line =
            serde_json::to_vec(&Line::Build { version: FORMAT, build, directory }).unwrap();
        line.push(b'\n');
        line
    };
    let (alive, empty, half, whole) = (id(), id(), id(), id());
    let workspace = dir.path().join("left");
    fs::create_dir(&workspace).unwrap();
    let lock = File::create_new(file(alive)).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    fs::write(file(empty), "").unwrap();
    fs::write(file(half), &first(half, &workspace)[..20]).unwrap();
    fs::write(file(whole), first(whole, &workspace)).unwrap();
    let recovered = recover_in(dir.path(), &crate::defaults()).await;
    let builds: Vec<_> = recovered.iter().map(|it| it.build).collect();
    assert_eq!(builds, [whole]);
    assert!(!workspace.exists());
    let left: Vec<_> = fs::read_dir(&journals).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(left, [file(alive)]);
}

#[test]
fn builds_begin_while_others_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let journals = dir.path().join("journal");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let swept = super::recover::sweep_once(&journals);
                assert_eq!(swept, 0, "a living build was taken for dead");
            }
        });
        for _ in 0..500 {
            let build = id();
            journal.build_started(build, &Pipeline::default()).unwrap();
            journal.build_finished(build).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Not a test of its own: the process that [`what_a_killed_process_left_is_undone`] kills.
#[tokio::test]
async fn a_child_that_dies() {
    let Some(base) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let build = id();
    let workspace = DirWorkspace::create(&base.join("workspaces"), build, None).unwrap();
    let journal = journal(&base);
    journal.build_started(build, &with_service(&base)).unwrap();
    journal.service_starting(&record(build, &base, "0", "a")).unwrap();
    let mut bench = crate::test_support::Bench::new("fake:start");
    bench.context.env.0.insert("BUILD_ID".into(), build.to_string());
    bench.context.build = std::sync::Arc::new(pikoci_core::context::BuildContext {
        id: build,
        name: build_name(),
        url: None,
    });
    bench.context.workdir = pikoci_core::Workspace::root(&workspace).to_path_buf();
    bench.context.detached = true;
    let script = format!(
        "sleep 600 & echo $! > '{0}/pid.new'; mv '{0}/pid.new' '{0}/pid'; wait",
        base.display()
    );
    let runner = crate::defaults().runners["shell"].clone();
    let params = crate::test_support::params(&[("cmd", &script)]);
    let _ = runner.run(&mut bench.step(), &params).await;
}

#[tokio::test]
async fn what_a_killed_process_left_is_undone() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::tests::a_child_that_dies", "--nocapture"])
        .env(CHILD, &base)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let alive = |pid: &str| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.contains("600"))
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let pid = loop {
        match fs::read_to_string(base.join("pid")) {
            // Its number is known before it has become the program it is to be.
            Ok(pid) if alive(pid.trim()) => break pid.trim().to_owned(),
            _ if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(5)).await,
            _ => panic!("the child did not start its service"),
        }
    };
    let types = crate::defaults();
    assert_eq!(recover_in(&base, &types).await, [], "it lives");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(alive(&pid), "the service should outlive the one who started it");
    let recovered = recover_in(&base, &types).await;
    assert_eq!(recovered.len(), 1);
    assert_eq!((recovered[0].survivors, recovered[0].problems.len()), (0, 0), "{recovered:?}");
    assert_eq!(stopped(&base), "a\n");
    assert!(!alive(&pid), "a process of the build is left");
    assert_eq!(fs::read_dir(base.join("workspaces")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(base.join("journal")).unwrap().count(), 0);
}
