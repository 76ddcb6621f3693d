//! One build that was claimed: from the claim to what is left behind its slot.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use pikoci_core::dispatch::{BuildClaim, RunningBuild};
use pikoci_core::event::{Event, EventKind};
use pikoci_core::plan::{Begun, BuildResult, BuildSpec, Cancellation, EventSink, ResumeAt};
use pikoci_core::{Pipeline, Status, Types};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::kept::Kept;
use super::occupied::Occupation;
use super::report::{Ended, Reporter, Reports};
use super::session::Session;
use super::slots::Slots;
use crate::machine::Room;
use crate::workspace::UsedCaches;

/// What is left of a build when its steps have ended.
struct Leftover {
    /// To be given back.
    caches: Option<UsedCaches>,
    /// To be removed.
    rooms: Vec<Room>,
    /// The build is the worker's, and counts as behind its slot, until then.
    _until_removed: (Occupation, Option<OwnedSemaphorePermit>),
}

/// Gives up a build that is dropped in the middle; one that has ended is not.
struct GiveUp<'a>(Option<&'a Cancellation>);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if let Some(cancel) = self.0 {
            cancel.abandon("the worker was dropped");
        }
    }
}

impl Slots {
    /// Runs a build. When this returns, its steps have ended and nothing of it
    /// runs any more; it is told and removed by a task of its own.
    pub(super) async fn build(self: &Arc<Self>, session: &Arc<Session>, claim: BuildClaim) {
        let span = span(&claim, &self.machine.worker);
        let build = RunningBuild { build: claim.context.id, epoch: claim.epoch };
        let cancel = session.begin(build);
        let reports = Arc::new(Reports::new(claim.next_event));
        let reporter = Reporter {
            session: Arc::clone(session),
            build,
            reports: Arc::clone(&reports),
            cancel: cancel.clone(),
        };
        let (leave, left) = oneshot::channel::<Leftover>();
        let (own, of_session) = (Arc::clone(self), Arc::clone(session));
        let behind = async move {
            reporter.run().await;
            of_session.end(build);
            if let Ok(leftover) = left.await {
                own.tidy(leftover.caches, leftover.rooms).await;
            }
        };
        tokio::spawn(behind.instrument(span.clone()));

        let mut give_up = GiveUp(Some(&cancel));
        let occupation = self.occupied.enter(build.build).await;
        let run = self.run(&claim, &reports, &cancel).instrument(span.clone());
        let (mut result, room) = Box::pin(run).await;
        span.record("cicd.pipeline.result", result_name(result.status));
        let resume = self.keepable(&claim, &result, &cancel);
        // What it holds is for this process only.
        result.failed_at = None;
        // Taken before anyone may go on in the room and use them again.
        let caches = room.as_ref().and_then(|room| room.workspace.take_caches());
        let (kept, rooms) = match (room, resume) {
            (Some(room), Some(resume)) => (true, self.keep(build, room, resume)),
            (room, _) => (false, room.into_iter().collect()),
        };
        reports.end(Ended { result, workspace_kept: kept });
        give_up.0 = None;
        // The slot goes on once there is room behind it: what waits there stays bounded.
        let permit = Arc::clone(&self.behind).acquire_owned().await.ok();
        // Where nobody waits for it, it is removed with this process's journal.
        let _ = leave.send(Leftover { caches, rooms, _until_removed: (occupation, permit) });
    }

    /// Runs a build, if that can be begun, and answers how it ended and where it ran.
    async fn run(
        &self,
        claim: &BuildClaim,
        reports: &Arc<Reports>,
        cancel: &Cancellation,
    ) -> (BuildResult, Option<Room>) {
        let started = self.machine.clock.monotonic();
        let (types, room, resume) = match self.prepare(claim) {
            Ok(prepared) => prepared,
            Err(problem) => return (self.errored(claim, reports, started, problem), None),
        };
        let spec = BuildSpec {
            context: claim.context.clone(),
            pipeline: Arc::clone(&claim.pipeline),
            inputs: claim.inputs.clone(),
            check_missing: false,
            input_values: claim.input_values.clone(),
            attempt: claim.attempt,
            previous: claim.previous,
            begun: Some(Begun { next_event: claim.next_event }),
            resume,
        };
        let events = Arc::clone(reports) as Arc<dyn EventSink>;
        let work = self.machine.run(&spec, types, events, &room, cancel);
        let ended = AssertUnwindSafe(Box::pin(work)).catch_unwind().await;
        match ended {
            Ok((result, survivors)) => {
                if survivors > 0 {
                    tracing::warn!(survivors, "some of its processes could not be ended");
                }
                (result, Some(room))
            }
            Err(_) => {
                // Its services may still run: the build stays in the journal,
                // and the next worker here stops them.
                crate::process::end_build(claim.context.id, self.machine.grace).await;
                let problem = "the worker has a bug: running the build panicked".to_owned();
                (self.errored(claim, reports, started, problem), None)
            }
        }
    }

    /// What must be there before a build can be run; or why it is not.
    fn prepare(&self, claim: &BuildClaim) -> Result<(Arc<Types>, Room, Option<ResumeAt>), String> {
        let types = self.types_of(&claim.pipeline)?;
        let id = claim.context.id;
        let Some(resume) = claim.resume else {
            let room = self.machine.room(id);
            let room = room.map_err(|error| format!("its workspace cannot be made: {error}"))?;
            return Ok((types, room, None));
        };
        let kept = self.kept.take(resume.build).ok_or_else(|| {
            "the workspace of the build that it was to go on with is not here any more".to_owned()
        })?;
        Ok((types, kept.room.handed_to(id), Some(kept.resume)))
    }

    /// The types of a pipeline; or why there are none.
    pub(super) fn types_of(&self, pipeline: &Arc<Pipeline>) -> Result<Arc<Types>, String> {
        self.types.of(pipeline).map_err(|error| error.to_string())
    }

    /// Ends a build that the interpreter did not end.
    fn errored(
        &self,
        claim: &BuildClaim,
        reports: &Reports,
        started: std::time::Duration,
        reason: String,
    ) -> BuildResult {
        let clock = &self.machine.clock;
        let duration = clock.monotonic().saturating_sub(started);
        let (status, told) = (Status::Errored, Some(reason.clone()));
        let kind = EventKind::BuildFinished { status, reason: told, duration };
        reports.push(Event { number: reports.next(), time: clock.now(), kind });
        BuildResult {
            name: claim.context.name.clone(),
            status,
            reason: Some(reason),
            inputs: Default::default(),
            outputs: Vec::new(),
            failed_at: None,
        }
    }

    /// Where a build that ended so can be gone on with, if its workspace is to be kept.
    fn keepable(
        &self,
        claim: &BuildClaim,
        result: &BuildResult,
        cancel: &Cancellation,
    ) -> Option<ResumeAt> {
        let failed = matches!(result.status, Status::Failed | Status::Errored);
        let job = claim.pipeline.job(&claim.context.name.job)?;
        if !failed || job.disable_retry || cancel.is_abandoned() || !self.kept.keeps() {
            return None;
        }
        ResumeAt::after(result)
    }

    /// Keeps the workspace of a build. Answers those that have to go for it.
    fn keep(&self, build: RunningBuild, room: Room, resume: ResumeAt) -> Vec<Room> {
        let since = self.machine.clock.monotonic();
        self.kept.keep(Kept { build: build.build, room, resume, since })
    }
}

/// The span of a build, by the semantic conventions of OpenTelemetry for CI/CD.
fn span(claim: &BuildClaim, worker: &str) -> Span {
    let name = &claim.context.name;
    let job = claim.pipeline.job(&name.job);
    // What a git resource calls a version is a commit.
    let commit = job.into_iter().flat_map(|job| job.gets()).find(|(_, get)| get.kind == "git");
    let commit = commit.and_then(|(_, get)| claim.inputs.get(&get.name)?.0.get("ref")?.as_str());
    tracing::info_span!(
        "build",
        cicd.pipeline.name = name.pipeline,
        cicd.pipeline.task.name = name.job,
        cicd.pipeline.run.id = %claim.context.id,
        cicd.pipeline.run.url.full = claim.context.url,
        cicd.pipeline.result = Empty,
        cicd.worker.name = worker,
        vcs.ref.head.revision = commit,
        pikoci.team = name.team,
        pikoci.build.number = name.number,
        pikoci.build.epoch = claim.epoch,
    )
}

/// What the semantic conventions call a status.
fn result_name(status: Status) -> &'static str {
    match status {
        Status::Succeeded | Status::Warning => "success",
        Status::Failed => "failure",
        Status::Errored => "error",
        Status::Cancelled => "cancellation",
        Status::Skipped => "skip",
    }
}
