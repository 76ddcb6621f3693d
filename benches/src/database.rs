//! What the typed layer costs over the store below it, and its logs over files.

use std::fs::File;
use std::io::{Error, Result, Write};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pikoci_core::Store;
use pikoci_core::blob::MemoryBlobStore;
use pikoci_core::clock::SystemClock;
use pikoci_core::database::encoding::Schema;
use pikoci_core::database::log::Logs;
use pikoci_core::database::{Database, Indexes, Record};
use pikoci_core::store::{Key, MemoryStore, Txn};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::measure::{median, resident_bytes};
use crate::store::{open, runtime};

/// A record like those of the engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Build {
    id: String,
    job: String,
    status: String,
    number: u64,
    started_at: String,
}

impl Schema for Build {
    const KIND: &'static str = "bench-build";
}

impl Record for Build {
    type Id = String;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn indexes(&self, _indexes: &mut Indexes) {}
}

fn build(at: usize) -> Build {
    Build {
        id: format!("build-{:04}", at % 1_000),
        job: "main/app/test".into(),
        status: "started".into(),
        number: at as u64,
        started_at: "2026-11-01T12:00:00Z".into(),
    }
}

/// A thousand records put again and again, against the same reads and commits
/// of the same bytes.
pub(crate) fn typed_against_bare() -> Result<()> {
    const PUTS: usize = 20_000;
    const ROUNDS: usize = 5;
    let runtime = runtime()?;
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let dir = tempfile::tempdir()?;
    let sled = runtime.block_on(open("sled", &dir))?;
    for (store, puts) in [(memory, PUTS), (sled, PUTS / 20)] {
        let database = Database::new(store.clone(), Arc::new(SystemClock::new()));
        let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            runtime.block_on(async {
                for at in 0..puts {
                    database.put(&build(at)).await.map_err(Error::other)?;
                }
                Ok::<(), Error>(())
            })?;
            let typed = start.elapsed().as_secs_f64();
            let start = Instant::now();
            runtime.block_on(async {
                for at in 0..puts {
                    let build = build(at);
                    let key = Key::new(build.id.clone()).map_err(Error::other)?;
                    let found =
                        store.get(std::slice::from_ref(&key)).await.map_err(Error::other)?;
                    let revision = found.into_iter().flatten().next().map(|entry| entry.revision);
                    let value = serde_json::to_vec(&build)?;
                    let txn = Txn::new(Uuid::now_v7()).check(key.clone(), revision).put(key, value);
                    store.commit(&txn).await.map_err(Error::other)?;
                }
                Ok::<(), Error>(())
            })?;
            let floor = start.elapsed().as_secs_f64();
            ours.push(typed);
            bare.push(floor);
            ratios.push(typed / floor);
        }
        let micros = |seconds: Vec<f64>| median(seconds) / puts as f64 * 1e6;
        println!(
            "  over {}: {:.1} µs a put; bare: {:.1} µs; ratio {:.2}",
            if puts == PUTS { "memory" } else { "sled" },
            micros(ours),
            micros(bare),
            median(ratios),
        );
    }
    Ok(())
}

/// 100 MB of events into a log in sled, against a file that gets as many bytes
/// in 64 KiB writes and is synced as often as the log commits.
pub(crate) fn log_of_hundred_megabytes() -> Result<()> {
    const TOTAL: usize = 100_000_000;
    const EVENT: usize = 4 * 1024;
    const CHUNK: usize = 64 * 1024;
    /// Chunks of one transaction.
    const CHUNKS: usize = 15;
    const ROUNDS: usize = 3;
    let runtime = runtime()?;
    let (mut ours, mut files, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut before, mut after) = (0, 0);
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir()?;
        let store = runtime.block_on(open("sled", &dir))?;
        let database = Database::new(store.clone(), Arc::new(SystemClock::new()));
        let logs = Logs::new(database, Arc::new(MemoryBlobStore::new()));
        let log = logs.log("build").map_err(Error::other)?;
        let event = Bytes::from(noise(EVENT));
        let start = Instant::now();
        runtime.block_on(async {
            let writer = log.writer(0, None);
            for at in 0..TOTAL / EVENT {
                writer.write(event.clone()).await.map_err(Error::other)?;
                if at == TOTAL / EVENT / 10 {
                    before = resident_bytes()?;
                }
            }
            writer.flush().await.map_err(Error::other)?;
            after = resident_bytes()?;
            Ok::<(), Error>(())
        })?;
        let mine = start.elapsed().as_secs_f64();
        runtime.block_on(store.close()).map_err(Error::other)?;

        let mut file = File::create(dir.path().join("floor"))?;
        let chunk = noise(CHUNK);
        let start = Instant::now();
        for at in 1..=TOTAL / CHUNK {
            file.write_all(&chunk)?;
            if at % CHUNKS == 0 {
                file.sync_data()?;
            }
        }
        file.sync_data()?;
        let floor = start.elapsed().as_secs_f64();
        ours.push(mine);
        files.push(floor);
        ratios.push(mine / floor);
    }
    println!(
        "  100 MB: {:.2} s; a file: {:.2} s; ratio {:.2}; resident {:.0} MB after a tenth, {:.0} MB at the end",
        median(ours),
        median(files),
        median(ratios),
        before as f64 / 1e6,
        after as f64 / 1e6,
    );
    Ok(())
}

/// Bytes that no one can make smaller (a linear congruential generator).
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
