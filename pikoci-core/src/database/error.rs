//! Why the database could not do what it was asked.

use thiserror::Error;

use super::encoding::EncodingError;
use crate::store::StoreError;

/// The database could not do what it was asked; nothing was changed, unless
/// the store says that the outcome is unknown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others were quicker each time.
    #[error("{attempts} attempts at a transaction were overtaken by others")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// A value could not be written or read.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// There is no such record.
    #[error("there is no {kind} `{id}`")]
    NotFound {
        /// The kind of record.
        kind: &'static str,
        /// Its id, for people.
        id: String,
    },
    /// There is such a record already.
    #[error("there is a {kind} `{id}` already")]
    Exists {
        /// The kind of record.
        kind: &'static str,
        /// Its id, for people.
        id: String,
    },
    /// Another record has the values of a unique index.
    #[error("there is another {kind} with `{values}` in its unique index `{index}`")]
    Taken {
        /// The kind of record.
        kind: &'static str,
        /// The name of the index.
        index: &'static str,
        /// The values, for people.
        values: String,
    },
    /// The values of an index are too long together.
    #[error("{kind} `{id}` has too long values in its index `{index}`")]
    KeyTooLong {
        /// The kind of record.
        kind: &'static str,
        /// Its id, for people.
        id: String,
        /// The name of the index.
        index: &'static str,
        /// How long.
        #[source]
        source: StoreError,
    },
    /// A cursor is none, or one of another query.
    #[error("the cursor is not one of this listing, list it again from its start")]
    Cursor,
    /// A counter would leave its range.
    #[error("{amount} cannot be added to counter `{counter}`, which is at {count}")]
    CounterRange {
        /// The counter, for people.
        counter: String,
        /// Its count.
        count: u64,
        /// What was to be added.
        amount: i64,
    },
    /// There is an item at this place of the queue already.
    #[error("there is an item at `{position}` of queue `{queue}` already")]
    PlaceTaken {
        /// The queue.
        queue: String,
        /// The position, for people.
        position: String,
    },
    /// Another one has the lease, or nobody.
    #[error("lease `{lease}` is no longer held under epoch {epoch}")]
    LeaseLost {
        /// The lease, for people.
        lease: String,
        /// The epoch under which it was held.
        epoch: u64,
    },
}

impl DatabaseError {
    /// Whether the store could not be reached, so that other calls fail too.
    pub(super) fn store_is_away(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }

    /// Whether the same call may work if it is made again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Contended { .. } => true,
            Self::Encoding(_)
            | Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::Taken { .. }
            | Self::KeyTooLong { .. }
            | Self::Cursor
            | Self::CounterRange { .. }
            | Self::PlaceTaken { .. }
            | Self::LeaseLost { .. } => false,
        }
    }
}
