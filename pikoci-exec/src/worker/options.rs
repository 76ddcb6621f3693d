//! How a worker works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::clock::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::workspace::{DirWorkspace, base_dir};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// What people call it.
    pub name: String,
    /// The only team that it works for; `None` for all.
    pub team: Option<String>,
    /// What it can do that others cannot.
    pub tags: BTreeSet<String>,
    /// Whether it takes only work that names at least one of its tags.
    pub exclusive_tags: bool,
    /// How many builds it runs at once.
    pub build_slots: u32,
    /// How many checks it makes at once.
    pub check_slots: u32,
    /// Time between the polite and the hard end of processes.
    pub grace: Duration,
    /// Where workspaces are made; `None` is [`DirWorkspace::default_root`].
    pub workspaces: Option<PathBuf>,
    /// Where the journal is, and what else one worker tells the next one at its
    /// place; a live worker has it to itself. `None` is a directory beside the workspaces.
    pub journal: Option<PathBuf>,
    /// Where caches are kept; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// How many bytes all caches together may have.
    pub cache_limit_bytes: u64,
    /// Which workspaces of failed builds are kept, so that the build can be
    /// gone on with; `None` keeps none.
    pub keep_failed: Option<KeepFailed>,
    /// Variables for every step besides those of the build. Without a
    /// `TRACEPARENT` here, every build is a trace of its own.
    pub env: BTreeMap<String, String>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Cancels what runs; nothing new is begun then.
    pub kill: CancellationToken,
}

/// Which workspaces of failed builds are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepFailed {
    /// How many at most; the oldest goes first.
    pub at_most: usize,
    /// For how long at most.
    pub longest: Duration,
}

impl Default for KeepFailed {
    /// Ten, for an hour.
    fn default() -> Self {
        Self { at_most: 10, longest: Duration::from_secs(60 * 60) }
    }
}

impl Default for WorkerOptions {
    /// A worker named like the machine, with a build for every core and as many
    /// checks, and with the user's own directories.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let journal = base_dir("XDG_STATE_HOME", ".local/state");
        Self {
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            team: None,
            tags: BTreeSet::new(),
            exclusive_tags: false,
            build_slots: cores,
            check_slots: cores,
            grace: Duration::from_secs(10),
            workspaces: None,
            journal: journal.map(|base| base.join("pikoci/worker")),
            cache: DirWorkspace::default_cache(),
            cache_limit_bytes: Cache::DEFAULT_LIMIT_BYTES,
            keep_failed: Some(KeepFailed::default()),
            env: BTreeMap::new(),
            clock: Arc::new(SystemClock::new()),
            kill: CancellationToken::new(),
        }
    }
}
