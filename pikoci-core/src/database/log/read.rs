//! Reading a log from any entry on, wherever it is just then.
//!
//! While a reader goes on, the log may be appended to, packed, moved into a
//! blob and deleted. It keeps the number of the next entry and nothing else
//! it relies on: what it does not find where it looked it looks for anew, and
//! only what is not there although the head did not change is missing.

use std::collections::VecDeque;
use std::fmt;
use std::iter::{Peekable, Skip};

use bytes::Bytes;

use super::archive_read::ArchiveReader;
use super::chunk::{Chunk, Entries};
use super::error::LogError;
use super::handle::Log;
use super::head::{Head, State};
use crate::blob::{Blob, BlobErrorKind};
use crate::store::{KeyRange, Order, Revision};

/// The chunks that are fetched at once: 1 MiB at most.
const CHUNKS_AT_ONCE: usize = 16;

/// How much one read returns at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// The number of entries.
    pub entries: usize,
    /// The bytes of the entries; the first is returned however large it is.
    pub bytes: usize,
}

impl Default for ReadLimit {
    /// 1000 entries, 256 KiB.
    fn default() -> Self {
        Self { entries: 1000, bytes: 256 * 1024 }
    }
}

/// Entries that were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The number of the first.
    pub first: u64,
    /// The entries, one number after the other.
    pub entries: Vec<Bytes>,
    /// Whether no entry will ever follow: the log is sealed and all is read.
    /// Told with the last entries, or with a page without any after them.
    pub ended: bool,
}

impl LogPage {
    /// The number after that of the last.
    pub fn next(&self) -> u64 {
        self.first.saturating_add(self.entries.len() as u64)
    }
}

/// Reads a log from some entry on; made by [`Log::reader`].
///
/// Holds at most about 2 MiB beside what it returns, and the index of the
/// archive: 20 bytes for each of its frames.
pub struct LogReader {
    log: Log,
    /// The number after that of the last entry that was returned.
    next: u64,
    /// Where `current` stands; not `next` after an error or a dropped future.
    at: u64,
    /// The head as it was looked up last.
    seen: Option<Seen>,
    /// Entries of the chunk that is being read, from `at` on.
    current: Option<Peekable<Skip<Entries>>>,
    /// Chunks that come after it, as they are stored.
    fetched: VecDeque<Bytes>,
    /// Whether a chunk should begin at `at`.
    aligned: bool,
    archive: Option<ArchiveReader>,
}

#[derive(Debug)]
struct Seen {
    head: Head,
    revision: Revision,
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader")
            .field("log", &self.log)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl LogReader {
    pub(super) fn new(log: Log, from: u64) -> Self {
        Self {
            log,
            next: from,
            at: from,
            seen: None,
            current: None,
            fetched: VecDeque::new(),
            aligned: from == 0,
            archive: None,
        }
    }

    /// The number of the entry that is read next.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// The next entries; none when there are none yet (then one key was read,
    /// and that is all it cost) or when the log ended, which the page says.
    ///
    /// After an error, and after its future was dropped, it goes on after the
    /// last page that was returned.
    ///
    /// # Errors
    /// [`LogError::NotFound`] before the first append and after the log was
    /// deleted; when what is stored cannot be read or is damaged.
    pub async fn read(&mut self, limit: ReadLimit) -> Result<LogPage, LogError> {
        if self.at != self.next {
            self.current = None;
            self.fetched.clear();
            self.aligned = false;
            self.at = self.next;
        }
        let mut entries = Vec::new();
        self.fill(limit, &mut entries).await?;
        let ended = self.seen.as_ref().is_some_and(|seen| seen.ends_by(self.at));
        let first = std::mem::replace(&mut self.next, self.at);
        Ok(LogPage { first, entries, ended })
    }

    async fn fill(&mut self, limit: ReadLimit, entries: &mut Vec<Bytes>) -> Result<(), LogError> {
        let mut bytes = 0_usize;
        loop {
            if let Some(current) = &mut self.current {
                while let Some(entry) = current.peek() {
                    let size = bytes.saturating_add(entry.len());
                    if entries.len() >= limit.entries || !entries.is_empty() && size > limit.bytes {
                        return Ok(());
                    }
                    bytes = size;
                    entries.extend(current.next());
                    self.at += 1;
                }
                self.current = None;
                self.aligned = true;
            }
            let full = entries.len() >= limit.entries || bytes >= limit.bytes && bytes > 0;
            if full || self.is_behind() && !entries.is_empty() {
                return Ok(());
            }
            if self.is_behind() {
                if self.seen.as_ref().is_some_and(|seen| seen.ends_by(self.at)) {
                    return Ok(());
                }
                self.look().await?;
                if self.is_behind() {
                    return Ok(());
                }
            }
            self.current = Some(self.fetch().await?);
        }
    }

    /// Whether all entries that are known of were taken.
    fn is_behind(&self) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen.head.next <= self.at)
    }

    async fn look(&mut self) -> Result<(), LogError> {
        // Gone from here until it is known again.
        self.seen = None;
        let (head, entry) = self.log.load().await?;
        self.seen = Some(Seen { head, revision: entry.revision });
        Ok(())
    }

    /// The entries of the chunk that holds entry `at`, from that one on.
    async fn fetch(&mut self) -> Result<Peekable<Skip<Entries>>, LogError> {
        loop {
            if let Some(value) = self.fetched.pop_front() {
                match self.entries_of(&value)? {
                    Some(entries) => return Ok(entries),
                    None => self.fetched.clear(),
                }
            }
            let Some(Seen { head, revision }) = &self.seen else {
                self.look().await?;
                continue;
            };
            let (state, frames, revision) = (head.state.clone(), head.chunks, *revision);
            let tail = matches!(state, State::Open { tail, .. } if tail <= self.at);
            let aligned = self.aligned;
            let found = match state {
                State::Archived { blob, blob_size, .. } => {
                    let blob = Blob { digest: blob, size_bytes: blob_size };
                    Some(self.frame(blob, frames).await?)
                }
                State::Open { tail, .. } if tail <= self.at => self.log.chunk(tail).await?,
                _ if aligned => self.chunks_from_here().await?,
                _ => self.log.chunk_around(self.at).await?,
            };
            if let Some(value) = found
                && let Some(entries) = self.entries_of(&value)?
            {
                return Ok(entries);
            }
            self.aligned = false;
            if aligned && !tail {
                continue;
            }
            self.look().await?;
            if self.seen.as_ref().is_some_and(|seen| seen.revision == revision) {
                return Err(LogError::Missing { log: self.log.to_string(), number: self.at });
            }
        }
    }

    /// The entries of a chunk from `at` on; `None` when it does not have that one.
    fn entries_of(&self, value: &Bytes) -> Result<Option<Peekable<Skip<Entries>>>, LogError> {
        let chunk = Chunk::read(value).map_err(|source| self.log.unreadable(self.at, source))?;
        let header = chunk.header();
        if !(header.first..header.next()).contains(&self.at) {
            return Ok(None);
        }
        let skip = usize::try_from(self.at - header.first).unwrap_or(usize::MAX);
        Ok(Some(chunk.entries().skip(skip).peekable()))
    }

    /// The chunk that begins at `at`; keeps those after it.
    async fn chunks_from_here(&mut self) -> Result<Option<Bytes>, LogError> {
        let here = self.log.chunk_key(self.at)?;
        let end = self.log.chunk_range().end().cloned();
        let range = KeyRange::new(here.to_bytes(), end);
        let found = self.log.database().scan_raw(&range, Order::Ascending, CHUNKS_AT_ONCE).await?;
        if found.first().is_none_or(|(key, _)| *key != here) {
            return Ok(None);
        }
        self.fetched = found.into_iter().map(|(_, entry)| entry.value).collect();
        Ok(self.fetched.pop_front())
    }

    /// The frame of the archive that holds `at`.
    async fn frame(&mut self, blob: Blob, frames: u64) -> Result<Bytes, LogError> {
        let found = self.frame_of(blob, frames).await;
        if let Err(LogError::Blob(error)) = &found
            && error.kind == BlobErrorKind::NotFound
        {
            // Where the log was deleted meanwhile, that is what is told.
            self.look().await?;
        }
        found
    }

    async fn frame_of(&mut self, blob: Blob, frames: u64) -> Result<Bytes, LogError> {
        if self.archive.is_none() {
            self.archive = Some(ArchiveReader::open(&self.log, blob, frames).await?);
        }
        match &mut self.archive {
            Some(archive) => archive.frame(&self.log, self.at).await,
            None => Err(LogError::Missing { log: self.log.to_string(), number: self.at }),
        }
    }
}

impl Seen {
    /// Whether the log is sealed and has no entry `number` or later.
    fn ends_by(&self, number: u64) -> bool {
        !matches!(self.head.state, State::Open { .. }) && self.head.next <= number
    }
}

// Not the reader's own, which cannot be shared between threads while it waits.
impl Log {
    /// The chunk that begins with this entry.
    async fn chunk(&self, first: u64) -> Result<Option<Bytes>, LogError> {
        let found = self.database().get_raw(&[self.chunk_key(first)?]).await?;
        Ok(found.into_iter().next().flatten().map(|entry| entry.value))
    }

    /// The last chunk that begins with this entry or before.
    async fn chunk_around(&self, number: u64) -> Result<Option<Bytes>, LogError> {
        let range = self.chunk_range().before(&self.chunk_key(number.saturating_add(1))?);
        let found = self.database().scan_raw(&range, Order::Descending, 1).await?;
        Ok(found.into_iter().next().map(|(_, entry)| entry.value))
    }
}
