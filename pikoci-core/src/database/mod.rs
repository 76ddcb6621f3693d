//! What the engine keeps, written once above every [`Store`](crate::store::Store).
//!
//! A [`Database`] is a handle on a store. Everything changes in a
//! [`Transaction`], which is tried again when another one was quicker:
//!
//! - A [`Record`] is found by its id and by the indexes that it declares.
//! - A [`Counter`] counts exactly, a [`SpreadCounter`] for many at once.
//! - A [`Queue`] holds items in order, each taken by one taker.
//! - A [`Feed`] is appended to by many at once, and read bit by bit.
//! - [`Flags`] are raised, without standing in anyone's way, to be looked at.
//! - A [`Lease`] is held by one at a time, and its epoch fences off the others.
//!
//! The keys are in [`layout`], the bytes of the values and what two versions
//! on one store may do in [`encoding`], the rules of leases in [`lease`].
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use pikoci_core::clock::SystemClock;
//! use pikoci_core::database::{
//!     Contender, Counter, Database, DatabaseError, Indexes, Query, Queue, Record, Schema,
//! };
//! use pikoci_core::store::MemoryStore;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Job {
//!     name: String,
//!     builds: u64,
//! }
//!
//! impl Schema for Job {
//!     const KIND: &'static str = "job";
//! }
//!
//! impl Record for Job {
//!     type Id = String;
//!
//!     fn id(&self) -> String {
//!         self.name.clone()
//!     }
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Build {
//!     job: String,
//!     number: u64,
//!     status: String,
//! }
//!
//! impl Schema for Build {
//!     const KIND: &'static str = "build";
//! }
//!
//! impl Record for Build {
//!     type Id = (String, u64);
//!
//!     fn id(&self) -> (String, u64) {
//!         (self.job.clone(), self.number)
//!     }
//!
//!     fn indexes(&self, indexes: &mut Indexes) {
//!         indexes.add("by_status", &self.status);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), DatabaseError> {
//! let database = Database::new(Arc::new(MemoryStore::new()), Arc::new(SystemClock::new()));
//! database.insert(&Job { name: "test".into(), builds: 0 }).await?;
//!
//! // A build is made and queued as one, whatever others do at the same time.
//! let queue = Queue::<u64>::new("builds");
//! let number: Result<u64, DatabaseError> = database
//!     .transact_with(&queue, |transaction, queue| {
//!         Box::pin(async move {
//!             let number = Counter::new("builds").next(transaction).await?;
//!             let build = Build { job: "test".into(), number, status: "queued".into() };
//!             transaction.insert(&build).await?;
//!             transaction.update::<Job>(&build.job, |job| job.builds += 1).await?;
//!             queue.push(transaction, (1_u64, number), number).await?;
//!             Ok(number)
//!         })
//!     })
//!     .await;
//! let number = number?;
//!
//! // One at a time hands builds out: the commit fails for whoever lost the lease.
//! let mut contender = Contender::new("scheduler", "host-a", Duration::from_secs(30));
//! let lease = contender.try_acquire(&database).await?.expect("nobody else is there");
//! let taken: Result<(), DatabaseError> = database
//!     .transact_with(&(queue, lease.token()), |transaction, (queue, token)| {
//!         Box::pin(async move {
//!             transaction.fence(token).await?;
//!             if let Some(first) = queue.peek_in(transaction, 1).await?.pop() {
//!                 queue.take(transaction, first.position).await?;
//!                 let id = ("test".to_owned(), first.payload);
//!                 transaction.update::<Build>(&id, |build| build.status = "running".into()).await?;
//!             }
//!             Ok(())
//!         })
//!     })
//!     .await;
//! taken?;
//!
//! let running = database.list_by::<Build>("by_status", &Query::below("running")).await?;
//! assert_eq!(running.items[0].number, number);
//! assert_eq!(database.require::<Job>(&"test".to_owned()).await?.builds, 1);
//! # Ok(())
//! # }
//! ```

mod blobs;
mod counter;
pub mod encoding;
mod error;
mod expiry;
mod feed;
mod flags;
mod handle;
mod index;
mod key_path;
pub mod layout;
pub mod lease;
mod list;
pub mod log;
mod query;
mod queue;
mod reader;
mod record;
pub mod retention;
mod transaction;
mod upkeep;
mod verify;

pub use blobs::{
    BlobCheck, BlobReferenceError, BlobReferences, Collected, Collection, DEFAULT_GRACE,
    MissingBlob, TAKE_OVER_AFTER,
};
pub use counter::{Counter, SpreadCounter};
pub use encoding::{EncodingError, Envelope, Schema, UpgradeError};
pub use error::DatabaseError;
pub use expiry::Remove;
pub use feed::{Feed, FeedCursor, FeedEntry, FeedPlace};
pub use flags::{Flags, Raised};
pub use handle::{Database, Retry};
pub use index::Indexes;
pub use key_path::{KeyPart, KeyPath, Part};
pub use lease::{Contender, FencingToken, Lease, LeaseView};
pub use query::{Cursor, MAX_PAGE_ITEMS, Page, Query};
pub use queue::{Queue, QueueItem};
pub use record::{Record, record_key};
pub use transaction::Transaction;
pub use upkeep::Upkeep;
pub use verify::{IndexProblem, IndexReport};
