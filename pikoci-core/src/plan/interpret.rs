//! One build from its first event to its last: sequences, attempts, branches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join};

use super::environment::{Scope, set_inputs};
use super::outcome::{Outcome, shown, step_type};
use super::recorder::Recorder;
use super::resolve::Secrets;
use super::service::Started;
use super::stop::Stop;
use super::{BuildResult, BuildSpec, Cancellation, FailedAt, Host};
use crate::condition::Condition;
use crate::context::BuildContext;
use crate::duration::exact;
use crate::event::{EventKind, StepType};
use crate::name::StepId;
use crate::pipeline::{Branch, Job, Location, Step, StepKind};
use crate::status::Status;
use crate::version::Version;

/// A build at work.
pub(super) struct Run<'a> {
    pub(super) spec: &'a BuildSpec,
    pub(super) host: &'a Host,
    pub(super) recorder: Recorder,
    pub(super) secrets: Secrets<'a>,
    pub(super) context: Arc<BuildContext>,
    /// Every service whose start was called and whose stop was not, in the order started.
    pub(super) services: Mutex<Vec<Arc<Started>>>,
    /// What puts made, in the order made.
    outputs: Mutex<Vec<(String, Version)>>,
    /// What gets fetched, by the get's name.
    fetched: Mutex<BTreeMap<String, Version>>,
    /// The version of each get, once all are known.
    inputs: OnceLock<BTreeMap<String, Version>>,
    /// Fires when the build is given up: then hooks and notifications end too.
    pub(super) given_up: Stop,
    /// The first step of the job's own plan that did not succeed.
    pub(super) failed_at: OnceLock<FailedAt>,
}

/// Whether a sequence ends at the first step that does not succeed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFailure {
    Skip,
    GoOn,
}

pub(super) async fn run(spec: &BuildSpec, host: &Host, cancel: &Cancellation) -> BuildResult {
    let started = host.clock.monotonic();
    let run = Run::new(spec, host, cancel);
    let stop = cancel.stop();
    let name = spec.context.name.clone();
    if spec.begun.is_none() {
        run.emit(EventKind::BuildCreated { id: spec.context.id, name: name.clone() }).await;
    }

    let ended = Stop::fresh();
    let announce = async {
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            () = stop.cancelled() => {
                run.emit(EventKind::CancelRequested { reason: stop.reason() }).await;
            }
        }
    };
    let work = async {
        let outcome = Box::pin(run.build(stop)).await;
        ended.cancel("the build ended");
        outcome
    };
    // Both are polled until both are done: events of either pass one lock.
    let (outcome, ()) = join(work, announce).await;

    let status = outcome.status;
    let reason = outcome.reason.map(|reason| run.recorder.mask(&reason));
    run.emit(EventKind::BuildFinished {
        status,
        reason: reason.clone(),
        duration: run.since(started),
    })
    .await;
    let outputs = run.outputs.into_inner().unwrap_or_else(PoisonError::into_inner);
    let inputs = run.fetched.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed_at = run.failed_at.into_inner();
    BuildResult { name, status, reason, inputs, outputs, failed_at }
}

impl<'a> Run<'a> {
    /// Before its first event.
    pub(super) fn new(spec: &'a BuildSpec, host: &'a Host, cancel: &Cancellation) -> Self {
        let resume = spec.resume.as_ref();
        // What the earlier build had to mask may stand in its variables.
        let masker = resume.map(|it| it.at.masker.clone()).unwrap_or_default();
        let next = spec.begun.map_or(0, |begun| begun.next_event);
        let (sink, clock) = (Arc::clone(&host.events), Arc::clone(&host.clock));
        Self {
            spec,
            host,
            secrets: Secrets::new(&spec.pipeline, &host.types, &masker),
            recorder: Recorder::new(sink, clock, masker, next),
            context: Arc::new(spec.context.clone()),
            services: Mutex::default(),
            outputs: Mutex::new(resume.map(|it| it.outputs.clone()).unwrap_or_default()),
            fetched: Mutex::new(resume.map(|it| it.inputs.clone()).unwrap_or_default()),
            inputs: OnceLock::new(),
            given_up: cancel.given_up().clone(),
            failed_at: OnceLock::new(),
        }
    }
}

impl Run<'_> {
    pub(super) async fn emit(&self, kind: EventKind) {
        self.recorder.emit(kind).await;
    }

    pub(super) fn since(&self, started: Duration) -> Duration {
        self.host.clock.monotonic().saturating_sub(started)
    }

    /// The version that a get takes.
    pub(super) fn input(&self, get: &str) -> Option<&Version> {
        self.inputs.get()?.get(get)
    }

    pub(super) fn fetched(&self, get: &str, version: &Version) {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.insert(get.to_owned(), version.clone());
    }

    pub(super) fn made(&self, resource: String, version: Version) {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner).push((resource, version));
    }

    /// Everything between the first events and the last one.
    async fn build(&self, stop: &Stop) -> Outcome {
        let name = &self.spec.context.name.job;
        let job = self.spec.pipeline.job(name);
        let mut scope = Scope::of_build(self.spec, self.host);
        let begun = self.spec.begun.is_some();
        let resolved = match job {
            Some(job) if !begun => self.resolve_inputs(job, &scope, stop).await,
            _ => Ok(self.spec.inputs.clone()),
        };
        let inputs = resolved.as_ref().unwrap_or(&self.spec.inputs).clone();
        if !begun {
            let shown =
                inputs.iter().map(|(get, it)| (get.clone(), self.recorder.mask_version(it)));
            self.emit(EventKind::InputsResolved { inputs: shown.collect() }).await;
            let worker = self.host.worker.clone();
            self.emit(EventKind::BuildStarted { worker, epoch: 0 }).await;
        }
        let _ = self.inputs.set(inputs);
        let Some(job) = job else {
            return Outcome::errored(format!(
                "pipeline `{}` has no job `{name}`",
                self.spec.pipeline.name
            ));
        };
        let prepared = match resolved {
            Ok(_) => self.prepare(job, &mut scope).map_err(Outcome::errored),
            Err(outcome) => Err(outcome),
        };
        let outcome = match prepared {
            Ok(()) => {
                let outcome = self.plan(job, &mut scope, stop).await;
                let shown = allowed(job, outcome.clone()).status;
                let outcome = self.hooks(&job.hooks, outcome, shown, &scope, stop).await;
                allowed(job, outcome)
            }
            Err(outcome) => {
                self.skip_all(&job.steps, "the build could not begin").await;
                outcome
            }
        };
        self.stop_services().await;
        self.send_notifications(job, &outcome, &scope).await;
        if let Err(problem) = guarded(|| self.host.journal.build_finished(self.spec.context.id)) {
            tracing::warn!(build = %self.spec.context.name, %problem, "the journal was not closed");
        }
        outcome
    }

    /// What must hold before the first step.
    fn prepare(&self, job: &Job, scope: &mut Scope) -> Result<(), String> {
        set_inputs(scope, job, &self.spec.input_values)?;
        guarded(|| self.host.journal.build_started(self.spec.context.id, &self.spec.pipeline))
            .map_err(|problem| format!("the build cannot be written to the journal: {problem}"))
    }

    /// The job's steps, within its timeout.
    async fn plan(&self, job: &Job, scope: &mut Scope, stop: &Stop) -> Outcome {
        let own = stop.child();
        let reason = || match job.timeout {
            Some(timeout) => format!("job timed out after {}", exact(timeout)),
            None => String::new(),
        };
        let steps = Box::pin(async {
            let rest = match &self.spec.resume {
                None => Ok(job.steps.as_slice()),
                Some(resume) => Box::pin(self.catch_up(resume, &job.steps, scope, &own)).await,
            };
            match rest {
                Ok(rest) => self.sequence(rest, AfterFailure::Skip, scope, &own).await,
                Err(outcome) => outcome,
            }
        });
        let limited = own.limited(job.timeout, reason, steps).await;
        if limited.timed_out {
            Outcome::failed(reason())
        } else if stop.is_cancelled() {
            Outcome::cancelled(stop.reason())
        } else {
            limited.output
        }
    }

    /// Steps one after the other. Neighbouring services get ready together.
    pub(super) async fn sequence(
        &self,
        steps: &[Step],
        after_failure: AfterFailure,
        scope: &mut Scope,
        stop: &Stop,
    ) -> Outcome {
        let mut whole = Outcome::succeeded();
        let mut rest = steps;
        while let Some((first, others)) = rest.split_first() {
            let extent = scope.extent();
            if stop.is_cancelled() {
                self.failed(first, scope, extent);
                let reason = stop.reason();
                self.skip_all(rest, &reason).await;
                return Outcome::cancelled(reason);
            }
            let services = rest.iter().take_while(|it| is_service(it)).count();
            let outcome = if services > 0 {
                let (services, others) = rest.split_at(services);
                rest = others;
                Box::pin(self.start_services(services, scope, stop)).await
            } else {
                rest = others;
                self.step(first, scope, stop).await.blame(&first.title())
            };
            if outcome.is_ok() {
                continue;
            }
            self.failed(first, scope, extent);
            let go_on = after_failure == AfterFailure::GoOn && outcome.status != Status::Cancelled;
            if whole.is_ok() {
                whole = outcome;
            }
            if !go_on {
                let reason = if stop.is_cancelled() { stop.reason() } else { whole.in_short() };
                self.skip_all(rest, &reason).await;
                break;
            }
        }
        whole
    }

    /// Remembers the first step of the job's own plan that did not succeed, with
    /// what was exported before it began.
    fn failed(&self, step: &Step, scope: &Scope, extent: usize) {
        if step.id.depth() == 0 {
            self.failed_at.get_or_init(|| FailedAt {
                step: step.id.clone(),
                variables: scope.added_within(extent),
                masker: self.recorder.masker.clone(),
            });
        }
    }

    /// One step with its attempts and hooks. What it answers is what counts
    /// for the steps around it, which for a `notify` is always success.
    pub(super) fn step<'s>(
        &'s self,
        step: &'s Step,
        scope: &'s mut Scope,
        stop: &'s Stop,
    ) -> BoxFuture<'s, Outcome> {
        Box::pin(async move {
            let title = step.title();
            let mut attempt = 1;
            let outcome = loop {
                let inner = &mut *scope;
                let (outcome, retry) = self
                    .attempt(
                        &Attempt {
                            id: &step.id,
                            name: &title,
                            kind: step_type(step),
                            location: &step.location,
                            timeout: step.timeout,
                            number: attempt,
                            of: step.attempts,
                        },
                        stop,
                        |own| async move { self.work(step, inner, &own).await },
                    )
                    .await;
                if !retry {
                    break outcome;
                }
                attempt += 1;
            };
            let status = outcome.status;
            let outcome = self.hooks(&step.hooks, outcome, status, scope, stop).await;
            match step.kind {
                StepKind::Notify(_) if outcome.status != Status::Cancelled => Outcome::succeeded(),
                _ => outcome,
            }
        })
    }

    /// What one attempt of a step does. Each kind is boxed, or the future of any
    /// step would be as large as all of them together.
    async fn work(&self, step: &Step, scope: &mut Scope, stop: &Stop) -> Outcome {
        match &step.kind {
            StepKind::Get(_) | StepKind::Task(_) | StepKind::Put(_) | StepKind::Notify(_) => {
                Box::pin(self.leaf(step, scope, stop)).await
            }
            // Only a sequence runs services, with their neighbours; one that
            // stands alone is a sequence of one.
            StepKind::Service(_) => {
                Box::pin(self.start_services(std::slice::from_ref(step), scope, stop)).await
            }
            StepKind::InParallel { limit, fail_fast, steps } => {
                Box::pin(self.in_parallel(*limit, *fail_fast, steps, scope, stop)).await
            }
            StepKind::Do { steps } => {
                Box::pin(self.sequence(steps, AfterFailure::Skip, scope, stop)).await
            }
            StepKind::Try { steps } => {
                let mut outcome =
                    Box::pin(self.sequence(steps, AfterFailure::GoOn, scope, stop)).await;
                if matches!(outcome.status, Status::Failed | Status::Errored) {
                    outcome.status = Status::Warning;
                }
                outcome
            }
            StepKind::If { branches, otherwise } => {
                Box::pin(self.branch(branches, otherwise, scope, stop)).await
            }
        }
    }

    /// Runs the first branch whose condition holds and tells the others as skipped.
    async fn branch(
        &self,
        branches: &[Branch],
        otherwise: &[Step],
        scope: &mut Scope,
        stop: &Stop,
    ) -> Outcome {
        let mut outcome: Option<Outcome> = None;
        for branch in branches {
            let decided = match outcome {
                Some(_) => Ok(false),
                None => holds(&branch.condition, scope),
            };
            match decided {
                Ok(true) => {
                    outcome =
                        Some(self.sequence(&branch.steps, AfterFailure::Skip, scope, stop).await);
                }
                Ok(false) => {
                    let reason = if outcome.is_some() {
                        "another branch was taken".to_owned()
                    } else {
                        format!("`{}` does not hold", branch.condition)
                    };
                    self.skip_all(&branch.steps, &reason).await;
                }
                Err(problem) => {
                    let problem = format!("`{}` cannot be decided: {problem}", branch.condition);
                    self.skip_all(&branch.steps, &problem).await;
                    outcome = Some(Outcome::errored(problem));
                }
            }
        }
        match outcome {
            None => self.sequence(otherwise, AfterFailure::Skip, scope, stop).await,
            Some(outcome) => {
                self.skip_all(otherwise, "another branch was taken").await;
                outcome
            }
        }
    }

    /// One attempt of something that is told as a step, within its timeout;
    /// and whether another attempt follows.
    pub(super) async fn attempt<F>(
        &self,
        attempt: &Attempt<'_>,
        stop: &Stop,
        work: impl FnOnce(Stop) -> F,
    ) -> (Outcome, bool)
    where
        F: Future<Output = Outcome>,
    {
        let started = self.host.clock.monotonic();
        let location = (!attempt.location.file.is_empty()).then(|| attempt.location.clone());
        self.emit(EventKind::StepStarted {
            step: attempt.id.clone(),
            name: attempt.name.to_owned(),
            kind: attempt.kind,
            attempt: attempt.number,
            location,
        })
        .await;
        let own = stop.child();
        // Boxed, for it is handed on several times and is large.
        let work = Box::pin(work(own.clone()));
        let after = || format!("timed out after {}", exact(attempt.timeout.unwrap_or_default()));
        let limited =
            own.limited(attempt.timeout, || format!("`{}` {}", attempt.name, after()), work).await;
        let outcome = if limited.timed_out { Outcome::failed(after()) } else { limited.output };
        let retry = matches!(outcome.status, Status::Failed | Status::Errored)
            && attempt.number < attempt.of
            && !stop.is_cancelled();
        self.emit(EventKind::StepFinished {
            step: attempt.id.clone(),
            status: outcome.status,
            duration: self.since(started),
            reason: outcome.reason.as_deref().map(|reason| self.recorder.mask(reason)),
            exit_code: outcome.exit_code,
            will_retry: retry,
        })
        .await;
        (outcome, retry)
    }

    pub(super) async fn skip_all(&self, steps: &[Step], reason: &str) {
        for step in steps {
            self.skip(step, reason).await;
        }
    }

    /// Tells that a step, and every step in it, is not run.
    pub(super) fn skip<'s>(&'s self, step: &'s Step, reason: &'s str) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            let (id, name) = shown(step);
            self.emit(EventKind::StepSkipped {
                step: id,
                name,
                kind: step_type(step),
                reason: self.recorder.mask(reason),
            })
            .await;
            for child in step.children() {
                self.skip(child, reason).await;
            }
        })
    }
}

/// One attempt of something that is told as a step.
pub(super) struct Attempt<'a> {
    pub(super) id: &'a StepId,
    pub(super) name: &'a str,
    pub(super) kind: StepType,
    pub(super) location: &'a Location,
    pub(super) timeout: Option<Duration>,
    /// Which one, from 1.
    pub(super) number: u32,
    /// How many there may be.
    pub(super) of: u32,
}

pub(super) fn is_service(step: &Step) -> bool {
    matches!(step.kind, StepKind::Service(_))
}

fn holds(condition: &Condition, scope: &Scope) -> Result<bool, String> {
    condition.evaluate(&|name| scope.lookup(name))
}

/// The outcome as the job's `allow_failure` has it.
fn allowed(job: &Job, mut outcome: Outcome) -> Outcome {
    if job.allow_failure && outcome.status == Status::Failed {
        outcome.status = Status::Warning;
    }
    outcome
}

/// Calls something that is not ours; a panic becomes an error.
pub(super) fn guarded<T>(call: impl FnOnce() -> std::io::Result<T>) -> Result<T, String> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(panicked(panic.as_ref())),
    }
}

/// Awaits something that is not ours; a panic becomes an outcome.
pub(super) async fn unwound(work: impl Future<Output = Outcome>) -> Outcome {
    match std::panic::AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Outcome::errored(panicked(panic.as_ref())),
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match said {
        Some(said) => format!("the implementation panicked: {said}"),
        None => "the implementation panicked".into(),
    }
}
