//! Pub/sub over Redis and its kin: `redis://`, with TLS `rediss://`.

use std::sync::Arc;

use ::redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use ::redis::{
    AsyncCommands, AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use pikoci_core::PubSub;

use super::hub::{ANSWER_WITHIN, Heard, Hub, Link, LinkError, Listen, Options, Publish, Transport};
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// Connects to the Redis at `url`.
pub(crate) async fn open(url: &BackendUrl) -> Result<Arc<dyn PubSub>, OpenError> {
    let options = Options::of(url)?;
    let client = Client::open(options.url()).map_err(|error| {
        OpenError::new(OpenErrorKind::Url, format!("`{url}` is no URL of Redis")).caused_by(error)
    })?;
    Hub::open(url, options.prefix, Redis(client)).await
}

struct Redis(Client);

#[async_trait]
impl Transport for Redis {
    async fn connect(&self) -> Result<Link, LinkError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let publisher =
            self.0.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)?;
        let (sink, messages) = self.0.get_async_pubsub().await.map_err(failed)?.split();
        Ok(Link {
            publish: Arc::new(Publisher(publisher)),
            listen: Box::new(Listener { sink, messages }),
        })
    }
}

struct Publisher(MultiplexedConnection);

#[async_trait]
impl Publish for Publisher {
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), LinkError> {
        // The answer says how many listen, which is nobody's business here.
        let _: i64 = self.0.clone().publish(channel, &payload[..]).await.map_err(failed)?;
        Ok(())
    }

    async fn check(&self) -> Result<(), LinkError> {
        self.0.clone().ping::<()>().await.map_err(failed)
    }
}

struct Listener {
    sink: PubSubSink,
    messages: PubSubStream,
}

#[async_trait]
impl Listen for Listener {
    async fn listen(&mut self, channel: &str) -> Result<(), LinkError> {
        self.sink.subscribe(channel).await.map_err(failed)
    }

    async fn unlisten(&mut self, channel: &str) -> Result<(), LinkError> {
        self.sink.unsubscribe(channel).await.map_err(failed)
    }

    async fn next(&mut self) -> Result<Heard, LinkError> {
        match self.messages.next().await {
            Some(message) => Ok(Heard::Message {
                channel: message.get_channel_name().to_owned(),
                payload: Bytes::copy_from_slice(message.get_payload_bytes()),
            }),
            None => Err(LinkError::broken("the connection was cut")),
        }
    }

    async fn check(&mut self) -> Result<(), LinkError> {
        self.sink.ping::<::redis::Value>().await.map(drop).map_err(failed)
    }
}

fn failed(error: RedisError) -> LinkError {
    let refused = matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm)
    ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"));
    if refused { LinkError::refused(error) } else { LinkError::broken(error) }
}
