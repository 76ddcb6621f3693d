//! What a pub/sub says of itself, what it bears, and how it ends.

use std::time::Duration;

use bytes::Bytes;

use super::super::{LIMIT, within};
use super::PubSubFixture;
use super::fixture::{Listener, topic};
use crate::pubsub::PubSubErrorKind;

/// It is named for people, in one line and without a password.
///
/// # Panics
/// When it is not.
pub async fn a_pubsub_names_itself(fixture: &PubSubFixture) {
    let name = fixture.pubsub.to_string();
    assert!(!name.trim().is_empty(), "the pub/sub has no name");
    assert!(!name.contains('\n'), "the name of the pub/sub has several lines: {name}");
    for text in [name, format!("{:?}", fixture.pubsub)] {
        super::super::assert_tells_no_password(&text);
    }
}

/// Futures and subscriptions may be dropped at any moment; what goes on, and
/// what comes later, works.
///
/// # Panics
/// When it does not.
pub async fn dropped_futures_and_streams_are_in_nobodys_way(fixture: &PubSubFixture) {
    let (kept, dropped) = (topic("kept"), topic("dropped"));
    let mut listeners = [Listener::new(&fixture.pubsub, &kept).await];
    for round in 0..30_u32 {
        // What is dropped may have been done or not.
        let patience = Duration::from_micros(1 << (round % 12));
        let subscribe = fixture.pubsub.subscribe(&dropped);
        let _ = tokio::time::timeout(patience, subscribe).await;
        let publish = fixture.pubsub.publish(&dropped, Bytes::from_static(b"dropped"));
        let _ = tokio::time::timeout(patience, publish).await;
        drop(Listener::new(&fixture.pubsub, &kept).await);
        if round % 10 == 0 {
            let payload = Bytes::from(format!("round {round}"));
            fixture.tell(fixture.elsewhere(), &kept, &payload, &mut listeners).await;
        }
    }
    let mut late = [Listener::new(&fixture.pubsub, &dropped).await];
    let payload = Bytes::from_static(b"still works");
    fixture.tell(fixture.elsewhere(), &dropped, &payload, &mut late).await;
    fixture.tell(fixture.elsewhere(), &kept, &payload, &mut listeners).await;
}

/// A close ends all subscriptions; what is asked afterwards is answered so,
/// and it may be closed again.
///
/// # Panics
/// When it is not so.
pub async fn a_closed_pubsub_answers_that_it_is(fixture: &PubSubFixture) {
    let pubsub = &fixture.pubsub;
    let (a, b) = (topic("a"), topic("b"));
    let mut listeners = [
        Listener::new(pubsub, &a).await,
        Listener::new(pubsub, &a).await,
        Listener::new(pubsub, &b).await,
    ];
    for _ in 0..2 {
        within(LIMIT, "the close", pubsub.close()).await;
        let publish = pubsub.publish(&a, Bytes::from_static(b"late"));
        let publish = within(LIMIT, "a publish after the close", publish).await;
        let subscribe = pubsub.subscribe(&a);
        let subscribe = within(LIMIT, "a subscribe after the close", subscribe).await.map(drop);
        for (what, said) in [("a publish", publish), ("a subscribe", subscribe)] {
            let Err(error) = said else { panic!("{what} works after the close") };
            let kind = error.kind;
            assert_eq!(kind, PubSubErrorKind::Closed, "{what} after the close said: {error}");
        }
    }
    for listener in &mut listeners {
        listener.ends("after the close").await;
    }
}
