//! Opens SQLite, and finds out whether what it holds is ours and whole.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Runtime;

use super::engine::damaged;
use super::rows;
use super::schema::{self, FORMAT, Kind};
use super::survey::Survey;
use crate::error::{OpenError, OpenErrorKind};
use crate::store::lock::{HolderLock, beside, io_kind};

/// What a file of SQLite begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// How long to wait for another program that has the file open.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// A store that was opened.
pub(super) struct Opened {
    pub(super) runtime: Runtime,
    pub(super) connection: SqliteConnection,
    pub(super) survey: Survey,
    pub(super) lock: HolderLock,
}

/// Opens the file, which is made if it is not there. Blocks the thread.
pub(super) fn open(path: &Path) -> Result<Opened, OpenError> {
    let failed = |error| unopened(path, error);
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    let mut lock = lock(path)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(failed)?;
    let runtime = runtime().map_err(failed)?;
    let (connection, survey) = runtime.block_on(connect(path))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    sync_parent(path).map_err(failed)?;
    lock.note().map_err(failed)?;
    Ok(Opened { runtime, connection, survey, lock })
}

/// The runtime of the thread that writes.
pub(super) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().build()
}

/// How to connect to a file; `PRAGMA`s come later, when it is known to be ours.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_PATIENCE)
        .foreign_keys(false)
        .thread_name(|number| format!("pikoci-sqlite-{number}"))
}

/// Locks the file. One that SQLite did not make is refused, and nothing is put beside it.
pub(super) fn lock(path: &Path) -> Result<HolderLock, OpenError> {
    let beside = beside(path, ".lock");
    if !beside.exists() {
        look(path, false)?;
    }
    let lock = HolderLock::take(&beside, path)?;
    look(path, lock.is_known())?;
    Ok(lock)
}

/// Refuses a file that SQLite did not make; `known` is one that it made once.
fn look(path: &Path, known: bool) -> Result<(), OpenError> {
    let mut start = Vec::new();
    let read = match File::open(path) {
        Ok(file) => file.take(MAGIC.len() as u64).read_to_end(&mut start),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    };
    read.map_err(|error| unopened(path, error))?;
    if start == MAGIC || (start.is_empty() && !known) {
        return Ok(());
    }
    if known {
        let error = OpenError::new(OpenErrorKind::Damaged, damaged(path));
        return Err(error.caused_by("it does not begin as a file of SQLite does"));
    }
    let message = format!("`{}` is no SQLite database; choose another name", path.display());
    Err(OpenError::new(OpenErrorKind::Format, message))
}

async fn connect(path: &Path) -> Result<(SqliteConnection, Survey), OpenError> {
    let failed = |error| sql_error(path, error);
    let mut connection = SqliteConnection::connect_with(&options(path)).await.map_err(failed)?;
    match schema::kind(&mut connection).await.map_err(failed)? {
        Kind::Store(FORMAT) => {
            schema::prepare(&mut connection).await.map_err(failed)?;
            let survey = Survey::new(&mut connection).await.map_err(failed)?;
            match survey.problems.first() {
                Some(problem) => {
                    let message = format!("{} ({problem})", damaged(path));
                    Err(OpenError::new(OpenErrorKind::Damaged, message))
                }
                None => Ok((connection, survey)),
            }
        }
        Kind::Empty => {
            schema::create(&mut connection).await.map_err(failed)?;
            Ok((connection, Survey::default()))
        }
        kind => Err(not_ours(path, kind)),
    }
}

/// What to say of a database that this program cannot use.
pub(super) fn not_ours(path: &Path, kind: Kind) -> OpenError {
    let path = path.display();
    let message = match kind {
        Kind::Store(newer) => format!(
            "the store at `{path}` has format {newer}, this program reads {FORMAT}; \
             use a newer version of it"
        ),
        _ => format!("`{path}` is a SQLite database of something else; choose another name"),
    };
    OpenError::new(OpenErrorKind::Format, message)
}

/// Makes the names of the files durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// What an error of the file system means for who opens a store.
pub(super) fn unopened(path: &Path, error: io::Error) -> OpenError {
    OpenError::new(io_kind(&error), format!("cannot open `{}`", path.display())).caused_by(error)
}

/// What SQLite's error means for who opens a store.
pub(super) fn sql_error(path: &Path, error: sqlx::Error) -> OpenError {
    if rows::is_damage(&error) {
        return OpenError::new(OpenErrorKind::Damaged, damaged(path)).caused_by(error);
    }
    let message = format!("cannot open `{}`", path.display());
    OpenError::new(OpenErrorKind::Unavailable, message).caused_by(error)
}
