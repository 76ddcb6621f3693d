//! The life of a build: which moves are legal. Everything else is refused.
//!
//! ```text
//!            ┌────────────── finish ──────────────┐
//! Pending ───┴─ queue ─► Queued ─ claim ─► Running ┴─ finish ─► Finished
//!                          ▲                  │
//!                          └──── requeue ─────┘   (its worker was lost, or never got it)
//! ```
//!
//! A build may be finished from anywhere but its end, which it reaches once.

use thiserror::Error;

use super::records::{BuildRecord, BuildState};
use crate::status::Status;

/// A move that no build makes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("build {build} is {from} and cannot become {to}")]
pub struct IllegalMove {
    /// The build, for people.
    pub build: String,
    /// Where it stands.
    pub from: &'static str,
    /// Where it was to go.
    pub to: &'static str,
}

impl BuildState {
    /// The word for it: `pending`, `queued`, `running`, or how it ended.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Finished { status } => status.as_str(),
        }
    }

    /// Whether a build may go from here to `to`.
    pub fn may_become(&self, to: &Self) -> bool {
        use BuildState::{Finished, Pending, Queued, Running};
        match (self, to) {
            (Pending, Queued { .. }) | (Queued { .. }, Running { .. }) => true,
            (Running { .. }, Queued { .. }) => true,
            (Pending | Queued { .. }, Finished { status }) => {
                // What never ran cannot have done what it should.
                matches!(status, Status::Cancelled | Status::Failed | Status::Errored)
            }
            (Running { .. }, Finished { status }) => *status != Status::Skipped,
            (Pending | Queued { .. } | Running { .. } | Finished { .. }, _) => false,
        }
    }
}

impl BuildRecord {
    /// Moves the build on.
    ///
    /// # Errors
    /// When that is no legal move; the build stays as it is.
    pub fn advance(&mut self, to: BuildState) -> Result<(), IllegalMove> {
        if self.state.may_become(&to) {
            self.state = to;
            return Ok(());
        }
        let (from, to) = (self.state.as_str(), to.as_str());
        Err(IllegalMove { build: self.name().to_string(), from, to })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::dispatch::SessionId;

    fn states() -> Vec<BuildState> {
        use Status::{Cancelled, Errored, Failed, Skipped, Succeeded, Warning};
        let session = SessionId(Uuid::nil());
        let mut states = vec![
            BuildState::Pending,
            BuildState::Queued { tags: Vec::new(), only: None },
            BuildState::Running { session, worker: "w".into() },
        ];
        let ends = [Succeeded, Failed, Errored, Cancelled, Skipped, Warning];
        states.extend(ends.map(|status| BuildState::Finished { status }));
        states
    }

    #[test]
    fn exactly_these_moves_are_legal() {
        let mut legal = Vec::new();
        for from in states() {
            for to in states() {
                if from.may_become(&to) {
                    legal.push(format!("{} > {}", from.as_str(), to.as_str()));
                }
            }
        }
        assert_eq!(
            legal,
            [
                "pending > queued",
                "pending > failed",
                "pending > errored",
                "pending > cancelled",
                "queued > running",
                "queued > failed",
                "queued > errored",
                "queued > cancelled",
                "running > queued",
                "running > succeeded",
                "running > failed",
                "running > errored",
                "running > cancelled",
                "running > warning",
            ]
        );
    }
}
