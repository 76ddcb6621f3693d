//! One claim: a build becomes a worker's, durably, before the worker hears of it.

use std::sync::Arc;

use super::matching::Candidate;
use super::{Claimer, Given, LocalDispatcher};
use crate::context::BuildContext;
use crate::database::{DatabaseError, FencingToken, Query};
use crate::dispatch::{BuildClaim, Claim, DispatchError, Resume, SessionId};
use crate::engine::bells::Rings;
use crate::engine::builds::{Ending, ready};
use crate::engine::config::Config;
use crate::engine::core::{Changed, Core};
use crate::engine::error::EngineError;
use crate::engine::records::{BuildRecord, BuildState, Cause};
use crate::event::EventKind;
use crate::status::Status;

impl LocalDispatcher {
    /// Lets a worker have a build, or puts the worker back in the line.
    pub(super) async fn claim_for(&self, claimer: Claimer, candidate: Candidate) {
        let (build, session) = (candidate.build, claimer.session);
        let token = self.state().sessions.get(&session).map(|it| it.token.clone());
        let mut put_back = None;
        let claimed = match token {
            None => Err(DispatchError::session_lost()),
            Some(token) => match self.core.claim(&token, &claimer, &candidate).await {
                Ok(None) => Ok(None),
                Ok(Some(record)) => match self.core.claim_of(&record).await {
                    Ok(claim) => Ok(claim),
                    Err(error) => {
                        // It is the worker's already, and the worker will not hear of it.
                        put_back = Some(record.epoch);
                        Err(dispatch_error(error))
                    }
                },
                Err(error) => Err(dispatch_error(error)),
            },
        };
        {
            let mut state = self.state();
            state.in_flight.remove(&build);
            if let (Some(epoch), Some(known)) = (put_back, state.sessions.get_mut(&session)) {
                known.builds.insert(build, Given { epoch, unnamed: 0, told: false });
            }
            match claimed {
                Ok(None) => state.claimers.push_front(claimer),
                Ok(Some(claim)) => {
                    let given = Given { epoch: claim.epoch, unnamed: 0, told: false };
                    if let Some(known) = state.sessions.get_mut(&session) {
                        known.builds.insert(build, given);
                    }
                    let epoch = claim.epoch;
                    let answer = Ok(Claim::Build(Box::new(claim)));
                    if claimer.answer.send(answer).is_err() {
                        put_back = Some(epoch);
                    }
                }
                Err(error) => {
                    // Nobody listens any more, or hears it.
                    let _ = claimer.answer.send(Err(error));
                }
            }
        }
        if let Some(epoch) = put_back
            && let Err(error) = self.put_back(session, build, epoch).await
        {
            tracing::warn!(%build, %error, "a build that nobody waited for was not put back");
        }
        self.wake.notify_one();
    }

    /// Puts a build back that a worker was given and does not have.
    pub(super) async fn put_back(
        &self,
        session: SessionId,
        build: crate::name::BuildId,
        epoch: u64,
    ) -> Result<(), EngineError> {
        let core = &self.core;
        let done = core
            .change(&(core, build, epoch), |transaction, (core, build, epoch)| {
                Box::pin(async move {
                    let mut rings = Rings::default();
                    let record = transaction.get::<BuildRecord>(build).await?;
                    let held = |it: &BuildRecord| {
                        it.epoch == *epoch && matches!(it.state, BuildState::Running { .. })
                    };
                    if let Some(mut record) = record.filter(held) {
                        let reason = "no worker took it; it waits again".to_owned();
                        core.requeue(transaction, &mut rings, &mut record, reason).await?;
                    }
                    Ok(Changed::new((), rings))
                })
            })
            .await;
        // Where that failed, it is put back once the worker did not name it.
        if done.is_ok()
            && let Some(known) = self.state().sessions.get_mut(&session)
        {
            known.builds.remove(&build);
        }
        done
    }
}

impl Core {
    /// Takes a build out of the queue for a worker; `None` when it is not there any more.
    async fn claim(
        &self,
        token: &FencingToken,
        claimer: &Claimer,
        candidate: &Candidate,
    ) -> Result<Option<BuildRecord>, EngineError> {
        let context = (self, token, claimer, candidate);
        self.change(&context, |transaction, (core, token, claimer, candidate)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                transaction.fence(token).await?;
                let place = candidate.place.clone();
                if ready().take(transaction, place).await?.is_none() {
                    return Ok(Changed::new(None, rings));
                }
                let Some(mut build) = transaction.get::<BuildRecord>(&candidate.build).await?
                else {
                    return Ok(Changed::new(None, rings));
                };
                let worker = claimer.registration.name.clone();
                let running = BuildState::Running { session: claimer.session, worker };
                let BuildState::Running { worker, .. } = &running else {
                    return Ok(Changed::new(None, rings));
                };
                let worker = worker.clone();
                if build.advance(running).is_err() {
                    // What is not queued has no place in the queue.
                    return Ok(Changed::new(None, rings));
                }
                build.epoch += 1;
                build.started = Some(core.clock().now());
                let started = EventKind::BuildStarted { worker, epoch: build.epoch };
                build.next_event =
                    core.tell(transaction, build.id, build.next_event, vec![started]).await?;
                transaction.put(&build).await?;
                core.moved(transaction, &mut rings, &build)?;
                Ok(Changed::new(Some(build), rings))
            })
        })
        .await
    }

    /// What a worker needs to know of a build that it was given. A build whose
    /// revision cannot be read ends here, and answers `None`.
    async fn claim_of(&self, build: &BuildRecord) -> Result<Option<BuildClaim>, EngineError> {
        let config = match self.configs.get(&self.logs, build.pipeline, build.revision).await {
            Ok(config) => config,
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                self.end_unreadable(build, &error).await?;
                return Ok(None);
            }
        };
        let previous = self.previous(&config, build).await?;
        let inputs = build.inputs.iter().flatten();
        Ok(Some(BuildClaim {
            context: BuildContext {
                id: build.id,
                name: build.name(),
                url: self.options.url.as_ref().map(|base| {
                    format!(
                        "{base}/teams/{}/pipelines/{}/jobs/{}/builds/{}",
                        build.team, build.pipeline_name, build.job, build.position
                    )
                }),
            },
            epoch: build.epoch,
            pipeline: Arc::clone(&config.pipeline),
            inputs: inputs.map(|it| (it.name.clone(), it.version.clone())).collect(),
            input_values: build.values.clone(),
            attempt: build.attempt,
            previous,
            next_event: build.next_event,
            resume: match &build.cause {
                Cause::Rerun { resumes: Some(build), .. } => Some(Resume { build: *build }),
                _ => None,
            },
        }))
    }

    /// How the build of the same job before this one ended, where somebody may
    /// want to be notified of a change.
    async fn previous(
        &self,
        config: &Config,
        build: &BuildRecord,
    ) -> Result<Option<Status>, EngineError> {
        if config.pipeline.notifications.is_empty() {
            return Ok(None);
        }
        let here = (build.position.number, u64::from(build.position.rerun));
        let query = Query::below((build.pipeline, &build.job)).until(here).descending().limit(20);
        let page = self.database.list_by::<BuildRecord>("by_job", &query).await?;
        Ok(page.items.iter().find_map(BuildRecord::status))
    }

    async fn end_unreadable(
        &self,
        build: &BuildRecord,
        error: &EngineError,
    ) -> Result<(), EngineError> {
        let reason = format!("its pipeline cannot be read: {error}");
        self.change(&(self, build.id, reason), |transaction, (core, build, reason)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let mut build = core.build_in(transaction, *build).await?;
                let ending = Ending::of_waiting(Status::Errored, reason.clone());
                core.finish_in(transaction, &mut rings, &mut build, ending).await?;
                Ok(Changed::new((), rings))
            })
        })
        .await
    }

    /// Lets a build that a worker had wait for another one.
    pub(super) async fn requeue(
        &self,
        transaction: &mut crate::database::Transaction,
        rings: &mut Rings,
        build: &mut BuildRecord,
        reason: String,
    ) -> Result<(), EngineError> {
        let config = self.configs.get(&self.logs, build.pipeline, build.revision).await?;
        let tags = config.job(&build.job).map_or(&[][..], |(job, _)| &job.tags);
        self.go_on_after_worker(transaction, build).await?;
        self.line_up(transaction, rings, build, (tags, None))?;
        let kinds = vec![EventKind::BuildQueued { reason }];
        build.next_event = self.tell(transaction, build.id, build.next_event, kinds).await?;
        transaction.put(build).await?;
        self.moved(transaction, rings, build)
    }

    /// Lets the engine go on writing events where a worker left off.
    pub(super) async fn go_on_after_worker(
        &self,
        transaction: &mut crate::database::Transaction,
        build: &mut BuildRecord,
    ) -> Result<(), EngineError> {
        let info = self.log(build.id)?.info_in(transaction).await?;
        build.next_event = info.map_or(build.next_event, |info| info.next);
        Ok(())
    }
}

/// What a worker is told of an error.
pub(super) fn dispatch_error(error: EngineError) -> DispatchError {
    if let EngineError::Database(DatabaseError::LeaseLost { .. }) = &error {
        return DispatchError::session_lost();
    }
    let message = error.to_string();
    if error.is_retryable() {
        return DispatchError::unavailable(message).caused_by(error);
    }
    DispatchError::invalid(message).caused_by(error)
}
