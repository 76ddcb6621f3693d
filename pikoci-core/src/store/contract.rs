//! The [`Store`] trait and the values it speaks of.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::error::StoreError;
use super::key::{Key, KeyRange};
use super::txn::Txn;

/// Which write of a key made its entry: 1 or more, at most `i64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value; may be empty.
    pub value: Bytes,
    /// The write that made it.
    pub revision: Revision,
}

/// In which order a scan goes through its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the first key on.
    Ascending,
    /// From the last key back.
    Descending,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All its checks held and all its writes are done; what it put has this revision.
    Committed(Revision),
    /// A check did not hold and nothing was written. Which one is not told.
    Conflict,
}

/// An ordered map from keys to entries, with optimistic transactions.
///
/// # Contract
/// An implementation MUST be:
/// - **Durable.** After [`Outcome::Committed`] the writes survive a kill of
///   the process and a loss of power (a store in memory says that it does not).
/// - **Atomic.** Every reader sees all writes of a commit or none of them, also
///   after a crash.
/// - **Linearizable.** Each call takes effect at one instant between its start
///   and its answer, for every client of the store. No reader sees what may
///   yet be lost.
/// - **Exact about revisions.** All entries that one commit puts have the same
///   revision, which [`Outcome::Committed`] tells. It is greater than every
///   revision that any of the written keys ever had, also before a delete. A
///   put of the same value makes a new revision.
/// - **Exact about limits.** It takes everything within the [limits](super::limits).
///   Callers keep to them ([`Txn::validate`], [`Key::new`], the constants for
///   `get` and `scan`) before they ask; what happens to a call beyond them is
///   not specified, as long as nothing else is harmed.
/// - **Drop-safe.** Dropping the future of any method harms nothing: a commit
///   is then done as a whole or not at all.
/// - **Honest about errors.** After any error but
///   [`Unknown`](super::StoreErrorKind::Unknown) nothing was written. `Unknown`
///   is for a commit whose outcome could not be found out (the connection was
///   cut and could not be made again for a while). The same [`Txn`] committed
///   again MUST settle it: it is done if it had not been and its checks hold
///   now, and answers the same [`Outcome::Committed`] if it had been; at no
///   instant is it done twice, nor after it was answered with a conflict.
///   A store that answers `Unknown` therefore remembers the ids of its commits
///   for at least ten minutes. A server's answer that is late, lost or doubled
///   MUST NOT surface in any other way.
///
/// Waits (for a lock, a connection, a reconnect) are bounded: a call ends in
/// an error after at most about 30 seconds.
///
/// # What may differ between stores
/// - How large the steps between revisions are, and whether a commit that only
///   deletes or writes nothing uses one up.
/// - Which error a call gets that is made while [`close`](Self::close) runs.
/// - Whether and how soon [`watch`](Self::watch) tells of a change.
///
/// `Display` names the store for people, without a password.
#[async_trait]
pub trait Store: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// The entries of `keys`, in their order, all as of one instant. A key
    /// may be named twice; none of them is fine. At most
    /// [`MAX_GET_KEYS`](super::limits::MAX_GET_KEYS).
    ///
    /// # Errors
    /// When they cannot be read.
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError>;

    /// The first `limit` entries of `range` in `order`, all as of one instant.
    /// Fewer are returned only where the range has no more; none for a `limit`
    /// of 0 or an empty range. `limit` is at most
    /// [`MAX_SCAN_ENTRIES`](super::limits::MAX_SCAN_ENTRIES).
    ///
    /// # Errors
    /// When they cannot be read.
    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError>;

    /// Does all writes of `txn`, durably, if all its checks hold; nothing
    /// otherwise. A transaction without writes only checks; an empty one is committed.
    ///
    /// # Errors
    /// As the contract says; only [`Unknown`](super::StoreErrorKind::Unknown)
    /// leaves open whether it was done.
    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError>;

    /// A doorbell that rings after commits which wrote a key of `range`, for
    /// stores that can tell; `None` for those that cannot. It may ring late,
    /// once for many commits, or without a reason; it may miss one where the
    /// connection to a server broke, and rings when it is back. It ends when
    /// the store is closed.
    fn watch(&self, range: &KeyRange) -> Option<BoxStream<'static, ()>>;

    /// Ends what runs and lets go of files and connections. Commits that were
    /// accepted are done before. Calls made afterwards answer
    /// [`Closed`](super::StoreErrorKind::Closed). May be called again, does nothing then.
    ///
    /// # Errors
    /// When what was accepted could not be made durable.
    async fn close(&self) -> Result<(), StoreError>;
}
