//! The journal: what must be undone when this process dies in the middle of a
//! build, and the undoing at the next start.
//!
//! A directory holds one file per running build, `BUILD_ID.jsonl`. Its lines
//! are JSON objects with one key each:
//!
//! | key | value |
//! |---|---|
//! | `build` | `{"version": 1, "build": ID, "directory": PATH or null}`, first |
//! | `types` | a pipeline reduced to what stopping its services needs |
//! | `starting` | a [`ServiceRecord`]: a service is about to start |
//! | `stopped` | a step's id: the stop of its service was run |
//!
//! The file begins as `BUILD_ID.new` and is renamed when its first line stands.
//! It is locked as long as the process that runs the build lives and is
//! removed at the build's end, so a file whose lock is free belongs to a build
//! that died. Lines are plain writes, without `fsync`: they survive the death
//! of the process, and a machine that loses power loses its processes with it.

mod recover;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pikoci_core::name::{BuildId, StepId};
use pikoci_core::traits::ServiceRecord;
use pikoci_core::{Journal, Pipeline};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

pub use recover::{Recovered, RecoveredService, recover};

use crate::workspace::{DirWorkspace, base_dir, private_dir};

/// The version of the format that this program writes and reads.
const FORMAT: u32 = 1;

/// One line of a journal file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The build begins.
    Build {
        /// The format of the file.
        version: u32,
        /// The build.
        build: BuildId,
        /// The directory to remove with it.
        directory: Option<PathBuf>,
    },
    /// What stopping services needs.
    Types(Box<Pipeline>),
    /// A service is about to start.
    Starting(Box<ServiceRecord>),
    /// The stop of a service was run.
    Stopped(StepId),
}

/// A journal in files of a directory.
#[derive(Debug)]
pub struct FileJournal {
    directory: PathBuf,
    workspaces: Option<PathBuf>,
    builds: Mutex<BTreeMap<BuildId, OpenBuild>>,
}

#[derive(Debug)]
struct OpenBuild {
    /// Open, and so locked, until the build ends.
    file: File,
    /// Written before the first service; most builds have none.
    types: Option<Box<Pipeline>>,
}

impl Drop for OpenBuild {
    fn drop(&mut self) {
        // A process that is just being started may have a copy of the open
        // file for a moment; closing ours alone would not end the lock.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl FileJournal {
    /// A journal in `directory`, which is made with the first build. A recovery
    /// removes what [`DirWorkspace`] made for a dead build below `workspaces`.
    pub fn new(directory: impl Into<PathBuf>, workspaces: Option<PathBuf>) -> Self {
        Self { directory: directory.into(), workspaces, builds: Mutex::default() }
    }

    /// Where journals are by default: `$XDG_STATE_HOME/pikoci/journal` or
    /// `~/.local/state/pikoci/journal`; `None` where neither is known.
    pub fn default_directory() -> Option<PathBuf> {
        base_dir("XDG_STATE_HOME", ".local/state").map(|base| base.join("pikoci/journal"))
    }

    fn builds(&self) -> MutexGuard<'_, BTreeMap<BuildId, OpenBuild>> {
        // What a panicking thread left is whole: every change is one insert or remove.
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, build: BuildId) -> PathBuf {
        self.directory.join(format!("{build}.{WHOLE}"))
    }

    /// A locked file, under a name by which no recovery acts until it is whole.
    fn create(&self, build: BuildId) -> io::Result<File> {
        let path = self.path(build);
        let fresh = path.with_extension(FRESH);
        let at = |error: io::Error| {
            io::Error::new(error.kind(), format!("journal `{}`: {error}", path.display()))
        };
        let mut file = loop {
            let file = match File::create_new(&fresh) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    private_dir(&self.directory)?;
                    File::create_new(&fresh)
                }
                other => other,
            }
            .map_err(at)?;
            // A recovery that saw it before it was locked may be about to sweep
            // it; that takes a moment, and then there has to be another one.
            flock(&file, FlockOperation::LockExclusive).map_err(|it| at(it.into()))?;
            if rustix::fs::fstat(&file).map_err(|it| at(it.into()))?.st_nlink > 0 {
                break file;
            }
        };
        let directory =
            self.workspaces.as_ref().map(|root| DirWorkspace::directory_of(root, build));
        append(&mut file, &Line::Build { version: FORMAT, build, directory }).map_err(at)?;
        fs::rename(&fresh, &path).map_err(at)?;
        Ok(file)
    }
}

/// Appends a line in one write, so that only the very last can be half there.
fn append(file: &mut File, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

fn unknown(build: BuildId) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("build `{build}` is not in the journal"))
}

impl Journal for FileJournal {
    fn build_started(&self, build: BuildId, pipeline: &Pipeline) -> io::Result<()> {
        let file = self.create(build)?;
        let types = reduced(pipeline).map(Box::new);
        self.builds().insert(build, OpenBuild { file, types });
        Ok(())
    }

    fn service_starting(&self, record: &ServiceRecord) -> io::Result<()> {
        let mut builds = self.builds();
        let open = builds.get_mut(&record.build).ok_or_else(|| unknown(record.build))?;
        if let Some(types) = open.types.take() {
            append(&mut open.file, &Line::Types(types))?;
        }
        append(&mut open.file, &Line::Starting(Box::new(record.clone())))
    }

    fn service_stopped(&self, build: BuildId, step: &StepId) -> io::Result<()> {
        let mut builds = self.builds();
        let open = builds.get_mut(&build).ok_or_else(|| unknown(build))?;
        append(&mut open.file, &Line::Stopped(step.clone()))
    }

    fn build_finished(&self, build: BuildId) -> io::Result<()> {
        // Removed while still locked: nobody may take it for one that died.
        let open = self.builds().remove(&build);
        let removed = fs::remove_file(self.path(build));
        drop(open);
        removed
    }
}

/// What of a pipeline stopping services needs, unless it has no service at all.
fn reduced(pipeline: &Pipeline) -> Option<Pipeline> {
    let mut has_service = false;
    for job in &pipeline.jobs {
        job.visit(&mut |step| {
            has_service |= matches!(step.kind, pikoci_core::pipeline::StepKind::Service(_));
        });
    }
    has_service.then(|| Pipeline {
        name: pipeline.name.clone(),
        variables: pipeline.variables.clone(),
        runner_types: pipeline.runner_types.clone(),
        service_types: pipeline.service_types.clone(),
        secret_types: pipeline.secret_types.clone(),
        ..Pipeline::default()
    })
}

/// The extension of a journal.
const WHOLE: &str = "jsonl";

/// The extension of a journal whose first line is being written.
const FRESH: &str = "new";

/// The files of a journal directory that may be left over, oldest build first.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut out: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == WHOLE || it == FRESH))
        .collect();
    out.sort();
    out
}

#[cfg(test)]
mod tests;
