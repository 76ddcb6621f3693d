//! What wakes the parts of the engine: within the process at once, in other
//! processes by the pub/sub, and by itself now and then.
//!
//! A bell carries no fact. Who hears it looks into the store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

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

/// Bells to ring once a transaction is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rings(u32);

impl Rings {
    pub(crate) fn add(&mut self, bell: Bell) {
        self.0 |= 1 << bell as u32;
    }

    fn has(self, bell: Bell) -> bool {
        self.0 & (1 << bell as u32) != 0
    }
}

/// The bells of an engine.
#[derive(Debug)]
pub(crate) struct Bells {
    local: [watch::Sender<u64>; BELLS.len()],
    /// Those who follow a build, by the build.
    builds: Mutex<BTreeMap<BuildId, watch::Sender<u64>>>,
    pubsub: Option<Arc<dyn PubSub>>,
    to_send: AtomicU32,
    send: Notify,
}

impl Bells {
    pub(crate) fn new(pubsub: Option<Arc<dyn PubSub>>) -> Self {
        Self {
            local: std::array::from_fn(|_| watch::Sender::new(0)),
            builds: Mutex::default(),
            pubsub,
            to_send: AtomicU32::new(0),
            send: Notify::new(),
        }
    }

    /// Rings here, and soon everywhere else.
    pub(crate) fn ring(&self, rings: Rings) {
        if rings == Rings::default() {
            return;
        }
        for (bell, _) in BELLS {
            if rings.has(bell) {
                self.ring_here(bell);
            }
        }
        if self.pubsub.is_some() {
            self.to_send.fetch_or(rings.0, Ordering::Relaxed);
            self.send.notify_one();
        }
    }

    fn ring_here(&self, bell: Bell) {
        self.local[bell as usize].send_modify(|rung| *rung = rung.wrapping_add(1));
        if bell == Bell::Events {
            let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
            for build in builds.values() {
                build.send_modify(|rung| *rung = rung.wrapping_add(1));
            }
        }
    }

    /// That a build has new events: wakes those who follow it here, and those
    /// who follow any build elsewhere.
    pub(crate) fn ring_build(&self, build: BuildId) {
        {
            let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sender) = builds.get(&build) {
                sender.send_modify(|rung| *rung = rung.wrapping_add(1));
            }
        }
        if self.pubsub.is_some() {
            let mut rings = Rings::default();
            rings.add(Bell::Events);
            self.to_send.fetch_or(rings.0, Ordering::Relaxed);
            self.send.notify_one();
        }
    }

    /// Hears a bell from now on.
    pub(crate) fn listen(&self, bell: Bell) -> watch::Receiver<u64> {
        self.local[bell as usize].subscribe()
    }

    /// Hears of a build's events from now on.
    pub(crate) fn listen_to_build(&self, build: BuildId) -> watch::Receiver<u64> {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.retain(|id, sender| *id == build || sender.receiver_count() > 0);
        builds.entry(build).or_insert_with(|| watch::Sender::new(0)).subscribe()
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
            let rings = Rings(self.to_send.swap(0, Ordering::Relaxed));
            for (bell, name) in BELLS {
                let Ok(topic) = Topic::new(name) else { continue };
                if rings.has(bell)
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
    use super::*;

    #[tokio::test]
    async fn a_bell_is_heard_by_those_who_listen_to_it_only() {
        let bells = Bells::new(None);
        let (mut due, mut ready) = (bells.listen(Bell::Due), bells.listen(Bell::Ready));
        let mut rings = Rings::default();
        rings.add(Bell::Due);
        bells.ring(rings);
        assert!(due.has_changed().expect("open"));
        assert!(!ready.has_changed().expect("open"));
        due.mark_unchanged();
        bells.ring(Rings::default());
        assert!(!due.has_changed().expect("open"));
        assert_eq!(*ready.borrow_and_update(), 0);
    }

    #[tokio::test]
    async fn those_who_follow_a_build_hear_of_it_and_are_forgotten() {
        let bells = Bells::new(None);
        let (one, other) = (BuildId(uuid::Uuid::from_u128(1)), BuildId(uuid::Uuid::from_u128(2)));
        let heard = bells.listen_to_build(one);
        bells.ring_build(other);
        assert!(!heard.has_changed().expect("open"));
        bells.ring_build(one);
        assert!(heard.has_changed().expect("open"));
        drop(heard);
        let _other = bells.listen_to_build(other);
        assert_eq!(bells.builds.lock().expect("whole").len(), 1);
    }
}
