//! Where things are: the keys of the typed layer, in one place so that no two
//! kinds of thing share a key.
//!
//! | key | holds |
//! |---|---|
//! | `"r"`, kind, id… | a record |
//! | `"i"`, kind, index, values…, id… | an entry of an index: the id |
//! | `"i"`, kind, index, values… | an entry of a unique index: the id |
//! | `"c"`, name… | a counter |
//! | `"s"`, name…, cell | a cell of a spread counter |
//! | `"q"`, name, position… | an item of a queue |
//! | `"n"`, name | the last number that a queue gave to an item |
//! | `"l"`, name… | a lease |
//! | `"d"`, number of the name's parts, name…, flag… | a flag that is raised, and so due to be looked at |
//! | `"f"`, number of the name's parts, name…, cell | how many entries a cell of a feed was ever given |
//! | `"f"`, number of the name's parts, name…, cell, number | an entry of a feed |
//! | `"log"`, … | logs, see [`log`](super::log) |
//! | `"b"`, `"bc"`, … | references to blobs, see [`BlobReferences`](super::BlobReferences) |
//! | `"x"`, … | when things end, see [`Transaction::expire_at`](super::Transaction::expire_at) |
//!
//! The first part is never used for anything else again. The number of the
//! name's parts stands where ranges are read: so what is named `a` has none of
//! the keys of what is named `a`, `b`.

use super::key_path::KeyPath;

/// Records.
pub(super) const RECORD: &str = "r";
/// Entries of indexes.
pub(super) const INDEX: &str = "i";
/// Counters.
pub(super) const COUNTER: &str = "c";
/// Cells of spread counters.
pub(super) const SPREAD: &str = "s";
/// Items of queues.
pub(super) const QUEUE: &str = "q";
/// The last number that a queue gave to an item of its own.
pub(super) const QUEUE_NUMBER: &str = "n";
/// Leases.
pub(super) const LEASE: &str = "l";
/// Flags that are raised.
pub(super) const FLAG: &str = "d";
/// Feeds: the counts of their cells, and their entries.
pub(super) const FEED: &str = "f";

/// What all keys of the thing of this name begin with, and none of another name.
pub(super) fn named(kind: &str, name: &KeyPath) -> KeyPath {
    KeyPath::new((kind, count_parts(name), name))
}

/// How many parts a name has.
fn count_parts(name: &KeyPath) -> u64 {
    KeyPath::parts_of(name.as_bytes()).map_or(0, |parts| parts.len() as u64)
}
