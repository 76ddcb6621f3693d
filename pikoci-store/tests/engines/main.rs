//! Two engines on one store, each a process of its own with a worker in it.
//! Either is killed and started again while builds run: none is lost, and none
//! is started twice under one epoch.
#![cfg(any(feature = "postgres", feature = "etcd"))]
#![allow(clippy::print_stdout, reason = "says what it saw, with `--nocapture`")]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "etcd")]
#[path = "../etcd/server.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod etcd;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use pikoci_core::engine::{EngineOptions, Inputs, PipelineText};
use pikoci_core::event::EventKind;
use pikoci_core::name::BuildId;
use pikoci_core::pubsub::SlowLook;
use pikoci_core::testkit::random::Random;
use pikoci_core::testkit::worker::{Behaviour, Ended, TestWorker, registration};
use pikoci_core::testkit::{Calls, ScriptedRunner};
use pikoci_core::{Engine, Status, Types};
use pikoci_store::{open_pubsub, open_store};

/// How many builds are made.
const BUILDS: usize = 1000;
/// How many builds a client makes at once.
const AT_ONCE: usize = 16;
/// How long everything may take.
const DEADLINE: Duration = Duration::from_secs(600);

/// One pair of engines at a time: what they are killed in should be their own load.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const PIPELINE: &str = r#"
    job "free" { retry_on_worker_loss = true task "t" { run "run" {} } }
    job "limited" { concurrency = 3 retry_on_worker_loss = true task "t" { run "run" {} } }
"#;

async fn engine(url: &str, bells: Option<&str>, at_rest: bool) -> Engine {
    let options = EngineOptions {
        session_ttl: Duration::from_secs(2),
        slow_look: SlowLook { every: Duration::from_millis(500), jitter_percent: 50 },
        at_rest,
        ..EngineOptions::default()
    };
    let types = Types::new().runner("run", ScriptedRunner::new(&Calls::new()));
    let mut builder = Engine::builder()
        .store(open_store(url).await.expect("a store"))
        .options(options)
        .register(types);
    if let Some(bells) = bells {
        builder = builder.pubsub(open_pubsub(bells).await.expect("a pub/sub"));
    }
    builder.build().await.expect("an engine")
}

/// Notes a line that is there once the call returns, whatever happens then.
fn note(file: &Mutex<File>, line: &str) {
    let mut file = file.lock().expect("whole");
    file.write_all(line.as_bytes()).expect("it is written");
}

/// The engine and worker of a process that will be killed.
#[test]
fn engine_process() {
    let Ok(url) = std::env::var("PIKOCI_ENGINE_STORE") else { return };
    let bells = std::env::var("PIKOCI_ENGINE_BELLS").ok();
    let path = std::env::var("PIKOCI_ENGINE_NOTES").expect("where to note claims");
    let file = OpenOptions::new().append(true).create(true).open(path).expect("a file");
    let file = Mutex::new(file);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async move {
        let engine = engine(&url, bells.as_deref(), false).await;
        let behaviour = Behaviour::default().builds(move |claim| {
            note(&file, &format!("{} {}\n", claim.context.id, claim.epoch));
            Ended::well().after(Duration::from_millis(3))
        });
        let _worker = TestWorker::start(engine.dispatcher(), registration("w", 6), behaviour);
        std::future::pending::<()>().await;
    });
}

struct Process {
    child: Child,
}

impl Process {
    fn start(url: &str, bells: Option<&str>, notes: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args(["--exact", "engine_process", "--nocapture", "--test-threads=1"])
            .env("PIKOCI_ENGINE_STORE", url)
            .env("PIKOCI_ENGINE_NOTES", notes)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(bells) = bells {
            command.env("PIKOCI_ENGINE_BELLS", bells);
        }
        Self { child: command.spawn().expect("a process") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn two_engines_lose_nothing(url: &str, bells: Option<&str>) {
    let _alone = ALONE.lock().await;
    let dir = tempfile::tempdir().expect("a directory");
    let notes = dir.path().join("notes");
    let client = engine(url, bells, true).await;
    client.create_team("main").await.expect("a team");
    let text = PipelineText::new(PIPELINE);
    client.set_pipeline("main", "app", &text, "test").await.expect("a pipeline");
    let mut processes = [Process::start(url, bells, &notes), Process::start(url, bells, &notes)];

    let trigger = |at: usize| {
        let client = client.clone();
        async move {
            let job = if at.is_multiple_of(4) { "limited" } else { "free" };
            let build = client.trigger(("main", "app", job), &Inputs::latest(), "test").await;
            build.expect("accepted").id
        }
    };
    let accepted = futures_util::stream::iter(0..BUILDS).map(trigger).buffer_unordered(AT_ONCE);
    let accepted = async { accepted.collect::<Vec<BuildId>>().await };
    let kills = Arc::new(Mutex::new(0));
    let ended = async {
        let accepted = accepted.await;
        for build in &accepted {
            client.wait(*build).await.expect("it ends");
        }
        accepted
    };
    let (counted, mut random) = (Arc::clone(&kills), Random::new(7));
    let killing = async {
        loop {
            let pause = Duration::from_millis(400 + random.number() % 1200);
            tokio::time::sleep(pause).await;
            let which = random.below(2);
            processes[which] = Process::start(url, bells, &notes);
            *counted.lock().expect("whole") += 1;
        }
    };
    let accepted = tokio::select! {
        ended = tokio::time::timeout(DEADLINE, ended) => ended.expect("everything ends in time"),
        () = killing => unreachable!("it goes on for ever"),
    };

    for build in &accepted {
        let record = client.build(*build).await.expect("it is there");
        assert_eq!(record.status(), Some(Status::Succeeded), "{record:?}");
        let (mut ends, mut epochs) = (0, Vec::new());
        for (at, event) in client.events(*build, 0).await.expect("events").iter().enumerate() {
            assert_eq!(event.number, at as u64);
            match event.kind {
                EventKind::BuildFinished { .. } => ends += 1,
                EventKind::BuildStarted { epoch, .. } => epochs.push(epoch),
                _ => {}
            }
        }
        assert_eq!(ends, 1);
        assert_eq!(epochs, (1..=record.epoch).collect::<Vec<_>>());
    }
    let notes = std::fs::read_to_string(&notes).expect("notes");
    let given: Vec<&str> = notes.lines().collect();
    let once: BTreeSet<&str> = given.iter().copied().collect();
    assert_eq!(once.len(), given.len(), "a build was given twice under one epoch");
    assert!(given.len() >= BUILDS);
    let kills = *kills.lock().expect("whole");
    println!("{BUILDS} builds, {kills} kills, {} starts", given.len());
    assert!(kills >= 2, "too few kills to show anything");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_on_postgresql_lose_nothing() {
    let Some(server) = common::needs("two engines on PostgreSQL", "PIKOCI_TEST_POSTGRES") else {
        return;
    };
    let schema = common::sql::unique_name();
    two_engines_lose_nothing(&format!("{server}?schema={schema}"), Some(&server)).await;
}

#[cfg(feature = "etcd")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_on_etcd_lose_nothing() {
    if !etcd::available("two engines on etcd") {
        return;
    }
    let member = etcd::Member::single("http", &[]);
    let url = member.fresh_url();
    etcd::open(&url).await;
    two_engines_lose_nothing(&url, None).await;
}
