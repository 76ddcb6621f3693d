//! Where things lie in etcd: the store's keys below `d/`, the markers of its
//! commits below `c/`, the version of this layout at `format`.

use bytes::Bytes;
use pikoci_core::store::{Key, KeyRange, StoreError};
use uuid::Uuid;

/// The version of the layout, kept at the `format` key.
pub(super) const FORMAT: &str = "1";

/// Makes etcd's keys from the store's, and back.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    data: Bytes,
    data_end: Bytes,
}

impl Keys {
    /// Everything lies below `prefix`.
    pub(super) fn new(prefix: &str) -> Self {
        // `0` is the byte after `/`: the first key after all those below it.
        let [data, data_end] =
            ["d/", "d0"].map(|folder| Bytes::from(format!("{prefix}{folder}").into_bytes()));
        Self { prefix: prefix.to_owned(), data, data_end }
    }

    /// Where the version of the layout is kept.
    pub(super) fn format(&self) -> Bytes {
        format!("{}format", self.prefix).into()
    }

    /// Where the commit of this transaction leaves its mark.
    pub(super) fn marker(&self, id: Uuid) -> Bytes {
        format!("{}c/{}", self.prefix, id.simple()).into()
    }

    fn below(&self, bytes: &[u8]) -> Bytes {
        [&self.data[..], bytes].concat().into()
    }

    /// Where an entry lies.
    pub(super) fn entry(&self, key: &Key) -> Bytes {
        self.below(key.as_bytes())
    }

    /// The first key of a range and the first after it.
    pub(super) fn range(&self, range: &KeyRange) -> (Bytes, Bytes) {
        let end = range.end().map_or_else(|| self.data_end.clone(), |end| self.below(end));
        (self.below(range.start()), end)
    }

    /// The key whose entry lies there.
    pub(super) fn key(&self, stored: Vec<u8>) -> Result<Key, StoreError> {
        if !stored.starts_with(&self.data) {
            let message =
                format!("etcd answered with `{}`, which is not ours", stored.escape_ascii());
            return Err(StoreError::damaged(message));
        }
        Key::new(Bytes::from(stored).split_off(self.data.len())).map_err(|error| {
            StoreError::damaged("etcd holds a key that is no key").caused_by(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Key {
        Key::new(bytes.to_vec()).expect("a key")
    }

    #[test]
    fn every_key_lies_in_the_range_of_all_and_comes_back() {
        let keys = Keys::new("pikoci/");
        let (start, end) = keys.range(&KeyRange::all());
        for name in [&b"\0"[..], b"a", b"a/b", b"\xff\xff"] {
            let stored = keys.entry(&key(name));
            assert!(start <= stored && stored < end, "{}", name.escape_ascii());
            assert_eq!(keys.key(stored.to_vec()).expect("ours"), key(name));
        }
    }

    #[test]
    fn what_is_not_an_entry_lies_outside_and_is_refused() {
        let keys = Keys::new("pikoci/");
        let (start, end) = keys.range(&KeyRange::all());
        for stored in [keys.format(), keys.marker(Uuid::max()), "pikoci/d/".into(), "x".into()] {
            assert!(keys.key(stored.to_vec()).is_err());
            assert!(stored <= start || stored >= end);
        }
    }

    #[test]
    fn a_range_keeps_its_borders() {
        let keys = Keys::new("p/");
        let (start, end) = keys.range(&KeyRange::prefix("ab"));
        assert_eq!((&start[..], &end[..]), (&b"p/d/ab"[..], &b"p/d/ac"[..]));
    }
}
