//! Runners and types that do what a test tells them and remember how they were called.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::world::{MemoryWorkspace, locked};
use crate::catalog::ParamSpec;
use crate::context::StepRun;
use crate::event::OutputStream;
use crate::name::StepId;
use crate::params::Params;
use crate::secret::SecretFields;
use crate::traits::{
    Exit, NotificationType, Readiness, ReadyPolicy, ResourceType, Runner, SecretType,
    ServiceStarted, ServiceType, TypeError,
};
use crate::value::Value;
use crate::version::{Metadata, Version};

/// How something scripted was called.
#[derive(Clone, PartialEq)]
pub struct Call {
    /// What was called: `run`, `check`, `pull`, `push`, `start`, `ready`, `stop`, `get`, `notify`.
    pub what: &'static str,
    /// The step.
    pub step: StepId,
    /// What the step was called.
    pub name: String,
    /// Where it ran.
    pub workdir: std::path::PathBuf,
    /// The variables it saw.
    pub env: BTreeMap<String, String>,
    /// Its parameters as texts; those of a `put` or `notify` over those of the declaration.
    pub params: BTreeMap<String, String>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.what, self.step, self.params)
    }
}

/// The calls of everything that shares it, in order.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// All so far.
    pub fn all(&self) -> Vec<Call> {
        locked(&self.0).clone()
    }

    /// All so far as `what step`.
    pub fn short(&self) -> Vec<String> {
        self.all().iter().map(|call| format!("{} {}", call.what, call.step)).collect()
    }

    fn add(&self, what: &'static str, step: &StepRun<'_>, params: &[&Params]) {
        let context = step.context;
        locked(&self.0).push(Call {
            what,
            step: context.step.clone(),
            name: context.name.clone(),
            workdir: context.workdir.clone(),
            env: context.env.0.clone(),
            params: params
                .iter()
                .flat_map(|params| params.iter())
                .map(|(name, value)| (name.to_owned(), value.to_text().unwrap_or_default()))
                .collect(),
        });
    }
}

/// How a scripted call ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// As a command that exits with this code.
    Exit(i32),
    /// As a command that this signal ends.
    Signal(i32),
    /// Only when it is told to stop.
    Hang,
    /// Never, not even when it is told to stop.
    Stuck,
    /// With an error of the machinery.
    Error(String),
    /// With a refusal.
    Refuse(String),
    /// With a panic.
    Panic(&'static str),
}

/// What a scripted call does.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// What it puts out, piece by piece.
    pub output: Vec<(OutputStream, Bytes)>,
    /// The variables whose values it puts out after that.
    pub variables: Vec<String>,
    /// The file in its working directory that it puts out after that.
    pub file: Option<String>,
    /// How long it takes (on tokio's clock); being told to stop ends it earlier.
    pub delay: Duration,
    /// What it writes to `$PIKOCI_OUTPUT`, where it has a [`MemoryWorkspace`].
    pub exports: Option<Vec<u8>>,
    /// The file it makes, likewise.
    pub creates: Option<String>,
    /// How it ends.
    pub end: End,
}

impl Script {
    /// Ends like this, at once and silently.
    pub fn new(end: End) -> Self {
        Self {
            output: Vec::new(),
            variables: Vec::new(),
            file: None,
            delay: Duration::ZERO,
            exports: None,
            creates: None,
            end,
        }
    }

    /// Succeeds.
    pub fn ok() -> Self {
        Self::new(End::Exit(0))
    }

    /// Exits with `code`.
    pub fn exit(code: i32) -> Self {
        Self::new(End::Exit(code))
    }

    /// Puts out `text` on standard output.
    #[must_use]
    pub fn says(mut self, text: impl Into<Bytes>) -> Self {
        self.output.push((OutputStream::Stdout, text.into()));
        self
    }

    /// Puts out the value of a variable on standard output.
    #[must_use]
    pub fn shows_variable(mut self, name: impl Into<String>) -> Self {
        self.variables.push(name.into());
        self
    }

    /// Puts out a real file of its working directory on standard output.
    #[must_use]
    pub fn shows_file(mut self, path: impl Into<String>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Takes this long.
    #[must_use]
    pub fn takes(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Writes `text` to `$PIKOCI_OUTPUT`.
    #[must_use]
    pub fn exports(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.exports = Some(text.into());
        self
    }

    /// Makes a file.
    #[must_use]
    pub fn creates(mut self, path: impl Into<String>) -> Self {
        self.creates = Some(path.into());
        self
    }

    async fn play(
        &self,
        step: &mut StepRun<'_>,
        workspace: Option<&MemoryWorkspace>,
    ) -> Result<Exit, TypeError> {
        for (stream, piece) in &self.output {
            step.io.output(*stream, piece.clone()).await;
        }
        for name in &self.variables {
            let value = step.context.env.0.get(name).cloned().unwrap_or_default();
            step.io.output(OutputStream::Stdout, value.into()).await;
        }
        if let Some(path) = &self.file {
            let path = step.context.workdir.join(path);
            let content = std::fs::read(&path)
                .map_err(|error| TypeError::errored(format!("`{}`: {error}", path.display())))?;
            step.io.output(OutputStream::Stdout, content.into()).await;
        }
        if let Some(workspace) = workspace {
            if let (Some(text), Some(path)) =
                (&self.exports, step.context.env.0.get("PIKOCI_OUTPUT"))
            {
                workspace.write_output(Path::new(path), text.clone());
            }
            if let Some(path) = &self.creates {
                workspace.put(path, "made");
            }
        }
        if !self.delay.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(self.delay) => {}
                () = step.cancel.cancelled() => return Ok(Exit::Cancelled),
            }
        }
        match &self.end {
            End::Exit(code) => Ok(Exit::Code(*code)),
            End::Signal(signal) => Ok(Exit::Signal(*signal)),
            End::Hang => {
                step.cancel.cancelled().await;
                Ok(Exit::Cancelled)
            }
            End::Stuck => std::future::pending().await,
            End::Error(message) => Err(TypeError::errored(message.clone())),
            End::Refuse(message) => Err(TypeError::failed(message.clone())),
            End::Panic(message) => std::panic::panic_any(*message),
        }
    }

    /// The same for what is no command: another exit than 0 is a refusal.
    async fn play_type(
        &self,
        step: &mut StepRun<'_>,
        workspace: Option<&MemoryWorkspace>,
    ) -> Result<(), TypeError> {
        match self.play(step, workspace).await? {
            Exit::Code(0) => Ok(()),
            Exit::Code(code) => {
                Err(TypeError::failed(format!("exit code {code}")).with_exit_code(code))
            }
            Exit::Signal(signal) => Err(TypeError::failed(format!("ended by signal {signal}"))),
            Exit::Cancelled => Err(TypeError::cancelled()),
        }
    }
}

/// The scripts of each name, and which comes next.
type ByName = BTreeMap<String, (usize, Vec<Script>)>;

/// Scripts by name; each call of a name takes its next script, the last one for ever.
#[derive(Debug, Clone, Default)]
struct Scripts(Arc<Mutex<ByName>>);

impl Scripts {
    fn set(&self, name: &str, scripts: Vec<Script>) {
        locked(&self.0).insert(name.to_owned(), (0, scripts));
    }

    fn next(&self, name: &str) -> Script {
        let mut all = locked(&self.0);
        let Some((next, scripts)) = all.get_mut(name) else { return Script::ok() };
        let script = scripts.get(*next).or(scripts.last()).cloned();
        *next += 1;
        script.unwrap_or_else(Script::ok)
    }
}

/// A runner that plays the script of the name in its `cmd` (or `path`)
/// parameter; a name without a script succeeds.
#[derive(Debug, Clone, Default)]
pub struct ScriptedRunner {
    calls: Calls,
    scripts: Scripts,
    workspace: Option<MemoryWorkspace>,
}

impl ScriptedRunner {
    /// One whose calls go to `calls`.
    pub fn new(calls: &Calls) -> Self {
        Self { calls: calls.clone(), ..Self::default() }
    }

    /// Has scripts write to this workspace.
    #[must_use]
    pub fn in_workspace(mut self, workspace: &MemoryWorkspace) -> Self {
        self.workspace = Some(workspace.clone());
        self
    }

    /// Sets the scripts of a name, one for each call, the last one for all that follow.
    #[must_use]
    pub fn on(self, name: &str, scripts: impl IntoIterator<Item = Script>) -> Self {
        self.scripts.set(name, scripts.into_iter().collect());
        self
    }
}

#[async_trait]
impl Runner for ScriptedRunner {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        self.calls.add("run", step, &[params]);
        let name = params.text("cmd").or_else(|| params.text("path")).unwrap_or_default();
        self.scripts.next(&name).play(step, self.workspace.as_ref()).await
    }
}

macro_rules! scripted_type {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $default:expr, #[$field_doc:meta];)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            calls: Calls,
            scripts: Scripts,
            workspace: Option<MemoryWorkspace>,
            $(#[$field_doc] pub $field: $type,)*
        }

        impl $name {
            /// One that succeeds at everything and whose calls go to `calls`.
            pub fn new(calls: &Calls) -> Self {
                Self {
                    calls: calls.clone(),
                    scripts: Scripts::default(),
                    workspace: None,
                    $($field: $default,)*
                }
            }

            /// Has scripts write to this workspace.
            #[must_use]
            pub fn in_workspace(mut self, workspace: &MemoryWorkspace) -> Self {
                self.workspace = Some(workspace.clone());
                self
            }

            /// Sets the scripts of a method, one for each call, the last one for all that follow.
            #[must_use]
            pub fn on(self, method: &str, scripts: impl IntoIterator<Item = Script>) -> Self {
                self.scripts.set(method, scripts.into_iter().collect());
                self
            }

            async fn play(
                &self,
                what: &'static str,
                step: &mut StepRun<'_>,
                params: &[&Params],
            ) -> Result<(), TypeError> {
                self.calls.add(what, step, params);
                self.scripts.next(what).play_type(step, self.workspace.as_ref()).await
            }
        }
    };
}

scripted_type! {
    /// A resource type with scripts for `check`, `pull` and `push`.
    ScriptedResource {
        versions: Vec<Version> = Vec::new(), #[doc = "What a check answers."];
        metadata: Metadata = Metadata::new(), #[doc = "What a pull answers."];
        made: Option<Version> = None, #[doc = "What a push answers."];
    }
}

#[async_trait]
impl ResourceType for ScriptedResource {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn check(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError> {
        self.play("check", step, &[params]).await?;
        let start = match from {
            Some(from) => self.versions.iter().position(|it| it == from).unwrap_or(0),
            None => self.versions.len().saturating_sub(1),
        };
        Ok(self.versions.iter().skip(start).cloned().collect())
    }

    async fn pull(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        _version: &Version,
    ) -> Result<Metadata, TypeError> {
        self.play("pull", step, &[params]).await?;
        Ok(self.metadata.clone())
    }

    async fn push(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        put: &Params,
    ) -> Result<Option<Version>, TypeError> {
        self.play("push", step, &[params, put]).await?;
        Ok(self.made.clone())
    }
}

scripted_type! {
    /// A service type with scripts for `start`, `ready` and `stop`. A `ready`
    /// whose script exits with another code than 0 is not ready yet. Of a script
    /// for `ready_policy` only a panic counts.
    ScriptedService {
        policy: Option<ReadyPolicy> = Some(ReadyPolicy {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(60),
        }), #[doc = "What `ready_policy` answers."];
        exports: BTreeMap<String, String> = BTreeMap::new(), #[doc = "What a start answers."];
    }
}

#[async_trait]
impl ServiceType for ScriptedService {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    fn ready_policy(&self) -> Option<ReadyPolicy> {
        if let End::Panic(message) = self.scripts.next("ready_policy").end {
            std::panic::panic_any(message);
        }
        self.policy
    }

    async fn start(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
    ) -> Result<ServiceStarted, TypeError> {
        self.play("start", step, &[params]).await?;
        Ok(ServiceStarted { exports: self.exports.clone() })
    }

    async fn ready(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Readiness, TypeError> {
        match self.play("ready", step, &[params]).await {
            Ok(()) => Ok(Readiness::Ready),
            Err(error) if error.exit_code.is_some() => Ok(Readiness::NotYet(error.message)),
            Err(error) => Err(error),
        }
    }

    async fn stop(&self, step: &mut StepRun<'_>, params: &Params) -> Result<(), TypeError> {
        self.play("stop", step, &[params]).await
    }
}

scripted_type! {
    /// A secret type with a script for `get` and secrets by their `path` parameter.
    ScriptedSecret {
        secrets: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new(),
            #[doc = "The fields of each secret, by path."];
    }
}

impl ScriptedSecret {
    /// Adds a field to the secret at `path`.
    #[must_use]
    pub fn holds(mut self, path: &str, key: &str, value: &str) -> Self {
        self.secrets.entry(path.into()).or_default().insert(key.into(), value.into());
        self
    }
}

#[async_trait]
impl SecretType for ScriptedSecret {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn get(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
    ) -> Result<SecretFields, TypeError> {
        self.play("get", step, &[params]).await?;
        let path = params.text("path").unwrap_or_default();
        let fields = self
            .secrets
            .get(&path)
            .ok_or_else(|| TypeError::errored(format!("there is no secret at `{path}`")))?;
        Ok(fields.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect())
    }
}

scripted_type! {
    /// A notification type with a script for `notify`.
    ScriptedNotification {}
}

#[async_trait]
impl NotificationType for ScriptedNotification {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn notify(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        notify: &Params,
    ) -> Result<(), TypeError> {
        self.play("notify", step, &[params, notify]).await
    }
}

/// A parameter set from texts.
pub fn params<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Params {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
