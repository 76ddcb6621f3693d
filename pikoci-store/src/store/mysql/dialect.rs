//! What is said to MySQL and MariaDB.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use pikoci_core::store::{Entry, Key, KeyRange, Order, Outcome, Revision, Txn, Write};
use sqlx::mysql::{MySqlConnectOptions, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions, MySqlConnection, Row};

use super::super::sql::dialect::{Dialect, Fault, UNREADABLE};
use super::super::sql::hex;
use super::fault::fault;
use super::schema::{REVISIONS_PER_NUMBER, salt, stripe};

/// Begins each request, so that nothing is left to whatever the server is set to.
const BEGIN: &str = "SET autocommit = 1, innodb_lock_wait_timeout = 5; ";

/// How many commits apart old ids are removed.
const COMMITS_PER_CLEANING: u32 = 256;

/// Whether the server takes writes. Where it does not it may be a replica,
/// which lags behind. Some versions say a number, some a word.
const WRITABLE: &str = "CAST(@@global.read_only AS CHAR) IN ('0', 'OFF')";

/// What a commit answers instead of a revision where the server takes no writes.
const READ_ONLY: &str = "read only";

/// What a commit answers where rows of `stripes` are missing.
const NO_LOCKS: &str = "no locks";

/// What it means that the server takes no writes.
const REPLICA: Fault =
    Fault::Demoted("it takes no writes: a replica, or set to read only; name the primary");

/// A server and how the names of our tables begin.
#[derive(Debug)]
pub(super) struct MySql {
    pub(super) options: MySqlConnectOptions,
    pub(super) prefix: String,
    /// How many commits there were.
    pub(super) commits: AtomicU32,
}

impl MySql {
    /// The beginning of a request for entries. The first row tells whether the
    /// server takes writes.
    fn select(&self) -> String {
        format!(
            "{BEGIN}SELECT CAST({WRITABLE} AS SIGNED); \
             SET TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SELECT `key`, `revision`, `value` FROM `{}entries` FORCE INDEX (PRIMARY) WHERE ",
            self.prefix
        )
    }

    /// Takes the locks on all keys of `txn`, and says how many there are.
    ///
    /// All take them in the same order, so nobody waits in a circle. A key that
    /// is only checked may be checked by many at once.
    fn push_locks(&self, request: &mut String, txn: &Txn) -> usize {
        let mut stripes: BTreeMap<u16, bool> = BTreeMap::new();
        for check in &txn.checks {
            stripes.entry(stripe(&check.key)).or_insert(false);
        }
        for write in &txn.writes {
            stripes.insert(stripe(write.key()), true);
        }
        request.push_str("SET @pikoci_locks = 0; ");
        let all: Vec<(u16, bool)> = stripes.into_iter().collect();
        for run in all.chunk_by(|(_, left), (_, right)| left == right) {
            let _ = write!(
                request,
                "SELECT @pikoci_locks + COUNT(*) INTO @pikoci_locks FROM `{}stripes` \
                 FORCE INDEX (PRIMARY) WHERE `stripe` IN (",
                self.prefix
            );
            for (at, (stripe, _)) in run.iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                let _ = write!(request, "{comma}{stripe}");
            }
            let written = run.first().is_some_and(|(_, written)| *written);
            request.push_str(if written { ") FOR UPDATE; " } else { ") LOCK IN SHARE MODE; " });
        }
        all.len()
    }

    /// Finds out whether all checks of `txn` hold, of which no row is known yet.
    fn push_checks(&self, request: &mut String, txn: &Txn, locks: usize) {
        let prefix = &self.prefix;
        let (id, revision) = (Hex(txn.id.as_bytes()), revision("`number`", txn));
        // Others see a commit an instant before it is on the disk. Who finds it
        // and is to answer that it is done writes too, and so waits for the disk.
        let _ = write!(
            request,
            "UPDATE `{prefix}commits` SET `asked` = `asked` + 1 WHERE `id` = {id}; \
             SET @pikoci_known = (SELECT IF(`conflict`, 0, {revision}) FROM `{prefix}commits` \
             WHERE `id` = {id}); \
             SET @pikoci_writable = {WRITABLE}; \
             SET @pikoci_ready = @pikoci_writable AND @pikoci_locks = {locks} AND @pikoci_known IS NULL; \
             SET @pikoci_holds = @pikoci_ready"
        );
        let with = |present: bool| {
            txn.checks.iter().filter(move |check| check.revision.is_some() == present)
        };
        let present = with(true).count();
        if present > 0 {
            let _ = write!(
                request,
                " AND {present} = (SELECT COUNT(*) FROM `{prefix}entries` FORCE INDEX (PRIMARY) \
                 WHERE FALSE"
            );
            for check in with(true) {
                let revision = check.revision.map_or(0, |revision| revision.0);
                let key = Hex(check.key.as_bytes());
                let _ = write!(request, " OR (`key` = {key} AND `revision` = {revision})");
            }
            request.push(')');
        }
        if with(false).count() > 0 {
            let _ = write!(
                request,
                " AND NOT EXISTS (SELECT 1 FROM `{prefix}entries` FORCE INDEX (PRIMARY) WHERE "
            );
            push_is_one_of(request, with(false).map(|check| check.key.as_bytes()));
            request.push(')');
        }
        request.push_str("; ");
    }

    /// Does the writes of `txn` if its checks hold.
    fn push_writes(&self, request: &mut String, txn: &Txn, again: bool) {
        let prefix = &self.prefix;
        let id = Hex(txn.id.as_bytes());
        let record = |request: &mut String, conflict: u8, condition: &str| {
            let _ = write!(
                request,
                "INSERT INTO `{prefix}commits` (`id`, `conflict`, `done_at`) \
                 SELECT {id}, {conflict}, UTC_TIMESTAMP() FROM DUAL WHERE {condition}; "
            );
        };
        if txn.writes.is_empty() {
            let _ = write!(
                request,
                "SET @pikoci_revision = (SELECT IFNULL(MAX({}), 1) FROM `{prefix}commits`); ",
                revision("`number`", txn)
            );
            return;
        }
        if again {
            record(request, 1, "@pikoci_ready AND NOT @pikoci_holds");
        }
        // Counted up under the locks, so it is greater than all that these keys had.
        record(request, 0, "@pikoci_holds");
        let _ = write!(
            request,
            "SET @pikoci_number = IF(@pikoci_holds, LAST_INSERT_ID(), 0); \
             SET @pikoci_revision = {}; ",
            revision("@pikoci_number", txn)
        );
        let mut deletes = Vec::new();
        for write in &txn.writes {
            match write {
                Write::Put(key, value) => {
                    let _ = write!(
                        request,
                        "INSERT INTO `{prefix}entries` (`key`, `revision`, `value`) \
                         SELECT {}, @pikoci_revision, {} FROM DUAL WHERE @pikoci_holds \
                         ON DUPLICATE KEY UPDATE `revision` = @pikoci_revision, \
                         `value` = VALUES(`value`); ",
                        Hex(key.as_bytes()),
                        Hex(value)
                    );
                }
                Write::Delete(key) => deletes.push(key.as_bytes()),
            }
        }
        if !deletes.is_empty() {
            let _ = write!(request, "DELETE FROM `{prefix}entries` WHERE @pikoci_holds AND ");
            push_is_one_of(request, deletes.into_iter());
            request.push_str("; ");
        }
        if self.commits.fetch_add(1, Ordering::Relaxed).is_multiple_of(COMMITS_PER_CLEANING) {
            // More old ones go than came since the last time.
            let _ = write!(
                request,
                "DELETE FROM `{prefix}commits` \
                 WHERE `done_at` < UTC_TIMESTAMP() - INTERVAL 1 HOUR \
                 AND `number` < @pikoci_number ORDER BY `done_at` LIMIT {}; ",
                4 * COMMITS_PER_CLEANING
            );
        }
    }
}

impl Dialect for MySql {
    type Connection = MySqlConnection;
    type Row = MySqlRow;

    const GOOD_AFTER_ERROR: bool = false;

    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        self.options.connect().await
    }

    async fn ask(
        connection: &mut MySqlConnection,
        request: String,
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(request)).fetch_all(connection).await
    }

    fn get(&self, keys: &[Key]) -> String {
        let mut request = self.select();
        push_is_one_of(&mut request, keys.iter().map(Key::as_bytes));
        request
    }

    fn scan(&self, range: &KeyRange, order: Order, limit: usize) -> String {
        let mut request = self.select();
        // Writing to a string cannot fail.
        let _ = write!(request, "`key` >= {}", Hex(range.start()));
        if let Some(end) = range.end() {
            let _ = write!(request, " AND `key` < {}", Hex(end));
        }
        let direction = match order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let _ = write!(request, " ORDER BY `key` {direction} LIMIT {limit}");
        request
    }

    fn entries(&self, rows: Vec<MySqlRow>) -> Result<Vec<(Key, Entry)>, Fault> {
        let mut rows = rows.into_iter();
        let writable = rows.next().and_then(|row| row.try_get::<i64, _>(0).ok());
        match writable {
            Some(1) => rows.map(|row| entry(&row).ok_or(UNREADABLE)).collect(),
            Some(_) => Err(REPLICA),
            None => Err(UNREADABLE),
        }
    }

    fn commit(&self, txn: &Txn, again: bool) -> String {
        let mut request = String::with_capacity(4096 + txn.size_bytes() * 2);
        request.push_str(BEGIN);
        request.push_str("SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION; ");
        let locks = self.push_locks(&mut request, txn);
        self.push_checks(&mut request, txn, locks);
        self.push_writes(&mut request, txn, again);
        let _ = write!(
            request,
            "COMMIT AND NO CHAIN NO RELEASE; SELECT CAST(CASE WHEN @pikoci_known IS NOT NULL THEN @pikoci_known \
             WHEN NOT @pikoci_writable THEN '{READ_ONLY}' \
             WHEN @pikoci_locks <> {locks} THEN '{NO_LOCKS}' \
             WHEN @pikoci_holds THEN @pikoci_revision ELSE 0 END AS CHAR)"
        );
        request
    }

    fn outcome(&self, rows: Vec<MySqlRow>) -> Result<Outcome, Fault> {
        let Some(Ok(answer)) = rows.last().map(|row| row.try_get::<&str, _>(0)) else {
            return Err(UNREADABLE);
        };
        match answer {
            READ_ONLY => Err(REPLICA),
            NO_LOCKS => Err(Fault::Damaged("rows of its table of stripes are gone")),
            "0" => Ok(Outcome::Conflict),
            revision => match revision.parse() {
                Ok(revision) => Ok(Outcome::Committed(Revision(revision))),
                Err(_) => Err(UNREADABLE),
            },
        }
    }

    fn fault(error: &sqlx::Error) -> Fault {
        fault(error)
    }
}

/// The revision of `txn` if it has this number.
fn revision(number: &str, txn: &Txn) -> String {
    format!("({number} * {REVISIONS_PER_NUMBER} + {})", salt(txn.id))
}

/// Bytes as a literal.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut digits = String::new();
        hex::push(&mut digits, self.0);
        write!(f, "x'{digits}'")
    }
}

fn push_is_one_of<'a>(request: &mut String, keys: impl Iterator<Item = &'a [u8]>) {
    request.push_str("`key` IN (");
    for (at, key) in keys.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(request, "{comma}{}", Hex(key));
    }
    request.push(')');
}

/// An entry from its row; `None` when it makes no sense.
fn entry(row: &MySqlRow) -> Option<(Key, Entry)> {
    let key = Key::new(row.try_get::<Vec<u8>, _>(0).ok()?).ok()?;
    let revision = Revision(row.try_get::<u64, _>(1).ok()?);
    let value = Bytes::from(row.try_get::<Vec<u8>, _>(2).ok()?);
    Some((key, Entry { value, revision }))
}
