//! Teams, pipelines and their revisions.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::database::{Indexes, KeyPart, KeyPath, Record, Schema};

/// The id of a pipeline; stays the same when it is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PipelineId(pub Uuid);

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KeyPart for PipelineId {
    fn push_to(&self, path: &mut KeyPath) {
        self.0.push_to(path);
    }
}

/// A team: whose pipelines, builds and workers are its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamRecord {
    /// Its slug.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

impl Schema for TeamRecord {
    const KIND: &'static str = "team";
}

impl Record for TeamRecord {
    type Id = String;

    fn id(&self) -> String {
        self.name.clone()
    }
}

/// A pipeline: what it is called and which revision counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRecord {
    /// Its id.
    pub id: PipelineId,
    /// The team's slug.
    pub team: String,
    /// Its slug.
    pub name: String,
    /// The revision that counts, from 1.
    pub revision: u64,
    /// Whether nothing is started by itself.
    pub paused: bool,
    /// Whether it is being deleted: nothing of it is to be used any more.
    pub deleted: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When its newest revision was set.
    pub updated: Timestamp,
}

impl Schema for PipelineRecord {
    const KIND: &'static str = "pipeline";
}

impl Record for PipelineRecord {
    type Id = PipelineId;

    fn id(&self) -> PipelineId {
        self.id
    }

    /// `by_name`: the team and the name, as long as it is not being deleted.
    /// `deleted`: what is left to remove.
    fn indexes(&self, indexes: &mut Indexes) {
        if self.deleted {
            indexes.add("deleted", ());
        } else {
            indexes.unique("by_name", (&self.team, &self.name));
        }
    }
}

/// A revision of a pipeline; never changes. Its texts and what they were read
/// as are in the log `("revision", pipeline, revision)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRecord {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// The revision, from 1.
    pub revision: u64,
    /// When it was set.
    pub created: Timestamp,
    /// Who set it, for people.
    pub author: String,
    /// The SHA-256 of what it was read as, in hex: equal ones behave the same.
    pub sha256: String,
    /// How many jobs it has.
    pub jobs: u32,
}

impl Schema for RevisionRecord {
    const KIND: &'static str = "revision";
}

impl Record for RevisionRecord {
    type Id = (PipelineId, u64);

    fn id(&self) -> (PipelineId, u64) {
        (self.pipeline, self.revision)
    }
}
