//! The [`Dispatcher`] of an engine, in its own process.
//!
//! One task hands out: it wakes when a build is ready or a worker asks, looks
//! who could take what, and lets each claim be committed in a task of its own,
//! so that many are made durable together. Another task tells workers of
//! cancellations, a third gives up sessions that are not renewed.
//!
//! What is in memory here is only who waits for an answer and who listens; all
//! else is in the store, and a session that this process does not know yet is
//! looked up there.

mod claim;
mod matching;
mod report;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::database::FencingToken;
use crate::dispatch::{
    Ack, CheckClaim, CheckId, CheckReport, Claim, DispatchError, Dispatcher, Registration, Report,
    RunningBuild, Session, SessionId, Signal, Want,
};
use crate::name::BuildId;
use crate::version::Version;

/// Hands out builds and checks to the workers of this process.
pub(crate) struct LocalDispatcher {
    core: Arc<Core>,
    state: Mutex<State>,
    /// Somebody asks, or something can be handed out again.
    wake: Notify,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    stop: CancellationToken,
}

impl fmt::Debug for LocalDispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalDispatcher").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    draining: bool,
    sessions: BTreeMap<SessionId, Known>,
    claimers: VecDeque<Claimer>,
    /// Builds that are being claimed here just now.
    in_flight: BTreeSet<BuildId>,
    /// Checks that nobody has taken yet.
    checks: VecDeque<Check>,
    /// Checks that a worker makes.
    checks_out: BTreeMap<CheckId, (SessionId, oneshot::Sender<Found>)>,
    /// Builds that were given to workers who had stopped waiting.
    orphans: Vec<(SessionId, BuildId, u64)>,
    /// The team and the pipeline that were served last.
    served: (String, uuid::Uuid),
}

/// What a check found.
pub(crate) type Found = Result<Vec<Version>, String>;

/// A session as this process knows it.
struct Known {
    registration: Arc<Registration>,
    token: FencingToken,
    listeners: Vec<mpsc::UnboundedSender<Signal>>,
    builds: BTreeMap<BuildId, Given>,
}

/// A build that a session was given.
struct Given {
    epoch: u64,
    /// In how many renewals the worker did not name it.
    unnamed: u32,
    /// Whether the worker was told that it is to be cancelled.
    told: bool,
}

/// A worker that waits for work.
struct Claimer {
    session: SessionId,
    registration: Arc<Registration>,
    want: Want,
    answer: oneshot::Sender<Result<Claim, DispatchError>>,
}

/// A worker's wait for an answer. One that comes when nobody waits any more is
/// put back.
struct Waiting<'a> {
    dispatcher: &'a LocalDispatcher,
    session: SessionId,
    receiver: oneshot::Receiver<Result<Claim, DispatchError>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(Ok(Claim::Build(claim))) = self.receiver.try_recv() {
            let orphan = (self.session, claim.context.id, claim.epoch);
            self.dispatcher.state().orphans.push(orphan);
            self.dispatcher.wake.notify_one();
        }
    }
}

/// A check that waits for a worker.
struct Check {
    claim: Box<CheckClaim>,
    tags: BTreeSet<String>,
    found: oneshot::Sender<Found>,
}

impl LocalDispatcher {
    pub(crate) fn new(core: &Arc<Core>, stop: &CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::clone(core),
            state: Mutex::default(),
            wake: Notify::new(),
            tasks: Mutex::default(),
            stop: stop.clone(),
        })
    }

    /// Starts its tasks.
    pub(crate) fn work(self: &Arc<Self>) {
        let own = Arc::clone(self);
        let matching = tokio::spawn(async move { own.hand_out_all().await });
        let own = Arc::clone(self);
        let signals = tokio::spawn(async move { own.signal_all().await });
        let own = Arc::clone(self);
        let reaper = tokio::spawn(async move { own.reap_all().await });
        self.tasks().extend([matching, signals, reaper]);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a worker make a check; the answer comes when it is made, and never
    /// if its worker dies.
    pub(crate) fn check(
        &self,
        claim: CheckClaim,
        tags: BTreeSet<String>,
    ) -> oneshot::Receiver<Found> {
        let (found, answer) = oneshot::channel();
        self.state().checks.push_back(Check { claim: Box::new(claim), tags, found });
        self.wake.notify_one();
        answer
    }

    /// Hands out nothing more, and tells the workers so.
    pub(crate) fn drain(&self) {
        let mut state = self.state();
        state.draining = true;
        for session in state.sessions.values_mut() {
            session.tell(&Signal::Drain);
        }
    }

    /// Waits for the tasks to end, after the token fired.
    pub(crate) async fn close(&self) {
        let tasks = std::mem::take(&mut *self.tasks());
        for task in tasks {
            // One that panicked has said so already.
            let _ = task.await;
        }
        let mut state = self.state();
        state.claimers.clear();
        state.checks.clear();
        state.sessions.clear();
    }
}

impl Known {
    fn tell(&mut self, signal: &Signal) {
        self.listeners.retain(|listener| listener.send(signal.clone()).is_ok());
    }
}

#[async_trait]
impl Dispatcher for LocalDispatcher {
    async fn register(&self, registration: Registration) -> Result<Session, DispatchError> {
        self.begin_session(registration).await
    }

    async fn claim(&self, session: SessionId, want: Want) -> Result<Claim, DispatchError> {
        let registration = self.registration_of(session).await?;
        let (answer, receiver) = oneshot::channel();
        let mut waiting = Waiting { dispatcher: self, session, receiver };
        let claimer = Claimer { session, registration, want, answer };
        let closed = || DispatchError::unavailable("the engine was closed");
        {
            let mut state = self.state();
            // Under the lock: whoever empties the line does so after the token fired.
            if self.stop.is_cancelled() {
                return Err(closed());
            }
            state.claimers.push_back(claimer);
        }
        self.wake.notify_one();
        (&mut waiting.receiver).await.unwrap_or_else(|_| Err(closed()))
    }

    async fn report(&self, session: SessionId, report: Report) -> Result<Ack, DispatchError> {
        self.take_report(session, report).await
    }

    async fn report_check(
        &self,
        session: SessionId,
        report: CheckReport,
    ) -> Result<(), DispatchError> {
        self.registration_of(session).await?;
        let waiting = self.state().checks_out.remove(&report.check);
        if let Some((_, found)) = waiting {
            // Whoever asked may have given it up.
            let _ = found.send(report.result);
        }
        Ok(())
    }

    async fn renew(
        &self,
        session: SessionId,
        running: &[RunningBuild],
    ) -> Result<Vec<RunningBuild>, DispatchError> {
        self.renew_session(session, running).await
    }

    async fn signals(
        &self,
        session: SessionId,
    ) -> Result<BoxStream<'static, Signal>, DispatchError> {
        self.registration_of(session).await?;
        let (sender, receiver) = mpsc::unbounded_channel();
        {
            let mut state = self.state();
            let draining = state.draining;
            let known = state.sessions.get_mut(&session).ok_or_else(DispatchError::session_lost)?;
            if draining {
                // The receiver is right here.
                let _ = sender.send(Signal::Drain);
            }
            known.listeners.push(sender);
            for build in known.builds.values_mut() {
                build.told = false;
            }
        }
        self.signal_some(Some(session)).await?;
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let signal = receiver.recv().await?;
            Some((signal, receiver))
        });
        Ok(stream.boxed())
    }

    async fn leave(&self, session: SessionId) -> Result<(), DispatchError> {
        self.end_session(session).await
    }
}
