//! Builds: why they were made, what they took, how they ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pipeline::PipelineId;
use crate::database::{Indexes, Record, Schema};
use crate::dispatch::SessionId;
use crate::name::{BuildId, BuildName};
use crate::resolve::{Position, ResourceRef};
use crate::status::Status;
use crate::version::{Version, VersionDigest};

/// A build. What happened in it is in its log, named by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// Its id.
    pub id: BuildId,
    /// The team's slug.
    pub team: String,
    /// The pipeline.
    pub pipeline: PipelineId,
    /// What the pipeline was called when it was made.
    pub pipeline_name: String,
    /// The job's name.
    pub job: String,
    /// Its place in its job, which is its number for people.
    pub position: Position,
    /// The revision whose plan it runs; for one that waits, the one it was made under.
    pub revision: u64,
    /// Why it was made.
    pub cause: Cause,
    /// Where it stands.
    pub state: BuildState,
    /// How often it was claimed: the epoch of the worker that has it.
    pub epoch: u64,
    /// Which attempt it is at: one more where a worker was lost.
    pub attempt: u32,
    /// The number of the next event that the engine itself writes; does not
    /// count what a worker reports.
    pub next_event: u64,
    /// The versions that its gets take, once adopted.
    pub inputs: Option<Vec<AdoptedInput>>,
    /// Versions that somebody chose for it, by the get's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chosen: BTreeMap<String, Version>,
    /// Values for the job's inputs, defaults included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// The check of each resource that it waits for: the number of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub awaits_checks: BTreeMap<ResourceRef, u64>,
    /// The slots that it holds from when it is queued to its end.
    #[serde(default, skip_serializing_if = "Slots::is_empty")]
    pub slots: Slots,
    /// The approvals that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalState>,
    /// The versions that its puts made, in the order made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<MadeVersion>,
    /// Who asked for it to stop.
    pub cancel: Option<CancelRequest>,
    /// How somebody says it is to count.
    pub mark: Option<Mark>,
    /// The worker that kept its workspace, for a rerun from the failed step.
    pub kept_by: Option<SessionId>,
    /// Why it ended as it did.
    pub reason: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was ready to be claimed.
    pub queued: Option<Timestamp>,
    /// When it was claimed.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

impl BuildRecord {
    /// What people call it.
    pub fn name(&self) -> BuildName {
        BuildName {
            team: self.team.clone(),
            pipeline: self.pipeline_name.clone(),
            job: self.job.clone(),
            number: self.position.to_string(),
        }
    }

    /// How it ended, or counts as having ended; `None` while it has not.
    pub fn status(&self) -> Option<Status> {
        match self.state {
            BuildState::Finished { status } => {
                Some(self.mark.as_ref().map_or(status, |mark| mark.status))
            }
            _ => None,
        }
    }

    /// Whether `passed` may build on it.
    pub fn counts_as_passed(&self) -> bool {
        matches!(self.status(), Some(Status::Succeeded | Status::Warning))
    }
}

impl Schema for BuildRecord {
    const KIND: &'static str = "build";
}

impl Record for BuildRecord {
    type Id = BuildId;

    fn id(&self) -> BuildId {
        self.id
    }

    /// - `by_job`: pipeline, job, number, rerun.
    /// - `by_team`: team.
    /// - `pending`: pipeline, job, number, rerun, while it waits.
    /// - `unfinished`: pipeline, job, while it has not ended.
    /// - `by_session`: session, while it runs.
    fn indexes(&self, indexes: &mut Indexes) {
        let job = (self.pipeline, &self.job);
        let position = (self.position.number, u64::from(self.position.rerun));
        indexes.unique("by_job", (job, position));
        indexes.add("by_team", &self.team);
        match &self.state {
            BuildState::Pending => indexes.add("pending", (job, position)),
            BuildState::Queued { .. } | BuildState::Finished { .. } => {}
            BuildState::Running { session, .. } => indexes.add("by_session", session.0),
        }
        if !matches!(self.state, BuildState::Finished { .. }) {
            indexes.add("unfinished", job);
        }
    }
}

/// Where a build stands. Which moves are legal is in
/// [`lifecycle`](crate::engine::lifecycle).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BuildState {
    /// It waits: for versions, a check, an approval or a slot.
    Pending,
    /// It waits for a worker.
    Queued {
        /// The tags that the worker must have.
        tags: Vec<String>,
        /// The only worker that can run it, for one that goes on in a kept workspace.
        only: Option<SessionId>,
    },
    /// A worker has it.
    Running {
        /// The worker's session.
        session: SessionId,
        /// The worker's name.
        worker: String,
    },
    /// It ended.
    Finished {
        /// How.
        status: Status,
    },
}

/// The slots that a build holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slots {
    /// Whether it counts for the limit of its job.
    pub job: bool,
    /// The serial groups of its job.
    pub groups: Vec<String>,
}

impl Slots {
    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        !self.job && self.groups.is_empty()
    }
}

/// Why a build was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A get that triggers has a version that the job has not used.
    Versions {
        /// The resources whose versions were new.
        resources: Vec<ResourceRef>,
    },
    /// Somebody asked for it.
    Manual {
        /// Who, for people.
        by: String,
    },
    /// Somebody wants an earlier build again, with the same versions.
    Rerun {
        /// Who, for people.
        by: String,
        /// The build that was run again; itself no rerun.
        of: BuildId,
        /// The build in whose workspace it goes on at the failed step, if it does.
        resumes: Option<BuildId>,
    },
}

/// A version that a build's get takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdoptedInput {
    /// The get's name.
    pub name: String,
    /// `type.name`.
    pub resource: ResourceRef,
    /// The history it is from.
    pub scope: String,
    /// Its digest.
    pub digest: VersionDigest,
    /// The version.
    pub version: Version,
    /// Whether no build of this job had taken it for this get before.
    pub first: bool,
    /// The upstream builds that it came through, by job.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, Position>,
}

/// A version that a build's put made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeVersion {
    /// `type.name`.
    pub resource: ResourceRef,
    /// Its digest.
    pub digest: VersionDigest,
    /// The version.
    pub version: Version,
}

/// An approval that a build needs, and what was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalState {
    /// What is to be approved.
    pub label: String,
    /// How many people must approve.
    pub needed: u32,
    /// What was decided, one decision a person.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// When it is too late.
    pub deadline: Option<Timestamp>,
}

impl ApprovalState {
    /// Whether enough people approved.
    pub fn is_given(&self) -> bool {
        let given = self.decisions.iter().filter(|it| it.approved).count();
        given >= usize::try_from(self.needed.max(1)).unwrap_or(usize::MAX)
    }

    /// Who said no, if somebody did.
    pub fn rejection(&self) -> Option<&Decision> {
        self.decisions.iter().find(|it| !it.approved)
    }
}

/// What one person decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who, for people.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Whether yes.
    pub approved: bool,
    /// Why, for people.
    pub comment: Option<String>,
}

/// That somebody asked for a build to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// When.
    pub at: Timestamp,
    /// Why, in a sentence that names who.
    pub reason: String,
}

/// How somebody says that a build that ended is to count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// As what.
    pub status: Status,
    /// Who, for people.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub comment: Option<String>,
}
