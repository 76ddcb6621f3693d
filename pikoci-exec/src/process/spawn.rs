//! Starting a command and seeing it through to its end.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use pikoci_core::event::OutputStream;
use pikoci_core::name::BuildId;
use pikoci_core::{Exit, StepContext, StepIo};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::environment::EnvironmentPolicy;
use super::lookup::{self, ProcessError};
use super::output::Output;
use super::procfs;
use super::registry::{self, BUILD_MARK, Id, OtherChildren, Owned, STEP_MARK};
use super::tree::{self, Target};

/// How many milliseconds the drop of a running command waits for the end of its root.
const DROP_ROUNDS: usize = 200;

/// A command to run.
#[derive(Clone)]
pub struct ProcessSpec {
    /// The program: a path with a `/` in it (relative to `dir`), or a name
    /// that is looked for in the command's own `PATH`.
    pub program: OsString,
    /// Its arguments. Every user of the machine can read them while it runs:
    /// no place for a secret.
    pub args: Vec<OsString>,
    /// Its environment, all of it but the two variables that mark its processes.
    pub env: BTreeMap<OsString, OsString>,
    /// The directory it runs in; absolute.
    pub dir: PathBuf,
    /// Time between the polite and the hard end.
    pub grace: Duration,
    /// Whether the processes it leaves behind live on until [`end_build`].
    pub detached: bool,
    /// The build it belongs to.
    pub build: Option<BuildId>,
    /// The step it belongs to, for people who look at the mark of its processes.
    pub step: String,
}

impl std::fmt::Debug for ProcessSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessSpec")
            .field("program", &self.program)
            .field("dir", &self.dir)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl ProcessSpec {
    /// A command for nobody in particular: no arguments, no environment, ten seconds of grace.
    pub fn new(program: impl Into<OsString>, dir: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            dir: dir.into(),
            grace: Duration::from_secs(10),
            detached: false,
            build: None,
            step: String::new(),
        }
    }

    /// A command of a step: in its directory, with its variables over those of
    /// this program's own environment that `policy` passes on.
    pub fn for_step(
        program: impl Into<OsString>,
        context: &StepContext,
        policy: &EnvironmentPolicy,
    ) -> Self {
        let mut env: BTreeMap<OsString, OsString> = policy.inherited().collect();
        env.extend(context.env.0.iter().map(|(name, value)| (name.into(), value.into())));
        Self {
            env,
            grace: context.grace,
            detached: context.detached,
            build: Some(context.build.id),
            step: context.step.to_string(),
            ..Self::new(program, &context.workdir)
        }
    }

    /// The same with these arguments besides.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// Runs a command to its end and hands what it prints to `io`.
///
/// When the program ends, what it started and left behind is ended too
/// (SIGTERM, `spec.grace`, SIGKILL), unless `spec.detached`; when `cancel`
/// fires first, the whole tree is ended so and the answer is
/// [`Exit::Cancelled`]. Processes that no one can end (hanging in the kernel,
/// or another user's) are told of in the output.
///
/// Must be awaited within a tokio runtime with I/O and time. Dropping the
/// future kills everything at once.
///
/// # Errors
/// When the program could not be started; nothing was run then.
pub async fn run(
    spec: ProcessSpec,
    io: &mut dyn StepIo,
    cancel: &CancellationToken,
) -> Result<Exit, ProcessError> {
    if cancel.is_cancelled() {
        return Ok(Exit::Cancelled);
    }
    let (mut live, mut output) = start(&spec)?;
    let stop = Notify::new();
    let supervise = async {
        let ended = live.see_through(&spec, cancel).await;
        stop.notify_one();
        ended
    };
    let (ended, ()) = tokio::join!(supervise, output.pump(io, &stop));
    if spec.detached && output.is_open() {
        tokio::spawn(output.discard());
    }
    let (exit, survivors) = ended.map_err(|source| ProcessError::Start {
        program: spec.program.to_string_lossy().into_owned(),
        source,
    })?;
    if !survivors.is_empty() {
        let words = format!(
            "could not end {} of its processes: {}\n",
            survivors.len(),
            survivors.iter().map(|stat| stat.pid.to_string()).collect::<Vec<_>>().join(", ")
        );
        io.output(OutputStream::Engine, Bytes::from(words)).await;
    }
    Ok(exit)
}

/// A command that was started; killed when dropped before its end.
struct Live {
    id: Id,
    root: i32,
    child: Child,
    over: bool,
}

impl Live {
    async fn see_through(
        &mut self,
        spec: &ProcessSpec,
        cancel: &CancellationToken,
    ) -> io::Result<(Exit, Vec<super::procfs::Stat>)> {
        let status = tokio::select! {
            biased;
            status = self.child.wait() => Some(status?),
            () = cancel.cancelled() => None,
        };
        let Some(status) = status else {
            let mut target = Target::Command(self.id);
            let survivors = tree::end(&mut target, Some(self.root), spec.grace).await;
            if survivors.iter().any(|stat| stat.pid == self.root) {
                // It hangs in the kernel: tokio takes note of its end whenever that comes.
                self.finish();
                return Ok((Exit::Cancelled, survivors));
            }
            self.child.wait().await?;
            // Only now are the last orphans this program's to reap.
            registry::access().reaped(self.root);
            registry::access().sweep();
            self.finish();
            return Ok((Exit::Cancelled, survivors));
        };
        registry::access().reaped(self.root);
        let mut survivors = Vec::new();
        if !registry::access().nothing_left(self.id) {
            if spec.detached {
                registry::access().leave(self.id);
                self.over = true;
                return Ok((exit(status), survivors));
            }
            survivors = tree::end(&mut Target::Command(self.id), None, spec.grace).await;
        }
        self.finish();
        Ok((exit(status), survivors))
    }

    fn finish(&mut self) {
        let mut registry = registry::access();
        registry.reaped(self.root);
        registry.finished(self.id);
        self.over = true;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.over {
            tree::kill(&mut Target::Command(self.id), Some(self.root));
            // A killed process is gone within a moment. One that hangs in the
            // kernel is left to tokio, and stays known as no orphan until then.
            for _ in 0..DROP_ROUNDS {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            let mut registry = registry::access();
            registry.sweep();
            registry.finished(self.id);
            registry.abandoned(self.root);
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}

fn start(spec: &ProcessSpec) -> Result<(Live, Output), ProcessError> {
    refuse_zero_bytes(spec)?;
    let path = spec.env.get(OsStr::new("PATH")).map(OsString::as_os_str);
    let file = match lookup::find_program(&spec.program, &spec.dir, path) {
        Ok(file) => file,
        Err(error) => return Err(lookup::directory(&spec.dir).unwrap_or(error)),
    };
    let failed = |source| ProcessError::Start { program: file.display().to_string(), source };
    let (stdout, child_stdout) = io::pipe().map_err(failed)?;
    let (stderr, child_stderr) = io::pipe().map_err(failed)?;
    let output = Output::new(OwnedFd::from(stdout), OwnedFd::from(stderr)).map_err(failed)?;
    let build = spec.build.map(|build| build.to_string());
    let mark = new_mark(&spec.step);
    let mut command = Command::new(&file);
    // The path is absolute and nothing has to run between fork and exec, so
    // the standard library uses posix_spawn: a fork of a big program is slow.
    command
        .args(&spec.args)
        .env_clear()
        .envs(&spec.env)
        .env(STEP_MARK, within(STEP_MARK, &mark))
        .current_dir(&spec.dir)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(child_stdout)
        .stderr(child_stderr);
    if let Some(build) = &build {
        command.env(BUILD_MARK, within(BUILD_MARK, build));
    }
    // Locked from before the start, so that no one takes the root for an orphan.
    let mut registry = registry::access();
    let since = procfs::ticks_now();
    let child = command.spawn().map_err(|error| {
        lookup::explain(error, &file, &spec.dir, || {
            let args = spec.args.iter().map(|arg| arg.len() + 1);
            let env = spec.env.iter().map(|(name, value)| name.len() + value.len() + 2);
            args.chain(env).sum()
        })
    })?;
    let root = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .ok_or_else(|| failed(io::Error::other("it has no pid")))?;
    let id = registry.started(root, since, mark, build);
    drop(registry);
    Ok((Live { id, root, child, over: false }, output))
}

/// A mark that no other command on this machine has or had.
fn new_mark(step: &str) -> String {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| uuid::Uuid::now_v7().simple().to_string());
    static COMMANDS: AtomicU64 = AtomicU64::new(0);
    let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
    let step: String = step.chars().filter(|c| !matches!(c, ',' | '\0')).collect();
    format!("{step}:{}.{number}", *PROGRAM)
}

/// The value of a mark for a child. When this program itself runs in a step of
/// another, the outer marks stay in front.
fn within(variable: &str, mark: &str) -> OsString {
    match std::env::var_os(variable) {
        Some(outer) if !outer.is_empty() => {
            let mut value = outer;
            value.push(",");
            value.push(mark);
            value
        }
        _ => mark.into(),
    }
}

fn refuse_zero_bytes(spec: &ProcessSpec) -> Result<(), ProcessError> {
    let zero = |text: &OsStr| text.as_bytes().contains(&0);
    let refuse = |what: String| Err(ProcessError::ZeroByte { what });
    if zero(&spec.program) {
        return refuse("the program's name".into());
    }
    if zero(spec.dir.as_os_str()) {
        return refuse("the working directory".into());
    }
    if let Some(index) = spec.args.iter().position(|arg| zero(arg)) {
        return refuse(format!("argument {}", index + 1));
    }
    match spec.env.iter().find(|(name, value)| zero(name) || zero(value)) {
        Some((name, _)) => {
            refuse(format!("variable `{}`", name.to_string_lossy().replace('\0', "\\0")))
        }
        None => Ok(()),
    }
}

/// Makes this program the one that orphans of its commands fall to, so that
/// none can slip away. Without it, a process that wiped its environment, left
/// its session and lost its parent is not found.
///
/// A program that starts children by other means than [`run`] says
/// [`OtherChildren::Possible`]: then a child that nothing ties to a command is
/// left alone, be it an orphan or not. Does nothing on systems without such a thing.
///
/// # Errors
/// When the kernel refuses.
pub fn become_subreaper(others: OtherChildren) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        rustix::process::set_child_subreaper(Some(rustix::process::Pid::INIT))?;
        registry::access().set_subreaper(others);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = others;
    Ok(())
}

/// Kills at once everything that this program's commands started and that
/// still runs, detached or not; for the second Ctrl-C. Every [`run`] then ends soon.
pub fn abort_all() {
    let ids = registry::access().abort();
    for id in ids {
        tree::kill(&mut Target::Command(id), None);
    }
}

/// Ends what the detached commands of a build left behind, after their stop
/// commands ran: SIGTERM, `grace`, SIGKILL. Answers how many processes could
/// not be ended. Costs nothing where nothing was left; may be called twice.
pub async fn end_build(build: BuildId, grace: Duration) -> usize {
    let left = registry::access().left_in(&build.to_string());
    let mut survivors = 0;
    for id in left {
        survivors += tree::end(&mut Target::Command(id), None, grace).await.len();
        registry::access().finished(id);
    }
    survivors
}

/// Ends every process that carries the mark of a build, with its descendants,
/// whoever started them: what a worker does at its start for builds that one
/// before it left behind when it died. Answers how many could not be ended.
pub async fn end_by_marker(build: BuildId, grace: Duration) -> usize {
    let owned = Owned::of_build(&build.to_string());
    tree::end(&mut Target::Marked(Box::new(owned)), None, grace).await.len()
}
