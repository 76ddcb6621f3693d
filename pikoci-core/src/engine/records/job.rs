//! Jobs: what they are allowed, what they have used, who holds their slots.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::pipeline::PipelineId;
use crate::database::{Record, Schema};
use crate::name::BuildId;
use crate::resolve::{Position, ResourceRef};
use crate::version::VersionDigest;

/// What is kept of a job beside its revision. Whoever adopts inputs for one of
/// its builds, or takes one of its slots, writes it, so those never happen twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// The job's name.
    pub name: String,
    /// Whether nothing of it is started.
    pub paused: bool,
    /// The build that was made because of new versions and has not adopted inputs yet.
    pub automatic: Option<BuildId>,
    /// How many builds have adopted inputs: the number of the last [`AdoptionRecord`].
    pub adoptions: u64,
    /// The builds that hold a slot, where the job has a limit.
    pub holders: BTreeSet<BuildId>,
}

impl JobRecord {
    /// A job of which nothing is known yet.
    pub fn new(pipeline: PipelineId, name: impl Into<String>) -> Self {
        Self {
            pipeline,
            name: name.into(),
            paused: false,
            automatic: None,
            adoptions: 0,
            holders: BTreeSet::new(),
        }
    }
}

impl Schema for JobRecord {
    const KIND: &'static str = "job";
}

impl Record for JobRecord {
    type Id = (PipelineId, String);

    fn id(&self) -> (PipelineId, String) {
        (self.pipeline, self.name.clone())
    }
}

/// The jobs of a serial group: which one runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// The group's name.
    pub name: String,
    /// The job that has it, while any of its builds holds it.
    pub job: Option<String>,
    /// The builds that hold it, all of that job.
    pub holders: BTreeSet<BuildId>,
    /// For each job that could start but for the group: the build that waits longest.
    pub waiting: BTreeMap<String, BuildId>,
}

impl GroupRecord {
    /// A group that nobody has.
    pub fn new(pipeline: PipelineId, name: impl Into<String>) -> Self {
        Self {
            pipeline,
            name: name.into(),
            job: None,
            holders: BTreeSet::new(),
            waiting: BTreeMap::new(),
        }
    }
}

impl Schema for GroupRecord {
    const KIND: &'static str = "group";
}

impl Record for GroupRecord {
    type Id = (PipelineId, String);

    fn id(&self) -> (PipelineId, String) {
        (self.pipeline, self.name.clone())
    }
}

/// That a build adopted its inputs; numbered within its job from 1, without
/// gaps, so that a reader learns what is new by its number alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptionRecord {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// The job.
    pub job: String,
    /// Its number.
    pub number: u64,
    /// The build.
    pub build: BuildId,
    /// The build's place in its job.
    pub position: Position,
    /// Input, resource and version of each.
    pub inputs: Vec<(String, ResourceRef, VersionDigest)>,
    /// The upstream builds that the inputs came through, by job.
    pub sources: BTreeMap<String, Position>,
}

impl Schema for AdoptionRecord {
    const KIND: &'static str = "adoption";
}

impl Record for AdoptionRecord {
    type Id = (PipelineId, String, u64);

    fn id(&self) -> (PipelineId, String, u64) {
        (self.pipeline, self.job.clone(), self.number)
    }
}

/// An entry of the feed `("succeeded", pipeline, job)`: a build that succeeded,
/// or was marked as if it had, and the versions that it vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SucceededRecord {
    /// The build.
    pub build: BuildId,
    /// Its place in its job.
    pub position: Position,
    /// The versions by resource: those it made, the latest first, then those it got.
    pub versions: BTreeMap<ResourceRef, Vec<VersionDigest>>,
}
