//! Whether the indexes say what the records say, and making it so.

use std::fmt;

use bytes::Bytes;

use super::encoding::describe;
use super::error::DatabaseError;
use super::handle::Database;
use super::index::Indexes;
use super::key_path::KeyPath;
use super::layout::{INDEX, RECORD};
use super::list::{owner_of, page_of_entries};
use super::query::{Page, Query};
use super::record::{Record, read_record};
use super::transaction::Transaction;
use crate::store::Key;

/// The problems that a report names; more are counted.
const MAX_PROBLEMS: usize = 100;

/// The entries that are looked at in one transaction: up to three operations each.
const BATCH: usize = 30;

/// What was found when the indexes of a kind of record were gone through.
#[derive(Debug, Default)]
pub struct IndexReport {
    /// The records there were.
    pub records: u64,
    /// The entries of indexes there were.
    pub entries: u64,
    /// How many problems there were.
    pub wrong: u64,
    /// The first hundred of them.
    pub problems: Vec<IndexProblem>,
}

impl IndexReport {
    fn add(&mut self, problem: IndexProblem) {
        self.wrong += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

/// Something that is wrong with an index; `Display` tells it to people.
#[derive(Debug)]
#[non_exhaustive]
pub enum IndexProblem {
    /// A record has no entry where it should have one.
    Missing {
        /// The record, for people.
        record: String,
        /// The entry, for people.
        entry: String,
    },
    /// An entry stands for a record that does not want it, or is gone.
    Stale {
        /// The entry, for people.
        entry: String,
    },
    /// The place of a record in a unique index is another one's.
    Taken {
        /// The record, for people.
        record: String,
        /// The entry, for people.
        entry: String,
    },
    /// A record cannot be read.
    Unreadable {
        /// Why not; names it.
        error: DatabaseError,
    },
}

impl fmt::Display for IndexProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { record, entry } => {
                write!(f, "`{record}` is not found by its index entry `{entry}`")
            }
            Self::Stale { entry } => {
                write!(f, "the index entry `{entry}` stands for no record that has it")
            }
            Self::Taken { record, entry } => {
                write!(f, "the unique index entry `{entry}` of `{record}` is another record's")
            }
            Self::Unreadable { error } => error.fmt(f),
        }
    }
}

/// An entry that did not fit its record when they were read one after the other.
#[derive(Debug, Clone)]
struct Suspect {
    /// The record; `None` where the entry does not tell.
    record: Option<Key>,
    entry: Key,
}

/// What is to be done about a suspect.
enum Verdict {
    Fine,
    Missing(Bytes),
    Stale,
    Taken,
}

impl Suspect {
    /// What is wrong, given both values as of one instant.
    fn judge<R: Record>(&self, record: Option<Bytes>, entry: Option<&Bytes>) -> Verdict {
        let wanted = match (&self.record, record) {
            (Some(key), Some(bytes)) => {
                let entries = read_record::<R>(key, &bytes).and_then(|own| Indexes::of(&own));
                // Told when the records are gone through; its entries stay.
                let Ok(entries) = entries else { return Verdict::Fine };
                entries.into_iter().find(|own| own.key == self.entry)
            }
            _ => None,
        };
        match (wanted, entry) {
            (None, None) => Verdict::Fine,
            (None, Some(_)) => Verdict::Stale,
            (Some(wanted), None) => Verdict::Missing(wanted.value),
            (Some(wanted), Some(found)) if *found == wanted.value => Verdict::Fine,
            (Some(_), Some(_)) => Verdict::Taken,
        }
    }

    fn problem(&self, verdict: &Verdict) -> Option<IndexProblem> {
        let entry = describe(&self.entry);
        let record = self.record.as_ref().map(describe).unwrap_or_default();
        match verdict {
            Verdict::Fine => None,
            Verdict::Missing(_) => Some(IndexProblem::Missing { record, entry }),
            Verdict::Stale => Some(IndexProblem::Stale { entry }),
            Verdict::Taken => Some(IndexProblem::Taken { record, entry }),
        }
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        [self.record.clone(), Some(self.entry.clone())].into_iter().flatten()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Verify,
    Repair,
}

impl Database {
    /// Goes through all records of a kind and their index entries, and tells
    /// what does not fit. May run while others write: what they change
    /// meanwhile is not taken for a problem.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verify<R: Record>(&self) -> Result<IndexReport, DatabaseError> {
        self.walk::<R>(Mode::Verify).await
    }

    /// The same, and puts the index entries right, in transactions of a
    /// bounded size: for an index that was added, and for one that is broken.
    /// What is told as [`Taken`](IndexProblem::Taken) or
    /// [`Unreadable`](IndexProblem::Unreadable) stays as it is.
    ///
    /// May run while others write. While a server runs that does not know an
    /// index, it leaves entries out, so it is done (again) when the last one
    /// has stopped. Dropping the future leaves the rest undone.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn reindex<R: Record>(&self) -> Result<IndexReport, DatabaseError> {
        self.walk::<R>(Mode::Repair).await
    }

    async fn walk<R: Record>(&self, mode: Mode) -> Result<IndexReport, DatabaseError> {
        let mut report = IndexReport::default();
        // Stale entries first: they may stand in the place of missing ones.
        let base = KeyPath::new((INDEX, R::KIND));
        let mut query = Query::all().limit(250);
        loop {
            let page = page_of_entries(&mut &*self, &base, &query).await?;
            report.entries += page.items.len() as u64;
            let suspects = self.suspect_entries::<R>(&page).await?;
            self.settle::<R>(mode, &suspects, &mut report).await?;
            if page.next.is_none() {
                break;
            }
            query = query.after(page.next);
        }
        let base = KeyPath::new((RECORD, R::KIND));
        let mut query = Query::all().limit(100);
        loop {
            let page = page_of_entries(&mut &*self, &base, &query).await?;
            report.records += page.items.len() as u64;
            let suspects = self.suspect_records::<R>(&page, &mut report).await?;
            self.settle::<R>(mode, &suspects, &mut report).await?;
            if page.next.is_none() {
                return Ok(report);
            }
            query = query.after(page.next);
        }
    }

    /// The entries whose record does not want them.
    async fn suspect_entries<R: Record>(
        &self,
        page: &Page<(Key, Bytes)>,
    ) -> Result<Vec<Suspect>, DatabaseError> {
        let mut owners = Vec::new();
        let mut suspects = Vec::new();
        for (entry, value) in &page.items {
            match owner_of::<R>(entry, value) {
                Ok(record) => owners.push((record, entry, value)),
                Err(_) => suspects.push(Suspect { record: None, entry: entry.clone() }),
            }
        }
        let keys: Vec<Key> = owners.iter().map(|(record, ..)| record.clone()).collect();
        for ((record, entry, value), found) in owners.into_iter().zip(self.get_raw(&keys).await?) {
            let suspect = Suspect { record: Some(record), entry: entry.clone() };
            let verdict = suspect.judge::<R>(found.map(|found| found.value), Some(value));
            if !matches!(verdict, Verdict::Fine) {
                suspects.push(suspect);
            }
        }
        Ok(suspects)
    }

    /// The entries that the records want and do not have.
    async fn suspect_records<R: Record>(
        &self,
        page: &Page<(Key, Bytes)>,
        report: &mut IndexReport,
    ) -> Result<Vec<Suspect>, DatabaseError> {
        let mut wanted = Vec::new();
        for (key, bytes) in &page.items {
            match read_record::<R>(key, bytes).and_then(|record| Indexes::of(&record)) {
                Ok(entries) => wanted.extend(entries.into_iter().map(|entry| (key, entry))),
                Err(error) => report.add(IndexProblem::Unreadable { error }),
            }
        }
        let keys: Vec<Key> = wanted.iter().map(|(_, entry)| entry.key.clone()).collect();
        let found = self.get_raw(&keys).await?;
        let missing = wanted.into_iter().zip(found).filter(|((_, entry), found)| {
            found.as_ref().is_none_or(|found| found.value != entry.value)
        });
        let suspect = |(record, entry): (&Key, _)| -> Suspect {
            let entry: super::index::IndexEntry = entry;
            Suspect { record: Some(record.clone()), entry: entry.key }
        };
        Ok(missing.map(|(wanted, _)| suspect(wanted)).collect())
    }

    /// Looks at suspects again, the record and the entry at one instant, and
    /// at the commit where they are put right.
    async fn settle<R: Record>(
        &self,
        mode: Mode,
        suspects: &[Suspect],
        report: &mut IndexReport,
    ) -> Result<(), DatabaseError> {
        for batch in suspects.chunks(BATCH) {
            let problems = self
                .transact_with(batch, |transaction, batch| {
                    Box::pin(settle_batch::<R>(transaction, mode, batch))
                })
                .await?;
            problems.into_iter().for_each(|problem| report.add(problem));
        }
        Ok(())
    }
}

async fn settle_batch<R: Record>(
    transaction: &mut Transaction,
    mode: Mode,
    batch: &[Suspect],
) -> Result<Vec<IndexProblem>, DatabaseError> {
    let mut keys: Vec<Key> = batch.iter().flat_map(Suspect::keys).collect();
    keys.sort_unstable();
    keys.dedup();
    transaction.prefetch(&keys).await?;
    let mut problems = Vec::new();
    for suspect in batch {
        let record = match &suspect.record {
            Some(key) => transaction.get_raw(key).await?,
            None => None,
        };
        let entry = transaction.get_raw(&suspect.entry).await?;
        let verdict = suspect.judge::<R>(record, entry.as_ref());
        problems.extend(suspect.problem(&verdict));
        match verdict {
            Verdict::Missing(value) if mode == Mode::Repair => {
                transaction.put_raw(suspect.entry.clone(), value);
            }
            Verdict::Stale if mode == Mode::Repair => {
                transaction.delete_raw(suspect.entry.clone());
            }
            _ => {}
        }
    }
    Ok(problems)
}
