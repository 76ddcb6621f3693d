//! What was asked of a store, when, and what it answered.

use std::fmt;

use crate::store::{Entry, Key, KeyRange, Order, Outcome, Txn, Write};

/// One call. Moments are numbers that grow; no two are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who made it; for people.
    pub client: usize,
    /// The moment before it was made.
    pub began: u64,
    /// What was asked.
    pub call: Call,
    /// The moment after it was answered, and the answer. `None` for a commit
    /// that may have been done at any time since, or may yet be, or never.
    pub answered: Option<(u64, Answer)>,
}

/// What was asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// The entries of these keys.
    Get(Vec<Key>),
    /// The first entries of a range.
    Scan(KeyRange, Order, usize),
    /// This transaction. One that is never answered must put values that
    /// nobody else puts.
    Commit(Txn),
}

/// What a store answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To a get.
    Got(Vec<Option<Entry>>),
    /// To a scan.
    Scanned(Vec<(Key, Entry)>),
    /// To a commit.
    Ended(Outcome),
}

struct Shown<'a>(&'a Key, Option<&'a Entry>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(Entry { value, revision }) => {
                write!(f, " {}={}@{revision}", self.0, value.escape_ascii())
            }
            None => write!(f, " {}=none", self.0),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get(keys) => {
                f.write_str("get")?;
                keys.iter().try_for_each(|key| write!(f, " {key}"))
            }
            Self::Scan(range, order, limit) => {
                write!(f, "scan {range:?} {order:?} at most {limit}")
            }
            Self::Commit(txn) => {
                f.write_str("commit")?;
                for check in &txn.checks {
                    match check.revision {
                        Some(revision) => write!(f, " if {}@{revision}", check.key)?,
                        None => write!(f, " if no {}", check.key)?,
                    }
                }
                txn.writes.iter().try_for_each(|write| match write {
                    Write::Put(key, value) => write!(f, " put {key}={}", value.escape_ascii()),
                    Write::Delete(key) => write!(f, " delete {key}"),
                })
            }
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} {}..", self.client, self.began)?;
        if let Some((ended, _)) = &self.answered {
            write!(f, "{ended}")?;
        }
        write!(f, ": {} ->", self.call)?;
        match (&self.call, &self.answered) {
            (Call::Get(keys), Some((_, Answer::Got(found)))) => keys
                .iter()
                .zip(found)
                .try_for_each(|(key, entry)| Shown(key, entry.as_ref()).fmt(f)),
            (_, Some((_, Answer::Scanned(found)))) => {
                found.iter().try_for_each(|(key, entry)| Shown(key, Some(entry)).fmt(f))
            }
            (_, Some((_, Answer::Ended(Outcome::Committed(revision))))) => {
                write!(f, " committed @{revision}")
            }
            (_, Some((_, Answer::Ended(Outcome::Conflict)))) => f.write_str(" conflict"),
            (_, Some((_, answer))) => write!(f, " {answer:?}"),
            (_, None) => f.write_str(" never answered"),
        }
    }
}
