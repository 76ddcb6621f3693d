//! The [`Store`] on a SQL server.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use pikoci_core::store::{
    Entry, Key, KeyRange, Order, Outcome, Store, StoreError, StoreErrorKind, Txn,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::dialect::{Dialect, Fault};
use super::pool::Pool;

/// How long a call is tried while it is sure that nothing was done.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a commit is tried that may have been done. With the wait for a
/// connection it stays below the half minute that a call may take.
const SETTLE: Duration = Duration::from_secs(20);

/// How long one connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long one request may take. More than the servers are told to wait for
/// locks, so that it is mostly they who give up, and say so.
const REQUEST: Duration = Duration::from_secs(9);

/// For how long a commit that was begun is remembered, at least.
const REMEMBER: Duration = Duration::from_secs(15 * 60);

/// A [`Store`] on a SQL server.
pub(crate) struct SqlStore<D: Dialect> {
    dialect: D,
    /// For people, without the password.
    name: String,
    pool: Pool<D::Connection>,
    /// The commits that were begun and not answered, be it that they still
    /// run, that their caller dropped them, or that their outcome is unknown.
    open: Mutex<HashMap<Uuid, Instant>>,
}

impl<D: Dialect> SqlStore<D> {
    /// A store over at most `connections` connections, of which `first` is made.
    pub(crate) fn new(dialect: D, name: String, connections: u32, first: D::Connection) -> Self {
        Self { dialect, name, pool: Pool::new(connections, first), open: Mutex::default() }
    }

    /// Asks until there is an answer or no time left. `request` is told
    /// whether an earlier copy of it may have been done; `commit` says whether
    /// that matters.
    async fn ask<T>(
        &self,
        mut in_doubt: bool,
        commit: bool,
        request: impl Fn(bool) -> String,
        read: impl Fn(Vec<D::Row>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let _slot = match self.pool.slot().await {
            // It may have been done before it was asked for again.
            Err(error) if in_doubt && error.kind == StoreErrorKind::Unavailable => {
                return Err(StoreError::unknown(error.message));
            }
            slot => slot?,
        };
        let started = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let failure = match self.attempt(request(in_doubt), started + SETTLE, &read).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            in_doubt |=
                commit && failure.sent && matches!(failure.fault, Fault::Lost | Fault::Unclear(_));
            let patience = if in_doubt { SETTLE } else { PATIENCE };
            let hopeless = match failure.fault {
                Fault::Lost | Fault::Again | Fault::Demoted(_) => false,
                // While in doubt there is nothing better to do than to try on.
                Fault::Later(_) | Fault::Unclear(_) | Fault::Refused(_) => {
                    !in_doubt && !failure.passes
                }
                Fault::Damaged(_) => !in_doubt,
            };
            if hopeless || started.elapsed() + pause > patience {
                return Err(self.error(failure, in_doubt));
            }
            tracing::debug!(store = %self.name, error = ?failure.source, "asking again");
            sleep(pause.mul_f64(jitter())).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Asks once.
    async fn attempt<T>(
        &self,
        request: String,
        deadline: Instant,
        read: impl Fn(Vec<D::Row>) -> Result<T, Fault>,
    ) -> Result<T, Failure> {
        let mut connection = match self.pool.take() {
            Some(connection) => connection,
            None => {
                let deadline = deadline.min(Instant::now() + CONNECT);
                match timeout_at(deadline, self.dialect.connect()).await {
                    Ok(connected) => connected.map_err(|error| Failure {
                        sent: false,
                        fault: D::fault(&error),
                        passes: passes(&error, D::fault(&error)),
                        source: Some(error),
                    })?,
                    Err(_) => return Err(Failure::silent(false)),
                }
            }
        };
        let left = deadline.saturating_duration_since(Instant::now()).min(REQUEST);
        let Ok(answer) = timeout(left, D::ask(&mut connection, request)).await else {
            self.pool.forget_idle();
            return Err(Failure::silent(true));
        };
        let (fault, source) = match answer.map(read) {
            Ok(Ok(answer)) => {
                self.pool.give_back(connection);
                return Ok(answer);
            }
            Ok(Err(fault)) => (fault, None),
            Err(error) => (D::fault(&error), Some(error)),
        };
        match fault {
            // The others lead to the same server.
            Fault::Lost | Fault::Demoted(_) => self.pool.forget_idle(),
            _ if source.is_none() || D::GOOD_AFTER_ERROR => self.pool.give_back(connection),
            _ => {}
        }
        Err(Failure { sent: true, fault, passes: false, source })
    }

    /// What to tell the caller.
    fn error(&self, failure: Failure, in_doubt: bool) -> StoreError {
        let name = &self.name;
        let error = if in_doubt {
            StoreError::unknown(format!(
                "it is not known whether the commit to `{name}` was done; the same again will tell"
            ))
        } else {
            match failure.fault {
                Fault::Lost if failure.source.is_none() => {
                    StoreError::unavailable(format!("`{name}` does not answer"))
                }
                Fault::Lost => StoreError::unavailable(format!("`{name}` cannot be reached")),
                Fault::Again => StoreError::unavailable(format!(
                    "`{name}` undid it each time because others wrote the same"
                )),
                Fault::Later(why) | Fault::Demoted(why) | Fault::Unclear(why) => {
                    StoreError::unavailable(format!("`{name}`: {why}"))
                }
                Fault::Refused(why) => StoreError::unavailable(format!("`{name}` said no: {why}")),
                Fault::Damaged(why) => StoreError::damaged(format!("`{name}`: {why}")),
            }
        };
        match failure.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Uuid, Instant>> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Notes that a commit begins; whether it had begun before.
    fn begins(&self, id: Uuid) -> bool {
        const MANY: usize = 4096;
        let mut open = self.open();
        if open.len() >= MANY {
            open.retain(|_, since| since.elapsed() < REMEMBER);
        }
        open.insert(id, Instant::now()).is_some()
    }
}

/// Why an attempt came to nothing.
struct Failure {
    /// Whether the request, or a part of it, was sent.
    sent: bool,
    fault: Fault,
    /// Whether it is about the connection and mostly passes: the server starts
    /// or is full.
    passes: bool,
    /// What the server or the driver said; `None` when there was no answer in
    /// time, or when the answer itself tells the fault.
    source: Option<sqlx::Error>,
}

impl Failure {
    fn silent(sent: bool) -> Self {
        Self { sent, fault: Fault::Lost, passes: false, source: None }
    }
}

/// Whether a connection that was not made may be made in a while.
fn passes(error: &sqlx::Error, fault: Fault) -> bool {
    let busy = matches!(fault, Fault::Later(_) | Fault::Unclear(_));
    busy && matches!(error, sqlx::Error::Database(_))
}

/// From a half to one and a half, so that those who failed together do not
/// come back together.
fn jitter() -> f64 {
    // The ids of this version end in random bits.
    let random = Uuid::now_v7().as_u64_pair().1 % 1000;
    0.5 + random as f64 / 1000.0
}

impl<D: Dialect> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlStore({})", self.name)
    }
}

impl<D: Dialect> fmt::Display for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl<D: Dialect> Store for SqlStore<D> {
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StoreError> {
        if keys.is_empty() {
            return self.pool.check_open().map(|()| Vec::new());
        }
        let request = |_| self.dialect.get(keys);
        let found = self.ask(false, false, request, |rows| self.dialect.entries(rows)).await?;
        let found: HashMap<Key, Entry> = found.into_iter().collect();
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn scan(
        &self,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StoreError> {
        if range.is_empty() || limit == 0 {
            return self.pool.check_open().map(|()| Vec::new());
        }
        let request = |_| self.dialect.scan(range, order, limit);
        self.ask(false, false, request, |rows| self.dialect.entries(rows)).await
    }

    async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let before = self.begins(txn.id);
        let request = |again| self.dialect.commit(txn, again);
        let done = self.ask(before, true, request, |rows| self.dialect.outcome(rows)).await;
        if !matches!(&done, Err(error) if error.kind == StoreErrorKind::Unknown) {
            self.open().remove(&txn.id);
        }
        done
    }

    /// Nothing rings here: doorbells go over pub/sub.
    fn watch(&self, _range: &KeyRange) -> Option<BoxStream<'static, ()>> {
        None
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.pool.close().await
    }
}
