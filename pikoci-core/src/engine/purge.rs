//! Removing what is not to be kept: deleted pipelines, builds that are purged.

use super::config;
use super::core::Core;
use super::engine::Engine;
use super::error::EngineError;
use super::facts::succeeded;
use super::records::{
    AdoptionRecord, BuildRecord, GroupRecord, JobRecord, PipelineId, PipelineRecord,
    ResourceRecord, RevisionRecord, VersionRecord,
};
use crate::database::log::LogError;
use crate::database::{MAX_PAGE_ITEMS, Query, Record};

impl Engine {
    /// Removes a job that is gone from its pipeline, with all its builds.
    ///
    /// # Errors
    /// When the pipeline still has the job, or a build of it has not ended.
    pub async fn purge_job(&self, pipeline: PipelineId, job: &str) -> Result<(), EngineError> {
        let core = self.core();
        let record = core.database.get::<PipelineRecord>(&pipeline).await?;
        if let Some(record) = record.filter(|it| !it.deleted) {
            let config = core.configs.get(&core.logs, pipeline, record.revision).await?;
            if config.job(job).is_some() {
                let message = format!("job `{job}` is in its pipeline; take it out first");
                return Err(EngineError::wrong_state(message));
            }
        }
        if core.purge_builds(pipeline, job).await? {
            core.purge_job_records(pipeline, job).await
        } else {
            let message = format!("builds of job `{job}` have not ended; cancel them first");
            Err(EngineError::wrong_state(message))
        }
    }
}

impl Core {
    /// Removes what is left of deleted pipelines, as far as it has ended.
    pub(crate) async fn purge_deleted(&self) -> Result<(), EngineError> {
        let query = Query::all().limit(MAX_PAGE_ITEMS);
        let page = self.database.list_by::<PipelineRecord>("deleted", &query).await?;
        for record in page.items {
            self.purge_pipeline(&record).await?;
        }
        Ok(())
    }

    async fn purge_pipeline(&self, record: &PipelineRecord) -> Result<(), EngineError> {
        let pipeline = record.id;
        let mut ended = true;
        loop {
            let query = Query::below(pipeline).limit(1);
            let page = self.database.list::<JobRecord>(&query).await?;
            let Some(job) = page.items.into_iter().next() else { break };
            if !self.purge_builds(pipeline, &job.name).await? {
                ended = false;
                break;
            }
            self.purge_job_records(pipeline, &job.name).await?;
        }
        if !ended {
            // Looked at again when they have ended, or now and then.
            return Ok(());
        }
        self.remove_all::<GroupRecord>(pipeline).await?;
        self.remove_all::<VersionRecord>(pipeline).await?;
        self.remove_all::<ResourceRecord>(pipeline).await?;
        loop {
            let query = Query::below(pipeline).limit(MAX_PAGE_ITEMS);
            let page = self.database.list::<RevisionRecord>(&query).await?;
            if page.items.is_empty() {
                break;
            }
            for revision in page.items {
                config::delete(&self.logs, pipeline, revision.revision).await?;
                self.database.delete::<RevisionRecord>(&revision.id()).await?;
            }
        }
        self.facts.forget(pipeline);
        self.database.delete::<PipelineRecord>(&pipeline).await?;
        Ok(())
    }

    /// Removes the builds of a job; cancels those that have not ended. Whether
    /// none is left.
    async fn purge_builds(&self, pipeline: PipelineId, job: &str) -> Result<bool, EngineError> {
        let mut all_ended = true;
        let mut cursor = None;
        loop {
            let query = Query::below((pipeline, job)).limit(MAX_PAGE_ITEMS).after(cursor);
            let page = self.database.list_by::<BuildRecord>("by_job", &query).await?;
            for build in page.items {
                if build.status().is_some() {
                    self.purge_build(&build).await?;
                    continue;
                }
                all_ended = false;
                match self.cancel_build(build.id, "its pipeline was deleted").await {
                    Ok(_) | Err(EngineError::WrongState { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(all_ended);
            }
        }
    }

    /// Removes a build that has ended, and its log.
    pub(crate) async fn purge_build(&self, build: &BuildRecord) -> Result<(), EngineError> {
        match self.log(build.id)?.delete().await {
            Ok(()) | Err(LogError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.database.delete::<BuildRecord>(&build.id).await?;
        Ok(())
    }

    async fn purge_job_records(&self, pipeline: PipelineId, job: &str) -> Result<(), EngineError> {
        succeeded(pipeline, job).clear(&self.database).await?;
        loop {
            let query = Query::below((pipeline, job)).limit(MAX_PAGE_ITEMS);
            let page = self.database.list::<AdoptionRecord>(&query).await?;
            if page.items.is_empty() {
                break;
            }
            for adoption in page.items {
                self.database.delete::<AdoptionRecord>(&adoption.id()).await?;
            }
        }
        self.database.delete::<JobRecord>(&(pipeline, job.to_owned())).await?;
        self.facts.forget(pipeline);
        Ok(())
    }

    async fn remove_all<R: Record>(&self, pipeline: PipelineId) -> Result<(), EngineError> {
        loop {
            let query = Query::below(pipeline).limit(MAX_PAGE_ITEMS);
            let page = self.database.list::<R>(&query).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            for record in page.items {
                self.database.delete::<R>(&record.id()).await?;
            }
        }
    }
}
