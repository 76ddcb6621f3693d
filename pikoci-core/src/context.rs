//! What a step knows about where it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::name::{BuildId, BuildName, StepId};
use crate::pipeline::Location;
use crate::traits::StepIo;

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
}

impl fmt::Debug for StepRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepRun").field("context", self.context).finish_non_exhaustive()
    }
}
