//! RabbitMQ.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::common::proxy::Proxy;
use crate::support;
use pikoci_core::testkit::conformance::pubsub::PubSubFixture;

fn url() -> Option<String> {
    support::variable("PIKOCI_TEST_AMQP")
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

/// A proxy before the server of `url`, and the URL by way of it.
async fn proxied(url: &str) -> (Proxy, String) {
    let mut url = url::Url::parse(url).expect("a URL");
    let host = url.host_str().expect("a host");
    let proxy = Proxy::start(format!("{host}:{}", url.port().unwrap_or(5672))).await;
    // `set_ip_host` is for the schemes of the web only.
    url.set_host(Some(&proxy.address().ip().to_string())).expect("a host");
    url.set_port(Some(proxy.address().port())).expect("a port");
    (proxy, support::fresh(url.as_ref()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_found_again() {
    let Some(url) = url() else { return };
    let (proxy, url) = proxied(&url).await;
    let pubsub = support::open(&url).await;
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
    let (proxy, url) = proxied(&url).await;
    let pubsub = support::open(&url).await;
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

/// How many of the channels that the test uses some queue is bound to: a
/// message that goes into none comes back.
async fn listened(channel: &Channel, prefix: &str) -> usize {
    let mut listened = 0;
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let topics = (0..20).map(|number| format!("topic-{number}"));
    for topic in topics.chain(["kept".to_owned()]) {
        let key = format!("{prefix}.{topic}");
        let published = channel
            .basic_publish(
                "amq.direct".into(),
                key.into(),
                options,
                b"",
                BasicProperties::default(),
            )
            .await
            .expect("it is sent");
        let returned = published.await.expect("it is confirmed").take_message();
        listened += usize::from(returned.is_none());
    }
    listened
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_keeps_only_what_is_listened_to() {
    let Some(url) = url() else { return };
    let own =
        Connection::connect(&url, ConnectionProperties::default()).await.expect("it connects");
    let channel = own.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    let url = support::fresh(&url);
    let prefix = support::prefix(&url);
    let pubsub = support::open(&url).await;
    let topic = support::topic("kept");
    let signals = pubsub.subscribe(&topic).await.expect("a subscription");
    assert_eq!(listened(&channel, prefix).await, 1);
    pubsub.close().await;
    support::eventually("the end of its queue", || async { listened(&channel, prefix).await == 0 })
        .await;
    drop(signals);

    let pubsub = support::open(&url).await;
    support::leaves_nothing_behind(&pubsub, || listened(&channel, prefix)).await;
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_publishes_do_no_harm() {
    let Some(url) = url() else { return };
    let pubsub = support::open(&support::fresh(&url)).await;
    support::bears_dropped_publishes(&pubsub).await;
    pubsub.close().await;
}

#[tokio::test]
async fn an_error_says_why_it_cannot_be_opened() {
    let Some(url) = url() else { return };
    let (_, server) = url.rsplit_once('@').expect("a login");
    let wrong = format!("amqp://guest:secret@{server}");
    support::says_why_it_cannot_open("amqp", Some(&wrong)).await;
    support::misses_tls("amqps", &url).await;
}
