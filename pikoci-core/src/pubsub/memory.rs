//! Pub/sub within one process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::contract::{BACKLOG_MESSAGES, PubSub, PubSubError, Signal, Topic};

/// A [`PubSub`] for those who share one process; needs no server.
pub struct MemoryPubSub {
    /// `None` once it is closed.
    topics: Mutex<Option<HashMap<Topic, broadcast::Sender<Bytes>>>>,
}

impl MemoryPubSub {
    /// One that nobody listens to yet.
    pub fn new() -> Self {
        Self { topics: Mutex::new(Some(HashMap::new())) }
    }

    fn topics(&self) -> MutexGuard<'_, Option<HashMap<Topic, broadcast::Sender<Bytes>>>> {
        self.topics.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for MemoryPubSub {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryPubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPubSub").finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryPubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory:")
    }
}

#[async_trait]
impl PubSub for MemoryPubSub {
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), PubSubError> {
        PubSubError::check_payload(&payload)?;
        let mut topics = self.topics();
        let topics = topics.as_mut().ok_or_else(PubSubError::closed)?;
        if let Some(sender) = topics.get(topic)
            && sender.send(payload).is_err()
        {
            // The last who listened is gone.
            topics.remove(topic);
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BoxStream<'static, Signal>, PubSubError> {
        let mut topics = self.topics();
        let topics = topics.as_mut().ok_or_else(PubSubError::closed)?;
        let sender =
            topics.entry(topic.clone()).or_insert_with(|| broadcast::Sender::new(BACKLOG_MESSAGES));
        let signals = stream::unfold(sender.subscribe(), |mut receiver| async move {
            match receiver.recv().await {
                Ok(payload) => Some((Signal::Message(payload), receiver)),
                Err(RecvError::Lagged(_)) => Some((Signal::Missed, receiver)),
                Err(RecvError::Closed) => None,
            }
        });
        Ok(signals.boxed())
    }

    async fn close(&self) {
        self.topics().take();
    }
}
