//! What an engine tells those who measure it.

use std::fmt;
use std::time::Duration;

use crate::name::BuildName;
use crate::status::Status;

/// Hears of what an embedder may want to count or time. Called in the middle
/// of work: it must return at once and not panic.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// A build ended. `queued` is how long it was ready and waited for a
    /// worker, `ran` how long the worker had it; `None` where it never came to that.
    fn build_finished(
        &self,
        build: &BuildName,
        status: Status,
        queued: Option<Duration>,
        ran: Option<Duration>,
    ) {
        let _ = (build, status, queued, ran);
    }

    /// A check ended, after this time; `found` versions were new.
    fn check_finished(&self, pipeline: &str, resource: &str, took: Duration, found: Option<u64>) {
        let _ = (pipeline, resource, took, found);
    }

    /// A worker's session was given up because it was not renewed.
    fn worker_lost(&self, worker: &str) {
        let _ = worker;
    }
}

/// Hears and does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
