//! What the behaviours run over, and who publishes and listens there.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::super::{LIMIT, within};
use crate::pubsub::{PubSub, PubSubError, PubSubErrorKind, Signal, Topic};
use crate::testkit::faulty::FaultyPubSub;

/// How long a message that may be lost is waited for before it is sent again.
const IMPATIENCE: Duration = Duration::from_millis(50);

/// A pub/sub to check.
pub struct PubSubFixture {
    /// One that nobody else uses.
    pub pubsub: Arc<dyn PubSub>,
    /// Another connection to the same server; `None` where there is no server.
    pub other: Option<Arc<dyn PubSub>>,
    /// Whether nothing breaks meanwhile, so that every message must arrive.
    pub reliable: bool,
    /// Lives as long as the test: a server.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl PubSubFixture {
    /// A reliable one within this process.
    pub fn new(pubsub: Arc<dyn PubSub>) -> Self {
        Self { pubsub, other: None, reliable: true, keep: Box::new(()) }
    }

    /// The same behind a bad network, with faults by this seed.
    #[must_use]
    pub fn faulty(self, seed: u64) -> Self {
        let wrap = |pubsub| Arc::new(FaultyPubSub::new(pubsub).seeded(seed)) as Arc<dyn PubSub>;
        Self {
            pubsub: wrap(self.pubsub),
            other: self.other.map(wrap),
            reliable: false,
            keep: self.keep,
        }
    }

    /// Closes what is open.
    pub async fn end(self) {
        self.pubsub.close().await;
        if let Some(other) = &self.other {
            other.close().await;
        }
    }

    /// The other connection, where there is one.
    pub(super) fn elsewhere(&self) -> &Arc<dyn PubSub> {
        self.other.as_ref().unwrap_or(&self.pubsub)
    }

    /// Has `publisher` tell it to all of `listeners`: once if that must do.
    pub(super) async fn tell(
        &self,
        publisher: &Arc<dyn PubSub>,
        topic: &Topic,
        payload: &Bytes,
        listeners: &mut [Listener],
    ) {
        publish(publisher, topic, payload).await;
        for listener in listeners {
            let started = tokio::time::Instant::now();
            loop {
                let patience = if self.reliable { LIMIT } else { IMPATIENCE };
                if tokio::time::timeout(patience, listener.hears(payload)).await.is_ok() {
                    break;
                }
                assert!(
                    started.elapsed() < LIMIT,
                    "what was published to `{topic}` did not arrive, {} bytes",
                    payload.len()
                );
                publish(publisher, topic, payload).await;
            }
        }
    }
}

impl fmt::Debug for PubSubFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSubFixture")
            .field("pubsub", &self.pubsub)
            .field("other", &self.other)
            .field("reliable", &self.reliable)
            .finish_non_exhaustive()
    }
}

/// A topic of this name.
pub(super) fn topic(name: &str) -> Topic {
    match Topic::new(name) {
        Ok(topic) => topic,
        Err(error) => panic!("the suite made a topic that is none: {error}"),
    }
}

/// Publishes, again while it cannot be done now.
pub(super) async fn publish(pubsub: &Arc<dyn PubSub>, topic: &Topic, payload: &Bytes) {
    settled("a publish", || pubsub.publish(topic, payload.clone())).await;
}

async fn settled<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, PubSubError>>,
{
    let started = tokio::time::Instant::now();
    loop {
        let error = match within(LIMIT, what, call()).await {
            Ok(done) => return done,
            Err(error) => error,
        };
        assert!(!error.message.trim().is_empty(), "{what} is an error that says nothing");
        let later = error.kind == PubSubErrorKind::Unavailable;
        assert!(later, "{what} did not work ({:?}): {error}", error.kind);
        assert!(started.elapsed() < LIMIT, "{what} did not work for {LIMIT:?}: {error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A subscription.
pub(super) struct Listener {
    signals: BoxStream<'static, Signal>,
    /// What it has heard.
    pub(super) heard: Vec<Bytes>,
    /// How often it may have missed something.
    pub(super) missed: usize,
}

impl Listener {
    pub(super) async fn new(pubsub: &Arc<dyn PubSub>, topic: &Topic) -> Self {
        let signals = settled("a subscribe", || pubsub.subscribe(topic)).await;
        Self { signals, heard: Vec::new(), missed: 0 }
    }

    /// The next signal; `None` at the end of the subscription.
    pub(super) async fn next(&mut self) -> Option<Signal> {
        let signal = self.signals.next().await;
        match &signal {
            Some(Signal::Message(payload)) => self.heard.push(payload.clone()),
            Some(Signal::Missed) => self.missed += 1,
            None => {}
        }
        signal
    }

    /// Listens until it has heard `payload`. Drop-safe.
    pub(super) async fn hears(&mut self, payload: &Bytes) {
        while !self.heard.contains(payload) {
            let signal = self.next().await;
            assert!(signal.is_some(), "a subscription ended though nobody closed it");
        }
    }

    /// Listens until the end.
    pub(super) async fn ends(&mut self, when: &str) {
        let end = async { while self.next().await.is_some() {} };
        within(LIMIT, &format!("the end of a subscription {when}"), end).await;
    }
}
