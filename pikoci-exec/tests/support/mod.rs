//! What the process tests share: commands in shell, and a look at what is left of them.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::event::OutputStream;
use pikoci_core::{Exit, StepIo};
use pikoci_exec::process::{self, ProcessSpec};
use tokio_util::sync::CancellationToken;

/// Longer than anything takes that works; only a failure waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A number for `sleep` that no other process on the machine sleeps for, so
/// that what is left of a script is found by its arguments alone.
pub(crate) fn unique_sleep() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("1000.{}{next:04}", std::process::id())
}

/// The pids of processes with `text` in their arguments.
pub(crate) fn with_argument(text: &str) -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            arguments.split(|&byte| byte == 0).any(|argument| argument == text.as_bytes())
        })
        .collect()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// `sh -c script` with this program's `PATH` and a short grace.
pub(crate) fn sh(script: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new("sh", "/").args(["-c", script]);
    spec.env.insert("PATH".into(), std::env::var_os("PATH").unwrap());
    spec.grace = Duration::from_millis(150);
    spec
}

/// Keeps the beginning of what is printed, and fires a token when `ready` is.
pub(crate) struct Watch {
    pub(crate) printed: Vec<u8>,
    pub(crate) total: usize,
    recent: Vec<u8>,
    pub(crate) cancel: Option<CancellationToken>,
}

impl Watch {
    pub(crate) fn new(cancel: Option<CancellationToken>) -> Self {
        Self { printed: Vec::new(), total: 0, recent: Vec::new(), cancel }
    }
}

#[async_trait]
impl StepIo for Watch {
    async fn output(&mut self, stream: OutputStream, chunk: Bytes) {
        assert_ne!(stream, OutputStream::Engine, "{chunk:?}");
        self.total += chunk.len();
        if self.printed.len() < 4096 {
            self.printed.extend_from_slice(&chunk);
        }
        self.recent.extend_from_slice(&chunk);
        let ready = self.recent.windows(5).any(|bytes| bytes == b"ready");
        self.recent.drain(..self.recent.len().saturating_sub(4));
        if let (Some(cancel), true) = (&self.cancel, ready) {
            cancel.cancel();
        }
    }
}

/// Runs `spec` to its own end.
pub(crate) async fn run(spec: ProcessSpec) -> (Exit, Watch) {
    let mut watch = Watch::new(None);
    let cancel = CancellationToken::new();
    let exit = process::run(spec, &mut watch, &cancel);
    let exit = tokio::time::timeout(DEADLINE, exit).await.expect("it ends");
    (exit.expect("it starts"), watch)
}

/// Runs `spec` and cancels it once it printed `ready`.
pub(crate) async fn run_and_cancel(spec: ProcessSpec) -> Exit {
    let cancel = CancellationToken::new();
    let mut watch = Watch::new(Some(cancel.clone()));
    let exit = process::run(spec, &mut watch, &cancel);
    let exit = tokio::time::timeout(DEADLINE, exit).await.expect("it ends");
    exit.expect("it starts")
}

/// Whether `setsid` is installed; says so where it is not.
pub(crate) fn has_setsid() -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let found = process::find_program("setsid".as_ref(), "/".as_ref(), Some(&path)).is_ok();
    if !found {
        skip("no `setsid` on this machine");
    }
    found
}

/// Says loudly that a test does not run here.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
