//! What a step knows about where it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::name::{BuildId, BuildName, StepId};
use crate::params::{Attributes, Params};
use crate::pipeline::Location;
use crate::traits::{StepIo, TypeError};
use crate::value::Value;

/// What a build is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildContext {
    /// Its id.
    pub id: BuildId,
    /// What people call it.
    pub name: BuildName,
    /// Its page, where there is one.
    pub url: Option<String>,
}

/// Environment variables. Secrets may be among them, so `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a step knows about where it runs.
#[derive(Debug, Clone)]
pub struct StepContext {
    /// The build.
    pub build: Arc<BuildContext>,
    /// The step.
    pub step: StepId,
    /// What people call the step.
    pub name: String,
    /// The directory it runs in; it exists.
    pub workdir: PathBuf,
    /// A directory that outlives the build, where the step has one.
    pub cache_dir: Option<PathBuf>,
    /// The variables it sees: `BUILD_*`, `GET_*`, `param_*` and so on,
    /// `WORKDIR` and `PIKOCI_OUTPUT` among them. A runner passes all of them on.
    pub env: Environment,
    /// Time between the polite and the hard end of its processes.
    pub grace: Duration,
    /// Whether processes it leaves behind are meant to live until the build ends
    /// (a service's start) instead of ending with the step.
    pub detached: bool,
    /// Where it is written.
    pub location: Location,
}

/// A step at work: its context, where its output goes and when to stop.
pub struct StepRun<'a> {
    /// What it knows.
    pub context: &'a StepContext,
    /// Where its output goes.
    pub io: &'a mut dyn StepIo,
    /// Fires when it must stop.
    pub cancel: &'a CancellationToken,
    /// Knows the secrets that a type's own declaration names.
    pub secrets: &'a dyn Resolve,
}

impl<'a> StepRun<'a> {
    /// A step that knows no secrets.
    pub fn new(
        context: &'a StepContext,
        io: &'a mut dyn StepIo,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self { context, io, cancel, secrets: &NoSecrets }
    }

    /// The same with somebody who knows secrets.
    #[must_use]
    pub fn with_secrets(mut self, secrets: &'a dyn Resolve) -> Self {
        self.secrets = secrets;
        self
    }

    /// Attributes with the secrets put in, as [`Resolve::resolve`] does; where
    /// nothing is deferred nobody is asked.
    ///
    /// # Errors
    /// When a secret cannot be had; the message names the variable.
    pub async fn resolve(&mut self, attributes: &Attributes) -> Result<Params, TypeError> {
        if !attributes.values().any(Value::is_deferred) {
            return Ok(Params::new(attributes.clone()));
        }
        let secrets = self.secrets;
        secrets.resolve(attributes, self).await
    }
}

/// Puts secrets in the place of their placeholders. The engine's knows the
/// pipeline's variables; [`StepRun::resolve`] is how an implementation asks it.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The attributes with every deferred value known and everything else as
    /// it is: names such as `$WORKDIR` are not expanded. Whatever is fetched
    /// for it MUST be kept out of what is shown before this returns. Fetches
    /// anew at every call; `step` is who asks.
    ///
    /// # Errors
    /// When a secret cannot be had; the message names the variable.
    async fn resolve(
        &self,
        attributes: &Attributes,
        step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError>;
}

/// Knows no secret: every deferred value is an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

#[async_trait]
impl Resolve for NoSecrets {
    async fn resolve(
        &self,
        attributes: &Attributes,
        _step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError> {
        match attributes.values().flat_map(Value::secret_variables).next() {
            None => Ok(Params::new(attributes.clone())),
            Some(variable) => Err(TypeError::errored(format!(
                "variable `{variable}` is a secret, and no secrets are known here"
            ))),
        }
    }
}

impl fmt::Debug for StepRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepRun").field("context", self.context).finish_non_exhaustive()
    }
}
