//! What every [`Runner`] must do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{LIMIT, PROMPTLY, Scene, refused, within, worked};
use crate::event::OutputStream;
use crate::params::Params;
use crate::traits::{Exit, Runner};

/// How many lines of 64 bytes the check of long output has each stream take: 1 MiB.
pub const LINES: usize = 16 * 1024;

/// The file that the check of the working directory puts there.
pub const FILE: &str = "conformance.txt";

/// The variable that the checks set.
pub const VARIABLE: &str = "CONFORMANCE_VALUE";

/// What a check wants to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Exit with this code, and print nothing.
    Exit(u8),
    /// Print the value of [`VARIABLE`] and no line break.
    ShowVariable,
    /// Print what stands in [`FILE`], named without a directory.
    ShowFile,
    /// Print the lines of [`line`](fn@line) for 0 to [`LINES`], on stdout and
    /// stderr in turn, and at last `end` without a line break on both.
    Flood,
    /// Print `ready`, then go on for ever.
    Hang,
    /// The same, without heeding a polite request to end.
    HangStubbornly,
    /// Exit with 0 and leave something running that goes on making the file `alive`.
    LeaveBehind,
}

impl Command {
    /// The command as a script for a POSIX shell.
    pub fn posix(self) -> String {
        match self {
            Self::Exit(code) => format!("exit {code}"),
            Self::ShowVariable => format!("printf %s \"${VARIABLE}\""),
            Self::ShowFile => format!("cat {FILE}"),
            Self::Flood => format!(
                "i=0\n\
                 while [ $i -lt {LINES} ]; do\n\
                 printf '%063d\\n' $i; printf '%063d\\n' $i >&2; i=$((i + 1))\n\
                 done\n\
                 printf end; printf end >&2"
            ),
            Self::Hang => "echo ready\nsleep 100000\nsleep 100000".into(),
            Self::HangStubbornly => "trap '' TERM INT HUP\necho ready\n\
                                     while :; do sleep 100000 || :; done"
                .into(),
            Self::LeaveBehind => "(while :; do : > alive; done) > /dev/null 2>&1 &".into(),
        }
    }
}

/// One line of [`Command::Flood`], with its line break.
pub fn line(number: usize) -> String {
    format!("{number:063}\n")
}

/// How a check's command is put into parameters.
pub type Express = dyn Fn(Command) -> Params + Send + Sync;

/// A runner, and how to have it run what the checks want.
pub struct RunnerCase {
    /// The runner.
    pub runner: Arc<dyn Runner>,
    /// How a command is put into its parameters.
    pub express: Box<Express>,
    /// Parameters with which nothing can be run, such as a program that does not exist.
    pub broken: Vec<Params>,
}

impl fmt::Debug for RunnerCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerCase").field("runner", &self.runner).finish_non_exhaustive()
    }
}

impl RunnerCase {
    /// A runner that can run a script of a POSIX shell; `script` puts one into parameters.
    pub fn posix(
        runner: Arc<dyn Runner>,
        script: impl Fn(&str) -> Params + Send + Sync + 'static,
        broken: Vec<Params>,
    ) -> Self {
        Self { runner, express: Box::new(move |command| script(&command.posix())), broken }
    }

    async fn run(&self, scene: &mut Scene, command: Command) -> Exit {
        let params = (self.express)(command);
        let mut step = scene.step();
        let ended = self.runner.run(&mut step, &params);
        let ended = within(LIMIT, &format!("{command:?}"), ended).await;
        worked(&format!("{command:?}"), ended)
    }
}

/// Runs all checks.
///
/// # Panics
/// When the runner breaks its contract.
pub async fn run_all(case: &RunnerCase) {
    exit_codes_are_passed_on(case).await;
    variables_are_passed_on(case).await;
    commands_run_in_the_working_directory(case).await;
    output_is_complete_and_in_order(case).await;
    a_cancel_ends_a_command(case).await;
    a_cancel_ends_a_stubborn_command(case).await;
    what_was_cancelled_before_does_not_run(case).await;
    what_cannot_be_run_is_an_error(case).await;
    commands_at_once_do_not_mix(case).await;
    nothing_is_left_behind(case).await;
}

/// A command's exit code is the answer, and not an error.
///
/// # Panics
/// When it is not so.
pub async fn exit_codes_are_passed_on(case: &RunnerCase) {
    for code in [0, 1, 3, 127, 255] {
        let mut scene = Scene::new("task exit");
        let exit = case.run(&mut scene, Command::Exit(code)).await;
        assert_eq!(exit, Exit::Code(code.into()), "a command exited with code {code}");
        assert_eq!(scene.all_printed(), "", "a silent command has output");
    }
}

/// Every variable of the step reaches the command as it is.
///
/// # Panics
/// When it does not.
pub async fn variables_are_passed_on(case: &RunnerCase) {
    let odd = format!("{} $HOME `id` $(id) 'q' \"q\" \\n *\nü", Uuid::now_v7());
    for value in [odd.as_str(), ""] {
        let mut scene = Scene::new("task variable");
        scene.context.env.0.insert(VARIABLE.into(), value.into());
        let exit = case.run(&mut scene, Command::ShowVariable).await;
        assert_eq!(exit, Exit::Code(0));
        assert_eq!(scene.printed(OutputStream::Stdout), value, "`{VARIABLE}` was changed");
    }
}

/// A command finds the files of the step's working directory where it starts.
///
/// # Panics
/// When it does not.
pub async fn commands_run_in_the_working_directory(case: &RunnerCase) {
    let mut scene = Scene::new("task file");
    let content = Uuid::now_v7().to_string();
    let written = std::fs::write(scene.workdir().join(FILE), &content);
    assert!(written.is_ok(), "the working directory can be written to");
    let exit = case.run(&mut scene, Command::ShowFile).await;
    assert_eq!(exit, Exit::Code(0), "`{FILE}` was not found: {}", scene.all_printed());
    assert_eq!(scene.printed(OutputStream::Stdout), content);
}

/// All that is printed arrives, in order on each stream, the last line
/// without a line break too.
///
/// # Panics
/// When it does not.
pub async fn output_is_complete_and_in_order(case: &RunnerCase) {
    let mut scene = Scene::new("task flood");
    let exit = case.run(&mut scene, Command::Flood).await;
    assert_eq!(exit, Exit::Code(0));
    for stream in [OutputStream::Stdout, OutputStream::Stderr] {
        let printed = scene.printed(stream);
        let mut lines = printed.split_inclusive('\n');
        for number in 0..LINES {
            assert_eq!(lines.next(), Some(line(number).as_str()), "{stream:?}, line {number}");
        }
        assert_eq!(lines.next(), Some("end"), "{stream:?}, the end");
        assert_eq!(lines.next(), None, "{stream:?}, after the end");
    }
}

/// A command that is told to stop ends at once, and the answer says so.
///
/// # Panics
/// When it is not so.
pub async fn a_cancel_ends_a_command(case: &RunnerCase) {
    ends(case, Scene::new("task hang").cancelled_at("ready"), Command::Hang).await;
}

/// A command that does not heed a polite request is ended after the step's grace.
///
/// # Panics
/// When it is not.
pub async fn a_cancel_ends_a_stubborn_command(case: &RunnerCase) {
    let mut scene = Scene::new("task stubborn").cancelled_at("ready");
    scene.context.grace = Duration::from_millis(100);
    ends(case, scene, Command::HangStubbornly).await;
}

/// What is told to stop before it starts is cancelled.
///
/// # Panics
/// When it runs.
pub async fn what_was_cancelled_before_does_not_run(case: &RunnerCase) {
    let scene = Scene::new("task never");
    scene.cancel.cancel();
    ends(case, scene, Command::Hang).await;
}

async fn ends(case: &RunnerCase, mut scene: Scene, command: Command) {
    let params = (case.express)(command);
    let cancel = scene.cancel.clone();
    let ending = async {
        let mut step = scene.step();
        let ended = case.runner.run(&mut step, &params);
        tokio::pin!(ended);
        let started = async {
            tokio::select! {
                ended = &mut ended => Some(ended),
                () = cancel.cancelled() => None,
            }
        };
        match within(LIMIT, "putting out the word `ready`", started).await {
            Some(ended) => ended,
            None => within(PROMPTLY, "a command's end after a cancel", ended).await,
        }
    };
    assert_eq!(worked("a cancelled command", ending.await), Exit::Cancelled);
}

/// An unknown program or a bad parameter is an error that says something, and no panic.
///
/// # Panics
/// When it is not.
pub async fn what_cannot_be_run_is_an_error(case: &RunnerCase) {
    for params in &case.broken {
        let mut scene = Scene::new("task broken");
        let mut step = scene.step();
        let ended = case.runner.run(&mut step, params);
        let ended = within(LIMIT, "what cannot be run", ended).await;
        refused(&format!("a run with {params:?}, which cannot work,"), ended);
    }
}

/// Two commands at once see and print only what is theirs.
///
/// # Panics
/// When they mix.
pub async fn commands_at_once_do_not_mix(case: &RunnerCase) {
    let one = |value: &'static str| async move {
        let mut scene = Scene::new("task beside");
        scene.context.env.0.insert(VARIABLE.into(), value.into());
        let exit = case.run(&mut scene, Command::ShowVariable).await;
        assert_eq!(exit, Exit::Code(0));
        assert_eq!(scene.printed(OutputStream::Stdout), value, "commands at once mix");
    };
    let failing = async {
        let exit = case.run(&mut Scene::new("task beside"), Command::Exit(9)).await;
        assert_eq!(exit, Exit::Code(9), "commands at once mix");
    };
    tokio::join!(one("one"), one("two"), failing);
}

/// Nothing that a command started goes on after the answer.
///
/// # Panics
/// When something does.
pub async fn nothing_is_left_behind(case: &RunnerCase) {
    let mut scene = Scene::new("task leave");
    let exit = case.run(&mut scene, Command::LeaveBehind).await;
    assert_eq!(exit, Exit::Code(0));
    let file = scene.workdir().join("alive");
    // What lives makes the file anew all the time; that nothing does takes a while to see.
    for _ in 0..10 {
        let _ = std::fs::remove_file(&file);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!file.exists(), "something that a command started goes on after its end");
    }
}
