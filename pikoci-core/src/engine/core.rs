//! What all parts of an engine share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::bells::{Bells, Rings};
use super::config::Configs;
use super::error::EngineError;
use super::facts::FactsCache;
use super::observe::Observer;
use super::records::BuildRecord;
use crate::clock::Clock;
use crate::database::log::{Log, Logs};
use crate::database::retention::Policy;
use crate::database::{Database, Flags, Queue, Transaction};
use crate::event::{Event, EventKind};
use crate::name::BuildId;

/// How an engine goes about its work.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// What people call this server.
    pub server: String,
    /// A worker whose session is not renewed for this long is lost.
    pub session_ttl: Duration,
    /// A server that does not renew its right to check resources for this long
    /// loses it to another.
    pub check_lease_ttl: Duration,
    /// Whether no other process has this store open, as with an embedded
    /// store: what a process that died held is then free at once.
    pub alone: bool,
    /// How often each part looks without having been called.
    pub slow_look: crate::pubsub::SlowLook,
    /// The longest time of a check whose resource says nothing else.
    pub check_timeout: Duration,
    /// How many checks run at once, over all workers.
    pub checks_at_once: usize,
    /// How long the builds of jobs are kept that say nothing about it, and when
    /// logs are archived. By default everything stays, and logs are archived
    /// after a week.
    pub retention: Policy,
    /// How often is looked for what is not to be kept.
    pub retention_every: Duration,
    /// Whether it does nothing by itself and hands out nothing: it answers what
    /// it is asked about a store, and writes down what it is told.
    pub at_rest: bool,
    /// The beginning of the address of pages, where there are any; what comes
    /// after it is `/teams/TEAM/pipelines/PIPELINE/jobs/JOB/builds/NUMBER`.
    pub url: Option<String>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            server: "pikoci".into(),
            session_ttl: Duration::from_secs(30),
            check_lease_ttl: Duration::from_secs(15),
            alone: false,
            slow_look: crate::pubsub::SlowLook::default(),
            check_timeout: Duration::from_secs(10 * 60),
            checks_at_once: 32,
            retention: Policy {
                archive_after: Some(Duration::from_secs(7 * 24 * 60 * 60)),
                ..Policy::default()
            },
            retention_every: Duration::from_secs(60 * 60),
            at_rest: false,
            url: None,
        }
    }
}

/// What all parts of an engine share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) database: Database,
    pub(crate) logs: Logs,
    pub(crate) bells: Arc<Bells>,
    pub(crate) configs: Configs,
    pub(crate) facts: FactsCache,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) options: EngineOptions,
}

/// Jobs that may have something to start: `(pipeline, job)`.
pub(crate) fn due_jobs() -> Flags {
    Flags::new("jobs")
}

/// Resources whose check was asked for: `(pipeline, resource)`.
pub(crate) fn asked_checks() -> Flags {
    Flags::new("checks")
}

/// Builds that end by themselves at a time: `(microseconds, build)`.
pub(crate) fn deadlines() -> Queue<BuildId> {
    Queue::new("deadlines")
}

/// What a change answers, and which bells to ring once it is committed.
pub(crate) struct Changed<T> {
    pub(crate) value: T,
    pub(crate) rings: Rings,
}

impl<T> Changed<T> {
    pub(crate) fn new(value: T, rings: Rings) -> Self {
        Self { value, rings }
    }
}

impl Core {
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.database.clock()
    }

    pub(crate) fn id(&self) -> Uuid {
        self.clock().id()
    }

    /// A transaction that rings bells when it is committed.
    pub(crate) async fn change<C, T, F>(&self, context: &C, work: F) -> Result<T, EngineError>
    where
        C: ?Sized,
        F: for<'t> FnMut(
            &'t mut Transaction,
            &'t C,
        ) -> BoxFuture<'t, Result<Changed<T>, EngineError>>,
    {
        let changed = self.database.transact_with(context, work).await?;
        self.bells.ring(&changed.rings);
        changed.rings.ended.iter().for_each(|build| self.observe_end(build));
        Ok(changed.value)
    }

    /// The log of a build's events.
    pub(crate) fn log(&self, build: BuildId) -> Result<Log, EngineError> {
        Ok(self.logs.log(build)?)
    }

    /// Appends events to a build's log, of which the first has the number `next`,
    /// and answers the number after the last.
    pub(crate) async fn tell(
        &self,
        transaction: &mut Transaction,
        build: BuildId,
        next: u64,
        kinds: Vec<EventKind>,
    ) -> Result<u64, EngineError> {
        let time = self.clock().now();
        let mut number = next;
        let mut entries = Vec::with_capacity(kinds.len());
        for kind in kinds {
            entries.push(encoded(&Event { number, time, kind })?);
            number += 1;
        }
        let appended = self.log(build)?.append_in(transaction, next, &entries).await?;
        debug_assert_eq!(appended.next, number, "the log of a waiting build is the engine's own");
        Ok(appended.next)
    }
}

impl Core {
    fn observe_end(&self, build: &BuildRecord) {
        let Some(status) = build.status() else { return };
        let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
            to?.duration_since(from?).try_into().ok()
        };
        let queued = between(build.queued, build.started);
        let ran = between(build.started, build.finished);
        self.observer.build_finished(&build.name(), status, queued, ran);
    }
}

/// An event as it stands in the log.
pub(crate) fn encoded(event: &Event) -> Result<Bytes, EngineError> {
    match serde_json::to_vec(event) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(EngineError::invalid(format!("an event cannot be written: {error}"))),
    }
}
