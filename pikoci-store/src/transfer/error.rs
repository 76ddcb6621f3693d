//! Why something could not be moved.

use pikoci_core::store::StoreError;
use thiserror::Error;

/// What a store holds could not be moved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The source could not be read.
    #[error("`{store}` cannot be read")]
    Read {
        /// Which store.
        store: String,
        /// What it said.
        #[source]
        source: StoreError,
    },
    /// The target could not be written. It holds a part of what was to be moved.
    #[error("`{store}` cannot be written")]
    Write {
        /// Which store.
        store: String,
        /// What it said.
        #[source]
        source: StoreError,
    },
    /// The target holds something.
    #[error("`{store}` is not empty")]
    NotEmpty {
        /// Which store.
        store: String,
    },
    /// A line of an export is not as it should be.
    #[error("line {line} {problem}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// An export has no end.
    #[error("it is cut off after line {lines}: its end is missing")]
    CutOff {
        /// How many whole lines there are.
        lines: u64,
    },
}

impl TransferError {
    pub(super) fn line(line: u64, problem: impl Into<String>) -> Self {
        Self::Line { line, problem: problem.into() }
    }
}
