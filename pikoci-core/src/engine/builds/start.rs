//! What follows from a decision about a build that waits.

use std::collections::BTreeSet;

use crate::database::Transaction;
use crate::dispatch::SessionId;
use crate::engine::bells::{Bell, Rings};
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::records::{
    AdoptedInput, AdoptionRecord, BuildRecord, BuildState, Cause, GroupRecord, JobRecord,
    PipelineRecord, Slots,
};
use crate::event::EventKind;
use crate::pipeline::Job;

use super::create::inputs_resolved;
use super::finish::Ending;
use super::ready::{ready, ready_place};
use super::{Decision, Waits};

/// What a job's builds share, as part of a transaction that may change it.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) job: &'a Job,
    /// The revision that the job is of.
    pub(crate) revision: u64,
    pub(crate) record: JobRecord,
    pub(crate) groups: Vec<GroupRecord>,
    /// Whether `record` has to be written.
    pub(crate) record_changed: bool,
}

impl Core {
    /// The records that the builds of a job share.
    pub(crate) async fn shared<'a>(
        &self,
        transaction: &mut Transaction,
        pipeline: &PipelineRecord,
        job: &'a Job,
    ) -> Result<Shared<'a>, EngineError> {
        let (revision, pipeline) = (pipeline.revision, pipeline.id);
        let record = transaction.get::<JobRecord>(&(pipeline, job.name.clone())).await?;
        let record_changed = record.is_none();
        let record = record.unwrap_or_else(|| JobRecord::new(pipeline, &job.name));
        let mut names = job.serial_groups.clone();
        names.sort();
        names.dedup();
        let ids: Vec<_> = names.iter().map(|name| (pipeline, name.clone())).collect();
        let found = transaction.get_many::<GroupRecord>(&ids).await?;
        let groups = names
            .into_iter()
            .zip(found)
            .map(|(name, group)| group.unwrap_or_else(|| GroupRecord::new(pipeline, name)))
            .collect();
        Ok(Shared { job, revision, record, groups, record_changed })
    }

    /// Does what was decided about a build, whose record and events so far
    /// (`kinds`) are not written yet, and writes all of it. Whether anything changed.
    pub(crate) async fn apply(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        (build, kinds): (&mut BuildRecord, Vec<EventKind>),
        shared: &mut Shared<'_>,
        decision: Decision,
    ) -> Result<bool, EngineError> {
        let is_new = !kinds.is_empty();
        let mut kinds = kinds;
        match decision {
            Decision::End(status, reason) => {
                if is_new {
                    build.next_event = self.tell(transaction, build.id, 0, kinds).await?;
                    self.write_shared(transaction, build, shared).await?;
                }
                let ending = Ending::of_waiting(status, reason);
                Box::pin(self.finish_in(transaction, rings, build, ending)).await?;
                return Ok(true);
            }
            Decision::Wait(waits) => {
                let changed = self.note_turn(build, shared, &waits);
                if is_new {
                    if build.cause.is_automatic() && build.inputs.is_none() {
                        shared.record.automatic = Some(build.id);
                        shared.record_changed = true;
                    }
                    kinds.push(EventKind::BuildQueued { reason: waits.to_string() });
                }
                if !is_new && !changed {
                    return Ok(false);
                }
            }
            Decision::Adopt(inputs) => {
                self.adopt(transaction, build, shared, inputs, &mut kinds).await?;
                if is_new {
                    let reason = "waits for approval".to_owned();
                    kinds.push(EventKind::BuildQueued { reason });
                }
                // What it waits for next is decided with the inputs it has now.
                self.wake_job(transaction, rings, (build.pipeline, &build.job))?;
            }
            Decision::Start(inputs) => {
                if let Some(inputs) = inputs {
                    self.adopt(transaction, build, shared, inputs, &mut kinds).await?;
                }
                self.take_slots(build, shared);
                build.revision = shared.revision;
                let only = match &build.cause {
                    Cause::Rerun { resumes: Some(_), .. } => build.kept_by.take(),
                    _ => None,
                };
                self.line_up(transaction, rings, build, (&shared.job.tags, only))?;
            }
        }
        if !kinds.is_empty() {
            build.next_event = self.tell(transaction, build.id, build.next_event, kinds).await?;
        }
        self.write_shared(transaction, build, shared).await?;
        if is_new {
            transaction.insert(build).await?;
        } else {
            transaction.put(build).await?;
        }
        self.moved(transaction, rings, build)?;
        Ok(true)
    }

    /// Lets a build wait for a worker that has these tags.
    pub(crate) fn line_up(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        build: &mut BuildRecord,
        (tags, only): (&[String], Option<SessionId>),
    ) -> Result<(), EngineError> {
        let tags: BTreeSet<String> = tags.iter().cloned().collect();
        let tags = tags.into_iter().collect();
        build.advance(BuildState::Queued { tags, only }).map_err(illegal)?;
        build.queued = Some(self.clock().now());
        if let Some(place) = ready_place(build) {
            ready().put(transaction, place, build.id)?;
        }
        rings.add(Bell::Ready);
        Ok(())
    }

    async fn adopt(
        &self,
        transaction: &mut Transaction,
        build: &mut BuildRecord,
        shared: &mut Shared<'_>,
        inputs: Vec<AdoptedInput>,
        kinds: &mut Vec<EventKind>,
    ) -> Result<(), EngineError> {
        kinds.push(inputs_resolved(&inputs));
        if shared.record.automatic == Some(build.id) {
            shared.record.automatic = None;
            shared.record_changed = true;
        }
        if !inputs.is_empty() {
            shared.record.adoptions += 1;
            shared.record_changed = true;
            let adoption = AdoptionRecord {
                pipeline: build.pipeline,
                job: build.job.clone(),
                number: shared.record.adoptions,
                build: build.id,
                position: build.position,
                inputs: inputs
                    .iter()
                    .map(|it| (it.name.clone(), it.resource.clone(), it.digest))
                    .collect(),
                sources: inputs.iter().flat_map(|it| it.sources.clone()).collect(),
            };
            transaction.insert(&adoption).await?;
        }
        build.awaits_checks.clear();
        build.inputs = Some(inputs);
        Ok(())
    }

    fn take_slots(&self, build: &mut BuildRecord, shared: &mut Shared<'_>) {
        build.slots = Slots {
            job: shared.job.concurrency > 0,
            groups: shared.groups.iter().map(|group| group.name.clone()).collect(),
        };
        if build.slots.job {
            shared.record_changed |= shared.record.holders.insert(build.id);
        }
        for group in &mut shared.groups {
            group.job = Some(build.job.clone());
            group.holders.insert(build.id);
            group.waiting.remove(&build.job);
        }
    }

    /// Keeps a turn for a build that only its serial groups hold up. Whether that is new.
    fn note_turn(&self, build: &BuildRecord, shared: &mut Shared<'_>, waits: &Waits) -> bool {
        let wants = matches!(waits, Waits::Group { .. } | Waits::Turn { .. });
        let mut changed = false;
        for group in &mut shared.groups {
            let noted = group.waiting.get(&build.job).copied();
            if wants && noted.is_none_or(|noted| noted > build.id) {
                group.waiting.insert(build.job.clone(), build.id);
                changed = true;
            } else if !wants && noted == Some(build.id) {
                group.waiting.remove(&build.job);
                changed = true;
            }
        }
        changed
    }

    pub(crate) async fn write_shared(
        &self,
        transaction: &mut Transaction,
        build: &BuildRecord,
        shared: &mut Shared<'_>,
    ) -> Result<(), EngineError> {
        if shared.record_changed {
            transaction.put(&shared.record).await?;
        }
        for group in &shared.groups {
            if group.job.is_some() || !group.waiting.is_empty() {
                transaction.put(group).await?;
            } else {
                transaction.delete::<GroupRecord>(&(build.pipeline, group.name.clone())).await?;
            }
        }
        Ok(())
    }
}

impl Cause {
    pub(crate) fn is_automatic(&self) -> bool {
        matches!(self, Self::Versions { .. })
    }
}

/// A move that the engine itself must not make.
pub(crate) fn illegal(error: crate::engine::lifecycle::IllegalMove) -> EngineError {
    EngineError::wrong_state(error.to_string())
}
