//! Keys and ranges of keys.

use std::borrow::Borrow;
use std::fmt;

use bytes::Bytes;

use super::error::StoreError;
use super::limits::MAX_KEY_SIZE_BYTES;

/// A key: 1 to [`MAX_KEY_SIZE_BYTES`] bytes of any kind, ordered bytewise.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Bytes);

impl Key {
    /// A key of these bytes.
    ///
    /// # Errors
    /// [`Invalid`](super::StoreErrorKind::Invalid) when there are none or too many.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, StoreError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(StoreError::invalid("a key must not be empty")),
            1..=MAX_KEY_SIZE_BYTES => Ok(Self(bytes)),
            length => Err(StoreError::invalid(format!(
                "a key of {length} bytes is too long, {MAX_KEY_SIZE_BYTES} is the most"
            ))),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// Whether the key begins with these bytes.
    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        self.0.starts_with(prefix)
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// Printable bytes as they are, others escaped.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// The keys from `start` on and before `end`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    start: Bytes,
    end: Option<Bytes>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> Self {
        Self { start: Bytes::new(), end: None }
    }

    /// The keys from `start` on and before `end`, without one to the last key.
    pub fn new(start: impl Into<Bytes>, end: Option<Bytes>) -> Self {
        Self { start: start.into(), end }
    }

    /// The keys that begin with `prefix`; all keys when it is empty.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        // The first key after all those with the prefix: what follows the last
        // byte that can be counted up goes.
        let end = start.iter().rposition(|byte| *byte != u8::MAX).map(|last| {
            let mut end = start[..=last].to_vec();
            end[last] += 1;
            Bytes::from(end)
        });
        Self { start, end }
    }

    /// The part of this range that lies after `key`.
    #[must_use]
    pub fn after(&self, key: &Key) -> Self {
        let mut start = key.as_bytes().to_vec();
        start.push(0);
        let start = Bytes::from(start).max(self.start.clone());
        Self { start, end: self.end.clone() }
    }

    /// The part of this range that lies before `key`.
    #[must_use]
    pub fn before(&self, key: &Key) -> Self {
        let end = match &self.end {
            Some(end) if *end < key.0 => end.clone(),
            _ => key.to_bytes(),
        };
        Self { start: self.start.clone(), end: Some(end) }
    }

    /// The first key it may hold; empty for the very first.
    pub fn start(&self) -> &Bytes {
        &self.start
    }

    /// The first key after it, if it has an end.
    pub fn end(&self) -> Option<&Bytes> {
        self.end.as_ref()
    }

    /// Whether no key can lie in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `key` lies in it.
    pub fn contains(&self, key: &Key) -> bool {
        *key.0 >= *self.start && self.end.as_ref().is_none_or(|end| *key.0 < **end)
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.start.escape_ascii())?;
        match &self.end {
            Some(end) => write!(f, "{}", end.escape_ascii()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Key {
        Key::new(bytes.to_vec()).expect("a key")
    }

    #[test]
    fn a_prefix_holds_what_begins_with_it_and_nothing_else() {
        let range = KeyRange::prefix(&b"ab"[..]);
        for inside in [&b"ab"[..], b"ab\0", b"abz", b"ab\xff\xff"] {
            assert!(range.contains(&key(inside)), "{}", inside.escape_ascii());
        }
        for outside in [&b"a"[..], b"aa\xff", b"ac", b"b"] {
            assert!(!range.contains(&key(outside)), "{}", outside.escape_ascii());
        }
    }

    #[test]
    fn a_prefix_that_ends_in_the_last_byte_has_the_right_end() {
        assert_eq!(KeyRange::prefix(&b"a\xff\xff"[..]).end(), Some(&Bytes::from_static(b"b")));
        assert_eq!(KeyRange::prefix(&b"\xff\xff"[..]).end(), None);
        assert_eq!(KeyRange::prefix(Bytes::new()), KeyRange::all());
    }

    #[test]
    fn after_and_before_leave_the_key_out() {
        let range = KeyRange::prefix(&b"a"[..]);
        assert!(!range.after(&key(b"ab")).contains(&key(b"ab")));
        assert!(range.after(&key(b"ab")).contains(&key(b"ab\0")));
        assert!(!range.before(&key(b"ab")).contains(&key(b"ab")));
        assert!(range.before(&key(b"ab")).contains(&key(b"aa\xff")));
        assert_eq!(range.before(&key(b"z")), range);
        assert_eq!(range.after(&key(b"A")), range);
        assert!(range.before(&key(b"A")).is_empty());
    }

    #[test]
    fn a_key_keeps_its_limit() {
        assert!(Key::new("").is_err());
        assert!(Key::new(vec![b'x'; MAX_KEY_SIZE_BYTES]).is_ok());
        assert!(Key::new(vec![b'x'; MAX_KEY_SIZE_BYTES + 1]).is_err());
    }
}
