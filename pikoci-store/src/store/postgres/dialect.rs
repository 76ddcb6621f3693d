//! What is said to PostgreSQL.

use std::fmt::Write as _;

use bytes::Bytes;
use pikoci_core::store::{Entry, Key, KeyRange, Order, Outcome, Revision, Txn, Write};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row};

use super::super::sql::dialect::{Dialect, Fault, UNREADABLE};
use super::super::sql::hex;
use super::fault::fault;

/// Begins each request. Several statements sent as one are one transaction, so
/// these end with it; nothing is left to whatever the server is set to.
const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; \
                     SET LOCAL lock_timeout = '5s'; \
                     SET LOCAL statement_timeout = '8s'; ";

/// A PostgreSQL server and the schema of our tables.
#[derive(Debug)]
pub(super) struct Postgres {
    options: PgConnectOptions,
    schema: String,
}

impl Postgres {
    pub(super) fn new(options: PgConnectOptions, schema: String) -> Self {
        Self { options, schema }
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The beginning of a request for entries. A standby may lag behind, so
    /// the first row tells whether it is one.
    fn select(&self) -> String {
        format!(
            "{BEGIN}SELECT pg_is_in_recovery(); \
             SELECT encode(key, 'hex'), revision, encode(value, 'hex') \
             FROM {}.pikoci_entries WHERE ",
            self.schema
        )
    }
}

impl Dialect for Postgres {
    type Connection = PgConnection;
    type Row = PgRow;

    const GOOD_AFTER_ERROR: bool = true;

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.options.connect().await
    }

    async fn ask(
        connection: &mut PgConnection,
        request: String,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(request)).fetch_all(connection).await
    }

    fn get(&self, keys: &[Key]) -> String {
        let mut request = self.select();
        request.push_str("key = ANY (");
        push_array(&mut request, keys.iter().map(Key::as_bytes));
        request.push(')');
        request
    }

    fn scan(&self, range: &KeyRange, order: Order, limit: usize) -> String {
        let mut request = self.select();
        request.push_str("key >= ");
        push_bytes(&mut request, range.start());
        if let Some(end) = range.end() {
            request.push_str(" AND key < ");
            push_bytes(&mut request, end);
        }
        let direction = match order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        // Writing to a string cannot fail.
        let _ = write!(request, " ORDER BY key {direction} LIMIT {limit}");
        request
    }

    fn entries(&self, rows: Vec<PgRow>) -> Result<Vec<(Key, Entry)>, Fault> {
        let mut rows = rows.into_iter();
        let standby = rows.next().and_then(|row| row.try_get::<bool, _>(0).ok());
        match standby {
            Some(false) => rows.map(|row| entry(&row).ok_or(UNREADABLE)).collect(),
            Some(true) => {
                Err(Fault::Demoted("it is a standby, which may lag behind; name the primary"))
            }
            None => Err(UNREADABLE),
        }
    }

    fn commit(&self, txn: &Txn, again: bool) -> String {
        let mut request = String::with_capacity(1024 + txn.size_bytes() * 2);
        let _ = write!(
            request,
            "{BEGIN}SELECT {}.pikoci_commit_1('{}', {again}, ",
            self.schema,
            txn.id.hyphenated()
        );
        push_array(&mut request, txn.checks.iter().map(|check| check.key.as_bytes()));
        request.push_str(", ARRAY[");
        for (at, check) in txn.checks.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = match check.revision {
                Some(Revision(revision)) => write!(request, "{comma}{revision}"),
                None => write!(request, "{comma}NULL"),
            };
        }
        request.push_str("]::bigint[], ");
        let puts = || txn.writes.iter().filter_map(|write| Some((write.key(), write.value()?)));
        push_array(&mut request, puts().map(|(key, _)| key.as_bytes()));
        request.push_str(", ");
        push_array(&mut request, puts().map(|(_, value)| &value[..]));
        request.push_str(", ");
        let deletes = txn.writes.iter().filter_map(|write| match write {
            Write::Delete(key) => Some(key.as_bytes()),
            Write::Put(..) => None,
        });
        push_array(&mut request, deletes);
        request.push(')');
        request
    }

    fn outcome(&self, rows: Vec<PgRow>) -> Result<Outcome, Fault> {
        match rows.first().map(|row| row.try_get::<i64, _>(0)) {
            Some(Ok(0)) => Ok(Outcome::Conflict),
            Some(Ok(revision @ 1..)) => Ok(Outcome::Committed(Revision(revision.unsigned_abs()))),
            _ => Err(UNREADABLE),
        }
    }

    fn fault(error: &sqlx::Error) -> Fault {
        fault(error)
    }
}

/// An entry from its row; `None` when it makes no sense.
fn entry(row: &PgRow) -> Option<(Key, Entry)> {
    let key = Key::new(hex::decode(row.try_get(0).ok()?)?).ok()?;
    let revision = Revision(u64::try_from(row.try_get::<i64, _>(1).ok()?).ok()?);
    let value = Bytes::from(hex::decode(row.try_get(2).ok()?)?);
    Some((key, Entry { value, revision }))
}

/// Bytes in a form that no setting of the server changes the meaning of.
fn push_bytes(request: &mut String, bytes: &[u8]) {
    request.push_str("decode('");
    hex::push(request, bytes);
    request.push_str("','hex')");
}

fn push_array<'a>(request: &mut String, all: impl Iterator<Item = &'a [u8]>) {
    request.push_str("ARRAY[");
    for (at, bytes) in all.enumerate() {
        if at > 0 {
            request.push(',');
        }
        push_bytes(request, bytes);
    }
    request.push_str("]::bytea[]");
}
