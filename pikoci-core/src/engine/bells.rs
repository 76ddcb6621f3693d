//! What wakes the parts of the engine: within the process at once, in other
//! processes by the pub/sub, and by itself now and then.
//!
//! A bell carries no fact. Who hears it looks into the store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::records::BuildRecord;
use crate::clock::Clock;
use crate::name::BuildId;
use crate::pubsub::{Listener, PubSub, SlowLook, Topic};

/// What there is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bell {
    /// Jobs that may have something to start.
    Due,
    /// Builds that wait for a worker.
    Ready,
    /// Builds that are to be cancelled, and sessions that ended.
    Signals,
    /// Checks that were asked for.
    Checks,
    /// Events of teams that have no number yet.
    Outbox,
    /// Pipelines that were set, paused or deleted.
    Pipelines,
    /// Events of builds.
    Events,
}

const BELLS: [(Bell, &str); 7] = [
    (Bell::Due, "due"),
    (Bell::Ready, "ready"),
    (Bell::Signals, "signals"),
    (Bell::Checks, "checks"),
    (Bell::Outbox, "outbox"),
    (Bell::Pipelines, "pipelines"),
    (Bell::Events, "events"),
];

/// What to ring and whom to tell once a transaction is committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rings {
    bells: u32,
    /// Builds that have new events.
    pub(crate) builds: Vec<BuildId>,
    /// Builds that ended.
    pub(crate) ended: Vec<BuildRecord>,
}

impl Rings {
    pub(crate) fn add(&mut self, bell: Bell) {
        self.bells |= 1 << bell as u32;
    }
}

fn has(bells: u32, bell: Bell) -> bool {
    bells & (1 << bell as u32) != 0
}

/// One bell. Those who hear it are woken in the order in which they began to
/// wait, so that a simulation always does the same.
#[derive(Debug, Default)]
struct Rung {
    times: AtomicU64,
    wake: Notify,
}

impl Rung {
    fn ring(&self) {
        self.times.fetch_add(1, Ordering::Release);
        self.wake.notify_waiters();
    }
}

/// Hears one bell.
#[derive(Debug)]
pub(crate) struct Ear {
    bell: Arc<Rung>,
    heard: u64,
}

impl Ear {
    /// What was rung until now is heard.
    pub(crate) fn mark_heard(&mut self) {
        self.heard = self.bell.times.load(Ordering::Acquire);
    }

    /// Waits until the bell was rung since it was heard last. Drop-safe.
    pub(crate) async fn heard(&mut self) {
        loop {
            let mut wake = std::pin::pin!(self.bell.wake.notified());
            // Before the look: what is rung after that wakes it.
            wake.as_mut().enable();
            let times = self.bell.times.load(Ordering::Acquire);
            if times != self.heard {
                self.heard = times;
                return;
            }
            wake.await;
        }
    }
}

/// The bells of an engine.
#[derive(Debug)]
pub(crate) struct Bells {
    local: [Arc<Rung>; BELLS.len()],
    /// Those who follow a build, by the build.
    builds: Mutex<BTreeMap<BuildId, Arc<Rung>>>,
    pubsub: Option<Arc<dyn PubSub>>,
    to_send: AtomicU32,
    send: Notify,
}

impl Bells {
    pub(crate) fn new(pubsub: Option<Arc<dyn PubSub>>) -> Self {
        Self {
            local: std::array::from_fn(|_| Arc::default()),
            builds: Mutex::default(),
            pubsub,
            to_send: AtomicU32::new(0),
            send: Notify::new(),
        }
    }

    /// Rings here, and soon everywhere else.
    pub(crate) fn ring(&self, rings: &Rings) {
        for (bell, _) in BELLS {
            if has(rings.bells, bell) {
                self.ring_here(bell);
            }
        }
        self.ring_elsewhere(rings.bells);
        rings.builds.iter().for_each(|build| self.ring_build(*build));
    }

    fn ring_elsewhere(&self, bells: u32) {
        if self.pubsub.is_some() && bells != 0 {
            self.to_send.fetch_or(bells, Ordering::Relaxed);
            self.send.notify_one();
        }
    }

    fn ring_here(&self, bell: Bell) {
        self.local[bell as usize].ring();
        if bell == Bell::Events {
            let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
            builds.values().for_each(|build| build.ring());
        }
    }

    /// That a build has new events: wakes those who follow it here, and those
    /// who follow any build elsewhere.
    pub(crate) fn ring_build(&self, build: BuildId) {
        {
            let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(bell) = builds.get(&build) {
                bell.ring();
            }
        }
        self.ring_elsewhere(1 << Bell::Events as u32);
    }

    /// Hears a bell from now on.
    pub(crate) fn listen(&self, bell: Bell) -> Ear {
        let bell = Arc::clone(&self.local[bell as usize]);
        Ear { heard: bell.times.load(Ordering::Acquire), bell }
    }

    /// Hears of a build's events from now on.
    pub(crate) fn listen_to_build(&self, build: BuildId) -> Ear {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.retain(|id, bell| *id == build || Arc::strong_count(bell) > 1);
        let bell = Arc::clone(builds.entry(build).or_default());
        Ear { heard: bell.times.load(Ordering::Acquire), bell }
    }

    /// Carries bells to and from other processes until `stop` fires, and rings
    /// each now and then. One task for all that is sent, one for each bell heard.
    pub(crate) fn run(
        self: &Arc<Self>,
        slow_look: SlowLook,
        clock: &Arc<dyn Clock>,
        stop: &CancellationToken,
    ) -> Vec<tokio::task::JoinHandle<()>> {
        let mut tasks = Vec::new();
        for (bell, name) in BELLS {
            let Ok(topic) = Topic::new(name) else { continue };
            let (bells, clock, stop) = (Arc::clone(self), Arc::clone(clock), stop.clone());
            // Without one to share, a pub/sub of its own gives the slow look.
            let pubsub = self
                .pubsub
                .clone()
                .unwrap_or_else(|| Arc::new(crate::pubsub::MemoryPubSub::new()) as Arc<dyn PubSub>);
            tasks.push(tokio::spawn(async move {
                let mut listener = Listener::new(pubsub, topic, slow_look, clock);
                loop {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        _ = listener.next() => bells.ring_here(bell),
                    }
                }
            }));
        }
        if let Some(pubsub) = self.pubsub.clone() {
            let (bells, stop) = (Arc::clone(self), stop.clone());
            tasks.push(tokio::spawn(async move { bells.send_all(&*pubsub, &stop).await }));
        }
        tasks
    }

    async fn send_all(&self, pubsub: &dyn PubSub, stop: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.send.notified() => {}
            }
            let bells = self.to_send.swap(0, Ordering::Relaxed);
            for (bell, name) in BELLS {
                let Ok(topic) = Topic::new(name) else { continue };
                if has(bells, bell)
                    && let Err(error) = pubsub.publish(&topic, Bytes::new()).await
                {
                    // The others look by themselves now and then.
                    tracing::debug!(%error, bell = name, "a bell was not heard elsewhere");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn rung(ear: &mut Ear) -> bool {
        ear.heard().now_or_never().is_some()
    }

    #[tokio::test]
    async fn a_bell_is_heard_by_those_who_listen_to_it_only() {
        let bells = Bells::new(None);
        let (mut due, mut ready) = (bells.listen(Bell::Due), bells.listen(Bell::Ready));
        let mut rings = Rings::default();
        rings.add(Bell::Due);
        bells.ring(&rings);
        assert!(rung(&mut due));
        assert!(!rung(&mut due), "heard once");
        bells.ring(&Rings::default());
        assert!(!rung(&mut due) && !rung(&mut ready));
        bells.ring(&rings);
        due.mark_heard();
        assert!(!rung(&mut due));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let bells = Arc::new(Bells::new(None));
        let mut ear = bells.listen(Bell::Ready);
        let waits = tokio::spawn(async move { ear.heard().await });
        tokio::task::yield_now().await;
        let mut rings = Rings::default();
        rings.add(Bell::Ready);
        bells.ring(&rings);
        waits.await.expect("woken");
    }

    #[tokio::test]
    async fn those_who_follow_a_build_hear_of_it_and_are_forgotten() {
        let bells = Bells::new(None);
        let (one, other) = (BuildId(uuid::Uuid::from_u128(1)), BuildId(uuid::Uuid::from_u128(2)));
        let mut ear = bells.listen_to_build(one);
        bells.ring_build(other);
        assert!(!rung(&mut ear));
        bells.ring_build(one);
        assert!(rung(&mut ear));
        drop(ear);
        let _other = bells.listen_to_build(other);
        assert_eq!(bells.builds.lock().expect("whole").len(), 1);
    }
}
