//! Waking jobs: a few in the transaction that is the reason, any number by a
//! flag that it leaves.

use super::bells::{Bell, Rings};
use super::config::Config;
use super::core::{Changed, Core, due_jobs};
use super::error::EngineError;
use super::records::{JobRecord, PipelineId, PipelineRecord};
use crate::database::{Flags, MAX_PAGE_ITEMS, Part, Query, Transaction};
use crate::resolve::ResourceRef;

/// Up to how many jobs are woken in the transaction that is their reason.
const WOKEN_AT_ONCE: usize = 20;
/// How many flags are read at once.
const FLAGS: usize = 50;

/// Which jobs are to be woken, where they are many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Many {
    /// Those that get a resource.
    Users(ResourceRef),
    /// Those that name a job in `passed`, and those that share a serial group with it.
    Downstream(String),
}

impl Many {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Users(resource) => ("users", &resource.0),
            Self::Downstream(job) => ("downstream", job),
        }
    }
}

/// Jobs that are to be woken: `(pipeline, kind, name)`.
fn many_to_wake() -> Flags {
    Flags::new("wake")
}

impl Core {
    /// Lets a job be looked at.
    pub(crate) fn wake_job(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        (pipeline, job): (PipelineId, &str),
    ) -> Result<(), EngineError> {
        due_jobs().raise(transaction, (pipeline, job))?;
        rings.add(Bell::Due);
        Ok(())
    }

    /// Lets jobs be looked at; where they are many, by a flag for `many`,
    /// which are the same ones.
    pub(crate) fn wake_some(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        pipeline: PipelineId,
        (jobs, many): (&[String], Many),
    ) -> Result<(), EngineError> {
        if jobs.len() > WOKEN_AT_ONCE {
            let (kind, name) = many.parts();
            many_to_wake().raise(transaction, (pipeline, kind, name))?;
            rings.add(Bell::Pipelines);
            return Ok(());
        }
        for job in jobs {
            self.wake_job(transaction, rings, (pipeline, job))?;
        }
        Ok(())
    }

    /// Lets the jobs that get a resource be looked at.
    pub(crate) fn wake_users(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        (pipeline, resource): (PipelineId, &ResourceRef),
        config: &Config,
    ) -> Result<(), EngineError> {
        let jobs = (config.users(resource), Many::Users(resource.clone()));
        self.wake_some(transaction, rings, pipeline, jobs)
    }

    /// Wakes the jobs of those flags that stand for many. Whether there was one.
    pub(crate) async fn wake_many(&self) -> Result<bool, EngineError> {
        let raised = many_to_wake().raised(&self.database, None, FLAGS).await?;
        for flag in &raised {
            if let [Part::Id(pipeline), Part::Text(kind), Part::Text(name)] = flag.name() {
                self.wake_all_of(PipelineId(*pipeline), kind, name).await?;
            }
            self.change(flag, |transaction, flag| {
                Box::pin(async move {
                    many_to_wake().lower(transaction, flag).await?;
                    Ok(Changed::new((), Rings::default()))
                })
            })
            .await?;
        }
        Ok(!raised.is_empty())
    }

    async fn wake_all_of(
        &self,
        pipeline: PipelineId,
        kind: &str,
        name: &str,
    ) -> Result<(), EngineError> {
        let record = self.database.get::<PipelineRecord>(&pipeline).await?;
        let Some(record) = record.filter(|it| !it.deleted) else { return Ok(()) };
        let config = self.configs.get(&self.logs, pipeline, record.revision).await?;
        if kind == "users" {
            return self.wake_jobs(pipeline, config.users(&ResourceRef(name.to_owned()))).await;
        }
        let mut jobs = vec![name.to_owned()];
        if let Some((job, job_config)) = config.job(name) {
            jobs.extend(job_config.downstream.iter().cloned());
            let shares = |other: &&crate::pipeline::Job| {
                other.serial_groups.iter().any(|group| job.serial_groups.contains(group))
            };
            let others = config.pipeline.jobs.iter().filter(shares);
            jobs.extend(others.map(|other| other.name.clone()));
        }
        self.wake_jobs(pipeline, &jobs).await
    }

    /// Wakes any number of jobs; may be done in part.
    pub(crate) async fn wake_jobs(
        &self,
        pipeline: PipelineId,
        jobs: &[String],
    ) -> Result<(), EngineError> {
        for some in jobs.chunks(WOKEN_AT_ONCE) {
            self.change(&(self, pipeline, some), |transaction, (core, pipeline, some)| {
                Box::pin(async move {
                    let mut rings = Rings::default();
                    for job in *some {
                        core.wake_job(transaction, &mut rings, (*pipeline, job))?;
                    }
                    Ok(Changed::new((), rings))
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Lets the jobs be looked at that a pipeline had and has not any more, so
    /// that what of them waits is ended.
    pub(crate) async fn wake_removed(
        &self,
        pipeline: PipelineId,
        config: &Config,
    ) -> Result<(), EngineError> {
        let mut cursor = None;
        loop {
            let query = Query::below(pipeline).limit(MAX_PAGE_ITEMS).after(cursor);
            let page = self.database.list::<JobRecord>(&query).await?;
            let gone = page.items.into_iter().filter(|it| config.job(&it.name).is_none());
            let gone: Vec<String> = gone.map(|it| it.name).collect();
            self.wake_jobs(pipeline, &gone).await?;
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}
