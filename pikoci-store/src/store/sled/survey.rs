//! Reads a whole tree and tells what is wrong with it.

use pikoci_core::store::limits::MAX_KEY_SIZE_BYTES;

use super::codec::{ENTRY_TAG, FORMAT, FORMAT_KEY, PIECE_TAG, STATE_KEY, Stored};
use crate::store::head::Head;
use crate::store::recent::Recent;
use crate::store::tally::Tally;

/// What was found in a tree.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What it says of its format: `None` for an empty tree.
    pub(super) format: Option<u32>,
    pub(super) head: Head,
    pub(super) recent: Recent,
    /// What can be read.
    pub(super) tally: Tally,
    /// What is wrong, in words.
    pub(super) problems: Vec<String>,
    /// The bytes of all values in pieces: as their entries say, and as the pieces are.
    in_pieces: (u64, u64),
}

impl Survey {
    /// Reads the head of a tree, and no more if its format is not ours.
    pub(super) fn head(db: &sled::Db) -> sled::Result<Self> {
        let format = match db.get(FORMAT_KEY)? {
            Some(format) => Some(<[u8; 4]>::try_from(&format[..]).map_or(0, u32::from_be_bytes)),
            // What has no format has nothing in it, or is not ours.
            None if db.is_empty() && db.tree_names().len() == 1 => None,
            None => Some(0),
        };
        let mut survey = Self { format, ..Self::default() };
        if survey.format != Some(FORMAT) {
            return Ok(survey);
        }
        let state = db.get(STATE_KEY)?;
        match state.as_deref().and_then(Head::decode) {
            Some((head, recent)) => (survey.head, survey.recent) = (head, recent),
            None => survey.problems.push("its state record cannot be read".to_owned()),
        }
        Ok(survey)
    }

    /// Reads all the rest.
    pub(super) fn entries(&mut self, db: &sled::Db) {
        let mut last = None;
        for item in db.range([ENTRY_TAG]..) {
            match item {
                Ok((key, value)) => {
                    self.record(&key, &value);
                    last = Some(key);
                }
                Err(error) => {
                    self.problems.push(format!("a part of it cannot be read: {error}"));
                    self.entries_backwards(db, last.as_deref());
                    return;
                }
            }
        }
        self.conclude();
    }

    /// Notes if a revision is missing that was reached, as `known` tells.
    pub(super) fn at_least(&mut self, known: Option<u64>) {
        let reached = self.head.revision;
        if let Some(known) = known.filter(|known| *known > reached) {
            self.problems.push(format!("it ends at revision {reached}, it had reached {known}"));
        }
    }

    /// What can be read from the end, back to where reading stopped.
    fn entries_backwards(&mut self, db: &sled::Db, last: Option<&[u8]>) {
        for item in db.range([ENTRY_TAG]..).rev() {
            match item {
                Ok((key, value)) if last.is_none_or(|last| &key[..] > last) => {
                    self.record(&key, &value);
                }
                _ => break,
            }
        }
    }

    fn record(&mut self, key: &[u8], value: &[u8]) {
        match key.split_first() {
            Some((&ENTRY_TAG, key)) => self.entry(key, value),
            Some((&PIECE_TAG, _)) => self.in_pieces.1 += value.len() as u64,
            _ => {
                self.problems.push(format!("it holds `{}`, which is not ours", key.escape_ascii()))
            }
        }
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) {
        let stored = Stored::decode(value);
        match stored {
            Some(stored) if (1..=MAX_KEY_SIZE_BYTES).contains(&key.len()) => {
                self.tally.add(key, stored.revision());
                if let Stored::InPieces(pieces) = stored {
                    self.in_pieces.0 += u64::from(pieces.length);
                }
                if stored.revision().0 > self.head.revision {
                    let key = key.escape_ascii();
                    self.problems.push(format!("the entry of `{key}` is newer than the store"));
                }
            }
            _ => {
                let key = key.escape_ascii();
                self.problems.push(format!("the entry of `{key}` is damaged"));
            }
        }
    }

    fn conclude(&mut self) {
        let (stored, found) = (self.head.tally, self.tally);
        if stored != found {
            self.problems.push(stored.difference(&found));
        }
        if self.in_pieces.0 != self.in_pieces.1 {
            self.problems.push(format!(
                "its large values should have {} bytes, they have {}",
                self.in_pieces.0, self.in_pieces.1
            ));
        }
    }
}
