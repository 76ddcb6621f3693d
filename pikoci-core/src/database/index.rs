//! Secondary indexes: what a record declares of itself.

use bytes::Bytes;

use super::encoding::seal_parts;
use super::error::DatabaseError;
use super::key_path::{KeyPart, KeyPath};
use super::layout::INDEX;
use super::record::Record;
use crate::store::Key;

/// Takes what a record wants to be found by.
///
/// The values of an index follow from the record alone. An index whose values
/// change their meaning gets another name, and
/// [`Database::reindex`](super::Database::reindex) fills it and clears the old one.
#[derive(Debug)]
pub struct Indexes {
    kind: &'static str,
    id: KeyPath,
    entries: Vec<IndexEntry>,
    too_long: Option<DatabaseError>,
}

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) key: Key,
    /// The id of the record, in its envelope.
    pub(super) value: Bytes,
    pub(super) index: &'static str,
    pub(super) unique: bool,
    /// The values for people.
    values: KeyPath,
}

impl IndexEntry {
    pub(super) fn taken<R: Record>(&self) -> DatabaseError {
        DatabaseError::Taken { kind: R::KIND, index: self.index, values: self.values.to_string() }
    }
}

impl Indexes {
    /// The entries of `record`.
    pub(super) fn of<R: Record>(record: &R) -> Result<Vec<IndexEntry>, DatabaseError> {
        let mut indexes = Self {
            kind: R::KIND,
            id: KeyPath::new(record.id()),
            entries: Vec::new(),
            too_long: None,
        };
        record.indexes(&mut indexes);
        match indexes.too_long {
            Some(error) => Err(error),
            None => Ok(indexes.entries),
        }
    }

    /// Finds the record by `values` in `index`, in the order of the values and
    /// then of the ids. A record may have any number of entries in an index.
    pub fn add(&mut self, index: &'static str, values: impl KeyPart) {
        self.push(index, &values, false);
    }

    /// Finds the record by `values` in `index`, and sees to it that no other
    /// record of this kind has them there.
    pub fn unique(&mut self, index: &'static str, values: impl KeyPart) {
        self.push(index, &values, true);
    }

    fn push(&mut self, index: &'static str, values: &impl KeyPart, unique: bool) {
        let path = KeyPath::new((INDEX, self.kind, index)).then(values);
        let path = if unique { path } else { path.then(&self.id) };
        match path.key() {
            Ok(key) if self.entries.iter().any(|entry| entry.key == key) => {}
            Ok(key) => self.entries.push(IndexEntry {
                key,
                value: seal_parts(&self.id),
                index,
                unique,
                values: KeyPath::new(values),
            }),
            Err(source) => {
                self.too_long.get_or_insert(DatabaseError::KeyTooLong {
                    kind: self.kind,
                    id: self.id.to_string(),
                    index,
                    source,
                });
            }
        }
    }
}
