//! What the writers commit, and what must be found of it after a crash.
//!
//! Each writer counts its commits from 1. Commit `n` sets four of its own keys
//! to values made of `n`, removes what commit `n - 1` had added besides, adds
//! one of its own, and is checked against what it read: it is whole or absent.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use pikoci_core::store::{Entry, Key, KeyRange, Order, Outcome, Store, Txn};
use uuid::Uuid;

/// Writers at the same time.
pub(crate) const WRITERS: usize = 8;

/// Keys that each commit sets.
const KEYS: usize = 4;

/// Numbers that are random enough, from a seed (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(number).expect("32 bits") % bound
    }
}

/// The last commit of each writer that was acknowledged, or found.
#[derive(Debug, Default, Clone)]
pub(crate) struct Acknowledged(BTreeMap<usize, u64>);

impl Acknowledged {
    pub(crate) fn tell(&mut self, writer: usize, commit: u64) {
        let last = self.0.entry(writer).or_default();
        *last = commit.max(*last);
    }

    fn last(&self, writer: usize) -> u64 {
        self.0.get(&writer).copied().unwrap_or(0)
    }

    pub(crate) fn to_text(&self) -> String {
        let parts: Vec<String> =
            self.0.iter().map(|(writer, commit)| format!("{writer} {commit}")).collect();
        parts.join(",")
    }

    pub(crate) fn from_text(text: &str) -> Self {
        let parts = text.split(',').filter(|part| !part.is_empty());
        Self(parts.map(|part| parse_acknowledgement(part).expect("a commit")).collect())
    }
}

pub(crate) fn parse_acknowledgement(line: &str) -> Option<(usize, u64)> {
    let (writer, commit) = line.split_once(' ')?;
    Some((writer.parse().ok()?, commit.parse().ok()?))
}

fn key(writer: usize, name: &str) -> Key {
    Key::new(format!("w{writer}/{name}")).expect("a key")
}

/// The value of one key of a commit: its number and bytes that follow from
/// it, mostly few, now and then as many as a value may have.
fn value(writer: usize, commit: u64, at: usize) -> Vec<u8> {
    let mut random = Random::new(commit * 1000 + (writer * KEYS + at) as u64);
    let length = match random.below(40) {
        0 => 64 * 1024 - 8,
        1..=4 => random.below(8000),
        _ => random.below(200),
    };
    let mut bytes = commit.to_be_bytes().to_vec();
    bytes.extend((0..length).map(|_| u8::try_from(random.below(256)).expect("a byte")));
    bytes
}

fn commit_of(entry: &Entry) -> u64 {
    u64::from_be_bytes(entry.value[..8].try_into().expect("a number"))
}

/// Commits and tells, until it is killed.
pub(crate) async fn write(store: Arc<dyn Store>, writers: usize, from: Acknowledged) {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| tokio::spawn(write_one(store.clone(), writer, from.last(writer))))
        .collect();
    for task in tasks {
        task.await.expect("a writer");
    }
}

async fn write_one(store: Arc<dyn Store>, writer: usize, last: u64) {
    for commit in last + 1.. {
        let keys: Vec<Key> = (0..KEYS).map(|at| key(writer, &format!("k{at}"))).collect();
        let found = store.get(&keys).await.expect("a read");
        let mut txn = Txn::new(Uuid::now_v7());
        for (at, (key, entry)) in keys.into_iter().zip(found).enumerate() {
            let before = entry.as_ref().map_or(0, commit_of);
            assert_eq!(before, commit - 1, "writer {writer} finds its own last commit");
            txn = txn.check(key.clone(), entry.map(|entry| entry.revision));
            txn = txn.put(key, value(writer, commit, at));
        }
        txn = txn.delete(key(writer, &format!("log/{:020}", commit - 1)));
        txn = txn.put(key(writer, &format!("log/{commit:020}")), "");
        match store.commit(&txn).await.expect("a commit") {
            Outcome::Committed(_) => {}
            Outcome::Conflict => panic!("writer {writer} is alone with its keys"),
        }
        // One write, whole: the reader takes what comes before the kill.
        let line = format!("{writer} {commit}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("someone who listens");
    }
}

/// Panics unless everything acknowledged is there and every commit is whole;
/// returns how many commits are there that were not acknowledged.
pub(crate) async fn verify(
    store: &dyn Store,
    acknowledged: &mut Acknowledged,
    context: &str,
) -> usize {
    let mut more = 0;
    for writer in 0..WRITERS {
        let last = acknowledged.last(writer);
        let keys: Vec<Key> = (0..KEYS).map(|at| key(writer, &format!("k{at}"))).collect();
        let found = store.get(&keys).await.expect("a read");
        let commits: Vec<u64> =
            found.iter().map(|entry| entry.as_ref().map_or(0, commit_of)).collect();
        let commit = commits[0];
        assert!(
            commits.iter().all(|other| *other == commit),
            "{context}: a commit of writer {writer} is there in part: {commits:?}"
        );
        assert!(
            commit == last || commit == last + 1,
            "{context}: writer {writer} was told of commit {last}, and {commit} is there"
        );
        for (at, entry) in found.iter().flatten().enumerate() {
            assert!(
                entry.value == value(writer, commit, at),
                "{context}: commit {commit} of writer {writer} has another value"
            );
        }
        let range = KeyRange::prefix(format!("w{writer}/log/"));
        let log = store.scan(&range, Order::Ascending, 10).await.expect("a scan");
        let log: Vec<String> = log.iter().map(|(key, _)| key.to_string()).collect();
        let expected: Vec<String> =
            (commit > 0).then(|| format!("w{writer}/log/{commit:020}")).into_iter().collect();
        assert_eq!(log, expected, "{context}: what commit {commit} of writer {writer} added");
        more += usize::from(commit > last);
        acknowledged.tell(writer, commit);
    }
    more
}
