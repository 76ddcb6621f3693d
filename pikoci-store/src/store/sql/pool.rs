//! A bounded number of connections.
//!
//! sqlx has a pool of its own. It asks the server for a sign of life whenever
//! a connection is given back, so each call would cost a second round trip.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use pikoci_core::store::StoreError;
use sqlx::Connection;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

/// How long a call waits for one of the connections.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How long a connection may lie idle. What stands between us and the server
/// may forget it sooner or later, and not tell.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// How long running calls may take when the store is closed; none takes longer.
const LONGEST_CALL: Duration = Duration::from_secs(30);

/// A bounded number of connections, most of them waiting for work.
#[derive(Debug)]
pub(super) struct Pool<C> {
    size: u32,
    slots: Semaphore,
    idle: Mutex<Vec<(C, Instant)>>,
    closed: AtomicBool,
}

impl<C: Connection + Send> Pool<C> {
    /// One of at most `size` connections, with the first of them.
    pub(super) fn new(size: u32, first: C) -> Self {
        Self {
            size,
            slots: Semaphore::new(size as usize),
            idle: Mutex::new(vec![(first, Instant::now())]),
            closed: AtomicBool::new(false),
        }
    }

    /// An error once it was closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::closed()) } else { Ok(()) }
    }

    /// The right to have a connection, when one is free.
    pub(super) async fn slot(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        self.check_open()?;
        match timeout(LONGEST_WAIT, self.slots.acquire()).await {
            Ok(slot) => slot.map_err(|_| StoreError::closed()),
            Err(_) => Err(StoreError::unavailable(format!(
                "all {} connections were busy for {} s; `?pool=` in the URL allows more",
                self.size,
                LONGEST_WAIT.as_secs()
            ))),
        }
    }

    /// A connection that waits for work, the one last used.
    pub(super) fn take(&self) -> Option<C> {
        self.idle().pop().map(|(connection, _)| connection)
    }

    /// Lets a connection wait for work.
    pub(super) fn give_back(&self, connection: C) {
        self.idle().push((connection, Instant::now()));
    }

    /// Forgets the connections that wait: one is of no use any more, so they
    /// may not be either.
    pub(super) fn forget_idle(&self) {
        self.idle().clear();
    }

    /// Waits for the calls that run or wait, and ends all connections.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        // Slots are given out in turn: whoever waits already comes before.
        match timeout(LONGEST_CALL, self.slots.acquire_many(self.size)).await {
            Ok(Ok(_)) => self.slots.close(),
            // Closed before.
            Ok(Err(_)) => return Ok(()),
            Err(_) => {
                let message = format!("calls still run after {} s", LONGEST_CALL.as_secs());
                return Err(StoreError::unavailable(message));
            }
        }
        let idle = std::mem::take(&mut *self.idle());
        let goodbyes = idle.into_iter().map(|(connection, _)| connection.close());
        // A server that does not hear it finds out by itself.
        let _ = timeout(Duration::from_secs(1), futures_util::future::join_all(goodbyes)).await;
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(C, Instant)>> {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        idle.retain(|(_, since)| since.elapsed() < LONGEST_IDLE);
        idle
    }
}
