//! The tables, and which file is ours.

use sqlx::{Connection, Row, SqliteConnection};

use crate::store::head::Head;

/// The version of the format, which SQLite keeps as `user_version`.
pub(super) const FORMAT: i64 = 1;

/// `PiKo`: what SQLite keeps as `application_id`.
const APPLICATION_ID: i64 = 0x5069_4b6f;

/// Keys and values are bytes; `sum` is a check sum over the three others,
/// since SQLite has none.
const TABLES: &str = "
    CREATE TABLE entries (
        key BLOB PRIMARY KEY NOT NULL,
        revision INTEGER NOT NULL,
        value BLOB NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        head BLOB NOT NULL
    ) STRICT;
";

/// What a file says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing is in it.
    Empty,
    /// A store of this format.
    Store(i64),
    /// A database of something else.
    Other,
}

/// What the file says it is.
pub(super) async fn kind(connection: &mut SqliteConnection) -> sqlx::Result<Kind> {
    let application: i64 = number(connection, "PRAGMA application_id").await?;
    let version: i64 = number(connection, "PRAGMA user_version").await?;
    let tables: i64 = number(connection, "SELECT count(*) FROM sqlite_schema").await?;
    Ok(match (application, version, tables) {
        (APPLICATION_ID, version, _) => Kind::Store(version),
        (0, 0, 0) => Kind::Empty,
        _ => Kind::Other,
    })
}

/// The only number that a statement gives.
pub(super) async fn number(
    connection: &mut SqliteConnection,
    statement: &'static str,
) -> sqlx::Result<i64> {
    sqlx::query(statement).fetch_one(connection).await?.try_get(0)
}

/// Has the connection write as this store does: to a log that is synced with
/// each commit, and that does not stay large.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = 16777216;",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes the tables in an empty file.
pub(super) async fn create(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    // Only a file that has nothing in it yet can be told to give back room.
    sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL;").execute(&mut *connection).await?;
    prepare(connection).await?;
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO state (id, head) VALUES (1, ?)")
        .bind(Head::default().encode(&[]))
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql("PRAGMA application_id = 1349077871; PRAGMA user_version = 1;")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
