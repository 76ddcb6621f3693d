//! Workers as long as their sessions last.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::database::{Record, Schema};
use crate::dispatch::{Registration, SessionId};

/// A worker's session. Its lease is `("worker", session)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// The session.
    pub session: SessionId,
    /// The epoch under which it holds its lease.
    pub lease_epoch: u64,
    /// What it said of itself.
    pub registration: Registration,
    /// When it registered.
    pub registered: Timestamp,
    /// Whether it gets no more work.
    pub draining: bool,
}

impl Schema for WorkerRecord {
    const KIND: &'static str = "worker";
}

impl Record for WorkerRecord {
    type Id = uuid::Uuid;

    fn id(&self) -> uuid::Uuid {
        self.session.0
    }
}
