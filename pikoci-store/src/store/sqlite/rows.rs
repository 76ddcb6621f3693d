//! Rows and what they hold, checked.

use bytes::Bytes;
use pikoci_core::store::{Entry, Key, Revision};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// What went wrong with a read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// SQLite could not read it.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// What was read is not what was written.
    #[error("the entry of `{}` is damaged", .0.escape_ascii())]
    Entry(Vec<u8>),
}

impl ReadError {
    /// Whether what is stored is to blame, not the moment.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Entry(_) => true,
            Self::Sql(error) => is_damage(error),
        }
    }
}

/// Whether what is stored is to blame, not the moment.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        error => matches!(code(error), Some(CORRUPT | NOT_A_DATABASE)),
    }
}

/// Whether the disk is full.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    const FULL: i32 = 13;
    code(error) == Some(FULL)
}

/// The primary result code of SQLite.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// The entry that a row of `key, revision, value, sum` holds.
pub(super) fn entry(row: &SqliteRow) -> Result<(Key, Entry), ReadError> {
    let key: &[u8] = row.try_get(0)?;
    let revision: i64 = row.try_get(1)?;
    let value: &[u8] = row.try_get(2)?;
    let sum: i64 = row.try_get(3)?;
    let damaged = || ReadError::Entry(key.to_vec());
    if sum != check_sum(key, revision, value) {
        return Err(damaged());
    }
    let revision = Revision(revision.try_into().map_err(|_| damaged())?);
    let value = Bytes::copy_from_slice(value);
    Ok((Key::new(key.to_vec()).map_err(|_| damaged())?, Entry { value, revision }))
}

/// The check sum that is stored with an entry.
pub(super) fn check_sum(key: &[u8], revision: i64, value: &[u8]) -> i64 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key);
    sum.update(&revision.to_be_bytes());
    sum.update(value);
    sum.finalize().into()
}
