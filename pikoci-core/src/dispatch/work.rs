//! What a worker is given to do, and what it tells of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::context::BuildContext;
use crate::event::Event;
use crate::name::BuildId;
use crate::pipeline::Pipeline;
use crate::plan::BuildResult;
use crate::status::Status;
use crate::version::Version;

/// Something to do.
#[derive(Debug, Clone)]
pub enum Claim {
    /// Run a build.
    Build(Box<BuildClaim>),
    /// Check a resource.
    Check(Box<CheckClaim>),
}

/// A build that a worker is to run, and only it, as long as it has this epoch.
#[derive(Debug, Clone)]
pub struct BuildClaim {
    /// What it is called; `name.job` names the job.
    pub context: BuildContext,
    /// One more with each claim of this build; to be told with every report.
    pub epoch: u64,
    /// The pipeline as of the build's revision.
    pub pipeline: Arc<Pipeline>,
    /// The version for each get, by the get's name.
    pub inputs: BTreeMap<String, Version>,
    /// The values of the job's `input` blocks, by name, defaults included.
    pub input_values: BTreeMap<String, String>,
    /// Which attempt of this build this is, from 1: one more where a worker was lost.
    pub attempt: u32,
    /// How the job's build before this one ended, where there was one.
    pub previous: Option<Status>,
    /// The number of the first event that the worker reports. Those before it,
    /// `BuildStarted` of this epoch among them, are in the log.
    pub next_event: u64,
    /// Where to go on instead of beginning with the first step.
    pub resume: Option<Resume>,
}

/// Go on where an earlier build failed, in the workspace that it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The build whose workspace the worker kept.
    pub build: BuildId,
}

/// Names one check that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckId(pub Uuid);

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A resource that a worker is to check.
#[derive(Debug, Clone)]
pub struct CheckClaim {
    /// Which check this is.
    pub id: CheckId,
    /// The team's slug.
    pub team: String,
    /// The pipeline, with the resource and its type in it.
    pub pipeline: Arc<Pipeline>,
    /// The resource's type.
    pub kind: String,
    /// The resource's name.
    pub name: String,
    /// The version to list from; `None` asks for the newest only.
    pub from: Option<Version>,
    /// The longest time it may take; then it counts as failed.
    pub timeout: Duration,
}

/// Events of a build, and with the last one how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The build.
    pub build: BuildId,
    /// The epoch that the worker has it under.
    pub epoch: u64,
    /// Events without gaps, in order; those that the log has already are
    /// passed over. May be empty only with a result whose events were all reported.
    pub events: Vec<Event>,
    /// How it ended; with it, or before it, the build's last event.
    pub result: Option<BuildResult>,
    /// Where the build failed and its workspace was kept for a while: that it
    /// can be gone on with by this worker.
    pub workspace_kept: bool,
}

/// What became of a report: all events before this number are in the log, and
/// so is the result, if there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The number of the next event.
    pub next: u64,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// The check.
    pub check: CheckId,
    /// The versions, oldest first; or why there are none, in a sentence (secrets masked).
    pub result: Result<Vec<Version>, String>,
}

/// A build that a worker says it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunningBuild {
    /// The build.
    pub build: BuildId,
    /// The epoch that it has it under.
    pub epoch: u64,
}
