//! What arrives, where, and what is dropped.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::task::JoinSet;

use super::super::{LIMIT, within};
use super::PubSubFixture;
use super::fixture::{Listener, publish, topic};
use crate::pubsub::{
    BACKLOG_MESSAGES, MAX_PAYLOAD_SIZE_BYTES, MAX_TOPIC_SIZE_BYTES, PubSubErrorKind, Signal,
};

/// Who subscribed before it was published hears it: every subscription, of the
/// publisher's own connection and of another.
///
/// # Panics
/// When one does not.
pub async fn a_message_reaches_all_who_listen(fixture: &PubSubFixture) {
    for (round, publisher) in [&fixture.pubsub, fixture.elsewhere()].into_iter().enumerate() {
        for number in 0..10 {
            // A fresh topic each time: the first message must not be too early.
            let topic = topic(&format!("first-{round}-{number}"));
            let mut listeners = [
                Listener::new(&fixture.pubsub, &topic).await,
                Listener::new(fixture.elsewhere(), &topic).await,
                Listener::new(&fixture.pubsub, &topic).await,
            ];
            for message in 0..3 {
                let payload = Bytes::from(format!("message {message}"));
                fixture.tell(publisher, &topic, &payload, &mut listeners).await;
            }
            let quiet = listeners.iter().all(|listener| listener.missed == 0);
            assert!(quiet || !fixture.reliable, "something was missed though nothing broke");
        }
    }
    publish(&fixture.pubsub, &topic("nobody"), &Bytes::from_static(b"hello?")).await;
}

/// Who listens to a topic hears nothing that was published to another.
///
/// # Panics
/// When they do.
pub async fn topics_are_apart(fixture: &PubSubFixture) {
    let longest = "t".repeat(MAX_TOPIC_SIZE_BYTES);
    let neighbour = format!("{}u", "t".repeat(MAX_TOPIC_SIZE_BYTES - 1));
    let names =
        ["a", "a1", "a-1", "a_1", "aa", "a-", "a_", "select", "order-by", &longest, &neighbour];
    let topics = names.map(topic);
    let mut listeners = Vec::new();
    for topic in &topics {
        listeners.push(Listener::new(&fixture.pubsub, topic).await);
    }
    for round in 0..2 {
        for (topic, listener) in topics.iter().zip(&mut listeners) {
            let payload = Bytes::from(format!("{topic} {round}"));
            let listener = std::slice::from_mut(listener);
            fixture.tell(fixture.elsewhere(), topic, &payload, listener).await;
        }
    }
    for (topic, listener) in topics.iter().zip(&listeners) {
        let own = format!("{topic} ");
        for payload in &listener.heard {
            let theirs = payload.starts_with(own.as_bytes());
            assert!(theirs, "`{topic}` heard what is not for it: {}", payload.escape_ascii());
        }
    }
}

/// A payload may be of any bytes, none included, up to the limit.
///
/// # Panics
/// When one does not arrive as it was.
pub async fn payloads_may_be_any_bytes(fixture: &PubSubFixture) {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let payloads = [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"it's 'quoted' \\ \"twice\"\r\n\n"),
        Bytes::from_static(b"\xff\xfe not text"),
        Bytes::from(every.repeat(MAX_PAYLOAD_SIZE_BYTES / every.len())),
        Bytes::from(vec![0xff; MAX_PAYLOAD_SIZE_BYTES]),
        Bytes::from(vec![b'\''; MAX_PAYLOAD_SIZE_BYTES]),
    ];
    let topic = topic("bytes");
    let mut listeners = [
        Listener::new(&fixture.pubsub, &topic).await,
        Listener::new(fixture.elsewhere(), &topic).await,
    ];
    for payload in &payloads {
        fixture.tell(&fixture.pubsub, &topic, payload, &mut listeners).await;
    }
    for listener in &listeners {
        for heard in &listener.heard {
            let known = payloads.contains(heard);
            assert!(known, "heard what nobody said: {} bytes", heard.len());
        }
    }
}

/// A payload that is too large is refused as a mistake of the caller, and does
/// not arrive.
///
/// # Panics
/// When it is taken.
pub async fn a_payload_beyond_the_limit_is_refused(fixture: &PubSubFixture) {
    let topic = topic("large");
    let mut listener = Listener::new(&fixture.pubsub, &topic).await;
    for length in [MAX_PAYLOAD_SIZE_BYTES + 1, 10 * MAX_PAYLOAD_SIZE_BYTES] {
        let publish = fixture.pubsub.publish(&topic, Bytes::from(vec![b'x'; length]));
        let said = within(LIMIT, "the publish of too much", publish).await;
        let Err(error) = said else { panic!("a payload of {length} bytes was taken") };
        assert_eq!(error.kind, PubSubErrorKind::Invalid, "the error for {length} bytes: {error}");
    }
    let fine = Bytes::from_static(b"fine");
    let listeners = std::slice::from_mut(&mut listener);
    fixture.tell(&fixture.pubsub, &topic, &fine, listeners).await;
    assert!(listener.heard.iter().all(|heard| *heard == fine), "what was refused arrived");
}

/// Many may publish at once, and nothing is lost of it.
///
/// # Panics
/// When something is, or does not end.
pub async fn many_publish_at_once(fixture: &PubSubFixture) {
    let topic = topic("many");
    let mut here = Listener::new(&fixture.pubsub, &topic).await;
    let mut there = Listener::new(fixture.elsewhere(), &topic).await;
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let publisher = if number % 2 == 0 { &fixture.pubsub } else { fixture.elsewhere() };
        let (publisher, topic) = (publisher.clone(), topic.clone());
        tasks.spawn(async move {
            for message in 0..25 {
                let payload = Bytes::from(format!("{number}/{message}"));
                publish(&publisher, &topic, &payload).await;
            }
        });
    }
    within(LIMIT, "many publishers at once", tasks.join_all()).await;
    let last = Bytes::from_static(b"last");
    let mut listeners = [&mut here, &mut there];
    for listener in &mut listeners {
        fixture.tell(&fixture.pubsub, &topic, &last, std::slice::from_mut(*listener)).await;
    }
    if !fixture.reliable {
        return;
    }
    let all: BTreeSet<Bytes> = (0..8)
        .flat_map(|number| (0..25).map(move |message| Bytes::from(format!("{number}/{message}"))))
        .collect();
    for listener in listeners {
        for payload in &all {
            let what = format!("the message {} of many", payload.escape_ascii());
            within(LIMIT, &what, listener.hears(payload)).await;
        }
    }
}

/// Who does not take their messages blocks neither who publishes nor who else
/// listens; they hear that they missed something, and go on from there.
///
/// # Panics
/// When they block, or do not hear it.
pub async fn a_slow_subscriber_blocks_nobody(fixture: &PubSubFixture) {
    let topic = topic("flood");
    let mut slow = Listener::new(&fixture.pubsub, &topic).await;
    let flood = stream::iter(0..3 * BACKLOG_MESSAGES).map(|number| {
        let (pubsub, topic) = (fixture.elsewhere().clone(), topic.clone());
        async move { publish(&pubsub, &topic, &Bytes::from(format!("drop {number}"))).await }
    });
    let flood = flood.buffer_unordered(32).for_each(|()| async {});
    within(LIMIT, "to publish to a subscriber that is too slow", flood).await;

    // Once one who is quick has heard this, the flood has arrived here.
    let mut quick = Listener::new(&fixture.pubsub, &topic).await;
    let quick = std::slice::from_mut(&mut quick);
    fixture.tell(fixture.elsewhere(), &topic, &Bytes::from_static(b"after"), quick).await;
    if fixture.reliable {
        let missed = async {
            loop {
                match slow.next().await {
                    Some(Signal::Missed) => break,
                    Some(Signal::Message(_)) => {}
                    None => panic!("a subscription ended because it was slow"),
                }
            }
        };
        within(LIMIT, "to hear that messages were dropped", missed).await;
    }
    let slow = std::slice::from_mut(&mut slow);
    fixture.tell(&fixture.pubsub, &topic, &Bytes::from_static(b"and on"), slow).await;
}
