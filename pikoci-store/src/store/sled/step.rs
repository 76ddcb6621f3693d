//! What one group writes to sled.

use std::collections::BTreeMap;

use bytes::Bytes;
use pikoci_core::store::{Entry, Key, Revision};

use super::codec::{self, MAX_PIECE_SIZE_BYTES, Pieces, Stored};
use super::view::{ReadError, decode};
use crate::store::head::Head;
use crate::store::plan::{Before, Plan};

/// What a key held.
#[derive(Debug)]
pub(super) struct Held {
    entry: Option<Entry>,
    /// Where the pieces of its value stand.
    pieces: Option<Pieces>,
}

impl Held {
    pub(super) fn read(db: &sled::Db, key: &Key) -> Result<Self, ReadError> {
        let Some(stored) = db.get(codec::entry_key(key.as_bytes()))? else {
            return Ok(Self { entry: None, pieces: None });
        };
        let pieces = match Stored::decode(&stored) {
            Some(Stored::InPieces(pieces)) => Some(pieces),
            _ => None,
        };
        Ok(Self { entry: Some(decode(db, key, &stored)?), pieces })
    }
}

impl Before for Held {
    fn revision(&self) -> Option<Revision> {
        self.entry.as_ref().map(|entry| entry.revision)
    }
}

/// What is written at once, durable together.
pub(super) struct Step {
    pub(super) batch: sled::Batch,
    /// The state after it.
    pub(super) head: Head,
    /// What the written keys held before it.
    pub(super) before: BTreeMap<Key, Option<Entry>>,
    /// About how much it writes.
    pub(super) size_bytes: usize,
    /// How many values were cut into pieces; numbers the next one.
    in_pieces: u16,
}

impl Step {
    /// All that a plan comes to, with `recent` stored behind the state.
    pub(super) fn new(plan: Plan<Held>, recent: &[u8]) -> Self {
        let (head, written) = plan.finish();
        let mut step = Self {
            batch: sled::Batch::default(),
            head,
            before: BTreeMap::new(),
            size_bytes: recent.len(),
            in_pieces: 0,
        };
        for write in written {
            for place in write.before.pieces.into_iter().flat_map(Pieces::keys) {
                step.batch.remove(&place);
            }
            let place = codec::entry_key(write.key.as_bytes());
            match write.after {
                Some((revision, value)) => step.put(place, revision, &value),
                None => step.batch.remove(place),
            }
            step.before.insert(write.key, write.before.entry);
        }
        step.batch.insert(codec::STATE_KEY, head.encode(recent));
        step
    }

    fn put(&mut self, place: Vec<u8>, revision: Revision, value: &Bytes) {
        self.size_bytes += place.len() + value.len();
        if value.len() <= MAX_PIECE_SIZE_BYTES {
            self.batch.insert(place, Stored::Inline(revision, value).encode());
            return;
        }
        // A value has 64 KiB at most.
        let length = value.len().try_into().unwrap_or(u32::MAX);
        let pieces = Pieces { revision, number: self.in_pieces, length };
        self.in_pieces += 1;
        for (place, piece) in pieces.keys().zip(value.chunks(MAX_PIECE_SIZE_BYTES)) {
            self.batch.insert(&place, piece);
        }
        self.batch.insert(place, Stored::InPieces(pieces).encode());
    }
}
