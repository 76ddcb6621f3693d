//! The [`Dispatcher`] trait: what the engine promises to workers, and they to it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::DispatchError;
use super::work::{Ack, CheckReport, Claim, Report, RunningBuild};
use crate::name::BuildId;

/// Names one stay of a worker, from its registration on; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// What people call it. Two workers may have one name.
    pub name: String,
    /// The only team that it works for; `None` for all.
    pub team: Option<String>,
    /// What it can do that others cannot; work that names tags goes to those who have all of them.
    pub tags: BTreeSet<String>,
    /// Whether it takes only work that names at least one of its tags.
    pub exclusive_tags: bool,
    /// How many builds it runs at once; with 0 it runs none.
    pub build_slots: u32,
    /// How many checks it makes at once; with 0 it makes none.
    pub check_slots: u32,
    /// What it runs on, such as `linux/x86_64`.
    pub platform: String,
    /// The version of its program.
    pub version: String,
    /// An earlier session of this worker of which it knows that it is dead and
    /// that everything it ran has ended: what that had is given up at once
    /// instead of when its time is over.
    pub replaces: Option<SessionId>,
}

/// A session that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Names it.
    pub id: SessionId,
    /// It is lost when it was not renewed for this long; a third of it is a
    /// good interval.
    pub ttl: Duration,
}

/// What a worker has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    /// A build.
    pub build: bool,
    /// A check.
    pub check: bool,
}

/// What a worker is told without having asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// This build is to be cancelled; it is still to be reported to its end.
    /// May come more than once, and for builds that have ended.
    Cancel {
        /// The build.
        build: BuildId,
        /// The epoch that the worker has it under.
        epoch: u64,
        /// Why, in a sentence.
        reason: String,
    },
    /// No more work will come; [`Dispatcher::claim`] waits for ever. What runs
    /// is to be ended in its own time.
    Drain,
    /// The session was given up, see
    /// [`SessionLost`](super::DispatchErrorKind::SessionLost).
    Lost,
}

/// Hands out work and takes what became of it.
///
/// # Contract
/// The life of a worker's session:
/// 1. [`register`](Self::register), once.
/// 2. [`signals`](Self::signals) is listened to and [`renew`](Self::renew)
///    called at least every time to live, both for as long as it lives.
/// 3. [`claim`](Self::claim) for each free slot, and for each build that it
///    answers [`report`](Self::report), again and again, up to the one with
///    its result; for each check [`report_check`](Self::report_check), once.
/// 4. [`leave`](Self::leave), when nothing runs any more.
///
/// A dispatcher MUST see to it that
/// - a build is given to one worker at a time, each time under a higher epoch,
///   durably before the claim is answered;
/// - a worker that was given up (its session was not renewed for its time to
///   live) can report nothing any more: it gets
///   [`SessionLost`](super::DispatchErrorKind::SessionLost);
/// - a report is all in the log and durable when it is answered, or none of it
///   counts; one that comes twice changes nothing the second time and is
///   answered as the first one was;
/// - a build whose result was taken has ended, once, with all that follows
///   from it; a later report of it with other events is refused;
/// - a cancellation is told soon, to all who listen then, and again with the
///   next renewal for as long as the build runs;
/// - work goes only to workers whose tags and team fit.
///
/// A worker MUST run a build only between the answer to its claim and the end
/// of its session, stop everything of it as soon as it learns that it lost it,
/// number events without gaps from [`next_event`](super::BuildClaim::next_event)
/// on, and report the result of each build that it did not lose. It MAY call
/// from several tasks at once, but for the reports of one build, which come in order.
///
/// After [`Unavailable`](super::DispatchErrorKind::Unavailable) it is open
/// whether the call was done: the same call again settles it.
#[async_trait]
pub trait Dispatcher: fmt::Debug + Send + Sync + 'static {
    /// Begins a session.
    ///
    /// # Errors
    /// When it cannot be kept, or the registration makes no sense.
    async fn register(&self, registration: Registration) -> Result<Session, DispatchError>;

    /// Waits for something to do and takes it. Drop-safe: what was taken for an
    /// answer that nobody waits for any more is put back.
    ///
    /// # Errors
    /// When the session is lost, or the store is away.
    async fn claim(&self, session: SessionId, want: Want) -> Result<Claim, DispatchError>;

    /// Takes events of a build, and with the last ones its result.
    ///
    /// Dropping the future leaves the report taken or not taken.
    ///
    /// # Errors
    /// When the session or the build is lost, the events do not follow those
    /// in the log, or the store is away.
    async fn report(&self, session: SessionId, report: Report) -> Result<Ack, DispatchError>;

    /// Takes what a check found. A check that is not waited for any more is
    /// passed over.
    ///
    /// # Errors
    /// When the session is lost, or the store is away.
    async fn report_check(
        &self,
        session: SessionId,
        report: CheckReport,
    ) -> Result<(), DispatchError>;

    /// Holds the session for its time to live from now on. `running` are the
    /// builds that the worker runs, those among them whose claim it was just
    /// answered: what it was given and did not name in two renewals one after
    /// the other got lost on the way and is given to others.
    ///
    /// Answers those of `running` that it lost.
    ///
    /// # Errors
    /// When the session is lost, or the store is away.
    async fn renew(
        &self,
        session: SessionId,
        running: &[RunningBuild],
    ) -> Result<Vec<RunningBuild>, DispatchError>;

    /// What the worker is told from now on; cancellations that were asked for
    /// before come first. Ends with the session.
    ///
    /// # Errors
    /// When the session is lost, or the store is away.
    async fn signals(
        &self,
        session: SessionId,
    ) -> Result<BoxStream<'static, Signal>, DispatchError>;

    /// Ends the session; builds that it still has count as lost. Ending one
    /// that is over does nothing.
    ///
    /// # Errors
    /// When the store is away; it then ends when its time is over.
    async fn leave(&self, session: SessionId) -> Result<(), DispatchError>;
}
