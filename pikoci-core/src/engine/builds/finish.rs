//! The end of a build: one transaction in which everything happens that follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::database::Transaction;
use crate::engine::bells::{Bell, Rings};
use crate::engine::config::Config;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::facts::succeeded;
use crate::engine::records::{
    AdoptedInput, BuildRecord, BuildState, GroupRecord, JobRecord, MadeVersion, SucceededRecord,
};
use crate::engine::team::TeamEventKind;
use crate::engine::wake::Many;
use crate::event::EventKind;
use crate::resolve::ResourceRef;
use crate::status::Status;
use crate::version::VersionDigest;

use super::ready::{ready, ready_place};
use super::start::illegal;

/// The bytes of events from which on a log is compressed as soon as its build
/// ends. Smaller ones gain nothing, and are compressed when they are archived.
const SEALED_FROM_BYTES: u64 = 16 * 1024;

/// How a build ends.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) outputs: Vec<MadeVersion>,
    /// Whether the engine itself tells the end; a worker tells it among its events.
    pub(crate) told: bool,
}

impl Ending {
    /// The end of a build that no worker has.
    pub(crate) fn of_waiting(status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: Some(reason.into()), outputs: Vec::new(), told: false }
    }
}

impl Core {
    /// Ends a build: its record, its slots, what it vouches for, and who is to
    /// be woken by that.
    pub(crate) async fn finish_in(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        build: &mut BuildRecord,
        ending: Ending,
    ) -> Result<(), EngineError> {
        let now = self.clock().now();
        if let Some(place) = ready_place(build) {
            ready().remove(transaction, place)?;
        }
        let was_automatic = build.cause.is_automatic() && build.inputs.is_none();
        build.advance(BuildState::Finished { status: ending.status }).map_err(illegal)?;
        if !ending.told {
            let mut kinds = Vec::new();
            if ending.status == Status::Cancelled {
                let reason = ending.reason.clone().unwrap_or_default();
                kinds.push(EventKind::CancelRequested { reason });
            }
            let since = build.started.unwrap_or(now);
            kinds.push(EventKind::BuildFinished {
                status: ending.status,
                reason: ending.reason.clone(),
                duration: now.duration_since(since).try_into().unwrap_or_default(),
            });
            build.next_event = self.tell(transaction, build.id, build.next_event, kinds).await?;
        }
        self.seal_large(transaction, build).await?;
        build.reason = ending.reason;
        build.outputs = ending.outputs;
        build.finished = Some(now);
        build.awaits_checks.clear();
        transaction.put(build).await?;
        if build.counts_as_passed() {
            self.vouch(transaction, build).await?;
        }
        self.release(transaction, rings, build, was_automatic).await?;
        rings.ended.push(build.clone());
        self.moved(transaction, rings, build)
    }

    async fn seal_large(
        &self,
        transaction: &mut Transaction,
        build: &BuildRecord,
    ) -> Result<(), EngineError> {
        let log = self.log(build.id)?;
        let info = log.info_in(transaction).await?;
        if info.is_some_and(|info| info.size_bytes >= SEALED_FROM_BYTES) {
            log.seal_in(transaction).await?;
        }
        Ok(())
    }

    /// Lets `passed` build on a build.
    pub(crate) async fn vouch(
        &self,
        transaction: &mut Transaction,
        build: &BuildRecord,
    ) -> Result<(), EngineError> {
        let versions = version_set(build);
        if versions.is_empty() {
            return Ok(());
        }
        let entry = SucceededRecord { build: build.id, position: build.position, versions };
        succeeded(build.pipeline, &build.job).append(transaction, &entry).await?;
        Ok(())
    }

    /// Gives back what a build held, and wakes those who may go on now.
    async fn release(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        build: &BuildRecord,
        was_automatic: bool,
    ) -> Result<(), EngineError> {
        let mut wake = self.downstream(transaction, build).await?;
        if build.slots.job || was_automatic {
            let id = (build.pipeline, build.job.clone());
            if let Some(mut record) = transaction.get::<JobRecord>(&id).await? {
                record.holders.remove(&build.id);
                if record.automatic == Some(build.id) {
                    record.automatic = None;
                }
                transaction.put(&record).await?;
            }
            wake.insert(build.job.clone());
        }
        let mut groups: BTreeSet<&str> = build.slots.groups.iter().map(String::as_str).collect();
        let waiting = self.groups_of(build).await?;
        groups.extend(waiting.iter().map(String::as_str));
        for name in groups {
            let id = (build.pipeline, name.to_owned());
            let Some(mut group) = transaction.get::<GroupRecord>(&id).await? else { continue };
            let mut changed = group.holders.remove(&build.id);
            if changed && group.holders.is_empty() {
                group.job = None;
            }
            if group.waiting.get(&build.job) == Some(&build.id) {
                group.waiting.remove(&build.job);
                changed = true;
            }
            wake.extend(group.waiting.keys().cloned());
            wake.insert(build.job.clone());
            if group.job.is_none() && group.waiting.is_empty() {
                transaction.delete::<GroupRecord>(&id).await?;
            } else if changed {
                transaction.put(&group).await?;
            }
        }
        let wake: Vec<String> = wake.into_iter().collect();
        let many = Many::Downstream(build.job.clone());
        self.wake_some(transaction, rings, build.pipeline, (&wake, many))
    }

    /// The jobs downstream of a build's job, in its own revision and in the newest.
    async fn downstream(
        &self,
        transaction: &mut Transaction,
        build: &BuildRecord,
    ) -> Result<BTreeSet<String>, EngineError> {
        let mut jobs = BTreeSet::new();
        let newest = self.newest_revision(transaction, build).await?;
        for revision in BTreeSet::from([build.revision, newest.unwrap_or(build.revision)]) {
            let Some(config) = self.readable(build, revision).await? else { continue };
            if let Some((_, job)) = config.job(&build.job) {
                jobs.extend(job.downstream.iter().cloned());
            }
        }
        Ok(jobs)
    }

    /// The serial groups in which a build that never got its slots may wait.
    async fn groups_of(&self, build: &BuildRecord) -> Result<Vec<String>, EngineError> {
        if build.queued.is_some() {
            return Ok(Vec::new());
        }
        let config = self.readable(build, build.revision).await?;
        let job = config.as_ref().and_then(|config| config.job(&build.job));
        Ok(job.map_or_else(Vec::new, |(job, _)| job.serial_groups.clone()))
    }

    /// A revision, unless it is damaged or gone: a build ends all the same.
    async fn readable(
        &self,
        build: &BuildRecord,
        revision: u64,
    ) -> Result<Option<Arc<Config>>, EngineError> {
        match self.configs.get(&self.logs, build.pipeline, revision).await {
            Ok(config) => Ok(Some(config)),
            Err(error) if error.is_retryable() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Tells those who follow a build, and its team, where it stands.
    pub(crate) fn moved(
        &self,
        transaction: &mut Transaction,
        rings: &mut Rings,
        build: &BuildRecord,
    ) -> Result<(), EngineError> {
        rings.add(Bell::Outbox);
        rings.builds.push(build.id);
        let kind = TeamEventKind::Build {
            id: build.id,
            name: build.name(),
            state: build.state.as_str().to_owned(),
        };
        self.tell_team(transaction, &build.team, kind)
    }
}

/// The versions that a build vouches for, by resource: those it made, the
/// latest first, then those it got, in the order of its gets.
fn version_set(build: &BuildRecord) -> BTreeMap<ResourceRef, Vec<VersionDigest>> {
    let mut set: BTreeMap<ResourceRef, Vec<VersionDigest>> = BTreeMap::new();
    let made = build.outputs.iter().rev().map(|it| (&it.resource, it.digest));
    let inputs: &[AdoptedInput] = build.inputs.as_deref().unwrap_or_default();
    let got = inputs.iter().map(|it| (&it.resource, it.digest));
    for (resource, digest) in made.chain(got) {
        let versions = set.entry(resource.clone()).or_default();
        if !versions.contains(&digest) {
            versions.push(digest);
        }
    }
    set
}
