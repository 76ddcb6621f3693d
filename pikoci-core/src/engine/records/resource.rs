//! Resources and the versions that were found of them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pipeline::PipelineId;
use crate::database::{Indexes, Record, Schema};
use crate::name::BuildId;
use crate::resolve::ResourceRef;
use crate::version::{Metadata, Version, VersionDigest};

/// What is kept of a resource beside its revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceRecord {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// `type.name`.
    pub resource: ResourceRef,
    /// Which history counts: a digest of its type and parameters. With another
    /// one the versions that were found before do not count any more.
    pub scope: String,
    /// The highest check order given to a version, over all scopes.
    pub last_order: u64,
    /// The version that people want every get to take.
    pub pin: Option<Pin>,
    /// Versions that nobody gets.
    pub disabled: BTreeSet<VersionDigest>,
    /// What names it in the address of its webhook, where it has one.
    pub webhook_token: Option<String>,
    /// How many checks were asked for: by a person, a webhook or a trigger.
    pub checks_requested: u64,
    /// The last of those that a check which began after it has answered.
    pub checks_served: u64,
    /// How the last check that changed anything went.
    pub last_check: Option<CheckSummary>,
}

impl Schema for ResourceRecord {
    const KIND: &'static str = "resource";
}

impl Record for ResourceRecord {
    type Id = (PipelineId, String);

    fn id(&self) -> (PipelineId, String) {
        (self.pipeline, self.resource.0.clone())
    }

    /// `webhook`: the token.
    fn indexes(&self, indexes: &mut Indexes) {
        if let Some(token) = &self.webhook_token {
            indexes.unique("webhook", token);
        }
    }
}

/// A version that people want every get to take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The fields that it must have; may be some of them only.
    pub version: Version,
    /// Who pinned it, for people.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub comment: Option<String>,
}

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSummary {
    /// When it ended.
    pub at: Timestamp,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// How many checks failed one after the other.
    pub failures: u32,
}

/// A version of a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// `type.name`.
    pub resource: ResourceRef,
    /// The history that it belongs to.
    pub scope: String,
    /// Its digest.
    pub digest: VersionDigest,
    /// Its place in the history: a higher one is newer.
    pub order: u64,
    /// The version.
    pub version: Version,
    /// Facts about it.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// When it was found first.
    pub found: Timestamp,
    /// The build whose put made it, if one did.
    pub made_by: Option<BuildId>,
}

impl Schema for VersionRecord {
    const KIND: &'static str = "version";
}

impl Record for VersionRecord {
    type Id = ((PipelineId, String), (String, String));

    fn id(&self) -> Self::Id {
        ((self.pipeline, self.resource.0.clone()), (self.scope.clone(), self.digest.to_string()))
    }

    /// `by_order`: pipeline, resource, scope and order.
    fn indexes(&self, indexes: &mut Indexes) {
        indexes.add("by_order", ((self.pipeline, &self.resource.0), &self.scope, self.order));
    }
}
