//! What a command costs: 200 times `true` by `process::run` against a bare
//! spawn-and-wait loop. Prints both medians and their ratio.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::StepIo;
use pikoci_core::event::OutputStream;
use pikoci_exec::process::{self, OtherChildren, ProcessSpec};
use tokio_util::sync::CancellationToken;

const COMMANDS: u32 = 200;
const ROUNDS: usize = 9;

struct Nowhere;

#[async_trait]
impl StepIo for Nowhere {
    async fn output(&mut self, _stream: OutputStream, _chunk: Bytes) {}
}

fn bare() -> Duration {
    let begin = Instant::now();
    for _ in 0..COMMANDS {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
    begin.elapsed()
}

async fn ours() -> Duration {
    let cancel = CancellationToken::new();
    let begin = Instant::now();
    for _ in 0..COMMANDS {
        let spec = ProcessSpec::new("/bin/true", "/");
        let exit = process::run(spec, &mut Nowhere, &cancel).await;
        assert!(matches!(exit, Ok(pikoci_core::Exit::Code(0))));
    }
    begin.elapsed()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let subreaper = std::env::args().all(|arg| arg != "--no-subreaper");
    if subreaper {
        process::become_subreaper(OtherChildren::Never).expect("the kernel allows it");
    }
    let mut plain = Vec::new();
    let mut run = Vec::new();
    for _ in 0..ROUNDS {
        plain.push(bare());
        run.push(runtime.block_on(ours()));
    }
    let (plain, run) = (median(plain), median(run));
    println!(
        "{COMMANDS} commands, subreaper {subreaper}: bare {plain:.1?}, process::run {run:.1?}, ratio {:.2}",
        run.as_secs_f64() / plain.as_secs_f64()
    );
}
