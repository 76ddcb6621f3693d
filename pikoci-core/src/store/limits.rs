//! What every store takes, and what callers must keep to.
//!
//! The strictest backend sets each number. They are checked above the store
//! ([`Key::new`](super::Key::new), [`Txn::validate`](super::Txn::validate)),
//! so that what works on a laptop works on a cluster.

/// The longest key, in bytes. MySQL indexes at most 3,072 bytes.
pub const MAX_KEY_SIZE_BYTES: usize = 1024;

/// The largest value, in bytes. sled never gives back the room of values of
/// 128 KiB and more.
pub const MAX_VALUE_SIZE_BYTES: usize = 64 * 1024;

/// The most checks and writes of one transaction, taken together. etcd takes
/// 128 and needs some for itself.
pub const MAX_TXN_OPERATIONS: usize = 100;

/// The largest transaction: the bytes of its keys and values. etcd takes
/// requests of 1.5 MiB.
pub const MAX_TXN_SIZE_BYTES: usize = 1024 * 1024;

/// The most keys of one `get`.
pub const MAX_GET_KEYS: usize = 100;

/// The most entries of one `scan`.
pub const MAX_SCAN_ENTRIES: usize = 1000;
