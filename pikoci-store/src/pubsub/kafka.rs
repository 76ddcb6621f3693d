//! Pub/sub over Kafka: `kafka://host,host`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::PubSub;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::task;

use super::hub::{ANSWER_WITHIN, Heard, Hub, Link, LinkError, Listen, Options, Publish, Transport};
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// The only partition that is used of a topic: all others may come and go
/// without anyone missing what is published to them.
const PARTITION: i32 = 0;

/// Connects to the Kafka at `url`.
pub(crate) async fn open(url: &BackendUrl) -> Result<Arc<dyn PubSub>, OpenError> {
    let options = Options::of(url)?;
    options.no_others(url)?;
    let (login, hosts) = options.hosts();
    if login.is_some() {
        let message = format!("`{url}` names a login; Kafka is only spoken to without");
        return Err(OpenError::new(OpenErrorKind::Url, message));
    }
    let kafka = Kafka { servers: hosts.collect::<Vec<_>>().join(",") };
    Hub::open(url, options.prefix, kafka).await
}

struct Kafka {
    servers: String,
}

impl Kafka {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers).set("client.id", "pikoci");
        config
    }

    fn producer(&self) -> Result<FutureProducer, KafkaError> {
        self.config()
            .set("acks", "1")
            .set("linger.ms", "0")
            // Shorter than we wait, so that nothing we called an error is sent later.
            .set("message.timeout.ms", (ANSWER_WITHIN.as_millis() * 9 / 10).to_string())
            .set("queue.buffering.max.messages", "10000")
            .create()
    }

    fn consumer(&self) -> Result<StreamConsumer, KafkaError> {
        self.config()
            // Needed to be there, and otherwise unused: nothing is ever committed.
            .set("group.id", "pikoci")
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "true")
            // What was not kept for us was missed, which must not go unheard.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", "8192")
            .create()
    }
}

#[async_trait]
impl Transport for Kafka {
    async fn connect(&self) -> Result<Link, LinkError> {
        let producer = self.producer().map_err(LinkError::broken)?;
        let consumer = Arc::new(self.consumer().map_err(LinkError::broken)?);
        let asked = consumer.clone();
        blocking(move || asked.fetch_metadata(None, ANSWER_WITHIN).map(drop)).await?;
        Ok(Link { publish: Arc::new(Publisher(producer)), listen: Box::new(Listener(consumer)) })
    }
}

struct Publisher(FutureProducer);

#[async_trait]
impl Publish for Publisher {
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), LinkError> {
        let record =
            FutureRecord::<(), [u8]>::to(channel).partition(PARTITION).payload(&payload[..]);
        match self.0.send(record, Duration::ZERO).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(failed(error)),
        }
    }
}

struct Listener(Arc<StreamConsumer>);

#[async_trait]
impl Listen for Listener {
    async fn listen(&mut self, channel: &str) -> Result<(), LinkError> {
        let consumer = self.0.clone();
        let channel = channel.to_owned();
        blocking(move || {
            // Asking for a topic makes it, where the brokers allow that.
            consumer.fetch_metadata(Some(&channel), ANSWER_WITHIN)?;
            // A number rather than "the end", which would only be looked up
            // later on, past what is published until then.
            let (_, end) = consumer.fetch_watermarks(&channel, PARTITION, ANSWER_WITHIN)?;
            let mut partition = TopicPartitionList::new();
            partition.add_partition_offset(&channel, PARTITION, Offset::Offset(end))?;
            consumer.incremental_assign(&partition)
        })
        .await
    }

    async fn unlisten(&mut self, channel: &str) -> Result<(), LinkError> {
        let mut partition = TopicPartitionList::new();
        partition.add_partition(channel, PARTITION);
        self.0.incremental_unassign(&partition).map_err(failed)
    }

    async fn next(&mut self) -> Result<Heard, LinkError> {
        loop {
            match self.0.recv().await {
                Ok(message) => {
                    return Ok(Heard::Message {
                        channel: message.topic().to_owned(),
                        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
                    });
                }
                // One broker of several; the client goes on from where it was.
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut,
                )) => {}
                Err(error) => return Err(LinkError::broken(error)),
            }
        }
    }

    async fn close(self: Box<Self>) {
        // It waits for its threads when it is dropped; nothing else can fail.
        let _ = task::spawn_blocking(move || drop(self)).await;
    }
}

/// Runs a call that waits for a broker where it holds nobody up.
async fn blocking(
    call: impl FnOnce() -> Result<(), KafkaError> + Send + 'static,
) -> Result<(), LinkError> {
    task::spawn_blocking(call).await.map_err(LinkError::broken)?.map_err(failed)
}

fn failed(error: KafkaError) -> LinkError {
    let refused = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::InvalidTopic
                | RDKafkaErrorCode::QueueFull
                // It was deleted, or is not made on the way.
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
        )
    );
    if refused { LinkError::refused(error) } else { LinkError::broken(error) }
}
