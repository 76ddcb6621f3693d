//! One session of a worker: what it holds, renewing it, and listening.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use pikoci_core::backoff::Backoff;
use pikoci_core::clock::Clock;
use pikoci_core::dispatch::{self, DispatchErrorKind, Dispatcher, RunningBuild, SessionId, Signal};
use pikoci_core::plan::Cancellation;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{FIRST_PAUSE, LONGEST_PAUSE, WorkerOptions};

/// How many cancellations are remembered for builds that the worker does not
/// have: one may come before the answer to the build's claim.
const EARLY: usize = 64;

/// One session of a worker.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) dispatcher: Arc<dyn Dispatcher>,
    pub(super) id: SessionId,
    ttl: Duration,
    /// When the dispatcher was asked for it: it lives at least a time to live from then.
    begun: Instant,
    worker: String,
    clock: Arc<dyn Clock>,
    kill: CancellationToken,
    lost: CancellationToken,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    builds: HashMap<RunningBuild, Cancellation>,
    early: VecDeque<(RunningBuild, String)>,
}

impl Session {
    pub(super) fn new(
        dispatcher: Arc<dyn Dispatcher>,
        session: dispatch::Session,
        begun: Instant,
        options: &WorkerOptions,
    ) -> Self {
        Self {
            dispatcher,
            id: session.id,
            ttl: session.ttl,
            begun,
            worker: options.name.clone(),
            clock: Arc::clone(&options.clock),
            kill: options.kill.clone(),
            lost: CancellationToken::new(),
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pauses for when the dispatcher is away.
    pub(super) fn pauses(&self) -> Pauses {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Pauses { backoff, clock: Arc::clone(&self.clock) }
    }

    /// A build that the worker was given; the answer ends it.
    pub(super) fn begin(&self, build: RunningBuild) -> Cancellation {
        let cancel = Cancellation::new();
        let mut held = self.held();
        if let Some(index) = held.early.iter().position(|(it, _)| *it == build)
            && let Some((_, reason)) = held.early.remove(index)
        {
            cancel.cancel(reason);
        }
        held.builds.insert(build, cancel.clone());
        drop(held);
        if self.is_lost() {
            cancel.abandon(LOST);
        } else if self.kill.is_cancelled() {
            cancel.cancel(self.stopped());
        }
        cancel
    }

    /// The worker does not have a build any more.
    pub(super) fn end(&self, build: RunningBuild) {
        self.held().builds.remove(&build);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Waits until the session is lost.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// The session was given up: everything in it is.
    pub(super) fn lose(&self, why: &str) {
        if !self.is_lost() {
            tracing::warn!(worker = self.worker, session = %self.id, why, "the session is lost");
        }
        self.lost.cancel();
        for cancel in self.held().builds.values() {
            cancel.abandon(LOST);
        }
    }

    /// Renews the session until it is lost.
    pub(super) async fn renew(&self, tick: impl Fn()) {
        let mut alive_until = self.begun + self.ttl;
        let mut pauses = self.pauses();
        let mut next = Instant::now() + self.ttl / 3;
        loop {
            tokio::select! {
                biased;
                () = self.lost() => return,
                () = tokio::time::sleep_until(next.min(alive_until)) => {}
            }
            tick();
            let asked = Instant::now();
            let named: Vec<RunningBuild> = self.held().builds.keys().copied().collect();
            let answer =
                tokio::time::timeout_at(alive_until, self.dispatcher.renew(self.id, &named)).await;
            match answer {
                Ok(Ok(gone)) => {
                    alive_until = asked + self.ttl;
                    next = asked + self.ttl / 3;
                    pauses = self.pauses();
                    for build in gone {
                        self.lose_build(build);
                    }
                }
                Ok(Err(error)) if error.kind == DispatchErrorKind::SessionLost => {
                    self.lose(&error.message);
                    return;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the session is not renewed yet");
                    next = Instant::now() + pauses.next();
                }
                Err(_) => {}
            }
            // Others may be given its builds from now on.
            if Instant::now() >= alive_until {
                self.lose("it could not be renewed for its time to live");
                return;
            }
        }
    }

    fn lose_build(&self, build: RunningBuild) {
        if let Some(cancel) = self.held().builds.remove(&build) {
            tracing::warn!(build = %build.build, epoch = build.epoch, "the build is lost");
            cancel.abandon(LOST_BUILD);
        }
    }

    /// Does what it is told until it is lost.
    pub(super) async fn listen(&self, drain: &CancellationToken) {
        let mut pauses = self.pauses();
        loop {
            let signals = tokio::select! {
                biased;
                () = self.lost() => return,
                signals = self.dispatcher.signals(self.id) => signals,
            };
            match signals {
                Ok(mut signals) => loop {
                    let signal = tokio::select! {
                        biased;
                        () = self.lost() => return,
                        signal = signals.next() => signal,
                    };
                    let Some(signal) = signal else { break };
                    pauses = self.pauses();
                    self.obey(signal, drain);
                },
                Err(error) if error.kind == DispatchErrorKind::SessionLost => {
                    self.lose(&error.message);
                    return;
                }
                Err(error) => tracing::warn!(%error, "no signals are heard for now"),
            }
            tokio::select! {
                biased;
                () = self.lost() => return,
                () = tokio::time::sleep(pauses.next()) => {}
            }
        }
    }

    fn obey(&self, signal: Signal, drain: &CancellationToken) {
        match signal {
            Signal::Cancel { build, epoch, reason } => {
                let build = RunningBuild { build, epoch };
                let mut held = self.held();
                if let Some(cancel) = held.builds.get(&build) {
                    cancel.cancel(reason);
                } else {
                    held.early.push_back((build, reason));
                    if held.early.len() > EARLY {
                        held.early.pop_front();
                    }
                }
            }
            Signal::Drain => drain.cancel(),
            Signal::Lost => self.lose("the dispatcher gave it up"),
        }
    }

    /// Cancels what runs once that is asked for, then waits until it is lost.
    pub(super) async fn obey_kill(&self, drain: &CancellationToken) {
        tokio::select! {
            biased;
            () = self.lost() => return,
            () = self.kill.cancelled() => {}
        }
        drain.cancel();
        for cancel in self.held().builds.values() {
            cancel.cancel(self.stopped());
        }
        self.lost().await;
    }

    fn stopped(&self) -> String {
        format!("worker `{}` was stopped", self.worker)
    }

    /// Fires a token of a check when the session is lost or the worker killed.
    pub(super) async fn over(&self) -> String {
        tokio::select! {
            biased;
            () = self.lost() => LOST.into(),
            () = self.kill.cancelled() => self.stopped(),
        }
    }
}

const LOST: &str = "the session of its worker was lost";
pub(super) const LOST_BUILD: &str = "it was given to another worker";

/// Growing, jittered pauses.
#[derive(Debug)]
pub(super) struct Pauses {
    backoff: Backoff,
    clock: Arc<dyn Clock>,
}

impl Pauses {
    pub(super) fn next(&mut self) -> Duration {
        self.backoff.next(self.clock.as_ref())
    }
}
