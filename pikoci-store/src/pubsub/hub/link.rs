//! What a backend implements: one connection to its server, which ends when
//! it breaks. Everything else is the hub's.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// Connects to a server.
#[async_trait]
pub(in crate::pubsub) trait Transport: Send + Sync + 'static {
    /// A fresh connection. The hub bounds the time and calls again when it is
    /// broken, so nothing below it may reconnect by itself.
    async fn connect(&self) -> Result<Link, LinkError>;
}

/// A connection: one half to publish with, one to listen with.
pub(in crate::pubsub) struct Link {
    pub(in crate::pubsub) publish: Arc<dyn Publish>,
    pub(in crate::pubsub) listen: Box<dyn Listen>,
}

/// The half to publish with. Dropping it lets go of its connection.
#[async_trait]
pub(in crate::pubsub) trait Publish: Send + Sync + 'static {
    /// Hands `payload` to the server. Called from many tasks at a time; a call
    /// is only dropped when the whole connection is given up.
    async fn publish(&self, channel: &str, payload: Bytes) -> Result<(), LinkError>;

    /// As [`Listen::check`], where it has a connection of its own.
    async fn check(&self) -> Result<(), LinkError> {
        Ok(())
    }
}

/// The half to listen with. Dropping it lets go of its connection. Only
/// [`next`](Self::next) is ever dropped while the connection is still used.
#[async_trait]
pub(in crate::pubsub) trait Listen: Send + 'static {
    /// Answers once the server sends everything that is published to `channel`
    /// from then on.
    async fn listen(&mut self, channel: &str) -> Result<(), LinkError>;

    /// The server need not send what is published to `channel` any more.
    async fn unlisten(&mut self, channel: &str) -> Result<(), LinkError>;

    /// What comes next. Drop-safe: what was not returned comes next time.
    async fn next(&mut self) -> Result<Heard, LinkError>;

    /// An error when the server does not answer any more; for connections that
    /// would not notice by themselves.
    async fn check(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    /// Says goodbye to the server, if it likes that.
    async fn close(self: Box<Self>) {}
}

/// What a connection heard.
#[derive(Debug)]
pub(in crate::pubsub) enum Heard {
    /// This was published to this channel.
    Message { channel: String, payload: Bytes },
    /// Messages of some channel were dropped on the way.
    Missed,
}

/// A call to a server failed.
#[derive(Debug, Clone)]
pub(in crate::pubsub) struct LinkError {
    /// Whether only this call failed: the server said no, but the connection
    /// is as good as before.
    pub(in crate::pubsub) refused: bool,
    /// What the client library or the server said.
    pub(in crate::pubsub) source: Arc<dyn Error + Send + Sync>,
}

impl LinkError {
    /// The connection cannot be used any more, or was not made.
    pub(in crate::pubsub) fn broken(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { refused: false, source: Arc::from(source.into()) }
    }

    /// The server said no.
    pub(in crate::pubsub) fn refused(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { refused: true, source: Arc::from(source.into()) }
    }
}
