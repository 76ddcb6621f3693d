//! Why the database could not do what it was asked.

use thiserror::Error;

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
}

impl DatabaseError {
    /// Whether the same call may work if it is made again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Contended { .. } => true,
        }
    }
}
