//! Builds that this worker is not done with.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pikoci_core::name::BuildId;
use tokio::sync::Notify;

/// Builds that this worker is not done with. One that it lost may come back to
/// it while what is left of it is still being ended, and its directory, its
/// journal and the mark of its processes are called the same.
#[derive(Debug, Default)]
pub(super) struct Occupied {
    builds: Mutex<HashSet<BuildId>>,
    left: Notify,
}

/// Ends with the drop.
#[derive(Debug)]
pub(super) struct Occupation {
    occupied: Arc<Occupied>,
    build: BuildId,
}

impl Occupied {
    fn builds(&self) -> MutexGuard<'_, HashSet<BuildId>> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the worker is done with an earlier attempt of the build.
    pub(super) async fn enter(self: &Arc<Self>, build: BuildId) -> Occupation {
        loop {
            let left = self.left.notified();
            if self.builds().insert(build) {
                return Occupation { occupied: Arc::clone(self), build };
            }
            left.await;
        }
    }
}

impl Drop for Occupation {
    fn drop(&mut self) {
        self.occupied.builds().remove(&self.build);
        self.occupied.left.notify_waiters();
    }
}
