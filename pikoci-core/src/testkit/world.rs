//! What a build runs in, in memory. Clones are handles on the same thing.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::clock::Clock;
use crate::event::Event;
use crate::name::{BuildId, StepId};
use crate::pipeline::Pipeline;
use crate::plan::EventSink;
use crate::traits::{Journal, ServiceRecord, Workspace};

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the events it gets.
#[derive(Debug, Clone, Default)]
pub struct MemoryEvents(Arc<Mutex<Vec<Event>>>);

impl MemoryEvents {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// All so far, in the order they came.
    pub fn all(&self) -> Vec<Event> {
        locked(&self.0).clone()
    }
}

#[async_trait]
impl EventSink for MemoryEvents {
    async fn event(&self, event: Event) {
        // A taker that lets others run shows what depends on one that does not.
        tokio::task::yield_now().await;
        locked(&self.0).push(event);
    }
}

/// A clock that stands still until it is moved; its ids count up.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<Mutex<(Duration, u128)>>);

impl ManualClock {
    /// At the Unix epoch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        locked(&self.0).0 += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        locked(&self.0).0
    }

    fn id(&self) -> Uuid {
        let mut state = locked(&self.0);
        state.1 += 1;
        Uuid::from_u128(state.1)
    }
}

/// A workspace of names and bytes; no file is made anywhere.
#[derive(Debug, Clone, Default)]
pub struct MemoryWorkspace(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    outputs: BTreeMap<PathBuf, Vec<u8>>,
    made: usize,
}

const ROOT: &str = "/memory/work";

impl MemoryWorkspace {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file at `path`, relative to the root; the directories above it exist with it.
    pub fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        locked(&self.0).files.insert(path.to_owned(), content.into());
    }

    /// Sets what stands in a file made by `create_output_file`.
    pub fn write_output(&self, path: &Path, content: impl Into<Vec<u8>>) {
        if let Some(file) = locked(&self.0).outputs.get_mut(path) {
            *file = content.into();
        }
    }

    /// How many files for output were made and not taken.
    pub fn open_outputs(&self) -> usize {
        locked(&self.0).outputs.len()
    }

    fn inside(path: &str) -> std::io::Result<()> {
        let leads_out = Path::new(path)
            .components()
            .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir));
        if leads_out {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("`{path}` leads out of the workspace"),
            ));
        }
        Ok(())
    }
}

impl Workspace for MemoryWorkspace {
    fn root(&self) -> &Path {
        Path::new(ROOT)
    }

    fn exists(&self, path: &str) -> std::io::Result<bool> {
        Self::inside(path)?;
        let below = format!("{path}/");
        Ok(locked(&self.0).files.keys().any(|file| file == path || file.starts_with(&below)))
    }

    fn directory(&self, path: &str) -> std::io::Result<PathBuf> {
        Self::inside(path)?;
        let below = format!("{path}/");
        if locked(&self.0).files.keys().any(|file| file.starts_with(&below)) {
            Ok(Path::new(ROOT).join(path))
        } else {
            Err(Error::new(ErrorKind::NotFound, format!("there is no directory `{path}`")))
        }
    }

    fn create_output_file(&self, step: &StepId) -> std::io::Result<PathBuf> {
        let mut state = locked(&self.0);
        state.made += 1;
        let path = PathBuf::from(format!("/memory/outputs/{step}-{}", state.made));
        state.outputs.insert(path.clone(), Vec::new());
        Ok(path)
    }

    fn take_output_file(&self, path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = locked(&self.0)
            .outputs
            .remove(path)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "no such file for output"))?;
        bytes.truncate(limit.saturating_add(1));
        Ok(bytes)
    }

    fn cache_dir(&self, key: &str) -> std::io::Result<Option<PathBuf>> {
        Ok(Some(Path::new("/memory/cache").join(key)))
    }
}

/// A journal that keeps what it is told as lines: `build`, `start STEP`, `stop STEP`, `end`.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    records: Vec<ServiceRecord>,
    refused: Vec<&'static str>,
}

impl MemoryJournal {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it refuse what begins with `word` (`build`, `start`, `stop` or `end`).
    pub fn refuse(&self, word: &'static str) {
        locked(&self.0).refused.push(word);
    }

    /// What it was told.
    pub fn lines(&self) -> Vec<String> {
        locked(&self.0).lines.clone()
    }

    /// Every service it was told about.
    pub fn records(&self) -> Vec<ServiceRecord> {
        locked(&self.0).records.clone()
    }

    fn tell(&self, word: &'static str, line: String) -> std::io::Result<()> {
        let mut state = locked(&self.0);
        if state.refused.contains(&word) {
            return Err(Error::other("the journal refuses"));
        }
        state.lines.push(line);
        Ok(())
    }
}

impl Journal for MemoryJournal {
    fn build_started(&self, _build: BuildId, _pipeline: &Pipeline) -> std::io::Result<()> {
        self.tell("build", "build".into())
    }

    fn service_starting(&self, record: &ServiceRecord) -> std::io::Result<()> {
        self.tell("start", format!("start {}", record.step))?;
        locked(&self.0).records.push(record.clone());
        Ok(())
    }

    fn service_stopped(&self, _build: BuildId, step: &StepId) -> std::io::Result<()> {
        self.tell("stop", format!("stop {step}"))
    }

    fn build_finished(&self, _build: BuildId) -> std::io::Result<()> {
        self.tell("end", "end".into())
    }
}
