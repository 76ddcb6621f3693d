//! A sum over all entries, which tells whether any was lost.

use pikoci_core::store::{Key, Revision};

/// What all entries add up to. It is kept in step with each commit, so that
/// an entry that got lost, or an old one that came back, is found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many there are.
    pub(crate) entries: u64,
    /// The sum of their revisions, wrapped.
    revisions: u64,
    /// The sum of the products of each key's check sum and its revision, wrapped.
    keys: u64,
}

/// The bytes of a tally as it is stored.
pub(crate) const TALLY_SIZE_BYTES: usize = 24;

impl Tally {
    /// Counts an entry in.
    pub(crate) fn add(&mut self, key: &[u8], revision: Revision) {
        self.entries = self.entries.wrapping_add(1);
        self.revisions = self.revisions.wrapping_add(revision.0);
        self.keys = self.keys.wrapping_add(product(key, revision));
    }

    /// Counts an entry out.
    pub(crate) fn remove(&mut self, key: &[u8], revision: Revision) {
        self.entries = self.entries.wrapping_sub(1);
        self.revisions = self.revisions.wrapping_sub(revision.0);
        self.keys = self.keys.wrapping_sub(product(key, revision));
    }

    /// Counts `old` out and `new` in.
    pub(crate) fn replace(&mut self, key: &Key, old: Option<Revision>, new: Option<Revision>) {
        if let Some(old) = old {
            self.remove(key.as_bytes(), old);
        }
        if let Some(new) = new {
            self.add(key.as_bytes(), new);
        }
    }

    /// What to say where `self` should be there and `found` is.
    pub(crate) fn difference(&self, found: &Self) -> String {
        let same = if self.entries == found.entries { ", not the same" } else { "" };
        format!("it should hold {} entries, it holds {}{same}", self.entries, found.entries)
    }

    /// How much of what should be there, `all`, can be read.
    pub(crate) fn readable(&self, all: &Self) -> String {
        match all.entries {
            0 => format!("{} entries can be read", self.entries),
            all => format!("{} of {all} entries can be read", self.entries),
        }
    }

    /// As it is stored.
    pub(crate) fn encode(&self) -> [u8; TALLY_SIZE_BYTES] {
        let mut bytes = [0; TALLY_SIZE_BYTES];
        let numbers = [self.entries, self.revisions, self.keys];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// What was stored.
    pub(crate) fn decode(bytes: &[u8; TALLY_SIZE_BYTES]) -> Self {
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
            u64::from_be_bytes(number)
        };
        Self { entries: number(0), revisions: number(1), keys: number(2) }
    }
}

fn product(key: &[u8], revision: Revision) -> u64 {
    u64::from(crc32fast::hash(key)).wrapping_mul(revision.0)
}
