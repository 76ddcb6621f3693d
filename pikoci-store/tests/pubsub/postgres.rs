//! PostgreSQL.

use bytes::Bytes;
use pikoci_core::pubsub::{PubSubErrorKind, Signal};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;

use crate::common::proxy::{Direction, Proxy};
use crate::support;
use pikoci_core::testkit::conformance::pubsub::PubSubFixture;

fn url() -> Option<String> {
    support::variable("PIKOCI_TEST_POSTGRES")
}

async fn fixture() -> Option<PubSubFixture> {
    Some(support::fixture(&url()?, Box::new(())).await)
}

pikoci_core::pubsub_conformance!(fixture);

mod faulty {
    use super::PubSubFixture;

    async fn fixture() -> Option<PubSubFixture> {
        super::fixture().await.map(|fixture| fixture.faulty(7))
    }

    pikoci_core::pubsub_conformance!(fixture);
}

/// `url`, by way of `proxy`.
fn through(proxy: &Proxy, url: &str) -> String {
    let mut url = url::Url::parse(url).expect("a URL");
    url.set_ip_host(proxy.address().ip()).expect("a host");
    url.set_port(Some(proxy.address().port())).expect("a port");
    url.to_string()
}

async fn proxy(url: &str) -> Proxy {
    let url = url::Url::parse(url).expect("a URL");
    let host = url.host_str().unwrap_or("127.0.0.1");
    Proxy::start(format!("{host}:{}", url.port().unwrap_or(5432))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_found_again() {
    let Some(url) = url() else { return };
    let proxy = proxy(&url).await;
    let pubsub = support::open(&support::fresh(&through(&proxy, &url))).await;
    support::survives(
        &pubsub,
        || async {
            proxy.refuse(true);
            proxy.cut();
        },
        || async { proxy.refuse(false) },
    )
    .await;
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_went_dead_is_given_up() {
    let Some(url) = url() else { return };
    let proxy = proxy(&url).await;
    let pubsub = support::open(&support::fresh(&through(&proxy, &url))).await;
    support::survives(
        &pubsub,
        || async { proxy.hold(true) },
        || async {
            proxy.cut();
            proxy.hold(false);
        },
    )
    .await;
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_waited_too_long_for_its_turn_cuts_no_connection() {
    let Some(url) = url() else { return };
    let proxy = proxy(&url).await;
    let pubsub = support::open(&support::fresh(&through(&proxy, &url))).await;
    let topic = support::topic("builds");
    let connections = proxy.connections();
    proxy.hold(true);
    let before = proxy.received();
    let first = tokio::spawn({
        let (pubsub, topic) = (pubsub.clone(), topic.clone());
        async move { pubsub.publish(&topic, "slow".into()).await }
    });
    support::eventually("the first publish", || async { proxy.received() > before }).await;
    let error = pubsub.publish(&topic, "late".into()).await.expect_err("it is not its turn");
    assert_eq!(error.kind, PubSubErrorKind::Unavailable, "{error}");
    proxy.hold(false);
    first.await.expect("it ends").expect("it is published");
    pubsub.publish(&topic, "next".into()).await.expect("it is published");
    assert_eq!(proxy.connections(), connections, "the connection was cut");
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_server_ends_is_opened_anew() {
    let Some(url) = url() else { return };
    let fresh = support::fresh(&url);
    let name = support::prefix(&fresh).to_owned();
    let pubsub = support::open(&format!("{fresh}&application_name={name}")).await;
    let mut own = PgConnection::connect(&url).await.expect("a connection");
    let topic = support::topic("builds");
    let mut signals = pubsub.subscribe(&topic).await.expect("a subscription");
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = $1";
    let ended: i64 =
        sqlx::query_scalar(end).bind(&name).fetch_one(&mut own).await.expect("they are ended");
    assert_eq!(ended, 2, "one to publish, one to listen");
    assert_eq!(support::signal(&mut signals).await, Signal::Missed);
    support::eventually("a publish", || async {
        pubsub.publish(&topic, "on".into()).await.is_ok()
    })
    .await;
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_listens_to_any_more_is_not_sent() {
    let Some(url) = url() else { return };
    let proxy = proxy(&url).await;
    let fresh = support::fresh(&through(&proxy, &url));
    let pubsub = support::open(&fresh).await;
    let other = support::open(&format!("{url}?prefix={}", support::prefix(&fresh))).await;
    let kept = support::topic("kept");
    let mut signals = pubsub.subscribe(&kept).await.expect("a subscription");
    let topics: Vec<_> = (0..20).map(|number| support::topic(&format!("topic-{number}"))).collect();
    for topic in topics.iter().cycle().take(1000) {
        drop(pubsub.subscribe(topic).await.expect("a subscription"));
    }
    let large = Bytes::from(vec![b'x'; 1000]);
    let signals = Mutex::new(&mut signals);
    support::eventually("silence", || async {
        let before = proxy.bytes(Direction::Answer);
        for topic in &topics {
            other.publish(topic, large.clone()).await.expect("it is published");
        }
        // Notifications come in their order, so all of those came before this.
        other.publish(&kept, Bytes::from_static(b"mark")).await.expect("it is published");
        let heard = support::signal(*signals.lock().await).await;
        assert_eq!(heard, Signal::Message(Bytes::from_static(b"mark")));
        proxy.bytes(Direction::Answer) - before < 1000
    })
    .await;
    pubsub.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_publishes_do_no_harm() {
    let Some(url) = url() else { return };
    let pubsub = support::open(&support::fresh(&url)).await;
    support::bears_dropped_publishes(&pubsub).await;
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_is_one_round_trip() {
    let Some(url) = url() else { return };
    let proxy = proxy(&url).await;
    let pubsub = support::open(&support::fresh(&through(&proxy, &url))).await;
    let topic = support::topic("builds");
    let before = proxy.round_trips();
    for _ in 0..10 {
        pubsub.publish(&topic, Bytes::from_static(b"on")).await.expect("it is published");
    }
    assert_eq!(proxy.round_trips() - before, 10);
    pubsub.close().await;
}

#[tokio::test]
async fn an_error_says_why_it_cannot_be_opened() {
    let Some(url) = url() else { return };
    let (server, _) = url.rsplit_once('/').expect("a database");
    support::says_why_it_cannot_open(
        "postgres",
        Some(&format!("{server}/there-is-no-such-database")),
    )
    .await;
}
