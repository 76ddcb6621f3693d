//! A worker that runs nothing: a test says how each build and check ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::world::locked;
use crate::dispatch::{
    BuildClaim, CheckClaim, CheckReport, Claim, DispatchError, DispatchErrorKind, Dispatcher,
    Registration, Report, RunningBuild, Session, Signal, Want,
};
use crate::event::{Event, EventKind};
use crate::name::BuildId;
use crate::plan::BuildResult;
use crate::status::Status;
use crate::version::Version;

/// How long a worker pauses after the dispatcher said that it is away.
const PAUSE: Duration = Duration::from_millis(50);

/// How a build ends.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How.
    pub status: Status,
    /// The versions that its puts made, by `type.name`, in the order made.
    pub outputs: Vec<(String, Version)>,
    /// How long it takes, on tokio's clock.
    pub takes: Duration,
    /// Fires when it may end; it takes its time after that.
    pub when: CancellationToken,
    /// Whether it goes on when it is to be cancelled.
    pub ignores_cancel: bool,
}

impl Ended {
    /// At once, like this.
    pub fn as_(status: Status) -> Self {
        let when = CancellationToken::new();
        when.cancel();
        Self { status, outputs: Vec::new(), takes: Duration::ZERO, when, ignores_cancel: false }
    }

    /// At once, and well.
    pub fn well() -> Self {
        Self::as_(Status::Succeeded)
    }

    /// The same with a version that a put made.
    #[must_use]
    pub fn made(mut self, resource: impl Into<String>, version: Version) -> Self {
        self.outputs.push((resource.into(), version));
        self
    }

    /// The same after some time.
    #[must_use]
    pub fn after(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    /// The same not before `when` fires.
    #[must_use]
    pub fn when(mut self, when: CancellationToken) -> Self {
        self.when = when;
        self
    }
}

type Builds = dyn Fn(&BuildClaim) -> Ended + Send + Sync;
type Checks = dyn Fn(&CheckClaim) -> Result<Vec<Version>, String> + Send + Sync;

/// Says how builds and checks end.
#[derive(Clone)]
pub struct Behaviour {
    builds: Arc<Builds>,
    checks: Arc<Checks>,
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Behaviour")
    }
}

impl Default for Behaviour {
    /// Every build ends well, every check finds nothing.
    fn default() -> Self {
        Self { builds: Arc::new(|_| Ended::well()), checks: Arc::new(|_| Ok(Vec::new())) }
    }
}

impl Behaviour {
    /// The same with builds that end as this says.
    #[must_use]
    pub fn builds(mut self, builds: impl Fn(&BuildClaim) -> Ended + Send + Sync + 'static) -> Self {
        self.builds = Arc::new(builds);
        self
    }

    /// The same with checks that find what this says.
    #[must_use]
    pub fn checks(
        mut self,
        checks: impl Fn(&CheckClaim) -> Result<Vec<Version>, String> + Send + Sync + 'static,
    ) -> Self {
        self.checks = Arc::new(checks);
        self
    }
}

/// What a worker was given, in the order it was.
pub type Given = Arc<Mutex<Vec<BuildClaim>>>;

/// A worker that runs nothing.
#[derive(Debug)]
pub struct TestWorker {
    /// What it was given.
    pub given: Given,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Drop for TestWorker {
    /// It stops where it stands, as if it had been killed.
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A registration that takes everything, with so many slots for builds and checks.
pub fn registration(name: &str, slots: u32) -> Registration {
    Registration {
        name: name.to_owned(),
        team: None,
        tags: BTreeSet::new(),
        exclusive_tags: false,
        build_slots: slots,
        check_slots: slots,
        platform: "test".into(),
        version: "0".into(),
        replaces: None,
    }
}

impl TestWorker {
    /// A worker at work in a task of its own.
    pub fn start(
        dispatcher: Arc<dyn Dispatcher>,
        registration: Registration,
        behaviour: Behaviour,
    ) -> Self {
        let given = Given::default();
        let stop = CancellationToken::new();
        let work = Work {
            dispatcher,
            registration,
            behaviour,
            given: Arc::clone(&given),
            stop: stop.clone(),
        };
        let task = tokio::spawn(async move { work.run().await });
        Self { given, stop, task: Some(task) }
    }

    /// The names of the builds that it was given, in the order it was.
    pub fn names(&self) -> Vec<String> {
        locked(&self.given).iter().map(|claim| claim.context.name.to_string()).collect()
    }

    /// Claims nothing more, ends what it has, and leaves.
    pub async fn drain(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // One that panicked has said so already.
            let _ = task.await;
        }
    }
}

#[derive(Clone)]
struct Work {
    dispatcher: Arc<dyn Dispatcher>,
    registration: Registration,
    behaviour: Behaviour,
    given: Given,
    stop: CancellationToken,
}

#[derive(Clone, Default)]
struct Running(Arc<Mutex<BTreeMap<BuildId, (u64, CancellationToken)>>>);

impl Work {
    async fn run(self) {
        loop {
            let session = match self.dispatcher.register(self.registration.clone()).await {
                Ok(session) => session,
                Err(error) if error.is_retryable() => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "the worker cannot register");
                    return;
                }
            };
            if self.session(session).await {
                return;
            }
        }
    }

    /// Works until it is stopped, or the session is lost. Whether it was stopped.
    async fn session(&self, session: Session) -> bool {
        let running = Running::default();
        let lost = CancellationToken::new();
        let mut helpers = JoinSet::new();
        let (own, builds, over) = (self.clone(), running.clone(), lost.clone());
        helpers.spawn(async move { own.keep(session, &builds, &over).await });
        let (own, builds, over) = (self.clone(), running.clone(), lost.clone());
        helpers.spawn(async move { own.listen(session, &builds, &over).await });
        let mut slots = JoinSet::new();
        let wants = [
            (self.registration.build_slots, Want { build: true, check: false }),
            (self.registration.check_slots, Want { build: false, check: true }),
        ];
        for (count, want) in wants {
            for _ in 0..count {
                let (own, builds, over) = (self.clone(), running.clone(), lost.clone());
                slots.spawn(async move { own.slot(session, want, &builds, &over).await });
            }
        }
        while slots.join_next().await.is_some() {}
        let was_lost = lost.is_cancelled();
        lost.cancel();
        helpers.shutdown().await;
        if !was_lost {
            // It runs out by itself otherwise.
            let _ = self.dispatcher.leave(session.id).await;
        }
        !was_lost
    }

    async fn keep(&self, session: Session, running: &Running, lost: &CancellationToken) {
        loop {
            tokio::time::sleep(session.ttl / 3).await;
            let named: Vec<RunningBuild> = {
                let running = locked(&running.0);
                let named = running.iter().map(|(build, (epoch, _))| (*build, *epoch));
                named.map(|(build, epoch)| RunningBuild { build, epoch }).collect()
            };
            match self.dispatcher.renew(session.id, &named).await {
                Ok(gone) => {
                    for build in gone {
                        if let Some((_, stop)) = locked(&running.0).remove(&build.build) {
                            stop.cancel();
                        }
                    }
                }
                Err(error) if error.kind == DispatchErrorKind::SessionLost => {
                    lost.cancel();
                    return;
                }
                Err(_) => {}
            }
        }
    }

    async fn listen(&self, session: Session, running: &Running, lost: &CancellationToken) {
        loop {
            match self.dispatcher.signals(session.id).await {
                Ok(mut signals) => {
                    while let Some(signal) = signals.next().await {
                        match signal {
                            Signal::Cancel { build, epoch, .. } => {
                                if let Some((own, stop)) = locked(&running.0).get(&build)
                                    && *own == epoch
                                {
                                    stop.cancel();
                                }
                            }
                            Signal::Drain => self.stop.cancel(),
                            Signal::Lost => lost.cancel(),
                        }
                    }
                }
                Err(error) if error.kind == DispatchErrorKind::SessionLost => {
                    lost.cancel();
                    return;
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn slot(
        &self,
        session: Session,
        want: Want,
        running: &Running,
        lost: &CancellationToken,
    ) {
        loop {
            let claim = tokio::select! {
                biased;
                () = lost.cancelled() => return,
                () = self.stop.cancelled() => return,
                claim = self.dispatcher.claim(session.id, want) => claim,
            };
            match claim {
                Ok(Claim::Build(claim)) => self.build(session, &claim, running, lost).await,
                Ok(Claim::Check(claim)) => {
                    let result = (self.behaviour.checks)(&claim);
                    let report = CheckReport { check: claim.id, result };
                    // Whoever asked asks again.
                    let _ = self.dispatcher.report_check(session.id, report).await;
                }
                Err(error) if error.kind == DispatchErrorKind::SessionLost => {
                    lost.cancel();
                    return;
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn build(
        &self,
        session: Session,
        claim: &BuildClaim,
        running: &Running,
        lost: &CancellationToken,
    ) {
        locked(&self.given).push(claim.clone());
        let (build, epoch) = (claim.context.id, claim.epoch);
        let cancel = CancellationToken::new();
        locked(&running.0).insert(build, (epoch, cancel.clone()));
        let ended = (self.behaviour.builds)(claim);
        let work = async {
            ended.when.cancelled().await;
            tokio::time::sleep(ended.takes).await;
        };
        let status = tokio::select! {
            biased;
            () = lost.cancelled() => return,
            () = cancel.cancelled(), if !ended.ignores_cancel => Status::Cancelled,
            () = work => ended.status,
        };
        let reason = (!status.is_ok()).then(|| status.as_str().to_owned());
        let kind =
            EventKind::BuildFinished { status, reason: reason.clone(), duration: ended.takes };
        let event = Event { number: claim.next_event, time: Timestamp::UNIX_EPOCH, kind };
        let report = Report {
            build,
            epoch,
            events: vec![event],
            result: Some(BuildResult {
                name: claim.context.name.clone(),
                status,
                reason,
                inputs: claim.inputs.clone(),
                outputs: ended.outputs,
                failed_at: None,
            }),
            workspace_kept: false,
        };
        loop {
            let taken = self.dispatcher.report(session.id, report.clone()).await;
            match taken {
                Err(error) if error.is_retryable() && !lost.is_cancelled() => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    tell(&error, lost);
                    break;
                }
                Ok(_) => break,
            }
        }
        locked(&running.0).remove(&build);
    }
}

fn tell(error: &DispatchError, lost: &CancellationToken) {
    if error.kind == DispatchErrorKind::SessionLost {
        lost.cancel();
    } else {
        tracing::warn!(%error, "a report was not taken");
    }
}
