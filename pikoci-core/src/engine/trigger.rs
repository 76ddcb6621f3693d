//! What people ask of builds: run, run again, stop, approve, count otherwise.

use std::collections::{BTreeMap, BTreeSet};

use super::bells::{Bell, Rings};
use super::builds::{NewBuild, Place, job_of};
use super::core::{Changed, Core, asked_checks};
use super::engine::Engine;
use super::error::EngineError;
use super::records::{
    BuildRecord, BuildState, Cause, Decision, Mark, PipelineRecord, ResourceRecord,
};
use crate::database::Transaction;
use crate::name::BuildId;
use crate::pipeline::Job;
use crate::resolve::{Choice, InputSpec, JobSpec, ResourceRef};
use crate::status::Status;
use crate::version::Version;

/// How many checks are asked for in one transaction.
const CHECKS_AT_ONCE: usize = 20;

/// What a build that somebody asks for is to take.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// Values for the job's `input` blocks, by name; the others take their defaults.
    pub values: BTreeMap<String, String>,
    /// Versions, by the get's name: the newest that has these fields. The
    /// others take what they would take by themselves.
    pub versions: BTreeMap<String, Version>,
}

impl Inputs {
    /// The newest versions, and the defaults of all values.
    pub fn latest() -> Self {
        Self::default()
    }

    /// The same with a value for an input.
    #[must_use]
    pub fn value(mut self, input: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.insert(input.into(), value.into());
        self
    }

    /// The same with a version for a get.
    #[must_use]
    pub fn version(mut self, get: impl Into<String>, version: Version) -> Self {
        self.versions.insert(get.into(), version);
        self
    }
}

/// What is asked for.
struct Asked<'a> {
    core: &'a Core,
    team: &'a str,
    pipeline: &'a str,
    job: &'a str,
    inputs: &'a Inputs,
    by: &'a str,
    /// The checks that were asked for: the number of each request.
    checks: BTreeMap<ResourceRef, u64>,
}

impl Engine {
    /// Makes a build of a job and starts it as soon as that can be. `by` says
    /// who asks, for people.
    ///
    /// Its resources are checked first, but for those that come through
    /// `passed` or are pinned, so that it takes the newest versions.
    ///
    /// # Errors
    /// When there is no such job, it may not be started by people, the values
    /// do not fit, or a version that was chosen is not known.
    pub async fn trigger(
        &self,
        (team, pipeline, job): (&str, &str, &str),
        inputs: &Inputs,
        by: &str,
    ) -> Result<BuildRecord, EngineError> {
        let mut asked =
            Asked { core: self.core(), team, pipeline, job, inputs, by, checks: BTreeMap::new() };
        asked.checks = asked.ask_checks().await?;
        asked.core.change(&asked, |transaction, asked| Box::pin(asked.trigger(transaction))).await
    }

    /// Runs a build again, with the versions that it had and the job's steps as
    /// they are now. It stands beside the build it runs again, so it is the
    /// newest one only if that was.
    ///
    /// # Errors
    /// When there is no such build, it never had versions, it has not ended, or its job
    /// does not allow it.
    pub async fn retry(&self, build: BuildId, by: &str) -> Result<BuildRecord, EngineError> {
        self.rerun(build, by, false).await
    }

    /// Runs a build again from the step that failed, in the workspace that its
    /// worker kept.
    ///
    /// # Errors
    /// As for [`Self::retry`], and when no workspace was kept.
    pub async fn rerun_from_failed(
        &self,
        build: BuildId,
        by: &str,
    ) -> Result<BuildRecord, EngineError> {
        self.rerun(build, by, true).await
    }

    async fn rerun(
        &self,
        build: BuildId,
        by: &str,
        from_failed: bool,
    ) -> Result<BuildRecord, EngineError> {
        let core = self.core();
        core.change(&(core, build, by, from_failed), |transaction, (core, build, by, resumes)| {
            Box::pin(core.rerun(transaction, *build, by, *resumes))
        })
        .await
    }

    /// Asks for a build to stop. One that waits ends at once; one that runs is
    /// told, and ends once its hooks have run and its services are stopped.
    /// Answers the build as it is then.
    ///
    /// # Errors
    /// When there is no such build, or it has ended already.
    pub async fn cancel(&self, build: BuildId, by: &str) -> Result<BuildRecord, EngineError> {
        self.core().cancel_build(build, &format!("cancelled by {by}")).await
    }

    /// Approves a build that waits for it.
    ///
    /// # Errors
    /// When there is no such build or approval, it waits for none any more, or
    /// this person has decided already.
    pub async fn approve(
        &self,
        build: BuildId,
        label: &str,
        by: &str,
        comment: Option<String>,
    ) -> Result<BuildRecord, EngineError> {
        self.settle(build, label, by, true, comment).await
    }

    /// Rejects a build that waits for approval; it ends as failed.
    ///
    /// # Errors
    /// As for [`Self::approve`].
    pub async fn reject(
        &self,
        build: BuildId,
        label: &str,
        by: &str,
        comment: Option<String>,
    ) -> Result<BuildRecord, EngineError> {
        self.settle(build, label, by, false, comment).await
    }

    async fn settle(
        &self,
        build: BuildId,
        label: &str,
        by: &str,
        approved: bool,
        comment: Option<String>,
    ) -> Result<BuildRecord, EngineError> {
        let core = self.core();
        let decision = Decision { by: by.into(), at: core.clock().now(), approved, comment };
        let context = (core, build, label, decision);
        core.change(&context, |transaction, (core, build, label, decision)| {
            Box::pin(core.settle(transaction, *build, label, decision))
        })
        .await
    }

    /// Lets a build that failed or errored count as a warning: `passed` builds
    /// on it from now on.
    ///
    /// # Errors
    /// When there is no such build, or it ended otherwise.
    pub async fn mark_as_warning(
        &self,
        build: BuildId,
        by: &str,
        comment: Option<String>,
    ) -> Result<BuildRecord, EngineError> {
        let core = self.core();
        let mark = Mark { status: Status::Warning, by: by.into(), at: core.clock().now(), comment };
        core.change(&(core, build, mark), |transaction, (core, build, mark)| {
            Box::pin(core.mark(transaction, *build, mark))
        })
        .await
    }
}

impl Asked<'_> {
    /// Asks for the checks that the build waits for. In transactions of their
    /// own, since a job may have more gets than one takes; a check that is made
    /// for a build that then is not does no harm.
    async fn ask_checks(&self) -> Result<BTreeMap<ResourceRef, u64>, EngineError> {
        let core = self.core;
        let found = core.pipeline(self.team, self.pipeline).await?;
        let pipeline = found.ok_or_else(|| {
            EngineError::not_found("pipeline", format!("{}/{}", self.team, self.pipeline))
        })?;
        let config = core.configs.get(&core.logs, pipeline.id, pipeline.revision).await?;
        let job = job_of(&config, self.job)?;
        // What would refuse the build refuses its checks.
        self.check_values(job)?;
        let Some((_, job_config)) = config.job(self.job) else { return Ok(BTreeMap::new()) };
        let by_itself = |input: &&InputSpec| {
            input.passed.is_empty()
                && !matches!(input.choice, Choice::Pinned(_))
                && !self.inputs.versions.contains_key(&input.name)
        };
        let inputs = job_config.spec.inputs.iter().filter(by_itself);
        let resources: BTreeSet<&ResourceRef> = inputs.map(|input| &input.resource).collect();
        let resources: Vec<&ResourceRef> = resources.into_iter().collect();
        let mut asked = BTreeMap::new();
        for some in resources.chunks(CHECKS_AT_ONCE) {
            let context = (core, &pipeline, some);
            let requests = core.change(&context, |transaction, (core, pipeline, some)| {
                Box::pin(async move {
                    let (mut rings, mut requests) = (Rings::default(), Vec::new());
                    for resource in *some {
                        let request =
                            core.ask_check(transaction, &mut rings, pipeline, resource).await?;
                        requests.extend(request.map(|it| ((*resource).clone(), it)));
                    }
                    Ok(Changed::new(requests, rings))
                })
            });
            asked.extend(requests.await?);
        }
        Ok(asked)
    }

    fn check_values(&self, job: &Job) -> Result<BTreeMap<String, String>, EngineError> {
        if job.disable_manual_trigger {
            let message = format!("job `{}` is not started by people", job.name);
            return Err(EngineError::wrong_state(message));
        }
        if !job.enabled {
            return Err(EngineError::wrong_state(format!("job `{}` is not enabled", job.name)));
        }
        crate::plan::check_inputs(job, &self.inputs.values)
            .map_err(|problems| EngineError::Invalid { problems })
    }

    async fn trigger(
        &self,
        transaction: &mut Transaction,
    ) -> Result<Changed<BuildRecord>, EngineError> {
        let core = self.core;
        let mut rings = Rings::default();
        let pipeline = core.pipeline_in(transaction, self.team, self.pipeline).await?;
        let config = core.configs.get(&core.logs, pipeline.id, pipeline.revision).await?;
        let job = job_of(&config, self.job)?;
        let Some((_, job_config)) = config.job(self.job) else {
            return Err(EngineError::not_found("job", self.job));
        };
        let values = self.check_values(job)?;
        let mut new = NewBuild::new(Cause::Manual { by: self.by.to_owned() });
        new.values = values;
        new.chosen = core.choose(transaction, &pipeline, &job_config.spec, self.inputs).await?;
        new.awaits_checks.clone_from(&self.checks);
        let mut shared = core.shared(transaction, &pipeline, job).await?;
        let view = core.resolve(pipeline.id, &config, &job_config.spec).await?;
        // A build that needs nothing but what is here starts right now; for the
        // others it is decided when the job is looked at.
        if view.resolution.inputs.is_empty() {
            let build =
                core.launch(transaction, &mut rings, (&pipeline, &mut shared), &view, &new).await?;
            if matches!(build.state, BuildState::Pending) || job.interruptible {
                core.wake_job(transaction, &mut rings, (pipeline.id, &job.name))?;
            }
            return Ok(Changed::new(build, rings));
        }
        let build = core.enqueue(transaction, &mut rings, (&pipeline, &mut shared), &new).await?;
        core.wake_job(transaction, &mut rings, (pipeline.id, &job.name))?;
        Ok(Changed::new(build, rings))
    }
}

impl Core {
    /// Makes a build that waits to be looked at.
    async fn enqueue(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        (pipeline, shared): (&PipelineRecord, &mut super::builds::Shared<'_>),
        new: &NewBuild,
    ) -> Result<BuildRecord, EngineError> {
        let mut build = self.new_build(transaction, pipeline, shared.job, new).await?;
        let mut kinds = Vec::new();
        self.begin(transaction, &build, &mut kinds).await?;
        if !build.awaits_checks.is_empty() {
            let resources = build.awaits_checks.keys().cloned().collect();
            let reason = super::builds::Waits::Checks { resources }.to_string();
            kinds.push(crate::event::EventKind::BuildQueued { reason });
        }
        build.next_event = self.tell(transaction, build.id, 0, kinds).await?;
        self.write_shared(transaction, &build, shared).await?;
        transaction.insert(&build).await?;
        self.moved(transaction, rings, &build)?;
        Ok(build)
    }

    /// The versions that somebody chose, as they are known.
    async fn choose(
        &self,
        transaction: &mut Transaction,
        pipeline: &PipelineRecord,
        spec: &JobSpec,
        inputs: &Inputs,
    ) -> Result<BTreeMap<String, Version>, EngineError> {
        let mut chosen = BTreeMap::new();
        for (name, wanted) in &inputs.versions {
            let input = spec.inputs.iter().find(|it| it.name == *name);
            let input = input.ok_or_else(|| EngineError::not_found("get", name))?;
            let id = (pipeline.id, input.resource.0.clone());
            let record = transaction.get::<ResourceRecord>(&id).await?;
            let record = record.ok_or_else(|| EngineError::not_found("resource", &id.1))?;
            let found = self.find_version(&record, wanted).await?.ok_or_else(|| {
                EngineError::not_found("version", format!("{wanted} of {}", input.resource.0))
            })?;
            chosen.insert(name.clone(), found.version);
        }
        Ok(chosen)
    }

    /// Asks for a check of a resource; the number of the request, or `None`
    /// where it is pinned or cannot be checked.
    pub(crate) async fn ask_check(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        pipeline: &PipelineRecord,
        resource: &ResourceRef,
    ) -> Result<Option<u64>, EngineError> {
        let id = (pipeline.id, resource.0.clone());
        let Some(mut record) = transaction.get::<ResourceRecord>(&id).await? else {
            return Ok(None);
        };
        if record.pin.is_some() {
            return Ok(None);
        }
        record.checks_requested += 1;
        transaction.put(&record).await?;
        asked_checks().raise(transaction, (pipeline.id, &resource.0))?;
        rings.add(Bell::Checks);
        Ok(Some(record.checks_requested))
    }

    async fn rerun(
        &self,
        transaction: &mut Transaction,
        build: BuildId,
        by: &str,
        from_failed: bool,
    ) -> Result<Changed<BuildRecord>, EngineError> {
        let mut rings = Rings::default();
        let old = self.build_in(transaction, build).await?;
        let pipeline = transaction.get::<PipelineRecord>(&old.pipeline).await?;
        let pipeline = pipeline
            .filter(|it| !it.deleted)
            .ok_or_else(|| EngineError::not_found("pipeline", &old.pipeline_name))?;
        let config = self.configs.get(&self.logs, pipeline.id, pipeline.revision).await?;
        let job = job_of(&config, &old.job)?;
        let refuse =
            |why: &str| Err(EngineError::wrong_state(format!("build {} {why}", old.name())));
        if job.disable_retry {
            return refuse("cannot be run again: its job does not allow that");
        }
        if !matches!(old.state, BuildState::Finished { .. }) {
            return refuse("has not ended yet, so it cannot be run again");
        }
        let Some(inputs) = old.inputs.clone() else {
            return refuse("never had versions to run with; trigger its job instead");
        };
        if from_failed && old.kept_by.is_none() {
            return refuse("left no workspace to go on in; retry it instead");
        }
        let original = match &old.cause {
            Cause::Rerun { of, .. } => *of,
            _ => old.id,
        };
        let cause = Cause::Rerun {
            by: by.to_owned(),
            of: original,
            resumes: from_failed.then_some(old.id),
        };
        let mut new = NewBuild::new(cause);
        new.place = Place::Beside(old.position.number);
        new.inputs = Some(
            inputs
                .into_iter()
                .map(|input| super::records::AdoptedInput { first: false, ..input })
                .collect(),
        );
        new.values = old.values.clone();
        let mut shared = self.shared(transaction, &pipeline, job).await?;
        let view = super::facts::View::of_nothing();
        new.kept_by = old.kept_by.filter(|_| from_failed);
        let build =
            self.launch(transaction, &mut rings, (&pipeline, &mut shared), &view, &new).await?;
        if from_failed {
            // One at a time in one workspace.
            let mut old = old;
            old.kept_by = None;
            transaction.put(&old).await?;
        }
        if matches!(build.state, BuildState::Pending) || job.interruptible {
            self.wake_job(transaction, &mut rings, (pipeline.id, &job.name))?;
        }
        Ok(Changed::new(build, rings))
    }

    async fn settle(
        &self,
        transaction: &mut Transaction,
        build: BuildId,
        label: &str,
        decision: &Decision,
    ) -> Result<Changed<BuildRecord>, EngineError> {
        let mut rings = Rings::default();
        let mut build = self.build_in(transaction, build).await?;
        let name = build.name();
        if !matches!(build.state, BuildState::Pending) {
            let message = format!("build {name} does not wait for approval");
            return Err(EngineError::wrong_state(message));
        }
        let Some(approval) = build.approvals.iter_mut().find(|it| it.label == label) else {
            return Err(EngineError::not_found("approval", label));
        };
        if approval.decisions.iter().any(|it| it.by == decision.by) {
            let message = format!("{} has decided about `{label}` already", decision.by);
            return Err(EngineError::wrong_state(message));
        }
        approval.decisions.push(decision.clone());
        if decision.approved {
            transaction.put(&build).await?;
            self.wake_job(transaction, &mut rings, (build.pipeline, &build.job))?;
        } else {
            let reason = format!("it was rejected by {}", decision.by);
            let ending = super::builds::Ending::of_waiting(Status::Failed, reason);
            self.finish_in(transaction, &mut rings, &mut build, ending).await?;
        }
        Ok(Changed::new(build, rings))
    }

    async fn mark(
        &self,
        transaction: &mut Transaction,
        build: BuildId,
        mark: &Mark,
    ) -> Result<Changed<BuildRecord>, EngineError> {
        let mut rings = Rings::default();
        let mut build = self.build_in(transaction, build).await?;
        if !matches!(build.status(), Some(Status::Failed | Status::Errored)) {
            let message = format!(
                "build {} is {} and only one that failed or errored is marked as a warning",
                build.name(),
                build.state.as_str()
            );
            return Err(EngineError::wrong_state(message));
        }
        build.mark = Some(mark.clone());
        transaction.put(&build).await?;
        self.vouch(transaction, &build).await?;
        let config = self.configs.get(&self.logs, build.pipeline, build.revision).await?;
        if let Some((_, job)) = config.job(&build.job) {
            for downstream in &job.downstream {
                self.wake_job(transaction, &mut rings, (build.pipeline, downstream))?;
            }
        }
        self.moved(transaction, &mut rings, &build)?;
        Ok(Changed::new(build, rings))
    }

    pub(crate) async fn build_in(
        &self,
        transaction: &mut Transaction,
        build: BuildId,
    ) -> Result<BuildRecord, EngineError> {
        let found = transaction.get::<BuildRecord>(&build).await?;
        found.ok_or_else(|| EngineError::not_found("build", build.to_string()))
    }

    pub(crate) async fn pipeline_in(
        &self,
        transaction: &mut Transaction,
        team: &str,
        name: &str,
    ) -> Result<PipelineRecord, EngineError> {
        let found = transaction.find_by::<PipelineRecord>("by_name", (team, name)).await?;
        found.ok_or_else(|| EngineError::not_found("pipeline", format!("{team}/{name}")))
    }
}
