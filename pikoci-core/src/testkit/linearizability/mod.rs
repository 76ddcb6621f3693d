//! Whether what many clients saw of a store can have happened one call after
//! the other.
//!
//! A [`Recorder`] notes when each call to a [`Store`](crate::store::Store)
//! began, when it was answered and what; [`check`] looks for an order of all
//! calls that explains every answer, each call between its beginning and its
//! answer, and says where there is none. The model is the whole store, since
//! transactions span keys.
//!
//! The search is that of J. Wing and C. Gong (Testing and Verifying Concurrent
//! Objects, 1993) in the form of G. Lowe (Testing for Linearizability, 2017):
//! it goes through the history once and keeps all that may be true at that
//! time, so its cost grows with how much overlaps, not with the length.
//!
//! ```
//! use std::sync::Arc;
//!
//! use pikoci_core::store::{Key, MemoryStore, Store, Txn};
//! use pikoci_core::testkit::linearizability::{Recorder, check};
//! use uuid::Uuid;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recorder = Recorder::new();
//! let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
//! let (here, there) = (recorder.client(1, store.clone()), recorder.client(2, store));
//! let key = Key::new("key")?;
//! here.commit(&Txn::new(Uuid::now_v7()).put(key.clone(), "value")).await?;
//! there.get(&[key]).await?;
//! check(&recorder.history())?;
//! # Ok(())
//! # }
//! ```

mod checker;
mod history;
mod model;
#[cfg(test)]
mod naive;
mod recorder;
#[cfg(test)]
mod tests;

pub use checker::{Violation, check};
pub use history::{Answer, Call, Operation};
pub use recorder::{RecordedStore, Recorder};
