//! The store as it should be, small enough to be tried many times.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use super::history::{Answer, Call, Operation};
use crate::store::{Entry, Key, Order, Outcome, Txn};

/// A value by its number, and its revision.
type Seen = (usize, u64);

/// What is in the store, by the numbers of its keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    entries: Vec<Option<Seen>>,
    /// The greatest revision that each key ever had.
    greatest: Vec<u64>,
}

/// A call with its answer, in numbers.
#[derive(Debug)]
pub(super) enum Step {
    /// These keys hold this.
    Saw(Vec<(usize, Option<Seen>)>),
    /// The first so many of these keys that hold something are these.
    Found { among: Vec<usize>, limit: usize, found: Vec<(usize, Seen)> },
    /// A check does not hold.
    Conflicted(Vec<(usize, Option<u64>)>),
    /// All checks hold, and this is written.
    Committed {
        checks: Vec<(usize, Option<u64>)>,
        writes: Vec<(usize, Option<usize>)>,
        revision: u64,
        /// Whether the revision is what the store said.
        known: bool,
    },
    /// An answer that no store can give to this call.
    Impossible,
}

/// All keys and values of a history, and its calls in numbers.
#[derive(Debug)]
pub(super) struct Model {
    keys: Vec<Key>,
    values: Vec<Bytes>,
    pub(super) steps: Vec<Step>,
}

impl Model {
    pub(super) fn new(history: &[Operation]) -> Self {
        let mut keys = BTreeSet::new();
        let mut values = BTreeSet::new();
        // Which revisions each value was seen with.
        let mut seen: HashMap<(&Key, &Bytes), u64> = HashMap::new();
        for operation in history {
            for (key, entry) in entries_of(operation) {
                keys.insert(key.clone());
                values.insert(entry.value.clone());
                seen.insert((key, &entry.value), entry.revision.0);
            }
        }
        for operation in history {
            match &operation.call {
                Call::Get(asked) => keys.extend(asked.iter().cloned()),
                Call::Scan(..) => {}
                Call::Commit(txn) => {
                    keys.extend(txn.checks.iter().map(|check| check.key.clone()));
                    keys.extend(txn.writes.iter().map(|write| write.key().clone()));
                    values.extend(txn.writes.iter().filter_map(|write| write.value().cloned()));
                }
            }
        }
        let mut model = Self {
            keys: keys.into_iter().collect(),
            values: values.into_iter().collect(),
            steps: Vec::new(),
        };
        for (at, operation) in history.iter().enumerate() {
            let step = match (&operation.call, &operation.answered) {
                (Call::Commit(txn), None) => {
                    // A revision that nobody saw is one that nobody can name.
                    let nobodys = u64::MAX - at as u64;
                    let was_seen = txn
                        .writes
                        .iter()
                        .find_map(|write| seen.get(&(write.key(), write.value()?)).copied());
                    model.commit(txn, was_seen.unwrap_or(nobodys), was_seen.is_some())
                }
                (call, Some((_, answer))) => model.step(call, answer),
                // A read without an answer tells nothing.
                (_, None) => Step::Saw(Vec::new()),
            };
            model.steps.push(step);
        }
        model
    }

    pub(super) fn start(&self) -> State {
        State { entries: vec![None; self.keys.len()], greatest: vec![0; self.keys.len()] }
    }

    fn key(&self, key: &Key) -> usize {
        self.keys.partition_point(|it| it < key)
    }

    fn value(&self, value: &Bytes) -> usize {
        self.values.partition_point(|it| it < value)
    }

    fn seen(&self, entry: &Entry) -> Seen {
        (self.value(&entry.value), entry.revision.0)
    }

    fn checks(&self, txn: &Txn) -> Vec<(usize, Option<u64>)> {
        let number = |check: &crate::store::Check| {
            (self.key(&check.key), check.revision.map(|revision| revision.0))
        };
        txn.checks.iter().map(number).collect()
    }

    fn commit(&self, txn: &Txn, revision: u64, known: bool) -> Step {
        let number = |write: &crate::store::Write| {
            (self.key(write.key()), write.value().map(|value| self.value(value)))
        };
        let writes = txn.writes.iter().map(number).collect();
        Step::Committed { checks: self.checks(txn), writes, revision, known }
    }

    fn step(&self, call: &Call, answer: &Answer) -> Step {
        match (call, answer) {
            (Call::Get(keys), Answer::Got(found)) if keys.len() == found.len() => {
                let pairs = keys.iter().zip(found);
                Step::Saw(
                    pairs
                        .map(|(key, entry)| (self.key(key), entry.as_ref().map(|it| self.seen(it))))
                        .collect(),
                )
            }
            (Call::Scan(range, order, limit), Answer::Scanned(found)) => {
                let inside = |at: &usize| range.contains(&self.keys[*at]);
                let mut among: Vec<usize> = (0..self.keys.len()).filter(inside).collect();
                if *order == Order::Descending {
                    among.reverse();
                }
                let number = |(key, entry): &(Key, Entry)| (self.key(key), self.seen(entry));
                Step::Found { among, limit: *limit, found: found.iter().map(number).collect() }
            }
            (Call::Commit(txn), Answer::Ended(Outcome::Conflict)) => {
                Step::Conflicted(self.checks(txn))
            }
            (Call::Commit(txn), Answer::Ended(Outcome::Committed(revision))) => {
                self.commit(txn, revision.0, true)
            }
            _ => Step::Impossible,
        }
    }

    /// What is in the store, for people.
    pub(super) fn show(&self, state: &State) -> String {
        let entries = self.keys.iter().zip(&state.entries).map(|(key, entry)| match entry {
            Some((value, revision)) => {
                format!("{key}={}@{revision}", self.values[*value].escape_ascii())
            }
            None => format!("{key}=none"),
        });
        entries.collect::<Vec<_>>().join(" ")
    }
}

fn entries_of(operation: &Operation) -> Vec<(&Key, &Entry)> {
    match (&operation.call, &operation.answered) {
        (Call::Get(keys), Some((_, Answer::Got(found)))) => {
            keys.iter().zip(found).filter_map(|(key, entry)| Some((key, entry.as_ref()?))).collect()
        }
        (_, Some((_, Answer::Scanned(found)))) => {
            found.iter().map(|(key, entry)| (key, entry)).collect()
        }
        _ => Vec::new(),
    }
}

impl State {
    fn hold(&self, checks: &[(usize, Option<u64>)]) -> bool {
        checks
            .iter()
            .all(|(key, revision)| self.entries[*key].map(|(_, revision)| revision) == *revision)
    }
}

impl Step {
    /// Whether it leaves everything as it is.
    pub(super) fn is_read(&self) -> bool {
        match self {
            Self::Committed { writes, .. } => writes.is_empty(),
            _ => true,
        }
    }

    /// The keys that it depends on or changes.
    pub(super) fn keys(&self) -> Vec<usize> {
        let checked = |checks: &[(usize, Option<u64>)]| -> Vec<usize> {
            checks.iter().map(|(key, _)| *key).collect()
        };
        match self {
            Self::Saw(seen) => seen.iter().map(|(key, _)| *key).collect(),
            Self::Found { among, .. } => among.clone(),
            Self::Conflicted(checks) => checked(checks),
            Self::Committed { checks, writes, .. } => {
                let mut keys = checked(checks);
                keys.extend(writes.iter().map(|(key, _)| *key));
                keys
            }
            Self::Impossible => Vec::new(),
        }
    }

    /// Whether the step can be taken in this state, if it changes nothing.
    pub(super) fn is_seen_in(&self, state: &State) -> bool {
        match self {
            Self::Saw(seen) => seen.iter().all(|(key, entry)| state.entries[*key] == *entry),
            Self::Found { among, limit, found } => {
                let there = among.iter().filter_map(|key| Some((*key, state.entries[*key]?)));
                there.take(*limit).eq(found.iter().copied())
            }
            Self::Conflicted(checks) => !state.hold(checks),
            Self::Committed { checks, .. } => state.hold(checks),
            Self::Impossible => false,
        }
    }

    /// The state after the step, if it can be taken.
    pub(super) fn after(&self, state: &State) -> Option<State> {
        if !self.is_seen_in(state) {
            return None;
        }
        let mut after = state.clone();
        if let Self::Committed { writes, revision, known, .. } = self {
            let puts = writes.iter().any(|(_, value)| value.is_some());
            for (key, value) in writes {
                // What only deletes need not use up a revision.
                if *known && puts && *revision <= after.greatest[*key] {
                    return None;
                }
                after.entries[*key] = value.map(|value| (value, *revision));
                if *known && value.is_some() {
                    after.greatest[*key] = *revision;
                }
            }
        }
        Some(after)
    }
}
