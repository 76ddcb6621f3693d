//! The slots of a worker: each claims one thing, runs it, and claims the next.

use std::sync::Arc;
use std::time::Duration;

use pikoci_core::Types;
use pikoci_core::dispatch::{Claim, DispatchErrorKind, Want};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::WorkerOptions;
use super::kept::Keeping;
use super::occupied::Occupied;
use super::session::Session;
use super::types::RecentTypes;
use crate::machine::{Machine, Room};
use crate::workspace::UsedCaches;

/// How many builds whose steps have ended may still be told or removed while
/// their slots go on.
const BEHIND: u32 = 16;

/// What the slots of a worker share, over all its sessions.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) machine: Machine,
    pub(super) types: RecentTypes,
    pub(super) kept: Keeping,
    pub(super) occupied: Arc<Occupied>,
    /// A permit for each build that is behind its slot, and each removal of old workspaces.
    pub(super) behind: Arc<Semaphore>,
    builds: u32,
    checks: u32,
    drain: CancellationToken,
}

impl Slots {
    pub(super) fn new(
        machine: Machine,
        types: &Types,
        options: &WorkerOptions,
        drain: &CancellationToken,
    ) -> Self {
        Self {
            machine,
            types: RecentTypes::new(types),
            kept: Keeping::new(options.keep_failed),
            occupied: Arc::default(),
            behind: Arc::new(Semaphore::new(BEHIND as usize)),
            builds: options.build_slots,
            checks: options.check_slots,
            drain: drain.clone(),
        }
    }

    /// Works in a session until it is lost or the worker is asked to end; then
    /// everything of it has ended.
    pub(super) async fn work(self: &Arc<Self>, session: &Arc<Session>) {
        let mut slots = JoinSet::new();
        let build = Want { build: true, check: false };
        let check = Want { build: false, check: true };
        for (count, want) in [(self.builds, build), (self.checks, check)] {
            for _ in 0..count {
                let (own, session) = (Arc::clone(self), Arc::clone(session));
                slots.spawn(async move { own.slot(&session, want).await });
            }
        }
        let work = async {
            if slots.is_empty() {
                // It has nothing to do and is there all the same.
                tokio::select! {
                    () = session.lost() => {}
                    () = self.drain.cancelled() => {}
                }
            }
            while let Some(ended) = slots.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a slot of the worker is gone");
                }
            }
            // All of them are free when nothing is behind its slot any more.
            drop(self.behind.acquire_many(BEHIND).await);
        };
        let watch = async {
            tokio::join!(
                session.renew(|| self.remove_old()),
                session.listen(&self.drain),
                session.obey_kill(&self.drain),
            )
        };
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            () = &mut work => {}
            _ = watch => work.await,
        }
    }

    async fn slot(self: &Arc<Self>, session: &Arc<Session>, want: Want) {
        let mut pauses = session.pauses();
        loop {
            if session.is_lost() || self.drain.is_cancelled() {
                return;
            }
            // An answer that is there already counts: it is the worker's then.
            let claim = tokio::select! {
                biased;
                () = session.lost() => return,
                claim = session.dispatcher.claim(session.id, want) => claim,
                () = self.drain.cancelled() => return,
            };
            let error = match claim {
                Ok(claim) => {
                    pauses = session.pauses();
                    match claim {
                        Claim::Build(claim) => Box::pin(self.build(session, *claim)).await,
                        Claim::Check(claim) => Box::pin(self.check(session, *claim)).await,
                    }
                    continue;
                }
                Err(error) => error,
            };
            if error.kind == DispatchErrorKind::SessionLost {
                session.lose(&error.message);
                return;
            }
            tracing::warn!(%error, "nothing can be claimed for now");
            self.pause(session, pauses.next()).await;
        }
    }

    async fn pause(&self, session: &Session, pause: Duration) {
        tokio::select! {
            biased;
            () = session.lost() => {}
            () = self.drain.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Removes the workspaces that were kept long enough.
    fn remove_old(self: &Arc<Self>) {
        // Where there is no room behind the slots, there is the next time.
        let Ok(permit) = Arc::clone(&self.behind).try_acquire_owned() else { return };
        let old = self.kept.expired(self.machine.clock.monotonic());
        if !old.is_empty() {
            let own = Arc::clone(self);
            tokio::spawn(async move {
                own.remove(old).await;
                drop(permit);
            });
        }
    }

    /// Gives back caches and removes workspaces.
    pub(super) async fn tidy(&self, caches: Option<UsedCaches>, rooms: Vec<Room>) {
        if let Err(error) = self.machine.release(caches).await {
            tracing::warn!(%error, "caches could not be tidied up");
        }
        self.remove(rooms).await;
    }

    /// Removes the workspaces that are still kept.
    pub(super) async fn clear(&self) {
        self.remove(self.kept.all()).await;
    }

    async fn remove(&self, rooms: Vec<Room>) {
        for room in rooms {
            if let Err(error) = self.machine.remove(room).await {
                tracing::warn!(%error, "a workspace could not be removed");
            }
        }
    }
}
