//! Appending: entries with the number of the first, again as often as it takes.
//!
//! Small appends grow the last chunk, so that a log of many small appends
//! does not become a row each; the last chunk is written anew each time, at
//! most [`GROWN_SIZE_BYTES`] of it. Others make new chunks.

use bytes::Bytes;

use super::chunk::{Builder, Chunk, LENGTH_SIZE_BYTES, MAX_ENTRY_SIZE_BYTES};
use super::error::LogError;
use super::handle::{Log, MAX_APPEND_SIZE_BYTES};
use super::head::{Head, State};
use crate::database::Transaction;
use crate::store::Key;
use crate::store::limits::MAX_VALUE_SIZE_BYTES;

/// The size up to which a chunk is grown, in bytes: what an append writes at
/// most beside its own entries and about 200 bytes for the head and headers.
pub const GROWN_SIZE_BYTES: usize = 8 * 1024;

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The number of the log's next entry.
    pub next: u64,
    /// How many entries are new; the others were there already.
    pub added: u64,
}

/// The first entries that go into one transaction.
pub(super) fn fitting(entries: &[Bytes]) -> usize {
    let mut size = 0;
    let fits = |entry: &&Bytes| {
        size += LENGTH_SIZE_BYTES + entry.len();
        size <= MAX_APPEND_SIZE_BYTES
    };
    entries.iter().take_while(fits).count()
}

impl Log {
    /// Appends `entries`, of which the first has the number `expected`. Those
    /// that the log has already are taken as sent again and not looked at.
    ///
    /// All or nothing up to [`MAX_APPEND_SIZE_BYTES`]; more goes in several
    /// transactions, of which the first may be done when a later one fails.
    /// Dropping the future leaves some of the first entries appended, or all,
    /// or none.
    ///
    /// # Errors
    /// [`LogError::Gap`] when entries are missing before the first,
    /// [`LogError::Sealed`] when one is new and the log was sealed,
    /// [`LogError::EntryTooLarge`], or when it cannot be written.
    pub async fn append(&self, expected: u64, entries: &[Bytes]) -> Result<Appended, LogError> {
        for entry in entries {
            self.check_size(entry)?;
        }
        let mut expected = expected;
        let mut rest = entries;
        let mut added = 0;
        loop {
            let (part, later) = rest.split_at(fitting(rest).min(rest.len()));
            let part: Vec<Bytes> = part.to_vec();
            let count = part.len() as u64;
            let log = self.clone();
            let appended: Appended = self
                .database()
                .transact(move |transaction| {
                    let (log, part) = (log.clone(), part.clone());
                    Box::pin(async move { log.append_in(transaction, expected, &part).await })
                })
                .await?;
            added += appended.added;
            if later.is_empty() {
                return Ok(Appended { added, ..appended });
            }
            expected = expected.saturating_add(count);
            rest = later;
        }
    }

    /// The same in a transaction of the caller's, who can check there that
    /// they still may (a lease) and write what goes with it; at most
    /// [`MAX_APPEND_SIZE_BYTES`] and once for a log.
    ///
    /// # Errors
    /// As [`Self::append`], and [`LogError::AppendTooLarge`].
    pub async fn append_in(
        &self,
        transaction: &mut Transaction,
        expected: u64,
        entries: &[Bytes],
    ) -> Result<Appended, LogError> {
        self.append_after(transaction, expected, entries, None).await.map(|(appended, _)| appended)
    }

    /// The same by someone who knows where the last chunk most likely is, and
    /// so needs one read less; also returns where it is now if it can be grown.
    pub(super) async fn append_after(
        &self,
        transaction: &mut Transaction,
        expected: u64,
        entries: &[Bytes],
        likely_tail: Option<&Key>,
    ) -> Result<(Appended, Option<Key>), LogError> {
        if let Some(tail) = likely_tail {
            transaction.prefetch(&[self.head.clone(), tail.clone()]).await?;
        }
        let mut head = self.load_in(transaction).await?.unwrap_or_else(Head::new);
        if head.next < expected {
            let (log, next) = (self.to_string(), head.next);
            return Err(LogError::Gap { log, expected, next });
        }
        let known = usize::try_from(head.next - expected).unwrap_or(usize::MAX);
        let fresh = entries.get(known..).unwrap_or_default();
        let added = fresh.len() as u64;
        let (tail, tail_size) = match head.state {
            State::Open { tail, tail_size } => (tail, tail_size as usize),
            State::Deleted => return Err(self.not_found()),
            _ if fresh.is_empty() => return Ok((Appended { next: head.next, added }, None)),
            _ => return Err(LogError::Sealed { log: self.to_string(), next: head.next }),
        };
        let bytes: usize = fresh.iter().map(Bytes::len).sum();
        let size_bytes = bytes.saturating_add(fresh.len().saturating_mul(LENGTH_SIZE_BYTES));
        if size_bytes > MAX_APPEND_SIZE_BYTES {
            return Err(LogError::AppendTooLarge { log: self.to_string(), size_bytes });
        }
        let Some(first) = fresh.first() else {
            return Ok((Appended { next: head.next, added }, None));
        };
        let grows =
            head.chunks > 0 && tail_size + LENGTH_SIZE_BYTES + first.len() <= GROWN_SIZE_BYTES;
        let mut builder = if grows {
            Builder::grow(&self.tail_in(transaction, tail).await?, GROWN_SIZE_BYTES)
        } else {
            head.chunks += 1;
            Builder::new(head.next, MAX_VALUE_SIZE_BYTES)
        };
        for entry in fresh {
            if !builder.push(entry) {
                self.put_chunk_in(transaction, &mut head, builder)?;
                head.chunks += 1;
                builder = Builder::new(head.next, MAX_VALUE_SIZE_BYTES);
                if !builder.push(entry) {
                    self.check_size(entry)?;
                }
            }
            head.next += 1;
        }
        let tail = self.put_chunk_in(transaction, &mut head, builder)?;
        head.bytes = head.bytes.saturating_add(bytes as u64);
        self.store_in(transaction, &head)?;
        Ok((Appended { next: head.next, added }, tail))
    }

    fn check_size(&self, entry: &Bytes) -> Result<(), LogError> {
        let size_bytes = entry.len();
        if size_bytes > MAX_ENTRY_SIZE_BYTES {
            return Err(LogError::EntryTooLarge { log: self.to_string(), size_bytes });
        }
        Ok(())
    }

    async fn tail_in(&self, transaction: &mut Transaction, tail: u64) -> Result<Chunk, LogError> {
        let value = transaction.get_raw(&self.chunk_key(tail)?).await?;
        let value =
            value.ok_or_else(|| LogError::Missing { log: self.to_string(), number: tail })?;
        Chunk::read(&value).map_err(|source| self.unreadable(tail, source))
    }

    /// Writes a chunk and notes it as the last; its key if it can be grown.
    fn put_chunk_in(
        &self,
        transaction: &mut Transaction,
        head: &mut Head,
        builder: Builder,
    ) -> Result<Option<Key>, LogError> {
        let Some((header, value)) = builder.finish() else { return Ok(None) };
        let key = self.chunk_key(header.first)?;
        head.state = State::Open { tail: header.first, tail_size: value.len() as u64 };
        let grows = value.len() < GROWN_SIZE_BYTES;
        transaction.put_raw(key.clone(), value);
        Ok(grows.then_some(key))
    }
}
