//! Commands that do all they can to outlive their step, run by a program that
//! is a subreaper: nothing of them may be left, not even a zombie.
//!
//! These tests start no process but by `process::run`, and one after the other:
//! to a subreaper, any other child would be an orphan of a command.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use pikoci_core::Exit;
use pikoci_core::name::BuildId;
use pikoci_exec::process::{self, OtherChildren, ProcessSpec};
use support::*;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    let guard = ALONE.lock().await;
    process::become_subreaper(OtherChildren::Never).unwrap();
    guard
}

/// All children of this program, zombies too.
fn children() -> Vec<String> {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|pids| {
            pids.split_ascii_whitespace()
                .map(|pid| {
                    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
                    stat.unwrap_or_else(|_| pid.to_owned())
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn assert_nothing_left(name: &str, sleep: &str) {
    assert_eq!(with_argument(sleep), [0; 0], "{name}: still there");
    assert_eq!(children(), [""; 0], "{name}: children left");
}

/// Scripts that put processes where they are hard to find; `U` is a number to sleep for.
const ESCAPES: [(&str, &str); 12] = [
    ("a background child", "sleep U &"),
    ("a background child that ignores SIGTERM", "(trap '' TERM; sleep U) &"),
    ("a double fork", "sh -c 'sleep U &'"),
    ("a session of its own", "setsid sleep U &"),
    ("a double fork into a session", "setsid sh -c 'sleep U & exit 0'"),
    ("a wiped environment in the same group", "env -i /bin/sh -c 'sleep U &'"),
    (
        "everything at once",
        "setsid env -i /bin/sh -c '(trap \"\" TERM; exec setsid sh -c \"sleep U & exit\") & exit 0'",
    ),
    (
        "everything at once, and no pipe held",
        "setsid env -i /bin/sh -c 'setsid sleep U >/dev/null 2>&1 & exit 0'",
    ),
    (
        "a parent that starts another on SIGTERM",
        "setsid sh -c 'trap \"setsid sleep U & exit\" TERM; sleep U & wait' &",
    ),
    (
        "many generations",
        "sh -c 'sh -c \"sh -c \\\"setsid sleep U & sleep U & :\\\" & sleep U & :\" & sleep U &'",
    ),
    ("a stopped child", "sh -c 'kill -STOP $$; sleep U' x U &"),
    (
        "a flood",
        "sh -c 'while :; do echo flood; done' x U & sh -c 'while :; do echo f >&2; done' x U &",
    ),
];

#[tokio::test]
async fn what_escapes_a_command_ends_with_it() {
    let _alone = alone().await;
    if !has_setsid() {
        return;
    }
    for (name, script) in ESCAPES {
        let sleep = unique_sleep();
        let script = script.replace('U', &sleep);
        let (exit, _) = run(sh(&format!("{script}\nexit 3"))).await;
        assert_eq!(exit, Exit::Code(3), "{name}");
        assert_nothing_left(name, &sleep);
    }
}

#[tokio::test]
async fn what_escapes_a_command_is_cancelled_with_it() {
    let _alone = alone().await;
    if !has_setsid() {
        return;
    }
    for (name, script) in ESCAPES {
        for tail in ["sleep U", "trap '' TERM; sleep U; sleep U"] {
            let sleep = unique_sleep();
            let script = format!("{script}\necho ready\n{tail}").replace('U', &sleep);
            assert_eq!(run_and_cancel(sh(&script)).await, Exit::Cancelled, "{name}");
            assert_nothing_left(name, &sleep);
        }
    }
}

#[tokio::test]
async fn a_command_that_misbehaves_by_itself_is_cancelled() {
    let _alone = alone().await;
    for (name, script) in [
        ("ignores SIGTERM", "trap '' TERM; echo ready; while :; do sleep U; done"),
        ("closes its streams", "echo ready; exec >&- 2>&-; sleep U"),
        (
            "floods both streams",
            "while :; do echo ready; done & while :; do echo e >&2; done & wait",
        ),
        ("stops itself", "echo ready; kill -STOP $$; sleep U"),
        ("prints what is no text", r"printf '\377\376\000ready\n'; sleep U"),
        (
            "starts more the harder it is asked",
            "trap 'for i in 1 2 3 4 5; do sleep U & done' TERM; echo ready; while :; do sleep U; done",
        ),
        (
            "forks without end",
            "f() { sleep 0.01; f & }; echo ready; f; f; f; while :; do sleep U; done",
        ),
    ] {
        let sleep = unique_sleep();
        let exit = run_and_cancel(sh(&script.replace('U', &sleep))).await;
        assert_eq!(exit, Exit::Cancelled, "{name}");
        assert_nothing_left(name, &sleep);
    }
}

#[tokio::test]
async fn all_that_was_printed_arrives_before_the_end() {
    let _alone = alone().await;
    let script = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890; \
                  echo 0123456789012345678901234567890 >&2; i=$((i+1)); done; (sleep 0.05; echo late)& ";
    let (exit, watch) = run(sh(script)).await;
    assert_eq!(exit, Exit::Code(0));
    assert!(watch.total >= 3000 * 2 * 32, "{}", watch.total);
}

#[tokio::test]
async fn commands_side_by_side_do_not_end_each_other() {
    let _alone = alone().await;
    if !has_setsid() {
        return;
    }
    let sleep = unique_sleep();
    let cancel = CancellationToken::new();
    let mut long = Watch::new(None);
    let long = process::run(
        sh(&format!("setsid sh -c 'sleep {sleep} & wait' & wait")),
        &mut long,
        &cancel,
    );
    let short = async {
        eventually("the long one runs", || with_argument(&sleep).len() == 1).await;
        let (exit, _) = run(sh("sh -c 'sleep 0.01 &'; setsid sleep 0.01 & true")).await;
        assert_eq!(exit, Exit::Code(0));
        assert_eq!(with_argument(&sleep).len(), 1, "the other one's was ended");
        cancel.cancel();
    };
    let (exit, ()) = tokio::join!(long, short);
    assert_eq!(exit.unwrap(), Exit::Cancelled);
    assert_nothing_left("both", &sleep);
}

#[tokio::test]
async fn what_a_service_leaves_lives_until_the_build_ends() {
    let _alone = alone().await;
    if !has_setsid() {
        return;
    }
    let build = BuildId(uuid::Uuid::now_v7());
    let dir = tempfile::tempdir().unwrap();
    for start in [
        "sh -c 'while :; do echo tick || exit; echo x >> ticks; sleep 0.001; done' x U &",
        "setsid env -i PATH=$PATH sh -c 'while :; do echo tick || exit; echo x >> ticks; sleep 0.001; done' x U &",
    ] {
        let sleep = unique_sleep();
        let ticks = dir.path().join("ticks");
        let _ = std::fs::remove_file(&ticks);
        let mut spec = sh(&start.replace('U', &sleep));
        spec.dir = dir.path().into();
        spec.detached = true;
        spec.build = Some(build);
        assert_eq!(run(spec).await.0, Exit::Code(0));
        // Another step does not touch it, and it can go on printing.
        let (exit, _) = run(sh("sleep 0.01 & true")).await;
        assert_eq!(exit, Exit::Code(0));
        let written = || std::fs::metadata(&ticks).map_or(0, |ticks| ticks.len());
        let before = written();
        eventually("it goes on printing", || written() > before + 100).await;
        assert_ne!(with_argument(&sleep), [0; 0]);
        assert_eq!(process::end_build(build, Duration::from_millis(150)).await, 0);
        assert_nothing_left(start, &sleep);
    }
}

#[tokio::test]
async fn a_cancelled_start_of_a_service_leaves_nothing() {
    let _alone = alone().await;
    let sleep = unique_sleep();
    let mut spec = sh(&format!("sleep {sleep} & echo ready; sleep {sleep}"));
    spec.detached = true;
    spec.build = Some(BuildId(uuid::Uuid::now_v7()));
    assert_eq!(run_and_cancel(spec).await, Exit::Cancelled);
    assert_nothing_left("start", &sleep);
}

#[tokio::test]
async fn an_abort_ends_everything_at_once() {
    let _alone = alone().await;
    let sleep = unique_sleep();
    let mut spec = sh(&format!("trap '' TERM; sleep {sleep} & sleep {sleep}"));
    spec.grace = Duration::from_secs(3600);
    let cancel = CancellationToken::new();
    let mut watch = Watch::new(None);
    let command = process::run(spec, &mut watch, &cancel);
    let abort = async {
        eventually("it runs", || with_argument(&sleep).len() == 2).await;
        cancel.cancel();
        process::abort_all();
    };
    let (exit, ()) = tokio::time::timeout(DEADLINE, async { tokio::join!(command, abort) })
        .await
        .expect("no one waits for the grace");
    assert!(matches!(exit, Ok(Exit::Cancelled | Exit::Signal(9))), "{exit:?}");
    assert_nothing_left("abort", &sleep);
}

#[tokio::test]
async fn a_dropped_command_is_killed() {
    let _alone = alone().await;
    let sleep = unique_sleep();
    let cancel = CancellationToken::new();
    let mut watch = Watch::new(None);
    let spec = sh(&format!("sleep {sleep} & sleep {sleep}"));
    tokio::select! {
        _ = process::run(spec, &mut watch, &cancel) => panic!("it ended"),
        () = eventually("it runs", || with_argument(&sleep).len() == 2) => {}
    }
    eventually("it is gone", || with_argument(&sleep).is_empty()).await;
    // An orphan that ended after the last look is reaped at the end of the next command.
    run(sh("sleep 0.001 &")).await;
    assert_nothing_left("drop", &sleep);
}

#[tokio::test]
async fn five_hundred_commands_leave_no_file_open() {
    let _alone = alone().await;
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    run(sh("echo warm")).await;
    let before = open();
    for _ in 0..500 {
        let (exit, _) = run(ProcessSpec::new("/bin/true", "/")).await;
        assert_eq!(exit, Exit::Code(0));
    }
    assert_eq!(open(), before);
    assert_nothing_left("true", "no such argument");
}

#[tokio::test]
async fn five_hundred_parallel_commands_leave_nothing() {
    let _alone = alone().await;
    let one = |number: usize| async move {
        let (exit, watch) = run(sh(&format!("sleep 0.001 & echo {number}"))).await;
        assert_eq!(exit, Exit::Code(0));
        assert_eq!(watch.printed, format!("{number}\n").as_bytes());
    };
    for _ in 0..5 {
        futures_util::future::join_all((0..100).map(one)).await;
    }
    assert_nothing_left("parallel", "no such argument");
}
