//! Embedded stores against kills and losses of power.
//!
//! A writer process puts load on a store and tells of every commit that was
//! acknowledged. It is killed with SIGKILL at a random instant, what it had
//! not synced is lost in whole or in part (see `shim.c` and `journal.rs`), and
//! the store is opened again: every acknowledged commit must be there, and
//! nothing of the others in part.
//!
//! `PIKOCI_CRASHES` says how many kills per store, 24 if it is not set.
#![cfg(target_os = "linux")]
#![cfg(any(feature = "sled", feature = "sqlite"))]

mod journal;
mod workload;

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use journal::{Loss, lose, unsynced_at_acknowledgements};
use pikoci_store::open_store;
use tempfile::TempDir;
use workload::{Acknowledged, WRITERS};

/// Commits after which a syscall trace has said enough.
const TRACED_COMMITS: usize = 40;

/// The shim, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SHIM.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/shim.c");
        let done = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1", "-o"])
            .args([&path, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler");
        assert!(done.success(), "the shim does not compile");
        (dir, path)
    });
    path
}

/// Where one store lives through its crashes.
struct Scene {
    dir: TempDir,
    url: String,
    journal: PathBuf,
}

impl Scene {
    fn new(scheme: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = dir.path().join("store");
        std::fs::create_dir(&store).expect("a directory");
        let url = format!("{scheme}:{}", store.join("ci").display());
        Self { url, journal: dir.path().join("journal"), dir }
    }

    fn store_dir(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// The writer, over this store; it goes on from what `acknowledged` says.
    fn writer(&self, writers: usize, acknowledged: &Acknowledged) -> Child {
        // What an earlier round recorded speaks of a disk that is no more.
        let _ = std::fs::remove_file(&self.journal);
        Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "writer_process", "--nocapture", "--test-threads=1"])
            .env("PIKOCI_CRASH_WRITER", &self.url)
            .env("PIKOCI_CRASH_WRITERS", writers.to_string())
            .env("PIKOCI_CRASH_FROM", acknowledged.to_text())
            .env("PIKOCI_SHIM_DIR", self.store_dir())
            .env("PIKOCI_SHIM_JOURNAL", &self.journal)
            .env("PIKOCI_SHIM_ACK", "2")
            .env("LD_PRELOAD", shim())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a writer")
    }
}

/// Not a test: what the writer process does when a test has started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_process() {
    let Ok(url) = std::env::var("PIKOCI_CRASH_WRITER") else { return };
    let number = |name: &str| std::env::var(name).expect("a variable");
    let writers = number("PIKOCI_CRASH_WRITERS").parse().expect("a number");
    let from = Acknowledged::from_text(&number("PIKOCI_CRASH_FROM"));
    let store = open_store(&url).await.expect("a store");
    workload::write(store, writers, from).await;
}

/// The commits that `writer` tells of until it is killed, after `life`.
fn killed_after(mut writer: Child, life: Duration, acknowledged: &mut Acknowledged) -> usize {
    let lines = BufReader::new(writer.stderr.take().expect("a pipe")).lines();
    // The time runs from the first commit on: opening takes as long as it takes.
    let (started, first) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut told = Vec::new();
        for line in lines.map_while(Result::ok) {
            match workload::parse_acknowledgement(&line) {
                Some(commit) => told.push(commit),
                None => panic!("the writer says: {line}"),
            }
            let _ = started.send(());
        }
        told
    });
    let begun = first.recv_timeout(Duration::from_secs(60));
    std::thread::sleep(life);
    writer.kill().expect("a kill");
    writer.wait().expect("an end");
    let told = reader.join().expect("only acknowledgements");
    assert!(begun.is_ok(), "the writer never committed anything");
    for (writer, commit) in &told {
        acknowledged.tell(*writer, *commit);
    }
    told.len()
}

async fn survives_crashes(scheme: &str) {
    let crashes =
        std::env::var("PIKOCI_CRASHES").map_or(24, |text| text.parse().expect("a number"));
    let seed = std::env::var("PIKOCI_SEED")
        .map_or_else(|_| u64::from(std::process::id()), |text| text.parse().expect("a number"));
    let mut random = workload::Random::new(seed);
    let (mut commits, mut lost, mut unacknowledged) = (0, 0, 0);
    let mut scene = Scene::new(scheme);
    let mut acknowledged = Acknowledged::default();
    for crash in 0..crashes {
        // An old store with a history now and then, a young one most often.
        if crash % 8 == 0 {
            scene = Scene::new(scheme);
            acknowledged = Acknowledged::default();
        }
        let writer = scene.writer(WRITERS, &acknowledged);
        let life = Duration::from_micros(random.below(150_000) as u64);
        commits += killed_after(writer, life, &mut acknowledged);
        let loss = [Loss::None, Loss::All, Loss::Torn, Loss::Torn][random.below(4)];
        lost += lose(&scene.store_dir(), &scene.journal, loss, &mut |bound| random.below(bound));
        let context = format!("seed {seed}, crash {crash}, {loss:?}, {}", scene.url);
        let store = match open_store(&scene.url).await {
            Ok(store) => store,
            Err(error) => panic!("{context}: it does not open: {error:?}"),
        };
        unacknowledged += workload::verify(&*store, &mut acknowledged, &context).await;
        store.close().await.expect("a close");
    }
    assert!(commits > crashes, "{crashes} writers made {commits} commits only");
    // What was tried, for those who ask for many crashes; not to be captured.
    let told = writeln!(
        std::io::stderr(),
        "{scheme}: {crashes} crashes, {commits} acknowledged commits all there, {unacknowledged} \
         more in whole, {lost} unsynced bytes undone"
    );
    told.expect("someone who listens");
}

/// A commit is acknowledged only when everything it wrote is synced.
fn syncs_before_it_acknowledges(scheme: &str) {
    let scene = Scene::new(scheme);
    let mut writer = scene.writer(1, &Acknowledged::default());
    let lines = BufReader::new(writer.stderr.take().expect("a pipe")).lines();
    for line in lines.take(TRACED_COMMITS) {
        workload::parse_acknowledgement(&line.expect("a line")).expect("an acknowledgement");
    }
    writer.kill().expect("a kill");
    writer.wait().expect("an end");
    let unsynced = unsynced_at_acknowledgements(&scene.store_dir(), &scene.journal);
    assert!(unsynced.len() >= TRACED_COMMITS, "the trace has {} commits", unsynced.len());
    for (commit, mut files) in unsynced.into_iter().enumerate() {
        // Who holds a lock is not to be kept, and SQLite makes its index of
        // the log anew.
        files.retain(|file| {
            let name = file.to_string_lossy();
            !name.ends_with("lock") && !name.ends_with("-shm")
        });
        assert!(files.is_empty(), "not synced when commit {commit} was acknowledged: {files:?}");
    }
}

#[cfg(feature = "sled")]
#[tokio::test]
async fn sled_keeps_what_it_acknowledged() {
    survives_crashes("sled").await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_keeps_what_it_acknowledged() {
    survives_crashes("sqlite").await;
}

#[cfg(feature = "sled")]
#[test]
fn sled_syncs_before_it_acknowledges() {
    syncs_before_it_acknowledges("sled");
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_syncs_before_it_acknowledges() {
    syncs_before_it_acknowledges("sqlite");
}
