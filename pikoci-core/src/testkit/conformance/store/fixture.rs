//! What the behaviours run over.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::client::Client;
use crate::store::Store;
use crate::testkit::faulty::FaultyStore;

/// Opens a store again.
pub type Reopen = dyn Fn() -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync;

/// A store to check. What is in it is lost.
pub struct StoreFixture {
    /// Fresh and empty.
    pub store: Arc<dyn Store>,
    /// A second handle on the same data, as another process would have;
    /// `None` where only one process can have it.
    pub other: Option<Arc<dyn Store>>,
    /// Opens the same data again after `store` was closed; `None` where
    /// nothing is kept.
    pub reopen: Option<Box<Reopen>>,
    /// Whether the store remembers the ids of its commits, as one must that
    /// may answer [`Unknown`](crate::store::StoreErrorKind::Unknown).
    pub remembers_commits: bool,
    /// Lives as long as the test: a temporary directory, a server.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl StoreFixture {
    /// A store that one process has, that keeps nothing, and that is never in doubt.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, other: None, reopen: None, remembers_commits: false, keep: Box::new(()) }
    }

    /// The same behind a bad network, with faults by this seed.
    #[must_use]
    pub fn faulty(self, seed: u64) -> Self {
        let Self { store, other, reopen, remembers_commits, keep } = self;
        let wrap = move |store| match remembers_commits {
            true => FaultyStore::new(store).over_one_that_remembers().seeded(seed),
            false => FaultyStore::new(store).seeded(seed),
        };
        let store = wrap(store);
        let other = other.map(|other| Arc::new(store.sibling(other)) as Arc<dyn Store>);
        let reopen = reopen.map(|open| -> Box<Reopen> {
            Box::new(move || {
                let opening = open();
                Box::pin(async move { Arc::new(wrap(opening.await)) as Arc<dyn Store> })
            })
        });
        Self { store: Arc::new(store), other, reopen, remembers_commits: true, keep }
    }

    /// Closes what is open. Errors do not matter any more.
    pub async fn end(self) {
        let _ = self.store.close().await;
        if let Some(other) = &self.other {
            let _ = other.close().await;
        }
    }

    /// Who uses the store.
    pub(super) fn client(&self) -> Client {
        Client::new(&self.store)
    }

    /// Who uses it elsewhere, if that is possible.
    pub(super) fn elsewhere(&self) -> Client {
        Client::new(self.other.as_ref().unwrap_or(&self.store))
    }

    /// `count` clients, in turn here and elsewhere.
    pub(super) fn clients(&self, count: usize) -> Vec<Client> {
        let both = [self.client(), self.elsewhere()];
        both.iter().cycle().take(count).cloned().collect()
    }
}

impl fmt::Debug for StoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFixture")
            .field("store", &self.store)
            .field("other", &self.other)
            .field("remembers_commits", &self.remembers_commits)
            .finish_non_exhaustive()
    }
}
