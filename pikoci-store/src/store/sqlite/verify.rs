//! Tells what is wrong with a file, and leaves what is stored as it is.

use std::fs::File;
use std::path::Path;

use sqlx::{Connection, SqliteConnection};

use super::open::{lock, not_ours, options, runtime, sql_error, unopened};
use super::schema::{self, FORMAT, Kind};
use super::survey::Survey;
use crate::error::{OpenError, OpenErrorKind};

/// Lists what is wrong with the store in the file `path`; nothing if it is
/// whole. The last line tells how many entries can be read. Nothing is repaired.
///
/// # Errors
/// When it cannot be looked at: it is not there, in use, or no store.
pub(crate) async fn verify(path: &Path) -> Result<Vec<String>, OpenError> {
    let path = path.to_owned();
    let verifying = tokio::task::spawn_blocking(move || {
        File::open(&path).map_err(|error| unopened(&path, error))?;
        let looked = lock(&path).and_then(|_lock| {
            let runtime = runtime().map_err(|error| unopened(&path, error))?;
            runtime.block_on(survey(&path))
        });
        match looked {
            Err(error) if error.kind == OpenErrorKind::Damaged => {
                let source = error.source.map_or(error.message, |source| source.to_string());
                let line = format!("it cannot be opened: {source}");
                Ok(vec![line, "0 entries can be read".to_owned()])
            }
            looked => looked,
        }
    });
    verifying.await.unwrap_or_else(|error| {
        let message = "the thread that reads the store ended early";
        Err(OpenError::new(OpenErrorKind::Unavailable, message).caused_by(error))
    })
}

async fn survey(path: &Path) -> Result<Vec<String>, OpenError> {
    let failed = |error| sql_error(path, error);
    let options = options(path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    let mut survey = match schema::kind(&mut connection).await.map_err(failed)? {
        Kind::Store(FORMAT) => Survey::new(&mut connection).await.map_err(failed)?,
        Kind::Empty => Survey::default(),
        kind => return Err(not_ours(path, kind)),
    };
    connection.close().await.map_err(failed)?;
    if !survey.problems.is_empty() {
        survey.problems.push(survey.tally.readable(&survey.head.tally));
    }
    Ok(survey.problems)
}
