//! The `docker` runner: a script in a container, by Docker or Podman.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::{StepContext, StepRun};
use pikoci_core::event::OutputStream;
use pikoci_core::{Exit, Params, Runner, StepIo, TypeError};
use tokio_util::sync::CancellationToken;

use super::exec::{known, required};
use super::script::PrivateDir;
use crate::process::{self, EnvironmentPolicy, ProcessSpec, find_program};

/// The engines, in order of preference.
const ENGINES: [&str; 2] = ["docker", "podman"];
/// What an engine's client itself reads: the worker's own values reach it, and
/// a step's variable of that name goes into the container only.
const CLIENT_VARIABLES: [&str; 10] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
];
/// Where things of the step are found in the container.
const WORKDIR: &str = "/workdir";
const SCRIPT: &str = "/pikoci/script";
const OUTPUT: &str = "/pikoci/output";
const CACHE: &str = "/pikoci/cache";
/// The exit code by which an engine's client says that it could not run the container.
const ENGINE_FAILED: i32 = 125;
/// How long a client may take to end once its container has, or once it was told to.
const CLIENT_PATIENCE: Duration = Duration::from_secs(1);
/// How long an engine may take to remove a container.
const REMOVE_PATIENCE: Duration = Duration::from_secs(60);

/// Runs a script in a container: `docker { image, cmd, args }`.
///
/// It runs `docker run --rm -v $WORKDIR:/workdir -w /workdir ARGS IMAGE /bin/sh -e SCRIPT`,
/// or the same with `podman` where there is no `docker`. All names the step
/// knows are expanded in `image` and `args`, none in `cmd`. The step's
/// variables are set inside, with `WORKDIR`, `CACHE_DIR` and `PIKOCI_OUTPUT` as they
/// are called there. Neither the script nor any variable's value stands in an
/// argument, where other users of the machine could read it: the script goes
/// by a private file, values by the client's environment.
///
/// The container is named and labelled (`pikoci.build`, `pikoci.step`) after
/// the build and removed whatever happens. What it writes into `/workdir`
/// belongs to the user it runs as, with Docker mostly root; `args = ["--user",
/// "1000:1000"]` changes that. Without `cmd` the image's own command runs.
#[derive(Debug, Clone, Default)]
pub struct DockerRunner {
    environment: Arc<EnvironmentPolicy>,
    client: BTreeMap<OsString, OsString>,
}

impl DockerRunner {
    /// A runner whose client sees what `environment` passes on of this
    /// program's own, and where the engine is (`DOCKER_HOST` and the like).
    pub fn new(environment: Arc<EnvironmentPolicy>) -> Self {
        Self { environment, client: BTreeMap::new() }
    }

    /// The same with a variable set for the engine's client, such as
    /// `DOCKER_HOST` or the `PATH` on which it is looked for; no container sees it.
    #[must_use]
    pub fn with_client_variable(
        mut self,
        name: impl Into<OsString>,
        value: impl Into<OsString>,
    ) -> Self {
        self.client.insert(name.into(), value.into());
        self
    }
}

#[async_trait]
impl Runner for DockerRunner {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["image!", "cmd", "args"])
    }

    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        let container = Container::new(step.context, self)?;
        let exit = container.run(step, params).await;
        let keep = step.context.detached && matches!(exit, Ok(Exit::Code(0)));
        if !keep {
            container.remove().await;
        }
        if exit == Ok(Exit::Code(ENGINE_FAILED)) {
            return Err(TypeError::errored(format!(
                "`{}` could not run the container, see its output",
                container.engine.display()
            ))
            .with_exit_code(ENGINE_FAILED));
        }
        exit
    }
}

/// One container that may come into being.
struct Container {
    engine: PathBuf,
    name: String,
    /// The client's command without arguments.
    client: ProcessSpec,
    /// Goes with everything in it when the container is gone.
    private: PrivateDir,
    grace: Duration,
}

impl Container {
    fn new(context: &StepContext, runner: &DockerRunner) -> Result<Self, TypeError> {
        static CONTAINERS: AtomicU64 = AtomicU64::new(0);
        let mut client = ProcessSpec::for_step("", context, &runner.environment);
        for name in CLIENT_VARIABLES {
            match std::env::var_os(name) {
                Some(value) => client.env.insert(name.into(), value),
                None => client.env.remove(OsStr::new(name)),
            };
        }
        client.env.extend(runner.client.clone());
        let engine = engine(&context.workdir, client.env.get(OsStr::new("PATH")))?;
        client.program = engine.clone().into();
        let step: String = context
            .step
            .as_str()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        Ok(Self {
            engine,
            name: format!(
                "pikoci-{}-{step}-{}-{}",
                context.build.id,
                std::process::id(),
                CONTAINERS.fetch_add(1, Ordering::Relaxed)
            ),
            client,
            private: PrivateDir::new(context)?,
            grace: context.grace,
        })
    }

    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        let args = self.arguments(step.context, params)?;
        let mut spec = self.client.clone().args(args);
        // Once the container had its time, its client gets little.
        spec.grace = CLIENT_PATIENCE;
        let stop_client = CancellationToken::new();
        let client = process::run(spec, step.io, &stop_client);
        let end_container = async {
            step.cancel.cancelled().await;
            let deadline = tokio::time::Instant::now() + self.grace;
            self.ask_to_end().await;
            tokio::time::sleep_until(deadline).await;
            // The client ends with its container.
            self.remove().await;
            tokio::time::sleep(CLIENT_PATIENCE).await;
            stop_client.cancel();
            std::future::pending::<()>().await;
        };
        let exit = tokio::select! {
            exit = client => exit?,
            () = end_container => Exit::Cancelled,
        };
        Ok(match step.cancel.is_cancelled() {
            true => Exit::Cancelled,
            false => exit,
        })
    }

    fn arguments(
        &self,
        context: &StepContext,
        params: &Params,
    ) -> Result<Vec<OsString>, TypeError> {
        let image = known(&required(params, "docker", "image")?, context);
        let mut args: Vec<OsString> = ["run", "--rm", "--name", &self.name].map(Into::into).into();
        args.push("--cidfile".into());
        args.push(self.id_file().into());
        for (label, value) in
            [("build", context.build.id.to_string()), ("step", context.step.to_string())]
        {
            args.push("--label".into());
            args.push(format!("pikoci.{label}={value}").into());
        }
        let mut mount = |host: &Path, inside: &str, options: &str| {
            let mut volume = host.as_os_str().to_owned();
            volume.push(format!(":{inside}{options}"));
            args.push("-v".into());
            args.push(volume);
        };
        mount(&context.workdir, WORKDIR, "");
        let mut moved = vec![("WORKDIR", WORKDIR)];
        if let Some(file) = context.env.0.get("PIKOCI_OUTPUT") {
            mount(Path::new(file), OUTPUT, "");
            moved.push(("PIKOCI_OUTPUT", OUTPUT));
        }
        if let Some(dir) = &context.cache_dir {
            mount(dir, CACHE, "");
            moved.push(("CACHE_DIR", CACHE));
        }
        if let Some(cmd) = params.text("cmd") {
            // Readable for whoever the container runs as; on this machine the
            // directory around it keeps others out.
            let script = self.private.write("script", 0o644, cmd.as_bytes())?;
            mount(&script, SCRIPT, ":ro");
        }
        args.push("-w".into());
        args.push(WORKDIR.into());
        let mut clients = String::new();
        for (name, value) in &context.env.0 {
            if let Some((_, inside)) = moved.iter().find(|(moved, _)| moved == name) {
                args.push("--env".into());
                args.push(format!("{name}={inside}").into());
            } else if CLIENT_VARIABLES.contains(&name.as_str()) {
                if value.contains('\n') {
                    return Err(TypeError::errored(format!(
                        "variable `{name}` holds a line break, which cannot be passed into a container"
                    )));
                }
                clients.push_str(&format!("{name}={value}\n"));
            } else {
                args.push("--env".into());
                args.push(name.into());
            }
        }
        if !clients.is_empty() {
            let file = self.private.write("env", 0o600, clients.as_bytes())?;
            args.push("--env-file".into());
            args.push(file.into());
        }
        args.extend(params.texts("args").iter().map(|arg| known(arg, context).into()));
        args.push(image.into());
        if params.get("cmd").is_some() {
            args.extend(["/bin/sh", "-e", SCRIPT].map(OsString::from));
        }
        Ok(args)
    }

    fn id_file(&self) -> PathBuf {
        self.private.path().join("id")
    }

    /// The container's id, or its name while it has none: `args` may have named it otherwise.
    fn handle(&self) -> String {
        match std::fs::read_to_string(self.id_file()) {
            Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
            _ => self.name.clone(),
        }
    }

    /// Sends SIGTERM to all in the container. By the client's signal alone only
    /// its first process would get it, and a shell that is first ignores it.
    async fn ask_to_end(&self) {
        let words = ["exec", "--user", "0", &self.handle(), "/bin/sh", "-c"];
        let spec = self.client.clone().args(words).args(["kill -TERM -1"]);
        self.quietly(spec, self.grace).await;
    }

    async fn remove(&self) {
        let spec = self.client.clone().args(["rm", "-f", "-v", &self.handle()]);
        self.quietly(spec, REMOVE_PATIENCE).await;
    }

    async fn quietly(&self, mut spec: ProcessSpec, patience: Duration) {
        spec.detached = false;
        spec.grace = CLIENT_PATIENCE;
        let cancel = CancellationToken::new();
        let mut nowhere = Nowhere;
        let run = process::run(spec, &mut nowhere, &cancel);
        let limit = async {
            tokio::time::sleep(patience).await;
            cancel.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            exit = run => if let Err(error) = exit {
                tracing::debug!(%error, container = self.name, "engine did not run");
            },
            () = limit => {}
        }
    }
}

struct Nowhere;

#[async_trait]
impl StepIo for Nowhere {
    async fn output(&mut self, _stream: OutputStream, _chunk: Bytes) {}
}

/// The engine's client on that `PATH`.
fn engine(dir: &Path, path: Option<&OsString>) -> Result<PathBuf, TypeError> {
    let path = path.map(OsString::as_os_str);
    ENGINES
        .iter()
        .find_map(|name| find_program(OsStr::new(name), dir, path).ok())
        .ok_or_else(|| {
            TypeError::errored(format!(
                "neither `docker` nor `podman` found in PATH `{}`: install one of them, or run the step with `shell`",
                path.unwrap_or_default().to_string_lossy()
            ))
        })
}
