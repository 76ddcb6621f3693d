//! The one thread that writes to SQLite.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::store::{ChangeFeed, Key, Outcome, Revision, StoreError, Txn};
use sqlx::{Connection, Row, SqliteConnection, SqlitePool};
use tokio::runtime::Runtime;

use super::rows::{self, ReadError, check_sum};
use super::schema::number;
use crate::store::group::{Fate, GroupBackend, GroupError};
use crate::store::head::Head;
use crate::store::lock::HolderLock;
use crate::store::plan::{Before, Plan, Written};
use crate::store::recent::Recent;

/// How often room that is not used is given back, in groups.
const TIDY_GROUPS: u64 = 1000;

/// How many unused pages may stay, and how many are given back at a time.
const SPARE_PAGES: i64 = 1000;

/// How long a close waits for those who read.
const READERS_PATIENCE: Duration = Duration::from_secs(10);

/// Writes groups of commits to SQLite, each as one transaction.
pub(super) struct Engine {
    pub(super) path: PathBuf,
    pub(super) feed: Arc<ChangeFeed>,
    pub(super) runtime: Runtime,
    pub(super) connection: Option<SqliteConnection>,
    pub(super) readers: SqlitePool,
    pub(super) head: Head,
    pub(super) lock: Option<HolderLock>,
    /// Groups since the last tidying.
    pub(super) groups: u64,
}

/// What a key held.
#[derive(Debug)]
struct Held(Option<Revision>);

impl Before for Held {
    fn revision(&self) -> Option<Revision> {
        self.0
    }
}

impl GroupBackend for Engine {
    fn apply(&mut self, txns: &[Txn], recent: &Recent) -> Result<Vec<Outcome>, GroupError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(GroupError::new(Fate::NotDone, "the store is closed"));
        };
        let applied = self.transact(&mut connection, txns, recent);
        if applied.is_ok() {
            self.tidy(&mut connection);
        } else {
            // SQLite may have ended the transaction by itself.
            let _ = self.runtime.block_on(sqlx::query("ROLLBACK").execute(&mut connection));
        }
        self.connection = Some(connection);
        let outcomes = applied?;
        for (txn, outcome) in txns.iter().zip(&outcomes) {
            if matches!(outcome, Outcome::Committed(_)) {
                self.feed.committed(txn);
            }
        }
        Ok(outcomes)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.feed.close();
        let (readers, connection) = (self.readers.clone(), self.connection.take());
        let closed = self.runtime.block_on(async {
            // The last connection empties the log, which readers would hinder.
            // Those who read for longer do no harm but that.
            let _ = tokio::time::timeout(READERS_PATIENCE, readers.close()).await;
            match connection {
                Some(connection) => connection.close().await,
                None => Ok(()),
            }
        });
        self.lock = None;
        closed.map_err(|error| {
            let message = format!("cannot close `{}` in order", self.path.display());
            StoreError::unavailable(message).caused_by(error)
        })
    }
}

impl Engine {
    fn transact(
        &mut self,
        connection: &mut SqliteConnection,
        txns: &[Txn],
        recent: &Recent,
    ) -> Result<Vec<Outcome>, GroupError> {
        let runtime = &self.runtime;
        runtime
            .block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection))
            .map_err(|error| self.not_done(error.into()))?;
        let mut plan = Plan::new(self.head);
        let outcomes: Result<Vec<Outcome>, ReadError> = txns
            .iter()
            .map(|txn| plan.add(txn, |key| runtime.block_on(held(connection, key))))
            .collect();
        let outcomes = outcomes.map_err(|error| self.not_done(error))?;
        if plan.is_empty() {
            // Nothing was written that could fail to be undone.
            let _ = runtime.block_on(sqlx::query("ROLLBACK").execute(connection));
            return Ok(outcomes);
        }
        let (head, written) = plan.finish();
        let state = head.encode(&recent.encode(txns, &outcomes));
        runtime
            .block_on(write(connection, &written, state))
            .map_err(|error| self.not_done(error.into()))?;
        runtime
            .block_on(sqlx::query("COMMIT").execute(connection))
            .map_err(|error| self.not_committed(error))?;
        self.head = head;
        Ok(outcomes)
    }

    /// Gives back room now and then. What fails is tried again the next time.
    fn tidy(&mut self, connection: &mut SqliteConnection) {
        self.groups += 1;
        if !self.groups.is_multiple_of(TIDY_GROUPS) {
            return;
        }
        let tidied: sqlx::Result<()> = self.runtime.block_on(async {
            if number(connection, "PRAGMA freelist_count").await? > SPARE_PAGES {
                let vacuum = sqlx::query("PRAGMA incremental_vacuum(1000)");
                vacuum.fetch_all(connection).await?;
            }
            Ok(())
        });
        if let Err(error) = tidied {
            tracing::warn!(%error, path = %self.path.display(), "cannot give back room");
        }
    }

    /// An error before the commit: nothing was written.
    fn not_done(&self, error: ReadError) -> GroupError {
        let (fate, message) = if error.is_damage() {
            (Fate::Damaged, damaged(&self.path))
        } else {
            (Fate::NotDone, format!("cannot write to `{}`", self.path.display()))
        };
        GroupError::new(fate, message).caused_by(error)
    }

    /// An error of the commit itself.
    fn not_committed(&self, error: sqlx::Error) -> GroupError {
        // The last that is written is what makes it a commit: where the disk
        // was full, it was none.
        let fate = if rows::is_full(&error) { Fate::NotDone } else { Fate::Unknown };
        let message = format!("cannot write to `{}`", self.path.display());
        GroupError::new(fate, message).caused_by(error)
    }
}

async fn held(connection: &mut SqliteConnection, key: &Key) -> Result<Held, ReadError> {
    let row = sqlx::query("SELECT revision FROM entries WHERE key = ?")
        .bind(key.as_bytes())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(Held(None)) };
    let revision: i64 = row.try_get(0)?;
    let revision = revision.try_into().map_err(|_| ReadError::Entry(key.as_bytes().to_vec()))?;
    Ok(Held(Some(Revision(revision))))
}

async fn write(
    connection: &mut SqliteConnection,
    written: &[Written<Held>],
    state: Vec<u8>,
) -> sqlx::Result<()> {
    for write in written {
        let key = write.key.as_bytes();
        match &write.after {
            Some((revision, value)) => {
                // Greater ones are never given out.
                let revision = i64::try_from(revision.0).unwrap_or(i64::MAX);
                sqlx::query(
                    "INSERT OR REPLACE INTO entries (key, revision, value, sum) VALUES (?, ?, ?, ?)",
                )
                .bind(key)
                .bind(revision)
                .bind(&value[..])
                .bind(check_sum(key, revision, value))
                .execute(&mut *connection)
                .await?;
            }
            None if write.before.0.is_some() => {
                let delete = sqlx::query("DELETE FROM entries WHERE key = ?").bind(key);
                delete.execute(&mut *connection).await?;
            }
            None => {}
        }
    }
    let update = sqlx::query("UPDATE state SET head = ? WHERE id = 1").bind(state);
    update.execute(connection).await?;
    Ok(())
}

/// What to say where what SQLite reads makes no sense.
pub(super) fn damaged(path: &Path) -> String {
    let path = path.display();
    format!(
        "the store at `{path}` is damaged; `pikoci store check sqlite:{path}` tells what can be read"
    )
}
