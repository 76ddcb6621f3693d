//! Redis.

use redis::Client;
use tokio::sync::Mutex;

use crate::common::proxy::Proxy;
use crate::server::Server;
use crate::support;
use pikoci_core::pubsub::Signal;
use pikoci_core::testkit::conformance::pubsub::PubSubFixture;

fn url() -> Option<String> {
    support::variable("PIKOCI_TEST_REDIS")
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

async fn own_server(arguments: &[&str]) -> Option<Server> {
    support::variable("PIKOCI_TEST_REDIS_SERVER")?;
    let always = ["--port", "PORT", "--bind", "127.0.0.1", "--save", "", "--dir", "DIR"];
    Some(Server::start("redis-server", &[&always[..], arguments].concat()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_comes_back_is_found_again() {
    let Some(server) = own_server(&[]).await else { return };
    let pubsub = support::open(&format!("redis://127.0.0.1:{}", server.port)).await;
    let server = Mutex::new(server);
    support::survives(
        &pubsub,
        || async { server.lock().await.kill().await },
        || async { server.lock().await.start_again().await },
    )
    .await;
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_went_dead_is_given_up() {
    let Some(url) = url() else { return };
    let proxy = Proxy::start(url.trim_start_matches("redis://")).await;
    let pubsub = support::open(&support::fresh(&format!("redis://{}", proxy.address()))).await;
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
async fn the_server_keeps_only_what_is_listened_to() {
    let Some(url) = url() else { return };
    let url = support::fresh(&url);
    let pubsub = support::open(&url).await;
    let client = Client::open(url.as_str()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let pattern = format!("{}.*", support::prefix(&url));
    let listened = || async {
        let mut ask = redis::cmd("PUBSUB");
        ask.arg("CHANNELS").arg(&pattern);
        let channels: Vec<String> =
            ask.query_async(&mut connection.clone()).await.expect("an answer");
        channels.len()
    };
    support::leaves_nothing_behind(&pubsub, listened).await;
    pubsub.close().await;
}

#[tokio::test]
async fn two_connections_do_for_many_topics() {
    let Some(server) = own_server(&[]).await else { return };
    let url = format!("redis://127.0.0.1:{}", server.port);
    let pubsub = support::open(&url).await;
    let mut subscriptions = Vec::new();
    for number in 0..50 {
        let topic = support::topic(&format!("topic-{number}"));
        subscriptions.push(pubsub.subscribe(&topic).await.expect("a subscription"));
    }
    let client = Client::open(url.as_str()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let clients: String =
        redis::cmd("CLIENT").arg("LIST").query_async(&mut connection).await.expect("an answer");
    assert_eq!(clients.lines().count(), 3, "ours and this test's: {clients}");
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
    let Some(server) = own_server(&["--requirepass", "right"]).await else { return };
    let wrong = format!("redis://:secret@127.0.0.1:{}", server.port);
    support::says_why_it_cannot_open("redis", Some(&wrong)).await;
    support::misses_tls("rediss", &format!("redis://:right@127.0.0.1:{}", server.port)).await;
    let right = format!("redis://:right@127.0.0.1:{}", server.port);
    support::open(&right).await.close().await;
}

#[tokio::test]
async fn a_channel_that_the_user_may_not_listen_to_is_refused_and_others_work() {
    let arguments =
        ["--user", "ci", "on", ">right", "+@all", "~*", "resetchannels", "&pikoci.mine"];
    let Some(server) = own_server(&arguments).await else { return };
    let pubsub = support::open(&format!("redis://ci:right@127.0.0.1:{}", server.port)).await;
    let refused = pubsub.subscribe(&support::topic("theirs")).await.map(drop);
    let error = refused.expect_err("there is no right to it");
    assert!(error.source.is_some_and(|said| said.to_string().contains("permission")));
    let mine = support::topic("mine");
    let mut signals = pubsub.subscribe(&mine).await.expect("a subscription");
    pubsub.publish(&mine, "on".into()).await.expect("it is published");
    let heard = support::signal(&mut signals).await;
    assert_eq!(heard, pikoci_core::pubsub::Signal::Message("on".into()));
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_away_and_given_back_holds_up_no_other_topic() {
    let arguments = ["--user", "ci", "on", ">right", "+@all", "~*", "resetchannels", "&pikoci.*"];
    let Some(server) = own_server(&arguments).await else { return };
    let pubsub = support::open(&format!("redis://ci:right@127.0.0.1:{}", server.port)).await;
    let (mine, theirs) = (support::topic("mine"), support::topic("theirs"));
    let mut kept = pubsub.subscribe(&mine).await.expect("a subscription");
    let mut lost = pubsub.subscribe(&theirs).await.expect("a subscription");
    let admin = Client::open(format!("redis://127.0.0.1:{}", server.port)).expect("a URL");
    let mut admin = admin.get_multiplexed_async_connection().await.expect("a connection");
    let mut allow = async |channels: &str| {
        // Redis cuts the connections of who listens to what is taken away.
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg("ci").arg("resetchannels").arg(channels);
        set.exec_async(&mut admin).await.expect("it is set");
    };
    allow("&pikoci.mine").await;
    assert_eq!(support::signal(&mut kept).await, Signal::Missed);
    support::eventually("a publish", || async { pubsub.publish(&mine, "on".into()).await.is_ok() })
        .await;
    assert_eq!(support::signal(&mut kept).await, Signal::Message("on".into()));
    let refused = pubsub.subscribe(&theirs).await.map(drop);
    let error = refused.expect_err("there is no right to it");
    assert!(error.source.is_some_and(|said| said.to_string().contains("permission")));

    allow("&pikoci.*").await;
    assert_eq!(support::signal(&mut lost).await, Signal::Missed);
    pubsub.publish(&theirs, "back".into()).await.expect("it is published");
    assert_eq!(support::signal(&mut lost).await, Signal::Message("back".into()));
    pubsub.close().await;
}
