//! What the embedded stores cost over the disk below them.

use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pikoci_core::Store;
use pikoci_core::store::{Key, KeyRange, Order, Outcome, Txn};
use pikoci_store::open_store;
use tempfile::TempDir;
use uuid::Uuid;

use crate::measure::resident_bytes;

const EMBEDDED: [&str; 2] = ["sled", "sqlite"];

/// Bytes of a value, where nothing else is said.
const VALUE: usize = 128;

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// A store of its own below `dir`.
pub(crate) async fn open(scheme: &str, dir: &TempDir) -> Result<Arc<dyn Store>> {
    let url = format!("{scheme}:{}", dir.path().join("store").display());
    open_store(&url).await.map_err(Error::other)
}

fn key(name: String) -> Result<Key> {
    Key::new(name).map_err(Error::other)
}

async fn commit(store: &dyn Store, txn: Txn) -> Result<()> {
    match store.commit(&txn).await.map_err(Error::other)? {
        Outcome::Committed(_) => Ok(()),
        Outcome::Conflict => Err(Error::other("a conflict without a check")),
    }
}

/// The bytes of all files below `dir`.
fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        total += if about.is_dir() { disk_bytes(&entry.path())? } else { about.len() };
    }
    Ok(total)
}

/// Writes of one value and an `fdatasync` each, a second.
fn syncs_per_second(dir: &TempDir, count: usize) -> Result<f64> {
    let mut file = File::create(dir.path().join("floor"))?;
    let start = Instant::now();
    for _ in 0..count {
        file.write_all(&[b'x'; VALUE])?;
        file.sync_data()?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Durable commits a second of 1, 8 and 64 writers, against writes that are
/// synced one by one.
pub(crate) fn durable_commits() -> Result<()> {
    const COMMITS: usize = 6_400;
    let runtime = runtime()?;
    for scheme in EMBEDDED {
        for writers in [1, 8, 64] {
            let dir = tempfile::tempdir()?;
            let before = syncs_per_second(&dir, 1_000)?;
            let rate = runtime.block_on(async {
                let store = open(scheme, &dir).await?;
                let start = Instant::now();
                let tasks: Vec<_> = (0..writers)
                    .map(|writer| {
                        let store = store.clone();
                        tokio::spawn(async move {
                            for at in 0..COMMITS / writers {
                                let key = key(format!("{writer}/{}", at % 100))?;
                                let txn = Txn::new(Uuid::now_v7()).put(key, vec![b'x'; VALUE]);
                                commit(&*store, txn).await?;
                            }
                            Ok::<(), Error>(())
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await??;
                }
                let rate = COMMITS as f64 / start.elapsed().as_secs_f64();
                store.close().await.map_err(Error::other)?;
                Ok::<f64, Error>(rate)
            })?;
            let floor = f64::midpoint(before, syncs_per_second(&dir, 1_000)?);
            println!(
                "  {scheme}, {writers} writers: {rate:.0} durable commits/s; fdatasync: {floor:.0}/s; \
                 ratio {:.2}",
                rate / floor
            );
        }
    }
    Ok(())
}

/// A million small entries, read through pages of 1,000, against reading as
/// many bytes from a file; and the memory that takes.
pub(crate) fn scan_a_million() -> Result<()> {
    const ENTRIES: usize = 1_000_000;
    const PAGE: usize = 1_000;
    let runtime = runtime()?;
    for scheme in EMBEDDED {
        let dir = tempfile::tempdir()?;
        let store = runtime.block_on(open(scheme, &dir))?;
        runtime.block_on(async {
            for first in (0..ENTRIES).step_by(100) {
                let mut txn = Txn::new(Uuid::now_v7());
                for at in first..first + 100 {
                    txn = txn.put(key(format!("record/{at:012}"))?, vec![b'x'; VALUE]);
                }
                commit(&*store, txn).await?;
            }
            Ok::<(), Error>(())
        })?;
        let start = Instant::now();
        let (count, bytes) = runtime.block_on(async {
            let (mut range, mut count, mut bytes) = (KeyRange::all(), 0, 0);
            loop {
                let page =
                    store.scan(&range, Order::Ascending, PAGE).await.map_err(Error::other)?;
                let Some((last, _)) = page.last() else { break };
                range = range.after(last);
                count += page.len();
                bytes += page
                    .iter()
                    .map(|(key, entry)| key.as_bytes().len() + entry.value.len())
                    .sum::<usize>();
            }
            Ok::<_, Error>((count, bytes))
        })?;
        let took = start.elapsed().as_secs_f64();
        if count != ENTRIES {
            return Err(Error::other(format!("{count} entries of {ENTRIES}")));
        }
        let on_disk = disk_bytes(dir.path())?;
        let path = dir.path().join("floor");
        std::fs::write(&path, vec![b'x'; bytes])?;
        let start = Instant::now();
        let mut file = File::open(&path)?;
        let mut buffer = vec![0; 64 * 1024];
        while file.read(&mut buffer)? > 0 {}
        let floor = start.elapsed().as_secs_f64();
        println!(
            "  {scheme}: {:.2} million entries/s, {:.0} MB/s; a file: {:.0} MB/s; ratio {:.1}; \
             resident {:.0} MB; on disk {:.2} of the bytes",
            ENTRIES as f64 / took / 1e6,
            bytes as f64 / took / 1e6,
            bytes as f64 / floor / 1e6,
            took / floor,
            resident_bytes()? as f64 / 1e6,
            on_disk as f64 / bytes as f64,
        );
        runtime.block_on(store.close()).map_err(Error::other)?;
    }
    Ok(())
}

/// A million overwrites of 1,000 keys: what the disk holds at the end for
/// each byte that can be read.
pub(crate) fn million_overwrites() -> Result<()> {
    const OVERWRITES: usize = 1_000_000;
    const KEYS: usize = 1_000;
    let runtime = runtime()?;
    for scheme in EMBEDDED {
        let dir = tempfile::tempdir()?;
        let peak = runtime.block_on(async {
            let store = open(scheme, &dir).await?;
            let mut peak = 0;
            for round in 0..OVERWRITES / 100 {
                let mut txn = Txn::new(Uuid::now_v7());
                for at in 0..100 {
                    let key = key(format!("key/{:04}", (round * 100 + at) % KEYS))?;
                    txn = txn.put(key, vec![b'x'; VALUE]);
                }
                commit(&*store, txn).await?;
                if round % 500 == 0 {
                    peak = disk_bytes(dir.path())?.max(peak);
                }
            }
            store.close().await.map_err(Error::other)?;
            Ok::<u64, Error>(peak)
        })?;
        let logical = (KEYS * (VALUE + 8)) as f64;
        println!(
            "  {scheme}: {:.1} bytes on disk for each byte that can be read ({:.2} MB, at most {:.2} MB)",
            disk_bytes(dir.path())? as f64 / logical,
            disk_bytes(dir.path())? as f64 / 1e6,
            peak as f64 / 1e6,
        );
    }
    Ok(())
}
