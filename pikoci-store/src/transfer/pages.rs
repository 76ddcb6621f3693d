//! A whole store, read page by page until nothing changes any more.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use pikoci_core::Store;
use pikoci_core::store::limits::MAX_SCAN_ENTRIES;
use pikoci_core::store::{Entry, Key, KeyRange};

use super::error::TransferError;
use super::scan::scan;

/// How often a store is read, at most, unless told otherwise.
pub const DEFAULT_PASSES: u32 = 5;

/// How many entries the first page has. The next have more if these were small.
const FIRST_PAGE: usize = 100;

/// How many bytes a page should have, roughly.
const PAGE_BYTES: usize = 1024 * 1024;

/// How far something has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Which reading this is, from 1.
    pub pass: u32,
    /// The entries that were read in this pass.
    pub entries: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
}

/// What was moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The entries there were at the last reading.
    pub entries: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
    /// How often all was read.
    pub passes: u32,
    /// Whether the last two readings found the same: every entry of one was in
    /// the other with the same revision, and there were no others. What was
    /// put and deleted again between the two leaves no trace and is not counted.
    pub is_consistent: bool,
    /// The entries of the pages in which something changed to the last. Empty
    /// pages count as one.
    pub moving_entries: u64,
    /// The first key of the first of these pages.
    pub moving_from: Option<Key>,
}

/// The entries of a range, which has no others.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) range: KeyRange,
    pub(super) entries: Vec<(Key, Entry)>,
    /// Something else was told of this range before.
    pub(super) again: bool,
}

/// A range that was read, and what it was.
struct Known {
    range: KeyRange,
    fingerprint: u64,
}

/// Reads a store. Holds a page, and of each page its last key and a number.
pub(super) struct Pages {
    store: Arc<dyn Store>,
    max_passes: u32,
    progress: Progress,
    /// What remains to be read in this pass; without a fingerprint for what
    /// was not read before.
    todo: VecDeque<(KeyRange, Option<u64>)>,
    /// What was read in this pass.
    done: Vec<Known>,
    /// How many entries to ask for.
    limit: usize,
    summary: Summary,
}

impl Pages {
    pub(super) fn new(store: Arc<dyn Store>, max_passes: u32) -> Self {
        Self {
            store,
            max_passes: max_passes.max(1),
            progress: Progress { pass: 1, ..Progress::default() },
            todo: VecDeque::from([(KeyRange::all(), None)]),
            done: Vec::new(),
            limit: FIRST_PAGE,
            summary: Summary::default(),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// What there was, once there are no more pages.
    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The next page that says something new; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, TransferError> {
        loop {
            let Some((mut range, known)) = self.todo.pop_front() else {
                if self.next_pass() {
                    continue;
                }
                return Ok(None);
            };
            let entries = self.read(&range).await?;
            if entries.len() == self.limit
                && let Some((last, _)) = entries.last()
            {
                let rest = range.after(last);
                range = KeyRange::new(range.start().clone(), Some(rest.start().clone()));
                if !rest.is_empty() {
                    // What follows was told together with this.
                    self.todo.push_front((rest, known.map(|_| 0)));
                }
            }
            self.adapt(&entries);
            let fingerprint = fingerprint(&range, &entries);
            let changed = known != Some(fingerprint);
            self.done.push(Known { range: range.clone(), fingerprint });
            if !changed {
                continue;
            }
            if known.is_some() {
                self.summary.moving_entries += entries.len().max(1) as u64;
                if self.summary.moving_from.is_none() {
                    let first = entries.first().map(|(key, _)| key.clone());
                    self.summary.moving_from =
                        first.or_else(|| Key::new(range.start().clone()).ok());
                }
            }
            return Ok(Some(Page { range, entries, again: known.is_some() }));
        }
    }

    /// Begins the next reading, if there is one to be.
    fn next_pass(&mut self) -> bool {
        let pass = self.progress.pass;
        self.summary.entries = self.progress.entries;
        self.summary.bytes = self.progress.bytes;
        self.summary.passes = pass;
        self.summary.is_consistent = pass > 1 && self.summary.moving_entries == 0;
        if self.summary.is_consistent || pass >= self.max_passes {
            return false;
        }
        self.progress = Progress { pass: pass + 1, ..Progress::default() };
        self.summary.moving_entries = 0;
        self.summary.moving_from = None;
        // Pages keep their ranges, so only what was added makes them larger.
        self.limit = MAX_SCAN_ENTRIES;
        let done = std::mem::take(&mut self.done);
        self.todo = done.into_iter().map(|known| (known.range, Some(known.fingerprint))).collect();
        true
    }

    async fn read(&mut self, range: &KeyRange) -> Result<Vec<(Key, Entry)>, TransferError> {
        let entries = scan(&*self.store, range, self.limit).await?;
        self.progress.entries += entries.len() as u64;
        self.progress.bytes += size(&entries) as u64;
        Ok(entries)
    }

    /// Asks for more entries at a time where they are small.
    fn adapt(&mut self, entries: &[(Key, Entry)]) {
        let bytes = size(entries);
        if self.progress.pass > 1 {
            return;
        }
        if bytes > PAGE_BYTES * 2 {
            self.limit = (self.limit / 2).max(FIRST_PAGE / 4);
        } else if bytes < PAGE_BYTES / 2 && entries.len() == self.limit {
            self.limit = (self.limit * 2).min(MAX_SCAN_ENTRIES);
        }
    }
}

fn size(entries: &[(Key, Entry)]) -> usize {
    entries.iter().map(|(key, entry)| key.as_bytes().len() + entry.value.len()).sum()
}

/// A number that is another one if anything in the range was written: a key
/// never has the same revision twice.
fn fingerprint(range: &KeyRange, entries: &[(Key, Entry)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    range.hash(&mut hasher);
    for (key, entry) in entries {
        key.hash(&mut hasher);
        entry.revision.hash(&mut hasher);
    }
    // Zero stands for what is known to have been something else.
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use pikoci_core::store::{MemoryStore, Txn};
    use uuid::Uuid;

    use super::*;

    fn key(number: usize) -> Key {
        Key::new(format!("key-{number:05}")).expect("a key")
    }

    async fn put(store: &MemoryStore, number: usize, value: &str) {
        let txn = Txn::new(Uuid::now_v7()).put(key(number), value.to_owned());
        store.commit(&txn).await.expect("it is committed");
    }

    /// Reads all, and writes through `meanwhile` after each page.
    async fn read(
        store: &Arc<MemoryStore>,
        mut meanwhile: impl AsyncFnMut(&MemoryStore, u64),
    ) -> (BTreeMap<Key, Bytes>, Summary) {
        let mut pages = Pages::new(store.clone(), DEFAULT_PASSES);
        let mut all = BTreeMap::new();
        let mut number = 0;
        while let Some(page) = pages.next().await.expect("a page") {
            assert!(page.again || all.keys().all(|key| !page.range.contains(key)));
            all.retain(|key, _| !page.range.contains(key));
            for (key, entry) in page.entries {
                assert!(page.range.contains(&key));
                all.insert(key, entry.value);
            }
            number += 1;
            meanwhile(store, number).await;
        }
        (all, pages.summary().clone())
    }

    async fn filled(count: usize) -> Arc<MemoryStore> {
        let store = Arc::new(MemoryStore::new());
        for number in 0..count {
            put(&store, number * 2, "first").await;
        }
        store
    }

    #[tokio::test]
    async fn a_store_at_rest_is_read_twice_and_told_once() {
        for count in [0, 1, 99, 100, 101, 3000] {
            let store = filled(count).await;
            let (all, summary) = read(&store, async |_, _| {}).await;
            assert_eq!(all.len(), count);
            assert!(summary.is_consistent, "{count}: {summary:?}");
            assert_eq!((summary.entries, summary.passes), (count as u64, 2), "{count}");
            assert_eq!(summary.moving_entries, 0);
        }
    }

    #[tokio::test]
    async fn what_changes_meanwhile_is_told_again_until_nothing_does() {
        let store = filled(3000).await;
        let (all, summary) = read(&store, async |store, page| {
            if page == 3 {
                put(store, 0, "second").await;
                put(store, 1, "new").await;
                let delete = Txn::new(Uuid::now_v7()).delete(key(2)).delete(key(5998));
                store.commit(&delete).await.expect("it is committed");
                for number in 0..1200 {
                    put(store, 11 + number * 2, "many more on one page").await;
                }
            }
        })
        .await;
        assert!(summary.is_consistent, "{summary:?}");
        assert_eq!(summary.passes, 3);
        assert_eq!(summary.entries, 3000 + 1 - 2 + 1200);
        let now = Pages::new(store.clone(), 1).next().await.expect("a page").expect("one");
        assert_eq!(all[&key(0)], "second");
        assert!(now.entries.iter().all(|(key, entry)| all[key] == entry.value));
        assert!(!all.contains_key(&key(2)) && !all.contains_key(&key(5998)));
        assert_eq!(all.len() as u64, summary.entries);
    }

    #[tokio::test]
    async fn a_store_that_is_never_at_rest_is_told_as_such() {
        let store = filled(10).await;
        let (all, summary) = read(&store, async |store, page| {
            put(store, 0, &page.to_string()).await;
        })
        .await;
        assert!(!summary.is_consistent);
        assert_eq!(summary.passes, DEFAULT_PASSES);
        assert_eq!(summary.moving_from, Some(key(0)));
        assert_eq!(all.len(), 10);
    }
}
