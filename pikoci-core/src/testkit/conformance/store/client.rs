//! Who uses a store as the contract asks: what may work later is tried again,
//! a commit in doubt is settled, and anything else that fails is the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::super::{LIMIT, within};
use crate::store::{
    Entry, Key, KeyRange, Order, Outcome, Revision, Store, StoreError, StoreErrorKind, Txn,
};

/// The longest pause before a call is tried again.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A key of these bytes.
pub(super) fn key(bytes: impl Into<Bytes>) -> Key {
    match Key::new(bytes) {
        Ok(key) => key,
        Err(error) => panic!("the suite made a key that is none: {error}"),
    }
}

/// A transaction with a fresh id.
pub(super) fn txn() -> Txn {
    Txn::new(Uuid::now_v7())
}

/// A transaction for people: its values may be large.
fn shown(txn: &Txn) -> String {
    format!("{:.1000}", format!("{txn:?}"))
}

/// A handle on a store.
#[derive(Clone)]
pub(super) struct Client {
    store: Arc<dyn Store>,
}

impl Client {
    pub(super) fn new(store: &Arc<dyn Store>) -> Self {
        Self { store: store.clone() }
    }

    /// The entries of `keys`.
    pub(super) async fn get(&self, keys: &[Key]) -> Vec<Option<Entry>> {
        let found = settled("a get", || self.store.get(keys)).await;
        assert_eq!(found.len(), keys.len(), "how many answers came to a get of {keys:?}");
        found
    }

    /// The entry of one key.
    pub(super) async fn entry(&self, key: &Key) -> Option<Entry> {
        self.get(std::slice::from_ref(key)).await.remove(0)
    }

    /// The value of one key.
    pub(super) async fn value(&self, key: &Key) -> Option<Bytes> {
        self.entry(key).await.map(|entry| entry.value)
    }

    /// What a scan finds.
    pub(super) async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Vec<(Key, Entry)> {
        settled("a scan", || self.store.scan(range, order, limit)).await
    }

    /// The keys that a scan finds.
    pub(super) async fn keys(&self, range: &KeyRange, order: Order, limit: usize) -> Vec<Key> {
        self.scan(range, order, limit).await.into_iter().map(|(key, _)| key).collect()
    }

    /// All there is, at most as much as one scan yields.
    pub(super) async fn all(&self) -> Vec<(Key, Entry)> {
        self.scan(&KeyRange::all(), Order::Ascending, crate::store::limits::MAX_SCAN_ENTRIES).await
    }

    /// What becomes of `txn`.
    pub(super) async fn commit(&self, txn: &Txn) -> Outcome {
        if let Err(error) = txn.validate() {
            panic!("the suite made a transaction beyond the limits: {error}");
        }
        settled("a commit", || self.store.commit(txn)).await
    }

    /// The revision of `txn`, which must be committed.
    pub(super) async fn committed(&self, txn: &Txn) -> Revision {
        match self.commit(txn).await {
            Outcome::Committed(revision) => revision,
            Outcome::Conflict => panic!("a conflict where every check holds, in {}", shown(txn)),
        }
    }

    /// `txn` must be in conflict with what is there.
    pub(super) async fn refused(&self, txn: &Txn) {
        if let Outcome::Committed(revision) = self.commit(txn).await {
            panic!("committed as {revision} although a check does not hold: {}", shown(txn));
        }
    }

    /// Sets one key, whatever it holds.
    pub(super) async fn put(&self, key: &Key, value: impl Into<Bytes>) -> Revision {
        self.committed(&txn().put(key.clone(), value)).await
    }

    /// Removes one key, whatever it holds.
    pub(super) async fn delete(&self, key: &Key) -> Revision {
        self.committed(&txn().delete(key.clone())).await
    }
}

/// What `call` comes to once it works.
async fn settled<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let started = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(1);
    // A store in memory never waits, and would let nobody else have a turn.
    tokio::task::yield_now().await;
    loop {
        let error = match within(LIMIT, what, call()).await {
            Ok(done) => return done,
            Err(error) => error,
        };
        assert!(!error.message.trim().is_empty(), "{what} is an error that says nothing");
        assert!(
            error.kind != StoreErrorKind::Unknown || what == "a commit",
            "{what} answered that its outcome is unknown, which only a commit may: {error}"
        );
        assert!(error.is_retryable(), "{what} did not work ({:?}): {error}", error.kind);
        assert!(started.elapsed() < LIMIT, "{what} did not work for {LIMIT:?}: {error}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
