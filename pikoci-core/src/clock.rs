//! Time and ids, passed in so that decisions stay pure and tests stay in hand.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use uuid::Uuid;

/// Where the engine takes the time and its ids from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day, for people; never used to order things.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment, never running backwards; for durations.
    fn monotonic(&self) -> Duration;

    /// A fresh id; those made one after the other sort in that order.
    fn id(&self) -> Uuid;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock whose [`Clock::monotonic`] starts at zero now.
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| {
                Timestamp::new(since.as_secs().cast_signed(), since.subsec_nanos().cast_signed())
                    .ok()
            })
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
