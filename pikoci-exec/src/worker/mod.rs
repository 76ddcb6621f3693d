//! The worker: claims builds and checks, runs them on this machine and reports.
//!
//! A [`Worker`] works for a [`Dispatcher`], which may be an engine in the same
//! process or far away. One session follows the other: [`Worker::run`] begins
//! one, works in it until it is asked to end or the session is lost, and then
//! begins the next.
//!
//! In a session every slot is a task that claims and runs one thing at a time
//! (`slots.rs`), every build has one task that reports it (`report.rs`), and
//! one task renews the session and listens to signals (`session.rs`). A slot
//! asks for the next build as soon as the steps of the one before have ended:
//! the last report and the removal of the workspace are behind it.
//!
//! A build that was lost is given up ([`Cancellation::abandon`]): its processes
//! are ended and its services stopped, and nothing of it is told any more.
//!
//! [`Cancellation::abandon`]: pikoci_core::plan::Cancellation::abandon

mod build;
mod check;
mod home;
mod kept;
mod occupied;
mod options;
mod report;
mod session;
mod slots;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::Types;
use pikoci_core::backoff::Backoff;
use pikoci_core::dispatch::{
    DispatchError, DispatchErrorKind, Dispatcher, Registration, SessionId,
};
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::home::Home;
use self::session::Session;
use self::slots::Slots;
use crate::cache::Cache;
use crate::journal::{FileJournal, recover};
use crate::machine::Machine;
use crate::workspace::DirWorkspace;

pub use options::{KeepFailed, WorkerOptions};

/// Pauses while the dispatcher is away.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest such pause; a session that lived for longer was a good one.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a worker cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Another worker works with the same directory.
    #[error("`{directory}` is in use by {holder}", directory = directory.display())]
    InUse {
        /// The directory of the journal.
        directory: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// A directory cannot be used.
    #[error("cannot use a directory of the worker: {error}")]
    Directory {
        /// What is wrong with it; names the directory.
        error: io::Error,
    },
    /// The dispatcher does not take it.
    #[error("the worker was refused: {0}")]
    Refused(#[source] DispatchError),
}

/// Why a worker stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It was asked to.
    Stopped,
    /// The dispatcher has no more work to give.
    Drained,
}

/// Claims builds and checks, runs them on this machine and reports.
pub struct Worker {
    dispatcher: Arc<dyn Dispatcher>,
    types: Types,
    options: WorkerOptions,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker that works for `dispatcher`; `types` is what a pipeline's names
    /// stand for where it declares nothing itself. Touches nothing.
    pub fn new(dispatcher: Arc<dyn Dispatcher>, types: Types, options: WorkerOptions) -> Self {
        Self { dispatcher, types, options }
    }

    /// Undoes what a worker before it left when it died, then works until `stop`
    /// fires or the dispatcher says that there will be no more work. What runs
    /// then ends in its own time, unless [`WorkerOptions::kill`] fires.
    ///
    /// Dropping the future kills what runs and reports nothing more.
    ///
    /// # Errors
    /// When a directory cannot be used or the dispatcher refuses the worker.
    /// One that is away is waited for.
    pub async fn run(&self, stop: &CancellationToken) -> Result<WorkerEnd, WorkerError> {
        let directory = |error| WorkerError::Directory { error };
        let options = &self.options;
        let workspaces = match &options.workspaces {
            Some(root) => root.clone(),
            None => DirWorkspace::default_root().map_err(directory)?,
        };
        let journal = options.journal.clone().unwrap_or_else(|| workspaces.join("journal"));
        let home = Home::open(&journal, &options.name)?;
        let mut replaces = home.last_session();
        let recovered = recover(&journal, &self.types, options.grace).await;
        for build in &recovered {
            tracing::warn!(
                build = %build.build,
                services = build.services.len(),
                survivors = build.survivors,
                problems = ?build.problems,
                "undid what a build left whose worker died"
            );
        }
        if recovered.iter().any(|build| build.survivors > 0) {
            // Not all of it has ended: its builds are others' when its time is over.
            replaces = None;
        }
        let cache = options.cache.clone().map(Cache::new);
        let machine = Machine {
            journal: Arc::new(FileJournal::new(journal, Some(workspaces.clone()))),
            workspaces,
            cache: cache.map(|it| it.with_limit_bytes(options.cache_limit_bytes)),
            grace: options.grace,
            worker: options.name.clone(),
            env: options.env.clone(),
            trace: None,
            clock: Arc::clone(&options.clock),
        };
        let drain = stop.child_token();
        let slots = Arc::new(Slots::new(machine, &self.types, options, &drain));
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(session) = self.register(replaces, &drain).await? {
            let begun = Instant::now();
            if let Err(error) = home.remember(session.id) {
                tracing::warn!(%error, "if this worker dies, its builds are lost only later");
            }
            let session = Arc::new(session);
            tracing::info!(worker = options.name, session = %session.id, "a session began");
            slots.work(&session).await;
            if !session.is_lost() {
                match self.dispatcher.leave(session.id).await {
                    Ok(()) => home.forget(),
                    Err(error) => {
                        tracing::warn!(%error, "the session ends when its time is over");
                    }
                }
                break;
            }
            // All that ran in it has ended.
            replaces = Some(session.id);
            if begun.elapsed() > LONGEST_PAUSE {
                backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
            }
            self.pause(&mut backoff, &drain).await;
        }
        slots.clear().await;
        Ok(if stop.is_cancelled() { WorkerEnd::Stopped } else { WorkerEnd::Drained })
    }

    /// Begins a session; `None` when the worker is asked to stop before that.
    async fn register(
        &self,
        replaces: Option<SessionId>,
        drain: &CancellationToken,
    ) -> Result<Option<Session>, WorkerError> {
        let options = &self.options;
        let registration = Registration {
            name: options.name.clone(),
            team: options.team.clone(),
            tags: options.tags.clone(),
            exclusive_tags: options.exclusive_tags,
            build_slots: options.build_slots,
            check_slots: options.check_slots,
            platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
            version: env!("CARGO_PKG_VERSION").into(),
            replaces,
        };
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let asked = Instant::now();
            let answer = tokio::select! {
                biased;
                () = drain.cancelled() => return Ok(None),
                answer = self.dispatcher.register(registration.clone()) => answer,
            };
            match answer {
                Ok(session) => {
                    let dispatcher = Arc::clone(&self.dispatcher);
                    return Ok(Some(Session::new(dispatcher, session, asked, options)));
                }
                Err(error) if error.kind == DispatchErrorKind::Invalid => {
                    return Err(WorkerError::Refused(error));
                }
                Err(error) => tracing::warn!(%error, "the worker is not registered yet"),
            }
            self.pause(&mut backoff, drain).await;
        }
    }

    async fn pause(&self, backoff: &mut Backoff, drain: &CancellationToken) {
        let pause = backoff.next(self.options.clock.as_ref());
        tokio::select! {
            biased;
            () = drain.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
