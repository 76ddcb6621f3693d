//! The leases that make the markers of commits go away.

use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::failure::Failure;
use super::proto::LeaseGrantRequest;
use super::proto::lease_client::LeaseClient;

/// How long a lease lasts. A marker must last ten minutes.
const LEASE_TIME: Duration = Duration::from_secs(20 * 60);

/// How long a lease is given to new markers: each has the rest of its time at least.
const USE_TIME: Duration = Duration::from_secs(5 * 60);

/// How many markers share a lease: they are removed in one go, which must not
/// keep the cluster busy.
const MOST_MARKERS: u32 = 2000;

/// Leases are never renewed and never revoked: a new one is granted from time
/// to time, and what hangs on the old one goes when it runs out. So a marker
/// outlives the process that made it, for whoever still asks.
#[derive(Debug, Default)]
pub(super) struct Leases {
    current: Mutex<Option<Lease>>,
}

#[derive(Debug)]
struct Lease {
    id: i64,
    granted: Instant,
    /// The monotonic clock stands still while a machine sleeps.
    granted_on_the_wall: SystemTime,
    markers: u32,
}

impl Lease {
    fn serves(&self) -> bool {
        let on_the_wall = self.granted_on_the_wall.elapsed().unwrap_or(Duration::MAX);
        self.markers < MOST_MARKERS && self.granted.elapsed().max(on_the_wall) < USE_TIME
    }
}

impl Leases {
    /// A lease for one more marker.
    pub(super) async fn take(&self, cluster: &Cluster, deadline: Instant) -> Result<i64, Failure> {
        // Held while one is granted: the others wait for that one.
        let mut current = self.current.lock().await;
        if let Some(lease) = current.as_mut().filter(|lease| lease.serves()) {
            lease.markers += 1;
            return Ok(lease.id);
        }
        let (granted, granted_on_the_wall) = (Instant::now(), SystemTime::now());
        let request = LeaseGrantRequest { ttl_s: LEASE_TIME.as_secs().cast_signed() };
        let granting =
            |connection| async move { LeaseClient::new(connection).lease_grant(request).await };
        let id = cluster.call(deadline, granting).await?.id;
        *current = Some(Lease { id, granted, granted_on_the_wall, markers: 1 });
        Ok(id)
    }

    /// This lease is gone.
    pub(super) async fn lost(&self, id: i64) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|lease| lease.id == id) {
            *current = None;
        }
    }
}
