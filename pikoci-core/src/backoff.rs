//! Pauses between attempts: growing, bounded and jittered.

use std::time::Duration;

use crate::clock::Clock;

/// Pauses drawn evenly from a span that doubles with each attempt ("full
/// jitter": M. Brooker, Exponential Backoff and Jitter, AWS 2015).
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    span: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses out of a span that begins with `first` and stays within `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { span: first.min(longest), longest }
    }

    /// The next pause, more than zero and at most the longest.
    pub fn next(&mut self, clock: &dyn Clock) -> Duration {
        // The clock's ids end in random bits, so a seeded clock seeds this too.
        let (_, random) = clock.id().as_u64_pair();
        let span = u64::try_from(self.span.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.span = (self.span * 2).min(self.longest);
        Duration::from_nanos(random % span + 1)
    }
}
