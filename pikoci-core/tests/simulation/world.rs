//! What a simulation stands on: its clock, and the stores of engines that die.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use pikoci_core::clock::Clock;
use pikoci_core::store::{Entry, Key, KeyRange, Order, Outcome, Store, StoreError, Txn};
use pikoci_core::testkit::random::Random;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A clock that goes with tokio's, gives ids by a seed, and whose time of day jumps.
#[derive(Debug)]
pub(crate) struct SimClock {
    started: tokio::time::Instant,
    random: Mutex<Random>,
    jump_ms: AtomicU64,
}

impl SimClock {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            started: tokio::time::Instant::now(),
            random: Mutex::new(Random::new(seed)),
            jump_ms: AtomicU64::new(100_000_000),
        }
    }

    /// Sets the time of day forward or back.
    pub(crate) fn jump(&self, to_ms: u64) {
        self.jump_ms.store(to_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let jump = Duration::from_millis(self.jump_ms.load(Ordering::Relaxed));
        Timestamp::UNIX_EPOCH + jump + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn id(&self) -> Uuid {
        let ms = u64::try_from(self.monotonic().as_millis()).unwrap_or(0);
        let mut random = self.random.lock().expect("whole");
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&random.number().to_be_bytes());
        bytes[8..].copy_from_slice(&random.number().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid()
    }
}

/// The store of one engine: it stops answering when the engine dies, before or
/// after the commit at which it dies was done.
pub(crate) struct Mortal {
    inner: Arc<dyn Store>,
    pub(crate) dead: CancellationToken,
    commits: AtomicU64,
    dies_at: AtomicU64,
    dies_after: AtomicBool,
}

impl fmt::Debug for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mortal")
    }
}

impl fmt::Display for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mortal:")
    }
}

impl Mortal {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            dead: CancellationToken::new(),
            commits: AtomicU64::new(0),
            dies_at: AtomicU64::new(u64::MAX),
            dies_after: AtomicBool::new(false),
        }
    }

    /// Lets the engine die at one of its next commits.
    pub(crate) fn die_in(&self, commits: u64, after: bool) {
        self.dies_after.store(after, Ordering::Relaxed);
        let at = self.commits.load(Ordering::Relaxed) + commits;
        self.dies_at.store(at, Ordering::Relaxed);
    }

    async fn alive<T>(&self, call: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            () = self.dead.cancelled() => pending().await,
            answer = call => answer,
        }
    }
}

#[async_trait]
impl Store for Mortal {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.alive(self.inner.get(keys)).await
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        self.alive(self.inner.scan(range, order, limit)).await
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        if self.dead.is_cancelled() {
            return pending().await;
        }
        let dies =
            self.commits.fetch_add(1, Ordering::Relaxed) == self.dies_at.load(Ordering::Relaxed);
        if dies && !self.dies_after.load(Ordering::Relaxed) {
            self.dead.cancel();
            return pending().await;
        }
        let answer = self.inner.commit(txn).await;
        if dies {
            self.dead.cancel();
        }
        if self.dead.is_cancelled() { pending().await } else { answer }
    }

    fn watch(&self, _: &KeyRange) -> Option<BoxStream<'static, ()>> {
        None
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
