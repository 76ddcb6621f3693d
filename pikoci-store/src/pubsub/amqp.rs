//! Pub/sub over RabbitMQ: `amqp://`, with TLS `amqps://`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind,
};
use pikoci_core::PubSub;
use pikoci_core::pubsub::BACKLOG_MESSAGES;

use super::hub::{Heard, Hub, Link, LinkError, Listen, Options, Publish, Transport};
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// The exchange that every broker has from the start and nobody can delete.
/// It passes a message to the queues that are bound to its exact key.
const EXCHANGE: &str = "amq.direct";

/// After this many seconds of silence a connection counts as broken.
const HEARTBEAT_SECONDS: u16 = 20;

/// Connects to the RabbitMQ at `url`.
pub(crate) async fn open(url: &BackendUrl) -> Result<Arc<dyn PubSub>, OpenError> {
    let options = Options::of(url)?;
    let mut uri: AMQPUri = options.url().parse().map_err(|error: String| {
        OpenError::new(OpenErrorKind::Url, format!("`{url}` is no URL of RabbitMQ"))
            .caused_by(error)
    })?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    Hub::open(url, options.prefix, Amqp(uri)).await
}

struct Amqp(AMQPUri);

#[async_trait]
impl Transport for Amqp {
    async fn connect(&self) -> Result<Link, LinkError> {
        let properties = ConnectionProperties::default().with_connection_name("pikoci".into());
        let connection =
            Connection::connect_uri(self.0.clone(), properties).await.map_err(failed)?;
        let publisher = connection.create_channel().await.map_err(failed)?;
        publisher.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;

        let channel = connection.create_channel().await.map_err(failed)?;
        let queue = channel
            .queue_declare("".into(), queue_options(), queue_limits())
            .await
            .map_err(failed)?;
        let queue = queue.name().clone();
        let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
        let consumer = channel
            .basic_consume(queue.clone(), "".into(), options, FieldTable::default())
            .await
            .map_err(failed)?;
        Ok(Link {
            publish: Arc::new(Publisher(publisher)),
            listen: Box::new(Listener { connection, channel, queue, consumer }),
        })
    }
}

/// The queue is gone with its connection.
fn queue_options() -> QueueDeclareOptions {
    QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() }
}

/// Should we be too slow, the broker drops the oldest rather than keep all.
fn queue_limits() -> FieldTable {
    let most = i64::try_from(BACKLOG_MESSAGES).unwrap_or(i64::MAX);
    let mut limits = FieldTable::default();
    limits.insert("x-max-length".into(), AMQPValue::LongLongInt(most));
    limits.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    limits
}

struct Publisher(Channel);

#[async_trait]
impl Publish for Publisher {
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), LinkError> {
        let options = BasicPublishOptions::default();
        let confirm = self
            .0
            .basic_publish(
                EXCHANGE.into(),
                channel.into(),
                options,
                &payload,
                BasicProperties::default(),
            )
            .await
            .map_err(failed)?;
        match confirm.await.map_err(failed)? {
            Confirmation::Nack(_) => Err(LinkError::refused("the broker did not take the message")),
            Confirmation::Ack(_) | Confirmation::NotRequested => Ok(()),
        }
    }
}

struct Listener {
    connection: Connection,
    channel: Channel,
    queue: ShortString,
    consumer: Consumer,
}

#[async_trait]
impl Listen for Listener {
    async fn listen(&mut self, channel: &str) -> Result<(), LinkError> {
        self.channel
            .queue_bind(
                self.queue.clone(),
                EXCHANGE.into(),
                channel.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(failed)
    }

    async fn unlisten(&mut self, channel: &str) -> Result<(), LinkError> {
        self.channel
            .queue_unbind(
                self.queue.clone(),
                EXCHANGE.into(),
                channel.into(),
                FieldTable::default(),
            )
            .await
            .map_err(failed)
    }

    async fn next(&mut self) -> Result<Heard, LinkError> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => Ok(Heard::Message {
                channel: delivery.routing_key.to_string(),
                payload: delivery.data.into(),
            }),
            Some(Err(error)) => Err(failed(error)),
            None => Err(LinkError::broken("the broker ended the subscription")),
        }
    }

    async fn close(self: Box<Self>) {
        // Broken or not, there is nothing left to do then.
        let _ = self.connection.close(200, "OK".into()).await;
    }
}

/// With what it refuses the broker ends the channel, so the next use of that
/// finds it broken.
fn failed(error: lapin::Error) -> LinkError {
    let refused = match error.kind() {
        ErrorKind::ProtocolError(said) => matches!(
            said.kind(),
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
                | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)
        ),
        _ => false,
    };
    if refused { LinkError::refused(error) } else { LinkError::broken(error) }
}
