//! How much of the history is kept: builds that go, logs that are archived.
//!
//! What `passed` builds on is not in the builds but in facts of its own, so a
//! build that goes takes nothing away from the jobs downstream.

use std::time::Duration;

use super::config::Config;
use super::core::Core;
use super::engine::Engine;
use super::error::EngineError;
use super::records::{BuildRecord, PipelineId, PipelineRecord};
use crate::database::log::{LogError, LogState};
use crate::database::retention::{Fate, Item, Policy, decide};
use crate::database::{MAX_PAGE_ITEMS, Query};
use crate::pipeline::Job;
use crate::status::Status;

/// How many succeeded builds of a job stay at least, unless it says otherwise.
const SUCCEEDED: u32 = 1;
/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a round of retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// How many builds were removed.
    pub removed: u64,
    /// How many logs were moved to the blob store.
    pub archived: u64,
}

impl Engine {
    /// Removes the builds that their jobs do not keep, and archives logs. The
    /// engine does so by itself every
    /// [`retention_every`](super::EngineOptions::retention_every).
    ///
    /// # Errors
    /// When the store or the blob store is away; what was done until then is done.
    pub async fn apply_retention(&self) -> Result<Retained, EngineError> {
        self.core().apply_retention().await
    }
}

impl Core {
    pub(crate) async fn apply_retention(&self) -> Result<Retained, EngineError> {
        let mut retained = Retained::default();
        let mut cursor = None;
        loop {
            let query = Query::all().limit(MAX_PAGE_ITEMS).after(cursor);
            let page = self.database.list::<PipelineRecord>(&query).await?;
            for record in page.items.iter().filter(|it| !it.deleted) {
                let config = self.configs.get(&self.logs, record.id, record.revision).await?;
                self.retain_pipeline(record.id, &config, &mut retained).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(retained);
            }
        }
    }

    async fn retain_pipeline(
        &self,
        pipeline: PipelineId,
        config: &Config,
        retained: &mut Retained,
    ) -> Result<(), EngineError> {
        for job in &config.pipeline.jobs {
            let policy = policy(&self.options.retention, job);
            if policy == Policy::default() {
                continue;
            }
            let (builds, items) = self.finished(pipeline, job).await?;
            for decision in decide(&policy, &items, self.clock().now()) {
                let Some(build) = builds.get(decision.id) else { continue };
                match decision.fate {
                    Fate::Keep => {}
                    Fate::Archive => retained.archived += u64::from(self.archive(build).await?),
                    Fate::Delete => {
                        self.purge_build(build).await?;
                        retained.removed += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// The builds of a job that have ended, the newest first, and what is
    /// decided upon of each.
    async fn finished(
        &self,
        pipeline: PipelineId,
        job: &Job,
    ) -> Result<(Vec<BuildRecord>, Vec<Item<usize>>), EngineError> {
        let (mut builds, mut items, mut cursor) = (Vec::new(), Vec::new(), None);
        let wanted = job.retention.and_then(|it| it.succeeded).unwrap_or(SUCCEEDED).max(SUCCEEDED);
        let mut succeeded = 0;
        loop {
            let query = Query::below((pipeline, &job.name)).descending();
            let query = query.limit(MAX_PAGE_ITEMS).after(cursor);
            let page = self.database.list_by::<BuildRecord>("by_job", &query).await?;
            for build in page.items {
                let Some(finished_at) = build.finished else { continue };
                let well = matches!(build.status(), Some(Status::Succeeded | Status::Warning));
                succeeded += u32::from(well);
                let size_bytes = match self.log(build.id)?.info().await {
                    Ok(info) => info.size_bytes,
                    Err(LogError::NotFound { .. }) => 0,
                    Err(error) => return Err(error.into()),
                };
                let keep = (well && succeeded <= wanted) || build.kept_by.is_some();
                items.push(Item { id: builds.len(), finished_at, size_bytes, keep });
                builds.push(build);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok((builds, items));
            }
        }
    }

    /// Moves a build's log to the blob store; whether it was not there yet.
    async fn archive(&self, build: &BuildRecord) -> Result<bool, EngineError> {
        let log = self.log(build.id)?;
        match log.info().await {
            Ok(info) if matches!(info.state, LogState::Archived { .. }) => Ok(false),
            Ok(_) => {
                log.seal().await?;
                log.archive().await?;
                Ok(true)
            }
            Err(LogError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// How long the builds of a job are kept: as it says, else as the engine does.
fn policy(default: &Policy, job: &Job) -> Policy {
    let Some(own) = job.retention else { return default.clone() };
    Policy {
        keep_last: own.builds.map(u64::from),
        keep_for: own.days.map(|days| DAY * days),
        ..default.clone()
    }
}
