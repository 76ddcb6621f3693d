//! `pikoci store import`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};

use pikoci_store::transfer;
use serde_json::json;

use super::copy::mode;
use super::place::{Need, not_moved, open, run, url_and_file};
use super::told::{Line, entries};
use crate::cli::{Import, Output};
use crate::commands::{Stop, print};
use crate::exit::Exit;
use crate::output::note;

/// How much is read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Fills a store from an export. A file is read twice: nothing is written
/// before all of it is known to be whole.
pub(crate) fn import(arguments: &Import) -> Result<Exit, Stop> {
    let (first, second) = (arguments.first.as_deref(), arguments.second.as_deref());
    let (url, file) = url_and_file(&arguments.database, first, second)?;
    let mut input = Input::of(file.as_deref())?;
    run(async {
        let line = Line::new();
        if let Input::File(file, name) = input {
            let rehearsal = transfer::Import::rehearsal();
            let (mut file, ..) = take(Input::File(file, name.clone()), rehearsal, &line).await?;
            file.rewind(&name)?;
            input = file;
        }
        let store = open(&url, Need::Any).await?;
        let begun = transfer::Import::new(store.clone(), mode(&arguments.replace)).await;
        let done = match begun {
            Ok(import) => take(input, import, &line).await.map_err(|stop| Stop {
                message: format!(
                    "{}\n`{url}` may hold a part of it; import again with `--replace`",
                    stop.message
                ),
                ..stop
            }),
            Err(error) => Err(not_moved(&error)),
        };
        drop(line);
        let closed = store.close().await;
        let (_, count, consistent) = done?;
        closed.map_err(|error| Stop::errored(format!("`{url}`: {error}")))?;
        print(&match arguments.output {
            Output::Json => format!("{}\n", json!({ "entries": count, "consistent": consistent })),
            Output::Text => format!("imported {} to {url}\n", entries(count)),
        })?;
        if !consistent {
            note("warning: the export is of a store in use: no two readings of it were the same");
        }
        Ok(Exit::Success)
    })
}

/// Where an export comes from.
enum Input {
    Standard,
    /// A pipe or the like.
    Once(File, String),
    /// What can be read twice.
    File(File, String),
}

impl Input {
    fn of(file: Option<&str>) -> Result<Self, Stop> {
        let Some(name) = file.filter(|file| *file != "-") else {
            if file.is_none() && io::stdin().is_terminal() {
                return Err(Stop::usage("no export given; name its file, or `-` to type it"));
            }
            return Ok(Self::Standard);
        };
        let cannot = |error| Stop::usage(format!("cannot read `{name}`: {error}"));
        let file = File::open(name).map_err(cannot)?;
        let is_file = file.metadata().map_err(cannot)?.is_file();
        let name = name.to_owned();
        Ok(if is_file { Self::File(file, name) } else { Self::Once(file, name) })
    }

    fn name(&self) -> &str {
        match self {
            Self::Standard => "standard input",
            Self::Once(_, name) | Self::File(_, name) => name,
        }
    }

    fn rewind(&mut self, name: &str) -> Result<(), Stop> {
        match self {
            Self::File(file, _) => file
                .rewind()
                .map_err(|error| Stop::errored(format!("cannot read `{name}`: {error}"))),
            Self::Standard | Self::Once(..) => Ok(()),
        }
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; PIECE_BYTES];
        let length = loop {
            let read = match self {
                Self::Standard => io::stdin().lock().read(&mut piece),
                Self::Once(file, _) | Self::File(file, _) => file.read(&mut piece),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                length => break length?,
            }
        };
        piece.truncate(length);
        Ok(piece)
    }
}

/// Feeds all of the input to an import and ends it. Answers the input, how
/// many entries there were and whether two readings of them found the same.
async fn take(
    mut input: Input,
    mut import: transfer::Import,
    line: &Line,
) -> Result<(Input, u64, bool), Stop> {
    let name = input.name().to_owned();
    let wrong = |error: &transfer::TransferError| {
        let stop = not_moved(error);
        match error {
            transfer::TransferError::Line { .. } | transfer::TransferError::CutOff { .. } => {
                Stop { message: format!("{name}: {}", stop.message), ..stop }
            }
            _ => stop,
        }
    };
    loop {
        // A pipe may make wait, which commits under way should not.
        let read = tokio::task::spawn_blocking(move || (input.read(), input)).await;
        let (piece, back) = read.map_err(|error| Stop::errored(format!("cannot read: {error}")))?;
        input = back;
        let piece =
            piece.map_err(|error| Stop::errored(format!("cannot read `{name}`: {error}")))?;
        if piece.is_empty() {
            break;
        }
        import.take(&piece).await.map_err(|error| wrong(&error))?;
        line.entries(import.entries());
    }
    let count = import.entries();
    let consistent = import.finish().await.map_err(|error| wrong(&error))?;
    Ok((input, count, consistent))
}
