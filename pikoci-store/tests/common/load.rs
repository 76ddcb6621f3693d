//! Writers that count, and what must be true of the count whatever happens to
//! the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pikoci_core::Store;
use pikoci_core::clock::SystemClock;
use pikoci_core::database::{Database, DatabaseError};
use pikoci_core::store::{Key, StoreErrorKind};
use tokio::task::JoinSet;

/// Eight tasks that count up two counters each: one of their own, and one of all.
#[derive(Debug)]
pub struct Load {
    store: Arc<dyn Store>,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    tasks: JoinSet<()>,
}

/// What the writers were told.
#[derive(Debug, Default)]
struct Tally {
    done: AtomicU64,
    unknown: AtomicU64,
    failed: AtomicU64,
}

const WRITERS: usize = 8;

fn key(name: &str) -> Key {
    Key::new(name.to_owned()).expect("a key")
}

/// The number at `name`.
pub async fn counted(store: &dyn Store, name: &str) -> u64 {
    let found = store.get(&[key(name)]).await.expect("it can be read");
    found[0].as_ref().map_or(0, |entry| number(&entry.value))
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).expect("text").parse().expect("a number")
}

/// Adds one to both counters.
async fn add(database: &Database, own: &Key, all: &Key) -> Result<(), DatabaseError> {
    database
        .transact(|transaction| {
            let keys = [own.clone(), all.clone()];
            Box::pin(async move {
                transaction.prefetch(&keys).await?;
                for key in keys {
                    let value = transaction.get_raw(&key).await?;
                    let next = value.map_or(0, |value| number(&value)) + 1;
                    transaction.put_raw(key, next.to_string());
                }
                Ok(())
            })
        })
        .await
}

impl Load {
    /// Lets them count in `store` until they are stopped.
    pub fn start(store: Arc<dyn Store>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::default());
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            let database = Database::new(Arc::clone(&store), Arc::new(SystemClock::new()));
            let (stop, tally) = (Arc::clone(&stop), Arc::clone(&tally));
            tasks.spawn(async move {
                let (own, all) = (key(&format!("own {writer}")), key("all"));
                while !stop.load(Ordering::Relaxed) {
                    let count = match add(&database, &own, &all).await {
                        Ok(()) => &tally.done,
                        Err(DatabaseError::Store(error))
                            if error.kind == StoreErrorKind::Unknown =>
                        {
                            &tally.unknown
                        }
                        Err(error) => {
                            assert!(error.is_retryable(), "{error:?}");
                            &tally.failed
                        }
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { store, stop, tally, tasks }
    }

    /// How many additions were acknowledged so far.
    pub fn done(&self) -> u64 {
        self.tally.done.load(Ordering::Relaxed)
    }

    /// Stops them and compares the counters with what they were told. Returns
    /// how many additions were acknowledged.
    pub async fn finish(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a writer does not panic");
        }
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!(load(&self.tally.unknown), 0, "an outcome was not found out");
        let done = load(&self.tally.done);
        assert_eq!(counted(&*self.store, "all").await, done, "{:?}", self.tally);
        let mut sum = 0;
        for writer in 0..WRITERS {
            sum += counted(&*self.store, &format!("own {writer}")).await;
        }
        assert_eq!(sum, done, "a commit was done in part");
        done
    }
}
