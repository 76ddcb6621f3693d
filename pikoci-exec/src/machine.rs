//! What running a build on this machine takes, whoever asks for it: a
//! directory, the world that the interpreter is given, and tidying up.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::clock::Clock;
use pikoci_core::name::{BuildId, StepId};
use pikoci_core::plan::{BuildResult, BuildSpec, Cancellation, EventSink, Host, execute};
use pikoci_core::traits::ServiceRecord;
use pikoci_core::{Journal, Pipeline, Types, Workspace};

use crate::cache::Cache;
use crate::journal::FileJournal;
use crate::trace::{TRACEPARENT, traceparent};
use crate::workspace::{DirWorkspace, UsedCaches};

/// This machine, as builds see it.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Where workspaces are made.
    pub(crate) workspaces: PathBuf,
    pub(crate) journal: Arc<FileJournal>,
    pub(crate) cache: Option<Cache>,
    /// Time between the polite and the hard end of processes.
    pub(crate) grace: Duration,
    /// The worker's name.
    pub(crate) worker: String,
    /// Variables for every step besides those of its build.
    pub(crate) env: BTreeMap<String, String>,
    /// The trace that builds belong to, as a `TRACEPARENT`; without, each has its own.
    pub(crate) trace: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The directory of a build, and of those that went on in it.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) workspace: Arc<DirWorkspace>,
    builds: Vec<BuildId>,
}

impl Room {
    /// The same for another build, which goes on in it.
    pub(crate) fn handed_to(mut self, build: BuildId) -> Self {
        self.builds.push(build);
        self
    }
}

impl Machine {
    /// Makes the directory for a build.
    ///
    /// # Errors
    /// When it cannot be made; the message names the directory.
    pub(crate) fn room(&self, build: BuildId) -> io::Result<Room> {
        let workspace = DirWorkspace::create(&self.workspaces, build, self.cache.clone())?;
        Ok(Room { workspace: Arc::new(workspace), builds: vec![build] })
    }

    /// What the interpreter is given for a build, or a check, in a room.
    pub(crate) fn host(
        &self,
        build: BuildId,
        types: Arc<Types>,
        events: Arc<dyn EventSink>,
        room: &Room,
    ) -> Host {
        let mut env = self.env.clone();
        env.entry(TRACEPARENT.to_owned())
            .or_insert_with(|| traceparent(self.trace.as_deref(), build));
        Host {
            types,
            events,
            clock: Arc::clone(&self.clock),
            workspace: Arc::clone(&room.workspace) as Arc<dyn Workspace>,
            journal: Arc::new(UntilClosed(Arc::clone(&self.journal))),
            grace: self.grace,
            worker: self.worker.clone(),
            env,
        }
    }

    /// Runs a build and ends what its services left behind. Answers how it
    /// ended, and how many of its processes could not be ended.
    pub(crate) async fn run(
        &self,
        spec: &BuildSpec,
        types: Arc<Types>,
        events: Arc<dyn EventSink>,
        room: &Room,
        cancel: &Cancellation,
    ) -> (BuildResult, usize) {
        let host = self.host(spec.context.id, types, events, room);
        // Boxed: the interpreter's future is large, and this one is polled through all of it.
        let result = Box::pin(execute(spec, &host, cancel)).await;
        (result, crate::process::end_build(spec.context.id, self.grace).await)
    }

    /// Gives back what a build had of the caches. Looks at every file of them.
    pub(crate) async fn release(&self, caches: Option<UsedCaches>) -> io::Result<()> {
        let Some(caches) = caches else { return Ok(()) };
        let released = tokio::task::spawn_blocking(move || caches.release());
        released.await.unwrap_or_else(|error| Err(error.into()))
    }

    /// Removes a room's files, and then what the journal says of it: a process
    /// that dies before leaves that to the next recovery.
    pub(crate) async fn remove(&self, room: Room) -> io::Result<()> {
        let journal = Arc::clone(&self.journal);
        let removed = tokio::task::spawn_blocking(move || {
            room.workspace.remove()?;
            room.close(&journal);
            Ok(())
        });
        removed.await.unwrap_or_else(|error| Err(error.into()))
    }

    /// Leaves a room's files where they are, for good.
    pub(crate) fn keep(&self, room: Room) -> PathBuf {
        room.close(&self.journal);
        room.workspace.root().to_path_buf()
    }
}

impl Room {
    fn close(&self, journal: &FileJournal) {
        for build in &self.builds {
            match journal.build_finished(*build) {
                Ok(()) => {}
                // One that never came to its first step.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(%build, %error, "a build that ended is still in the journal");
                }
            }
        }
    }
}

/// A journal in which a build stays until its room is closed: when its steps
/// have ended there are still processes to end and files to remove.
#[derive(Debug)]
struct UntilClosed(Arc<FileJournal>);

impl Journal for UntilClosed {
    fn build_started(&self, build: BuildId, pipeline: &Pipeline) -> io::Result<()> {
        self.0.build_started(build, pipeline)
    }

    fn service_starting(&self, record: &ServiceRecord) -> io::Result<()> {
        self.0.service_starting(record)
    }

    fn service_stopped(&self, build: BuildId, step: &StepId) -> io::Result<()> {
        self.0.service_stopped(build, step)
    }

    fn build_finished(&self, _build: BuildId) -> io::Result<()> {
        Ok(())
    }
}
