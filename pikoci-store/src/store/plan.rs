//! Works out what a group of commits comes to, before anything is written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use pikoci_core::store::{Key, Outcome, Revision, Txn, Write};

use super::head::Head;

/// What a backend knows of the entry of a key before the group.
pub(crate) trait Before {
    /// Its revision, if it is there.
    fn revision(&self) -> Option<Revision>;
}

/// What a key comes to.
#[derive(Debug)]
struct Change<B> {
    /// Its entry before the group.
    before: B,
    /// What the group puts last; `Some(None)` if it deletes it, `None` if it leaves it.
    after: Option<Option<(Revision, Bytes)>>,
}

impl<B: Before> Change<B> {
    fn revision(&self) -> Option<Revision> {
        match &self.after {
            Some(after) => after.as_ref().map(|(revision, _)| *revision),
            None => self.before.revision(),
        }
    }
}

/// What a group of commits comes to, key by key: a value that the group itself
/// replaces is never written.
#[derive(Debug)]
pub(crate) struct Plan<B> {
    head: Head,
    keys: BTreeMap<Key, Change<B>>,
    writes: bool,
}

impl<B: Before> Plan<B> {
    /// A plan without commits, on top of `head`.
    pub(crate) fn new(head: Head) -> Self {
        Self { head, keys: BTreeMap::new(), writes: false }
    }

    /// Adds a commit on top of those before it; `read` tells what a key holds
    /// before the group.
    pub(crate) fn add<E>(
        &mut self,
        txn: &Txn,
        mut read: impl FnMut(&Key) -> Result<B, E>,
    ) -> Result<Outcome, E> {
        for check in &txn.checks {
            if self.key(&check.key, &mut read)?.revision() != check.revision {
                return Ok(Outcome::Conflict);
            }
        }
        if txn.writes.is_empty() {
            return Ok(Outcome::Committed(Revision(self.head.revision.max(1))));
        }
        self.writes = true;
        self.head.revision += 1;
        let revision = Revision(self.head.revision);
        for write in &txn.writes {
            let after = match write {
                Write::Put(_, value) => Some((revision, value.clone())),
                Write::Delete(_) => None,
            };
            self.key(write.key(), &mut read)?.after = Some(after);
        }
        Ok(Outcome::Committed(revision))
    }

    fn key<E>(
        &mut self,
        key: &Key,
        read: impl FnOnce(&Key) -> Result<B, E>,
    ) -> Result<&mut Change<B>, E> {
        match self.keys.entry(key.clone()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let before = read(key)?;
                Ok(entry.insert(Change { before, after: None }))
            }
        }
    }

    /// Whether nothing is to be written.
    pub(crate) fn is_empty(&self) -> bool {
        !self.writes
    }

    /// The state after the group, and each key that it writes, with what it
    /// held and what it will hold.
    pub(crate) fn finish(self) -> (Head, Vec<Written<B>>) {
        let mut head = self.head;
        let mut written = Vec::new();
        for (key, change) in self.keys {
            let new = change.revision();
            if let Some(after) = change.after {
                head.tally.replace(&key, change.before.revision(), new);
                written.push(Written { key, before: change.before, after });
            }
        }
        (head, written)
    }
}

/// A key that a group writes.
#[derive(Debug)]
pub(crate) struct Written<B> {
    pub(crate) key: Key,
    /// What it held.
    pub(crate) before: B,
    /// What it will hold; `None` if it is deleted.
    pub(crate) after: Option<(Revision, Bytes)>,
}
