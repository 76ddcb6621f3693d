//! Wrappers that break what may break: a store, a pub/sub and a blob store
//! behind a bad network, each still as its contract asks.
//!
//! Faults come by a seed, or at the call that a test names:
//!
//! ```
//! use std::sync::Arc;
//!
//! use pikoci_core::store::{Key, MemoryStore, Outcome, Store, StoreErrorKind, Txn};
//! use pikoci_core::testkit::faulty::{FaultyStore, StoreCall, StoreFault};
//! use uuid::Uuid;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = FaultyStore::new(Arc::new(MemoryStore::new()))
//!     .at(StoreCall::Commit, 1, StoreFault::LoseAnswer);
//! let txn = Txn::new(Uuid::now_v7()).put(Key::new("key")?, "value");
//! let Err(error) = store.commit(&txn).await else { panic!("the answer was lost") };
//! assert_eq!(error.kind, StoreErrorKind::Unknown);
//! // The same transaction again settles it.
//! assert!(matches!(store.commit(&txn).await?, Outcome::Committed(_)));
//! # Ok(())
//! # }
//! ```

mod blob;
mod plan;
mod pubsub;
mod store;

pub use blob::{BlobCall, BlobFault, FaultyBlobs};
pub use pubsub::{FaultyPubSub, PubSubCall, PubSubFault};
pub use store::{FaultyStore, StoreCall, StoreFault};
