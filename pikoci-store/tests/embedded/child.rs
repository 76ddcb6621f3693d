//! The test program started again as a process of its own.

use std::io::Write;
use std::process::Stdio;

use pikoci_core::store::{Outcome, StoreError, Txn};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{LIMIT, key, put, try_open, txn};

const ROLE: &str = "PIKOCI_TEST_CHILD";
const STORE: &str = "PIKOCI_TEST_CHILD_STORE";

/// A child and what it says.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// The rest of the next line that begins with `what`.
    pub(crate) async fn says(&mut self, what: &str) -> String {
        let start = format!("child: {what}");
        let line = async {
            while let Some(line) = self.lines.next_line().await.expect("a line") {
                if let Some((_, rest)) = line.split_once(&start) {
                    return rest.trim().to_owned();
                }
            }
            panic!("the child ended and did not say `{what}`");
        };
        tokio::time::timeout(LIMIT, line).await.expect("the child to say something")
    }

    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("to kill the child");
    }
}

/// Starts the test `child` of this program with a role, behind `wrapper`.
pub(crate) fn start(role: &str, url: &str, wrapper: &[&str]) -> Running {
    let program = std::env::current_exe().expect("this program");
    let mut words: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).collect();
    words.push(program.to_string_lossy().into_owned());
    words.extend(["child", "--exact", "--ignored", "--nocapture"].map(str::to_owned));
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .env(ROLE, role)
        .env(STORE, url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    Running { child, lines }
}

/// What the test `child` does: nothing unless it was started by [`start`].
pub(crate) fn run() {
    let (Ok(role), Ok(url)) = (std::env::var(ROLE), std::env::var(STORE)) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        match role.as_str() {
            "hold" => hold(&url).await,
            "fill" => fill(&url).await,
            "commit" => commit(&url).await,
            other => panic!("no role `{other}`"),
        }
    });
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "child: {what}").and_then(|()| out.flush()).expect("to say it");
}

/// Keeps the store open until it is killed.
async fn hold(url: &str) {
    let store = try_open(url).await.expect("a store");
    put(&*store, "held", "by a child").await;
    say("open");
    std::future::pending().await
}

/// How often [`commit`] does it.
pub(crate) const COMMITS: usize = 20;

/// Commits one after the other.
async fn commit(url: &str) {
    let store = try_open(url).await.expect("a store");
    for number in 0..COMMITS {
        say(&format!("begins {number}"));
        put(&*store, format!("key-{number}"), vec![b'x'; 3000 * number]).await;
        say(&format!("acknowledged {number}"));
    }
    store.close().await.expect("a close");
}

/// Writes until the file may not grow any more, and tells how it ends.
async fn fill(url: &str) {
    let store = try_open(url).await.expect("a store");
    let mut number = 0;
    let (failed, error) = loop {
        assert!(number < 10_000, "the file grows and grows");
        let txn = filling(number);
        match store.commit(&txn).await {
            Ok(Outcome::Committed(_)) => number += 1,
            Ok(Outcome::Conflict) => panic!("a conflict of a mere put"),
            Err(error) => break (txn, error),
        }
    };
    say(&format!("kept {number}"));
    say(&format!("id {}", failed.id));
    say(&format!("first {}", told(&error)));
    let again = store.commit(&failed).await.map(drop);
    say(&format!("again {}", again.map_or_else(|error| told(&error), |()| "done".to_owned())));
    let other = store.commit(&txn().put(key("other"), vec![1; 30_000])).await.map(drop);
    say(&format!("other {}", other.map_or_else(|error| told(&error), |()| "done".to_owned())));
    let found = store.get(&[key("fill-00000"), failed.writes[0].key().clone()]).await;
    let found = found.expect("a read after the failure");
    say(&format!("reads {} {}", found[0].is_some(), found[1].is_some()));
    // That the close may tell of the failure is fine.
    let _ = store.close().await;
    say("closed");
}

/// The commit that fills for the `number`th time.
pub(crate) fn filling(number: usize) -> Txn {
    txn().put(key(format!("fill-{number:05}")), vec![number as u8; 50_000])
}

fn told(error: &StoreError) -> String {
    format!("{:?}: {error}", error.kind)
}
