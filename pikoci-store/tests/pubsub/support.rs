//! What the tests of all backends do alike.
#![allow(dead_code, reason = "which backends are built is chosen by features")]

use std::any::Any;
use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use pikoci_core::PubSub;
use pikoci_core::pubsub::{PubSubErrorKind, Signal, Topic};
use pikoci_core::testkit::conformance::pubsub::PubSubFixture;
use pikoci_store::{OpenError, OpenErrorKind};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that has to come.
const LIMIT: Duration = Duration::from_secs(40);

/// How long a call may take: the contract says about 10 seconds.
const CALL: Duration = Duration::from_secs(12);

/// The variable's value; without it, `None`, told loudly.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Not by a macro: what those print is captured.
        let _ = writeln!(std::io::stderr(), "skipped: {test} needs {name}");
    }
    value
}

/// `url` with a prefix that no other test has.
pub(crate) fn fresh(url: &str) -> String {
    let (_, random) = uuid::Uuid::now_v7().as_u64_pair();
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}prefix=t{:012x}", random & 0xffff_ffff_ffff)
}

/// The prefix in what [`fresh`] made.
pub(crate) fn prefix(url: &str) -> &str {
    url.rsplit_once("prefix=").map_or("", |(_, prefix)| prefix)
}

pub(crate) async fn open(url: &str) -> Arc<dyn PubSub> {
    match pikoci_store::open_pubsub(url).await {
        Ok(pubsub) => pubsub,
        Err(error) => panic!("{error}: {:?}", error.source),
    }
}

/// The error of opening `url`, which must come in time.
pub(crate) async fn open_error(url: &str) -> OpenError {
    let opened = timeout(CALL, pikoci_store::open_pubsub(url)).await.expect("an answer in time");
    opened.map(|pubsub| pubsub.to_string()).expect_err("it opened")
}

/// Two handles on the server at `url`, for the suite; `keep` is kept as long.
pub(crate) async fn fixture(url: &str, keep: Box<dyn Any + Send + Sync>) -> PubSubFixture {
    let url = fresh(url);
    let (pubsub, other) = (open(&url).await, Some(open(&url).await));
    PubSubFixture { pubsub, other, reliable: true, keep }
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).expect("a topic")
}

/// The next signal.
pub(crate) async fn signal(signals: &mut BoxStream<'static, Signal>) -> Signal {
    timeout(LIMIT, signals.next()).await.expect("a signal in time").expect("no end")
}

/// Waits until `ready` says so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut ready: impl FnMut() -> F) {
    let started = Instant::now();
    while !ready().await {
        assert!(started.elapsed() < LIMIT, "{what} never came");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A server on a free port that nobody has any more.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// Takes the server away, has it noticed, brings it back: all subscriptions
/// hear that they may have missed something and then what is new, and nothing
/// of what could not be published.
pub(crate) async fn survives<A, B>(
    pubsub: &Arc<dyn PubSub>,
    away: impl FnOnce() -> A,
    back: impl FnOnce() -> B,
) where
    A: Future<Output = ()>,
    B: Future<Output = ()>,
{
    let (first, second) = (topic("first"), topic("second"));
    let mut subscriptions = vec![
        (&first, pubsub.subscribe(&first).await.expect("a subscription")),
        (&first, pubsub.subscribe(&first).await.expect("a subscription")),
        (&second, pubsub.subscribe(&second).await.expect("a subscription")),
    ];
    for topic in [&first, &second] {
        pubsub.publish(topic, Bytes::from_static(b"before")).await.expect("it is published");
    }
    for (_, signals) in &mut subscriptions {
        assert_eq!(signal(signals).await, Signal::Message(Bytes::from_static(b"before")));
    }

    away().await;
    eventually("an error of a publish", || async {
        let publish = pubsub.publish(&first, Bytes::from_static(b"away"));
        let published = timeout(CALL, publish).await.expect("an answer in time");
        published.is_err_and(|error| error.kind == PubSubErrorKind::Unavailable)
    })
    .await;
    // By now it is known, so nothing is on its way that might still go out.
    for _ in 0..3 {
        let publish = pubsub.publish(&first, Bytes::from_static(b"lost"));
        let publish = timeout(CALL, publish).await.expect("an answer in time");
        let subscribe = pubsub.subscribe(&second);
        let subscribe = timeout(CALL, subscribe).await.expect("an answer in time").map(drop);
        for outcome in [publish, subscribe] {
            let error = outcome.expect_err("the server is away");
            assert_eq!(error.kind, PubSubErrorKind::Unavailable, "{error}");
            let why = error.source.is_some() || error.message.contains("was cut");
            assert!(why, "why is told: {error}");
        }
    }

    back().await;
    eventually("the server", || async {
        pubsub.publish(&first, Bytes::from_static(b"again")).await.is_ok()
    })
    .await;
    pubsub.publish(&second, Bytes::from_static(b"again")).await.expect("it is back");
    for (topic, signals) in &mut subscriptions {
        let mut heard = vec![signal(signals).await];
        while heard.last() != Some(&Signal::Message(Bytes::from_static(b"again"))) {
            heard.push(signal(signals).await);
        }
        assert!(heard.contains(&Signal::Missed), "`{topic}` heard {heard:?}");
        let lost = Signal::Message(Bytes::from_static(b"lost"));
        assert!(!heard.contains(&lost), "`{topic}` heard {heard:?}");
    }
}

/// Subscriptions come and go; at the end `listened` counts what the server
/// still has, which is only what is used.
pub(crate) async fn leaves_nothing_behind<F: Future<Output = usize>>(
    pubsub: &Arc<dyn PubSub>,
    listened: impl Fn() -> F,
) {
    let kept_topic = topic("kept");
    let mut kept = pubsub.subscribe(&kept_topic).await.expect("a subscription");
    for round in 0..1000 {
        let again = topic(&format!("topic-{}", round % 20));
        let signals = pubsub.subscribe(&again).await.expect("a subscription");
        if round == 500 {
            assert!(listened().await >= 2, "the count counts nothing");
        }
        drop(signals);
    }
    eventually("the end of what nobody listens to", || async { listened().await == 1 }).await;

    pubsub.publish(&kept_topic, Bytes::from_static(b"on")).await.expect("it is published");
    // Whoever counts may have published before.
    while signal(&mut kept).await != Signal::Message(Bytes::from_static(b"on")) {}
    drop(kept);
    eventually("the end of the last", || async { listened().await == 0 }).await;
}

/// A publish whose future is dropped at any moment does no harm.
pub(crate) async fn bears_dropped_publishes(pubsub: &Arc<dyn PubSub>) {
    let topic = topic("dropped");
    let mut signals = pubsub.subscribe(&topic).await.expect("a subscription");
    for round in 0..200_u64 {
        let publish = pubsub.publish(&topic, Bytes::from_static(b"dropped"));
        let _ = timeout(Duration::from_micros(round * 5), publish).await;
    }
    pubsub.publish(&topic, Bytes::from_static(b"last")).await.expect("it is published");
    loop {
        match signal(&mut signals).await {
            Signal::Message(payload) if payload == "last" => break,
            other => assert_eq!(other, Signal::Message(Bytes::from_static(b"dropped"))),
        }
    }
}

/// A wrong password is refused, an absent server and a mute one are told from
/// it, all in time and without the password.
pub(crate) async fn says_why_it_cannot_open(scheme: &str, wrong_password: Option<&str>) {
    if let Some(url) = wrong_password {
        let error = open_error(url).await;
        assert_eq!(error.kind, OpenErrorKind::Refused, "{error}: {:?}", error.source);
        assert_tells_no_secret(&error);
    }
    let absent = open_error(&format!("{scheme}://u:secret@{}", nobody().await)).await;
    assert_eq!(absent.kind, OpenErrorKind::Unavailable, "{absent}");
    assert_tells_no_secret(&absent);

    let mute = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = mute.local_addr().expect("its address");
    let error = open_error(&format!("{scheme}://u:secret@{address}")).await;
    assert_eq!(error.kind, OpenErrorKind::Unavailable, "{error}: {:?}", error.source);
    assert_tells_no_secret(&error);
}

/// Asking for TLS where there is none is an error like others.
pub(crate) async fn misses_tls(scheme: &str, plain_url: &str) {
    let (_, rest) = plain_url.split_once("://").expect("a URL");
    let error = open_error(&format!("{scheme}://{rest}")).await;
    assert_eq!(error.kind, OpenErrorKind::Unavailable, "{error}: {:?}", error.source);
}

fn assert_tells_no_secret(error: &OpenError) {
    let all = format!("{error} {error:?} {:?}", error.source);
    assert!(!all.contains("secret"), "{all}");
    assert!(error.source.is_some(), "why is told: {all}");
}
