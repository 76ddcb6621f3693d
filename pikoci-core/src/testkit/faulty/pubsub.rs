//! A pub/sub that does what its contract does not rule out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::plan::{Plan, moment};
use crate::pubsub::{PubSub, PubSubError, Signal, Topic};
use crate::testkit::random::Random;

/// A method of a pub/sub whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PubSubCall {
    /// [`PubSub::publish`].
    Publish,
    /// [`PubSub::subscribe`].
    Subscribe,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PubSubFault {
    /// It is not done, and answers that it is unavailable.
    Refuse,
    /// The message is lost, and nobody is told. A subscription begins with
    /// [`Signal::Missed`].
    Lose,
    /// The message is sent twice.
    Repeat,
    /// The message is sent so much later, after others. A subscription is
    /// answered so much later.
    Delay(Duration),
}

/// A [`PubSub`] that loses, repeats, delays and reorders messages.
#[derive(Debug)]
pub struct FaultyPubSub {
    inner: Arc<dyn PubSub>,
    plan: Plan<PubSubCall, PubSubFault>,
    closed: AtomicBool,
}

impl FaultyPubSub {
    /// `inner` without faults.
    pub fn new(inner: Arc<dyn PubSub>) -> Self {
        Self { inner, plan: Plan::new(), closed: AtomicBool::new(false) }
    }

    /// The same with faults by this seed: about every second call has one.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        self.plan.seed(seed);
        self
    }

    /// The same with this fault at the nth `call`, counted from 1.
    #[must_use]
    pub fn at(self, call: PubSubCall, nth: u64, fault: PubSubFault) -> Self {
        self.plan.script(call, nth, fault);
        self
    }

    fn fault(&self, call: PubSubCall) -> Option<PubSubFault> {
        if self.closed.load(Ordering::SeqCst) {
            // What is closed says so, every time.
            return None;
        }
        self.plan.next(call, draw)
    }
}

fn draw(random: &mut Random) -> Option<PubSubFault> {
    Some(match random.below(16) {
        0 => PubSubFault::Refuse,
        1 => PubSubFault::Lose,
        2..=3 => PubSubFault::Repeat,
        4..=7 => PubSubFault::Delay(moment(random)),
        _ => return None,
    })
}

fn refused() -> PubSubError {
    PubSubError::unavailable("a fault: the call was refused")
}

impl fmt::Display for FaultyPubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} behind a bad network", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl PubSub for FaultyPubSub {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), PubSubError> {
        let fault = self.fault(PubSubCall::Publish);
        if fault.is_some() {
            // What is not handed on now is refused now if it must be.
            PubSubError::check_payload(&payload)?;
        }
        match fault {
            None => self.inner.publish(topic, payload).await,
            Some(PubSubFault::Refuse) => Err(refused()),
            Some(PubSubFault::Lose) => Ok(()),
            Some(PubSubFault::Repeat) => {
                self.inner.publish(topic, payload.clone()).await?;
                self.inner.publish(topic, payload).await
            }
            Some(PubSubFault::Delay(late)) => {
                let (inner, topic) = (self.inner.clone(), topic.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    // A message that cannot be sent any more is lost.
                    let _ = inner.publish(&topic, payload).await;
                });
                Ok(())
            }
        }
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BoxStream<'static, Signal>, PubSubError> {
        match self.fault(PubSubCall::Subscribe) {
            None | Some(PubSubFault::Repeat) => self.inner.subscribe(topic).await,
            Some(PubSubFault::Refuse) => Err(refused()),
            Some(PubSubFault::Lose) => {
                let signals = self.inner.subscribe(topic).await?;
                Ok(stream::iter([Signal::Missed]).chain(signals).boxed())
            }
            Some(PubSubFault::Delay(late)) => {
                let signals = self.inner.subscribe(topic).await;
                tokio::time::sleep(late).await;
                signals
            }
        }
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.inner.close().await;
    }
}
