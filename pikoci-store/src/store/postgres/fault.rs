//! What PostgreSQL's errors mean.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::super::sql::dialect::{Fault, UNREADABLE};
use crate::error::{OpenError, OpenErrorKind};

/// The code of what the server said.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// What an error means.
pub(super) fn fault(error: &sqlx::Error) -> Fault {
    let sqlx::Error::Database(database) = error else {
        return match error {
            sqlx::Error::Configuration(_) => Fault::Refused("its URL makes no sense to the driver"),
            sqlx::Error::Tls(_) => Fault::Refused("no secure connection could be agreed on"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => UNREADABLE,
            // What breaks between two bytes may look like bad manners.
            _ => Fault::Lost,
        };
    };
    let fatal = database
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic));
    let code = database.code().unwrap_or_default();
    match &*code {
        // Two waited for each other, or came in each other's way.
        "40001" | "40P01" => Fault::Again,
        "53100" => Fault::Later("its disk is full"),
        "53200" => {
            Fault::Later("it has no memory left; `max_locks_per_transaction` may be too low")
        }
        "53300" => Fault::Later("it has no connection left; `?pool=` in the URL asks for fewer"),
        "57P03" => Fault::Later("it is starting or stopping"),
        "25006" => Fault::Demoted("it takes no writes: a standby, or set to read only"),
        "55P03" => Fault::Later("others held a lock for too long"),
        "57014" => Fault::Later("it took too long"),
        "28000" | "28P01" => Fault::Refused("user or password are wrong"),
        "3D000" => Fault::Refused("there is no such database"),
        "42501" => Fault::Refused("the user may not do this"),
        "42P01" | "42883" | "3F000" => Fault::Damaged("its tables are gone"),
        "XX001" | "XX002" => Fault::Damaged("its data is corrupted"),
        // The connection is about to end. What it last did may be done.
        _ if fatal => Fault::Lost,
        code if code.starts_with("08") || code.starts_with("57P") => Fault::Lost,
        code if code.starts_with("53") || code.starts_with("58") => {
            Fault::Later("it is out of something that it needs")
        }
        _ => Fault::Later("it could not do it"),
    }
}

/// Why it could not be opened.
pub(super) fn open_error(error: sqlx::Error, name: &str, schema: &str) -> OpenError {
    let (kind, message) = match fault(&error) {
        _ if code(&error).as_deref() == Some("42501") => (
            OpenErrorKind::Refused,
            format!(
                "the user may not use the schema `{schema}` of `{name}`; let its owner run \
                 `GRANT CREATE ON DATABASE … TO …`, or `CREATE SCHEMA {schema} AUTHORIZATION …`"
            ),
        ),
        Fault::Refused(why) => (OpenErrorKind::Refused, format!("`{name}` said no: {why}")),
        Fault::Damaged(why) => (OpenErrorKind::Damaged, format!("`{name}`: {why}")),
        Fault::Later(why) | Fault::Demoted(why) | Fault::Unclear(why) => {
            (OpenErrorKind::Unavailable, format!("`{name}`: {why}"))
        }
        Fault::Lost | Fault::Again => {
            (OpenErrorKind::Unavailable, format!("`{name}` cannot be reached"))
        }
    };
    OpenError::new(kind, message).caused_by(error)
}
