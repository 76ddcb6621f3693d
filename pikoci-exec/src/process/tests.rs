//! Tests of the process runner that need nothing but a shell.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::event::OutputStream;
use pikoci_core::{Exit, StepIo};
use tokio_util::sync::CancellationToken;

use super::*;

#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    engine: Vec<u8>,
}

#[async_trait]
impl StepIo for Kept {
    async fn output(&mut self, stream: OutputStream, chunk: Bytes) {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
            OutputStream::Engine => &mut self.engine,
        }
        .extend_from_slice(&chunk);
    }
}

fn sh(script: &str) -> ProcessSpec {
    let mut spec = ProcessSpec::new("sh", "/").args(["-c", script]);
    if let Some(path) = std::env::var_os("PATH") {
        spec.env.insert("PATH".into(), path);
    }
    spec.grace = Duration::from_millis(300);
    spec
}

async fn run_kept(spec: ProcessSpec) -> (Result<Exit, ProcessError>, Kept) {
    let mut kept = Kept::default();
    let exit = run(spec, &mut kept, &CancellationToken::new()).await;
    (exit, kept)
}

#[tokio::test]
async fn output_and_exit_arrive_as_they_were() {
    let (exit, kept) = run_kept(sh(r"printf 'out\377\n'; echo err >&2; exit 7")).await;
    assert_eq!(exit.unwrap(), Exit::Code(7));
    assert_eq!(kept.stdout, b"out\xff\n");
    assert_eq!(kept.stderr, b"err\n");
    assert!(kept.engine.is_empty());
}

#[tokio::test]
async fn a_signal_is_told_from_a_code() {
    let (exit, _) = run_kept(sh("kill -9 $$")).await;
    assert_eq!(exit.unwrap(), Exit::Signal(9));
}

#[tokio::test]
async fn nothing_of_this_programs_environment_passes_by_itself() {
    let mut spec = sh("env");
    spec.env = [("ONLY".into(), "this".into())].into();
    let (_, kept) = run_kept(spec).await;
    let text = String::from_utf8(kept.stdout).unwrap();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('=').next())
        .filter(|name| !matches!(*name, "PWD" | "SHLVL" | "_" | "OLDPWD"))
        .collect();
    assert_eq!(names, ["ONLY", "PIKOCI_STEP"], "{text}");
}

#[tokio::test]
async fn a_background_child_that_holds_the_pipe_is_ended_and_not_waited_for() {
    let begin = Instant::now();
    let (exit, kept) = run_kept(sh("sleep 1000 & echo done")).await;
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(kept.stdout, b"done\n");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_missing_program_is_told_with_the_path_that_was_searched() {
    let mut spec = ProcessSpec::new("no-such-program", "/");
    spec.env.insert("PATH".into(), "/nowhere:/usr/bin".into());
    let message = run_kept(spec).await.0.unwrap_err().to_string();
    assert!(
        message.starts_with("program `no-such-program` not found in PATH `/nowhere:/usr/bin`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_zero_byte_is_refused_by_name() {
    let message = |spec| async { run_kept(spec).await.0.unwrap_err().to_string() };
    assert!(message(sh("true\0")).await.starts_with("argument 2 holds"));
    let mut spec = sh("true");
    spec.env.insert("X".into(), OsString::from("a\0b"));
    assert!(message(spec).await.starts_with("variable `X` holds"));
}

#[tokio::test]
async fn a_cancelled_token_starts_nothing() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let mut kept = Kept::default();
    let exit = run(sh("echo ran"), &mut kept, &cancel).await.unwrap();
    assert_eq!(exit, Exit::Cancelled);
    assert!(kept.stdout.is_empty());
}
