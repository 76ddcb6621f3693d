//! Workspaces of failed builds, kept for a while so that the build can be gone
//! on with. They live as long as the worker: the variables of the build, which
//! may hold secrets, are only in its memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pikoci_core::name::BuildId;
use pikoci_core::plan::ResumeAt;

use super::options::KeepFailed;
use crate::machine::Room;

/// A workspace and what is to be known to go on in it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) build: BuildId,
    pub(super) room: Room,
    pub(super) resume: ResumeAt,
    /// When the build failed, on the worker's clock.
    pub(super) since: Duration,
}

/// The workspaces that are kept, the oldest in front.
#[derive(Debug)]
pub(super) struct Keeping {
    limits: Option<KeepFailed>,
    kept: Mutex<VecDeque<Kept>>,
}

impl Keeping {
    pub(super) fn new(limits: Option<KeepFailed>) -> Self {
        Self { limits: limits.filter(|it| it.at_most > 0), kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any are kept.
    pub(super) fn keeps(&self) -> bool {
        self.limits.is_some()
    }

    /// Keeps one. Answers those that have to go for it.
    pub(super) fn keep(&self, fresh: Kept) -> Vec<Room> {
        let mut kept = self.kept();
        kept.push_back(fresh);
        let at_most = self.limits.map_or(0, |limits| limits.at_most);
        let over = kept.len().saturating_sub(at_most);
        kept.drain(..over).map(|it| it.room).collect()
    }

    /// Takes the one that a build left.
    pub(super) fn take(&self, build: BuildId) -> Option<Kept> {
        let mut kept = self.kept();
        let index = kept.iter().position(|it| it.build == build)?;
        kept.remove(index)
    }

    /// Takes out those that have been kept long enough.
    pub(super) fn expired(&self, now: Duration) -> Vec<Room> {
        let longest = self.limits.map_or(Duration::ZERO, |limits| limits.longest);
        let mut kept = self.kept();
        let old = kept.iter().take_while(|it| now.saturating_sub(it.since) >= longest).count();
        kept.drain(..old).map(|it| it.room).collect()
    }

    /// Takes out all.
    pub(super) fn all(&self) -> Vec<Room> {
        self.kept().drain(..).map(|it| it.room).collect()
    }
}
