//! Reading frames of an archive: its index once, then no more of the blob
//! than what is asked for.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::archive_format::Index;
use super::chunk::FormatError;
use super::error::LogError;
use super::handle::Log;
use crate::blob::{Blob, Content};

/// An archive whose index was read, and how far its frames were.
pub(super) struct ArchiveReader {
    blob: Blob,
    index: Index,
    /// The blob from `offset` on.
    content: Option<Content>,
    offset: u64,
    /// What was read of the blob and not taken yet.
    rest: BytesMut,
}

impl fmt::Debug for ArchiveReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveReader").field("blob", &self.blob).finish_non_exhaustive()
    }
}

impl ArchiveReader {
    /// Reads and verifies the index of an archive with so many frames.
    pub(super) async fn open(log: &Log, blob: Blob, frames: u64) -> Result<Self, LogError> {
        let wrong = |source| log.unreadable(0, source);
        let offset = Index::offset(blob.size_bytes, frames);
        let size = Index::size_bytes(blob.size_bytes, offset).map_err(wrong)?;
        let mut content = log.logs.blobs.get(&blob.digest, offset..).await?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = content.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() > size {
                return Err(wrong(FormatError::Field("size")));
            }
        }
        let index = Index::read(&bytes, offset).map_err(wrong)?;
        Ok(Self { blob, index, content: None, offset: 0, rest: BytesMut::new() })
    }

    /// The frame that holds entry `number`.
    pub(super) async fn frame(&mut self, log: &Log, number: u64) -> Result<Bytes, LogError> {
        let place = *self
            .index
            .from(number)
            .first()
            .ok_or_else(|| LogError::Missing { log: log.to_string(), number })?;
        let content = self.content.take().filter(|_| self.offset == place.offset);
        let mut content = match content {
            Some(content) => content,
            None => {
                self.rest.clear();
                self.offset = place.offset;
                log.logs.blobs.get(&self.blob.digest, place.offset..).await?
            }
        };
        let size = place.size as usize;
        // While this waits there is no content, so after a drop it begins anew.
        while self.rest.len() < size {
            let piece = content.next().await;
            let piece = piece.ok_or_else(|| log.unreadable(number, FormatError::Short))??;
            self.rest.extend_from_slice(&piece);
        }
        self.content = Some(content);
        self.offset += u64::from(place.size);
        Ok(self.rest.split_to(size).freeze())
    }
}
