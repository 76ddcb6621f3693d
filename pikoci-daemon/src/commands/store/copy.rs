//! `pikoci store copy`.

use pikoci_store::transfer::{self, Mode};

use super::place::{Need, not_moved, open, run, same, url, warn_if_empty};
use super::told::{Line, To, summary};
use crate::cli::{Copy, Replace};
use crate::commands::Stop;
use crate::exit::Exit;

/// Copies one store to another.
pub(crate) fn copy(arguments: &Copy) -> Result<Exit, Stop> {
    let (from, to) = (url(&arguments.from)?, url(&arguments.to)?);
    if same(&from, &to) {
        return Err(Stop::usage(format!("`{from}` is named as the source and as the target")));
    }
    run(async {
        let source = open(&from, Need::Existing).await?;
        let target = open(&to, Need::Any).await?;
        let line = Line::new();
        let (mode, passes) = (mode(&arguments.replace), arguments.passes.passes);
        let copied = transfer::copy(source.clone(), target.clone(), mode, passes, |progress| {
            line.tell(progress);
        })
        .await;
        drop(line);
        let closed = target.close().await;
        // Nothing was written to it.
        let _ = source.close().await;
        let copied = copied.map_err(|error| not_moved(&error))?;
        closed.map_err(|error| Stop::errored(format!("`{to}`: {error}")))?;
        warn_if_empty(&from, copied.entries);
        summary(&copied, ("copied", &format!(" to {to}")), To::Output, arguments.output)
    })
}

/// What is to be done about a target that is not empty.
pub(super) fn mode(replace: &Replace) -> Mode {
    if replace.replace { Mode::Replace } else { Mode::Empty }
}
