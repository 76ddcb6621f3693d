//! The traits that make up a build's world; each is a contract with strangers.
//!
//! All are object-safe and shared between builds: an implementation keeps
//! nothing about one build in itself. A method gets a [`StepRun`]: what the
//! step knows, where its output goes and a token that says when to stop.
//! Unless a method says otherwise, dropping its future is not a way to stop
//! it: fire the token and await the end.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalog::ParamSpec;
use crate::context::StepRun;
use crate::event::OutputStream;
use crate::name::{BuildId, BuildName, StepId};
use crate::params::{Attributes, Params};
use crate::pipeline::{Pipeline, ReadyCheck};
use crate::secret::SecretFields;
use crate::version::{Metadata, Version};

/// Takes what a step prints.
#[async_trait]
pub trait StepIo: Send {
    /// Takes one chunk of output, of any size and with borders anywhere. A
    /// slow taker slows the one who prints.
    async fn output(&mut self, stream: OutputStream, chunk: Bytes);
}

/// How a command ended. A script that exits non-zero is an outcome, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The step's token fired and it was ended.
    Cancelled,
}

/// Why something could not do its work, told as a person needs it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct TypeError {
    /// Whose fault it is.
    pub kind: TypeErrorKind,
    /// What failed, with names and values (never a secret).
    pub message: String,
    /// The exit code of the command that failed, where there was one.
    pub exit_code: Option<i32>,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeErrorKind {
    /// The thing itself said no: a push that was refused. The step counts as failed.
    Failed,
    /// The machinery could not. The step counts as errored.
    Errored,
    /// The step's token fired.
    Cancelled,
}

impl TypeError {
    /// The thing itself said no.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { kind: TypeErrorKind::Failed, message: message.into(), exit_code: None }
    }

    /// The machinery could not.
    pub fn errored(message: impl Into<String>) -> Self {
        Self { kind: TypeErrorKind::Errored, message: message.into(), exit_code: None }
    }

    /// The step's token fired.
    pub fn cancelled() -> Self {
        Self { kind: TypeErrorKind::Cancelled, message: "cancelled".into(), exit_code: None }
    }

    /// The same with the exit code of the command that failed.
    #[must_use]
    pub fn with_exit_code(mut self, code: i32) -> Self {
        self.exit_code = Some(code);
        self
    }
}

/// Where a command runs: on this machine, in a container, elsewhere.
///
/// That it is [`Any`] lets those who know a runner's type ask it for more.
#[async_trait]
pub trait Runner: Any + fmt::Debug + Send + Sync {
    /// The parameters a `run` block may have.
    fn params(&self) -> ParamSpec;

    /// Runs one command to its end and hands its output to `step.io`.
    ///
    /// MUST pass on every variable of `step.context.env`. When `step.cancel`
    /// fires it MUST end the command with everything it started and answer
    /// [`Exit::Cancelled`]. When it returns, nothing the command started is
    /// left, unless `step.context.detached`.
    ///
    /// # Errors
    /// When the command could not be run at all (no such program, bad
    /// parameter); the step then counts as errored.
    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError>;
}

/// Something outside that has versions.
#[async_trait]
pub trait ResourceType: fmt::Debug + Send + Sync + 'static {
    /// The parameters a `resource` may have.
    fn params(&self) -> ParamSpec;

    /// The parameters a `get` may have besides; they go over the resource's own.
    fn get_params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    /// The parameters a `put` may have.
    fn put_params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    /// The versions since `from`, oldest first, `from` itself included where it
    /// still exists; without `from`, only the newest. May be called at any time and repeatedly.
    ///
    /// # Errors
    /// When the versions cannot be found out.
    async fn check(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError>;

    /// Fetches `version` into the working directory.
    ///
    /// # Errors
    /// When it cannot be fetched.
    async fn pull(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        version: &Version,
    ) -> Result<Metadata, TypeError>;

    /// Pushes what `put` says and answers the version that this made, if it knows one.
    /// Not repeatable: the engine calls it once an attempt.
    ///
    /// # Errors
    /// [`TypeErrorKind::Failed`] when the push was refused.
    async fn push(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        put: &Params,
    ) -> Result<Option<Version>, TypeError>;
}

/// What the start of a service tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceStarted {
    /// Variables for later steps, by key: `PORT` becomes `SERVICE_<NAME>_PORT`.
    pub exports: BTreeMap<String, String>,
}

/// Whether a service is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is.
    Ready,
    /// Not yet, and what it said.
    NotYet(String),
}

/// Something that runs beside the tasks of a build.
///
/// The life of one service of one build:
/// 1. [`start`](Self::start), once.
/// 2. [`ready`](Self::ready), again and again, only if `start` succeeded and
///    [`ready_policy`](Self::ready_policy) asks for it.
/// 3. [`stop`](Self::stop), always: also when `start` failed or was cancelled,
///    possibly in another process after a crash, possibly twice. It MUST cope
///    with a service that never came up and touch no other build.
#[async_trait]
pub trait ServiceType: fmt::Debug + Send + Sync + 'static {
    /// The parameters a `service` step may have.
    fn params(&self) -> ParamSpec;

    /// How often and how long to ask for readiness; `None` when it is ready once started.
    fn ready_policy(&self) -> Option<ReadyPolicy>;

    /// Starts the service. `step.context.detached` is set: what it leaves behind lives on.
    ///
    /// # Errors
    /// When it did not start.
    async fn start(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
    ) -> Result<ServiceStarted, TypeError>;

    /// Asks once whether the service is ready.
    ///
    /// # Errors
    /// When asking makes no sense any more (no such program); "not yet" is no error.
    async fn ready(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Readiness, TypeError>;

    /// Stops the service. May be called more than once.
    ///
    /// # Errors
    /// When it could not be stopped; the engine logs this and goes on.
    async fn stop(&self, step: &mut StepRun<'_>, params: &Params) -> Result<(), TypeError>;
}

/// How often and how long to ask a service for readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyPolicy {
    /// Time between two questions.
    pub interval: Duration,
    /// Time after which the service counts as not coming up.
    pub timeout: Duration,
}

impl From<&ReadyCheck> for ReadyPolicy {
    fn from(check: &ReadyCheck) -> Self {
        Self { interval: check.interval, timeout: check.timeout }
    }
}

/// Where secrets come from.
#[async_trait]
pub trait SecretType: fmt::Debug + Send + Sync + 'static {
    /// The parameters a `secret` block may have, besides `key`.
    fn params(&self) -> ParamSpec;

    /// Fetches one secret. May be called repeatedly; every use of a secret calls it anew.
    ///
    /// # Errors
    /// When there is no such secret or it cannot be had. The message MUST hold no secret.
    async fn get(&self, step: &mut StepRun<'_>, params: &Params)
    -> Result<SecretFields, TypeError>;
}

/// Where notifications go.
#[async_trait]
pub trait NotificationType: fmt::Debug + Send + Sync + 'static {
    /// The parameters a `notification` may have.
    fn params(&self) -> ParamSpec;

    /// Sends one notification. `params` are those of the declaration;
    /// `notify` holds what this one says: `message`, `status` and so on.
    ///
    /// # Errors
    /// When it was not sent; never changes a build's result.
    async fn notify(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        notify: &Params,
    ) -> Result<(), TypeError>;
}

/// The files of a build, as far as the engine itself looks at them.
///
/// Paths are relative to the build's working directory; one that leads out of
/// it (`..`, an absolute path) MUST be refused with `InvalidInput`.
pub trait Workspace: fmt::Debug + Send + Sync {
    /// The absolute path of the working directory; it exists.
    fn root(&self) -> &Path;

    /// Whether something exists at `path`.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn exists(&self, path: &str) -> std::io::Result<bool>;

    /// The absolute path of `path`, for a directory that must exist.
    ///
    /// # Errors
    /// When it does not exist, is no directory or leads out of the workspace.
    fn directory(&self, path: &str) -> std::io::Result<std::path::PathBuf>;

    /// An empty file outside the working directory that a step writes its
    /// `KEY=VALUE` lines to and no other step at that time; its absolute path.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create_output_file(&self, step: &StepId) -> std::io::Result<std::path::PathBuf>;

    /// What stands in a file made by [`create_output_file`](Self::create_output_file),
    /// at most `limit` bytes and one more (so that too much can be told). The
    /// file is the workspace's again: it is removed, or serves another step.
    ///
    /// # Errors
    /// When it cannot be read.
    fn take_output_file(&self, path: &Path, limit: usize) -> std::io::Result<Vec<u8>>;

    /// A directory that outlives the build, one per `key`; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    fn cache_dir(&self, key: &str) -> std::io::Result<Option<std::path::PathBuf>>;
}

/// A service that may run, with all it takes to stop it after a crash.
/// Secrets in `params` are still placeholders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// The build.
    pub build: BuildId,
    /// What people call the build.
    pub name: BuildName,
    /// The service step.
    pub step: StepId,
    /// The service type's name.
    pub service_type: String,
    /// The step's parameters.
    pub params: Attributes,
    /// The variables without a secret in them that the service's commands see.
    pub env: BTreeMap<String, String>,
    /// The build's working directory.
    pub workdir: std::path::PathBuf,
}

/// Remembers what must be undone after a crash. What a method returned `Ok`
/// for MUST survive the death of the process.
pub trait Journal: fmt::Debug + Send + Sync {
    /// A build begins; its pipeline is what a later recovery reads types from.
    ///
    /// # Errors
    /// When it cannot be remembered; the build then errors before its first step.
    fn build_started(&self, build: BuildId, pipeline: &Pipeline) -> std::io::Result<()>;

    /// A service is about to start.
    ///
    /// # Errors
    /// When it cannot be remembered; the service is then not started.
    fn service_starting(&self, record: &ServiceRecord) -> std::io::Result<()>;

    /// The stop of a service was run.
    ///
    /// # Errors
    /// When it cannot be remembered; it may then be stopped a second time.
    fn service_stopped(&self, build: BuildId, step: &StepId) -> std::io::Result<()>;

    /// The build ended and nothing of it is left.
    ///
    /// # Errors
    /// When it cannot be remembered.
    fn build_finished(&self, build: BuildId) -> std::io::Result<()>;
}
