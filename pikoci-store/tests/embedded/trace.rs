//! A trace of system calls shows that what is acknowledged was synced.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;

use super::{LIMIT, Place, child};

/// Runs a child under `strace`; skipped, loudly, where there is none.
pub(crate) async fn what_is_acknowledged_was_synced(scheme: &'static str) {
    let there = std::process::Command::new("strace").arg("-V").output();
    if !there.is_ok_and(|output| output.status.success()) {
        // The print macros are captured. Nobody has to hear it.
        let _ = writeln!(std::io::stderr(), "skipped: the trace of {scheme} needs strace");
        return;
    }
    let place = Place::new(scheme);
    let trace = place.directory.path().join("trace");
    let output = trace.to_string_lossy();
    let calls = "trace=write,pwrite64,fsync,fdatasync";
    let wrapper = ["strace", "-f", "-y", "-s", "64", "-e", calls, "-o", &output];
    let mut traced = child::start("commit", &place.url(), &wrapper);
    // What it says has to be read for it to end.
    for number in 0..child::COMMITS {
        assert_eq!(traced.says("acknowledged").await, number.to_string());
    }
    let ended = tokio::time::timeout(LIMIT, traced.child.wait()).await;
    assert!(ended.expect("an end").expect("a child").success());

    let text = std::fs::read_to_string(&trace).expect("a trace");
    let mut seen = Seen::default();
    for line in text.lines() {
        seen.line(line, &place.path().to_string_lossy());
    }
    assert_eq!(seen.acknowledged, child::COMMITS);
}

/// What a trace told so far.
#[derive(Default)]
struct Seen {
    /// Files that were written to since they were synced.
    unsynced: BTreeSet<String>,
    /// What each thread is about to sync.
    syncing: HashMap<String, String>,
    /// How often something was synced since the last commit began.
    syncs: usize,
    acknowledged: usize,
}

impl Seen {
    fn line(&mut self, line: &str, store: &str) {
        let (thread, call) = line.split_once(' ').expect("a thread and its call");
        let call = call.trim_start();
        if call.contains("child: begins") {
            self.syncs = 0;
        } else if call.contains("child: acknowledged") {
            assert!(self.syncs > 0, "commit {} was acknowledged, not synced", self.acknowledged);
            assert!(self.unsynced.is_empty(), "not synced: {:?}", self.unsynced);
            self.acknowledged += 1;
        } else if call.contains("sync resumed>") {
            self.synced(thread, call);
        } else if let Some(file) = file(call).filter(|file| file.starts_with(store)) {
            // The lock and SQLite's index of its log are worth nothing after a crash.
            if file.ends_with("lock") || file.ends_with("-shm") {
                return;
            }
            if call.starts_with("fsync") || call.starts_with("fdatasync") {
                // What is written from here on may be too late for it.
                self.unsynced.remove(file);
                self.syncing.insert(thread.to_owned(), file.to_owned());
                if !call.contains("<unfinished") {
                    self.synced(thread, call);
                }
            } else {
                self.unsynced.insert(file.to_owned());
            }
        }
    }

    fn synced(&mut self, thread: &str, call: &str) {
        if self.syncing.remove(thread).is_some() {
            assert!(call.contains("= 0"), "{call}");
            self.syncs += 1;
        }
    }
}

/// The file that a call is about: `write(3</tmp/it>, …`.
fn file(call: &str) -> Option<&str> {
    let (_, rest) = call.split_once('<')?;
    rest.split_once('>').map(|(file, _)| file)
}
