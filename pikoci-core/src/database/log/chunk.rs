//! Chunks: the entries of a log one after the other, in one value of the store.
//!
//! Format, version 1; numbers have their highest byte first:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | the version, 1 |
//! | 1 | the packing of the body: 0 as it is, 1 one zstd frame that tells its size |
//! | 2 to 9 | the number of the first entry |
//! | 10 to 13 | how many entries, at least 1 |
//! | 14 to 17 | the size of the unpacked body in bytes, at most [`MAX_BODY_SIZE_BYTES`] |
//! | 18 to 21 | CRC-32 (IEEE) of bytes 0 to 17 and of all from byte 22 on |
//! | from 22 | the body: for each entry its size in bytes (4) and the entry |
//!
//! A chunk is written plain, packed when its log is sealed, and then moved to
//! the log's archive as it is.

use bytes::{Buf, BufMut, Bytes};
use thiserror::Error;

use crate::store::limits::MAX_VALUE_SIZE_BYTES;

/// The bytes before the body.
pub(super) const HEADER_SIZE_BYTES: usize = 22;
/// The bytes before each entry.
pub(super) const LENGTH_SIZE_BYTES: usize = 4;
/// The largest unpacked body: what a reader holds to find one entry.
pub(super) const MAX_BODY_SIZE_BYTES: usize = 1024 * 1024;
/// The largest entry of a log, in bytes: it fills a chunk of its own.
pub const MAX_ENTRY_SIZE_BYTES: usize =
    MAX_VALUE_SIZE_BYTES - HEADER_SIZE_BYTES - LENGTH_SIZE_BYTES;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// zstd's own default; more takes several times as long and saves little.
const ZSTD_LEVEL: i32 = 3;
/// How full a packed chunk is aimed to be where not all entries fit, in percent.
const AIM: u64 = 95;

/// What is stored is no chunk or archive of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not even its fixed part is there.
    #[error("it ends too early")]
    Short,
    /// It was written by a newer version of PikoCI.
    #[error("its format is version {0}, this program reads version 1")]
    Version(u8),
    /// Its bytes are not those that were written.
    #[error("its checksum does not match")]
    Checksum,
    /// Its fields contradict each other or a limit.
    #[error("its {0} cannot be right")]
    Field(&'static str),
    /// It does not begin or end as an archive does.
    #[error("it is no archive of a log")]
    Magic,
}

/// The entries of one chunk, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    header: Header,
    body: Bytes,
}

/// What a chunk says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first: u64,
    pub(super) count: u32,
    body_size: u32,
    packing: u8,
}

impl Header {
    /// Reads the header of a chunk and verifies the checksum of all of it.
    pub(super) fn read(value: &[u8]) -> Result<Self, FormatError> {
        let (fixed, body) = value.split_at_checked(HEADER_SIZE_BYTES).ok_or(FormatError::Short)?;
        let (head, mut checksum) = fixed.split_at(HEADER_SIZE_BYTES - 4);
        let mut fields = head;
        let version = fields.get_u8();
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        if checksum_of(head, body) != checksum.get_u32() {
            return Err(FormatError::Checksum);
        }
        let packing = fields.get_u8();
        let header = Self {
            packing,
            first: fields.get_u64(),
            count: fields.get_u32(),
            body_size: fields.get_u32(),
        };
        if packing > ZSTD {
            return Err(FormatError::Field("packing"));
        }
        if header.count == 0 || header.first.checked_add(header.count.into()).is_none() {
            return Err(FormatError::Field("number of entries"));
        }
        if header.body_size as usize > MAX_BODY_SIZE_BYTES {
            return Err(FormatError::Field("size"));
        }
        Ok(header)
    }

    /// The number after that of its last entry.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(self.count.into())
    }

    fn write(&self, body: &[u8]) -> Bytes {
        let mut value = Vec::with_capacity(HEADER_SIZE_BYTES + body.len());
        value.put_u8(VERSION);
        value.put_u8(self.packing);
        value.put_u64(self.first);
        value.put_u32(self.count);
        value.put_u32(self.body_size);
        let checksum = checksum_of(&value, body);
        value.put_u32(checksum);
        value.put_slice(body);
        value.into()
    }
}

fn checksum_of(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    hasher.finalize()
}

impl Chunk {
    /// Reads a chunk and verifies that it is whole.
    pub(super) fn read(value: &Bytes) -> Result<Self, FormatError> {
        let header = Header::read(value)?;
        let packed = value.slice(HEADER_SIZE_BYTES..);
        let size = header.body_size as usize;
        let body = match header.packing {
            PLAIN => packed,
            // The size was bounded above, so that little data cannot fill the memory.
            _ => zstd::bulk::decompress(&packed, size)
                .map_err(|_| FormatError::Field("packed body"))?
                .into(),
        };
        if body.len() != size {
            return Err(FormatError::Field("size"));
        }
        let chunk = Self { header, body };
        let counted = chunk.entries().count();
        let sizes: usize = chunk.entries().map(|entry| LENGTH_SIZE_BYTES + entry.len()).sum();
        if counted != header.count as usize || sizes != size {
            return Err(FormatError::Field("number of entries"));
        }
        Ok(chunk)
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    /// Its entries.
    pub(super) fn entries(&self) -> Entries {
        Entries { rest: self.body.clone() }
    }
}

/// The entries of a body, as far as they can be read.
#[derive(Debug, Clone)]
pub(super) struct Entries {
    rest: Bytes,
}

impl Iterator for Entries {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let size = self.rest.try_get_u32().ok()? as usize;
        (size <= self.rest.len()).then(|| self.rest.split_to(size))
    }
}

/// A plain chunk that is being filled.
#[derive(Debug)]
pub(super) struct Builder {
    first: u64,
    count: u32,
    body: Vec<u8>,
    most: usize,
}

impl Builder {
    /// An empty chunk of at most this many bytes.
    pub(super) fn new(first: u64, most: usize) -> Self {
        Self { first, count: 0, body: Vec::new(), most }
    }

    /// The same as `chunk`, to be grown.
    pub(super) fn grow(chunk: &Chunk, most: usize) -> Self {
        let Header { first, count, .. } = chunk.header;
        Self { first, count, body: chunk.body.to_vec(), most }
    }

    /// Adds an entry; `false` when the chunk is full.
    pub(super) fn push(&mut self, entry: &Bytes) -> bool {
        let size = HEADER_SIZE_BYTES + self.body.len() + LENGTH_SIZE_BYTES + entry.len();
        if size > self.most {
            return false;
        }
        self.body.extend_from_slice(&(entry.len() as u32).to_be_bytes());
        self.body.extend_from_slice(entry);
        self.count += 1;
        true
    }

    /// The chunk; `None` when nothing was pushed.
    pub(super) fn finish(self) -> Option<(Header, Bytes)> {
        let Self { first, count, body, .. } = self;
        let header = Header { first, count, body_size: body.len() as u32, packing: PLAIN };
        (count > 0).then(|| (header, header.write(&body)))
    }
}

/// Packs entries into as few chunks as it takes.
#[derive(Debug)]
pub(super) struct Packer {
    /// The size of the bodies that most likely fill a chunk when packed.
    aim: usize,
}

impl Packer {
    pub(super) fn new() -> Self {
        Self { aim: MAX_BODY_SIZE_BYTES }
    }

    /// Packs as many of `entries` as fit into one value, or a few less; at
    /// least the first. `None` when there are none.
    pub(super) fn pack(&mut self, first: u64, entries: &[Bytes]) -> Option<(Header, Bytes)> {
        let room = MAX_VALUE_SIZE_BYTES - HEADER_SIZE_BYTES;
        loop {
            let mut body = Vec::new();
            let mut count = 0_u32;
            for entry in entries {
                if count > 0 && body.len() + LENGTH_SIZE_BYTES + entry.len() > self.aim {
                    break;
                }
                body.put_u32(entry.len() as u32);
                body.put_slice(entry);
                count += 1;
            }
            if count == 0 {
                return None;
            }
            // Without memory for it, it stays as it is.
            let packed = zstd::bulk::compress(&body, ZSTD_LEVEL).ok();
            let packed = packed.filter(|packed| packed.len() < body.len());
            let size = packed.as_ref().map_or(body.len(), Vec::len).max(1);
            // What comes next is taken to pack as well as this, and a part as well as all.
            let aim = body.len() as u64 * room as u64 / size as u64 * AIM / 100;
            self.aim = aim.clamp(1, MAX_BODY_SIZE_BYTES as u64) as usize;
            let body_size = body.len() as u32;
            let header = Header { first, count, body_size, packing: PLAIN };
            match packed {
                Some(packed) if packed.len() <= room => {
                    let header = Header { packing: ZSTD, ..header };
                    return Some((header, header.write(&packed)));
                }
                _ if body.len() <= room => return Some((header, header.write(&body))),
                // One entry fits in any case, and the aim gets smaller each time.
                _ => {}
            }
        }
    }
}
