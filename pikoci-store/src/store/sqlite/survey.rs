//! Reads a whole file and tells what is wrong with it.

use futures_util::TryStreamExt;
use sqlx::{Row, SqliteConnection};

use super::rows::{self, ReadError};
use crate::store::head::Head;
use crate::store::recent::Recent;
use crate::store::tally::Tally;

/// The most that SQLite's own check tells of.
const MAX_COMPLAINTS: usize = 20;

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) head: Head,
    pub(super) recent: Recent,
    /// What can be read.
    pub(super) tally: Tally,
    /// What is wrong, in words.
    pub(super) problems: Vec<String>,
}

impl Survey {
    /// Reads all there is. Errors that are not the file's are returned.
    pub(super) async fn new(connection: &mut SqliteConnection) -> sqlx::Result<Self> {
        let mut survey = Self::default();
        survey.structure(connection).await?;
        survey.state(connection).await?;
        let last = survey.entries(connection, FORWARDS, None).await?;
        match last {
            None => survey.conclude(),
            Some(last) => {
                survey.entries(connection, BACKWARDS, Some(last)).await?;
            }
        }
        Ok(survey)
    }

    /// SQLite's own check.
    async fn structure(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        match sqlx::query("PRAGMA quick_check(20)").fetch_all(connection).await {
            Ok(complaints) => {
                for complaint in complaints.iter().take(MAX_COMPLAINTS) {
                    match complaint.try_get::<String, _>(0)? {
                        fine if fine == "ok" => {}
                        complaint => self.problems.push(complaint),
                    }
                }
                Ok(())
            }
            Err(error) => self.problem(error),
        }
    }

    async fn state(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let state =
            sqlx::query("SELECT head FROM state WHERE id = 1").fetch_optional(connection).await;
        let state = match state.and_then(|row| row.map(|row| row.try_get(0)).transpose()) {
            Ok(state) => state,
            Err(error) => return self.problem(error),
        };
        let state: Option<Vec<u8>> = state;
        match state.as_deref().and_then(Head::decode) {
            Some((head, recent)) => (self.head, self.recent) = (head, recent),
            None => self.problems.push("its state record cannot be read".to_owned()),
        }
        Ok(())
    }

    /// Reads the entries, those after `last` only if it is given. Where that
    /// stops early, the last key that was read is returned.
    async fn entries(
        &mut self,
        connection: &mut SqliteConnection,
        statement: &'static str,
        last: Option<Vec<u8>>,
    ) -> sqlx::Result<Option<Vec<u8>>> {
        let mut rows = sqlx::query(statement).bind(last.unwrap_or_default()).fetch(connection);
        let mut reached = Vec::new();
        loop {
            match rows.try_next().await {
                Ok(Some(row)) => match rows::entry(&row) {
                    Ok((key, entry)) => {
                        self.tally.add(key.as_bytes(), entry.revision);
                        if entry.revision.0 > self.head.revision {
                            self.problems
                                .push(format!("the entry of `{key}` is newer than the store"));
                        }
                        reached = key.as_bytes().to_vec();
                    }
                    Err(error @ ReadError::Entry(_)) => self.problems.push(error.to_string()),
                    Err(ReadError::Sql(error)) => self.problem(error)?,
                },
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.problem(error)?;
                    return Ok(Some(reached));
                }
            }
        }
    }

    fn conclude(&mut self) {
        let (stored, found) = (self.head.tally, self.tally);
        if stored != found {
            self.problems.push(stored.difference(&found));
        }
    }

    /// Notes an error that is the file's.
    fn problem(&mut self, error: sqlx::Error) -> sqlx::Result<()> {
        if !rows::is_damage(&error) {
            return Err(error);
        }
        self.problems.push(format!("a part of it cannot be read: {error}"));
        Ok(())
    }
}

const FORWARDS: &str = "SELECT key, revision, value, sum FROM entries WHERE key >= ? ORDER BY key";

const BACKWARDS: &str =
    "SELECT key, revision, value, sum FROM entries WHERE key > ? ORDER BY key DESC";
