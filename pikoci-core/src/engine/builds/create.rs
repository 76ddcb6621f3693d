//! Making builds.

use std::collections::BTreeMap;

use crate::database::{Counter, Transaction};
use crate::dispatch::SessionId;
use crate::engine::config::Config;
use crate::engine::core::{Core, deadlines};
use crate::engine::error::EngineError;
use crate::engine::records::{
    AdoptedInput, ApprovalState, BuildRecord, BuildState, Cause, PipelineRecord, Slots,
};
use crate::event::EventKind;
use crate::name::BuildId;
use crate::pipeline::Job;
use crate::resolve::{Position, ResourceRef};
use crate::version::Version;

/// Where a build stands among those of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind all others.
    Last,
    /// Beside the build of this number, which it runs again.
    Beside(u64),
}

/// What is to be known of a build that is made.
#[derive(Debug, Clone)]
pub(crate) struct NewBuild {
    pub(crate) cause: Cause,
    pub(crate) place: Place,
    /// Inputs that it has from its beginning, of a build that is run again.
    pub(crate) inputs: Option<Vec<AdoptedInput>>,
    pub(crate) chosen: BTreeMap<String, Version>,
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) awaits_checks: BTreeMap<ResourceRef, u64>,
    /// The worker in whose kept workspace it goes on, if it does.
    pub(crate) kept_by: Option<SessionId>,
}

impl NewBuild {
    /// A build behind all others that takes what it finds.
    pub(crate) fn new(cause: Cause) -> Self {
        Self {
            cause,
            place: Place::Last,
            inputs: None,
            chosen: BTreeMap::new(),
            values: BTreeMap::new(),
            awaits_checks: BTreeMap::new(),
            kept_by: None,
        }
    }
}

impl Core {
    /// A build that waits; nothing of it is written yet but its number.
    pub(crate) async fn new_build(
        &self,
        transaction: &mut Transaction,
        pipeline: &PipelineRecord,
        job: &Job,
        new: &NewBuild,
    ) -> Result<BuildRecord, EngineError> {
        let position = match new.place {
            Place::Last => {
                let numbers = Counter::new(("builds", pipeline.id, &job.name));
                Position { number: numbers.next(transaction).await?, rerun: 0 }
            }
            Place::Beside(number) => {
                let reruns = Counter::new((("reruns", pipeline.id), &job.name, number));
                let rerun = reruns.next(transaction).await?;
                let too_many = || EngineError::wrong_state("it was run again too often");
                Position { number, rerun: u32::try_from(rerun).map_err(|_| too_many())? }
            }
        };
        let created = self.clock().now();
        let approvals = job.approvals.iter().map(|approval| ApprovalState {
            label: approval.label.clone(),
            needed: approval.approvals.max(1),
            decisions: Vec::new(),
            deadline: approval.timeout.and_then(|timeout| created.checked_add(timeout).ok()),
        });
        Ok(BuildRecord {
            id: BuildId(self.id()),
            team: pipeline.team.clone(),
            pipeline: pipeline.id,
            pipeline_name: pipeline.name.clone(),
            job: job.name.clone(),
            position,
            revision: pipeline.revision,
            cause: new.cause.clone(),
            state: BuildState::Pending,
            epoch: 0,
            attempt: 1,
            next_event: 0,
            inputs: new.inputs.clone(),
            chosen: new.chosen.clone(),
            values: new.values.clone(),
            awaits_checks: new.awaits_checks.clone(),
            slots: Slots::default(),
            approvals: approvals.collect(),
            outputs: Vec::new(),
            cancel: None,
            mark: None,
            kept_by: new.kept_by,
            reason: None,
            created,
            queued: None,
            started: None,
            finished: None,
        })
    }

    /// The events with which a build begins, and when it is too late for its approvals.
    pub(crate) async fn begin(
        &self,
        transaction: &mut Transaction,
        build: &BuildRecord,
        kinds: &mut Vec<EventKind>,
    ) -> Result<(), EngineError> {
        kinds.push(EventKind::BuildCreated { id: build.id, name: build.name() });
        if let Some(inputs) = &build.inputs {
            kinds.push(inputs_resolved(inputs));
        }
        if let Some(deadline) = build.approvals.iter().filter_map(|it| it.deadline).min() {
            let place = (deadline.as_microsecond(), build.id);
            deadlines().push(transaction, place, build.id).await?;
        }
        Ok(())
    }

    /// The values of a job's inputs for a build that nobody gives any.
    pub(crate) fn default_values(job: &Job) -> Result<BTreeMap<String, String>, Vec<String>> {
        crate::plan::check_inputs(job, &BTreeMap::new())
    }
}

/// That a build has its inputs.
pub(crate) fn inputs_resolved(inputs: &[AdoptedInput]) -> EventKind {
    let inputs = inputs.iter().map(|it| (it.name.clone(), it.version.clone())).collect();
    EventKind::InputsResolved { inputs }
}

/// The job of a revision.
pub(crate) fn job_of<'a>(config: &'a Config, name: &str) -> Result<&'a Job, EngineError> {
    let job = config.job(name).map(|(job, _)| job);
    job.ok_or_else(|| EngineError::not_found("job", name))
}
