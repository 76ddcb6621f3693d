//! Pub/sub over NATS: `nats://`, with TLS `tls://`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, Request, ServerAddr, Subscriber,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, AbortHandle, Abortable, SelectAll, StreamExt};
use pikoci_core::PubSub;
use pikoci_core::pubsub::BACKLOG_MESSAGES;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::hub::{Heard, Hub, Link, LinkError, Listen, Login, Options, Publish, Transport};
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// How long one of several servers has to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Connects to the NATS at `url`.
pub(crate) async fn open(url: &BackendUrl) -> Result<Arc<dyn PubSub>, OpenError> {
    let options = Options::of(url)?;
    options.no_others(url)?;
    let (login, hosts) = options.hosts();
    let servers = hosts
        .map(|host| format!("{}://{host}", url.scheme()).parse())
        .collect::<Result<Vec<ServerAddr>, _>>()
        .map_err(|error| {
            OpenError::new(OpenErrorKind::Url, format!("`{url}` is no URL of NATS"))
                .caused_by(error)
        })?;
    let nats = Nats { servers, login, prefix: options.prefix.clone() };
    Hub::open(url, options.prefix, nats).await
}

/// The servers of one cluster.
struct Nats {
    servers: Vec<ServerAddr>,
    login: Option<Login>,
    prefix: String,
}

/// What the client tells of its connection.
#[derive(Default)]
struct Events {
    ended: CancellationToken,
    missed: Notify,
}

impl Events {
    fn take(&self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => self.ended.cancel(),
            Event::SlowConsumer(_) => self.missed.notify_one(),
            // Such as a missing right to publish, which no call is told of.
            Event::ServerError(error) => tracing::warn!(%error, "NATS refuses something"),
            _ => {}
        }
    }
}

#[async_trait]
impl Transport for Nats {
    async fn connect(&self) -> Result<Link, LinkError> {
        let events = Arc::new(Events::default());
        let told = events.clone();
        let mut options = ConnectOptions::new()
            .name("pikoci")
            // Replies come under our own prefix, so that a user may be given
            // the right to that and nothing else; no topic begins so.
            .custom_inbox_prefix(format!("{}._reply", self.prefix))
            .connection_timeout(CONNECT_WITHIN)
            .subscription_capacity(BACKLOG_MESSAGES)
            // It gives up once no server takes it back; `Events` has ended by then.
            .max_reconnects(self.servers.len())
            .reconnect_delay_callback(|_| Duration::ZERO)
            .ignore_discovered_servers()
            .event_callback(move |event| {
                told.take(&event);
                std::future::ready(())
            });
        if let Some(Login { user, password }) = &self.login {
            options = match user.as_str() {
                "" => options.token(password.clone()),
                _ => options.user_and_password(user.clone(), password.clone()),
            };
        }
        let client =
            options.connect(self.servers.as_slice()).await.map_err(|error| match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    LinkError::refused(error)
                }
                _ => LinkError::broken(error),
            })?;
        let listener = Listener {
            client: client.clone(),
            events,
            messages: SelectAll::new(),
            channels: HashMap::new(),
        };
        Ok(Link { publish: Arc::new(Publisher(client)), listen: Box::new(listener) })
    }
}

/// Returns once the server has done all that it was asked before: a message to
/// ourselves is back.
async fn round_trip(client: &Client) -> Result<(), LinkError> {
    let inbox = client.new_inbox();
    let echo = Request::new().inbox(inbox.clone()).timeout(None);
    client.send_request(inbox, echo).await.map(drop).map_err(LinkError::broken)
}

struct Publisher(Client);

#[async_trait]
impl Publish for Publisher {
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), LinkError> {
        self.0.publish(channel.to_owned(), payload).await.map_err(LinkError::broken)?;
        round_trip(&self.0).await
    }
}

struct Listener {
    client: Client,
    events: Arc<Events>,
    messages: SelectAll<Abortable<Subscriber>>,
    channels: HashMap<String, AbortHandle>,
}

#[async_trait]
impl Listen for Listener {
    async fn listen(&mut self, channel: &str) -> Result<(), LinkError> {
        let subscriber =
            self.client.subscribe(channel.to_owned()).await.map_err(LinkError::broken)?;
        let (subscriber, handle) = stream::abortable(subscriber);
        self.messages.push(subscriber);
        self.channels.insert(channel.to_owned(), handle);
        round_trip(&self.client).await
    }

    async fn unlisten(&mut self, channel: &str) -> Result<(), LinkError> {
        // The stream is dropped when it is polled next, and unsubscribes itself.
        if let Some(handle) = self.channels.remove(channel) {
            handle.abort();
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Heard, LinkError> {
        tokio::select! {
            Some(message) = self.messages.next() => {
                Ok(Heard::Message { channel: message.subject.to_string(), payload: message.payload })
            }
            () = self.events.missed.notified() => Ok(Heard::Missed),
            () = self.events.ended.cancelled() => Err(LinkError::broken("the connection was cut")),
        }
    }

    async fn check(&mut self) -> Result<(), LinkError> {
        // Should the event of a cut ever get lost, this count does not.
        if self.client.statistics().connects.load(Ordering::Relaxed) > 1 {
            return Err(LinkError::broken("the connection was another one for a while"));
        }
        round_trip(&self.client).await
    }
}
