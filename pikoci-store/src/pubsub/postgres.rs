//! Pub/sub over PostgreSQL's LISTEN and NOTIFY: `postgres://`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use pikoci_core::PubSub;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::hub::{ANSWER_WITHIN, Heard, Hub, Link, LinkError, Listen, Options, Publish, Transport};
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// How long a message waits for those before it, which go one at a time. Less
/// than the server has to answer, so that the rest is left for that.
const QUEUE_WITHIN: Duration = Duration::from_secs(5);

/// Connects to the PostgreSQL at `url`.
pub(crate) async fn open(url: &BackendUrl) -> Result<Arc<dyn PubSub>, OpenError> {
    let options = Options::of(url)?;
    let connect: PgConnectOptions = options.url().parse().map_err(|error: sqlx::Error| {
        OpenError::new(OpenErrorKind::Url, format!("`{url}` is no URL of PostgreSQL"))
            .caused_by(error)
    })?;
    Hub::open(url, options.prefix, Postgres(connect.disable_statement_logging())).await
}

struct Postgres(PgConnectOptions);

#[async_trait]
impl Transport for Postgres {
    async fn connect(&self) -> Result<Link, LinkError> {
        let mut publisher = PgConnection::connect_with(&self.0).await.map_err(failed)?;
        // A notification is kept nowhere, so there is nothing to wait for a disk for.
        publisher.execute("SET synchronous_commit = off").await.map_err(failed)?;
        // The listener takes its connection out of a pool, here one of its own.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ANSWER_WITHIN)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_with(self.0.clone())
            .await
            .map_err(failed)?;
        let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
        listener.eager_reconnect(false);
        Ok(Link {
            publish: Arc::new(Publisher(Mutex::new(publisher))),
            listen: Box::new(Listener(listener)),
        })
    }
}

struct Publisher(Mutex<PgConnection>);

#[async_trait]
impl Publish for Publisher {
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), LinkError> {
        // Neither a channel nor base64 holds anything to escape, so one round
        // trip does where a prepared statement takes two.
        let payload = STANDARD_NO_PAD.encode(payload);
        let notify = format!("SELECT pg_notify('{channel}', '{payload}')");
        // A long queue says nothing against the connection: if that is broken,
        // the message in front finds out.
        let mut connection = timeout(QUEUE_WITHIN, self.0.lock())
            .await
            .map_err(|_| LinkError::refused("too many messages wait to be published"))?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(notify))).await.map(drop).map_err(failed)
    }

    async fn check(&self) -> Result<(), LinkError> {
        // Whoever uses it finds out whether it is broken.
        let Ok(mut connection) = self.0.try_lock() else { return Ok(()) };
        connection.ping().await.map_err(failed)
    }
}

struct Listener(PgListener);

#[async_trait]
impl Listen for Listener {
    async fn listen(&mut self, channel: &str) -> Result<(), LinkError> {
        self.0.listen(channel).await.map_err(failed)
    }

    async fn unlisten(&mut self, channel: &str) -> Result<(), LinkError> {
        self.0.unlisten(channel).await.map_err(failed)
    }

    async fn next(&mut self) -> Result<Heard, LinkError> {
        let Some(notification) = self.0.try_recv().await.map_err(failed)? else {
            return Err(LinkError::broken("the connection was cut"));
        };
        let channel = notification.channel().to_owned();
        // What is not ours may still be worth a look.
        Ok(STANDARD_NO_PAD
            .decode(notification.payload())
            .map_or(Heard::Missed, |payload| Heard::Message { channel, payload: payload.into() }))
    }

    async fn check(&mut self) -> Result<(), LinkError> {
        self.0.execute("SELECT 1").await.map(drop).map_err(failed)
    }
}

fn failed(error: sqlx::Error) -> LinkError {
    // Classes of SQLSTATE: 08 connection, 53 resources, 57 shut down or starting, 58 system.
    let passing = |code: &str| ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class));
    match error.as_database_error() {
        Some(said) if !said.code().is_some_and(|code| passing(&code)) => LinkError::refused(error),
        _ => LinkError::broken(error),
    }
}
