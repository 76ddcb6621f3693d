//! Services: started in order, ready together, stopped whatever happens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::environment::Scope;
use super::interpret::{Attempt, Run};
use super::leaf::{Work, guarded_work};
use super::outcome::{Outcome, shown};
use super::recorder::Output;
use super::stop::Stop;
use crate::duration::exact;
use crate::event::{EventKind, StepType};
use crate::name::env_name;
use crate::params::Params;
use crate::pipeline::{Service, Step, StepKind};
use crate::status::Status;
use crate::traits::{Readiness, ReadyPolicy, ServiceRecord, ServiceType};

/// How long the stop of one service may take.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Least time between two questions for readiness.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// A service whose start was called, with all it takes to stop it.
pub(super) struct Started {
    step: Step,
    kind: String,
    implementation: Arc<dyn ServiceType>,
    policy: Option<ReadyPolicy>,
    /// As its start got them: a stop must not depend on a secret store.
    params: Params,
    /// What its commands see; after the start, with what the start told.
    scope: Mutex<Scope>,
}

impl Started {
    fn scope(&self) -> Scope {
        self.scope.lock().unwrap_or_else(PoisonError::into_inner).fork()
    }
}

impl Run<'_> {
    /// Starts neighbouring services in the order written, then waits for all
    /// of them to be ready at the same time. The first that does not come up
    /// ends the others' waiting.
    pub(super) async fn start_services(
        &self,
        steps: &[Step],
        scope: &mut Scope,
        stop: &Stop,
    ) -> Outcome {
        let mut started: Vec<(&Step, Outcome, Option<Arc<Started>>)> = Vec::new();
        let mut whole = Outcome::succeeded();
        let group = stop.child();
        for step in steps {
            let StepKind::Service(service) = &step.kind else { continue };
            if !whole.is_ok() || stop.is_cancelled() {
                let reason = if stop.is_cancelled() { stop.reason() } else { whole.in_short() };
                self.skip(step, &reason).await;
                continue;
            }
            let (outcome, running) = self.start_service(step, service, scope, stop).await;
            if !outcome.is_ok() {
                whole = outcome.clone().blame(&shown(step).1);
            }
            started.push((step, outcome, running));
        }
        if whole.is_ok() && !stop.is_cancelled() {
            let mut waits = Vec::with_capacity(started.len());
            for (step, _, running) in &started {
                waits.push(self.wait_in_group(step, running.as_ref(), &group, stop).boxed());
            }
            let ready = join_all(waits).await;
            for ((_, outcome, _), ready) in started.iter_mut().zip(ready) {
                let swept = ready.status == Status::Cancelled && !stop.is_cancelled();
                if !ready.is_ok() && !swept && whole.is_ok() {
                    whole = ready.clone();
                }
                *outcome = ready;
            }
        } else {
            let reason = if stop.is_cancelled() { stop.reason() } else { whole.in_short() };
            for (step, _, running) in &started {
                if let Some(running) = running
                    && running.policy.is_some()
                {
                    self.emit(EventKind::StepSkipped {
                        step: step.id.child("ready"),
                        name: ready_name(step),
                        kind: StepType::ServiceReady,
                        reason: self.recorder.mask(&reason),
                    })
                    .await;
                }
            }
            if whole.is_ok() {
                whole = Outcome::cancelled(stop.reason());
            }
        }
        for (step, outcome, _) in started {
            let status = outcome.status;
            let after = self.hooks(&step.hooks, outcome, status, scope, stop).await;
            if !after.is_ok() && whole.is_ok() {
                whole = after;
            }
        }
        whole
    }

    /// The start of one service with its attempts; between two, it is stopped.
    async fn start_service(
        &self,
        step: &Step,
        service: &Service,
        scope: &mut Scope,
        stop: &Stop,
    ) -> (Outcome, Option<Arc<Started>>) {
        let (id, name) = shown(step);
        let mut number = 1;
        loop {
            let running = Mutex::new(None);
            let inner = &mut *scope;
            let (outcome, retry) = self
                .attempt(
                    &Attempt {
                        id: &id,
                        name: &name,
                        kind: StepType::ServiceStart,
                        location: &step.location,
                        timeout: step.timeout,
                        number,
                        of: step.attempts,
                    },
                    stop,
                    |own| {
                        let running = &running;
                        async move {
                            let mut io = Output::new(&self.recorder, step.id.child("start"));
                            let work =
                                self.start_work(step, service, inner, &own, &mut io, running);
                            let outcome = self.settle(&own, work).await;
                            io.flush().await;
                            outcome
                        }
                    },
                )
                .await;
            let running = running.into_inner().unwrap_or_else(PoisonError::into_inner);
            if !retry {
                return (outcome, running);
            }
            if let Some(running) = &running {
                self.stop_service(running).await;
            }
            number += 1;
        }
    }

    async fn start_work(
        &self,
        step: &Step,
        service: &Service,
        scope: &mut Scope,
        stop: &Stop,
        io: &mut Output<'_>,
        running: &Mutex<Option<Arc<Started>>>,
    ) -> Work {
        let kind = self.host.types.service_types.get(&service.kind).ok_or_else(|| {
            Outcome::errored(format!("there is no service type `{}` here", service.kind))
        })?;
        let (id, name) = shown(step);
        let mut context = self.context_of(id.clone(), name, &step.location, scope);
        context.detached = true;
        let params = self
            .resolver()
            .expanded(&service.params, &mut self.step_run(&context, io, stop))
            .await
            .map_err(Outcome::broken)?;
        // Asked here, where a panic of it ends this start and nothing else.
        let policy = kind.ready_policy();
        guarded_work("the service cannot be written to the journal", || {
            self.host.journal.service_starting(&self.record(step, service, scope))
        })?;
        let file = self.output_file(&mut context);
        // From here on it is stopped, whatever comes of the start.
        let started = Arc::new(Started {
            step: step.clone(),
            kind: service.kind.clone(),
            implementation: Arc::clone(kind),
            policy,
            params: params.clone(),
            scope: Mutex::new(scope.fork()),
        });
        *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&started));
        self.services.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&started));
        let file = file?;
        let told = kind.start(&mut self.step_run(&context, io, stop), &params).await;
        let mut exports = told.map_err(Outcome::broken)?.exports;
        match file.take() {
            Ok(written) => exports.extend(self.exports(&written)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Outcome::errored(format!("`$PIKOCI_OUTPUT` cannot be read: {error}")));
            }
        }
        let prefix = format!("SERVICE_{}", env_name(&service.kind));
        self.export(&id, &prefix, exports, scope).await;
        *started.scope.lock().unwrap_or_else(PoisonError::into_inner) = scope.fork();
        Ok(())
    }

    /// What the journal keeps; variables with a secret in them stay out of it.
    fn record(&self, step: &Step, service: &Service, scope: &Scope) -> ServiceRecord {
        let masker = &self.recorder.masker;
        let env: BTreeMap<String, String> = scope
            .vars
            .iter()
            .filter(|(_, value)| masker.redact(value) == value.as_str())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        ServiceRecord {
            build: self.context.id,
            name: self.context.name.clone(),
            step: step.id.clone(),
            service_type: service.kind.clone(),
            params: service.params.clone(),
            env,
            workdir: self.host.workspace.root().to_path_buf(),
        }
    }

    /// Waits for one of several services; the first that does not come up ends
    /// the waiting for the others.
    async fn wait_in_group(
        &self,
        step: &Step,
        running: Option<&Arc<Started>>,
        group: &Stop,
        stop: &Stop,
    ) -> Outcome {
        let Some(running) = running else {
            return Outcome::succeeded();
        };
        let outcome = self.wait_ready(running, group).await;
        if outcome.status == Status::Cancelled && !stop.is_cancelled() {
            return outcome;
        }
        let outcome = outcome.blame(&ready_name(step));
        if !outcome.is_ok() {
            group.cancel(outcome.in_short());
        }
        outcome
    }

    /// Asks a service again and again until it is ready.
    async fn wait_ready(&self, started: &Arc<Started>, stop: &Stop) -> Outcome {
        let Some(policy) = started.policy else {
            return Outcome::succeeded();
        };
        let step = &started.step;
        let id = step.id.child("ready");
        let name = ready_name(step);
        let attempt = Attempt {
            id: &id,
            name: &name,
            kind: StepType::ServiceReady,
            location: &step.location,
            timeout: step.timeout,
            number: 1,
            of: 1,
        };
        let work = |own: Stop| async move {
            let mut io = Output::new(&self.recorder, attempt.id.clone());
            let last = Mutex::new(String::new());
            let asking = own.child();
            let work = self.ask_ready(started, policy, &asking, &mut io, &last);
            let ended = asking
                .limited(
                    Some(policy.timeout),
                    || format!("not ready after {}", exact(policy.timeout)),
                    self.settle(&asking, work),
                )
                .await;
            io.flush().await;
            if !ended.timed_out {
                return ended.output;
            }
            let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut reason = format!("not ready after {}", exact(policy.timeout));
            if !last.trim().is_empty() {
                reason.push_str(": ");
                reason.push_str(last.trim());
            }
            Outcome::errored(reason)
        };
        self.attempt(&attempt, stop, work).await.0
    }

    async fn ask_ready(
        &self,
        started: &Started,
        policy: ReadyPolicy,
        stop: &Stop,
        io: &mut Output<'_>,
        last: &Mutex<String>,
    ) -> Work {
        let step = &started.step;
        let context = self.context_of(
            step.id.child("ready"),
            ready_name(step),
            &step.location,
            &started.scope(),
        );
        let mut next = Instant::now();
        loop {
            let mut run = self.step_run(&context, io, stop);
            let said = started
                .implementation
                .ready(&mut run, &started.params)
                .await
                .map_err(Outcome::broken)?;
            match said {
                Readiness::Ready => return Ok(()),
                Readiness::NotYet(said) => {
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = said;
                }
            }
            // At once when asking took longer than the interval, but never
            // without letting others run.
            next = (next + policy.interval).max(Instant::now() + LEAST_INTERVAL);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Outcome::cancelled(stop.reason())),
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Stops every service that was started, the last one first.
    pub(super) async fn stop_services(&self) {
        loop {
            let last = self.services.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
            let Some(last) = last else { break };
            self.stop_service(&last).await;
        }
    }

    /// Stops one service, once. A stop that fails is told and changes nothing.
    async fn stop_service(&self, started: &Arc<Started>) {
        self.services
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| !Arc::ptr_eq(other, started));
        let step = &started.step;
        let id = step.id.child("stop");
        let name = format!("{}:stop", started.kind);
        let attempt = Attempt {
            id: &id,
            name: &name,
            kind: StepType::ServiceStop,
            location: &step.location,
            timeout: Some(STOP_LIMIT),
            number: 1,
            of: 1,
        };
        self.attempt(&attempt, &Stop::fresh(), |own| async move {
            let mut io = Output::new(&self.recorder, attempt.id.clone());
            let context = self.context_of(
                attempt.id.clone(),
                attempt.name.to_owned(),
                &step.location,
                &started.scope(),
            );
            let work = async {
                let mut run = self.step_run(&context, &mut io, &own);
                started
                    .implementation
                    .stop(&mut run, &started.params)
                    .await
                    .map_err(Outcome::refused)
            };
            let outcome = self.settle(&own, work).await;
            io.flush().await;
            outcome
        })
        .await;
        let closed = guarded_work("the journal", || {
            self.host.journal.service_stopped(self.context.id, &step.id)
        });
        if let Err(problem) = closed {
            let problem = reason_of(&problem);
            tracing::warn!(build = %self.context.name, step = %step.id, %problem, "a service was stopped and is still in the journal");
        }
    }
}

fn ready_name(step: &Step) -> String {
    match &step.kind {
        StepKind::Service(service) => format!("{}:ready", service.kind),
        _ => step.title(),
    }
}

fn reason_of(outcome: &Outcome) -> String {
    outcome.reason.clone().unwrap_or_else(|| outcome.status.to_string())
}
