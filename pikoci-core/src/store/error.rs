//! Why a store could not do what it was asked.

use std::error::Error;

use thiserror::Error;

/// A store could not do what it was asked. A conflict is no error, see
/// [`Outcome`](super::Outcome).
#[derive(Debug, Error)]
#[error("{message}")]
pub struct StoreError {
    /// What that means for the caller.
    pub kind: StoreErrorKind,
    /// What failed and where, and what to do if that is known; never a password.
    pub message: String,
    /// What the backend said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What an error of a store means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Nothing was done, and the same may work later: the server is away, the
    /// disk is full, all connections are taken.
    Unavailable,
    /// A commit may have been done or not. The same [`Txn`](super::Txn)
    /// committed again settles it. No other method answers this.
    Unknown,
    /// The caller broke a rule, such as a limit; nothing was done.
    Invalid,
    /// What is stored cannot be read.
    Damaged,
    /// The store was closed.
    Closed,
}

impl StoreError {
    /// An error without a cause.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Nothing was done, and the same may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Unavailable, message)
    }

    /// A commit may have been done or not.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Unknown, message)
    }

    /// The caller broke a rule.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Invalid, message)
    }

    /// What is stored cannot be read.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Damaged, message)
    }

    /// The store was closed.
    pub fn closed() -> Self {
        Self::new(StoreErrorKind::Closed, "the store is closed")
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the same call may work if it is made again.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable | StoreErrorKind::Unknown)
    }
}
