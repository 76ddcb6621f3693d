//! Moves what a store holds into another one or into a file, and looks into it.
//!
//! # While the store is in use
//! A store is read page by page, so what was read first may have changed
//! before the last page came. Therefore everything is read again, and what
//! changed in between is told anew, until two readings find the same. Revisions
//! never come twice, so every entry that is told was there unchanged from its
//! one reading to its next, and all of them together at the instant between the
//! two. What cannot be seen is a key that was put and deleted again between its
//! two readings: at that instant it may have been there as well. Only a store
//! that nobody writes to is sure to be told as it was.
//!
//! A store that is written to without a pause may never be read twice alike;
//! after some passes the reading ends and [`Summary::is_consistent`] says so.
//! Each entry is then as it was at some time, but not all of them at the same.
//!
//! # The format of an export
//! Lines of JSON in UTF-8, each ended by a line feed:
//!
//! | line | says |
//! |---|---|
//! | `{"format":"pikoci-store","version":1}` | the first: what this is |
//! | `{"key":K,"value":V}` | an entry |
//! | `{"again":{"from":"…","to":"…"}}` | what was said of the keys from `from` on and before `to`, both in base64, is void; what is right follows, up to the next such line. `to` is `null` for the end |
//! | `{"end":{"entries":N,"consistent":B,"sha256":"…"}}` | the last: the number of lines with an entry, whether two readings found the same, and the digest of all lines before |
//!
//! From one `again` to the next, keys ascend. A key `K` or value `V` is what
//! can be read of it, if it can be written back to the same bytes, or
//! `{"base64":"…"}`:
//!
//! | JSON | is |
//! |---|---|
//! | a key `[…]` | the parts of a [`KeyPath`](pikoci_core::database::KeyPath): text, a number without a sign, `{"signed":-1}`, `{"id":"…"}` for a UUID, `{"bytes":"…"}` in base64 |
//! | a value `{"version":1,"json":…}` | a record of that version of its schema |
//! | a value `{"parts":[…]}` | parts of a key |
//!
//! Revisions are not told: the entries get new ones where they are put.

mod check;
mod copy;
mod error;
mod export;
mod format;
mod import;
mod kind;
mod lines;
mod pages;
mod scan;
mod target;

pub use check::{Check, KindCheck, check};
pub use copy::copy;
pub use error::TransferError;
pub use export::Export;
pub use import::Import;
pub use pages::{DEFAULT_PASSES, Progress, Summary};
pub use target::Mode;
