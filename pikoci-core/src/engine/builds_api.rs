//! Builds as people look for them.

use super::engine::Engine;
use super::error::EngineError;
use super::records::{BuildRecord, JobRecord, PipelineId, WorkerRecord};
use crate::database::{Cursor, Page, Query};
use crate::name::BuildId;
use crate::resolve::Position;

impl Engine {
    /// A build by its id.
    ///
    /// # Errors
    /// When there is none.
    pub async fn build(&self, build: BuildId) -> Result<BuildRecord, EngineError> {
        let found = self.core().database.get::<BuildRecord>(&build).await?;
        found.ok_or_else(|| EngineError::not_found("build", build.to_string()))
    }

    /// A build by its number: `3`, or `3.1` for its first rerun.
    ///
    /// # Errors
    /// When there is none.
    pub async fn build_by_number(
        &self,
        pipeline: PipelineId,
        job: &str,
        number: Position,
    ) -> Result<BuildRecord, EngineError> {
        let values = ((pipeline, job), (number.number, u64::from(number.rerun)));
        let found = self.core().database.find_by::<BuildRecord>("by_job", values).await?;
        found.ok_or_else(|| EngineError::not_found("build", format!("{job}#{number}")))
    }

    /// The builds of a job, the newest number first, page by page.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn builds(
        &self,
        pipeline: PipelineId,
        job: &str,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<Page<BuildRecord>, EngineError> {
        let query = Query::below((pipeline, job)).descending().limit(limit).after(after);
        Ok(self.core().database.list_by("by_job", &query).await?)
    }

    /// The builds of a team, the newest first, page by page.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn team_builds(
        &self,
        team: &str,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<Page<BuildRecord>, EngineError> {
        let query = Query::below(team).descending().limit(limit).after(after);
        Ok(self.core().database.list_by("by_team", &query).await?)
    }

    /// The builds of a job that have not ended, page by page.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn unfinished_builds(
        &self,
        pipeline: PipelineId,
        job: &str,
        after: Option<Cursor>,
    ) -> Result<Page<BuildRecord>, EngineError> {
        let query = Query::below((pipeline, job)).after(after);
        Ok(self.core().database.list_by("unfinished", &query).await?)
    }

    /// Waits until a build has ended, and answers it.
    ///
    /// # Errors
    /// When there is no such build, or it cannot be read.
    pub async fn wait(&self, build: BuildId) -> Result<BuildRecord, EngineError> {
        let mut bell = self.core().bells.listen_to_build(build);
        let mut slow = self.core().bells.listen(super::bells::Bell::Events);
        loop {
            bell.mark_heard();
            let record = self.build(build).await?;
            if record.status().is_some() {
                return Ok(record);
            }
            tokio::select! {
                biased;
                () = self.closed() => return Err(EngineError::Closed),
                () = bell.heard() => {}
                () = slow.heard() => {}
            }
        }
    }

    /// The jobs of a pipeline that ever had a build or were paused, those that
    /// are gone from it included.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn job_records(
        &self,
        pipeline: PipelineId,
        after: Option<Cursor>,
    ) -> Result<Page<JobRecord>, EngineError> {
        Ok(self.core().database.list(&Query::below(pipeline).after(after)).await?)
    }

    /// The workers that have a session.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, EngineError> {
        self.core().workers().await
    }
}
