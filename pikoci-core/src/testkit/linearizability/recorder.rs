//! Notes what is asked of a store and what it answers.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::history::{Answer, Call, Operation};
use crate::store::{Entry, Key, KeyRange, Order, Outcome, Store, StoreError, StoreErrorKind, Txn};

/// Where calls are noted; clones note in the same place.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    now: u64,
    answered: Vec<Operation>,
    /// Commits without an answer that settles them.
    open: HashMap<Uuid, Open>,
}

#[derive(Debug)]
struct Open {
    operation: Operation,
    /// Whether it may have been done.
    in_doubt: bool,
}

impl Notes {
    fn moment(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn answer(&mut self, mut operation: Operation, answer: Answer) {
        operation.answered = Some((self.moment(), answer));
        self.answered.push(operation);
    }
}

impl Recorder {
    /// One that has noted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// `store` as this client sees it, with its calls noted.
    pub fn client(&self, client: usize, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(RecordedStore { store, client, recorder: self.clone() })
    }

    /// What was noted so far. Nothing may run meanwhile but what was dropped.
    pub fn history(&self) -> Vec<Operation> {
        let notes = self.notes();
        let doubtful = notes.open.values().filter(|open| open.in_doubt);
        let mut all = notes.answered.clone();
        all.extend(doubtful.map(|open| open.operation.clone()));
        all.sort_by_key(|operation| operation.began);
        all
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A store whose calls are noted. A commit that is made again after an error
/// counts as one, from its first beginning on.
#[derive(Debug)]
pub struct RecordedStore {
    store: Arc<dyn Store>,
    client: usize,
    recorder: Recorder,
}

impl RecordedStore {
    fn begin(&self, call: Call) -> Operation {
        let began = self.recorder.notes().moment();
        Operation { client: self.client, began, call, answered: None }
    }
}

impl fmt::Display for RecordedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for RecordedStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        let operation = self.begin(Call::Get(keys.into()));
        let found = self.store.get(keys).await?;
        self.recorder.notes().answer(operation, Answer::Got(found.clone()));
        Ok(found)
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        let operation = self.begin(Call::Scan(range.clone(), order, limit));
        let found = self.store.scan(range, order, limit).await?;
        self.recorder.notes().answer(operation, Answer::Scanned(found.clone()));
        Ok(found)
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let operation = self.begin(Call::Commit(txn.clone()));
        let before = {
            let mut notes = self.recorder.notes();
            let open =
                notes.open.entry(txn.id).or_insert_with(|| Open { operation, in_doubt: false });
            // As long as this runs, and when it is dropped, nobody knows.
            std::mem::replace(&mut open.in_doubt, true)
        };
        let said = self.store.commit(txn).await;
        let mut notes = self.recorder.notes();
        match &said {
            Ok(outcome) => {
                if let Some(open) = notes.open.remove(&txn.id) {
                    notes.answer(open.operation, Answer::Ended(*outcome));
                }
            }
            Err(error) if error.kind == StoreErrorKind::Unknown => {}
            Err(_) => {
                if let Some(open) = notes.open.get_mut(&txn.id) {
                    open.in_doubt = before;
                }
            }
        }
        said
    }

    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        self.store.watch(range)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}
