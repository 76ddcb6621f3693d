//! The plan interpreter: runs a job's steps over the traits and tells every step in events.
//!
//! [`execute`] runs one build in the order that people read it: the steps,
//! the job's hooks (services still up), the stops of the services in reverse
//! order, the notifications, and [`BuildFinished`](crate::EventKind::BuildFinished),
//! once and last. What goes wrong becomes a status and a reason, never a panic:
//! *failed* where the code under test said no, *errored* where the machinery
//! could not.
//!
//! - Everything that runs listens to one tree of tokens: the build's, and below
//!   it one for each attempt of each step. Hooks, stops and notifications get
//!   tokens of their own, for they run after a cancellation too; their time is bounded.
//! - What a step puts out goes through the build's [`Masker`],
//!   stream by stream, before it becomes an event; so does every reason,
//!   variable, version and fact that an event holds.
//! - Values that a secret is part of are resolved for each attempt anew.

mod checks;
mod environment;
mod exports;
mod hooks;
mod interpret;
mod job_inputs;
mod leaf;
mod notifications;
mod outcome;
mod parallel;
mod recorder;
mod resolve;
mod resume;
mod service;
mod stop;
#[cfg(test)]
mod tests;

pub mod inputs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::context::{BuildContext, Environment};
use crate::event::Event;
use crate::mask::Masker;
use crate::name::{BuildName, StepId};
use crate::pipeline::Pipeline;
use crate::status::Status;
use crate::traits::{Journal, Workspace};
use crate::types::Types;
use crate::version::Version;

/// Takes the events of a build, in order, one call at a time.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Takes the next event. A slow taker slows the build. The event MUST be
    /// taken by the first poll: a step that does not come back is dropped, and
    /// this with it, and there must be no gap then.
    async fn event(&self, event: Event);
}

/// One build to run: which job of which pipeline, with which versions and values.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    /// What it is called; `name.job` names the job.
    pub context: BuildContext,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The version for each get, by the get's name (resource name).
    pub inputs: BTreeMap<String, Version>,
    /// Whether gets that `inputs` does not name take what a check finds when the
    /// build begins: each of [`inputs::missing_checks`] is a step of type
    /// [`Check`](crate::event::StepType::Check) between the build's creation and
    /// [`InputsResolved`](crate::event::EventKind::InputsResolved), all at the same
    /// time; [`inputs::choose`] picks from what they found. Without this, a get
    /// that `inputs` does not name errors the build.
    pub check_missing: bool,
    /// The values of the job's `input` blocks, by name; defaults are filled in by the engine.
    pub input_values: BTreeMap<String, String>,
    /// Which attempt of this build this is, from 1 (`BUILD_ATTEMPT`).
    pub attempt: u32,
    /// How the job's build before this one ended, where there was one; decides
    /// about notifications for `broken` and `fixed`.
    pub previous: Option<Status>,
    /// Where the beginning of the log is written already.
    pub begun: Option<Begun>,
    /// Where to go on instead of beginning with the first step.
    pub resume: Option<ResumeAt>,
}

/// The log of a build has a beginning: [`BuildCreated`](crate::EventKind::BuildCreated),
/// [`InputsResolved`](crate::EventKind::InputsResolved) with all that is in
/// [`BuildSpec::inputs`], and [`BuildStarted`](crate::EventKind::BuildStarted)
/// are in it, and nothing is checked any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The number of the next event.
    pub next_event: u64,
}

/// Where a build goes on in the workspace that an earlier one left.
///
/// The steps of the job's own plan before [`FailedAt::step`] are skipped, but
/// for services, which are started again; what they exported stands.
#[derive(Debug, Clone)]
pub struct ResumeAt {
    /// The earlier build.
    pub build: BuildName,
    /// Where it failed.
    pub at: FailedAt,
    /// The versions that its gets fetched; they count as fetched by this build too.
    pub inputs: BTreeMap<String, Version>,
    /// The versions that its puts made; they count as made by this build too.
    pub outputs: Vec<(String, Version)>,
}

impl ResumeAt {
    /// Where a build that ended so can be gone on with, if it can.
    pub fn after(result: &BuildResult) -> Option<Self> {
        Some(Self {
            build: result.name.clone(),
            at: result.failed_at.clone()?,
            inputs: result.inputs.clone(),
            outputs: result.outputs.clone(),
        })
    }
}

/// Where a build failed, and what stood then. It holds secrets: it never
/// leaves the process that ran the build.
#[derive(Debug, Clone)]
pub struct FailedAt {
    /// The first step of the job's own plan that did not succeed.
    pub step: StepId,
    /// What the steps before it exported, as it is.
    pub variables: Environment,
    /// What is to be masked in whatever comes of them.
    pub masker: Masker,
}

impl PartialEq for FailedAt {
    /// Whether step and variables are the same.
    fn eq(&self, other: &Self) -> bool {
        self.step == other.step && self.variables == other.variables
    }
}

/// The world a build runs in.
#[derive(Clone)]
pub struct Host {
    /// What each name of a runner or type stands for, declared types included.
    pub types: Arc<Types>,
    /// Where the events go.
    pub events: Arc<dyn EventSink>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// The build's files.
    pub workspace: Arc<dyn Workspace>,
    /// What remembers services over a crash.
    pub journal: Arc<dyn Journal>,
    /// Time between the polite and the hard end of processes.
    pub grace: Duration,
    /// The worker's name, for the first event.
    pub worker: String,
    /// Variables for every step besides those of the build (`TRACEPARENT`).
    pub env: BTreeMap<String, String>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildResult {
    /// The build.
    pub name: BuildName,
    /// How it ended.
    pub status: Status,
    /// Why, when it did not succeed.
    pub reason: Option<String>,
    /// The versions its gets fetched, by the get's name; a get that did not
    /// run or did not succeed has none here. Like `outputs` these are the true
    /// versions, where events show secrets masked.
    pub inputs: BTreeMap<String, Version>,
    /// The versions its puts made, by `type.name` of the resource, in the order made.
    pub outputs: Vec<(String, Version)>,
    /// Where it failed, if in a step of the job's own plan. Holds secrets.
    pub failed_at: Option<FailedAt>,
}

/// Runs a build to its end; never returns early and never panics on what a
/// pipeline says. When `cancel` asks for its end, running steps are ended,
/// `on_cancel` and `ensure` hooks run, services are stopped, and the build ends
/// as cancelled.
///
/// Dropping the future ends the build where it stands: no event follows, no
/// hook and no stop runs. What runs then is up to the implementations, and the
/// services are still in the journal. To end a build, call
/// [`Cancellation::cancel`] and await.
pub async fn execute(build: &BuildSpec, host: &Host, cancel: &Cancellation) -> BuildResult {
    interpret::run(build, host, cancel).await
}

pub use checks::{ResourceCheck, check_resource};
pub use exports::{ExportsError, MAX_EXPORTS_BYTES, MAX_VALUE_BYTES, parse as parse_exports};
pub use job_inputs::check_inputs;
pub use leaf::cache_key;
pub use resolve::{Secrets, expand};
pub use stop::Cancellation;
