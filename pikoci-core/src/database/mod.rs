//! What the engine keeps, written once above every [`Store`](crate::store::Store).
//!
//! A [`Database`] is a handle on a store. Everything changes in a
//! [`Transaction`], which is tried again when another one was quicker.

mod backoff;
mod error;
mod handle;
mod key_path;
mod transaction;

pub use error::DatabaseError;
pub use handle::{Database, Retry};
pub use key_path::{KeyPart, KeyPath, Part};
pub use transaction::Transaction;
