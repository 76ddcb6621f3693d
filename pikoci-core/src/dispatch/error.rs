//! What goes wrong between the engine and a worker.

use std::error::Error as StdError;

use thiserror::Error;

/// A call to a [`Dispatcher`](super::Dispatcher) failed.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct DispatchError {
    /// What that means for the worker.
    pub kind: DispatchErrorKind,
    /// What failed.
    pub message: String,
    /// What is behind it.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What an error of a dispatcher means for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DispatchErrorKind {
    /// The session was given up. Nothing the worker runs counts any more: it
    /// ends its builds and registers anew.
    SessionLost,
    /// This build is not the worker's any more: it ends it and reports nothing
    /// more of it. Its other builds go on.
    BuildLost,
    /// The same call may work later.
    Unavailable,
    /// The caller broke the contract, such as by a gap between events.
    Invalid,
}

impl DispatchError {
    /// An error without a cause.
    pub fn new(kind: DispatchErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The session was given up.
    pub fn session_lost() -> Self {
        Self::new(DispatchErrorKind::SessionLost, "the session of this worker was given up")
    }

    /// The build is not this worker's any more.
    pub fn build_lost(message: impl Into<String>) -> Self {
        Self::new(DispatchErrorKind::BuildLost, message)
    }

    /// The same call may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(DispatchErrorKind::Unavailable, message)
    }

    /// The caller broke the contract.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(DispatchErrorKind::Invalid, message)
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the same call may work later.
    pub fn is_retryable(&self) -> bool {
        self.kind == DispatchErrorKind::Unavailable
    }
}
