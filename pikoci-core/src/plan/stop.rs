//! Why and when something must stop: tokens that know their reason, and limits of time.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Time that an implementation has to come back after its token fired, besides
/// the grace time of its processes. One that does not is left alone, so that
/// the build reaches its end.
const UNRESPONSIVE: Duration = Duration::from_secs(60);

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
    /// For a token from outside, with what is said when it fires.
    pub(super) fn root(token: CancellationToken, reason: &str) -> Self {
        Self(Arc::new(Inner { token, reason: OnceLock::from(reason.to_owned()), parent: None }))
    }

    /// One that nothing outside can fire.
    pub(super) fn fresh() -> Self {
        let token = CancellationToken::new();
        Self(Arc::new(Inner { token, reason: OnceLock::new(), parent: None }))
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
            _ => "cancelled".into(),
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
