//! Tells those who watch a store in this process of its commits.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::key::{Key, KeyRange};
use super::txn::Txn;

/// How many commits a watcher may lag behind before it hears of all of them as one.
const BACKLOG: usize = 256;

/// The doorbell of a store that lives in this process; for [`Store::watch`](super::Store::watch).
#[derive(Debug)]
pub struct ChangeFeed {
    sender: std::sync::Mutex<Option<broadcast::Sender<Arc<[Key]>>>>,
}

impl ChangeFeed {
    /// A feed that nobody watches yet.
    pub fn new() -> Self {
        Self { sender: std::sync::Mutex::new(Some(broadcast::Sender::new(BACKLOG))) }
    }

    /// Tells of a commit that was done. Never waits.
    pub fn committed(&self, txn: &Txn) {
        let sender = self.sender.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(sender) = &*sender
            && sender.receiver_count() > 0
        {
            // Nobody listens any more: nobody needs to hear.
            let _ = sender.send(txn.writes.iter().map(|write| write.key().clone()).collect());
        }
    }

    /// Rings after commits that wrote a key of `range`; ends when the feed is closed.
    pub fn subscribe(&self, range: &KeyRange) -> BoxStream<'static, ()> {
        let sender = self.sender.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(sender) = &*sender else { return stream::empty().boxed() };
        let state = (sender.subscribe(), range.clone());
        stream::unfold(state, |(mut receiver, range)| async move {
            loop {
                match receiver.recv().await {
                    Ok(keys) if keys.iter().any(|key| range.contains(key)) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return None,
                }
            }
            Some(((), (receiver, range)))
        })
        .boxed()
    }

    /// Ends all streams.
    pub fn close(&self) {
        self.sender.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    }
}

impl Default for ChangeFeed {
    fn default() -> Self {
        Self::new()
    }
}
