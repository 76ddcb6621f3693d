//! What readers see: what is durable, and nothing else.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use pikoci_core::store::{Entry, Key, KeyRange, Order};

use super::codec::{self, ENTRY_TAG, Stored};

/// What went wrong with a read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// sled could not read it.
    #[error(transparent)]
    Sled(#[from] sled::Error),
    /// What was read makes no sense.
    #[error("the entry of `{}` is damaged", .0.escape_ascii())]
    Entry(Bytes),
}

/// The tree and what hides in it the writes that are not durable yet.
#[derive(Debug)]
pub(super) struct View {
    pub(super) db: sled::Db,
    /// What the keys held that the group on its way writes; empty when there is none.
    pub(super) before: BTreeMap<Key, Option<Entry>>,
}

impl View {
    /// The entry of a key.
    pub(super) fn get(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        match self.before.get(key) {
            Some(entry) => Ok(entry.clone()),
            None => read(&self.db, key),
        }
    }

    /// The first `limit` entries of a range.
    pub(super) fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, ReadError> {
        if range.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let start = codec::entry_key(range.start());
        let end = range.end().map_or_else(|| vec![ENTRY_TAG + 1], |end| codec::entry_key(end));
        let found = self.db.range(start..end);
        match order {
            Order::Ascending => self.merge(found, range, order, limit),
            Order::Descending => self.merge(found.rev(), range, order, limit),
        }
    }

    /// Lays what is hidden over what the tree gives, which is in `order`.
    fn merge(
        &self,
        tree: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, ReadError> {
        let start = Bound::Included(&range.start()[..]);
        let end = range.end().map_or(Bound::Unbounded, |end| Bound::Excluded(&end[..]));
        let mut before: Vec<(&Key, &Option<Entry>)> =
            self.before.range::<[u8], _>((start, end)).collect();
        if order == Order::Ascending {
            // The next one is taken from the end.
            before.reverse();
        }
        let comes_first = |one: &[u8], other: &[u8]| match order {
            Order::Ascending => one < other,
            Order::Descending => one > other,
        };
        let mut found = Vec::new();
        let add_before = |found: &mut Vec<(Key, Entry)>, key: &Key, entry: &Option<Entry>| {
            found.extend(entry.as_ref().map(|entry| (key.clone(), entry.clone())));
        };
        for item in tree {
            let (key, value) = item?;
            let bytes = key.get(1..).unwrap_or_default();
            while let Some((key, entry)) =
                before.pop_if(|(key, _)| comes_first(key.as_bytes(), bytes))
            {
                add_before(&mut found, key, entry);
            }
            if found.len() >= limit {
                break;
            }
            if let Some((key, entry)) = before.pop_if(|(key, _)| key.as_bytes() == bytes) {
                add_before(&mut found, key, entry);
            } else {
                let key = codec::key_of(&key).ok_or_else(|| damaged(bytes))?;
                let entry = decode(&self.db, &key, &value)?;
                found.push((key, entry));
            }
            if found.len() >= limit {
                break;
            }
        }
        while found.len() < limit
            && let Some((key, entry)) = before.pop()
        {
            add_before(&mut found, key, entry);
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// The entry of a key as it stands in the tree, durable or not.
pub(super) fn read(db: &sled::Db, key: &Key) -> Result<Option<Entry>, ReadError> {
    let stored = db.get(codec::entry_key(key.as_bytes()))?;
    stored.map(|stored| decode(db, key, &stored)).transpose()
}

/// The entry that is stored like this.
pub(super) fn decode(db: &sled::Db, key: &Key, stored: &[u8]) -> Result<Entry, ReadError> {
    let pieces = match Stored::decode(stored) {
        Some(Stored::Inline(revision, value)) => {
            return Ok(Entry { value: Bytes::copy_from_slice(value), revision });
        }
        Some(Stored::InPieces(pieces)) => pieces,
        None => return Err(damaged(key.as_bytes())),
    };
    let mut value = Vec::new();
    for place in pieces.keys() {
        let piece = db.get(place)?.ok_or_else(|| damaged(key.as_bytes()))?;
        value.extend_from_slice(&piece);
    }
    if value.len() != pieces.length as usize {
        return Err(damaged(key.as_bytes()));
    }
    Ok(Entry { value: value.into(), revision: pieces.revision })
}

fn damaged(key: &[u8]) -> ReadError {
    ReadError::Entry(Bytes::copy_from_slice(key))
}

#[cfg(test)]
mod tests {
    use pikoci_core::store::Revision;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new(name.to_owned()).expect("a key")
    }

    fn entry(value: &'static str) -> Entry {
        Entry { value: Bytes::from_static(value.as_bytes()), revision: Revision(1) }
    }

    fn view(tree: &[&str], before: &[(&str, Option<&'static str>)]) -> (View, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let db = sled::open(directory.path()).expect("a database");
        for name in tree {
            let stored = Stored::Inline(Revision(2), b"new").encode();
            db.insert(codec::entry_key(name.as_bytes()), stored).expect("an insert");
        }
        let before = before.iter().map(|(name, value)| (key(name), value.map(entry))).collect();
        (View { db, before }, directory)
    }

    fn names(found: Vec<(Key, Entry)>) -> Vec<String> {
        let name = |(key, entry): (Key, Entry)| format!("{key}={}", entry.value.escape_ascii());
        found.into_iter().map(name).collect()
    }

    #[test]
    fn what_is_not_durable_is_hidden_by_what_was_before() {
        let before =
            [("a", Some("old")), ("c", None), ("d", Some("old")), ("g", Some("old")), ("x", None)];
        // `a` and `g` are deleted in the tree, `c` is new, `d` was overwritten.
        let (view, _directory) = view(&["b", "c", "d", "e", "f"], &before);
        let scan = |range, order, limit| names(view.scan(&range, order, limit).expect("a scan"));
        let all = ["a=old", "b=new", "d=old", "e=new", "f=new", "g=old"];
        let mut backwards = all;
        backwards.reverse();
        for limit in 0..=all.len() + 1 {
            let most = limit.min(all.len());
            assert_eq!(scan(KeyRange::all(), Order::Ascending, limit), all[..most]);
            assert_eq!(scan(KeyRange::all(), Order::Descending, limit), backwards[..most]);
        }
        let middle = KeyRange::new("b", Some("e".into()));
        assert_eq!(scan(middle.clone(), Order::Ascending, 9), ["b=new", "d=old"]);
        assert_eq!(scan(middle, Order::Descending, 1), ["d=old"]);
        for (name, expected) in [("a", Some("old")), ("b", Some("new")), ("c", None), ("x", None)] {
            let found = view.get(&key(name)).expect("a get");
            assert_eq!(found.map(|entry| entry.value), expected.map(Bytes::from), "{name}");
        }
    }
}
