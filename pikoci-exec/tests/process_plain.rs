//! Commands of a program that is no subreaper: what carries a mark is found
//! wherever it went, also by another program after this one died.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use pikoci_core::Exit;
use pikoci_core::name::BuildId;
use pikoci_exec::process::{self, ProcessError, ProcessSpec};
use support::*;
use tokio_util::sync::CancellationToken;

const GRACE: Duration = Duration::from_millis(150);

#[tokio::test]
async fn marked_processes_end_with_their_command_or_its_cancel() {
    if !has_setsid() {
        return;
    }
    for escape in [
        "sleep U &",
        "setsid sleep U &",
        "sh -c 'setsid sleep U >/dev/null 2>&1 &'",
        "setsid sh -c '(trap \"\" TERM; exec setsid sh -c \"sleep U & exit\") & exit 0'",
        "env -i /bin/sh -c 'sleep U &'",
    ] {
        let sleep = unique_sleep();
        let escape = escape.replace('U', &sleep);
        let (exit, _) = run(sh(&format!("{escape}\nexit 0"))).await;
        assert_eq!(exit, Exit::Code(0));
        assert_eq!(with_argument(&sleep), [0; 0], "{escape}");
        let exit = run_and_cancel(sh(&format!("{escape}\necho ready; sleep {sleep}"))).await;
        assert_eq!(exit, Exit::Cancelled);
        assert_eq!(with_argument(&sleep), [0; 0], "{escape}, cancelled");
    }
}

#[tokio::test]
async fn what_hid_before_a_cancel_is_found_by_its_parent() {
    if !has_setsid() {
        return;
    }
    let sleep = unique_sleep();
    let script = format!("setsid env -i /bin/sh -c 'echo ready; sleep {sleep}' & wait");
    assert_eq!(run_and_cancel(sh(&script)).await, Exit::Cancelled);
    assert_eq!(with_argument(&sleep), [0; 0]);
}

#[tokio::test]
async fn a_child_of_the_embedding_program_is_left_alone() {
    process::become_subreaper(process::OtherChildren::Possible).unwrap();
    let sleep = unique_sleep();
    let mut own = Command::new("sleep").arg(&sleep).spawn().unwrap();
    let mut quick = Command::new("true").spawn().unwrap();
    let orphan = unique_sleep();
    let (exit, _) = run(sh(&format!("(trap '' TERM; setsid sleep {orphan}) & true"))).await;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(with_argument(&orphan), [0; 0]);
    assert_eq!(with_argument(&sleep).len(), 1);
    assert!(quick.wait().unwrap().success(), "its status was taken away");
    own.kill().unwrap();
    own.wait().unwrap();
}

/// Not a test of its own: what the next one starts and kills.
#[expect(clippy::print_stderr, reason = "the other one waits for the words")]
#[tokio::test]
async fn helper_that_dies_with_a_service_running() {
    let Ok(sleep) = std::env::var("PIKOCI_TEST_SLEEP") else {
        return;
    };
    let build = std::env::var("PIKOCI_TEST_BUILD").unwrap();
    let mut spec = sh(&format!("setsid sleep {sleep} & sleep {sleep} &"));
    spec.build = Some(BuildId(build.parse().unwrap()));
    spec.detached = true;
    assert_eq!(run(spec).await.0, Exit::Code(0));
    let mut running = sh(&format!("trap '' TERM; sleep {sleep}"));
    running.build = Some(BuildId(build.parse().unwrap()));
    let told = async {
        eventually("all run", || with_argument(&sleep).len() == 3).await;
        eprintln!("all-run");
    };
    let (_, ()) = tokio::join!(run(running), told);
}

#[tokio::test]
async fn the_processes_of_a_build_are_ended_after_its_program_was_killed() {
    if !has_setsid() {
        return;
    }
    let sleep = unique_sleep();
    let build = BuildId(uuid::Uuid::now_v7());
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_dies_with_a_service_running"])
        .arg("--nocapture")
        .env("PIKOCI_TEST_SLEEP", &sleep)
        .env("PIKOCI_TEST_BUILD", build.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let words = BufReader::new(worker.stderr.take().unwrap());
    let ready = words.lines().any(|line| line.unwrap().contains("all-run"));
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert!(ready, "the helper ended early");
    assert_eq!(with_argument(&sleep).len(), 3);
    let other = BuildId(uuid::Uuid::now_v7());
    assert_eq!(process::end_by_marker(other, GRACE).await, 0);
    assert_eq!(with_argument(&sleep).len(), 3, "another build's were ended");
    assert_eq!(process::end_by_marker(build, GRACE).await, 0);
    assert_eq!(with_argument(&sleep), [0; 0]);
    assert_eq!(process::end_by_marker(build, GRACE).await, 0);
}

async fn error(spec: ProcessSpec) -> ProcessError {
    process::run(spec, &mut Watch::new(None), &CancellationToken::new())
        .await
        .expect_err("it cannot start")
}

#[tokio::test]
async fn each_reason_not_to_start_is_told_apart() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let plain = file("plain", 0o644, "#!/bin/sh\n");
    let lost = file("lost", 0o755, "#!/no/such/interpreter -x\n");
    let text = file("text", 0o755, "no program\n");
    let in_dir = |program: &str| {
        let mut spec = ProcessSpec::new(program, dir.path());
        spec.env.insert("PATH".into(), dir.path().into());
        spec
    };
    for (program, expected) in [
        ("./absent", format!("program `{}` does not exist", dir.path().join("./absent").display())),
        ("absent", format!("program `absent` not found in PATH `{}`", dir.path().display())),
        ("", "program `` not found".into()),
        ("plain", format!("`{}` is not executable", plain.display())),
        ("./plain", "is not executable".into()),
        (
            "lost",
            format!(
                "`{}` cannot be run: its first line asks for `/no/such/interpreter`",
                lost.display()
            ),
        ),
        ("text", format!("`{}` is no program for this machine", text.display())),
        ("/", "`/` is not a file that can be run".into()),
    ] {
        let message = error(in_dir(program)).await.to_string();
        assert!(message.contains(&expected), "{program}: {message}");
    }
    for (name, expected) in [("absent", "does not exist"), ("plain", "is not a directory")] {
        let mut spec = ProcessSpec::new("/bin/true", dir.path().join(name));
        spec.env.insert("PATH".into(), "/bin".into());
        let message = error(spec).await.to_string();
        assert!(message.starts_with("working directory `"), "{message}");
        assert!(message.ends_with(expected), "{message}");
    }
}

#[tokio::test]
async fn arguments_up_to_the_systems_limit_arrive_and_longer_ones_are_told() {
    let long = "x".repeat(100_000);
    let spec = ProcessSpec::new("/bin/echo", "/").args([long.as_str()]);
    let (exit, watch) = run(spec).await;
    assert_eq!((exit, watch.total), (Exit::Code(0), 100_001));
    let spec = ProcessSpec::new("/bin/echo", "/").args(vec![long; 200]);
    let message = error(spec).await.to_string();
    assert!(message.contains("too long for the system (20000200 bytes)"), "{message}");
}

#[tokio::test]
async fn a_slow_taker_slows_the_writer_down() {
    struct Slow {
        largest: usize,
        total: usize,
    }
    #[async_trait::async_trait]
    impl pikoci_core::StepIo for Slow {
        async fn output(&mut self, _: pikoci_core::event::OutputStream, chunk: bytes::Bytes) {
            self.largest = self.largest.max(chunk.len());
            self.total += chunk.len();
            tokio::task::yield_now().await;
        }
    }
    let mut slow = Slow { largest: 0, total: 0 };
    let spec = sh("head -c 20000000 /dev/zero");
    let exit = process::run(spec, &mut slow, &CancellationToken::new()).await;
    assert_eq!(exit.unwrap(), Exit::Code(0));
    assert_eq!(slow.total, 20_000_000);
    assert!(slow.largest <= 64 * 1024, "{}", slow.largest);
}

/// Not a test of its own: what the next one runs in a terminal.
#[tokio::test]
async fn helper_that_runs_in_a_terminal() {
    let Ok(answer) = std::env::var("PIKOCI_TEST_ANSWER") else {
        return;
    };
    process::keep_off_the_terminal();
    let (exit, watch) = run(sh("read line < /dev/tty; echo \"read: $?\"")).await;
    let text = format!("{exit:?} {}", String::from_utf8_lossy(&watch.printed));
    std::fs::write(answer, text).unwrap();
}

#[tokio::test]
async fn a_question_at_the_terminal_fails_instead_of_hanging() {
    let path = std::env::var_os("PATH").unwrap();
    let Ok(script) = process::find_program("script".as_ref(), "/".as_ref(), Some(&path)) else {
        skip("no `script` on this machine");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let answer = dir.path().join("answer");
    let helper = format!(
        "{} --exact helper_that_runs_in_a_terminal",
        std::env::current_exe().unwrap().display()
    );
    let mut terminal = Command::new(script)
        .args(["-qec", &helper, "/dev/null"])
        .env("PIKOCI_TEST_ANSWER", &answer)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let hold = terminal.stdin.take();
    eventually("the question fails", || terminal.try_wait().unwrap().is_some()).await;
    drop(hold);
    let text = std::fs::read_to_string(&answer).unwrap();
    assert!(text.starts_with("Code(0) "), "{text}");
    assert!(text.contains("read: ") && !text.contains("read: 0"), "{text}");
}
