//! Why and when something must stop: tokens that know their reason, and limits of time.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Time that an implementation has to come back after its token fired, besides
/// the grace time of its processes. One that does not is left alone, so that
/// the build reaches its end.
const UNRESPONSIVE: Duration = Duration::from_secs(60);

/// Ends a build from outside and says why. Clones end the same build.
#[derive(Clone)]
pub struct Cancellation {
    stop: Stop,
    abandoned: Stop,
}

impl Cancellation {
    /// One that has not been asked for.
    pub fn new() -> Self {
        Self::from(CancellationToken::new())
    }

    /// Asks for the build's end: what runs is ended, hooks and notifications
    /// run. `reason` is a sentence without a full stop, such as `cancelled by
    /// alice`; the first one stays.
    pub fn cancel(&self, reason: impl Into<String>) {
        self.stop.cancel(reason);
    }

    /// Gives the build up: as [`cancel`](Self::cancel), but hooks and
    /// notifications are ended too, or not begun. What it started is still
    /// stopped. For a build that others may be running by now.
    pub fn abandon(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.abandoned.cancel(reason.clone());
        self.stop.cancel(reason);
    }

    /// Whether the build's end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether the build was given up.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.is_cancelled()
    }

    /// Waits until the build is given up.
    pub async fn abandoned(&self) {
        self.abandoned.cancelled().await;
    }

    /// Why the end was asked for, where it was.
    pub fn reason(&self) -> Option<String> {
        self.is_cancelled().then(|| self.stop.reason())
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(super) fn given_up(&self) -> &Stop {
        &self.abandoned
    }
}

impl Default for Cancellation {
    fn default() -> Self {
        Self::new()
    }
}

impl From<CancellationToken> for Cancellation {
    /// One that is asked for when the token fires, too; the reason is then
    /// that the build was cancelled.
    fn from(token: CancellationToken) -> Self {
        Self { stop: Stop::of(token), abandoned: Stop::fresh() }
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellation").field("reason", &self.reason()).finish_non_exhaustive()
    }
}

/// A token and, once it fired, the reason.
#[derive(Clone)]
pub(super) struct Stop(Arc<Inner>);

struct Inner {
    token: CancellationToken,
    reason: OnceLock<String>,
    parent: Option<Stop>,
}

/// What came of work with a limit.
pub(super) struct Limited<T> {
    pub(super) output: T,
    /// Whether the limit ended it.
    pub(super) timed_out: bool,
}

impl Stop {
    /// For a token from outside.
    pub(super) fn of(token: CancellationToken) -> Self {
        Self(Arc::new(Inner { token, reason: OnceLock::new(), parent: None }))
    }

    /// One that nothing outside can fire.
    pub(super) fn fresh() -> Self {
        Self::of(CancellationToken::new())
    }

    /// One that fires with this one, or alone.
    pub(super) fn child(&self) -> Self {
        Self(Arc::new(Inner {
            token: self.0.token.child_token(),
            reason: OnceLock::new(),
            parent: Some(self.clone()),
        }))
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.0.token
    }

    /// Fires; the first reason stays.
    pub(super) fn cancel(&self, reason: impl Into<String>) {
        if !self.is_cancelled() {
            let _ = self.0.reason.set(reason.into());
        }
        self.0.token.cancel();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.token.is_cancelled()
    }

    pub(super) async fn cancelled(&self) {
        self.0.token.cancelled().await;
    }

    /// Why it fired.
    pub(super) fn reason(&self) -> String {
        match (&self.0.parent, self.0.reason.get()) {
            (Some(parent), _) if parent.is_cancelled() => parent.reason(),
            (_, Some(reason)) => reason.clone(),
            // A token from outside that was fired by itself.
            _ => "the build was cancelled".into(),
        }
    }

    /// Awaits `work`, which listens to this token; fires it when `limit` is over.
    pub(super) async fn limited<T>(
        &self,
        limit: Option<Duration>,
        reason: impl FnOnce() -> String,
        work: impl Future<Output = T>,
    ) -> Limited<T> {
        let Some(limit) = limit else {
            return Limited { output: work.await, timed_out: false };
        };
        self.until(tokio::time::sleep(limit), reason, work).await
    }

    /// Awaits `work`, which listens to this token; fires it when `end` comes first.
    pub(super) async fn until<T>(
        &self,
        end: impl Future<Output = ()>,
        reason: impl FnOnce() -> String,
        work: impl Future<Output = T>,
    ) -> Limited<T> {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            output = &mut work => Limited { output, timed_out: false },
            () = end => {
                // Ending because of something else may take longer than the limit.
                let timed_out = !self.is_cancelled();
                self.cancel(reason());
                Limited { output: work.await, timed_out }
            }
        }
    }

    /// Awaits `work`, which listens to this token, but not for ever once it
    /// fired: `None` when `work` was given up, which drops it.
    pub(super) async fn bounded<T>(
        &self,
        grace: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            output = work => Some(output),
            () = async {
                self.cancelled().await;
                tokio::time::sleep(grace.saturating_add(UNRESPONSIVE)).await;
            } => None,
        }
    }
}
