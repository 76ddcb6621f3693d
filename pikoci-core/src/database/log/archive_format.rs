//! Archives: a sealed log as one blob.
//!
//! Format, version 1; numbers have their highest byte first:
//!
//! | part | bytes |
//! |---|---|
//! | beginning | `PIKOLOG` and the version, 1 (8 bytes) |
//! | frames | the log's chunks, each as it was stored, one after the other |
//! | index | for each frame the number of its first entry (8), where it begins in the blob (8), its size (4) |
//! | end | where the index begins (8), the number of frames (4), the number of entries (8), CRC-32 (IEEE) of the index and of the end so far (4), `PIKOLOG` and the version (8) |
//!
//! A part of a blob cannot be checked against the blob's digest; therefore
//! index and frames have checksums of their own.

use bytes::{Buf, BufMut, Bytes};

use super::chunk::{FormatError, HEADER_SIZE_BYTES, Header};
use crate::store::limits::MAX_VALUE_SIZE_BYTES;

/// How an archive begins and ends; the last byte is the version.
pub(super) const MAGIC: [u8; 8] = *b"PIKOLOG\x01";
/// The bytes of the index for one frame.
const PLACE_SIZE_BYTES: usize = 20;
/// The bytes after the index.
const END_SIZE_BYTES: usize = 32;
/// The largest index, for more frames than fit into the largest blob.
const MAX_INDEX_SIZE_BYTES: u64 = 64 * 1024 * 1024;

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: u64,
    pub(super) offset: u64,
    pub(super) size: u32,
}

/// What an archive holds and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    places: Vec<Place>,
    /// Where the next frame will begin.
    end: u64,
    /// The number of entries.
    next: u64,
}

impl Index {
    /// Of an archive without frames.
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), end: MAGIC.len() as u64, next: 0 }
    }

    /// Adds the next frame.
    pub(super) fn push(&mut self, frame: &Bytes) -> Result<(), FormatError> {
        let header = Header::read(frame)?;
        if header.first != self.next {
            return Err(FormatError::Field("first number"));
        }
        let size = frame.len() as u32;
        self.places.push(Place { first: header.first, offset: self.end, size });
        self.end = self.end.saturating_add(size.into());
        self.next = header.next();
        Ok(())
    }

    /// The number of entries in all frames.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Where the index begins in an archive of this size with so many frames.
    pub(super) fn offset(archive_size_bytes: u64, frames: u64) -> u64 {
        let size = frames.saturating_mul(PLACE_SIZE_BYTES as u64);
        archive_size_bytes.saturating_sub(size.saturating_add(END_SIZE_BYTES as u64))
    }

    /// What follows the last frame.
    pub(super) fn write(&self) -> Bytes {
        let size = self.places.len() * PLACE_SIZE_BYTES + END_SIZE_BYTES;
        let mut bytes = Vec::with_capacity(size);
        for place in &self.places {
            bytes.put_u64(place.first);
            bytes.put_u64(place.offset);
            bytes.put_u32(place.size);
        }
        bytes.put_u64(self.end);
        bytes.put_u32(self.places.len() as u32);
        bytes.put_u64(self.next);
        let checksum = crc32fast::hash(&bytes);
        bytes.put_u32(checksum);
        bytes.put_slice(&MAGIC);
        bytes.into()
    }

    /// The size of what [`Self::read`] takes, in an archive of this size.
    pub(super) fn size_bytes(archive_size_bytes: u64, offset: u64) -> Result<usize, FormatError> {
        let size = archive_size_bytes.checked_sub(offset);
        size.filter(|size| (END_SIZE_BYTES as u64..=MAX_INDEX_SIZE_BYTES).contains(size))
            .and_then(|size| usize::try_from(size).ok())
            .ok_or(FormatError::Field("index"))
    }

    /// Reads and verifies what follows the last frame of an archive; `offset`
    /// is where that begins.
    pub(super) fn read(bytes: &[u8], offset: u64) -> Result<Self, FormatError> {
        let places = bytes.len().checked_sub(END_SIZE_BYTES).ok_or(FormatError::Short)?;
        let (mut places, mut end) = bytes.split_at(places);
        let known = end[END_SIZE_BYTES - MAGIC.len()..] == MAGIC;
        let end_offset = end.get_u64();
        let frames = end.get_u32() as usize;
        let next = end.get_u64();
        let checksum = end.get_u32();
        if !known {
            let version = end[MAGIC.len() - 1];
            let other = end.starts_with(&MAGIC[..MAGIC.len() - 1]);
            return Err(if other { FormatError::Version(version) } else { FormatError::Magic });
        }
        if crc32fast::hash(&bytes[..bytes.len() - MAGIC.len() - 4]) != checksum {
            return Err(FormatError::Checksum);
        }
        if end_offset != offset || frames.checked_mul(PLACE_SIZE_BYTES) != Some(places.len()) {
            return Err(FormatError::Field("index"));
        }
        let mut index = Self { next, ..Self::new() };
        while !places.is_empty() {
            let place =
                Place { first: places.get_u64(), offset: places.get_u64(), size: places.get_u32() };
            let follows = match index.places.last() {
                Some(last) => place.first > last.first,
                None => place.first == 0,
            };
            let size = place.size as usize;
            let fits = (HEADER_SIZE_BYTES..=MAX_VALUE_SIZE_BYTES).contains(&size);
            if !follows || place.first >= next || place.offset != index.end || !fits {
                return Err(FormatError::Field("index"));
            }
            index.end = index.end.saturating_add(place.size.into());
            index.places.push(place);
        }
        if index.end != offset || index.places.is_empty() != (next == 0) {
            return Err(FormatError::Field("index"));
        }
        Ok(index)
    }

    /// The frame that holds entry `number`, and those after it.
    pub(super) fn from(&self, number: u64) -> &[Place] {
        let after = self.places.partition_point(|place| place.first <= number);
        self.places.get(after.saturating_sub(1)..).unwrap_or_default()
    }
}
