//! What every part of the engine waits with: for a signal, or for the time to
//! look by itself.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::task;
use tokio::time::{self, Instant, Sleep};

use super::contract::{BACKLOG_MESSAGES, PubSub, PubSubError, PubSubErrorKind, Signal, Topic};
use crate::backoff::Backoff;
use crate::clock::Clock;

/// The first and the longest pause between attempts to subscribe.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How often to look without having been called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowLook {
    /// The time between two looks, on average.
    pub every: Duration,
    /// By how much of it a time may be shorter or longer, in percent: at most
    /// 100, so that those who were started together do not look together.
    pub jitter_percent: u32,
}

impl Default for SlowLook {
    /// Every 30 seconds, give or take 20 percent.
    fn default() -> Self {
        Self { every: Duration::from_secs(30), jitter_percent: 20 }
    }
}

impl SlowLook {
    /// A time to the next look.
    fn pause(self, clock: &dyn Clock) -> Duration {
        let span = self.every * self.jitter_percent.min(100) / 100;
        // Evenly out of twice the span, of which one half shortens it.
        self.every - span + Backoff::new(span * 2, span * 2).next(clock)
    }
}

/// Why [`Listener::next`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Something happened, or may have: there was a signal, or it could be
    /// subscribed only now.
    Signal,
    /// It was quiet for so long that it is time to look.
    Due,
}

/// Listens to a topic for as long as it lives, and returns now and then even
/// if nothing is heard: correctness never hangs on a message. So the loop of
/// every listener is: look, wait for [`next`](Self::next), look again.
///
/// While the pub/sub is away it is subscribed to again and again, with
/// growing, jittered pauses; until then only the slow look is left.
///
/// ```
/// # use std::sync::Arc;
/// # use bytes::Bytes;
/// # use pikoci_core::clock::SystemClock;
/// # use pikoci_core::pubsub::{Listener, MemoryPubSub, PubSub, SlowLook, Topic, Wake};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pubsub = Arc::new(MemoryPubSub::new());
/// let (topic, clock) = (Topic::new("builds")?, Arc::new(SystemClock::new()));
/// let mut listener = Listener::new(pubsub.clone(), topic.clone(), SlowLook::default(), clock);
/// // What was before it listened must be looked for too.
/// assert_eq!(listener.next().await, Wake::Signal);
/// pubsub.publish(&topic, Bytes::new()).await?;
/// assert_eq!(listener.next().await, Wake::Signal);
/// # Ok(())
/// # }
/// ```
pub struct Listener {
    pubsub: Arc<dyn PubSub>,
    topic: Topic,
    slow_look: SlowLook,
    clock: Arc<dyn Clock>,
    subscription: Subscription,
    backoff: Backoff,
    watch: Option<BoxStream<'static, ()>>,
    /// When it is time to look; `None` before the first wait.
    due: Option<Pin<Box<Sleep>>>,
}

/// How it stands with the subscription.
enum Subscription {
    /// Not asked for yet.
    Wanted,
    /// Asked for.
    Pending(BoxFuture<'static, Result<BoxStream<'static, Signal>, PubSubError>>),
    /// Refused; asked for again afterwards.
    Paused(Pin<Box<Sleep>>),
    /// There.
    Running(BoxStream<'static, Signal>),
    /// The pub/sub was closed.
    Over,
}

impl Listener {
    /// One that listens to `topic` from the first [`next`](Self::next) on.
    /// `clock` gives the jitter.
    pub fn new(
        pubsub: Arc<dyn PubSub>,
        topic: Topic,
        slow_look: SlowLook,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            pubsub,
            topic,
            slow_look,
            clock,
            subscription: Subscription::Wanted,
            backoff: Backoff::new(PAUSES.0, PAUSES.1),
            watch: None,
            due: None,
        }
    }

    /// The same with a second bell: what [`Store::watch`](crate::Store::watch) tells.
    #[must_use]
    pub fn with_watch(mut self, watch: Option<BoxStream<'static, ()>>) -> Self {
        self.watch = watch;
        self
    }

    /// Returns when there was a signal, however many there were since the last
    /// time, or when it is time to look. Returns once after each subscription
    /// that was made, since there may have been signals before it.
    ///
    /// Once the pub/sub is closed only the watch and the slow look are left.
    ///
    /// Drop-safe: a signal that came is told by the next call.
    pub async fn next(&mut self) -> Wake {
        // Others have their turn here, where nothing is taken yet, rather than
        // in the middle of what came.
        task::consume_budget().await;
        let wake = task::unconstrained(poll_fn(|context| self.poll(context))).await;
        self.due = None;
        wake
    }

    /// Nothing is taken from anywhere but in the poll that returns.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Wake> {
        // Both, so that one look serves for both.
        let watched = self.poll_watch(context);
        if self.poll_subscription(context) || watched {
            return Poll::Ready(Wake::Signal);
        }
        let due = self.due.get_or_insert_with(|| {
            let pause = self.slow_look.pause(&*self.clock);
            Box::pin(time::sleep_until(Instant::now() + pause))
        });
        due.as_mut().poll(context).map(|()| Wake::Due)
    }

    /// Whether the watch rang.
    fn poll_watch(&mut self, context: &mut Context<'_>) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        let (rang, ended) = drain(watch, context);
        if ended {
            self.watch = None;
        }
        rang
    }

    /// Whether something was heard, or may have been missed until now.
    fn poll_subscription(&mut self, context: &mut Context<'_>) -> bool {
        let mut rang = false;
        loop {
            match &mut self.subscription {
                Subscription::Wanted => {
                    let (pubsub, topic) = (self.pubsub.clone(), self.topic.clone());
                    let subscribe = async move { pubsub.subscribe(&topic).await };
                    self.subscription = Subscription::Pending(Box::pin(subscribe));
                }
                Subscription::Pending(subscribe) => match subscribe.as_mut().poll(context) {
                    Poll::Pending => return rang,
                    Poll::Ready(Ok(signals)) => {
                        self.backoff = Backoff::new(PAUSES.0, PAUSES.1);
                        self.subscription = Subscription::Running(signals);
                        rang = true;
                    }
                    Poll::Ready(Err(error)) if error.kind == PubSubErrorKind::Closed => {
                        self.subscription = Subscription::Over;
                    }
                    Poll::Ready(Err(error)) => {
                        let pause = self.backoff.next(&*self.clock);
                        tracing::debug!(%error, ?pause, "`{}` is not listened to yet", self.topic);
                        self.subscription = Subscription::Paused(Box::pin(time::sleep(pause)));
                    }
                },
                Subscription::Paused(pause) => match pause.as_mut().poll(context) {
                    Poll::Pending => return rang,
                    Poll::Ready(()) => self.subscription = Subscription::Wanted,
                },
                Subscription::Running(signals) => {
                    let (heard, ended) = drain(signals, context);
                    rang |= heard;
                    if !ended {
                        return rang;
                    }
                    // It says why when it is asked again.
                    self.subscription = Subscription::Wanted;
                }
                Subscription::Over => return rang,
            }
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscribed = matches!(self.subscription, Subscription::Running(_));
        f.debug_struct("Listener")
            .field("pubsub", &self.pubsub)
            .field("topic", &self.topic)
            .field("slow_look", &self.slow_look)
            .field("subscribed", &subscribed)
            .finish_non_exhaustive()
    }
}

/// Takes what is there: whether there was something, and whether it is the
/// end. Not without bound, since more may come while it is taken.
fn drain<T>(stream: &mut BoxStream<'static, T>, context: &mut Context<'_>) -> (bool, bool) {
    let mut some = false;
    for _ in 0..2 * BACKLOG_MESSAGES {
        match stream.as_mut().poll_next(context) {
            Poll::Ready(Some(_)) => some = true,
            Poll::Ready(None) => return (some, true),
            Poll::Pending => break,
        }
    }
    (some, false)
}

#[cfg(test)]
mod tests;
