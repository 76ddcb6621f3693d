//! Sealing: a log that takes no more entries, packed into few chunks.
//!
//! The first transaction seals. Each further one takes plain chunks from
//! where the last one ended, writes packed ones in their place and notes how
//! far it came. So at every instant each entry is in exactly one chunk, and
//! whoever goes on, after a kill or beside others, goes on from there.

use bytes::Bytes;

use super::chunk::{Builder, Chunk, FormatError, Header, Packer};
use super::error::LogError;
use super::handle::Log;
use super::head::{Head, State};
use crate::database::Transaction;
use crate::store::limits::MAX_VALUE_SIZE_BYTES;
use crate::store::{Key, KeyRange, Order};

/// The most bytes of chunks that are packed in one transaction. They become
/// no more, so with keys and what is left of a chunk it fits in any case.
const PACKED_AT_ONCE_BYTES: usize = 12 * MAX_VALUE_SIZE_BYTES;
/// The most chunks that are packed in one transaction, and scanned at once.
const PACKED_AT_ONCE: usize = 60;
const SCANNED_AT_ONCE: usize = 15;
/// The most chunks they become.
const MADE_AT_ONCE: usize = 30;

impl Log {
    /// Lets the log take no more entries and packs it. May be called again,
    /// and goes on where it was left.
    ///
    /// # Errors
    /// [`LogError::NotFound`]; or when it cannot be written. Then, and when
    /// the future is dropped, [`Logs::tidy`](super::Logs::tidy) goes on.
    pub async fn seal(&self) -> Result<(), LogError> {
        let log = self.clone();
        self.database()
            .transact(move |transaction| {
                let log = log.clone();
                Box::pin(async move { log.seal_in(transaction).await })
            })
            .await?;
        self.pack().await
    }

    /// Lets the log take no more entries, in a transaction of the caller's.
    /// It is packed by [`Self::seal`] or [`Logs::tidy`](super::Logs::tidy) later.
    ///
    /// # Errors
    /// [`LogError::NotFound`]; or when it cannot be read.
    pub async fn seal_in(&self, transaction: &mut Transaction) -> Result<(), LogError> {
        match self.load_in(transaction).await? {
            None | Some(Head { state: State::Deleted, .. }) => Err(self.not_found()),
            Some(mut head) => {
                if let State::Open { .. } = head.state {
                    head.state = State::Sealed { packed: 0 };
                    self.store_in(transaction, &head)?;
                    transaction.put_raw(self.unfinished.clone(), Bytes::new());
                }
                Ok(())
            }
        }
    }

    /// Packs what is not packed yet of a sealed log.
    pub(super) async fn pack(&self) -> Result<(), LogError> {
        loop {
            let log = self.clone();
            let done = self
                .database()
                .transact(move |transaction| {
                    let log = log.clone();
                    Box::pin(async move { log.pack_in(transaction).await })
                })
                .await?;
            if done {
                return Ok(());
            }
        }
    }

    /// Packs the next chunks; whether all are packed.
    async fn pack_in(&self, transaction: &mut Transaction) -> Result<bool, LogError> {
        let Some(mut head) = self.load_in(transaction).await? else { return Ok(true) };
        let State::Sealed { packed } = head.state else { return Ok(true) };
        if packed >= head.next {
            // A log that was sealed without an entry.
            transaction.delete_raw(self.unfinished.clone());
            return Ok(true);
        }
        let taken = Taken::read(self, packed).await?;
        if taken.chunks.is_empty() {
            // Gone because another one went on meanwhile, or damaged.
            return match self.load().await? {
                (_, now) if Some(now.revision) == transaction.revision(&self.head) => {
                    Err(LogError::Missing { log: self.to_string(), number: packed })
                }
                _ => Ok(false),
            };
        }
        let mut made: Vec<(Header, Bytes)> = Vec::new();
        let mut rest = taken.entries.as_slice();
        let mut end = packed;
        let mut packer = Packer::new();
        while made.len() < MADE_AT_ONCE
            && let Some((header, value)) = packer.pack(end, rest)
        {
            rest = rest.get(header.count as usize..).unwrap_or_default();
            end = header.next();
            made.push((header, value));
        }
        // A last one that is half empty is packed with what comes after it.
        if taken.next < head.next
            && made.len() > 1
            && made.last().is_some_and(|(_, value)| value.len() < MAX_VALUE_SIZE_BYTES / 2)
            && let Some((header, _)) = made.pop()
        {
            end = header.first;
        }
        // What is left of a chunk that was packed in part is a plain one for now.
        made.extend(taken.rest_of(end).map_err(|source| self.unreadable(end, source))?);
        let gone: Vec<_> = taken.chunks.iter().filter(|taken| taken.header.first < end).collect();
        head.chunks = (head.chunks + made.len() as u64).saturating_sub(gone.len() as u64);
        for chunk in &gone {
            if made.iter().all(|(header, _)| header.first != chunk.header.first) {
                transaction.delete_raw(chunk.key.clone());
            }
        }
        for (header, value) in made {
            if gone.iter().all(|chunk| chunk.value != value) {
                transaction.put_raw(self.chunk_key(header.first)?, value);
            }
        }
        head.state = State::Sealed { packed: end };
        self.store_in(transaction, &head)?;
        let done = end >= head.next;
        if done {
            transaction.delete_raw(self.unfinished.clone());
        }
        Ok(done)
    }

    pub(super) fn unreadable(&self, number: u64, source: FormatError) -> LogError {
        LogError::Unreadable { log: self.to_string(), number, source }
    }
}

/// Chunks that are packed in one transaction.
struct Taken {
    chunks: Vec<TakenChunk>,
    entries: Vec<Bytes>,
    /// The number after that of the last entry.
    next: u64,
}

struct TakenChunk {
    key: Key,
    header: Header,
    value: Bytes,
}

impl Taken {
    /// The chunks from entry `from` on, at which one begins.
    async fn read(log: &Log, from: u64) -> Result<Self, LogError> {
        let mut taken = Self { chunks: Vec::new(), entries: Vec::new(), next: from };
        let mut range = log.chunk_range();
        range = KeyRange::new(log.chunk_key(from)?.to_bytes(), range.end().cloned());
        let mut size = 0;
        loop {
            let found = log.database().scan_raw(&range, Order::Ascending, SCANNED_AT_ONCE).await?;
            let last = found.len() < SCANNED_AT_ONCE;
            for (key, entry) in found {
                size += entry.value.len();
                if size > PACKED_AT_ONCE_BYTES {
                    return Ok(taken);
                }
                let chunk = Chunk::read(&entry.value)
                    .map_err(|source| log.unreadable(taken.next, source))?;
                let header = chunk.header();
                if header.first != taken.next {
                    return Ok(taken);
                }
                taken.next = header.next();
                taken.entries.extend(chunk.entries());
                range = range.after(&key);
                taken.chunks.push(TakenChunk { key, header, value: entry.value });
            }
            if last || taken.chunks.len() >= PACKED_AT_ONCE {
                return Ok(taken);
            }
        }
    }

    /// What is left of the chunk that `end` is within, from there on.
    fn rest_of(&self, end: u64) -> Result<Option<(Header, Bytes)>, FormatError> {
        let within = |chunk: &&TakenChunk| chunk.header.first < end && end < chunk.header.next();
        let Some(chunk) = self.chunks.iter().find(within) else { return Ok(None) };
        let mut builder = Builder::new(end, MAX_VALUE_SIZE_BYTES);
        let skip = usize::try_from(end - chunk.header.first).unwrap_or(usize::MAX);
        let fits = Chunk::read(&chunk.value)?.entries().skip(skip).all(|it| builder.push(&it));
        if fits { Ok(builder.finish()) } else { Err(FormatError::Field("size")) }
    }
}
