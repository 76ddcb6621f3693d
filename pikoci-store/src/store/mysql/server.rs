//! The settings of the server that the store stands on, looked at when it is opened.
//!
//! A commit survives a loss of power where the redo log is on the disk before
//! the answer: `innodb_flush_log_at_trx_commit` is 1, or MariaDB's 3. With a
//! binary log it is that log which is waited for instead (but for 3), so then
//! `sync_binlog` must be 1 too.

use sqlx::{MySqlConnection, Row};

use super::fault::open_error;
use crate::error::{OpenError, OpenErrorKind};

/// The largest request: a transaction of the largest size, twice as long in
/// hexadecimal digits, and what is around it.
const LARGEST_REQUEST: u64 = 3 * 1024 * 1024;

/// What a commit must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A loss of power.
    Full,
    /// Whatever the server is set to.
    Server,
}

/// Refuses a server on which the store does not hold what it promises.
pub(super) async fn check(
    connection: &mut MySqlConnection,
    name: &str,
    durability: Durability,
) -> Result<(), OpenError> {
    let question = "SELECT CAST(@@max_allowed_packet AS UNSIGNED), \
                    CAST(@@global.innodb_flush_log_at_trx_commit AS UNSIGNED), \
                    CAST(@@global.log_bin AS UNSIGNED), CAST(@@global.sync_binlog AS UNSIGNED)";
    let read = async {
        let row = sqlx::raw_sql(question).fetch_one(connection).await?;
        Ok([row.try_get::<u64, _>(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?])
    };
    let [largest, flush, binlog, sync] = read.await.map_err(|error| open_error(error, name))?;
    if largest < LARGEST_REQUEST {
        let message = format!(
            "`{name}` takes requests of {largest} bytes at most; `max_allowed_packet` must be \
             {LARGEST_REQUEST} or more"
        );
        return Err(OpenError::new(OpenErrorKind::Refused, message));
    }
    let Some((setting, value)) = not_durable(flush, binlog != 0, sync) else { return Ok(()) };
    match durability {
        Durability::Full => {
            let message = format!(
                "`{name}` may lose commits with the power: its `{setting}` is {value}; set it to 1 \
                 (`SET GLOBAL {setting} = 1`, and in its configuration file), or let the URL say \
                 `durability=server` to put up with it"
            );
            Err(OpenError::new(OpenErrorKind::Refused, message))
        }
        Durability::Server => {
            tracing::warn!(
                store = name,
                "`{setting}` is {value}: commits may be lost with the power"
            );
            Ok(())
        }
    }
}

/// The setting by which commits may be lost with the power, and its value.
fn not_durable(flush: u64, binlog: bool, sync: u64) -> Option<(&'static str, u64)> {
    match flush {
        3 => None,
        1 if binlog && sync != 1 => Some(("sync_binlog", sync)),
        1 => None,
        _ => Some(("innodb_flush_log_at_trx_commit", flush)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_lost_with_the_power_is_told() {
        for (flush, binlog, sync) in [(1, false, 0), (1, true, 1), (3, true, 0), (3, false, 0)] {
            assert_eq!(not_durable(flush, binlog, sync), None, "{flush} {binlog} {sync}");
        }
        for (flush, binlog, sync, setting) in [
            (0, false, 1, "innodb_flush_log_at_trx_commit"),
            (2, true, 1, "innodb_flush_log_at_trx_commit"),
            (1, true, 0, "sync_binlog"),
            (1, true, 100, "sync_binlog"),
        ] {
            let found = not_durable(flush, binlog, sync).map(|(setting, _)| setting);
            assert_eq!(found, Some(setting), "{flush} {binlog} {sync}");
        }
    }
}
