//! `pikoci store export`.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use pikoci_store::transfer;
use tempfile::NamedTempFile;

use super::place::{Need, not_moved, open, run, url_and_file, warn_if_empty};
use super::told::{Line, To, summary};
use crate::cli::Export;
use crate::commands::{Stop, cannot_print};
use crate::exit::Exit;

/// Writes all that is in a store as lines of JSON.
pub(crate) fn export(arguments: &Export) -> Result<Exit, Stop> {
    let (first, second) = (arguments.first.as_deref(), arguments.second.as_deref());
    let (url, file) = url_and_file(&arguments.database, first, second)?;
    run(async {
        let store = open(&url, Need::Existing).await?;
        let mut out = Out::to(file.as_deref())?;
        let line = Line::new();
        let mut export = transfer::Export::new(store.clone(), arguments.passes.passes);
        while let Some(lines) = export.next().await.map_err(|error| not_moved(&error))? {
            line.tell(export.progress());
            out = out.write(lines).await?;
        }
        drop(line);
        let told = if matches!(out, Out::Standard) { To::Error } else { To::Output };
        out.finish().await?;
        // Nothing was written to it.
        let _ = store.close().await;
        let to = file.filter(|file| file != "-").map(|file| format!(" to {file}"));
        let words = ("exported", to.as_deref().unwrap_or_default());
        warn_if_empty(&url, export.summary().entries);
        summary(export.summary(), words, told, arguments.output)
    })
}

/// Where an export goes.
enum Out {
    Standard,
    /// A pipe or the like, under its own name.
    Direct(File, PathBuf),
    /// A file that appears when it is whole: an older export is not lost to
    /// one that is cut off. For its owner alone, since all is in it.
    File(NamedTempFile, PathBuf),
}

impl Out {
    fn to(file: Option<&str>) -> Result<Self, Stop> {
        let Some(path) = file.filter(|file| *file != "-").map(PathBuf::from) else {
            return Ok(Self::Standard);
        };
        let failed = |error| cannot_write(&path, &error);
        if path.exists() && !path.is_file() {
            let direct = OpenOptions::new().write(true).open(&path).map_err(failed)?;
            return Ok(Self::Direct(direct, path));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let temporary = tempfile::Builder::new()
            .prefix(".pikoci-export-")
            .tempfile_in(directory.unwrap_or(Path::new(".")))
            .map_err(failed)?;
        Ok(Self::File(temporary, path))
    }

    /// Writes without holding up the runtime, whose connections want answers.
    async fn write(self, lines: Bytes) -> Result<Self, Stop> {
        self.blocking(move |out| match out {
            Self::Standard => {
                let mut standard = io::stdout().lock();
                standard.write_all(&lines).and_then(|()| standard.flush())
            }
            Self::Direct(file, _) => file.write_all(&lines),
            Self::File(file, _) => file.write_all(&lines),
        })
        .await
    }

    /// Makes it last.
    async fn finish(self) -> Result<(), Stop> {
        let synced = self.blocking(|out| match out {
            Self::Standard | Self::Direct(..) => Ok(()),
            Self::File(file, _) => file.as_file().sync_all(),
        });
        if let Self::File(file, path) = synced.await? {
            file.persist(&path).map_err(|error| cannot_write(&path, &error.error))?;
            // A rename is lost with the power unless its directory is synced.
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let synced = File::open(directory.unwrap_or(Path::new(".")))
                .and_then(|directory| directory.sync_all());
            synced.map_err(|error| cannot_write(&path, &error))?;
        }
        Ok(())
    }

    async fn blocking(
        mut self,
        work: impl FnOnce(&mut Self) -> io::Result<()> + Send + 'static,
    ) -> Result<Self, Stop> {
        let done = tokio::task::spawn_blocking(move || (work(&mut self), self)).await;
        let (done, out) = done.map_err(|error| Stop::errored(format!("cannot write: {error}")))?;
        match (done, &out) {
            (Ok(()), _) => Ok(out),
            // Who reads it has what they wanted.
            (Err(error), Self::Standard) if error.kind() == ErrorKind::BrokenPipe => {
                Err(Stop::silent(Exit::Success))
            }
            (Err(error), Self::Standard) => Err(cannot_print(&error.to_string())),
            (Err(error), Self::Direct(_, path) | Self::File(_, path)) => {
                Err(cannot_write(path, &error))
            }
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Stop {
    Stop::errored(format!("cannot write `{}`: {error}", path.display()))
}
