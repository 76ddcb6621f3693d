//! Why a log could not be written or read.

use std::error::Error;

use thiserror::Error;

use super::chunk::{FormatError, MAX_ENTRY_SIZE_BYTES};
use super::handle::MAX_APPEND_SIZE_BYTES;
use crate::blob::{BlobError, BlobErrorKind};
use crate::database::{BlobReferenceError, DatabaseError};

/// A log could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The database said no.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The blob store said no.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The archive could not be referred to.
    #[error(transparent)]
    Reference(#[from] BlobReferenceError),
    /// Nothing was ever appended, or the log was deleted.
    #[error("there is no log `{log}`")]
    NotFound {
        /// Its name.
        log: String,
    },
    /// Entries are missing between those there and those to append.
    #[error("entry {expected} cannot be appended to log `{log}`: its next one is {next}")]
    Gap {
        /// The log.
        log: String,
        /// The number of the first entry that was to be appended.
        expected: u64,
        /// The number from which on it must be sent.
        next: u64,
    },
    /// It takes no further entries.
    #[error("log `{log}` was sealed after {next} entries and takes no more")]
    Sealed {
        /// The log.
        log: String,
        /// How many entries it has.
        next: u64,
    },
    /// It must be sealed first.
    #[error("log `{log}` is not sealed, so it cannot be archived")]
    Open {
        /// The log.
        log: String,
    },
    /// An entry is larger than [`MAX_ENTRY_SIZE_BYTES`].
    #[error(
        "an entry of {size_bytes} bytes is too large for log `{log}`, {MAX_ENTRY_SIZE_BYTES} is \
         the most"
    )]
    EntryTooLarge {
        /// The log.
        log: String,
        /// Its size.
        size_bytes: usize,
    },
    /// Entries are larger together than one transaction takes.
    #[error(
        "{size_bytes} bytes are too many for one append to log `{log}`, {MAX_APPEND_SIZE_BYTES} \
         is the most"
    )]
    AppendTooLarge {
        /// The log.
        log: String,
        /// Their size as it counts for the limit.
        size_bytes: usize,
    },
    /// A fence stopped an append: whoever appends is not the one who may.
    #[error("log `{log}` takes no entries from this writer")]
    Fenced {
        /// The log.
        log: String,
        /// What the fence said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What is stored cannot be read.
    #[error("log `{log}` cannot be read at entry {number}")]
    Unreadable {
        /// The log.
        log: String,
        /// The entry that was looked for.
        number: u64,
        /// What is wrong.
        #[source]
        source: FormatError,
    },
    /// What is stored has no such entry although it should.
    #[error("log `{log}` is damaged: entry {number} is missing")]
    Missing {
        /// The log.
        log: String,
        /// The entry that was looked for.
        number: u64,
    },
}

impl LogError {
    /// Whether the same call may work if it is made again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Blob(error) => error.kind == BlobErrorKind::Unavailable,
            Self::Reference(error) => error.is_retryable(),
            _ => false,
        }
    }
}
