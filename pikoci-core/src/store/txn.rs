//! A transaction: what must hold, and what to write if it does.

use std::collections::HashSet;

use bytes::Bytes;
use uuid::Uuid;

use super::contract::Revision;
use super::error::StoreError;
use super::key::Key;
use super::limits::{MAX_TXN_OPERATIONS, MAX_TXN_SIZE_BYTES, MAX_VALUE_SIZE_BYTES};

/// What must hold for a transaction to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The key.
    pub key: Key,
    /// The revision that its entry must have; `None` when there must be none.
    pub revision: Option<Revision>,
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the value of a key, whether it has one or not.
    Put(Key, Bytes),
    /// Removes a key, if it is there.
    Delete(Key),
}

impl Write {
    /// The key that is written.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }

    /// The new value; `None` for a delete.
    pub fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Put(_, value) => Some(value),
            Self::Delete(_) => None,
        }
    }
}

/// Checks and writes that are done together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    /// Names this transaction and no other, for ever: a commit whose outcome
    /// is unknown is settled by committing the same again.
    pub id: Uuid,
    /// What must hold; each key at most once.
    pub checks: Vec<Check>,
    /// What to write; each key at most once.
    pub writes: Vec<Write>,
}

impl Txn {
    /// An empty transaction.
    pub fn new(id: Uuid) -> Self {
        Self { id, checks: Vec::new(), writes: Vec::new() }
    }

    /// The same, if the entry of `key` has this revision; `None` for no entry.
    #[must_use]
    pub fn check(mut self, key: Key, revision: Option<Revision>) -> Self {
        self.checks.push(Check { key, revision });
        self
    }

    /// The same, if there is no entry for `key`.
    #[must_use]
    pub fn check_absent(self, key: Key) -> Self {
        self.check(key, None)
    }

    /// The same, and sets `key` to `value`.
    #[must_use]
    pub fn put(mut self, key: Key, value: impl Into<Bytes>) -> Self {
        self.writes.push(Write::Put(key, value.into()));
        self
    }

    /// The same, and removes `key`.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.writes.push(Write::Delete(key));
        self
    }

    /// The number of checks and writes.
    pub fn operations(&self) -> usize {
        self.checks.len() + self.writes.len()
    }

    /// The bytes of its keys and values.
    pub fn size_bytes(&self) -> usize {
        let checks: usize = self.checks.iter().map(|check| check.key.as_bytes().len()).sum();
        let writes = self
            .writes
            .iter()
            .map(|write| write.key().as_bytes().len() + write.value().map_or(0, Bytes::len));
        checks + writes.sum::<usize>()
    }

    /// Whether every store would take it.
    ///
    /// # Errors
    /// [`Invalid`](super::StoreErrorKind::Invalid) when it breaks a
    /// [limit](super::limits) or checks or writes a key twice.
    pub fn validate(&self) -> Result<(), StoreError> {
        if self.operations() > MAX_TXN_OPERATIONS {
            return Err(StoreError::invalid(format!(
                "a transaction of {} operations is too large, {MAX_TXN_OPERATIONS} is the most",
                self.operations()
            )));
        }
        if self.size_bytes() > MAX_TXN_SIZE_BYTES {
            return Err(StoreError::invalid(format!(
                "a transaction of {} bytes is too large, {MAX_TXN_SIZE_BYTES} is the most",
                self.size_bytes()
            )));
        }
        let mut seen = HashSet::new();
        for check in &self.checks {
            if !seen.insert(&check.key) {
                return Err(StoreError::invalid(format!("`{}` is checked twice", check.key)));
            }
        }
        seen.clear();
        for write in &self.writes {
            if !seen.insert(write.key()) {
                return Err(StoreError::invalid(format!("`{}` is written twice", write.key())));
            }
            if let Some(value) = write.value()
                && value.len() > MAX_VALUE_SIZE_BYTES
            {
                return Err(StoreError::invalid(format!(
                    "the value of `{}` has {} bytes, {MAX_VALUE_SIZE_BYTES} is the most",
                    write.key(),
                    value.len()
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::StoreErrorKind;
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(name.to_owned()).expect("a key")
    }

    fn refused(txn: &Txn) -> String {
        let error = txn.validate().expect_err("beyond the limit");
        assert_eq!(error.kind, StoreErrorKind::Invalid);
        error.message
    }

    #[test]
    fn a_key_may_be_checked_and_written_but_neither_twice() {
        let txn = Txn::new(Uuid::nil());
        assert!(txn.clone().check_absent(key("a")).put(key("a"), "").validate().is_ok());
        let twice = txn.clone().put(key("a"), "").delete(key("a"));
        assert_eq!(refused(&twice), "`a` is written twice");
        let twice = txn.check_absent(key("a")).check_absent(key("a"));
        assert_eq!(refused(&twice), "`a` is checked twice");
    }

    #[test]
    fn each_limit_is_taken_and_one_more_is_not() {
        let value = vec![0; MAX_VALUE_SIZE_BYTES];
        assert!(Txn::new(Uuid::nil()).put(key("a"), value.clone()).validate().is_ok());
        let large = Txn::new(Uuid::nil()).put(key("a"), vec![0; MAX_VALUE_SIZE_BYTES + 1]);
        assert_eq!(refused(&large), "the value of `a` has 65537 bytes, 65536 is the most");

        let many = |count: usize| {
            (0..count).fold(Txn::new(Uuid::nil()), |txn, at| txn.delete(key(&format!("{at}"))))
        };
        assert!(many(MAX_TXN_OPERATIONS).validate().is_ok());
        assert!(refused(&many(MAX_TXN_OPERATIONS + 1)).contains("101 operations"));

        let heavy = (0..16)
            .fold(Txn::new(Uuid::nil()), |txn, at| txn.put(key(&format!("{at}")), value.clone()));
        assert!(refused(&heavy).contains("bytes is too large"));
    }
}
