//! The built-in runners, run for real; the container engine is a script that
//! tells how it was called, and the real one where the machine has it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::context::{BuildContext, Environment, StepContext, StepRun};
use pikoci_core::event::OutputStream;
use pikoci_core::name::{BuildId, BuildName, StepId};
use pikoci_core::pipeline::{Location, RunnerTypeDecl};
use pikoci_core::traits::TypeErrorKind;
use pikoci_core::{Exit, Params, Runner, StepIo, TypeError, Value};
use pikoci_exec::process::EnvironmentPolicy;
use pikoci_exec::runner::{DeclaredRunner, DockerRunner, ExecRunner, ShellRunner};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A step in a directory of its own.
struct Step {
    dir: TempDir,
    env: BTreeMap<String, String>,
    cancel: CancellationToken,
}

#[derive(Default)]
struct Printed(Vec<u8>, Option<CancellationToken>);

#[async_trait]
impl StepIo for Printed {
    async fn output(&mut self, _stream: OutputStream, chunk: Bytes) {
        self.0.extend_from_slice(&chunk);
        if let Some(cancel) = self.1.as_ref().filter(|_| self.text().contains("ready")) {
            cancel.cancel();
        }
    }
}

impl Printed {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl Step {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        fs::create_dir(dir.path().join("private")).unwrap();
        fs::write(dir.path().join("private/output"), "").unwrap();
        let text = |path: &str| dir.path().join(path).to_str().unwrap().to_owned();
        let env = [
            ("WORKDIR", text("work")),
            ("PIKOCI_OUTPUT", text("private/output")),
            ("BUILD_NUMBER", "7".to_owned()),
            ("param_token", "s3cret value".to_owned()),
            ("GET_APP_REF", "$(touch pwned)".to_owned()),
        ];
        Self {
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            dir,
            cancel: CancellationToken::new(),
        }
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    async fn run(
        &self,
        runner: &dyn Runner,
        params: &[(&str, Value)],
    ) -> (Result<Exit, TypeError>, String) {
        let context = StepContext {
            build: Arc::new(BuildContext {
                id: BuildId(uuid::Uuid::now_v7()),
                name: BuildName {
                    team: "main".into(),
                    pipeline: "p".into(),
                    job: "j".into(),
                    number: "7".into(),
                },
                url: None,
            }),
            step: StepId::new("2.0"),
            name: "task t".into(),
            workdir: self.work(),
            cache_dir: None,
            env: Environment(self.env.clone()),
            grace: Duration::from_millis(150),
            detached: false,
            location: Location::default(),
        };
        let params: Params =
            params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut printed = Printed(Vec::new(), Some(self.cancel.clone()));
        let mut step = StepRun::new(&context, &mut printed, &self.cancel);
        let exit = runner.run(&mut step, &params).await;
        // Whatever happened, no private file is left.
        let left: Vec<_> = fs::read_dir(self.dir.path().join("private"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["output"]);
        (exit, printed.text())
    }

    /// Puts a script in the place of a program, in a directory of such.
    fn program(&mut self, name: &str, script: &str) {
        let bin = self.dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        executable(&bin.join(name), script);
    }
}

fn executable(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| Value::from(*item)).collect())
}

fn errored(exit: Result<Exit, TypeError>) -> String {
    let error = exit.unwrap_err();
    assert_eq!(error.kind, TypeErrorKind::Errored);
    error.message
}

#[tokio::test]
async fn exec_expands_by_parameter_and_passes_every_variable() {
    let step = Step::new();
    let work = step.work().to_str().unwrap().to_owned();
    let script = "printf '%s|' \"$@\" \"$param_token\" \"$X\" \"$PWD\"";
    let args = ["-c", script, "sh", "$WORKDIR/x", "${BUILD_NUMBER}", "$GET_APP_REF", "$HOME"];
    let env = BTreeMap::from([("X".to_owned(), Value::from("n$BUILD_NUMBER $UNKNOWN"))]);
    let (exit, printed) = step
        .run(
            &ExecRunner::default(),
            &[("path", "sh".into()), ("args", list(&args)), ("env", Value::Object(env))],
        )
        .await;
    assert_eq!(exit, Ok(Exit::Code(0)));
    assert_eq!(
        printed,
        format!("{work}/x|7|$(touch pwned)|$HOME|s3cret value|n7 $UNKNOWN|{work}|")
    );
    assert!(!step.work().join("pwned").exists());
}

#[tokio::test]
async fn exec_expands_arguments_but_no_scripts() {
    let step = Step::new();
    for (args, expected) in [
        (&["$BUILD_NUMBER", "a${BUILD_NUMBER}b"][..], "7|a7b|"),
        (
            &["$HOME", "$UNKNOWN", "$$BUILD_NUMBER", "${BUILD_NUMBER:-x}"],
            "$HOME|$UNKNOWN|$$BUILD_NUMBER|${BUILD_NUMBER:-x}|",
        ),
        // One word and never expanded again.
        (&["$param_token", "$GET_APP_REF"], "s3cret value|$(touch pwned)|"),
        (&["-c", "$GET_APP_REF", "$BUILD_NUMBER"], "-c|$GET_APP_REF|7|"),
        (&["-ec", "$GET_APP_REF"], "-ec|$GET_APP_REF|"),
        (&["-e", "-x", "$GET_APP_REF"], "-e|-x|$GET_APP_REF|"),
    ] {
        executable(&step.work().join("show"), "printf '%s|' \"$@\"");
        let params = [("path", "./show".into()), ("args", list(args))];
        let (exit, printed) = step.run(&ExecRunner::default(), &params).await;
        assert_eq!(exit, Ok(Exit::Code(0)));
        assert_eq!(printed, expected);
    }
    let params = [("path", "sh".into()), ("args", list(&["-c", "echo \"$GET_APP_REF\""]))];
    let (_, printed) = step.run(&ExecRunner::default(), &params).await;
    assert_eq!(printed, "$(touch pwned)\n");
    assert!(!step.work().join("pwned").exists());
}

#[tokio::test]
async fn exec_runs_in_the_directory_it_is_told() {
    let step = Step::new();
    fs::create_dir(step.work().join("sub7")).unwrap();
    executable(&step.work().join("sub7/here"), "pwd");
    let params = [("path", "./here".into()), ("dir", "sub$BUILD_NUMBER".into())];
    let (exit, printed) = step.run(&ExecRunner::default(), &params).await;
    assert_eq!(exit, Ok(Exit::Code(0)));
    assert_eq!(printed.trim_end(), step.work().join("sub7").to_str().unwrap());
    let params = [("path", "./here".into()), ("dir", "absent".into())];
    let message = errored(step.run(&ExecRunner::default(), &params).await.0);
    assert!(message.contains("absent` does not exist"), "{message}");
}

#[tokio::test]
async fn exec_tells_what_it_cannot_run() {
    let step = Step::new();
    let runner = ExecRunner::new(Arc::new(EnvironmentPolicy { pass: vec!["PATH".into()] }));
    for (params, expected) in [
        (vec![], "runner `exec` needs `path`"),
        (vec![("path", "no-such-program".into())], "`no-such-program` not found in PATH `/"),
        (vec![("path", "true".into()), ("env", "x".into())], "`env` must be a map"),
        (
            vec![
                ("path", "true".into()),
                ("env", Value::Object([("a=b".to_owned(), "x".into())].into())),
            ],
            "the name `a=b`",
        ),
    ] {
        let message = errored(step.run(&runner, &params).await.0);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn a_script_reaches_its_shell_unchanged_and_not_by_argument() {
    let step = Step::new();
    let cmd = "echo \"$BUILD_NUMBER $param_token $0\"; f=1; echo $f\n\
               tr '\\0' '\\n' < /proc/$$/cmdline\nstat -c %a \"$0\"\nfalse\necho not reached";
    let (exit, printed) = step.run(&ShellRunner::default(), &[("cmd", cmd.into())]).await;
    assert_eq!(exit, Ok(Exit::Code(1)));
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("7 s3cret value "), "{printed}");
    assert!(lines[0].ends_with("/script"), "{printed}");
    assert_eq!(lines[1], "1");
    if cfg!(target_os = "linux") {
        assert_eq!(lines[2..4], ["/bin/sh", "-e"]);
        assert!(!lines[4..].iter().any(|line| line.contains("echo")), "{printed}");
    }
    assert_eq!(lines.last(), Some(&"600"));
}

#[tokio::test]
async fn a_script_file_runs_with_the_shell_that_is_named() {
    let mut step = Step::new();
    step.program("oddsh", "echo \"odd $1 $2\"");
    step.env.insert("PATH".into(), step.dir.path().join("bin").to_str().unwrap().into());
    fs::write(step.work().join("s"), "").unwrap();
    let params = [("file", "s".into()), ("shell", "oddsh".into())];
    let (exit, printed) = step.run(&ShellRunner::default(), &params).await;
    assert_eq!(exit, Ok(Exit::Code(0)));
    assert_eq!(printed, format!("odd -e {}\n", step.work().join("s").display()));
    for (params, expected) in [
        (vec![], "needs `cmd` (a script) or `file`"),
        (vec![("cmd", Value::from("x")), ("file", "s".into())], "not both"),
        (vec![("file", "absent".into())], "absent` does not exist"),
        (vec![("cmd", "x".into()), ("shell", "nosh".into())], "`nosh` not found in PATH"),
    ] {
        let message = errored(step.run(&ShellRunner::default(), &params).await.0);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn a_cancelled_script_is_ended_and_its_file_removed() {
    let step = Step::new();
    let cmd = "trap '' TERM; echo ready; sleep 1000; sleep 1000";
    let (exit, _) = step.run(&ShellRunner::default(), &[("cmd", cmd.into())]).await;
    assert_eq!(exit, Ok(Exit::Cancelled));
}

#[tokio::test]
async fn a_declared_runner_runs_what_it_says() {
    let step = Step::new();
    let decl = RunnerTypeDecl {
        path: "sh".into(),
        args: ["-c", "printf '%s|' \"$@\" \"$MODE\"", "sh", "$args", "$absent", "$WORKDIR"]
            .map(Value::from)
            .into(),
        env: BTreeMap::from([("MODE".to_owned(), Value::from("<$mode>"))]),
        ..RunnerTypeDecl::default()
    };
    let params = [("args", list(&["a b", "$BUILD_NUMBER", "$X"])), ("mode", "fast".into())];
    let (exit, printed) = step.run(&DeclaredRunner::new(decl), &params).await;
    assert_eq!(exit, Ok(Exit::Code(0)));
    assert_eq!(printed, format!("a b|7|$X|{}|<fast>|", step.work().display()));
}

/// A stand-in for an engine's client: it notes its arguments, shows what it
/// was handed in files and environment, and does for `run` what `behave` says.
const ENGINE: &str = r#"
PATH=/bin:/usr/bin
for a in "$@"; do printf '%s|' "$a" >> "$WORKDIR/calls"; done
echo "${0##*/}" >> "$WORKDIR/calls"
[ "$1" = run ] || exit 0
echo "token: $param_token"
while [ $# -gt 0 ]; do
    case $1 in
        *:/pikoci/script:ro) echo "script: $(cat "${1%:/pikoci/script:ro}")" ;;
        --env-file) echo "file: $(cat "$2")" ;;
        --cidfile) id=$2 ;;
    esac
    shift
done
. "$WORKDIR/behave"
"#;

/// A step with a stand-in for `engine`, and a runner that finds it and no other.
fn engine_step(engine: &str, behave: &str) -> (Step, DockerRunner) {
    let mut step = Step::new();
    step.program(engine, ENGINE);
    fs::write(step.work().join("behave"), behave).unwrap();
    let runner = DockerRunner::default().with_client_variable("PATH", step.dir.path().join("bin"));
    (step, runner)
}

/// The calls of the stand-in, with what differs from run to run as a word.
fn calls(step: &Step) -> Vec<String> {
    let text = fs::read_to_string(step.work().join("calls")).unwrap();
    text.lines()
        .map(|line| {
            line.replace(step.dir.path().to_str().unwrap(), "DIR")
                .split('|')
                .map(|word| match word {
                    word if word.starts_with("pikoci-") => "NAME".to_owned(),
                    word if word.starts_with("pikoci.build=") => "pikoci.build=ID".to_owned(),
                    word => match (word.find("/step-"), word.rfind('/')) {
                        (Some(at), Some(end)) if word.starts_with("DIR/private/") => {
                            let inside = word.find(":/").unwrap_or(word.len());
                            let end = word[..inside].rfind('/').unwrap_or(end);
                            format!("{}/STEP{}", &word[..at], &word[end..])
                        }
                        _ => word.to_owned(),
                    },
                })
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[tokio::test]
async fn a_container_is_run_as_documented_and_removed() {
    let (mut step, runner) = engine_step("docker", "exit 3");
    step.env.insert("HOME".into(), "/root".into());
    let params = [
        ("image", "repo/app:$BUILD_NUMBER".into()),
        ("cmd", "make $TARGET $param_token".into()),
        ("args", list(&["--user", "1000", "-v", "$WORKDIR/x:/x"])),
    ];
    let (exit, printed) = step.run(&runner, &params).await;
    assert_eq!(exit, Ok(Exit::Code(3)));
    assert_eq!(
        printed,
        "token: s3cret value\nscript: make $TARGET $param_token\nfile: HOME=/root\n"
    );
    assert_eq!(
        calls(&step),
        [
            "run --rm --name NAME --cidfile DIR/private/STEP/id --label pikoci.build=ID \
             --label pikoci.step=2.0 -v DIR/work:/workdir \
             -v DIR/private/output:/pikoci/output \
             -v DIR/private/STEP/script:/pikoci/script:ro -w /workdir \
             --env BUILD_NUMBER --env GET_APP_REF --env PIKOCI_OUTPUT=/pikoci/output \
             --env WORKDIR=/workdir --env param_token --env-file DIR/private/STEP/env \
             --user 1000 -v DIR/work/x:/x repo/app:7 /bin/sh -e /pikoci/script docker",
            "rm -f -v NAME docker",
        ]
    );
    let raw = fs::read_to_string(step.work().join("calls")).unwrap();
    assert!(!raw.contains("s3cret"), "a secret stood in an argument");
}

#[tokio::test]
async fn podman_takes_dockers_place_and_an_image_runs_its_own_command() {
    let (step, runner) = engine_step("podman", "echo 4711 > \"$id\"");
    let (exit, _) = step.run(&runner, &[("image", "app".into())]).await;
    assert_eq!(exit, Ok(Exit::Code(0)));
    let calls = calls(&step);
    assert!(calls[0].ends_with(" app podman"), "{calls:?}");
    // Whatever the arguments named it, it is removed by its id.
    assert_eq!(calls[1], "rm -f -v 4711 podman");
}

#[tokio::test]
async fn a_container_that_cannot_run_is_an_error_and_still_removed() {
    let (step, runner) = engine_step("docker", "echo 'no such image'; exit 125");
    let (exit, printed) = step.run(&runner, &[("image", "a".into()), ("cmd", "x".into())]).await;
    assert_eq!(exit.as_ref().unwrap_err().exit_code, Some(125));
    assert!(errored(exit).contains("could not run the container"));
    assert!(printed.contains("no such image"));
    assert_eq!(calls(&step)[1], "rm -f -v NAME docker");
    let message = errored(step.run(&runner, &[("cmd", "x".into())]).await.0);
    assert!(message.contains("needs `image`"), "{message}");
}

#[tokio::test]
async fn a_cancelled_container_is_asked_then_removed() {
    for behave in
        ["echo ready; exec sleep 1000", "trap '' TERM; echo ready; sleep 1000; sleep 1000"]
    {
        let (step, runner) = engine_step("docker", behave);
        let (exit, _) = step.run(&runner, &[("image", "a".into()), ("cmd", "x".into())]).await;
        assert_eq!(exit, Ok(Exit::Cancelled));
        let calls = calls(&step);
        assert_eq!(calls[1], "exec --user 0 NAME /bin/sh -c kill -TERM -1 docker");
        assert_eq!(calls.last().unwrap(), "rm -f -v NAME docker");
    }
}

#[tokio::test]
async fn a_machine_without_an_engine_is_told_what_was_looked_for() {
    let step = Step::new();
    let runner = DockerRunner::default().with_client_variable("PATH", "/nowhere");
    let message = errored(step.run(&runner, &[("image", "a".into())]).await.0);
    assert!(
        message.starts_with("neither `docker` nor `podman` found in PATH `/nowhere`"),
        "{message}"
    );
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
#[tokio::test]
async fn a_real_engine_runs_a_script_in_the_workspace() {
    let Ok(image) = std::env::var("PIKOCI_TEST_DOCKER") else {
        eprintln!(
            "SKIPPED: set PIKOCI_TEST_DOCKER to an image with /bin/sh that the engine already has"
        );
        return;
    };
    let step = Step::new();
    let runner = DockerRunner::default();
    let cmd = "pwd; echo \"$WORKDIR $param_token\"; echo made > file; echo A=b > $PIKOCI_OUTPUT\n\
               test -z \"$HOME_OF_WORKER\"; exit 4";
    let params = [
        ("image", image.as_str().into()),
        ("cmd", cmd.into()),
        ("args", list(&["--network", "none"])),
    ];
    let (exit, printed) = step.run(&runner, &params).await;
    assert_eq!(exit, Ok(Exit::Code(4)), "{printed}");
    assert_eq!(printed, "/workdir\n/workdir s3cret value\n");
    assert_eq!(fs::read_to_string(step.work().join("file")).unwrap(), "made\n");
    let output = step.dir.path().join("private/output");
    assert_eq!(fs::read_to_string(output).unwrap(), "A=b\n");
    let params = [
        ("image", image.as_str().into()),
        ("cmd", "trap '' TERM; echo ready; sleep 1000; sleep 1000".into()),
        ("args", list(&["--network", "none", "--name", "pikoci-test-own-name"])),
    ];
    assert_eq!(step.run(&runner, &params).await.0, Ok(Exit::Cancelled));
    let (_, left) = Step::new()
        .run(
            &ExecRunner::default(),
            &[
                ("path", "docker".into()),
                ("args", list(&["ps", "-aq", "--filter", "label=pikoci.build"])),
                (
                    "env",
                    Value::Object(
                        std::env::var("DOCKER_HOST")
                            .map(|host| ("DOCKER_HOST".to_owned(), host.into()))
                            .into_iter()
                            .collect(),
                    ),
                ),
            ],
        )
        .await;
    assert_eq!(left, "");
}
