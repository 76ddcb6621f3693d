//! A store that stops or dawdles, and a world of logs on it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use crate::blob::{BlobStore, MemoryBlobStore};
use crate::database::log::{Log, LogError, Logs, ReadLimit};
use crate::database::{BlobReferences, DEFAULT_GRACE, Database, KeyPath};
use crate::store::{Entry, Key, KeyRange, MemoryStore, Order, Outcome, Store, StoreError, Txn};
use crate::testkit::ManualClock;

/// Lets a number of commits through, then fails for ever, like the store of a
/// process that was killed. Before each call it lets others run.
#[derive(Debug)]
pub(super) struct StoppingStore {
    inner: Arc<MemoryStore>,
    commits_left: AtomicU64,
    pub(super) gets: AtomicU64,
    pub(super) scans: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) written_bytes: AtomicU64,
}

impl StoppingStore {
    async fn step(&self) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        if self.commits_left.load(Ordering::SeqCst) == 0 {
            return Err(StoreError::unavailable("the process was killed"));
        }
        Ok(())
    }
}

impl fmt::Display for StoppingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Store for StoppingStore {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.step().await?;
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.inner.get(keys).await
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        self.step().await?;
        self.scans.fetch_add(1, Ordering::SeqCst);
        self.inner.scan(range, order, limit).await
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        self.step().await?;
        self.commits_left.fetch_sub(1, Ordering::SeqCst);
        if self.commits_left.load(Ordering::SeqCst) == 0 {
            return Err(StoreError::unavailable("the process was killed"));
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.written_bytes.fetch_add(txn.size_bytes() as u64, Ordering::SeqCst);
        self.inner.commit(txn).await
    }

    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        self.inner.watch(range)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

/// A store and a blob store that outlive the processes on them.
#[derive(Clone)]
pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    pub(super) blobs: Arc<MemoryBlobStore>,
    pub(super) clock: ManualClock,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = ManualClock::new();
        let blobs = Arc::new(MemoryBlobStore::with_clock(Arc::new(clock.clone())));
        Self { store: Arc::new(MemoryStore::new()), blobs, clock }
    }

    /// A process that can make so many commits before it is killed.
    pub(super) fn killed_after(&self, commits: u64) -> (Logs, Arc<StoppingStore>) {
        let store = Arc::new(StoppingStore {
            inner: self.store.clone(),
            commits_left: AtomicU64::new(commits.saturating_add(1)),
            gets: AtomicU64::new(0),
            scans: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
        });
        let database = Database::new(store.clone(), Arc::new(self.clock.clone()));
        (Logs::new(database, self.blobs.clone()), store)
    }

    /// A process that lives.
    pub(super) fn logs(&self) -> Logs {
        self.killed_after(u64::MAX - 1).0
    }

    pub(super) fn log(&self) -> Log {
        self.logs().log("a").unwrap()
    }

    /// The first two parts of all keys with how often they are there.
    pub(super) async fn keys(&self) -> Vec<(String, usize)> {
        let mut kinds: Vec<(String, usize)> = Vec::new();
        let mut range = KeyRange::all();
        loop {
            let found = self.store.scan(&range, Order::Ascending, 100).await.unwrap();
            let Some((last, _)) = found.last() else { return kinds };
            range = range.after(last);
            for (key, _) in found {
                let parts = KeyPath::parts(&key).unwrap();
                let kind = match parts[0].to_string().as_str() {
                    "log" => format!("log/{}", parts[1]),
                    "b" if parts.len() == 2 => "b".into(),
                    "b" => "b/owner".into(),
                    other => other.to_owned(),
                };
                match kinds.last_mut().filter(|(last, _)| *last == kind) {
                    Some((_, count)) => *count += 1,
                    None => kinds.push((kind, 1)),
                }
            }
        }
    }

    /// Removes the blobs nobody refers to; returns how many are left.
    pub(super) async fn blobs_left(&self) -> usize {
        self.clock.advance(DEFAULT_GRACE * 2);
        let references = BlobReferences::new(self.logs().database);
        let mut collection = references.collect(&*self.blobs, DEFAULT_GRACE).await.unwrap();
        assert!(collection.step(1000).await.unwrap().done);
        assert_eq!(references.check(&*self.blobs, None).await.unwrap().missing, []);
        self.blobs.list().await.unwrap().try_collect::<Vec<_>>().await.unwrap().len()
    }
}

/// All entries of a log from `from` on.
pub(super) async fn read_from(
    log: &Log,
    from: u64,
    limit: ReadLimit,
) -> Result<Vec<Bytes>, LogError> {
    let mut reader = log.reader(from);
    let mut all = Vec::new();
    loop {
        let page = reader.read(limit).await?;
        assert_eq!(page.first, from + all.len() as u64);
        if page.entries.is_empty() {
            return Ok(all);
        }
        assert!(page.entries.len() <= limit.entries);
        all.extend(page.entries);
    }
}

pub(super) async fn read_all(log: &Log) -> Result<Vec<Bytes>, LogError> {
    read_from(log, 0, ReadLimit::default()).await
}

/// Entries like those of a build: mostly short, well to pack, now and then
/// some that are large or cannot be packed.
pub(super) fn entries(count: usize) -> Vec<Bytes> {
    static ALL: LazyLock<Vec<Bytes>> = LazyLock::new(|| make_entries(3000));
    ALL[..count].to_vec()
}

fn make_entries(count: u64) -> Vec<Bytes> {
    (0..count)
        .map(|number| {
            let mut entry =
                format!("{{\"number\":{number},\"type\":\"step_output\"}}").into_bytes();
            match number % 37 {
                5 => entry.extend(&noise(number)[..20_000]),
                11 => entry.extend(vec![b'x'; 60_000]),
                17 => entry.clear(),
                23 => entry.extend(&noise(number)[..3000]),
                _ => {}
            }
            entry.into()
        })
        .collect()
}

/// 60,000 bytes that cannot be packed, others for each seed.
pub(super) fn noise(seed: u64) -> Bytes {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..60_000).map(|_| next()).collect()
}
