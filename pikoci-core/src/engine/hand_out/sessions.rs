//! Sessions of workers: begun, renewed, and given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claim::dispatch_error;
use super::{Given, Known, LocalDispatcher};
use crate::database::{Contender, FencingToken, MAX_PAGE_ITEMS, Query};
use crate::dispatch::{DispatchError, Registration, RunningBuild, Session, SessionId, Signal};
use crate::engine::bells::{Bell, Rings};
use crate::engine::builds::Ending;
use crate::engine::core::{Changed, Core};
use crate::engine::error::EngineError;
use crate::engine::records::{BuildRecord, BuildState, WorkerRecord};
use crate::name::BuildId;
use crate::status::Status;

/// In how many renewals one after the other a worker may fail to name a build
/// that it was given, before it counts as not having it.
const UNNAMED: u32 = 2;
/// The most tags of a worker.
const MAX_TAGS: usize = 64;

/// The name of a session's lease.
pub(crate) fn lease_name(session: SessionId) -> (&'static str, uuid::Uuid) {
    ("worker", session.0)
}

impl LocalDispatcher {
    pub(super) async fn begin_session(
        &self,
        registration: Registration,
    ) -> Result<Session, DispatchError> {
        if registration.name.is_empty() || registration.tags.len() > MAX_TAGS {
            let message = format!("a worker has a name, and at most {MAX_TAGS} tags");
            return Err(DispatchError::invalid(message));
        }
        if let Some(dead) = registration.replaces {
            self.end_session(dead).await?;
        }
        let core = &self.core;
        let (session, ttl) = (SessionId(core.id()), core.options.session_ttl);
        let contender = Contender::new(lease_name(session), &registration.name, ttl);
        let context = (core, session, contender, &registration);
        let begun =
            core.change(&context, |transaction, (core, session, contender, registration)| {
                Box::pin(async move {
                    let lease = contender.acquire_in(transaction).await?;
                    let Some(lease) = lease else {
                        return Err(EngineError::wrong_state("a fresh session was taken already"));
                    };
                    let record = WorkerRecord {
                        session: *session,
                        lease_epoch: lease.epoch(),
                        registration: (*registration).clone(),
                        registered: core.clock().now(),
                        draining: false,
                    };
                    transaction.insert(&record).await?;
                    let mut rings = Rings::default();
                    rings.add(Bell::Checks);
                    Ok(Changed::new(record, rings))
                })
            });
        let record = begun.await.map_err(dispatch_error)?;
        let known = Known::new(&record, BTreeMap::new());
        self.state().sessions.insert(session, known);
        Ok(Session { id: session, ttl })
    }

    /// What a worker said of itself; looks in the store for a session that
    /// this process does not know.
    pub(super) async fn registration_of(
        &self,
        session: SessionId,
    ) -> Result<Arc<Registration>, DispatchError> {
        if let Some(known) = self.state().sessions.get(&session) {
            return Ok(Arc::clone(&known.registration));
        }
        let core = &self.core;
        let record = core.database.get::<WorkerRecord>(&session.0).await;
        let record = record.map_err(|error| dispatch_error(error.into()))?;
        let record = record.ok_or_else(DispatchError::session_lost)?;
        let builds = core.builds_of(session).await.map_err(dispatch_error)?;
        let given = |build: &BuildRecord| Given { epoch: build.epoch, unnamed: 0, told: false };
        let builds = builds.iter().map(|build| (build.id, given(build))).collect();
        let mut state = self.state();
        let known = state.sessions.entry(session).or_insert_with(|| Known::new(&record, builds));
        Ok(Arc::clone(&known.registration))
    }

    pub(super) async fn token_of(&self, session: SessionId) -> Result<FencingToken, DispatchError> {
        self.registration_of(session).await?;
        let state = self.state();
        let known = state.sessions.get(&session).ok_or_else(DispatchError::session_lost)?;
        Ok(known.token.clone())
    }

    pub(super) async fn renew_session(
        &self,
        session: SessionId,
        running: &[RunningBuild],
    ) -> Result<Vec<RunningBuild>, DispatchError> {
        let token = self.token_of(session).await?;
        let database = &self.core.database;
        let renewed = database
            .transact_with(&token, |transaction, token| {
                Box::pin(async move {
                    transaction.renew(token).await?;
                    Ok::<_, crate::database::DatabaseError>(())
                })
            })
            .await;
        if let Err(error) = renewed {
            let error = dispatch_error(error.into());
            if error.kind == crate::dispatch::DispatchErrorKind::SessionLost {
                self.forget(session);
            }
            return Err(error);
        }
        let (unnamed, lost) = {
            let mut state = self.state();
            let known = state.sessions.get_mut(&session).ok_or_else(DispatchError::session_lost)?;
            let mut unnamed = Vec::new();
            for (build, given) in &mut known.builds {
                given.told = false;
                let named = RunningBuild { build: *build, epoch: given.epoch };
                given.unnamed = if running.contains(&named) { 0 } else { given.unnamed + 1 };
                if given.unnamed >= UNNAMED {
                    unnamed.push(named);
                }
            }
            let has = |it: &RunningBuild| {
                known.builds.get(&it.build).is_some_and(|given| given.epoch == it.epoch)
            };
            let lost: Vec<_> = running.iter().filter(|it| !has(it)).copied().collect();
            (unnamed, lost)
        };
        for build in unnamed {
            let put_back = self.put_back(session, build.build, build.epoch).await;
            put_back.map_err(dispatch_error)?;
        }
        self.signal_some(Some(session)).await?;
        self.still_lost(session, lost).await
    }

    /// Those that are lost as the store has it: what ended just now was known a
    /// moment ago.
    async fn still_lost(
        &self,
        session: SessionId,
        lost: Vec<RunningBuild>,
    ) -> Result<Vec<RunningBuild>, DispatchError> {
        if lost.is_empty() {
            return Ok(lost);
        }
        let ids: Vec<BuildId> = lost.iter().map(|it| it.build).collect();
        let records = self.core.database.get_many::<BuildRecord>(&ids).await;
        let records = records.map_err(|error| dispatch_error(error.into()))?;
        let gone = |(it, record): &(RunningBuild, Option<BuildRecord>)| match record {
            None => true,
            Some(record) => {
                let own =
                    matches!(record.state, BuildState::Running { session: s, .. } if s == session);
                let ended = matches!(record.state, BuildState::Finished { .. });
                record.epoch != it.epoch || !(own || ended)
            }
        };
        Ok(lost.into_iter().zip(records).filter(gone).map(|(it, _)| it).collect())
    }

    fn forget(&self, session: SessionId) {
        self.forget_checks_of(session);
        let mut state = self.state();
        if let Some(mut known) = state.sessions.remove(&session) {
            known.tell(&Signal::Lost);
        }
        let (lost, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.claimers).into_iter().partition(|it| it.session == session);
        state.claimers = kept.into();
        drop(state);
        for claimer in lost {
            // It may have stopped waiting.
            let _ = claimer.answer.send(Err(DispatchError::session_lost()));
        }
    }

    /// Ends a session and loses the builds that it still has.
    pub(super) async fn end_session(&self, session: SessionId) -> Result<(), DispatchError> {
        self.core.end_session(session).await.map_err(dispatch_error)?;
        self.forget(session);
        Ok(())
    }

    /// Tells workers of cancellations until the engine stops.
    pub(super) async fn signal_all(self: Arc<Self>) {
        let mut bell = self.core.bells.listen(Bell::Signals);
        loop {
            bell.mark_heard();
            if let Err(error) = self.signal_some(None).await {
                tracing::warn!(%error, "workers are not told of cancellations");
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = bell.heard() => {}
            }
        }
    }

    /// Tells one session, or all, what of its builds is to be cancelled.
    pub(super) async fn signal_some(
        &self,
        session: Option<SessionId>,
    ) -> Result<(), DispatchError> {
        let given: Vec<(SessionId, BuildId)> = {
            let state = self.state();
            let sessions =
                state.sessions.iter().filter(|(id, _)| session.is_none_or(|it| it == **id));
            sessions
                .flat_map(|(id, known)| {
                    let untold = known.builds.iter().filter(|(_, given)| !given.told);
                    untold.map(|(build, _)| (*id, *build))
                })
                .collect()
        };
        let ids: Vec<BuildId> = given.iter().map(|(_, build)| *build).collect();
        let records = self.core.database.get_many::<BuildRecord>(&ids).await;
        let records = records.map_err(|error| dispatch_error(error.into()))?;
        let mut state = self.state();
        for ((session, id), record) in given.into_iter().zip(records) {
            let Some(record) = record else { continue };
            let Some(request) = &record.cancel else { continue };
            let Some(known) = state.sessions.get_mut(&session) else { continue };
            let Some(given) = known.builds.get_mut(&id) else { continue };
            if record.epoch == given.epoch && !known.listeners.is_empty() {
                given.told = true;
                let (build, epoch, reason) = (id, record.epoch, request.reason.clone());
                known.tell(&Signal::Cancel { build, epoch, reason });
            }
        }
        Ok(())
    }

    /// Gives up sessions that are not renewed, until the engine stops.
    pub(super) async fn reap_all(self: Arc<Self>) {
        let every = self.core.options.session_ttl / 3;
        let mut watched: BTreeMap<SessionId, Contender> = BTreeMap::new();
        loop {
            if let Err(error) = self.reap(&mut watched).await {
                tracing::warn!(%error, "workers are not watched");
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    async fn reap(&self, watched: &mut BTreeMap<SessionId, Contender>) -> Result<(), EngineError> {
        let core = &self.core;
        let workers = core.workers().await?;
        watched.retain(|session, _| workers.iter().any(|it| it.session == *session));
        for worker in workers {
            let contender = watched.entry(worker.session).or_insert_with(|| {
                let ttl = core.options.session_ttl;
                Contender::new(lease_name(worker.session), &core.options.server, ttl)
            });
            if contender.try_acquire(&core.database).await?.is_some() {
                tracing::warn!(worker = worker.registration.name, "a worker was lost");
                core.observer.worker_lost(&worker.registration.name);
                core.end_session(worker.session).await?;
                self.forget(worker.session);
            }
        }
        Ok(())
    }
}

impl Known {
    fn new(record: &WorkerRecord, builds: BTreeMap<BuildId, Given>) -> Self {
        Self {
            registration: Arc::new(record.registration.clone()),
            token: FencingToken::new(lease_name(record.session), record.lease_epoch),
            listeners: Vec::new(),
            builds,
        }
    }
}

impl Core {
    /// All workers that have a session.
    pub(crate) async fn workers(&self) -> Result<Vec<WorkerRecord>, EngineError> {
        let (mut workers, mut cursor) = (Vec::new(), None);
        loop {
            let query = Query::all().limit(MAX_PAGE_ITEMS).after(cursor);
            let page = self.database.list::<WorkerRecord>(&query).await?;
            workers.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(workers);
            }
        }
    }

    /// The builds that a session has.
    async fn builds_of(&self, session: SessionId) -> Result<Vec<BuildRecord>, EngineError> {
        let query = Query::below(session.0).limit(MAX_PAGE_ITEMS);
        Ok(self.database.list_by::<BuildRecord>("by_session", &query).await?.items)
    }

    /// Takes a session's lease away and loses its builds.
    async fn end_session(&self, session: SessionId) -> Result<(), EngineError> {
        let Some(worker) = self.database.get::<WorkerRecord>(&session.0).await? else {
            return Ok(());
        };
        // From here on it can report nothing and claim nothing.
        self.database
            .transact_with(&session, |transaction, session| {
                Box::pin(async move {
                    transaction.revoke(lease_name(*session)).await?;
                    Ok::<_, EngineError>(())
                })
            })
            .await?;
        loop {
            let builds = self.builds_of(session).await?;
            if builds.is_empty() {
                break;
            }
            for build in builds {
                self.lose(build.id, session, &worker.registration.name).await?;
            }
        }
        self.database.delete::<WorkerRecord>(&session.0).await?;
        Ok(())
    }

    /// A build's worker was lost: it ends, or starts again where its job allows that.
    async fn lose(
        &self,
        build: BuildId,
        session: SessionId,
        worker: &str,
    ) -> Result<(), EngineError> {
        let context = (self, build, session, worker);
        self.change(&context, |transaction, (core, build, session, worker)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let mut build = core.build_in(transaction, *build).await?;
                let held = matches!(build.state, BuildState::Running { session: own, .. } if own == *session);
                if !held {
                    return Ok(Changed::new((), rings));
                }
                let config = core.configs.get(&core.logs, build.pipeline, build.revision).await?;
                let again = config.job(&build.job).is_some_and(|(job, _)| job.retry_on_worker_loss);
                if again && build.cancel.is_none() {
                    build.attempt += 1;
                    let reason = format!("its worker `{worker}` was lost; it starts again");
                    core.requeue(transaction, &mut rings, &mut build, reason).await?;
                } else {
                    core.go_on_after_worker(transaction, &mut build).await?;
                    let (status, reason) = match &build.cancel {
                        Some(request) => (Status::Cancelled, request.reason.clone()),
                        None => (Status::Errored, format!("its worker `{worker}` was lost")),
                    };
                    let ending = Ending::of_waiting(status, reason);
                    core.finish_in(transaction, &mut rings, &mut build, ending).await?;
                }
                Ok(Changed::new((), rings))
            })
        })
        .await
    }
}
