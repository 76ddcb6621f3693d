//! What many clients do at once can be explained by some order.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::StoreFixture;
use super::client::{Client, key, txn};
use super::concurrency::{all, polled_at_most};
use crate::store::{Entry, Key, KeyRange, Order, Store};
use crate::testkit::linearizability::{Recorder, check};
use crate::testkit::random::Random;

/// How many work at once.
const CLIENTS: usize = 8;

/// How many calls each makes with one seed.
const CALLS: usize = 60;

/// The calls of many clients at once, over a few keys, each take effect at one
/// instant between their beginning and their answer: some order explains every
/// answer to all gets, scans and commits.
///
/// # Panics
/// When none does; the message tells the seed and the shortest part of the
/// history that is wrong.
pub async fn concurrent_commits_are_linearizable(fixture: &StoreFixture) {
    let fresh = uuid::Uuid::now_v7().as_u64_pair().1;
    for seed in [1, 2, fresh] {
        let recorder = Recorder::new();
        let mut tasks = JoinSet::new();
        for number in 0..CLIENTS {
            let store = match number % 2 {
                0 => &fixture.store,
                _ => fixture.other.as_ref().unwrap_or(&fixture.store),
            };
            let store = recorder.client(number, store.clone());
            let random = Random::new(seed.wrapping_mul(31).wrapping_add(number as u64));
            tasks.spawn(Guest::new(store, number, seed, random).work());
        }
        all(tasks).await;
        let history = recorder.history();
        if let Err(violation) = check(&history) {
            panic!("not linearizable, with seed {seed}: {violation}");
        }
    }
}

/// One client with what it remembers.
struct Guest {
    client: Client,
    number: usize,
    random: Random,
    range: KeyRange,
    /// The keys, each with the entry that this client believes to be there.
    known: Vec<(Key, Option<Entry>)>,
}

impl Guest {
    fn new(store: Arc<dyn Store>, number: usize, seed: u64, random: Random) -> Self {
        let keys = ["a", "a\0", "b", "c/d", "e"];
        let known = keys.map(|name| (key(format!("{seed}/{name}")), None)).into();
        let range = KeyRange::prefix(format!("{seed}/"));
        Self { client: Client::new(&store), number, random, range, known }
    }

    async fn work(mut self) {
        for call in 0..CALLS {
            match self.random.below(10) {
                0..=2 => self.get().await,
                3..=4 => self.scan().await,
                _ => self.commit(call).await,
            }
        }
    }

    async fn get(&mut self) {
        let count = 1 + self.random.below(4);
        let chosen: Vec<usize> = (0..count).map(|_| self.random.below(self.known.len())).collect();
        let keys: Vec<Key> = chosen.iter().map(|at| self.known[*at].0.clone()).collect();
        for (at, entry) in chosen.into_iter().zip(self.client.get(&keys).await) {
            self.known[at].1 = entry;
        }
    }

    async fn scan(&mut self) {
        let mut range = self.range.clone();
        let bound = self.known[self.random.below(self.known.len())].0.clone();
        range = match self.random.below(3) {
            0 => range.after(&bound),
            1 => range.before(&bound),
            _ => range,
        };
        let order = [Order::Ascending, Order::Descending][self.random.below(2)];
        let limit = 1 + self.random.below(self.known.len());
        for (key, entry) in self.client.scan(&range, order, limit).await {
            let known = self.known.iter_mut().find(|(known, _)| *known == key);
            let Some(known) = known else { panic!("a scan of {range:?} yields `{key}`") };
            known.1 = Some(entry);
        }
    }

    async fn commit(&mut self, call: usize) {
        let mut txn = txn();
        for (at, (key, entry)) in self.known.iter().enumerate() {
            if self.random.one_in(3) {
                txn = txn.check(key.clone(), entry.as_ref().map(|entry| entry.revision));
            }
            txn = match self.random.below(6) {
                0..=1 => txn.put(key.clone(), format!("{}.{call}.{at}", self.number)),
                2 => txn.delete(key.clone()),
                _ => txn,
            };
        }
        if self.random.one_in(25) {
            let patience = Duration::from_micros(1 << self.random.below(12));
            let commit = polled_at_most(1 + self.random.below(4), self.client.commit(&txn));
            // Whether it was done, or will be, is left open.
            let _ = tokio::time::timeout(patience, commit).await;
        } else {
            self.client.commit(&txn).await;
        }
    }
}
