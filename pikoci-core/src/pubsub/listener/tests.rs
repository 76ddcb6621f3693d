//! Tests of the listener, in paused time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;

use super::*;
use crate::clock::SystemClock;
use crate::pubsub::MemoryPubSub;

const SLOW: SlowLook = SlowLook { every: Duration::from_secs(30), jitter_percent: 20 };

/// What a subscribe of [`Moody`] does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Works,
    Fails,
    Hangs,
}

/// A pub/sub in memory that is away when it is told to be.
#[derive(Debug)]
struct Moody {
    inner: MemoryPubSub,
    mood: Mutex<Mood>,
    subscribes: AtomicUsize,
}

impl Moody {
    fn new(mood: Mood) -> Arc<Self> {
        let inner = MemoryPubSub::new();
        Arc::new(Self { inner, mood: Mutex::new(mood), subscribes: AtomicUsize::new(0) })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("not poisoned") = mood;
    }

    fn listener(self: &Arc<Self>) -> Listener {
        Listener::new(self.clone(), topic(), SLOW, Arc::new(SystemClock::new()))
    }

    async fn ring(&self) {
        self.inner.publish(&topic(), Bytes::new()).await.expect("it is published");
    }
}

impl fmt::Display for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("moody")
    }
}

#[async_trait]
impl PubSub for Moody {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), PubSubError> {
        self.inner.publish(topic, payload).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BoxStream<'static, Signal>, PubSubError> {
        self.subscribes.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock().expect("not poisoned");
        match mood {
            Mood::Works => self.inner.subscribe(topic).await,
            Mood::Fails => Err(PubSubError::unavailable("away")),
            Mood::Hangs => std::future::pending().await,
        }
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

fn topic() -> Topic {
    Topic::new("builds").expect("a topic")
}

/// What comes next, and after how long.
async fn timed(listener: &mut Listener) -> (Wake, Duration) {
    let started = Instant::now();
    let wake = listener.next().await;
    (wake, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_signal_wakes_at_once_and_many_wake_once() {
    let pubsub = Moody::new(Mood::Works);
    let mut listener = pubsub.listener();
    assert_eq!(timed(&mut listener).await, (Wake::Signal, Duration::ZERO));
    for rings in [1, 7, 3 * BACKLOG_MESSAGES] {
        for _ in 0..rings {
            pubsub.ring().await;
        }
        assert_eq!(timed(&mut listener).await, (Wake::Signal, Duration::ZERO));
        let (wake, after) = timed(&mut listener).await;
        assert_eq!(wake, Wake::Due, "{rings} rings are told once, but for {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_slow_look_comes_at_its_interval_and_never_twice_at_the_same() {
    let mut listener = Moody::new(Mood::Works).listener();
    listener.next().await;
    let mut times = Vec::new();
    for _ in 0..100 {
        let (wake, after) = timed(&mut listener).await;
        assert_eq!(wake, Wake::Due);
        assert!((Duration::from_secs(24)..=Duration::from_millis(36_002)).contains(&after));
        times.push(after);
    }
    times.sort_unstable();
    assert!(times[20] < Duration::from_secs(29) && times[80] > Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn without_jitter_the_slow_look_is_exact() {
    let slow = SlowLook { every: Duration::from_secs(5), jitter_percent: 0 };
    let pubsub = Moody::new(Mood::Works);
    let mut listener = Listener::new(pubsub, topic(), slow, Arc::new(SystemClock::new()));
    listener.next().await;
    let (wake, after) = timed(&mut listener).await;
    assert_eq!((wake, after.as_secs()), (Wake::Due, 5));
}

#[tokio::test(start_paused = true)]
async fn a_pubsub_that_is_away_leaves_the_slow_look_and_is_found_when_it_is_back() {
    let pubsub = Moody::new(Mood::Fails);
    let mut listener = pubsub.listener();
    for _ in 0..20 {
        assert_eq!(listener.next().await, Wake::Due);
    }
    // Some ten minutes in which it was asked neither too often nor too seldom.
    let asked = pubsub.subscribes.load(Ordering::Relaxed);
    assert!((60..1000).contains(&asked), "it was asked {asked} times");

    pubsub.set(Mood::Works);
    let (wake, after) = timed(&mut listener).await;
    assert_eq!(wake, Wake::Signal, "what was missed is looked for");
    assert!(after <= PAUSES.1, "it took {after:?}");
    pubsub.ring().await;
    assert_eq!(timed(&mut listener).await, (Wake::Signal, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_that_hangs_holds_up_no_slow_look() {
    let pubsub = Moody::new(Mood::Hangs);
    let mut listener = pubsub.listener();
    for _ in 0..3 {
        assert_eq!(listener.next().await, Wake::Due);
    }
    assert_eq!(pubsub.subscribes.load(Ordering::Relaxed), 1, "it is asked once, and waited for");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_no_signal_and_no_time() {
    let pubsub = Moody::new(Mood::Works);
    let mut listener = pubsub.listener();
    listener.next().await;
    let started = Instant::now();
    for _ in 0..100 {
        let waited = time::timeout(Duration::from_millis(200), listener.next()).await;
        assert!(waited.is_err(), "there was no signal");
    }
    assert_eq!(listener.next().await, Wake::Due);
    assert!(started.elapsed() < Duration::from_secs(37), "the time ran on");

    drop(listener.next());
    assert!(listener.next().now_or_never().is_none());
    pubsub.ring().await;
    drop(listener.next());
    assert_eq!(timed(&mut listener).await, (Wake::Signal, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_does_not_ask_anew() {
    let pubsub = Moody::new(Mood::Hangs);
    let mut listener = pubsub.listener();
    for _ in 0..10 {
        assert!(listener.next().now_or_never().is_none());
    }
    assert_eq!(pubsub.subscribes.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_watch_of_a_store_rings_too_until_it_ends() {
    let pubsub = Moody::new(Mood::Fails);
    let (bell, rings) = mpsc::unbounded_channel();
    let watch =
        stream::unfold(rings, |mut rings| async move { rings.recv().await.map(|()| ((), rings)) });
    let mut listener = pubsub.listener().with_watch(Some(watch.boxed()));
    assert_eq!(listener.next().await, Wake::Due);
    for _ in 0..3 {
        bell.send(()).expect("it listens");
    }
    assert_eq!(timed(&mut listener).await, (Wake::Signal, Duration::ZERO));
    assert_eq!(listener.next().await, Wake::Due);
    drop(bell);
    assert_eq!(listener.next().await, Wake::Due);
}

#[tokio::test(start_paused = true)]
async fn after_the_close_only_the_slow_look_is_left() {
    let pubsub = Moody::new(Mood::Works);
    let mut listener = pubsub.listener();
    listener.next().await;
    pubsub.close().await;
    for _ in 0..3 {
        assert_eq!(listener.next().await, Wake::Due);
    }
    assert_eq!(pubsub.subscribes.load(Ordering::Relaxed), 2, "it does not ask for ever");
}
