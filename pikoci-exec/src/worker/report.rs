//! Reporting a build: a bounded buffer of its events, and the one who tells them.
//!
//! The interpreter numbers events and hands them to [`Reports`]; one
//! [`Reporter`] per build takes all that came since its last report and tells
//! it, one report at a time. After a quiet time the first events wait a moment
//! for company, so that a build of a millisecond is told in one report.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pikoci_core::Status;
use pikoci_core::dispatch::{DispatchError, DispatchErrorKind, Report, RunningBuild};
use pikoci_core::event::{Event, EventKind};
use pikoci_core::plan::{BuildResult, Cancellation, EventSink};
use tokio::sync::Notify;

use super::session::{LOST_BUILD, Session};

/// From how many bytes on the buffer slows the build.
pub(super) const BUFFER_BYTES: usize = 1 << 20;
/// How many bytes of events one report has at most, unless it has only one event.
pub(super) const REPORT_BYTES: usize = 512 << 10;
/// How long the first events after a quiet time wait for company.
const COMPANY: Duration = Duration::from_millis(3);
/// What an event has besides its texts.
const EVENT_BYTES: usize = 128;

/// The events of a build that are not told yet, and how it ended.
#[derive(Debug)]
pub(super) struct Reports {
    state: Mutex<State>,
    /// There is more to tell, for the one who tells it.
    came: Notify,
    /// There is room again, for the one who fills it: events come one at a time.
    room: Notify,
}

#[derive(Debug)]
struct State {
    events: Vec<Event>,
    bytes: usize,
    /// The number of the next event.
    next: u64,
    ended: Option<Ended>,
    /// Nothing is told any more.
    closed: bool,
}

/// How a build ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) result: BuildResult,
    pub(super) workspace_kept: bool,
}

/// What goes into one report.
#[derive(Debug)]
struct Batch {
    events: Vec<Event>,
    ended: Option<Ended>,
}

impl Reports {
    /// Of a build whose next event has this number.
    pub(super) fn new(next: u64) -> Self {
        let state = State { events: Vec::new(), bytes: 0, next, ended: None, closed: false };
        Self { state: Mutex::new(state), came: Notify::new(), room: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.state().next
    }

    /// How many bytes wait.
    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.state().bytes
    }

    /// Adds an event, whether there is room or not.
    pub(super) fn push(&self, event: Event) {
        let bytes = weight(&event);
        let mut state = self.state();
        state.next = event.number + 1;
        if state.closed {
            return;
        }
        let before = state.bytes;
        state.events.push(event);
        state.bytes += bytes;
        let wakes = before == 0 || (before < REPORT_BYTES && state.bytes >= REPORT_BYTES);
        drop(state);
        if wakes {
            self.came.notify_one();
        }
    }

    /// The build has ended: all its events are here.
    pub(super) fn end(&self, ended: Ended) {
        self.state().ended = Some(ended);
        self.came.notify_one();
    }

    /// Nothing is told any more: events that come are dropped.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.events = Vec::new();
        state.bytes = 0;
        drop(state);
        self.room.notify_one();
    }

    /// Waits until what came is `enough`.
    async fn wait(&self, enough: impl Fn(&State) -> bool) {
        while !enough(&self.state()) {
            self.came.notified().await;
        }
    }

    /// Takes what goes into the next report.
    fn take(&self) -> Batch {
        let mut state = self.state();
        let events = if state.bytes <= REPORT_BYTES {
            state.bytes = 0;
            std::mem::take(&mut state.events)
        } else {
            let mut bytes = 0;
            let fits = state.events.iter().take_while(|event| {
                let first = bytes == 0;
                bytes += weight(event);
                first || bytes <= REPORT_BYTES
            });
            let fits = fits.count();
            let events: Vec<Event> = state.events.drain(..fits).collect();
            let taken: usize = events.iter().map(weight).sum();
            state.bytes = state.bytes.saturating_sub(taken);
            events
        };
        let ended = if state.events.is_empty() { state.ended.take() } else { None };
        drop(state);
        self.room.notify_one();
        Batch { events, ended }
    }
}

#[async_trait]
impl EventSink for Reports {
    /// The event is taken at once, so that dropping this loses none; what a
    /// full buffer holds up is the return.
    async fn event(&self, event: Event) {
        self.push(event);
        loop {
            {
                let state = self.state();
                if state.closed || state.bytes < BUFFER_BYTES {
                    return;
                }
            }
            self.room.notified().await;
        }
    }
}

/// About how many bytes an event has.
fn weight(event: &Event) -> usize {
    let texts = match &event.kind {
        EventKind::StepOutput { data, .. } => data.0.len(),
        EventKind::VariableExported { name, value, .. } => name.len() + value.len(),
        EventKind::StepFinished { reason, .. } | EventKind::BuildFinished { reason, .. } => {
            reason.as_ref().map_or(0, String::len)
        }
        EventKind::StepSkipped { reason, .. } => reason.len(),
        // Rare, and of any shape.
        EventKind::VersionFetched { .. } | EventKind::VersionMade { .. } => {
            serde_json::to_vec(event).map_or(0, |it| it.len())
        }
        _ => 0,
    };
    EVENT_BYTES + texts
}

/// Tells the reports of one build.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) session: Arc<Session>,
    pub(super) build: RunningBuild,
    pub(super) reports: Arc<Reports>,
    pub(super) cancel: Cancellation,
}

/// What became of a report.
enum Told {
    Taken,
    Lost,
    Refused(DispatchError),
}

impl Reporter {
    /// Tells everything up to the end of the build, or until it is lost.
    pub(super) async fn run(self) {
        tokio::select! {
            biased;
            () = self.cancel.abandoned() => {}
            () = self.tell_all() => {}
        }
        self.reports.close();
    }

    async fn tell_all(&self) {
        let reports = &self.reports;
        let mut quiet = true;
        loop {
            reports.wait(|it| it.ended.is_some() || !it.events.is_empty()).await;
            if quiet {
                let enough = reports.wait(|it| it.ended.is_some() || it.bytes >= REPORT_BYTES);
                // Whoever is late goes with the next report.
                let _ = tokio::time::timeout(COMPANY, enough).await;
            }
            let batch = reports.take();
            let last = batch.ended.is_some();
            let result = batch.ended.as_ref().map(|it| it.result.clone());
            match self.tell(batch).await {
                Told::Taken if last => return,
                Told::Taken => {}
                Told::Lost => return,
                Told::Refused(error) => return self.tell_refused(&error, result).await,
            }
            let state = reports.state();
            quiet = state.events.is_empty() && state.ended.is_none();
        }
    }

    /// The dispatcher does not take the build's events: nobody could read the
    /// build to its end, so it ends as errored, without more of them.
    async fn tell_refused(&self, error: &DispatchError, result: Option<BuildResult>) {
        let reason = format!("the build could not be told: {error}");
        tracing::error!(build = %self.build.build, %error, "a report was refused");
        self.cancel.cancel(reason.clone());
        let result = match result {
            Some(result) => result,
            None => {
                let reports = &self.reports;
                reports.wait(|it| it.ended.is_some()).await;
                match reports.state().ended.take() {
                    Some(ended) => ended.result,
                    None => return,
                }
            }
        };
        let result = BuildResult { status: Status::Errored, reason: Some(reason), ..result };
        let ended = Some(Ended { result, workspace_kept: false });
        if let Told::Refused(error) = self.tell(Batch { events: Vec::new(), ended }).await {
            tracing::error!(build = %self.build.build, %error, "how a build ended was refused");
        }
    }

    /// Tells one report, as often as it takes.
    async fn tell(&self, batch: Batch) -> Told {
        let workspace_kept = batch.ended.as_ref().is_some_and(|it| it.workspace_kept);
        let RunningBuild { build, epoch } = self.build;
        let report = Report {
            build,
            epoch,
            events: batch.events,
            result: batch.ended.map(|it| it.result),
            workspace_kept,
        };
        let mut pauses = self.session.pauses();
        loop {
            let Err(error) = self.session.dispatcher.report(self.session.id, report.clone()).await
            else {
                return Told::Taken;
            };
            match error.kind {
                DispatchErrorKind::SessionLost => {
                    self.session.lose(&error.message);
                    return Told::Lost;
                }
                DispatchErrorKind::BuildLost => {
                    tracing::warn!(%build, epoch, %error, "the build is lost");
                    self.cancel.abandon(LOST_BUILD);
                    return Told::Lost;
                }
                DispatchErrorKind::Invalid => return Told::Refused(error),
                _ => {
                    tracing::warn!(%build, %error, "a report is not taken yet");
                    tokio::time::sleep(pauses.next()).await;
                }
            }
        }
    }
}
