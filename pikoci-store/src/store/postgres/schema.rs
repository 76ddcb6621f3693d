//! The tables, made and brought up to date under a lock.
//!
//! - `pikoci_format`: one row with the version of the format.
//! - `pikoci_entries`: the keys with their revisions and values.
//! - `pikoci_commits`: what became of the commits of the last hour.
//! - `pikoci_revisions`: the sequence that revisions are drawn from.
//! - `pikoci_commit_1`: does a transaction.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::fault::{code, open_error};
use crate::error::{OpenError, OpenErrorKind};

/// The version of the format that this program reads and writes.
const VERSION: i32 = 1;

/// The oldest server whose SQL has all that is used here.
const OLDEST_SERVER: u32 = 12;

/// Makes the tables in `schema` unless they are there.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    name: &str,
    schema: &str,
) -> Result<(), OpenError> {
    if let Some(server) = connection.server_version_num().map(|version| version / 10_000)
        && server < OLDEST_SERVER
    {
        let message = format!(
            "`{name}` is PostgreSQL {server}, which is too old; {OLDEST_SERVER} or newer is needed"
        );
        return Err(OpenError::new(OpenErrorKind::Refused, message));
    }
    // Who may not make tables can still use those that are there.
    let found = match version(connection, schema).await {
        // No such schema, no such table.
        Err(error) if matches!(code(&error).as_deref(), Some("3F000" | "42P01")) => {
            match migrate(connection, schema).await {
                Ok(()) => version(connection, schema).await,
                Err(error) => Err(error),
            }
        }
        // Another table of the same name.
        Err(error) if code(&error).as_deref() == Some("42703") => Ok(None),
        found => found,
    };
    match found {
        Ok(Some(VERSION)) => Ok(()),
        Ok(Some(newer)) => Err(OpenError::new(
            OpenErrorKind::Format,
            format!(
                "the schema `{schema}` of `{name}` has format {newer}, this program knows \
                 format {VERSION}; use the program that wrote it, or a newer one"
            ),
        )),
        Ok(None) => Err(OpenError::new(
            OpenErrorKind::Format,
            format!("the schema `{schema}` of `{name}` does not tell its format; is it ours?"),
        )),
        Err(error) => Err(open_error(error, name, schema)),
    }
}

/// The version of what is stored; `None` when it is not told.
async fn version(connection: &mut PgConnection, schema: &str) -> Result<Option<i32>, sqlx::Error> {
    let question = format!("SELECT version FROM {schema}.pikoci_format");
    let rows = sqlx::raw_sql(AssertSqlSafe(question)).fetch_all(connection).await?;
    rows.first().map(|row| row.try_get(0)).transpose()
}

/// Makes everything, in one transaction, one program at a time.
async fn migrate(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let steps = format!(
        "SET LOCAL lock_timeout = '30s'; \
         SET LOCAL client_min_messages = warning; \
         SELECT pg_advisory_xact_lock(hashtext('pikoci_format'), hashtext('{schema}')); \
         DO $do$ BEGIN \
             IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF; \
         END $do$; \
         {}\n{}",
        include_str!("schema.sql"),
        include_str!("commit.sql"),
    );
    let steps = steps.replace("{schema}", schema).replace("{version}", &VERSION.to_string());
    // Several statements sent as one are one transaction.
    sqlx::raw_sql(AssertSqlSafe(steps)).fetch_all(connection).await?;
    Ok(())
}
