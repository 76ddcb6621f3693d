//! The [`PubSub`] of every backend, on top of its connection.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use pikoci_core::PubSub;
use pikoci_core::pubsub::{PubSubError, Signal, Topic};
use tokio::task::JoinHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::channels::{Channels, Online};
use super::link::Transport;
use super::supervisor::{self, ANSWER_WITHIN, bounded};
use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// A handle on a server, with one connection to it however many topics there
/// are. A task of its own keeps that connection until the handle is closed or
/// dropped.
pub(in crate::pubsub) struct Hub {
    channels: Arc<Channels>,
    closed: CancellationToken,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

impl Hub {
    /// Connects for the first time. Channels are named `prefix.topic`.
    ///
    /// # Errors
    /// [`Refused`](OpenErrorKind::Refused) when the server says no,
    /// [`Unavailable`](OpenErrorKind::Unavailable) when it cannot be reached
    /// within 10 seconds.
    pub(in crate::pubsub) async fn open(
        url: &BackendUrl,
        prefix: String,
        transport: impl Transport,
    ) -> Result<Arc<dyn PubSub>, OpenError> {
        let link = bounded(transport.connect()).await.map_err(|error| {
            let (kind, what) = match error.refused {
                true => (OpenErrorKind::Refused, "refuses the connection"),
                false => (OpenErrorKind::Unavailable, "cannot be connected to"),
            };
            OpenError::new(kind, format!("`{url}` {what}")).caused_by(error.source)
        })?;
        let closed = CancellationToken::new();
        let broken = closed.child_token();
        let online = Online { publish: link.publish.clone(), broken: broken.clone() };
        let channels = Arc::new(Channels::new(url.clone(), prefix, online));
        let task =
            supervisor::run(channels.clone(), Box::new(transport), link, broken, closed.clone());
        let supervisor = Mutex::new(Some(tokio::spawn(task)));
        Ok(Arc::new(Self { channels, closed, supervisor }))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("channels", &format_args!("{}", self.channels))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channels.fmt(f)
    }
}

#[async_trait]
impl PubSub for Hub {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), PubSubError> {
        PubSubError::check_payload(&payload)?;
        let online = self.channels.online()?;
        let channel = self.channels.name(topic.as_str());
        let channels = self.channels.clone();
        // A task of its own: whoever drops this future does not leave half a
        // request on the connection that everyone shares.
        let published = tokio::spawn(async move {
            let outcome = tokio::select! {
                biased;
                outcome = bounded(online.publish.publish(&channel, payload)) => outcome,
                () = online.broken.cancelled() => {
                    // It may have been closed.
                    return Err(channels.online().err().unwrap_or_else(|| channels.cut()));
                }
            };
            outcome.map_err(|error| {
                if !error.refused {
                    online.broken.cancel();
                }
                channels.failed("published to", &error)
            })
        });
        // The task ends early only with the runtime.
        published.await.unwrap_or_else(|_| Err(self.channels.cut()))
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BoxStream<'static, Signal>, PubSubError> {
        let pending = self.channels.subscribe(self.channels.name(topic.as_str()))?;
        if let Some(confirmed) = pending.confirmed {
            match time::timeout(ANSWER_WITHIN, confirmed).await {
                Ok(Ok(answer)) => answer?,
                Ok(Err(_)) => return Err(PubSubError::closed()),
                Err(_) => {
                    return Err(PubSubError::unavailable(format!("`{self}` does not answer")));
                }
            }
        }
        Ok(pending.signals)
    }

    async fn close(&self) {
        self.channels.close();
        self.closed.cancel();
        let supervisor =
            self.supervisor.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(supervisor) = supervisor {
            // It ends within the time of a goodbye; a panic of it ends it too.
            let _ = supervisor.await;
        }
    }
}
