//! Logs by their names, and what is known of each.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::error::LogError;
use super::head::{Head, LogInfo, State};
use super::read::LogReader;
use crate::blob::BlobStore;
use crate::database::encoding::{decode, encode};
use crate::database::{Database, DatabaseError, KeyPart, KeyPath, Part, Transaction, Upkeep};
use crate::store::limits::MAX_SCAN_ENTRIES;
use crate::store::{Entry, Key, KeyRange, Order, Revision};

/// The most bytes of one append in a transaction; each entry counts 4 more
/// than it has. Leaves 64 KiB and 60 operations to what goes with it.
pub const MAX_APPEND_SIZE_BYTES: usize = 14 * 64 * 1024;

/// The names of unfinished logs that are read at once.
const TIDIED_AT_ONCE: usize = 100;

/// All logs of a database and of the blob store that their archives are in.
#[derive(Debug, Clone)]
pub struct Logs {
    pub(super) database: Database,
    pub(super) blobs: Arc<dyn BlobStore>,
}

impl Logs {
    /// The logs of `database`, archived in `blobs`.
    pub fn new(database: Database, blobs: Arc<dyn BlobStore>) -> Self {
        Self { database, blobs }
    }

    /// The log of this name, whether it has entries or not. Reads nothing.
    ///
    /// # Errors
    /// When the name is too long for a key.
    pub fn log(&self, name: impl KeyPart) -> Result<Log, LogError> {
        let name = KeyPath::new(name).key().map_err(DatabaseError::from)?;
        let name = Name(KeyPath::parts(&name).unwrap_or_default());
        let of = |kind: &str| KeyPath::new("log").then(kind).then(&name);
        // Of two names with as many parts none is the beginning of the other.
        let chunks = KeyPath::new("log").then("chunk").then(name.0.len() as u64).then(&name);
        let log = Log {
            head: of("head").key().map_err(DatabaseError::from)?,
            chunks,
            unfinished: of("unfinished").key().map_err(DatabaseError::from)?,
            name: Arc::new(name),
            logs: self.clone(),
        };
        // The longest of its keys.
        log.chunk_key(u64::MAX)?;
        Ok(log)
    }

    /// The names of logs that are not deleted, in their order: those after
    /// `after`, at most `limit` and at most 1000; fewer only where no more are.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(
        &self,
        after: Option<&Log>,
        limit: usize,
    ) -> Result<Vec<(Log, LogInfo)>, LogError> {
        let limit = limit.min(MAX_SCAN_ENTRIES);
        let mut range = KeyPath::new("log").then("head").below();
        if let Some(after) = after {
            range = range.after(&after.head);
        }
        let mut logs = Vec::new();
        while logs.len() < limit {
            let some = limit - logs.len();
            let found = self.database.scan_raw(&range, Order::Ascending, some).await?;
            let ends = found.len() < some;
            for (key, entry) in found {
                let head: Head = decode(&key, &entry.value).map_err(DatabaseError::from)?;
                if head.state != State::Deleted {
                    logs.push((self.named(&key)?, head.info()));
                }
                range = range.after(&key);
            }
            if ends {
                break;
            }
        }
        Ok(logs)
    }

    /// Completes what was begun and not ended, for instance by a process that
    /// was killed: sealing, archiving and deleting, of at most `limit` logs.
    /// Logs that cannot be completed are passed over and counted. Call it
    /// again while `limit` were completed.
    ///
    /// # Errors
    /// When the store is away; those before are completed.
    pub async fn tidy(&self, limit: usize) -> Result<Upkeep<LogError>, LogError> {
        let mut range = KeyPath::new("log").then("unfinished").below();
        let mut upkeep = Upkeep::default();
        while upkeep.done < limit {
            let some = (limit - upkeep.done).min(TIDIED_AT_ONCE);
            let found = self.database.scan_raw(&range, Order::Ascending, some).await?;
            let ends = found.len() < some;
            for (key, _) in found {
                range = range.after(&key);
                let finished = match self.named(&key) {
                    Ok(log) => log.finish().await,
                    Err(error) => Err(error),
                };
                match finished {
                    Ok(()) => upkeep.done += 1,
                    Err(LogError::Database(error)) if error.store_is_away() => {
                        return Err(error.into());
                    }
                    Err(error) => upkeep.fail(&key, error),
                }
            }
            if ends {
                break;
            }
        }
        Ok(upkeep)
    }

    /// The log that a key of a head or of unfinished work is of.
    fn named(&self, key: &Key) -> Result<Log, LogError> {
        let parts = KeyPath::parts(key).unwrap_or_default();
        self.log(Name(parts.into_iter().skip(2).collect()))
    }
}

/// The parts of a log's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(Vec<Part>);

impl KeyPart for Name {
    fn push_to(&self, path: &mut KeyPath) {
        for part in &self.0 {
            part.push_to(path);
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            let slash = if at == 0 { "" } else { "/" };
            write!(f, "{slash}{part}")?;
        }
        Ok(())
    }
}

/// A handle on one log; clones are handles on the same. `Display` is its name.
#[derive(Debug, Clone)]
pub struct Log {
    pub(super) logs: Logs,
    pub(super) name: Arc<Name>,
    pub(super) head: Key,
    pub(super) chunks: KeyPath,
    /// Is there while something was begun and not ended.
    pub(super) unfinished: Key,
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl Log {
    /// The parts of its name.
    pub fn name(&self) -> &[Part] {
        &self.name.0
    }

    /// What is known of it.
    ///
    /// # Errors
    /// [`LogError::NotFound`]; or when it cannot be read.
    pub async fn info(&self) -> Result<LogInfo, LogError> {
        Ok(self.load().await?.0.info())
    }

    /// What a transaction knows of it, which is checked at the commit; `None`
    /// when nothing was ever appended.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn info_in(
        &self,
        transaction: &mut Transaction,
    ) -> Result<Option<LogInfo>, LogError> {
        Ok(self.load_in(transaction).await?.map(|head| head.info()))
    }

    /// A reader that begins at entry `from`, whether it is there yet or not.
    pub fn reader(&self, from: u64) -> LogReader {
        LogReader::new(self.clone(), from)
    }

    pub(super) fn database(&self) -> &Database {
        &self.logs.database
    }

    pub(super) fn chunk_key(&self, first: u64) -> Result<Key, LogError> {
        Ok(self.chunks.clone().then(first).key().map_err(DatabaseError::from)?)
    }

    pub(super) fn chunk_range(&self) -> KeyRange {
        self.chunks.below()
    }

    pub(super) fn not_found(&self) -> LogError {
        LogError::NotFound { log: self.to_string() }
    }

    /// The head and its entry.
    pub(super) async fn load(&self) -> Result<(Head, Entry), LogError> {
        let found = self.database().get_raw(std::slice::from_ref(&self.head)).await?;
        let entry = found.into_iter().next().flatten().ok_or_else(|| self.not_found())?;
        let head = self.read_head(&entry.value)?;
        if head.state == State::Deleted { Err(self.not_found()) } else { Ok((head, entry)) }
    }

    fn read_head(&self, value: &Bytes) -> Result<Head, LogError> {
        Ok(decode(&self.head, value).map_err(DatabaseError::from)?)
    }

    /// The head, checked at the commit; `None` when there is none.
    pub(super) async fn load_in(
        &self,
        transaction: &mut Transaction,
    ) -> Result<Option<Head>, LogError> {
        let Some(value) = transaction.get_raw(&self.head).await? else { return Ok(None) };
        Ok(Some(self.read_head(&value)?))
    }

    /// The head if it is still the one of this revision, which is checked at
    /// the commit. A log that was deleted and begun anew has another one.
    pub(super) async fn load_as_of(
        &self,
        transaction: &mut Transaction,
        revision: Revision,
    ) -> Result<Option<Head>, LogError> {
        let head = self.load_in(transaction).await?;
        Ok(head.filter(|_| transaction.revision(&self.head) == Some(revision)))
    }

    pub(super) fn store_in(
        &self,
        transaction: &mut Transaction,
        head: &Head,
    ) -> Result<(), LogError> {
        let value = encode(&self.head, head).map_err(DatabaseError::from)?;
        transaction.put_raw(self.head.clone(), value);
        Ok(())
    }

    /// Completes what was begun and not ended.
    async fn finish(&self) -> Result<(), LogError> {
        let head = {
            let log = self.clone();
            self.database()
                .transact(move |transaction| {
                    let log = log.clone();
                    Box::pin(async move {
                        let head = log.load_in(transaction).await?;
                        if matches!(head, None | Some(Head { state: State::Open { .. }, .. })) {
                            transaction.delete_raw(log.unfinished.clone());
                        }
                        Ok::<_, LogError>(head)
                    })
                })
                .await?
        };
        match head.map(|head| head.state) {
            Some(State::Sealed { .. }) => self.pack().await,
            Some(State::Archived { .. }) => self.clear().await,
            Some(State::Deleted) => self.remove().await,
            Some(State::Open { .. }) | None => Ok(()),
        }
    }
}
