//! Keys put together from parts, ordered as their parts are.
//!
//! Each part is a tag and its bytes, so that no part can be taken for another
//! or for the beginning of a longer one:
//!
//! | tag | part | bytes |
//! |---|---|---|
//! | `01` | bytes | each `00` followed by `FF`, then `00` |
//! | `02` | text | the same, of its UTF-8 |
//! | `03` | `u64` | 8, the highest first |
//! | `04` | `i64` | 8, the highest first, the sign bit turned over |
//! | `05` | UUID | its 16 |
//!
//! (After the tuple layer of FoundationDB.)

use std::fmt;

use uuid::Uuid;

use crate::name::BuildId;
use crate::store::{Key, KeyRange, StoreError};

const BYTES: u8 = 1;
const TEXT: u8 = 2;
const NUMBER: u8 = 3;
const SIGNED: u8 = 4;
const ID: u8 = 5;
/// Above every tag; stands after a zero that does not end a part.
const ESCAPED: u8 = 0xff;

/// A key that is being put together.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPath(Vec<u8>);

impl KeyPath {
    /// A path of one part.
    pub fn new(first: impl KeyPart) -> Self {
        Self(Vec::new()).then(first)
    }

    /// The path with a further part, or several.
    #[must_use]
    pub fn then(mut self, part: impl KeyPart) -> Self {
        part.push_to(&mut self);
        self
    }

    /// The key.
    ///
    /// # Errors
    /// [`Invalid`](crate::store::StoreErrorKind::Invalid) when its parts are
    /// too long together.
    pub fn key(&self) -> Result<Key, StoreError> {
        Key::new(self.0.clone())
    }

    /// Its bytes so far.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The keys that have this path and at least one part more.
    pub fn below(&self) -> KeyRange {
        let with = |byte: u8| [&self.0[..], &[byte]].concat();
        KeyRange::new(with(BYTES), Some(with(ESCAPED).into()))
    }

    /// The key of this path, and those below it.
    pub fn within(&self) -> KeyRange {
        KeyRange::new(self.0.clone(), Some([&self.0[..], &[ESCAPED]].concat().into()))
    }

    /// The parts of a key that was put together like this; `None` for another one.
    pub fn parts(key: &Key) -> Option<Vec<Part>> {
        Self::parts_of(key.as_bytes())
    }

    /// The parts of bytes that were put together like this.
    pub(super) fn parts_of(bytes: &[u8]) -> Option<Vec<Part>> {
        let mut rest = bytes;
        let mut parts = Vec::new();
        while let Some((tag, after)) = rest.split_first() {
            let (part, after) = match *tag {
                BYTES => {
                    let (bytes, after) = unescape(after)?;
                    (Part::Bytes(bytes), after)
                }
                TEXT => {
                    let (bytes, after) = unescape(after)?;
                    (Part::Text(String::from_utf8(bytes).ok()?), after)
                }
                NUMBER => {
                    let (bytes, after) = after.split_first_chunk()?;
                    (Part::Number(u64::from_be_bytes(*bytes)), after)
                }
                SIGNED => {
                    let (bytes, after) = after.split_first_chunk()?;
                    (Part::Signed(u64::from_be_bytes(*bytes).cast_signed() ^ i64::MIN), after)
                }
                ID => {
                    let (bytes, after) = after.split_first_chunk()?;
                    (Part::Id(Uuid::from_bytes(*bytes)), after)
                }
                _ => return None,
            };
            parts.push(part);
            rest = after;
        }
        Some(parts)
    }

    fn push_escaped(&mut self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        for byte in bytes {
            self.0.push(*byte);
            if *byte == 0 {
                self.0.push(ESCAPED);
            }
        }
        self.0.push(0);
    }

    fn push_fixed(&mut self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        self.0.extend_from_slice(bytes);
    }
}

/// Its parts for people, with slashes between them.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parts) = Self::parts_of(&self.0) else {
            return self.0.escape_ascii().fmt(f);
        };
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPath({})", self.0.escape_ascii())
    }
}

/// The bytes up to the end of a part, and what follows it.
fn unescape(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut part = Vec::new();
    let mut rest = bytes;
    loop {
        let zero = rest.iter().position(|byte| *byte == 0)?;
        part.extend_from_slice(&rest[..zero]);
        rest = &rest[zero + 1..];
        match rest.strip_prefix(&[ESCAPED]) {
            Some(after) => {
                part.push(0);
                rest = after;
            }
            None => return Some((part, rest)),
        }
    }
}

/// A part of a key as it is read back; `Display` is for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Bytes of any kind.
    Bytes(Vec<u8>),
    /// Text.
    Text(String),
    /// A number without a sign.
    Number(u64),
    /// A number with a sign.
    Signed(i64),
    /// An id.
    Id(Uuid),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.escape_ascii().fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// What can be a part of a key, or several of them one after the other.
pub trait KeyPart {
    /// Adds itself to a path.
    fn push_to(&self, path: &mut KeyPath);
}

impl KeyPart for [u8] {
    fn push_to(&self, path: &mut KeyPath) {
        path.push_escaped(BYTES, self);
    }
}

impl KeyPart for str {
    fn push_to(&self, path: &mut KeyPath) {
        path.push_escaped(TEXT, self.as_bytes());
    }
}

impl KeyPart for String {
    fn push_to(&self, path: &mut KeyPath) {
        self.as_str().push_to(path);
    }
}

impl KeyPart for u64 {
    fn push_to(&self, path: &mut KeyPath) {
        path.push_fixed(NUMBER, &self.to_be_bytes());
    }
}

impl KeyPart for i64 {
    fn push_to(&self, path: &mut KeyPath) {
        path.push_fixed(SIGNED, &(self ^ Self::MIN).to_be_bytes());
    }
}

impl KeyPart for Uuid {
    fn push_to(&self, path: &mut KeyPath) {
        path.push_fixed(ID, self.as_bytes());
    }
}

impl KeyPart for BuildId {
    fn push_to(&self, path: &mut KeyPath) {
        self.0.push_to(path);
    }
}

impl KeyPart for Part {
    fn push_to(&self, path: &mut KeyPath) {
        match self {
            Self::Bytes(bytes) => bytes.as_slice().push_to(path),
            Self::Text(text) => text.push_to(path),
            Self::Number(number) => number.push_to(path),
            Self::Signed(number) => number.push_to(path),
            Self::Id(id) => id.push_to(path),
        }
    }
}

/// All its parts.
impl KeyPart for KeyPath {
    fn push_to(&self, path: &mut KeyPath) {
        path.0.extend_from_slice(&self.0);
    }
}

impl KeyPart for [Part] {
    fn push_to(&self, path: &mut KeyPath) {
        for part in self {
            part.push_to(path);
        }
    }
}

impl KeyPart for Vec<Part> {
    fn push_to(&self, path: &mut KeyPath) {
        self.as_slice().push_to(path);
    }
}

impl<T: KeyPart + ?Sized> KeyPart for &T {
    fn push_to(&self, path: &mut KeyPath) {
        (**self).push_to(path);
    }
}

impl KeyPart for () {
    fn push_to(&self, _path: &mut KeyPath) {}
}

impl<A: KeyPart, B: KeyPart> KeyPart for (A, B) {
    fn push_to(&self, path: &mut KeyPath) {
        self.0.push_to(path);
        self.1.push_to(path);
    }
}

impl<A: KeyPart, B: KeyPart, C: KeyPart> KeyPart for (A, B, C) {
    fn push_to(&self, path: &mut KeyPath) {
        (&self.0, &self.1).push_to(path);
        self.2.push_to(path);
    }
}

impl<A: KeyPart, B: KeyPart, C: KeyPart, D: KeyPart> KeyPart for (A, B, C, D) {
    fn push_to(&self, path: &mut KeyPath) {
        (&self.0, &self.1, &self.2).push_to(path);
        self.3.push_to(path);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof![
            prop::collection::vec(prop_oneof![Just(0), Just(0xff), Just(1), any::<u8>()], 0..6)
                .prop_map(Part::Bytes),
            "[\0a-c\u{ff}]{0,5}".prop_map(Part::Text),
            any::<u64>().prop_map(Part::Number),
            any::<i64>().prop_map(Part::Signed),
            any::<u128>().prop_map(|id| Part::Id(Uuid::from_u128(id))),
        ]
    }

    fn path(parts: &[Part]) -> KeyPath {
        parts.iter().fold(KeyPath(Vec::new()), |path, part| path.then(part))
    }

    fn parts() -> impl Strategy<Value = Vec<Part>> {
        prop::collection::vec(part(), 1..5)
    }

    proptest! {
        #[test]
        fn keys_order_as_their_parts_and_read_back(one in parts(), two in parts()) {
            let (first, second) = (path(&one).key().unwrap(), path(&two).key().unwrap());
            prop_assert_eq!(KeyPath::parts(&first), Some(one.clone()));
            prop_assert_eq!(first.cmp(&second), one.cmp(&two));
        }

        #[test]
        fn below_holds_what_has_more_parts_and_nothing_else(one in parts(), two in parts()) {
            let below = path(&one).below();
            let longer: Vec<Part> = one.iter().chain(&two).cloned().collect();
            prop_assert!(below.contains(&path(&longer).key().unwrap()));
            let inside = two.len() > one.len() && two.starts_with(&one);
            prop_assert_eq!(below.contains(&path(&two).key().unwrap()), inside);
            let within = path(&one).within();
            prop_assert_eq!(within.contains(&path(&two).key().unwrap()), two.starts_with(&one));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0_u8..8, 1..20)) {
            let key = Key::new(bytes).unwrap();
            if let Some(parts) = KeyPath::parts(&key) {
                prop_assert_eq!(path(&parts).key().unwrap(), key);
            }
        }
    }

    #[test]
    fn the_encoding_stays_as_it_is() {
        let path = KeyPath::new("r").then("a\0b").then(258_u64).then(-1_i64);
        let expected =
            b"\x02r\0\x02a\0\xffb\0\x03\0\0\0\0\0\0\x01\x02\x04\x7f\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(path.key().unwrap().as_bytes(), expected);
    }
}
