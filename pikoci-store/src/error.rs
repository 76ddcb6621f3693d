//! Why a backend could not be opened.

use std::error::Error;

use thiserror::Error;

/// A backend could not be opened.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct OpenError {
    /// What that means for the caller.
    pub kind: OpenErrorKind,
    /// What failed and where, and what to do; never a password.
    pub message: String,
    /// What the backend said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What it means for the caller that a backend could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// The URL or one of its options makes no sense.
    Url,
    /// This program was built without the feature that the backend needs.
    Feature,
    /// Another process has it open; the message says which.
    Locked,
    /// What is stored cannot be read.
    Damaged,
    /// What is stored was written by a newer version, or is not ours.
    Format,
    /// It said no: a wrong password, a missing right.
    Refused,
    /// It may work later: the server is away.
    Unavailable,
}

impl OpenError {
    /// An error without a cause.
    pub fn new(kind: OpenErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
