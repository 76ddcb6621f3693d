//! Why the engine could not do what it was asked.

use thiserror::Error;

use crate::database::DatabaseError;
use crate::database::log::LogError;
use crate::language::diagnostic::Diagnostic;
use crate::language::render::one_line;
use crate::language::source::SourceMap;

/// The engine could not do what it was asked; nothing was changed, unless the
/// store says that the outcome is unknown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There is no such thing.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What was looked for: `team`, `pipeline`, `job`, `build`, `resource`, `version`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is such a thing already.
    #[error("there is a {kind} `{name}` already")]
    Exists {
        /// What was to be made.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It cannot be done as things stand.
    #[error("{message}")]
    WrongState {
        /// Why not, and what would help, in a sentence.
        message: String,
    },
    /// Somebody else changed it meanwhile.
    #[error("pipeline `{name}` is at revision {found}, not at {expected}; look at it again")]
    Stale {
        /// The pipeline.
        name: String,
        /// The revision that it was thought to be at; 0 for none.
        expected: u64,
        /// The revision that it is at; 0 for none.
        found: u64,
    },
    /// What was given makes no sense.
    #[error("{}", problems.join("; "))]
    Invalid {
        /// What is wrong, each a sentence.
        problems: Vec<String>,
    },
    /// The pipeline has mistakes; `Display` has a line for each.
    #[error("{}", mistakes(diagnostics, sources))]
    Pipeline {
        /// The mistakes, with their places.
        diagnostics: Vec<Diagnostic>,
        /// The texts, for [`render`](crate::language::render::render).
        sources: Box<SourceMap>,
    },
    /// The database said no.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A log could not be written or read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The engine was closed.
    #[error("the engine was closed")]
    Closed,
}

fn mistakes(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let lines: Vec<String> = diagnostics.iter().map(|it| one_line(it, sources)).collect();
    lines.join("\n")
}

impl EngineError {
    pub(crate) fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { kind, name: name.into() }
    }

    pub(crate) fn wrong_state(message: impl Into<String>) -> Self {
        Self::WrongState { message: message.into() }
    }

    pub(crate) fn invalid(problem: impl Into<String>) -> Self {
        Self::Invalid { problems: vec![problem.into()] }
    }

    /// Whether the same call may work if it is made again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Log(error) => error.is_retryable(),
            _ => false,
        }
    }
}
