//! How entries stand in sled.
//!
//! One tree holds all, told apart by the first byte of the key:
//!
//! | key | value |
//! |---|---|
//! | `0` `format` | the version of this format, 4 bytes |
//! | `0` `state` | the [`Head`](crate::store::head::Head) |
//! | `1` key | revision (8), `0`, value |
//! | `1` key | revision (8), `1`, length (4), number (2): a value in pieces |
//! | `2` revision (8) number (2) piece (2) | a piece of a value |
//!
//! Numbers are big-endian. Large values are kept in pieces since sled writes
//! up to 20 neighbours as one page, and never gives back the room of pages
//! that are larger than a quarter of a segment.

use pikoci_core::store::{Key, Revision};

/// The version of the format.
pub(super) const FORMAT: u32 = 1;

/// Where the version of the format stands.
pub(super) const FORMAT_KEY: &[u8] = b"\0format";

/// Where the state stands.
pub(super) const STATE_KEY: &[u8] = b"\0state";

/// What keys of entries begin with.
pub(super) const ENTRY_TAG: u8 = 1;

/// What keys of pieces begin with.
pub(super) const PIECE_TAG: u8 = 2;

/// The largest value that stands with its key, and the largest piece of a larger one.
pub(super) const MAX_PIECE_SIZE_BYTES: usize = 8 * 1024;

const INLINE: u8 = 0;
const IN_PIECES: u8 = 1;

/// Where the entry of a key stands.
pub(super) fn entry_key(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.push(ENTRY_TAG);
    bytes.extend_from_slice(key);
    bytes
}

/// The revision and the number by which the pieces of a value are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pieces {
    pub(super) revision: Revision,
    pub(super) number: u16,
    /// The length of the value.
    pub(super) length: u32,
}

impl Pieces {
    /// Where each piece stands.
    pub(super) fn keys(self) -> impl Iterator<Item = [u8; 13]> {
        (0..self.count()).map(move |piece| {
            let mut key = [PIECE_TAG; 13];
            key[1..9].copy_from_slice(&self.revision.0.to_be_bytes());
            key[9..11].copy_from_slice(&self.number.to_be_bytes());
            key[11..].copy_from_slice(&piece.to_be_bytes());
            key
        })
    }

    fn count(self) -> u16 {
        (self.length as usize).div_ceil(MAX_PIECE_SIZE_BYTES).try_into().unwrap_or(u16::MAX)
    }
}

/// An entry as it stands in the tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    Inline(Revision, &'a [u8]),
    InPieces(Pieces),
}

impl<'a> Stored<'a> {
    pub(super) fn revision(&self) -> Revision {
        match self {
            Self::Inline(revision, _) => *revision,
            Self::InPieces(pieces) => pieces.revision,
        }
    }

    /// `None` if it is not of that form.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (revision, rest) = bytes.split_first_chunk::<8>()?;
        let revision = Revision(u64::from_be_bytes(*revision));
        match rest.split_first()? {
            (&INLINE, value) => Some(Self::Inline(revision, value)),
            (&IN_PIECES, place) => {
                let (length, number) = place.split_first_chunk::<4>()?;
                let length = u32::from_be_bytes(*length);
                let number = u16::from_be_bytes(number.try_into().ok()?);
                Some(Self::InPieces(Pieces { revision, number, length }))
            }
            _ => None,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16);
        bytes.extend_from_slice(&self.revision().0.to_be_bytes());
        match self {
            Self::Inline(_, value) => {
                bytes.push(INLINE);
                bytes.extend_from_slice(value);
            }
            Self::InPieces(pieces) => {
                bytes.push(IN_PIECES);
                bytes.extend_from_slice(&pieces.length.to_be_bytes());
                bytes.extend_from_slice(&pieces.number.to_be_bytes());
            }
        }
        bytes
    }
}

/// The key of an entry, without its tag; `None` if it is too short.
pub(super) fn key_of(bytes: &[u8]) -> Option<Key> {
    Key::new(bytes.get(1..)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        let pieces = Pieces { revision: Revision(7), number: 3, length: 65_536 };
        for stored in [
            Stored::Inline(Revision(u64::MAX >> 1), b"value"),
            Stored::Inline(Revision(1), b""),
            Stored::InPieces(pieces),
        ] {
            let bytes = stored.encode();
            assert_eq!(Stored::decode(&bytes), Some(stored));
        }
        assert_eq!(pieces.keys().count(), 8);
    }

    #[test]
    fn what_is_too_short_or_unknown_is_not_decoded() {
        let bytes =
            Stored::InPieces(Pieces { revision: Revision(7), number: 3, length: 9 }).encode();
        for length in 0..bytes.len() {
            assert_eq!(Stored::decode(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Stored::decode(b"\0\0\0\0\0\0\0\x01\x02"), None);
    }
}
