//! A record, and a store that counts, dawdles and loses answers.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use pikoci_core::clock::SystemClock;
use pikoci_core::database::{Database, DatabaseError, Indexes, Record, Schema};
use pikoci_core::store::{
    Entry, Key, KeyRange, MemoryStore, Order, Outcome, Store, StoreError, Txn,
};
use pikoci_core::testkit::faulty::FaultyStore;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A build, as far as these tests need one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) number: u64,
    pub(crate) status: String,
    /// A name that no other build has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

impl Build {
    pub(crate) fn new(number: u64, status: &str) -> Self {
        Self { number, status: status.to_owned(), name: None }
    }

    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }
}

impl Schema for Build {
    const KIND: &'static str = "build";
}

impl Record for Build {
    type Id = u64;

    fn id(&self) -> u64 {
        self.number
    }

    fn indexes(&self, indexes: &mut Indexes) {
        indexes.add("by_status", &self.status);
        if let Some(name) = &self.name {
            indexes.unique("by_name", name);
        }
    }
}

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// How often a store was called.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) get: u32,
    pub(crate) scan: u32,
    pub(crate) commit: u32,
}

/// A store in memory that counts its calls. With a seed it also lets others
/// run at any moment, and loses answers: what became of a commit is then
/// found out by the same one made again, as the contract says.
#[derive(Debug)]
pub(crate) struct TestStore {
    inner: MemoryStore,
    calls: Mutex<Calls>,
    random: Option<Random>,
    outcomes: Mutex<HashMap<Uuid, Outcome>>,
    meddler: Meddler,
}

/// What others do just then.
#[derive(Default)]
struct Meddler(Mutex<Option<BoxFuture<'static, ()>>>);

impl fmt::Debug for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddler")
    }
}

impl TestStore {
    pub(crate) fn new(seed: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::new(),
            calls: Mutex::default(),
            random: seed.map(Random::new),
            outcomes: Mutex::default(),
            meddler: Meddler::default(),
        })
    }

    /// Has this done right after the next read, before its answer arrives.
    pub(crate) fn after_the_next_read(&self, meddle: impl Future<Output = ()> + Send + 'static) {
        *self.meddler.0.lock().unwrap() = Some(Box::pin(meddle));
    }

    async fn let_others_meddle(&self) {
        let meddle = self.meddler.0.lock().unwrap().take();
        if let Some(meddle) = meddle {
            meddle.await;
        }
        self.dawdle().await;
    }

    /// The calls since the last time.
    pub(crate) fn take_calls(&self) -> Calls {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    async fn dawdle(&self) {
        if let Some(random) = &self.random {
            for _ in 0..random.below(4) {
                tokio::task::yield_now().await;
            }
        }
    }

    fn answer_is_lost(&self) -> bool {
        self.random.as_ref().is_some_and(|random| random.below(8) == 0)
    }
}

impl fmt::Display for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("test:")
    }
}

#[async_trait]
impl Store for TestStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.calls.lock().unwrap().get += 1;
        self.dawdle().await;
        let found = self.inner.get(keys).await;
        self.let_others_meddle().await;
        found
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        self.calls.lock().unwrap().scan += 1;
        self.dawdle().await;
        let found = self.inner.scan(range, order, limit).await;
        self.let_others_meddle().await;
        found
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        self.calls.lock().unwrap().commit += 1;
        self.dawdle().await;
        let lost = || Err(StoreError::unknown("the connection was cut"));
        if self.answer_is_lost() {
            return lost();
        }
        let known = self.outcomes.lock().unwrap().get(&txn.id).copied();
        let outcome = match known {
            Some(outcome) => outcome,
            None => self.inner.commit(txn).await?,
        };
        self.outcomes.lock().unwrap().insert(txn.id, outcome);
        self.dawdle().await;
        if self.answer_is_lost() { lost() } else { Ok(outcome) }
    }

    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        self.inner.watch(range)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

/// A database on a store of its own.
pub(crate) fn database() -> (Database, Arc<TestStore>) {
    on(TestStore::new(None))
}

/// The same on a store that does what can go wrong.
pub(crate) fn troubled(seed: u64) -> (Database, Arc<TestStore>) {
    on(TestStore::new(Some(seed)))
}

/// A database behind a bad network: any call may fail.
pub(crate) fn far_away(seed: u64) -> Database {
    let store = FaultyStore::new(Arc::new(MemoryStore::new())).seeded(seed);
    Database::new(Arc::new(store), Arc::new(SystemClock::new()))
}

fn on(store: Arc<TestStore>) -> (Database, Arc<TestStore>) {
    (Database::new(store.clone(), Arc::new(SystemClock::new())), store)
}

/// Runs a future on a runtime whose timers take no time.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) type Done<T = ()> = Result<T, DatabaseError>;
