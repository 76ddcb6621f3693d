//! Looks into a store: what is there, and whether it can be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use pikoci_core::Store;
use pikoci_core::database::Envelope;
use pikoci_core::store::Key;
use pikoci_core::store::limits::MAX_GET_KEYS;
use serde_json::Value;

use super::error::TransferError;
use super::kind::{Expected, kind_of, record_of, shown};
use super::pages::{Pages, Progress};
use super::scan::get;

/// How many problems are named. The others are counted.
const NAMED: usize = 10;

/// What was found in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Each kind of thing there is, by its name for people.
    pub kinds: BTreeMap<String, KindCheck>,
    /// How many problems there are.
    pub problems: u64,
    /// The first ten of them, for people.
    pub named: Vec<String>,
}

/// What was found of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindCheck {
    /// The entries there are.
    pub entries: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
    /// The entries that cannot be read, or stand for nothing.
    pub bad: u64,
}

/// Reads all of `store` once: every value of the typed layer must be readable,
/// and every entry of an index must stand for a record. `told` hears how far
/// it is. What changes meanwhile is no problem.
///
/// # Errors
/// When the store cannot be read.
pub async fn check(
    store: Arc<dyn Store>,
    mut told: impl FnMut(Progress),
) -> Result<Check, TransferError> {
    let mut pages = Pages::new(store.clone(), 1);
    let mut found = Check::default();
    while let Some(page) = pages.next().await? {
        let mut index_entries = Vec::new();
        for (key, entry) in page.entries {
            let (kind, expected) = kind_of(&key);
            let tally = found.kinds.entry(kind.clone()).or_default();
            tally.entries += 1;
            tally.bytes += (key.as_bytes().len() + entry.value.len()) as u64;
            match readable(&key, &entry.value, expected) {
                Ok(Some(record)) => index_entries.push((key, record, kind)),
                Ok(None) => {}
                Err(problem) => found.bad(&kind, &key, &problem),
            }
        }
        for some in index_entries.chunks(MAX_GET_KEYS / 2) {
            for (key, kind) in stale(&*store, some).await? {
                found.bad(kind, key, "stands for no record");
            }
        }
        told(pages.progress());
    }
    Ok(found)
}

impl Check {
    /// The entries of all kinds.
    pub fn entries(&self) -> u64 {
        self.kinds.values().map(|kind| kind.entries).sum()
    }

    /// The bytes of all kinds.
    pub fn bytes(&self) -> u64 {
        self.kinds.values().map(|kind| kind.bytes).sum()
    }

    fn bad(&mut self, kind: &str, key: &Key, problem: &str) {
        self.kinds.entry(kind.to_owned()).or_default().bad += 1;
        self.problems += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("`{}` {problem}", shown(key)));
        }
    }
}

/// What is wrong with a value; the record that an entry of an index stands for.
fn readable(key: &Key, value: &Bytes, expected: Expected) -> Result<Option<Key>, String> {
    match (expected, Envelope::open(value)) {
        (Expected::Anything, _) => Ok(None),
        (Expected::Json, Some(Envelope::Json { json, .. })) => {
            let parsed = serde_json::from_slice::<Value>(&json);
            parsed.map(|_| None).map_err(|error| format!("is not JSON: {error}"))
        }
        (Expected::Id, Some(Envelope::Parts(id))) => {
            record_of(key, id).map(Some).ok_or_else(|| "stands for no id".to_owned())
        }
        _ => Err("cannot be read: its envelope is unknown or damaged".to_owned()),
    }
}

/// The entries of indexes that are there while their record is not.
async fn stale<'a>(
    store: &dyn Store,
    entries: &'a [(Key, Key, String)],
) -> Result<Vec<(&'a Key, &'a str)>, TransferError> {
    // Both as of one instant: they may change together meanwhile.
    let keys: Vec<Key> =
        entries.iter().flat_map(|(entry, record, _)| [entry.clone(), record.clone()]).collect();
    let now = get(store, &keys).await?;
    let pairs = now.chunks(2).zip(entries);
    Ok(pairs
        .filter(|(pair, _)| matches!(pair, [Some(_), None]))
        .map(|(_, (key, _, kind))| (key, kind.as_str()))
        .collect())
}
