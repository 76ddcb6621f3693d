//! Archiving: a sealed log moved into one blob.
//!
//! The blob is put first; one transaction makes the head point to it and
//! refers to it; then the chunks go. So at every instant all entries are in
//! the chunks or in the blob. A blob that was put and is not referred to is
//! removed by [`BlobReferences::collect`](crate::database::BlobReferences::collect).

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::archive_format::{Index, MAGIC};
use super::error::LogError;
use super::handle::Log;
use super::head::{Head, State};
use crate::blob::{Blob, BlobError, BlobErrorKind};
use crate::database::{BlobReferences, Transaction};
use crate::store::{KeyRange, Order, Revision};

/// The chunks that are read at once.
const CHUNKS_AT_ONCE: usize = 16;

impl Log {
    /// Moves a sealed log into a blob; packs it first if it is not. Readers
    /// go on. May be called again, and goes on where it was left.
    ///
    /// # Errors
    /// [`LogError::NotFound`], [`LogError::Open`] when it is not sealed; when
    /// it cannot be read or put. Then, and when the future is dropped, the
    /// log is as it was or archived, and this or
    /// [`Logs::tidy`](super::Logs::tidy) goes on.
    pub async fn archive(&self) -> Result<Blob, LogError> {
        loop {
            let (head, entry) = self.load().await?;
            match head.state {
                State::Open { .. } => return Err(LogError::Open { log: self.to_string() }),
                State::Sealed { packed } if packed < head.next => self.pack().await?,
                State::Sealed { .. } => self.move_to_blob(&head, entry.revision).await?,
                State::Archived { blob, blob_size, .. } => {
                    self.clear().await?;
                    return Ok(Blob { digest: blob, size_bytes: blob_size });
                }
                State::Deleted => return Err(self.not_found()),
            }
        }
    }

    /// How the log refers to its archive.
    fn owner(&self) -> (&'static str, &super::handle::Name) {
        ("log", &self.name)
    }

    /// Puts the archive of a packed log whose head has this revision, and
    /// makes the head point to it. When the head changed meanwhile nothing is
    /// done: it may be that of another log of the same name.
    async fn move_to_blob(&self, head: &Head, revision: Revision) -> Result<(), LogError> {
        let blob = match self.logs.blobs.put(archive_of(self.clone(), head.next)).await {
            Err(error) if error.kind == BlobErrorKind::Content => {
                // Have the chunks gone because another one archived or deleted the log?
                let changed = self.load().await?.1.revision != revision;
                return if changed { Ok(()) } else { Err(error.into()) };
            }
            put => put?,
        };
        let log = self.clone();
        self.database()
            .transact(move |transaction| {
                let log = log.clone();
                Box::pin(async move { log.switch_in(transaction, revision, blob).await })
            })
            .await
    }

    /// Makes the head point to its archive if it is still as it was.
    async fn switch_in(
        &self,
        transaction: &mut Transaction,
        revision: Revision,
        blob: Blob,
    ) -> Result<(), LogError> {
        let Some(mut head) = self.load_as_of(transaction, revision).await? else { return Ok(()) };
        head.state =
            State::Archived { blob: blob.digest, blob_size: blob.size_bytes, cleared: false };
        BlobReferences::add_in(transaction, &blob.digest, self.owner()).await?;
        self.store_in(transaction, &head)?;
        transaction.put_raw(self.unfinished.clone(), Bytes::new());
        Ok(())
    }

    /// Removes the chunks of an archived log.
    pub(super) async fn clear(&self) -> Result<(), LogError> {
        let (head, entry) = self.load().await?;
        let State::Archived { blob, cleared: false, .. } = head.state else { return Ok(()) };
        // It was put before it was referred to, so it may have been collected
        // in between; from the reference on it stays.
        if self.logs.blobs.head(&blob).await?.is_none() {
            let again = self.logs.blobs.put(archive_of(self.clone(), head.next)).await?;
            if again.digest != blob {
                return Err(BlobError::damaged(&blob).into());
            }
        }
        // Of this head alone is it known that its blob is there.
        let revision = entry.revision;
        while self.remove_chunks(move |_, now| now == Some(revision)).await? {}
        let log = self.clone();
        self.database()
            .transact(move |transaction| {
                let log = log.clone();
                Box::pin(async move {
                    let head = log.load_as_of(transaction, revision).await?;
                    let Some(mut head) = head else { return Ok(()) };
                    if let State::Archived { cleared, .. } = &mut head.state {
                        *cleared = true;
                        log.store_in(transaction, &head)?;
                        transaction.delete_raw(log.unfinished.clone());
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Refers to the archive no more.
    pub(super) async fn release_in(
        &self,
        transaction: &mut Transaction,
        head: &Head,
    ) -> Result<(), LogError> {
        if let State::Archived { blob, .. } = head.state {
            BlobReferences::remove_in(transaction, &blob, self.owner()).await?;
        }
        Ok(())
    }
}

/// The archive of a log with so many entries, as it is read from its chunks.
fn archive_of(log: Log, next: u64) -> BoxStream<'static, Result<Bytes, BlobError>> {
    let source = Source { range: log.chunk_range(), log, next, index: Index::new(), ended: false };
    let rest = stream::try_unfold(source, |mut source| async move {
        let piece = source.piece().await.map_err(|error| {
            BlobError::new(BlobErrorKind::Content, "the log cannot be read").caused_by(error)
        })?;
        Ok(piece.map(|piece| (piece, source)))
    });
    stream::iter([Ok(Bytes::from_static(&MAGIC))]).chain(rest).boxed()
}

struct Source {
    log: Log,
    next: u64,
    /// The chunks that are still to be read.
    range: KeyRange,
    index: Index,
    ended: bool,
}

impl Source {
    /// Some frames, then the index, then nothing.
    async fn piece(&mut self) -> Result<Option<Bytes>, LogError> {
        if self.ended {
            return Ok(None);
        }
        let database = self.log.database();
        let found = database.scan_raw(&self.range, Order::Ascending, CHUNKS_AT_ONCE).await?;
        let mut frames = Vec::new();
        for (key, entry) in found {
            let number = self.index.next();
            self.index.push(&entry.value).map_err(|source| self.log.unreadable(number, source))?;
            self.range = self.range.after(&key);
            frames.extend_from_slice(&entry.value);
        }
        if !frames.is_empty() {
            return Ok(Some(frames.into()));
        }
        if self.index.next() != self.next {
            let (log, number) = (self.log.to_string(), self.index.next());
            return Err(LogError::Missing { log, number });
        }
        self.ended = true;
        Ok(Some(self.index.write()))
    }
}
