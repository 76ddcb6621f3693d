//! Undoing what dead builds left: their services, processes and files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pikoci_core::context::{BuildContext, Environment, StepContext, StepRun};
use pikoci_core::event::OutputStream;
use pikoci_core::mask::Masker;
use pikoci_core::name::{BuildId, StepId};
use pikoci_core::pipeline::Location;
use pikoci_core::plan::Secrets;
use pikoci_core::traits::ServiceRecord;
use pikoci_core::{Pipeline, StepIo, Types};
use rustix::fs::{FlockOperation, flock};
use tokio_util::sync::CancellationToken;

use super::{FORMAT, FRESH, Line, files};
use crate::workspace::remove_tree;

/// How long one service may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A build that died with the process that ran it, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The build.
    pub build: BuildId,
    /// Its services that were still to be stopped, in the order they were stopped.
    pub services: Vec<RecoveredService>,
    /// How many of its processes could not be ended.
    pub survivors: usize,
    /// What else went wrong, each a sentence.
    pub problems: Vec<String>,
}

/// A service of a dead build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredService {
    /// The service type's name.
    pub service_type: String,
    /// The service step.
    pub step: StepId,
    /// Why its stop failed, where it did.
    pub error: Option<String>,
}

/// Undoes what the builds in a journal directory left whose process died:
/// stops their services, ends their processes and removes their files.
///
/// Builds whose process lives are left alone. May be called again and by
/// several processes at once: each build is undone by one of them. A build
/// whose services could not be stopped is not tried again.
pub async fn recover(directory: &Path, base: &Types, grace: Duration) -> Vec<Recovered> {
    let mut out = Vec::new();
    for path in files(directory) {
        // Files that vanish or that cannot be read meanwhile are another's, or the next time's.
        if let Ok(Some((file, dead))) = claim(&path) {
            out.push(undo(dead, base, grace).await);
            let _ = fs::remove_file(&path);
            drop(file);
        }
    }
    out
}

/// What the journal says of a build.
#[derive(Debug)]
pub(super) struct Dead {
    build: BuildId,
    directory: Option<PathBuf>,
    types: Pipeline,
    pub(super) services: Vec<ServiceRecord>,
}

/// Locks a file and reads it, unless its process lives or another recovery has it.
fn claim(path: &Path) -> io::Result<Option<(File, Dead)>> {
    let file = File::open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    // Between the opening and the lock another may have finished with it.
    if rustix::fs::fstat(&file)?.st_nlink == 0 {
        return Ok(None);
    }
    // Death may have cut the last line in the middle of a character.
    let dead = read(&String::from_utf8_lossy(&fs::read(path)?));
    if dead.is_none() && path.extension().is_some_and(|it| it == FRESH) {
        // Its build died before anything could be left over.
        fs::remove_file(path)?;
    }
    Ok(dead.map(|dead| (file, dead)))
}

/// Looks for dead builds as [`recover`] does and counts them.
#[cfg(test)]
pub(super) fn sweep_once(directory: &Path) -> usize {
    files(directory).iter().filter(|path| matches!(claim(path), Ok(Some(_)))).count()
}

/// What is left to do for a build. Half a line at the end is as good as none:
/// what it was about had not begun.
pub(super) fn read(text: &str) -> Option<Dead> {
    let mut dead: Option<Dead> = None;
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix('\n').and_then(|line| serde_json::from_str(line).ok());
        match (line, &mut dead) {
            (Some(Line::Build { version: FORMAT, build, directory }), None) => {
                let (types, services) = Default::default();
                dead = Some(Dead { build, directory, types, services });
            }
            (Some(Line::Types(types)), Some(dead)) => dead.types = *types,
            (Some(Line::Starting(record)), Some(dead)) => dead.services.push(*record),
            (Some(Line::Stopped(step)), Some(dead)) => {
                dead.services.retain(|service| service.step != step);
            }
            _ => {}
        }
    }
    dead
}

async fn undo(dead: Dead, base: &Types, grace: Duration) -> Recovered {
    let mut out =
        Recovered { build: dead.build, services: Vec::new(), survivors: 0, problems: Vec::new() };
    if !dead.services.is_empty() {
        let types = crate::types_for(&dead.types, base);
        for record in dead.services.iter().rev() {
            let error = match &types {
                Ok(types) => stop(record, &dead.types, types, grace).await.err(),
                Err(error) => Some(error.to_string()),
            };
            out.services.push(RecoveredService {
                service_type: record.service_type.clone(),
                step: record.step.clone(),
                error,
            });
        }
    }
    // After the stops: a service that is asked to stop can tidy up first.
    out.survivors = crate::process::end_by_marker(dead.build, grace).await;
    if let Some(directory) = &dead.directory
        && let Err(error) = remove_tree(directory)
    {
        out.problems.push(format!("its directory could not be removed: {error}"));
    }
    out
}

/// Runs the stop of one service.
async fn stop(
    record: &ServiceRecord,
    pipeline: &Pipeline,
    types: &Types,
    grace: Duration,
) -> Result<(), String> {
    let service = types
        .service_types
        .get(&record.service_type)
        .ok_or_else(|| format!("there is no service type `{}`", record.service_type))?;
    let context = StepContext {
        build: Arc::new(BuildContext { id: record.build, name: record.name.clone(), url: None }),
        step: record.step.child("stop"),
        name: format!("{}:stop", record.service_type),
        workdir: record.workdir.clone(),
        cache_dir: None,
        env: Environment(record.env.clone()),
        grace,
        detached: false,
        location: Location::default(),
    };
    // Commands run in the working directory, which may be gone already.
    if let Err(error) = fs::create_dir_all(&record.workdir) {
        return Err(format!("`{}`: {error}", record.workdir.display()));
    }
    let cancel = CancellationToken::new();
    let mut io = Quiet;
    // Secrets are not in the journal: they are fetched anew.
    let masker = Masker::new();
    let secrets = Secrets::new(pipeline, types, &masker);
    let mut step = StepRun::new(&context, &mut io, &cancel).with_secrets(&secrets);
    let work = async {
        let params = secrets.expanded(&record.params, &mut step).await?;
        service.stop(&mut step, &params).await
    };
    let mut work = std::pin::pin!(work);
    tokio::select! {
        ended = &mut work => ended.map_err(|error| masker.redact(&error.message).into_owned()),
        () = tokio::time::sleep(STOP_TIMEOUT) => {
            cancel.cancel();
            let _ = work.await;
            Err(format!("it did not stop within {} seconds", STOP_TIMEOUT.as_secs()))
        }
    }
}

/// Drops what a stop prints: there is no build any more to show it in.
struct Quiet;

#[async_trait]
impl StepIo for Quiet {
    async fn output(&mut self, _stream: OutputStream, _chunk: Bytes) {}
}
