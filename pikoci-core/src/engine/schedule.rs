//! Looking at jobs: what of a job can be started now.
//!
//! A job is looked at when its flag was raised, by whatever may have changed
//! the answer. The flag is lowered once nothing can be done, unless it was
//! raised again meanwhile. Nothing here waits for a tick.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use super::bells::{Bell, Rings};
use super::builds::{Decision, NewBuild, Standing, decide};
use super::config::Config;
use super::core::{Changed, Core, due_jobs};
use super::error::EngineError;
use super::facts::View;
use super::records::{
    BuildRecord, Cause, PipelineId, PipelineRecord, ResourceRecord, VersionRecord,
};
use crate::database::{Cursor, Part, Query, Raised, Transaction};
use crate::pipeline::Job;
use crate::resolve::ResourceRef;
use crate::status::Status;

/// How many jobs are looked at together.
const AT_ONCE: usize = 16;
/// How many flags are read at once.
const FLAGS: usize = 200;
/// How many waiting builds are considered in one transaction.
const PENDING: usize = 15;
/// How long a job that could not be looked at is left alone.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// What a transaction found to do.
#[derive(Debug)]
enum Step {
    /// It did something; there may be more.
    Changed,
    /// What it was to act on is out of date.
    Stale,
    /// There was nothing to do for these builds; the others are behind the cursor.
    Idle(Option<Cursor>),
}

/// What one look at a job goes by.
struct Look<'a> {
    core: &'a Core,
    pipeline: &'a PipelineRecord,
    config: &'a Config,
    job: &'a Job,
    view: &'a View,
    cursor: Option<Cursor>,
    /// Whether a build that will resolve for itself was met.
    unadopted: bool,
}

impl Core {
    /// Looks at jobs whose flags are raised, until `stop` fires.
    pub(crate) async fn schedule(&self, stop: &CancellationToken) {
        let mut bell = self.bells.listen(Bell::Due);
        let mut failed: BTreeMap<Vec<Part>, Duration> = BTreeMap::new();
        loop {
            bell.mark_heard();
            let now = self.clock().monotonic();
            failed.retain(|_, until| *until > now);
            let busy = match self.schedule_round(&mut failed).await {
                Ok(busy) => busy,
                Err(error) => {
                    tracing::warn!(%error, "the jobs that are due cannot be read");
                    false
                }
            };
            if busy && !stop.is_cancelled() {
                continue;
            }
            let retry = failed.values().min().map(|until| until.saturating_sub(now));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = bell.heard() => {}
                () = tokio::time::sleep(retry.unwrap_or(Duration::MAX)), if retry.is_some() => {}
            }
        }
    }

    /// Looks once at each job that is due. Whether there was one.
    pub(crate) async fn schedule_round(
        &self,
        failed: &mut BTreeMap<Vec<Part>, Duration>,
    ) -> Result<bool, EngineError> {
        let mut after: Option<Raised> = None;
        let mut busy = false;
        loop {
            let raised = due_jobs().raised(&self.database, after.as_ref(), FLAGS).await?;
            after = raised.last().cloned();
            let ends = raised.len() < FLAGS;
            let due = raised.into_iter().filter(|it| !failed.contains_key(it.name()));
            let looks = stream::iter(due.collect::<Vec<_>>())
                .map(|flag| async move {
                    let looked = Box::pin(self.look_at(&flag)).await;
                    (flag, looked)
                })
                .buffered(AT_ONCE)
                .collect::<Vec<_>>()
                .await;
            for (flag, looked) in looks {
                match looked {
                    Ok(()) => busy = true,
                    Err(error) => {
                        let name = crate::database::KeyPath::new(flag.name()).to_string();
                        tracing::warn!(job = name, %error, "a job cannot be looked at");
                        let until = self.clock().monotonic() + AFTER_ERROR;
                        failed.insert(flag.name().to_vec(), until);
                    }
                }
            }
            if ends {
                return Ok(busy);
            }
        }
    }

    /// Does what can be done for the job of a flag, and lowers it.
    async fn look_at(&self, flag: &Raised) -> Result<(), EngineError> {
        let [Part::Id(pipeline), Part::Text(job)] = flag.name() else {
            return self.lower(flag).await.map(|_| ());
        };
        let mut flag = flag.clone();
        loop {
            let done = self.advance_job(PipelineId(*pipeline), job).await?;
            if done && self.lower(&flag).await? {
                return Ok(());
            }
            // Raised again meanwhile; whatever that was about is looked at now.
            match due_jobs().get(&self.database, (PipelineId(*pipeline), job)).await? {
                Some(again) => flag = again,
                None => return Ok(()),
            }
        }
    }

    /// Whether the flag is down.
    async fn lower(&self, flag: &Raised) -> Result<bool, EngineError> {
        self.change(flag, |transaction, flag| {
            Box::pin(async move {
                let lowered = due_jobs().lower(transaction, flag).await?;
                Ok(Changed::new(lowered, Rings::default()))
            })
        })
        .await
    }

    /// Starts what of a job can be started. Whether there is nothing left to do.
    async fn advance_job(&self, pipeline: PipelineId, job: &str) -> Result<bool, EngineError> {
        let Some(record) = self.database.get::<PipelineRecord>(&pipeline).await? else {
            return Ok(true);
        };
        if record.deleted {
            return Ok(true);
        }
        let config = self.configs.get(&self.logs, pipeline, record.revision).await?;
        let Some((job, job_config)) = config.job(job) else {
            self.end_pending(pipeline, job, "its job was taken out of the pipeline").await?;
            return Ok(true);
        };
        let view = self.resolve(pipeline, &config, &job_config.spec).await?;
        let mut look = Look {
            core: self,
            pipeline: &record,
            config: &config,
            job,
            view: &view,
            cursor: None,
            unadopted: false,
        };
        loop {
            let (step, unadopted) =
                self.change(&look, |transaction, look| Box::pin(look.step(transaction))).await?;
            match step {
                Step::Changed | Step::Stale => return Ok(false),
                Step::Idle(None) => break,
                Step::Idle(cursor) => {
                    look.cursor = cursor;
                    look.unadopted |= unadopted;
                }
            }
        }
        if job.interruptible {
            self.interrupt_older(pipeline, &job.name).await?;
        }
        Ok(true)
    }

    /// Cancels all unfinished builds of a job but its newest.
    async fn interrupt_older(&self, pipeline: PipelineId, job: &str) -> Result<(), EngineError> {
        let query = Query::below((pipeline, job)).limit(crate::database::MAX_PAGE_ITEMS);
        let page = self.database.list_by::<BuildRecord>("unfinished", &query).await?;
        let Some(newest) = page.items.iter().map(|it| (it.position, it.id)).max() else {
            return Ok(());
        };
        for build in page.items.iter().filter(|build| build.id != newest.1) {
            let reason = format!("build {} of this job is newer", newest.0);
            match self.cancel_build(build.id, &reason).await {
                Ok(_) | Err(EngineError::WrongState { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends the waiting builds of a job that is gone.
    async fn end_pending(
        &self,
        pipeline: PipelineId,
        job: &str,
        reason: &str,
    ) -> Result<(), EngineError> {
        loop {
            let query = Query::below((pipeline, job));
            let page = self.database.list_by::<BuildRecord>("pending", &query).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            for build in page.items {
                match self.cancel_build(build.id, reason).await {
                    Ok(_) | Err(EngineError::WrongState { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// What becomes of a build that waits, as things stand.
    pub(crate) async fn decision(
        &self,
        build: &BuildRecord,
        pipeline: &PipelineRecord,
        shared: &super::builds::Shared<'_>,
        view: &View,
    ) -> Result<Decision, EngineError> {
        let standing = Standing {
            job: shared.job,
            pipeline_paused: pipeline.paused,
            record: &shared.record,
            groups: &shared.groups,
            view,
            served: &self.served(build).await?,
            chosen: &self.chosen(build, view).await?,
        };
        Ok(decide(build, &standing))
    }

    /// How many checks were served of the resources that a build waits for.
    ///
    /// Read beside the transaction: it only grows, and when it does the job is woken.
    async fn served(&self, build: &BuildRecord) -> Result<BTreeMap<ResourceRef, u64>, EngineError> {
        let ids: Vec<_> =
            build.awaits_checks.keys().map(|it| (build.pipeline, it.0.clone())).collect();
        let records = self.database.get_many::<ResourceRecord>(&ids).await?;
        // One that is gone will not be checked any more.
        let served =
            |record: Option<ResourceRecord>| record.map_or(u64::MAX, |it| it.checks_served);
        Ok(build.awaits_checks.keys().cloned().zip(records.into_iter().map(served)).collect())
    }

    /// The versions that somebody chose for a build, by the get's name, as they are known now.
    async fn chosen(
        &self,
        build: &BuildRecord,
        view: &View,
    ) -> Result<BTreeMap<String, VersionRecord>, EngineError> {
        let mut chosen = BTreeMap::new();
        for input in &view.resolution.inputs {
            let Some(version) = build.chosen.get(&input.name) else { continue };
            let Some(scope) = view.scopes.get(&input.resource) else { continue };
            let id = (
                (build.pipeline, input.resource.0.clone()),
                (scope.clone(), version.digest().to_string()),
            );
            if let Some(record) = self.database.get::<VersionRecord>(&id).await? {
                chosen.insert(input.name.clone(), record);
            }
        }
        Ok(chosen)
    }
}

impl Look<'_> {
    /// Does the first thing that can be done; and whether a build that will
    /// resolve for itself was met.
    async fn step(
        &self,
        transaction: &mut Transaction,
    ) -> Result<Changed<(Step, bool)>, EngineError> {
        let mut rings = Rings::default();
        let id = self.pipeline.id;
        let pipeline = transaction.get::<PipelineRecord>(&id).await?;
        let Some(pipeline) = pipeline.filter(|it| it.revision == self.pipeline.revision) else {
            return Ok(Changed::new((Step::Stale, false), rings));
        };
        let mut shared = self.core.shared(transaction, &pipeline, self.job).await?;
        if !self.view.resolution.inputs.is_empty() && shared.record.adoptions != self.view.adoptions
        {
            return Ok(Changed::new((Step::Stale, false), rings));
        }
        let mut unadopted = self.unadopted || shared.record.automatic.is_some();
        let query = Query::below((id, &self.job.name)).limit(PENDING).after(self.cursor.clone());
        let page = transaction.list_by::<BuildRecord>("pending", &query).await?;
        let mut next = page.next;
        for mut build in page.items {
            unadopted |= build.inputs.is_none();
            let decision = self.core.decision(&build, &pipeline, &shared, self.view).await?;
            let holds_up = matches!(&decision, Decision::Wait(waits) if waits.holds_up());
            let build = (&mut build, Vec::new());
            if self.core.apply(transaction, &mut rings, build, &mut shared, decision).await? {
                return Ok(Changed::new((Step::Changed, unadopted), rings));
            }
            if holds_up {
                next = None;
                break;
            }
        }
        let starts_by_itself = self.job.enabled && !pipeline.paused && !shared.record.paused;
        if next.is_some() || !starts_by_itself || unadopted || !self.view.triggers {
            return Ok(Changed::new((Step::Idle(next), unadopted), rings));
        }
        self.make(transaction, &mut rings, &pipeline, &mut shared).await?;
        Ok(Changed::new((Step::Changed, true), rings))
    }

    /// Makes the build that new versions ask for.
    async fn make(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        pipeline: &PipelineRecord,
        shared: &mut super::builds::Shared<'_>,
    ) -> Result<(), EngineError> {
        let spec = self.config.job(&self.job.name).map(|(_, config)| &config.spec);
        let fresh = |name: &str| {
            spec.is_some_and(|spec| spec.inputs.iter().any(|it| it.trigger && it.name == name))
        };
        let inputs = self.view.resolution.inputs.iter();
        let resources = inputs
            .filter(|it| fresh(&it.name) && it.result.as_ref().is_ok_and(|chosen| chosen.first))
            .map(|it| it.resource.clone())
            .collect();
        let mut new = NewBuild::new(Cause::Versions { resources });
        // Where there is no default the build says so when it runs.
        new.values = Core::default_values(self.job).unwrap_or_default();
        self.core.launch(transaction, rings, (pipeline, shared), self.view, &new).await?;
        Ok(())
    }
}

impl Core {
    /// Makes a build and starts it, if that can be done now.
    pub(crate) async fn launch(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        (pipeline, shared): (&PipelineRecord, &mut super::builds::Shared<'_>),
        view: &View,
        new: &NewBuild,
    ) -> Result<BuildRecord, EngineError> {
        let mut build = self.new_build(transaction, pipeline, shared.job, new).await?;
        let mut kinds = Vec::new();
        self.begin(transaction, &build, &mut kinds).await?;
        let decision = self.decision(&build, pipeline, shared, view).await?;
        self.apply(transaction, rings, (&mut build, kinds), shared, decision).await?;
        Ok(build)
    }

    /// The revision of a build's pipeline that counts now.
    pub(crate) async fn newest_revision(
        &self,
        transaction: &mut Transaction,
        build: &BuildRecord,
    ) -> Result<Option<u64>, EngineError> {
        let record = transaction.get::<PipelineRecord>(&build.pipeline).await?;
        Ok(record.filter(|it| !it.deleted).map(|it| it.revision))
    }

    /// Asks for a build to stop: one that waits ends at once, one that runs is
    /// cancelled by its worker. Answers the build as it is then.
    pub(crate) async fn cancel_build(
        &self,
        build: crate::name::BuildId,
        reason: &str,
    ) -> Result<BuildRecord, EngineError> {
        use super::builds::Ending;
        use super::records::{BuildState, CancelRequest};
        let context = (self, build, reason);
        self.change(&context, |transaction, (core, build, reason)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let mut record = transaction.require::<BuildRecord>(build).await?;
                match &record.state {
                    BuildState::Finished { status } => {
                        let message =
                            format!("build {} has ended already: {status}", record.name());
                        return Err(EngineError::wrong_state(message));
                    }
                    BuildState::Pending | BuildState::Queued { .. } => {
                        let ending = Ending::of_waiting(Status::Cancelled, *reason);
                        core.finish_in(transaction, &mut rings, &mut record, ending).await?;
                    }
                    BuildState::Running { .. } if record.cancel.is_none() => {
                        let at = core.clock().now();
                        let request = CancelRequest { at, reason: (*reason).to_owned() };
                        record.cancel = Some(request);
                        transaction.put(&record).await?;
                        rings.add(Bell::Signals);
                    }
                    BuildState::Running { .. } => {}
                }
                Ok(Changed::new(record, rings))
            })
        })
        .await
    }
}
