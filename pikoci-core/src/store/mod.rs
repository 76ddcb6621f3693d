//! A small ordered key-value store with optimistic transactions: the trait
//! that backends implement, its limits, and the store in memory.
//!
//! The engine never uses a [`Store`] directly: records, indexes, counters,
//! queues, leases and logs are written once, in [`database`](crate::database).
//! Who writes a store of their own implements the five methods of [`Store`]
//! and runs the suite in `testkit::conformance::store` over it.
//!
//! ```
//! use pikoci_core::store::{Key, MemoryStore, Outcome, Store, Txn};
//! use uuid::Uuid;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let key = Key::new("greeting")?;
//!
//! let first = Txn::new(Uuid::now_v7()).check_absent(key.clone()).put(key.clone(), "hello");
//! assert!(matches!(store.commit(&first).await?, Outcome::Committed(_)));
//!
//! let second = Txn::new(Uuid::now_v7()).check_absent(key.clone()).put(key.clone(), "hi");
//! assert_eq!(store.commit(&second).await?, Outcome::Conflict);
//!
//! let found = store.get(&[key]).await?;
//! assert_eq!(found[0].as_ref().map(|entry| &entry.value[..]), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```

mod contract;
mod error;
mod feed;
mod key;
pub mod limits;
mod memory;
mod txn;

pub use contract::{Entry, Order, Outcome, Revision, Store};
pub use error::{StoreError, StoreErrorKind};
pub use feed::ChangeFeed;
pub use key::{Key, KeyRange};
pub use memory::MemoryStore;
pub use txn::{Check, Txn, Write};
