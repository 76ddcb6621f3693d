//! The tables, made and brought up to date under a lock. Each name begins with
//! the prefix.
//!
//! - `format`: one row with the version of the format.
//! - `entries`: the keys with their revisions and values.
//! - `commits`: what became of the commits of the last hour. Its column
//!   `number` counts up, and is what revisions are made from; its newest row
//!   is never removed, since some servers count on from there when they start.
//!   `asked` counts how often it was asked for again.
//! - `stripes`: [`STRIPES`] rows that never change. Who touches a key locks the
//!   row that the key is mapped to, be the key there or not.
//!
//! The server ends a transaction at each of these statements, so each may be
//! run again.

use pikoci_core::store::Key;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, MySqlConnection, Row};
use uuid::Uuid;

use super::fault::{number, open_error};
use crate::error::{OpenError, OpenErrorKind};

/// The version of the format that this program reads and writes.
const VERSION: i32 = 1;

/// How many rows `stripes` has, a power of two. A part of the format.
const STRIPES: u16 = 1024;

/// The row of `stripes` that `key` is mapped to. A part of the format.
pub(super) fn stripe(key: &Key) -> u16 {
    let digest = Sha256::digest(key.as_bytes());
    u16::from_be_bytes([digest[0], digest[1]]) % STRIPES
}

/// By how much the numbers of two commits are apart in their revisions.
pub(super) const REVISIONS_PER_NUMBER: u32 = 1 << 20;

/// What is added to the number of the commit `id` to make its revision.
///
/// A number that nobody was told of may be given again after a crash, when
/// somebody may have read the entry that was lost. By this the two differ, and
/// no check holds that must not.
pub(super) fn salt(id: Uuid) -> u32 {
    let digest = Sha256::digest(id.as_bytes());
    u32::from_be_bytes([0, digest[0], digest[1], digest[2]]) % REVISIONS_PER_NUMBER
}

/// Makes the tables unless they are there.
pub(super) async fn prepare(
    connection: &mut MySqlConnection,
    name: &str,
    prefix: &str,
) -> Result<(), OpenError> {
    // Who may not make tables can still use those that are there.
    let found = version(connection, prefix).await;
    let unfinished = match &found {
        // Somebody is making them, or was killed before the end.
        Ok(version) => version.is_none(),
        Err(error) => number(error) == Some(1146),
    };
    let found = match found {
        _ if unfinished => match migrate(connection, prefix).await {
            Ok(true) => version(connection, prefix).await,
            Ok(false) => {
                let message =
                    format!("`{name}`: another program makes the tables and does not end");
                return Err(OpenError::new(OpenErrorKind::Unavailable, message));
            }
            Err(error) => Err(error),
        },
        // Another table of the same name.
        Err(error) if number(&error) == Some(1054) => Ok(None),
        found => found,
    };
    match found {
        Ok(Some(VERSION)) => Ok(()),
        Ok(Some(newer)) => Err(OpenError::new(
            OpenErrorKind::Format,
            format!(
                "the tables `{prefix}…` of `{name}` have format {newer}, this program knows \
                 format {VERSION}; use the program that wrote them, or a newer one"
            ),
        )),
        Ok(None) => Err(OpenError::new(
            OpenErrorKind::Format,
            format!("the table `{prefix}format` of `{name}` does not tell its format; is it ours?"),
        )),
        Err(error) => Err(open_error(error, name)),
    }
}

/// The version of what is stored; `None` when it is not told.
async fn version(
    connection: &mut MySqlConnection,
    prefix: &str,
) -> Result<Option<i32>, sqlx::Error> {
    let question = format!("SELECT version FROM `{prefix}format`");
    let rows = sqlx::raw_sql(AssertSqlSafe(question)).fetch_all(connection).await?;
    rows.first().map(|row| row.try_get(0)).transpose()
}

/// Makes everything, one program at a time; whether it got its turn.
async fn migrate(connection: &mut MySqlConnection, prefix: &str) -> Result<bool, sqlx::Error> {
    // Names of locks hold for the whole server and are at most 64 long.
    let lock = format!("CONCAT('pikoci ', LEFT(SHA2(CONCAT(DATABASE(), '.{prefix}'), 256), 32))");
    let request = format!("SELECT CAST(IFNULL(GET_LOCK({lock}, 20), 0) AS SIGNED)");
    let row = sqlx::raw_sql(AssertSqlSafe(request)).fetch_one(&mut *connection).await?;
    if row.try_get::<i64, _>(0)? != 1 {
        return Ok(false);
    }
    let mut done = Ok(());
    for step in steps(prefix) {
        done = sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut *connection).await.map(|_| ());
        if done.is_err() {
            break;
        }
    }
    let release = format!("DO RELEASE_LOCK({lock})");
    sqlx::raw_sql(AssertSqlSafe(release)).execute(&mut *connection).await?;
    done.map(|()| true)
}

/// What makes the tables; the version last, so that who finds it finds all.
fn steps(prefix: &str) -> Vec<String> {
    let tables = [
        "entries` (`key` VARBINARY(1024) NOT NULL PRIMARY KEY, `revision` BIGINT UNSIGNED NOT \
         NULL, `value` MEDIUMBLOB NOT NULL",
        "commits` (`number` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, `id` \
         BINARY(16) NOT NULL UNIQUE, `conflict` TINYINT UNSIGNED NOT NULL, `asked` INT UNSIGNED \
         NOT NULL DEFAULT 0, `done_at` DATETIME NOT NULL, INDEX (`done_at`)",
        "stripes` (`stripe` SMALLINT UNSIGNED NOT NULL PRIMARY KEY",
        "format` (`only_row` TINYINT UNSIGNED NOT NULL PRIMARY KEY, `version` INT NOT NULL",
    ];
    let mut steps: Vec<String> = tables
        .iter()
        .map(|table| {
            format!("CREATE TABLE IF NOT EXISTS `{prefix}{table}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC")
        })
        .collect();
    let stripes: Vec<String> = (0..STRIPES).map(|stripe| format!("({stripe})")).collect();
    steps.push(format!("INSERT IGNORE INTO `{prefix}stripes` VALUES {}", stripes.join(",")));
    steps.push(format!("INSERT IGNORE INTO `{prefix}format` VALUES (1, {VERSION})"));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_stripe_for_ever() {
        let stripe_of = |key: &str| stripe(&Key::new(key.to_owned()).expect("a key"));
        // SHA-256 of "abc" begins with ba78.
        assert_eq!(stripe_of("abc"), 0xba78 % 1024);
        assert_eq!(STRIPES, 1024);
    }
}
