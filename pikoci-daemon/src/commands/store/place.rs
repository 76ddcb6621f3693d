//! Which store a command line names, and its opening.

use std::error::Error;
use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::Store;
use pikoci_core::store::StoreErrorKind;
use pikoci_store::transfer::TransferError;
use pikoci_store::{BackendUrl, DbOptions, OpenError, OpenErrorKind, open_store, verify_store};
use tokio_util::sync::CancellationToken;

use crate::cli::Database;
use crate::commands::Stop;
use crate::exit::Exit;
use crate::output::note;
use crate::signals::Signals;

/// The environment's password for `--db-user`.
const PASSWORD: &str = "PIKOCI_DB_PASSWORD";

/// Whether there must be a store already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Existing,
    Any,
}

/// The store that a URL or `@FILE` names.
pub(super) fn url(text: &str) -> Result<BackendUrl, Stop> {
    let text = match text.strip_prefix('@') {
        Some(file) => first_line(Path::new(file))?,
        None => text.to_owned(),
    };
    text.parse().map_err(|error| not_opened(&error))
}

/// The store that is named by a URL or by its parts, and what follows it.
pub(super) fn url_and_file(
    database: &Database,
    first: Option<&str>,
    second: Option<&str>,
) -> Result<(BackendUrl, Option<String>), Stop> {
    match (&database.db_system, first, second) {
        (Some(_), Some(_), Some(_)) => Err(named_twice()),
        (Some(_), Some(first), None) if first.parse::<BackendUrl>().is_ok() => Err(named_twice()),
        (Some(system), file, None) => Ok((by_parts(system, database)?, file.map(str::to_owned))),
        (None, Some(text), file) => Ok((url(text)?, file.map(str::to_owned))),
        (_, None, _) => Err(Stop::usage(
            "no store given; say for example `sled:ci-data`, or `--db-system` and its kin",
        )),
    }
}

/// A store is named by a URL and by its parts.
pub(super) fn named_twice() -> Stop {
    Stop::usage("name the store by a URL or by `--db-system`, not by both")
}

fn by_parts(system: &str, database: &Database) -> Result<BackendUrl, Stop> {
    let password = match (&database.db_password, &database.db_password_file) {
        (Some(password), _) => Some(password.clone()),
        (None, Some(file)) => Some(first_line(file)?),
        // Of use only where there is a user to log in.
        (None, None) => database.db_user.as_ref().and_then(|_| std::env::var(PASSWORD).ok()),
    };
    let options = DbOptions {
        system: system.to_owned(),
        host: database.db_host.clone(),
        port: database.db_port,
        user: database.db_user.clone(),
        password,
        name: database.db_name.clone(),
    };
    options.url().map_err(|error| not_opened(&error))
}

fn first_line(file: &Path) -> Result<String, Stop> {
    let text = fs::read_to_string(file)
        .map_err(|error| Stop::usage(format!("cannot read `{}`: {error}", file.display())))?;
    Ok(text.lines().next().unwrap_or_default().trim_end().to_owned())
}

/// Opens a store.
pub(super) async fn open(url: &BackendUrl, need: Need) -> Result<Arc<dyn Store>, Stop> {
    match need {
        Need::Existing => exists(url)?,
        Need::Any if url.scheme() == "memory" => {
            return Err(Stop::usage("what is put into `memory:` is gone when this program ends"));
        }
        Need::Any => {}
    }
    open_store(&whole(url)).await.map_err(|error| not_opened(&error))
}

/// Lists what is wrong with the files of a store.
pub(super) async fn verify(url: &BackendUrl) -> Result<Vec<String>, Stop> {
    exists(url)?;
    verify_store(&whole(url)).await.map_err(|error| not_opened(&error))
}

/// What is opened is made where there is none: not what one wants to read.
fn exists(url: &BackendUrl) -> Result<(), Stop> {
    let is_path = matches!(url.scheme(), "sled" | "sqlite");
    if is_path && url.path().is_ok_and(|path| !path.exists()) {
        return Err(Stop {
            message: format!("there is no store `{url}`"),
            exit: Exit::Unreachable,
        });
    }
    Ok(())
}

/// Whether two URLs name the same store, as far as they tell.
pub(super) fn same(one: &BackendUrl, other: &BackendUrl) -> bool {
    let path = |url: &BackendUrl| url.path().ok().and_then(|path| path.canonicalize().ok());
    let is_path = matches!(one.scheme(), "sled" | "sqlite");
    one == other
        || is_path
            && one.scheme() == other.scheme()
            && path(one).is_some_and(|path_of_one| Some(path_of_one) == path(other))
}

/// Warns of a source with nothing in it, which a wrong name makes of a server's.
pub(super) fn warn_if_empty(url: &BackendUrl, entries: u64) {
    if entries == 0 {
        note(&format!("warning: `{url}` is empty; is its name right?"));
    }
}

/// The URL with its password.
fn whole(url: &BackendUrl) -> String {
    format!("{}:{}", url.scheme(), url.rest())
}

/// A store could not be opened.
pub(super) fn not_opened(error: &OpenError) -> Stop {
    let exit = match error.kind {
        OpenErrorKind::Url | OpenErrorKind::Feature => Exit::Usage,
        OpenErrorKind::Damaged => Exit::Failed,
        OpenErrorKind::Locked | OpenErrorKind::Refused | OpenErrorKind::Unavailable => {
            Exit::Unreachable
        }
        _ => Exit::Errored,
    };
    Stop { message: with_causes(error), exit }
}

/// What a store holds could not be moved or looked at.
pub(super) fn not_moved(error: &TransferError) -> Stop {
    let (TransferError::Read { source, .. } | TransferError::Write { source, .. }) = error else {
        let message = match error {
            TransferError::NotEmpty { .. } => {
                format!("{error}; `--replace` makes it hold the same as the source")
            }
            _ => error.to_string(),
        };
        return Stop::usage(message);
    };
    let exit = match source.kind {
        StoreErrorKind::Unavailable | StoreErrorKind::Unknown => Exit::Unreachable,
        StoreErrorKind::Damaged => Exit::Failed,
        _ => Exit::Errored,
    };
    Stop { message: with_causes(error), exit }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// How long what is being written when it ends may take.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Runs `work`; a signal such as Ctrl-C drops it.
pub(super) fn run(work: impl Future<Output = Result<Exit, Stop>>) -> Result<Exit, Stop> {
    let cannot = |error: std::io::Error| Stop::errored(format!("cannot start: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let done = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let told = |name: &str| note(&format!("{name}: stopping"));
        let either = async {
            tokio::select! {
                done = work => done,
                () = cancel.cancelled() => Err(Stop::silent(Exit::Cancelled)),
            }
        };
        let done = Signals::listen().map_err(cannot)?.guard(&cancel, told, either).await;
        done.unwrap_or_else(|| Err(Stop::silent(Exit::Cancelled)))
    });
    // What writes a file has to clean up; what reads a pipe may wait for ever.
    runtime.shutdown_timeout(LAST_WRITES);
    done
}
