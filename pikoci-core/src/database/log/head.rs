//! The head record of a log: what it holds and in which state it is.
//!
//! Whatever changes a log's chunks writes or checks its head in the same
//! transaction, so a head that did not change vouches for them.

use serde::{Deserialize, Serialize};

use crate::blob::{Blob, Digest};
use crate::database::Schema;

/// What is known of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The number of the next entry: how many there are.
    pub(super) next: u64,
    /// The bytes of all entries.
    pub(super) bytes: u64,
    /// The chunks it is, or was when it was archived.
    pub(super) chunks: u64,
    pub(super) state: State,
}

impl Schema for Head {
    const KIND: &'static str = "log";
}

/// From the top down; there is no way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Takes entries.
    Open {
        /// The number of the first entry of the last chunk.
        tail: u64,
        /// The size of the last chunk in bytes.
        tail_size: u64,
    },
    /// Takes no more entries.
    Sealed {
        /// The number of the first entry whose chunk is not packed yet.
        packed: u64,
    },
    /// Is in a blob.
    Archived {
        blob: Digest,
        blob_size: u64,
        /// Whether the chunks are gone.
        cleared: bool,
    },
    /// Is being deleted; nobody sees it any more.
    Deleted,
}

impl Head {
    /// Of a log without entries.
    pub(super) fn new() -> Self {
        let state = State::Open { tail: 0, tail_size: 0 };
        Self { next: 0, bytes: 0, chunks: 0, state }
    }

    pub(super) fn info(&self) -> LogInfo {
        let state = match self.state {
            State::Open { .. } | State::Deleted => LogState::Open,
            State::Sealed { packed } => LogState::Sealed { packed: packed >= self.next },
            State::Archived { blob, blob_size, cleared } => {
                LogState::Archived { blob: Blob { digest: blob, size_bytes: blob_size }, cleared }
            }
        };
        LogInfo { next: self.next, size_bytes: self.bytes, chunks: self.chunks, state }
    }
}

/// What is known of a log without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogInfo {
    /// The number of its next entry: how many it has.
    pub next: u64,
    /// The bytes of all its entries, unpacked.
    pub size_bytes: u64,
    /// How many chunks it is, or frames of its archive.
    pub chunks: u64,
    /// Whether it takes entries, and where it is.
    pub state: LogState,
}

/// Whether a log takes entries, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogState {
    /// It takes entries.
    Open,
    /// It takes no more entries.
    Sealed {
        /// Whether all its chunks are packed.
        packed: bool,
    },
    /// It takes no more entries and is in a blob.
    Archived {
        /// The blob.
        blob: Blob,
        /// Whether its chunks are gone from the store.
        cleared: bool,
    },
}
