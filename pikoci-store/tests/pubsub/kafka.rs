//! Kafka, played by librdkafka's own mock of a cluster, in this process.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use pikoci_core::PubSub;
use pikoci_core::testkit::conformance::pubsub::PubSubFixture;
use pikoci_store::OpenErrorKind;
use rdkafka::mocking::MockCluster;

use crate::support;

/// A cluster on a thread that it never leaves; ends when it is dropped.
struct Cluster {
    servers: String,
    up: Sender<bool>,
}

impl Cluster {
    fn start(brokers: i32) -> Self {
        let (servers, started) = mpsc::channel();
        let (up, commands) = mpsc::channel();
        thread::spawn(move || {
            let cluster = MockCluster::new(brokers).expect("a cluster");
            servers.send(cluster.bootstrap_servers()).expect("the test waits");
            for up in commands {
                for broker in 1..=brokers {
                    let done = match up {
                        true => cluster.broker_up(broker),
                        false => cluster.broker_down(broker),
                    };
                    done.expect("a broker of the cluster");
                }
            }
        });
        Self { servers: started.recv().expect("a cluster"), up }
    }

    async fn open(&self) -> Arc<dyn PubSub> {
        support::open(&support::fresh(&format!("kafka://{}", self.servers))).await
    }
}

async fn fixture() -> Option<PubSubFixture> {
    let cluster = Cluster::start(3);
    let url = format!("kafka://{}", cluster.servers);
    Some(support::fixture(&url, Box::new(cluster)).await)
}

pikoci_core::pubsub_conformance!(fixture);

mod faulty {
    use super::PubSubFixture;

    async fn fixture() -> Option<PubSubFixture> {
        super::fixture().await.map(|fixture| fixture.faulty(7))
    }

    pikoci_core::pubsub_conformance!(fixture);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_come_back_are_found_again() {
    let cluster = Cluster::start(3);
    let pubsub = cluster.open().await;
    support::survives(
        &pubsub,
        || async { cluster.up.send(false).expect("a cluster") },
        || async { cluster.up.send(true).expect("a cluster") },
    )
    .await;
    pubsub.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_publishes_do_no_harm() {
    let cluster = Cluster::start(1);
    let pubsub = cluster.open().await;
    support::bears_dropped_publishes(&pubsub).await;
    pubsub.close().await;
}

#[tokio::test]
async fn an_error_says_why_it_cannot_be_opened() {
    let login = support::open_error("kafka://u:secret@127.0.0.1:9092").await;
    assert_eq!(login.kind, OpenErrorKind::Url, "{login}");
    assert!(!login.to_string().contains("secret"), "{login}");
    let absent = support::open_error(&format!("kafka://{}", support::nobody().await)).await;
    assert_eq!(absent.kind, OpenErrorKind::Unavailable, "{absent}: {:?}", absent.source);
}
