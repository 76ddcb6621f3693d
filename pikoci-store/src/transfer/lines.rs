//! Reads an export that comes in pieces, and finds out whether it is whole.

use bytes::Bytes;
use pikoci_core::blob::Hasher;
use pikoci_core::store::{Key, KeyRange};

use super::error::TransferError;
use super::format::Line;

/// The longest line. A value of 64 KiB written in escapes has less.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// What an export says.
#[derive(Debug)]
pub(super) enum Said {
    Entry(Key, Bytes),
    Again(KeyRange),
    End { consistent: bool },
}

/// The lines of an export.
#[derive(Debug)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// What of `buffer` was read.
    read: usize,
    /// The lines that were read.
    number: u64,
    entries: u64,
    hasher: Hasher,
    stage: Stage,
    /// Where the next key must lie.
    range: KeyRange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Entries,
    Ended,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            read: 0,
            number: 0,
            entries: 0,
            hasher: Hasher::new(),
            stage: Stage::Header,
            range: KeyRange::all(),
        }
    }

    /// The number of entries so far.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Takes the next bytes of the export.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// What the next line says; `None` until there are more bytes.
    pub(super) fn next(&mut self) -> Result<Option<Said>, TransferError> {
        loop {
            let rest = &self.buffer[self.read..];
            let wrong = |problem: &str| Err(TransferError::line(self.number + 1, problem));
            if self.stage == Stage::Ended {
                return if rest.is_empty() { Ok(None) } else { wrong("comes after the end") };
            }
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                if rest.len() > MAX_LINE_BYTES {
                    return wrong("is too long");
                }
                return Ok(None);
            };
            let line = Line::read(&rest[..length])
                .map_err(|problem| TransferError::line(self.number + 1, problem))?;
            let said = match (self.stage, line) {
                (Stage::Header, Line::Header) => {
                    self.stage = Stage::Entries;
                    None
                }
                (Stage::Header, _) => return wrong("does not say that this is an export"),
                (_, Line::Header) => return wrong("begins another export"),
                (_, Line::Entry(key, value)) => {
                    if !self.range.contains(&key) {
                        return wrong("is not in its place: keys ascend");
                    }
                    self.range = self.range.after(&key);
                    self.entries += 1;
                    Some(Said::Entry(key, value))
                }
                (_, Line::Again(range)) => {
                    self.range = range.clone();
                    Some(Said::Again(range))
                }
                (_, Line::End { entries, .. }) if entries != self.entries => {
                    let found = self.entries;
                    return wrong(&format!(
                        "says that there are {entries} entries, there are {found}"
                    ));
                }
                (_, Line::End { sha256, .. })
                    if self.hasher.clone().finish().to_hex() != sha256 =>
                {
                    return wrong("has another digest: some line before is not what it was");
                }
                (_, Line::End { consistent, .. }) => {
                    self.stage = Stage::Ended;
                    Some(Said::End { consistent })
                }
            };
            self.hasher.update(&self.buffer[self.read..=self.read + length]);
            self.read += length + 1;
            self.number += 1;
            if said.is_some() {
                return Ok(said);
            }
        }
    }

    /// Whether there was an end.
    pub(super) fn finish(&self) -> Result<(), TransferError> {
        match self.stage {
            Stage::Ended => Ok(()),
            _ => Err(TransferError::CutOff { lines: self.number }),
        }
    }
}
