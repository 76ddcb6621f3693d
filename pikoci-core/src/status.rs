//! How a step or a build ends.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of a step or a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It did what it should.
    Succeeded,
    /// The code under test said no.
    Failed,
    /// The machinery could not: no such program, check broke, worker lost, secret missing.
    Errored,
    /// A person, a newer build or a shutdown stopped it.
    Cancelled,
    /// It was not to be run: a branch not taken, a step behind a failure.
    Skipped,
    /// It failed, and its job says that this does no harm.
    Warning,
}

impl Status {
    /// Whether what comes next may go on.
    pub fn is_ok(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped | Self::Warning)
    }

    /// The lower-case word for it, the same as in serialised data and in `BUILD_STATUS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
        }
    }

    /// The exit code of a command whose result this is (0, 1, 3 or 4).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded | Self::Skipped | Self::Warning => 0,
            Self::Failed => 1,
            Self::Errored => 3,
            Self::Cancelled => 4,
        }
    }

    /// The status of a whole that has parts ending as `self` and `other`:
    /// cancelled before errored before failed before anything else.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        fn rank(status: Status) -> u8 {
            match status {
                Status::Cancelled => 4,
                Status::Errored => 3,
                Status::Failed => 2,
                Status::Warning => 1,
                Status::Succeeded | Status::Skipped => 0,
            }
        }
        if rank(other) > rank(self) { other } else { self }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
