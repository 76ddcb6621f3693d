//! NATS.

use std::sync::Arc;

use pikoci_core::PubSub;
use pikoci_store::OpenErrorKind;
use tokio::sync::Mutex;

use crate::common::proxy::Proxy;
use crate::server::{Server, free_port, http_get};
use crate::support;
use pikoci_core::testkit::conformance::pubsub::PubSubFixture;

fn url() -> Option<String> {
    support::variable("PIKOCI_TEST_NATS")
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
    support::variable("PIKOCI_TEST_NATS_SERVER")?;
    let always = ["-a", "127.0.0.1", "-p", "PORT"];
    Some(Server::start("nats-server", &[&always[..], arguments].concat()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_comes_back_is_found_again() {
    let Some(server) = own_server(&[]).await else { return };
    let pubsub = support::open(&format!("nats://127.0.0.1:{}", server.port)).await;
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
    let target = url.trim_start_matches("nats://").to_owned();
    let proxy = Proxy::start(target).await;
    let pubsub = support::open(&support::fresh(&format!("nats://{}", proxy.address()))).await;
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
async fn another_server_of_the_cluster_takes_over() {
    let Some(mut first) = own_server(&[]).await else { return };
    let Some(second) = own_server(&[]).await else { return };
    let servers = format!("nats://127.0.0.1:{},127.0.0.1:{}", first.port, second.port);
    let pubsub = support::open(&servers).await;
    first.kill().await;
    let topic = support::topic("builds");
    support::eventually("the other server", || async {
        pubsub.publish(&topic, "on".into()).await.is_ok()
    })
    .await;
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_keeps_one_connection_and_only_what_is_listened_to() {
    let monitor = free_port().await;
    let Some(server) = own_server(&["-m", &monitor.to_string()]).await else { return };
    let pubsub = support::open(&format!("nats://127.0.0.1:{}", server.port)).await;
    // The whole answer is read for its one number of subscriptions.
    let listened = || async {
        let page = http_get(monitor, "/connz?subs=1").await;
        let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
        assert_eq!(page["num_connections"], 1, "{page}");
        let all = page["connections"][0]["subscriptions_list"].as_array().cloned();
        all.unwrap_or_default()
            .iter()
            .filter(|channel| {
                channel.as_str().is_some_and(|channel| !channel.starts_with("pikoci._reply"))
            })
            .count()
    };
    support::leaves_nothing_behind(&pubsub, listened).await;
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
    let Some(server) = own_server(&["--user", "ci", "--pass", "right"]).await else { return };
    let wrong = format!("nats://ci:secret@127.0.0.1:{}", server.port);
    support::says_why_it_cannot_open("nats", Some(&wrong)).await;
    support::misses_tls("tls", &format!("nats://ci:right@127.0.0.1:{}", server.port)).await;
    let odd = support::open_error("nats://h:port").await;
    assert_eq!(odd.kind, OpenErrorKind::Url, "{odd}");
}

#[tokio::test]
async fn a_password_and_a_token_open_the_door() {
    let Some(user) = own_server(&["--user", "ci", "--pass", "p@ss"]).await else { return };
    let Some(token) = own_server(&["--auth", "t0ken"]).await else { return };
    for url in [
        format!("nats://ci:p%40ss@127.0.0.1:{}", user.port),
        format!("nats://:t0ken@127.0.0.1:{}", token.port),
    ] {
        let pubsub: Arc<dyn PubSub> = support::open(&url).await;
        pubsub.publish(&support::topic("builds"), "on".into()).await.expect("it is published");
        pubsub.close().await;
    }
}
