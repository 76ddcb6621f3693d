//! What is on the disk stays in proportion to what is stored.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pikoci_core::Store;

use super::{Place, key, txn};

/// Overwrites and queues, as in a year but faster; `most_bytes` is never exceeded.
pub(crate) async fn the_disk_is_not_filled_by_overwrites(scheme: &'static str, most_bytes: u64) {
    let place = Place::new(scheme);
    let mut store = place.open().await;
    let mut most = 0;
    for part in 0..4 {
        overwrite(&*store, part).await;
        most = most.max(used(place.directory.path()));
        queue(&*store, part).await;
        most = most.max(used(place.directory.path()));
        store.close().await.expect("a close");
        drop(store);
        store = place.open().await;
    }
    most = most.max(used(place.directory.path()));
    store.close().await.expect("a close");
    assert!(most <= most_bytes, "{most} bytes on the disk");
}

/// 50,000 overwrites of 200 keys.
async fn overwrite(store: &dyn Store, part: usize) {
    for round in 0..500 {
        let mut write = txn();
        for number in 0..100 {
            let name = format!("overwritten-{:03}", (number + round * 100) % 200);
            write = write.put(key(name), vec![(round + part) as u8; 100 + number]);
        }
        store.commit(&write).await.expect("a commit");
    }
}

/// 1,200 messages of 4 to 64 KiB, of which 20 are kept.
async fn queue(store: &dyn Store, part: usize) {
    const KEPT: usize = 20;
    let name = |number: usize| key(format!("queue/{:09}", part * 1_000_000 + number));
    for number in 0..1200 {
        let size = 4096 << (number % 5);
        let mut write = txn().put(name(number), vec![number as u8; size]);
        write = write.put(key("queue-head"), number.to_string());
        if let Some(old) = number.checked_sub(KEPT) {
            write = write.delete(name(old));
        }
        store.commit(&write).await.expect("a commit");
    }
    for number in 1200 - KEPT..1200 {
        store.commit(&txn().delete(name(number))).await.expect("a commit");
    }
}

fn used(path: &Path) -> u64 {
    let entries = fs::read_dir(path).expect("a directory");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        // What went away meanwhile takes no room.
        let Ok(data) = entry.metadata() else { return 0 };
        if data.is_dir() { used(&entry.path()) } else { data.blocks() * 512 }
    });
    sizes.sum()
}
