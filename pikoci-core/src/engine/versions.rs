//! Histories of resources: versions come in, get their order, and wake jobs.

use super::bells::{Bell, Rings};
use super::core::{Changed, Core};
use super::error::EngineError;
use super::records::{PipelineId, PipelineRecord, ResourceRecord, VersionRecord};
use super::team::TeamEventKind;
use crate::database::{FencingToken, MAX_PAGE_ITEMS, Query, Transaction};
use crate::name::BuildId;
use crate::resolve::ResourceRef;
use crate::version::{Metadata, Version};

/// How many versions are written in one transaction.
const VERSIONS_AT_ONCE: usize = 20;
/// The largest version, in bytes of JSON.
pub(crate) const MAX_VERSION_BYTES: usize = 8 * 1024;

/// Versions that are new, or were found again behind new ones.
pub(crate) struct Found<'a> {
    pub(crate) pipeline: PipelineId,
    pub(crate) resource: &'a ResourceRef,
    pub(crate) versions: &'a [Version],
    pub(crate) made_by: Option<BuildId>,
    /// What lets this server check the resource.
    pub(crate) fence: Option<&'a FencingToken>,
}

impl Core {
    /// Takes versions into a history, oldest first. Where one was not known, all
    /// of them go behind those that were, in the order given; where all were,
    /// nothing changes. Answers how many were not known.
    ///
    /// Done in several transactions where they are many; each leaves a history
    /// that holds together, and what is missing is found by the next check.
    pub(crate) async fn save_versions(&self, found: &Found<'_>) -> Result<u64, EngineError> {
        let mut fresh = 0;
        if found.versions.is_empty() || self.all_known(found).await? {
            return Ok(0);
        }
        for versions in found.versions.chunks(VERSIONS_AT_ONCE) {
            let some = Found { versions, ..*found };
            fresh += self
                .change(&(self, some), |transaction, (core, some)| {
                    Box::pin(core.save_some(transaction, some))
                })
                .await?;
        }
        Ok(fresh)
    }

    async fn all_known(&self, found: &Found<'_>) -> Result<bool, EngineError> {
        let id = (found.pipeline, found.resource.0.clone());
        let Some(record) = self.database.get::<ResourceRecord>(&id).await? else {
            return Ok(true);
        };
        let ids: Vec<_> = found.versions.iter().map(|it| version_id(&record, it)).collect();
        let known = self.database.get_many::<VersionRecord>(&ids).await?;
        Ok(known.iter().all(Option::is_some))
    }

    async fn save_some(
        &self,
        transaction: &mut Transaction,
        found: &Found<'_>,
    ) -> Result<Changed<u64>, EngineError> {
        let mut rings = Rings::default();
        if let Some(fence) = found.fence {
            transaction.fence(fence).await?;
        }
        let id = (found.pipeline, found.resource.0.clone());
        let Some(mut record) = transaction.get::<ResourceRecord>(&id).await? else {
            // It was taken out of the pipeline meanwhile.
            return Ok(Changed::new(0, rings));
        };
        let ids: Vec<_> = found.versions.iter().map(|it| version_id(&record, it)).collect();
        let known = transaction.get_many::<VersionRecord>(&ids).await?;
        let mut fresh = 0;
        for (version, known) in found.versions.iter().zip(known) {
            record.last_order += 1;
            let order = record.last_order;
            let version = match known {
                // A put of a version that is known leaves its place alone.
                Some(_) if found.made_by.is_some() => continue,
                Some(known) => VersionRecord { order, ..known },
                None => {
                    fresh += 1;
                    VersionRecord {
                        pipeline: record.pipeline,
                        resource: record.resource.clone(),
                        scope: record.scope.clone(),
                        digest: version.digest(),
                        order,
                        version: version.clone(),
                        metadata: Metadata::new(),
                        found: self.clock().now(),
                        made_by: found.made_by,
                    }
                }
            };
            transaction.put(&version).await?;
        }
        transaction.put(&record).await?;
        let pipeline = transaction.get::<PipelineRecord>(&found.pipeline).await?;
        if let Some(pipeline) = pipeline.filter(|it| !it.deleted) {
            let config = self.configs.get(&self.logs, pipeline.id, pipeline.revision).await?;
            self.wake_users(transaction, &mut rings, (pipeline.id, found.resource), &config)?;
            if fresh > 0 {
                let kind = TeamEventKind::VersionsFound {
                    pipeline: pipeline.name.clone(),
                    resource: found.resource.0.clone(),
                    count: fresh,
                };
                self.tell_team(transaction, &pipeline.team, kind)?;
                rings.add(Bell::Outbox);
            }
        }
        Ok(Changed::new(fresh, rings))
    }

    /// Takes a version that a build's put made into its history.
    pub(crate) async fn save_version_of(
        &self,
        pipeline: PipelineId,
        build: BuildId,
        (resource, version): (&ResourceRef, &Version),
    ) -> Result<(), EngineError> {
        let versions = std::slice::from_ref(version);
        let made_by = Some(build);
        self.save_versions(&Found { pipeline, resource, versions, made_by, fence: None }).await?;
        Ok(())
    }

    /// The newest version of a resource that has these fields.
    pub(crate) async fn find_version(
        &self,
        resource: &ResourceRecord,
        wanted: &Version,
    ) -> Result<Option<VersionRecord>, EngineError> {
        let mut cursor = None;
        loop {
            let query = Query::below(((resource.pipeline, &resource.resource.0), &resource.scope));
            let query = query.descending().limit(MAX_PAGE_ITEMS).after(cursor);
            let page = self.database.list_by::<VersionRecord>("by_order", &query).await?;
            if let Some(found) = page.items.into_iter().find(|it| it.version.contains(wanted)) {
                return Ok(Some(found));
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(None);
            }
        }
    }
}

fn version_id(
    record: &ResourceRecord,
    version: &Version,
) -> ((PipelineId, String), (String, String)) {
    let digest = version.digest().to_string();
    ((record.pipeline, record.resource.0.clone()), (record.scope.clone(), digest))
}
