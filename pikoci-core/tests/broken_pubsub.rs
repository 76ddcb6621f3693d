//! The suite for pub/sub finds what is broken: each of these breaks one
//! promise, and the behaviour that is about it panics. Also what the faulty
//! wrapper does.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use pikoci_core::pubsub::{
    BACKLOG_MESSAGES, MAX_PAYLOAD_SIZE_BYTES, MemoryPubSub, PubSub, PubSubError, Signal, Topic,
};
use pikoci_core::testkit::conformance::pubsub::{self as suite, PubSubFixture};
use tokio::sync::mpsc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    LosesSome,
    MissesTheFirst,
    MixesTopics,
    CutsTopics,
    TellsText,
    LosesEmptyPayloads,
    TakesLargePayloads,
    BlocksOnTheSlow,
    HidesWhatWasMissed,
    NeverEnds,
    WorksWhenClosed,
    EndsWhenOneIsDropped,
    TellsItsPassword,
}

#[derive(Debug)]
struct Broken {
    wrong: Wrong,
    inner: Arc<MemoryPubSub>,
    published: AtomicU64,
}

impl Broken {
    fn topic(&self, topic: &Topic) -> Topic {
        let mut name = topic.as_str().to_owned();
        match self.wrong {
            Wrong::MixesTopics => name = "all".into(),
            Wrong::CutsTopics => name.truncate(47),
            _ => {}
        }
        Topic::new(name).expect("a topic")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wrong {
            Wrong::TellsItsPassword => f.write_str("amqp://guest:guest@localhost"),
            _ => f.write_str("amqp://guest@localhost"),
        }
    }
}

#[async_trait]
impl PubSub for Broken {
    async fn publish(&self, topic: &Topic, mut payload: Bytes) -> Result<(), PubSubError> {
        let number = self.published.fetch_add(1, Ordering::SeqCst);
        match self.wrong {
            Wrong::LosesSome if number % 50 == 49 => return Ok(()),
            Wrong::LosesEmptyPayloads if payload.is_empty() => return Ok(()),
            Wrong::TakesLargePayloads => payload.truncate(MAX_PAYLOAD_SIZE_BYTES),
            Wrong::TellsText => payload = String::from_utf8_lossy(&payload).into_owned().into(),
            _ => {}
        }
        payload.truncate(MAX_PAYLOAD_SIZE_BYTES + 1);
        self.inner.publish(&self.topic(topic), payload).await
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BoxStream<'static, Signal>, PubSubError> {
        let signals = self.inner.subscribe(&self.topic(topic)).await?;
        Ok(match self.wrong {
            Wrong::MissesTheFirst => signals.skip(1).boxed(),
            Wrong::HidesWhatWasMissed => {
                let told = |signal: &Signal| futures_util::future::ready(*signal != Signal::Missed);
                signals.filter(told).boxed()
            }
            Wrong::NeverEnds => signals.chain(stream::pending()).boxed(),
            Wrong::EndsWhenOneIsDropped => signals.take(3).boxed(),
            _ => signals,
        })
    }

    async fn close(&self) {
        if self.wrong != Wrong::WorksWhenClosed {
            self.inner.close().await;
        }
    }
}

/// One whose publishers wait for the slowest subscriber.
#[derive(Debug, Default)]
struct Blocking {
    listeners: tokio::sync::Mutex<Vec<(Topic, mpsc::Sender<Signal>)>>,
}

impl fmt::Display for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("blocking:")
    }
}

#[async_trait]
impl PubSub for Blocking {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), PubSubError> {
        for (its, listener) in &*self.listeners.lock().await {
            if its == topic {
                // Who is gone hears nothing.
                let _ = listener.send(Signal::Message(payload.clone())).await;
            }
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BoxStream<'static, Signal>, PubSubError> {
        let (sender, receiver) = mpsc::channel(BACKLOG_MESSAGES);
        self.listeners.lock().await.push((topic.clone(), sender));
        let next = |mut receiver: mpsc::Receiver<Signal>| async move {
            Some((receiver.recv().await?, receiver))
        };
        Ok(stream::unfold(receiver, next).boxed())
    }

    async fn close(&self) {
        self.listeners.lock().await.clear();
    }
}

fn fixture(wrong: Wrong) -> PubSubFixture {
    let inner = Arc::new(MemoryPubSub::new());
    PubSubFixture::new(match wrong {
        Wrong::BlocksOnTheSlow => Arc::new(Blocking::default()),
        _ => Arc::new(Broken { wrong, inner, published: AtomicU64::new(0) }),
    })
}

/// As the broken ones are run, so that it is not the run that breaks them.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn one_that_is_right_passes() {
    suite::run_all(|| async { Some(fixture(Wrong::Nothing)) }).await;
}

/// A test for each broken one: the behaviour that is about it panics.
macro_rules! found {
    ($($wrong:ident by $behaviour:ident)+) => {
        mod found {
            use super::*;
            $(
                #[tokio::test(flavor = "current_thread", start_paused = true)]
                #[allow(non_snake_case, reason = "named as the case is")]
                async fn $wrong() {
                    let run = tokio::spawn(async {
                        suite::$behaviour(&fixture(Wrong::$wrong)).await;
                    });
                    let panicked = run.await.is_err_and(|error| error.is_panic());
                    let name = stringify!($behaviour);
                    assert!(panicked, "{name} does not see what is wrong");
                }
            )+
        }
    };
}

found! {
    LosesSome by many_publish_at_once
    MissesTheFirst by a_message_reaches_all_who_listen
    MixesTopics by topics_are_apart
    CutsTopics by topics_are_apart
    TellsText by payloads_may_be_any_bytes
    LosesEmptyPayloads by payloads_may_be_any_bytes
    TakesLargePayloads by a_payload_beyond_the_limit_is_refused
    BlocksOnTheSlow by a_slow_subscriber_blocks_nobody
    HidesWhatWasMissed by a_slow_subscriber_blocks_nobody
    NeverEnds by a_closed_pubsub_answers_that_it_is
    WorksWhenClosed by a_closed_pubsub_answers_that_it_is
    EndsWhenOneIsDropped by dropped_futures_and_streams_are_in_nobodys_way
    TellsItsPassword by a_pubsub_names_itself
}

mod faulty {
    use std::time::Duration;

    use pikoci_core::testkit::faulty::{FaultyPubSub, PubSubCall, PubSubFault};

    use super::*;

    /// What is heard of the messages 1 to 4 when the second has this fault.
    async fn heard(fault: PubSubFault) -> (Vec<Bytes>, bool) {
        let inner = Arc::new(MemoryPubSub::new());
        let pubsub = FaultyPubSub::new(inner).at(PubSubCall::Publish, 2, fault);
        let topic = Topic::new("topic").expect("a topic");
        let mut signals = pubsub.subscribe(&topic).await.expect("a subscription");
        let mut refused = false;
        for number in 1..=4 {
            refused |= pubsub.publish(&topic, Bytes::from(number.to_string())).await.is_err();
        }
        // The clock is paused: this is over when nothing is on its way.
        tokio::time::sleep(Duration::from_secs(1)).await;
        pubsub.close().await;
        let mut all = Vec::new();
        while let Some(Signal::Message(payload)) = signals.next().await {
            all.push(payload);
        }
        (all, refused)
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_lost_repeated_and_reordered() {
        assert_eq!(
            heard(PubSubFault::Lose).await,
            (vec!["1".into(), "3".into(), "4".into()], false)
        );
        assert_eq!(
            heard(PubSubFault::Refuse).await,
            (vec!["1".into(), "3".into(), "4".into()], true)
        );
        let twice = ["1", "2", "2", "3", "4"].map(Bytes::from).to_vec();
        assert_eq!(heard(PubSubFault::Repeat).await, (twice, false));
        let late = ["1", "3", "4", "2"].map(Bytes::from).to_vec();
        assert_eq!(heard(PubSubFault::Delay(Duration::from_millis(5))).await, (late, false));
    }

    #[tokio::test]
    async fn a_subscription_begins_with_what_it_missed_or_is_refused() {
        let pubsub = FaultyPubSub::new(Arc::new(MemoryPubSub::new()))
            .at(PubSubCall::Subscribe, 1, PubSubFault::Lose)
            .at(PubSubCall::Subscribe, 2, PubSubFault::Refuse);
        let topic = Topic::new("topic").expect("a topic");
        let mut signals = pubsub.subscribe(&topic).await.expect("a subscription");
        assert_eq!(signals.next().await, Some(Signal::Missed));
        assert!(pubsub.subscribe(&topic).await.is_err());
        assert!(pubsub.subscribe(&topic).await.is_ok());
    }
}
