//! Append-only logs: what happened to a build, entry by entry, numbered from 0
//! without gaps or twins.
//!
//! A log is named by parts of a key, such as a
//! [`BuildId`](crate::name::BuildId), and holds entries of any bytes, such as
//! an event as JSON. Its life goes one way:
//!
//! ```text
//! append … append ─ seal ─────────────── archive ───────────── delete
//! plain chunks      packed chunks        one blob
//! ```
//!
//! Each of these is done in transactions that every store takes, may be
//! killed between any two of them, and goes on when it is called again or by
//! [`Logs::tidy`]. A reader sees each entry exactly once all the while.
//!
//! # What it costs
//! - An append: one read and one commit; two reads when it grows the last chunk
//!   (a [`LogWriter`] makes one of them). It writes its own entries and at most
//!   [`GROWN_SIZE_BYTES`] again, and the head, about 100 bytes.
//! - A read from any number: the head and one scan of the chunks, or the head,
//!   the archive's index and the frames that are read.
//! - A read where nothing is new: one read of one key.
//!
//! # Keys
//! | key | value |
//! |---|---|
//! | `"log"`, `"head"`, name… | the head: how many entries, in which state |
//! | `"log"`, `"chunk"`, number of the name's parts, name…, number of the first entry | a chunk; at most 64 KiB |
//! | `"log"`, `"unfinished"`, name… | nothing; there while something is to be completed |
//!
//! ```
//! use std::sync::Arc;
//!
//! use pikoci_core::blob::MemoryBlobStore;
//! use pikoci_core::clock::SystemClock;
//! use pikoci_core::database::Database;
//! use pikoci_core::database::log::Logs;
//! use pikoci_core::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::new(Arc::new(MemoryStore::new()), Arc::new(SystemClock::new()));
//! let logs = Logs::new(database, Arc::new(MemoryBlobStore::new()));
//! let log = logs.log("build 7")?;
//! log.append(0, &["created".into(), "started".into()]).await?;
//! log.append(1, &["started".into(), "finished".into()]).await?;
//! log.seal().await?;
//!
//! let page = log.reader(1).read(Default::default()).await?;
//! assert_eq!(page.entries, ["started", "finished"]);
//! assert!(page.ended);
//! # Ok(())
//! # }
//! ```

mod append;
mod archive;
mod archive_format;
mod archive_read;
mod chunk;
mod delete;
mod error;
mod handle;
mod head;
mod read;
mod seal;
#[cfg(test)]
mod tests;
mod writer;

pub use append::{Appended, GROWN_SIZE_BYTES};
pub use chunk::{FormatError, MAX_ENTRY_SIZE_BYTES};
pub use error::LogError;
pub use handle::{Log, Logs, MAX_APPEND_SIZE_BYTES};
pub use head::{LogInfo, LogState};
pub use read::{LogPage, LogReader, ReadLimit};
pub use writer::{Fence, LogWriter};
