//! What people do with resources: check, pin, disable, hook.

use super::bells::{Bell, Rings};
use super::core::{Changed, Core};
use super::engine::Engine;
use super::error::EngineError;
use super::records::{Pin, PipelineId, PipelineRecord, ResourceRecord, VersionRecord};
use crate::database::{Cursor, Page, Query, Transaction};
use crate::resolve::ResourceRef;
use crate::version::{Version, VersionDigest};

/// The most versions of a resource that may be disabled.
const MAX_DISABLED: usize = 500;

/// What is to be done with a resource.
enum Deed {
    Pin(Option<Pin>),
    Disable(VersionDigest, bool),
}

impl Engine {
    /// What is kept of a resource.
    ///
    /// # Errors
    /// When there is none.
    pub async fn resource(
        &self,
        pipeline: PipelineId,
        resource: &ResourceRef,
    ) -> Result<ResourceRecord, EngineError> {
        let id = (pipeline, resource.0.clone());
        let found = self.core().database.get::<ResourceRecord>(&id).await?;
        found.ok_or_else(|| EngineError::not_found("resource", &resource.0))
    }

    /// The resources of a pipeline, those that are gone from it included.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn resources(
        &self,
        pipeline: PipelineId,
        after: Option<Cursor>,
    ) -> Result<Page<ResourceRecord>, EngineError> {
        Ok(self.core().database.list(&Query::below(pipeline).after(after)).await?)
    }

    /// The versions of a resource, the newest first, page by page.
    ///
    /// # Errors
    /// When there is no such resource.
    pub async fn versions(
        &self,
        pipeline: PipelineId,
        resource: &ResourceRef,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<Page<VersionRecord>, EngineError> {
        let record = self.resource(pipeline, resource).await?;
        let query = Query::below(((pipeline, &resource.0), &record.scope));
        let query = query.descending().limit(limit).after(after);
        Ok(self.core().database.list_by("by_order", &query).await?)
    }

    /// Lets a resource be checked at once, whatever its interval.
    ///
    /// # Errors
    /// When there is no such resource, or it is pinned.
    pub async fn check_now(
        &self,
        pipeline: PipelineId,
        resource: &ResourceRef,
    ) -> Result<(), EngineError> {
        let core = self.core();
        core.change(&(core, pipeline, resource), |transaction, (core, pipeline, resource)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let record = core.live_pipeline(transaction, *pipeline).await?;
                let id = (*pipeline, resource.0.clone());
                if transaction.get::<ResourceRecord>(&id).await?.is_none() {
                    return Err(EngineError::not_found("resource", &resource.0));
                }
                let asked = core.ask_check(transaction, &mut rings, &record, resource).await?;
                if asked.is_none() {
                    let message = format!("`{}` is pinned; unpin it to check it", resource.0);
                    return Err(EngineError::wrong_state(message));
                }
                Ok(Changed::new((), rings))
            })
        })
        .await
    }

    /// Lets the resource that has this webhook token be checked at once.
    ///
    /// # Errors
    /// When there is none.
    pub async fn webhook(&self, token: &str) -> Result<(PipelineId, ResourceRef), EngineError> {
        let found =
            self.core().database.find_by::<ResourceRecord>("webhook", token.to_owned()).await?;
        let record = found.ok_or_else(|| EngineError::not_found("webhook", "of this token"))?;
        match self.check_now(record.pipeline, &record.resource).await {
            // A pinned resource takes its hooks and does nothing.
            Ok(()) | Err(EngineError::WrongState { .. }) => Ok((record.pipeline, record.resource)),
            Err(error) => Err(error),
        }
    }

    /// Lets every get of a resource take the newest version that has these fields.
    ///
    /// # Errors
    /// When there is no such resource, or no such version of it.
    pub async fn pin(
        &self,
        pipeline: PipelineId,
        resource: &ResourceRef,
        version: &Version,
        by: &str,
        comment: Option<String>,
    ) -> Result<ResourceRecord, EngineError> {
        let record = self.resource(pipeline, resource).await?;
        if self.core().find_version(&record, version).await?.is_none() {
            let name = format!("{version} of {}", resource.0);
            return Err(EngineError::not_found("version", name));
        }
        let at = self.core().clock().now();
        let pin = Pin { version: version.clone(), by: by.to_owned(), at, comment };
        self.core().change_resource(pipeline, resource, Deed::Pin(Some(pin))).await
    }

    /// Lets gets of a resource take what they would take by themselves again.
    ///
    /// # Errors
    /// When there is no such resource.
    pub async fn unpin(
        &self,
        pipeline: PipelineId,
        resource: &ResourceRef,
    ) -> Result<ResourceRecord, EngineError> {
        self.core().change_resource(pipeline, resource, Deed::Pin(None)).await
    }

    /// Lets nobody get a version, or lets it be got again.
    ///
    /// # Errors
    /// When there is no such resource or version, or too many are disabled.
    pub async fn disable_version(
        &self,
        pipeline: PipelineId,
        resource: &ResourceRef,
        version: VersionDigest,
        disabled: bool,
    ) -> Result<ResourceRecord, EngineError> {
        self.core().change_resource(pipeline, resource, Deed::Disable(version, disabled)).await
    }
}

impl Core {
    /// A pipeline that is not being deleted.
    pub(crate) async fn live_pipeline(
        &self,
        transaction: &mut Transaction,
        pipeline: PipelineId,
    ) -> Result<PipelineRecord, EngineError> {
        let found = transaction.get::<PipelineRecord>(&pipeline).await?;
        let live = found.filter(|it| !it.deleted);
        live.ok_or_else(|| EngineError::not_found("pipeline", pipeline.to_string()))
    }

    async fn change_resource(
        &self,
        pipeline: PipelineId,
        resource: &ResourceRef,
        deed: Deed,
    ) -> Result<ResourceRecord, EngineError> {
        let context = (self, pipeline, resource, deed);
        self.change(&context, |transaction, (core, pipeline, resource, deed)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let owner = core.live_pipeline(transaction, *pipeline).await?;
                let id = (*pipeline, resource.0.clone());
                let found = transaction.get::<ResourceRecord>(&id).await?;
                let mut record =
                    found.ok_or_else(|| EngineError::not_found("resource", &resource.0))?;
                match deed {
                    Deed::Pin(pin) => record.pin.clone_from(pin),
                    Deed::Disable(version, true) => {
                        let place = (record.scope.clone(), version.to_string());
                        let known = transaction.get::<VersionRecord>(&(id.clone(), place)).await?;
                        if known.is_none() {
                            return Err(EngineError::not_found("version", version.to_string()));
                        }
                        record.disabled.insert(*version);
                        if record.disabled.len() > MAX_DISABLED {
                            return Err(EngineError::wrong_state(format!(
                                "{MAX_DISABLED} versions of `{}` are disabled, and no more can be",
                                resource.0
                            )));
                        }
                    }
                    Deed::Disable(version, false) => {
                        record.disabled.remove(version);
                    }
                }
                transaction.put(&record).await?;
                let config = core.configs.get(&core.logs, owner.id, owner.revision).await?;
                core.wake_users(transaction, &mut rings, (owner.id, resource), &config)?;
                rings.add(Bell::Checks);
                Ok(Changed::new(record, rings))
            })
        })
        .await
    }
}
