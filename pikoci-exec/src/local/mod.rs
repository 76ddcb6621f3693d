//! Running jobs of a pipeline right here, with no server: `pikoci run` as a library.
//!
//! [`LocalRun`] takes a checked pipeline and runs one job or all of them in
//! dependency order. Every job is a build with an event stream of its own, the
//! same that a server would write.

mod flow;
mod overrides;
mod run;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::clock::{Clock, SystemClock};
use pikoci_core::context::BuildContext;
use pikoci_core::pipeline::Job;
use pikoci_core::plan::{BuildResult, EventSink};
use pikoci_core::{Pipeline, Status, Types};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::declared::{TypesError, types_for};
use crate::journal::{FileJournal, Recovered};
use crate::workspace::DirWorkspace;

/// Which jobs to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum JobChoice {
    /// The only job of the pipeline; an error when it has several.
    #[default]
    Only,
    /// The job of this name.
    One(String),
    /// Every job, each after those that its `passed` names.
    All,
}

/// How to run.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Which jobs.
    pub jobs: JobChoice,
    /// Values of the jobs' `input` blocks, by name.
    pub input_values: BTreeMap<String, String>,
    /// Directories or files that stand for resources, by `type.name`: their
    /// gets copy these as they are, their puts push nothing.
    pub overrides: BTreeMap<String, PathBuf>,
    /// Whether workspaces stay after the build.
    pub keep: bool,
    /// The name of the worker in the events.
    pub worker: String,
    /// Time between the polite and the hard end of processes.
    pub grace: Duration,
    /// Where workspaces are made; `None` is [`DirWorkspace::default_root`].
    pub workspaces: Option<PathBuf>,
    /// Where caches are kept; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// How many bytes all caches together may have.
    pub cache_limit_bytes: u64,
    /// Where the journal is; `None` is a directory beside the workspaces.
    pub journal: Option<PathBuf>,
    /// Variables for every step besides those of the build. Without a
    /// `TRACEPARENT` here, every build gets one: a new span in the trace that
    /// this process's own `TRACEPARENT` names, or else a new trace.
    pub env: BTreeMap<String, String>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for LocalOptions {
    /// The only job, with the user's own cache and journal directories.
    fn default() -> Self {
        Self {
            jobs: JobChoice::Only,
            input_values: BTreeMap::new(),
            overrides: BTreeMap::new(),
            keep: false,
            worker: "local".into(),
            grace: Duration::from_secs(10),
            workspaces: None,
            cache: DirWorkspace::default_cache(),
            cache_limit_bytes: Cache::DEFAULT_LIMIT_BYTES,
            journal: FileJournal::default_directory(),
            env: BTreeMap::new(),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

/// Why nothing can be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The pipeline has no job.
    #[error("the pipeline has no job")]
    NoJobs,
    /// One must be named.
    #[error("the pipeline has {count} jobs; name one of them or ask for all: {names}")]
    SeveralJobs {
        /// How many.
        count: usize,
        /// Their names.
        names: String,
    },
    /// There is no job of that name.
    #[error("there is no job `{name}`; the pipeline has {names}")]
    NoSuchJob {
        /// The name.
        name: String,
        /// The names there are.
        names: String,
    },
    /// A job needs another that needs it.
    #[error("jobs wait for each other in `passed`: {names}")]
    Cycle {
        /// The jobs that are left.
        names: String,
    },
    /// A resource to override does not exist.
    #[error("there is no resource `{name}`; the pipeline has {names}")]
    NoSuchResource {
        /// The name, as `type.name`.
        name: String,
        /// The names there are.
        names: String,
    },
    /// What stands for a resource does not exist.
    #[error("`{path}` cannot stand for resource `{name}`: {error}", path = path.display())]
    Override {
        /// The resource.
        name: String,
        /// The path given.
        path: PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// Values for inputs of jobs are missing, unknown or not allowed.
    #[error("{}", problems.join("\n"))]
    Inputs {
        /// What is wrong, each a sentence.
        problems: Vec<String>,
    },
    /// The pipeline's types cannot be set up.
    #[error(transparent)]
    Types(#[from] TypesError),
    /// A directory cannot be used.
    #[error("cannot use the directory for workspaces: {error}")]
    Workspaces {
        /// What is wrong with it; names the directory.
        error: std::io::Error,
    },
}

/// What became of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobOutcome {
    /// The job.
    pub job: String,
    /// How its build ended; `None` when it was not run.
    pub result: Option<BuildResult>,
    /// Why it was not run, in a sentence.
    pub not_run: Option<String>,
    /// Its working directory, where it was kept.
    pub workspace: Option<PathBuf>,
    /// What could not be tidied up after it, each a sentence.
    pub problems: Vec<String>,
}

/// What became of all.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalResult {
    /// Every job asked for, in the order they ran.
    pub jobs: Vec<JobOutcome>,
    /// The worst status of those that ran.
    pub status: Status,
    /// Builds of an earlier process that died, which were undone first.
    pub recovered: Vec<Recovered>,
}

/// Makes the sink that takes the events of one build.
pub type SinkFactory<'a> = dyn Fn(&BuildContext) -> Arc<dyn EventSink> + Send + Sync + 'a;

/// Jobs of a pipeline, ready to run.
pub struct LocalRun {
    pipeline: Arc<Pipeline>,
    types: Arc<Types>,
    base: Types,
    /// Indexes into the pipeline's jobs, in the order to run.
    order: Vec<usize>,
    options: LocalOptions,
}

impl fmt::Debug for LocalRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRun").field("options", &self.options).finish_non_exhaustive()
    }
}

impl LocalRun {
    /// Gets ready: chooses the jobs, lays the pipeline's types over `base` and
    /// puts the overrides in place. Touches no file but the overrides'.
    ///
    /// # Errors
    /// When what is asked for cannot be run.
    pub fn new(
        mut pipeline: Pipeline,
        base: &Types,
        options: LocalOptions,
    ) -> Result<Self, LocalError> {
        let order = flow::order(&pipeline, &options.jobs)?;
        let jobs: Vec<&Job> = order.iter().filter_map(|index| pipeline.jobs.get(*index)).collect();
        run::check_inputs(&jobs, &options)?;
        let mut types = types_for(&pipeline, base)?;
        overrides::apply(&mut pipeline, &mut types, &options.overrides)?;
        Ok(Self {
            pipeline: Arc::new(pipeline),
            types: Arc::new(types),
            base: base.clone(),
            order,
            options,
        })
    }

    /// The names of the jobs, in the order they will run.
    pub fn jobs(&self) -> impl Iterator<Item = &str> {
        self.order.iter().filter_map(|index| self.pipeline.jobs.get(*index)).map(|job| &*job.name)
    }

    /// Undoes what dead builds left, then runs the jobs, one after the other.
    /// `sinks` is asked for a sink once for every build. When `cancel` fires the
    /// running build is cancelled and no other one begins.
    ///
    /// # Errors
    /// When there is no place for workspaces. What goes wrong with a build is
    /// in the result.
    pub async fn run(
        &self,
        sinks: &SinkFactory<'_>,
        cancel: &CancellationToken,
    ) -> Result<LocalResult, LocalError> {
        run::run(self, sinks, cancel).await
    }
}

#[cfg(test)]
mod tests;
