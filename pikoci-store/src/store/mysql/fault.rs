//! What the errors of MySQL and MariaDB mean.

use sqlx::mysql::MySqlDatabaseError;

use super::super::sql::dialect::{Fault, UNREADABLE};
use crate::error::{OpenError, OpenErrorKind};

/// The number of what the server said.
pub(super) fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// What an error means.
pub(super) fn fault(error: &sqlx::Error) -> Fault {
    let Some(number) = number(error) else {
        return match error {
            sqlx::Error::Configuration(_) => Fault::Refused("its URL makes no sense to the driver"),
            sqlx::Error::Tls(_) => Fault::Refused("no secure connection could be agreed on"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => UNREADABLE,
            // What breaks between two bytes may look like bad manners.
            _ => Fault::Lost,
        };
    };
    meaning(number)
}

/// What an error of this number means.
///
/// A request goes on after it committed, and the server tells no more than
/// the error that ended it. So only what is known to come before or instead of
/// the commit counts as not done.
fn meaning(number: u16) -> Fault {
    match number {
        // Two waited for each other. In a cluster: came in each other's way.
        1213 => Fault::Again,
        1205 => Fault::Later("others held a lock for too long"),
        1114 => Fault::Later("its disk is full"),
        1021 => Fault::Unclear("its disk is full"),
        1037 | 1038 | 1041 => Fault::Unclear("it has no memory left"),
        1040 | 1203 => {
            Fault::Later("it has no connection left; `?pool=` in the URL asks for fewer")
        }
        // Of connections, or of statements in an hour.
        1226 => Fault::Unclear(
            "the user has reached a limit; if it is that of connections, `?pool=` in the URL asks \
             for fewer",
        ),
        1290 | 1792 | 1836 => Fault::Demoted("it takes no writes: a replica, or set to read only"),
        1047 => Fault::Unclear("it is not ready to serve"),
        1665 => Fault::Refused("`binlog_format` must be ROW or MIXED"),
        1153 => Fault::Refused("`max_allowed_packet` must be larger"),
        1044 | 1142 | 1143 | 1227 | 1370 => Fault::Refused("the user may not do this"),
        1045 | 1130 | 1251 | 1698 => Fault::Refused("user or password are wrong"),
        1046 => Fault::Refused("the URL names no database"),
        1049 => Fault::Refused("there is no such database"),
        1146 => Fault::Damaged("its tables are gone"),
        126 | 127 | 145 | 1034 | 1035 | 1194 | 1712 | 1877 => {
            Fault::Damaged("its data is corrupted")
        }
        // The server stops, somebody ended the connection or the statement, or
        // it failed while it committed. What it last did may be done.
        1053
        | 1077
        | 1079
        | 1152
        | 1158..=1161
        | 1180
        | 1184
        | 1317
        | 1927
        | 3032
        | 3169
        | 4031 => Fault::Lost,
        _ => Fault::Unclear("it could not do it"),
    }
}

/// Why it could not be opened.
pub(super) fn open_error(error: sqlx::Error, name: &str) -> OpenError {
    let (kind, message) = match (number(&error), fault(&error)) {
        (Some(1044 | 1142 | 1143), _) => (
            OpenErrorKind::Refused,
            format!(
                "the user may not make or use the tables of `{name}`; let an administrator run \
                 `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON DATABASE.* TO …`"
            ),
        ),
        (Some(1046), _) => {
            (OpenErrorKind::Url, format!("`{name}` names no database; say `//HOST/DATABASE`"))
        }
        (_, Fault::Refused(why)) => (OpenErrorKind::Refused, format!("`{name}` said no: {why}")),
        (_, Fault::Damaged(why)) => (OpenErrorKind::Damaged, format!("`{name}`: {why}")),
        (_, Fault::Later(why) | Fault::Demoted(why) | Fault::Unclear(why)) => {
            (OpenErrorKind::Unavailable, format!("`{name}`: {why}"))
        }
        (_, Fault::Lost | Fault::Again) => {
            (OpenErrorKind::Unavailable, format!("`{name}` cannot be reached"))
        }
    };
    OpenError::new(kind, message).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_come_before_the_commit_is_not_done() {
        for number in [1205, 1114, 1040] {
            assert!(matches!(meaning(number), Fault::Later(_)), "{number}");
        }
        for number in [1290, 1792, 1836] {
            assert!(matches!(meaning(number), Fault::Demoted(_)), "{number}");
        }
        // Among them: writing a file failed, out of memory, a limit on the
        // statements in an hour, a cluster that fell apart, a statement that
        // took too long, and what nobody has heard of.
        for number in [1021, 1026, 1030, 1037, 1047, 1105, 1226, 1969, 3024, 60_000] {
            assert!(matches!(meaning(number), Fault::Unclear(_)), "{number}");
        }
    }
}
